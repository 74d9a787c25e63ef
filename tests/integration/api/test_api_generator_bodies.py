# SPDX-License-Identifier: Apache-2.0
"""A decorated generator does to its consumer, its body and its loop what the plain one does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context

from agent_outcomes import agent_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.api_pipeline import ApiPipeline

Body = Callable[[], Generator[Any, Any, Any]]
AsyncBody = Callable[[], AsyncGenerator[Any, Any]]


# What the consumer sees


def plain() -> Generator[Any, Any, Any]:
    """Three items and a result."""
    yield from range(3)
    return "result"


def returning() -> Generator[Any, Any, Any]:
    """Has something to give when it is closed."""
    try:
        yield from range(3)
    except GeneratorExit:
        return "so far"


def returning_nothing() -> Generator[Any, Any, Any]:
    """Ends without a word when it is closed."""
    with contextlib.suppress(GeneratorExit):
        yield from range(3)


def failing() -> Generator[Any, Any, Any]:
    """Fails when it is closed."""
    try:
        yield from range(3)
    except GeneratorExit:
        message = "at the close"
        raise OSError(message) from None


def tolerant() -> Generator[Any, Any, Any]:
    """Goes on after an error, and answers to what it is sent."""
    for number in range(3):
        try:
            sent = yield number
        except KeyError as error:
            sent = yield repr(error)
        yield sent


def translating() -> Generator[Any, Any, Any]:
    """Raises another error in place of the one thrown in."""
    try:
        yield 0
    except KeyError as error:
        message = "translated"
        raise OSError(message) from error


SYNC_USES: dict[str, list[Callable[[Any], Any]]] = {
    "exhausted": [list],
    "closed unstarted": [lambda it: it.close(), list],
    "closed": [next, lambda it: it.close(), list],
    "closed twice": [next, lambda it: it.close(), lambda it: it.close()],
    "closed by a throw": [next, lambda it: it.throw(GeneratorExit()), list],
    "thrown into": [next, lambda it: it.throw(KeyError("k")), list],
    "thrown into unstarted": [lambda it: it.throw(KeyError("k")), list],
    "sent to": [next, lambda it: it.send("hello"), lambda it: it.throw(KeyError("k")), lambda it: it.close()],
}


def told(action: Callable[[], Any]) -> str:
    """What came of it: a value, or an error with what it was raised from."""
    try:
        return repr(action())
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return f"{error!r} from {error.__cause__!r}"


@pytest.mark.parametrize("use", SYNC_USES)
@pytest.mark.parametrize("body", [plain, returning, returning_nothing, failing, tolerant, translating])
def test_a_generator_gives_what_the_plain_one_gives(pipeline: ApiPipeline, body: Body, use: str) -> None:
    """Every item, result, error and what `close()` returns, on whatever Python."""
    decorated = agent_run("bot", tracer_provider=pipeline.provider)(body)
    expected, got = (
        [told(lambda: step(it)) for step in SYNC_USES[use]]  # noqa: B023 - called at once
        for it in (body(), decorated())
    )
    assert got == expected
    assert pipeline.open_count() == 0


@pytest.mark.parametrize("value", ["so far", None])
def test_the_outcome_function_is_not_given_what_a_close_returned(pipeline: ApiPipeline, value: object) -> None:
    """It was closed early, so that is not the result of its work."""
    asked: list[object] = []

    @agent_run("bot", tracer_provider=pipeline.provider, outcome_of=asked.append)
    def work() -> Generator[int, None, object]:
        try:
            yield 1
        except GeneratorExit:
            return value
        return "all"

    generator = work()
    next(generator)
    generator.close()
    assert asked == []
    assert pipeline.event().outcome("status") == "success"


# What the event loop sees


async def quick() -> AsyncGenerator[Any, Any]:
    """Closes without waiting."""
    for number in range(3):
        yield number


async def slow_to_close() -> AsyncGenerator[Any, Any]:
    """Gives something back to a server when it is closed."""
    try:
        for number in range(3):
            yield number
    finally:
        for _ in range(3):
            await asyncio.sleep(0)


async def waiting() -> AsyncGenerator[Any, Any]:
    """Waits for each item, and at the end."""
    try:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
    finally:
        await asyncio.sleep(0.001)


async def failing_to_close() -> AsyncGenerator[Any, Any]:
    """Fails after having waited."""
    try:
        for number in range(3):
            yield number
    finally:
        await asyncio.sleep(0)
        message = "at the close"
        raise OSError(message)


def through(body: AsyncBody) -> AsyncBody:
    """A plain function that returns the generator."""
    return lambda: body()  # noqa: PLW0108 - that it is a plain function is the point


def left_to_loop(make: AsyncBody, *, items: int, keeps: bool) -> list[str]:
    """What a loop complains of when generators are left to it: still referenced at its end, or dropped before."""
    complaints: list[str] = []
    kept: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, about: complaints.append(repr(about.get("exception"))))
        for _ in range(2):
            generator = make()
            for _ in range(items):
                await anext(generator)
            kept.append(generator)
            del generator
        if not keeps:
            kept.clear()
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            # The loop closes each in a task of its own; what comes of it nobody asks.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others)
            del others

    asyncio.run(main())
    gc.collect()
    return complaints


@pytest.mark.parametrize("returned", [False, True])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize("body", [quick, slow_to_close, waiting, failing_to_close])
def test_a_loop_closes_an_async_generator_once(
    pipeline: ApiPipeline, body: AsyncBody, items: int, *, keeps: bool, returned: bool
) -> None:
    """It has no more to complain of than with the plain one, and the run ends as the body does."""
    make = agent_run("bot", tracer_provider=pipeline.provider)(through(body) if returned else body)
    assert left_to_loop(make, items=items, keeps=keeps) == left_to_loop(body, items=items, keeps=keeps)
    statuses = {event.outcome("status") for event in pipeline.events()}
    assert statuses == {"failure" if body is failing_to_close else "success"}
    assert (pipeline.run_count(), pipeline.open_count()) == (2, 0)


def test_the_hooks_of_a_loop_are_as_they_were(pipeline: ApiPipeline) -> None:
    """In the body, too, whose own generators are the loop's to close."""
    seen: list[object] = []

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def work() -> AsyncGenerator[int]:
        seen.append(sys.get_asyncgen_hooks())
        yield 1

    async def main() -> None:
        seen.append(sys.get_asyncgen_hooks())
        async for _ in work():
            seen.append(sys.get_asyncgen_hooks())  # noqa: PERF401 - the loop is what is looked at
        seen.append(sys.get_asyncgen_hooks())

    asyncio.run(main())
    assert len(seen) == 4
    assert len(set(map(repr, seen))) == 1


