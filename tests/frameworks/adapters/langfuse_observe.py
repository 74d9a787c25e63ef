# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, observed by Langfuse: its decorator on agent and tool, its drop-in for OpenAI's client."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from langfuse import Langfuse, observe
from langfuse.openai import AsyncOpenAI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.frameworks.adapters.openai_loop import QUESTION, Forecast, declared
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

# Nothing listens there, and nothing is sent: Langfuse keeps its spans in memory.
NOWHERE: Final = "http://127.0.0.1:9"


def instrument(tracer_provider: TracerProvider) -> None:
    Langfuse(
        public_key="pk",
        secret_key="sk",  # noqa: S106 - no secret
        base_url=NOWHERE,
        tracer_provider=tracer_provider,
        span_exporter=InMemorySpanExporter(),
    )


def _client(server: ModelServer, timeout_s: float | None = None) -> Any:
    return AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)


async def _loop(client: Any, tool: Any) -> str:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    call = observe(name=tool.__name__, as_type="tool")(tool)
    while True:
        answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[declared(tool)])
        message = answer.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for asked in message.tool_calls:
            said = call(json.loads(asked.function.arguments)["city"])
            text = await said if inspect.isawaitable(said) else said
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": text})


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    @observe(name=server.cast.lead, as_type="agent")
    async def answer() -> str:
        return await _loop(_client(server, timeout_s), tool)

    return await answer()


async def _nested(server: ModelServer) -> None:
    @observe(name=server.cast.inner, as_type="agent")
    async def ask_inner(_question: str) -> str:
        return await _loop(_client(server), weather)

    @observe(name=server.cast.lead, as_type="agent")
    async def answer() -> str:
        return await _loop(_client(server), ask_inner)

    await answer()


async def _invalid_output(server: ModelServer) -> None:
    @observe(name=server.cast.lead, as_type="agent")
    async def answer() -> Forecast:
        question = [{"role": "user", "content": QUESTION}]
        said = await _client(server).chat.completions.create(model=MODEL, messages=question)
        return Forecast.model_validate_json(said.choices[0].message.content)

    await answer()


async def _streamed(server: ModelServer) -> None:
    @observe(name=server.cast.lead, as_type="agent")
    async def answer() -> None:
        stream = await _client(server).chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for _chunk in stream:
            pass

    await answer()


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
