# SPDX-License-Identifier: Apache-2.0
"""A coroutine that is closed where it waits has not done its job; a generator that is closed early may have."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from agent_outcomes import agent_run, record_outcome
from tests.integration.api_pipeline import ApiPipeline, of
from tests.pipeline import AGENT

Wait = Callable[[], Awaitable[Any]]
Make = Callable[[ApiPipeline, Wait], Coroutine[Any, Any, Any]]


# Where a coroutine waits


@types.coroutine
def by_generator() -> Generator[Any, Any, Any]:
    """A coroutine as they were written before `async def`."""
    yield from asyncio.sleep(10).__await__()


async def in_a_stream() -> None:
    """For the next item of an async generator."""

    async def items() -> AsyncGenerator[int]:
        await asyncio.sleep(10)
        yield 1

    async for _ in items():
        pass


async def in_a_group() -> None:
    """For several others, within a span of its own."""
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(asyncio.sleep(10))


WAITS: dict[str, Wait] = {
    "a timer": lambda: asyncio.sleep(10),
    "a future": lambda: asyncio.get_running_loop().create_future(),
    "a generator": by_generator,
    "a stream": in_a_stream,
    "a group": in_a_group,
}


# How its run is made


def decorated(pipeline: ApiPipeline, wait: Wait) -> Coroutine[Any, Any, Any]:
    @agent_run("bot", tracer_provider=pipeline.provider)
    async def work() -> None:
        await wait()

    return work()


def returned(pipeline: ApiPipeline, wait: Wait) -> Coroutine[Any, Any, Any]:
    async def work() -> None:
        await wait()

    made: Coroutine[Any, Any, Any] = agent_run("bot", tracer_provider=pipeline.provider)(lambda: work())()  # noqa: PLW0108
    return made


async def in_a_block(pipeline: ApiPipeline, wait: Wait) -> None:
    with agent_run("bot", tracer_provider=pipeline.provider):
        await wait()


async def in_an_async_block(pipeline: ApiPipeline, wait: Wait) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(agent_run("bot", tracer_provider=pipeline.provider))
        await wait()


async def in_a_span(pipeline: ApiPipeline, wait: Wait) -> None:
    with pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT):
        await wait()


MAKES: list[Make] = [decorated, returned, in_a_block, in_an_async_block, in_a_span]


def leave_pending(make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """A script whose loop is closed while a task goes on."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        kept.append(loop.create_task(make()))
        await asyncio.sleep(0.001)

    kept: list[object] = []
    loop.set_exception_handler(lambda _loop, _about: None)
    loop.run_until_complete(main())
    loop.close()
    kept.clear()
    gc.collect()


def close(make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """A driver of coroutines that has no more use for this one."""

    async def main() -> None:
        coroutine = make()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(main())


# Of a garbage collection's cycle, the SDK's block around a span may be closed before the coroutine that it is in.
ENDS = [
    (make, leave) for make in MAKES for leave in (leave_pending, close) if (make, leave) != (in_a_span, leave_pending)
]


# A loop that ends so says it, and OpenTelemetry does of the contexts that were current.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize(("make", "leave"), ENDS)
def test_a_coroutine_closed_where_it_waits_was_cancelled(
    pipeline: ApiPipeline, make: Make, wait: str, leave: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    """However its run was made, and whatever it waited for."""
    caplog.set_level(logging.CRITICAL)
    leave(lambda: make(pipeline, WAITS[wait]))
    assert of(pipeline.event(), "status", "evidence", "source") == ("cancelled", "exception:GeneratorExit", "inferred")
    assert pipeline.open_count() == 0


@pytest.mark.parametrize("is_span", [True, False])
def test_a_stream_closed_by_its_reader_may_have_done_its_job(pipeline: ApiPipeline, *, is_span: bool) -> None:
    """Also where closing it waits for coroutines, and closes further streams."""

    @contextlib.asynccontextmanager
    async def connection() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def run() -> Generator[None]:
        if is_span:
            with pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT):
                yield
        else:
            with agent_run("bot", tracer_provider=pipeline.provider):
                yield

    async def inner() -> AsyncGenerator[int]:
        async with connection():
            for number in range(3):
                yield number

    async def stream() -> AsyncGenerator[int]:
        with run():
            async with connection(), contextlib.aclosing(inner()) as items:
                async for item in items:
                    yield item

    async def main() -> None:
        async with contextlib.aclosing(stream()) as items:
            async for _ in items:
                break

    asyncio.run(main())
    assert of(pipeline.event(), "status", "evidence") == ("success", "span_end")


@pytest.mark.parametrize("dropped", [True, False])
def test_a_returned_generator_ends_as_a_decorated_one(pipeline: ApiPipeline, *, dropped: bool) -> None:
    """What its body does when it is closed, or dropped, is part of the run."""

    def items(label: str) -> Generator[int]:
        try:
            yield from range(3)
        finally:
            record_outcome(label=label)

    def leave(make: Callable[[str], Generator[int]], label: str) -> None:
        generator = make(label)
        next(generator)
        if not dropped:
            generator.close()
        del generator
        gc.collect()

    run = agent_run("bot", tracer_provider=pipeline.provider)
    leave(run(items), "decorated")
    leave(run(lambda label: items(label)), "returned")  # noqa: PLW0108
    assert [of(event, "status", "label") for event in pipeline.events()] == [
        ("success", "decorated"),
        ("success", "returned"),
    ]