# What the body sees


def spans_of(pipeline: ApiPipeline, depth: int, number: int) -> Iterator[None]:
    """Spans within one another that stay open over every item; a span for each item, and a baggage of one's own."""
    with contextlib.ExitStack() as stack:
        for level in range(depth):
            stack.enter_context(pipeline.app.start_as_current_span(f"step {number}.{level}"))
        token = context.attach(baggage.set_baggage("level", depth))
        for index in range(3):
            with pipeline.app.start_as_current_span(f"call {number}.{index}") as span:
                span.set_attribute("level", str(baggage.get_baggage("level")))
            yield
        context.detach(token)
    with pipeline.app.start_as_current_span(f"after {number}"):
        pass


def tree_of(pipeline: ApiPipeline) -> dict[str, tuple[str, Any]]:
    """Below which span each one is, and what baggage there was."""
    names = {span.context.span_id: span.name for span in pipeline.ended() if span.context}
    return {
        span.name: (names[span.parent.span_id] if span.parent else "", (span.attributes or {}).get("level"))
        for span in pipeline.ended()
    }


def expected_tree(depth: int, number: int, run: str) -> dict[str, tuple[str, Any]]:
    steps = [run, *(f"step {number}.{level}" for level in range(depth))]
    within = {step: (around, None) for around, step in itertools.pairwise(steps)}
    calls = {f"call {number}.{index}": (steps[-1], str(depth)) for index in range(3)}
    return {**within, **calls, f"after {number}": (run, None)}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("together", [1, 2])
