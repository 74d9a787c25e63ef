# SPDX-License-Identifier: Apache-2.0
"""How users drive their agents: in an event loop, cancelled, two at once, under FastAPI. Shared by the adapters."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from agent_outcomes import agent_run
from tests.frameworks.scenarios import STATED_LABEL, STATED_TYPE, STATED_VALUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from tests.frameworks.model_server import ModelServer

REQUEST_LIMIT_S: Final = 20.0
CLIENT_TIMEOUT_S: Final = 0.3


def cancel_when_asked(server: ModelServer, start: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Start the run as a task and cancel it while the model thinks, as a server does when the caller hangs up."""

    async def main() -> None:
        task = asyncio.create_task(start())
        await asyncio.to_thread(server.wait_until_asked)
        task.cancel()
        await task

    asyncio.run(main())


def limited_from_outside(start: Callable[[], Awaitable[object]]) -> None:
    """A time limit around the run, which cannot tell it from a cancellation; an `agent_run` outside of it can."""

    async def main() -> None:
        with agent_run("limited"):
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                await start()

    asyncio.run(main())


def run_both(start: Callable[[], Awaitable[object]]) -> None:
    """Two runs at once in one event loop."""

    async def main() -> None:
        await asyncio.gather(start(), start())

    asyncio.run(main())


def in_both_threads(run: Callable[[], object]) -> None:
    """Two runs at once, each in a thread of its own."""
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def state_outcome() -> None:
    """What a user writes in a tool: attributes on the span that is current there."""
    span = trace.get_current_span()
    span.set_attribute("agent.outcome.type", STATED_TYPE)
    span.set_attribute("agent.outcome.label", STATED_LABEL)
    span.set_attribute("agent.outcome.value", STATED_VALUE)
    span.set_attribute("agent.outcome.currency", "EUR")


def behind_fastapi(start: Callable[[], Awaitable[object]]) -> None:
    """One request to an instrumented FastAPI application whose endpoint runs the agent."""
    app = FastAPI()

    @app.post("/ask")
    async def ask() -> str:
        await start()
        return "done"

    FastAPIInstrumentor.instrument_app(app)
    with _served(app) as url, urllib.request.urlopen(f"{url}/ask", b"", REQUEST_LIMIT_S) as answer:  # noqa: S310 - ours
        answer.read()


def behind_fastapi_in_thread(run: Callable[[], object]) -> None:
    """The same for an agent that blocks: FastAPI calls a plain function in its thread pool."""

    async def start() -> None:
        await asyncio.to_thread(run)

    behind_fastapi(start)


@contextlib.contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(REQUEST_LIMIT_S)