def test_what_a_body_has_made_current_stays_so_over_its_items(
    pipeline: ApiPipeline, depth: int, together: int, *, is_async: bool
) -> None:
    """Also where several take turns; nothing of it is current between the items."""

    def make(number: int) -> Any:
        run = agent_run(f"bot-{number}", tracer_provider=pipeline.provider)

        async def work_async() -> AsyncGenerator[None]:
            for _ in spans_of(pipeline, depth, number):
                yield

        def work() -> Generator[None]:
            yield from spans_of(pipeline, depth, number)

        return run(work_async)() if is_async else run(work)()

    async def main() -> None:
        generators = [make(number) for number in range(together)]
        before = context.get_current()
        for _ in range(4):
            for generator in generators:
                if is_async:
                    await anext(generator, None)
                else:
                    next(generator, None)
                assert context.get_current() == before

    asyncio.run(main())
    expected = {f"invoke_agent bot-{number}": ("", None) for number in range(together)}
    for number in range(together):
        expected |= expected_tree(depth, number, f"invoke_agent bot-{number}")
    assert tree_of(pipeline) == expected


def test_an_agent_that_a_body_calls_is_its_own_over_all_items(pipeline: ApiPipeline) -> None:
    """What it has used after the first item is still below it."""
    called = agent_run("called", tracer_provider=pipeline.provider)

    @agent_run("bot", tracer_provider=pipeline.provider)
    def work(name: str) -> Generator[str]:
        with called as inner:
            for index in range(3):
                with pipeline.app.start_as_current_span(f"{name} {index}"):
                    pass
                yield name
            inner.set_outcome(label=name)

    assert list(zip(work("a"), work("b"), strict=True)) == [("a", "b")] * 3
    spans = {span.context.span_id: span for span in pipeline.ended() if span.context}
    for name in "ab":
        parents = {span.parent.span_id for span in spans.values() if span.name.startswith(name) and span.parent}
        (parent,) = (spans[span_id] for span_id in parents)
        assert parent.name == "invoke_agent called"
        assert (parent.attributes or {})["agent.outcome.label"] == name


# What is kept


class Item:
    """Something large."""


class RefusedError(Exception):
    """What a consumer throws in."""


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_thrown_in_is_freed_at_once(pipeline: ApiPipeline, *, is_async: bool) -> None:
    """With the frames that it passed through, and without a garbage collection."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def work_async() -> AsyncGenerator[int]:
        yield 1

    @agent_run("bot", tracer_provider=pipeline.provider)
    def work() -> Generator[int]:
        yield 1

    def consume(item: Item) -> None:
        del item
        if is_async:
            generator = work_async()
            with contextlib.suppress(StopIteration):
                anext(generator).__await__().send(None)
            generator.athrow(RefusedError()).__await__().send(None)
        else:
            plain_generator = work()
            next(plain_generator)
            plain_generator.throw(RefusedError())

    def run() -> weakref.ref[Item]:
        item = Item()
        with contextlib.suppress(RefusedError):
            consume(item)
        return weakref.ref(item)

    gc.collect()
    gc.disable()
    try:
        assert run()() is None
    finally:
        gc.enable()


def test_an_item_is_the_consumers_alone(pipeline: ApiPipeline) -> None:
    """While the next one is made, nothing of ours holds the one before."""
    alive: list[bool] = []
    last: list[weakref.ref[Item]] = []

    @agent_run("bot", tracer_provider=pipeline.provider)
    def work() -> Generator[Item]:
        for _ in range(3):
            alive.extend(ref() is not None for ref in last)
            item = Item()
            last[:] = [weakref.ref(item)]
            handed_over = [item]
            del item
            yield handed_over.pop()

    generator = work()
    for _ in range(3):
        next(generator)
    assert alive == [False, False]
