# SPDX-License-Identifier: Apache-2.0
"""`agent_run` as a decorator: functions, coroutine functions and both kinds of generators on a real SDK pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from agent_outcomes import Outcome, agent_run, record_outcome
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, of
from tests.pipeline import call_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    from opentelemetry.trace import SpanContext


def current() -> SpanContext:
    return trace.get_current_span().get_span_context()


def converted(result: Any) -> Outcome:
    return Outcome.success(type="converted", value=result, currency="EUR")


# Functions and coroutine functions


def test_every_call_of_a_function_is_a_run(pipeline: ApiPipeline) -> None:
    """Arguments and result pass through, and each call, a recursive one apart, is one run."""

    @agent_run("bot", job_type="quote", tracer_provider=pipeline.provider)
    def quote(price: int, *, factor: int = 2) -> int:
        """Say what it costs."""
        record_outcome(value=price)
        return price * factor if price else quote(1, factor=factor)

    assert [quote(2), quote(3, factor=10), quote(0)] == [4, 30, 2]
    assert [event.outcome("value") for event in pipeline.events()] == [2.0, 3.0, 1.0]
    assert pipeline.run_count() == 3


def test_every_call_of_a_coroutine_function_is_a_run(pipeline: ApiPipeline) -> None:
    """Awaited together the calls stay apart, and nothing of a run is current once it is over."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        assert record_outcome(label=f"label-{number}")
        return number

    async def main() -> list[int]:
        done = await asyncio.gather(*(work(number) for number in range(20)))
        assert not current().is_valid
        return done

    assert asyncio.run(main()) == list(range(20))
    assert {event.outcome("label") for event in pipeline.events()} == {f"label-{number}" for number in range(20)}
    assert pipeline.run_count() == 20


def test_a_method_may_be_decorated(pipeline: ApiPipeline) -> None:
    """On methods the decorator binds as a function does."""

    class Agent:
        name = "x"

        @agent_run("bot", tracer_provider=pipeline.provider)
        def run(self, suffix: str) -> str:
            return self.name + suffix

        @classmethod
        @agent_run("bot", tracer_provider=pipeline.provider)
        async def make(cls) -> str:
            return cls.name

    assert Agent().run("y") == "xy"
    assert asyncio.run(Agent.make()) == "x"
    assert pipeline.run_count() == 2


def function(a: int, /, b: str = "b", *rest: int, c: float, **more: bool) -> dict[str, int]:
    """A documented function."""
    del b, rest, c, more
    return {"a": a}


async def coroutine_function(a: int) -> int:
    """A documented coroutine function."""
    return a


def generator_function(a: int) -> Generator[int, str, bool]:
    """A documented generator function."""
    yield a
    return True


async def async_generator_function(a: int) -> AsyncGenerator[int, str]:
    """A documented async generator function."""
    yield a


KINDS: list[Callable[[Any], bool]] = [
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
]


@pytest.mark.parametrize("original", [function, coroutine_function, generator_function, async_generator_function])
def test_signature_kind_and_names_are_kept(original: Callable[..., Any]) -> None:
    """To `inspect` the decorated function is what the original is: parameters, annotations, kind, name, docstring."""
    decorated = agent_run("bot")(original)
    assert decorated is not original
    assert inspect.signature(decorated) == inspect.signature(original)
    assert [kind(decorated) for kind in KINDS] == [kind(original) for kind in KINDS]
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(decorated, name) == getattr(original, name)
    assert inspect.unwrap(decorated) is original


# The outcome_of= function


def test_the_outcome_function_is_given_the_result(pipeline: ApiPipeline) -> None:
    """On every kind of function it gets the result (a generator's return value) and states the outcome."""

    @agent_run("f", outcome_of=converted, tracer_provider=pipeline.provider)
    def plain() -> str:
        return "1.10"

    @agent_run("c", outcome_of=converted, tracer_provider=pipeline.provider)
    async def coroutine() -> str:
        return "2.20"

    @agent_run("g", outcome_of=converted, tracer_provider=pipeline.provider)
    def generator() -> Generator[int, None, str]:
        yield 1
        return "3.30"

    @agent_run("a", outcome_of=lambda result: Outcome.success(label=repr(result)), tracer_provider=pipeline.provider)
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        assert await coroutine() == "2.20"
        assert [item async for item in async_generator()] == [1]

    assert plain() == "1.10"
    assert list(generator()) == [1]
    asyncio.run(main())
    for name, value in (("f", 1.1), ("c", 2.2), ("g", 3.3)):
        assert of(pipeline.event_of(name), "type", "value", "currency") == ("converted", value, "EUR")
    assert pipeline.event_of("a").outcome("label") == "None"


def test_the_outcome_function_may_say_nothing(pipeline: ApiPipeline) -> None:
    """`None` states nothing: the run is a success, its outcome pending."""

    @agent_run("bot", outcome_of=lambda _: None, tracer_provider=pipeline.provider)
    def work() -> int:
        return 1

    assert work() == 1
    assert of(pipeline.event(), "status", "state", "source") == ("success", "pending", "inferred")


@pytest.mark.parametrize("predicate", [lambda result: result.missing, lambda _: "success", lambda: None])
def test_a_broken_outcome_function_costs_nothing_but_the_outcome(
    pipeline: ApiPipeline, predicate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises or returns nonsense: the result comes back, the run counts, and one warning names the agent."""

    @agent_run("bot", outcome_of=predicate, tracer_provider=pipeline.provider)
    def work() -> int:
        return 1

    assert [work(), work()] == [1, 1]
    assert of(pipeline.events()[0], "status", "state") == ("success", "pending")
    assert pipeline.run_count() == 2
    (warning,) = caplog.records
    assert "outcome_of= function of agent_run('bot')" in warning.getMessage()


def test_an_interrupt_in_the_outcome_function_ends_the_run(pipeline: ApiPipeline) -> None:
    """A KeyboardInterrupt there is raised on, and the run's span has ended."""

    def interrupted(_: object) -> Outcome:
        raise KeyboardInterrupt

    @agent_run("bot", outcome_of=interrupted, tracer_provider=pipeline.provider)
    def work() -> int:
        return 1

    @agent_run("async-bot", outcome_of=interrupted, tracer_provider=pipeline.provider)
    async def async_work() -> int:
        return 1

    with pytest.raises(KeyboardInterrupt):
        work()
    with pytest.raises(KeyboardInterrupt):
        async_work().send(None)
    assert [event.outcome("status") for event in pipeline.events()] == ["cancelled", "cancelled"]
    assert pipeline.open_count() == 0


def test_the_outcome_function_is_not_asked_after_an_exception(pipeline: ApiPipeline) -> None:
    """A function that raises has no result to ask about; the very exception comes out of each kind of function."""
    error = ConnectionError(PRIVATE_TEXT)
    run = agent_run("bot", outcome_of=converted, tracer_provider=pipeline.provider)

    @run
    def plain() -> None:
        raise error

    @run
    async def coroutine() -> None:
        raise error

    @run
    def generator() -> Generator[int]:
        yield 1
        raise error

    @run
    async def async_generator() -> AsyncIterator[int]:
        yield 1
        raise error

    async def drain() -> list[int]:
        return [item async for item in async_generator()]

    calls: list[Callable[[], object]] = [
        plain,
        lambda: asyncio.run(coroutine()),
        lambda: list(generator()),
        lambda: asyncio.run(drain()),
    ]
    for call in calls:
        with pytest.raises(ConnectionError) as caught:
            call()
        assert caught.value is error
    assert [of(event, "status", "error.category", "type") for event in pipeline.events()] == [
        ("failure", "network", None)
    ] * 4
    assert pipeline.leaks() == []


# Generators


def test_a_generator_runs_until_it_is_exhausted(pipeline: ApiPipeline) -> None:
    """The run lasts from the first item to the last, with what is sent in and returned passed through."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def echo() -> Generator[str, str, str]:
        got = yield "ready"
        while got != "stop":
            got = yield got.upper()
        record_outcome(label="done")
        return "bye"

    generator = echo()
    assert pipeline.open_count() == 0
    assert [next(generator), generator.send("a"), generator.send("b")] == ["ready", "A", "B"]
    assert (pipeline.open_count(), pipeline.events()) == (1, [])
    with pytest.raises(StopIteration) as stop:
        generator.send("stop")
    assert stop.value.value == "bye"
    assert of(pipeline.event(), "status", "label") == ("success", "done")
    assert (pipeline.run_count(), pipeline.open_count()) == (1, 0)


def test_yield_from_a_decorated_generator(pipeline: ApiPipeline) -> None:
    """Delegation passes items and the return value, as with any generator."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def inner() -> Generator[int, None, str]:
        yield 1
        return "result"

    def outer() -> Generator[int, None, str]:
        return (yield from inner()) + "!"

    generator = outer()
    assert next(generator) == 1
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "result!"


def test_a_generator_closed_early(pipeline: ApiPipeline) -> None:
    """Closed after one item: the body's `finally` runs inside the run, and the run is a success."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def count() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            assert record_outcome(label="closed")

    for number in count():
        assert number == 0
        break
    gc.collect()
    assert of(pipeline.event(), "status", "label", "evidence") == ("success", "closed", "span_end")
    assert pipeline.open_count() == 0


def test_a_generator_never_started_is_no_run(pipeline: ApiPipeline) -> None:
    """Made and thrown away: nothing ran, so there is no run."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def count() -> Iterator[int]:
        yield 1

    del_me = count()
    del del_me
    gc.collect()
    assert (pipeline.events(), pipeline.ended(), pipeline.open_count()) == ([], [], 0)


def test_a_generator_called_wrongly_leaves_no_open_run(pipeline: ApiPipeline) -> None:
    """Arguments that do not fit are a `TypeError`, and no span is left open."""
    decorated: Any = agent_run("bot", tracer_provider=pipeline.provider)(generator_function)
    async_decorated: Any = agent_run("bot", tracer_provider=pipeline.provider)(async_generator_function)
    with pytest.raises(TypeError):
        list(decorated())
    with pytest.raises(TypeError):
        asyncio.run(anext(async_decorated()))
    assert pipeline.open_count() == 0


def test_an_exception_thrown_into_a_generator(pipeline: ApiPipeline) -> None:
    """The body sees it and may handle it; unhandled it comes out as it is and decides the run."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def patient() -> Generator[str]:
        try:
            yield "waiting"
        except KeyError:
            yield "handled"
        yield "more"

    generator = patient()
    assert next(generator) == "waiting"
    assert generator.throw(KeyError()) == "handled"
    assert next(generator) == "more"
    error = TimeoutError(PRIVATE_TEXT)
    with pytest.raises(TimeoutError) as caught:
        generator.throw(error)
    assert caught.value is error
    assert pipeline.event().outcome("status") == "timeout"
    assert (pipeline.run_count(), pipeline.leaks()) == (1, [])


def test_a_generator_that_will_not_close(pipeline: ApiPipeline) -> None:
    """A body that yields when told to close is an error of its own; the run still ends."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def stubborn() -> Generator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    generator = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()
    assert pipeline.open_count() == 0
    assert pipeline.event().outcome("status") == "failure"


def test_nothing_of_a_generators_run_is_current_between_items(pipeline: ApiPipeline) -> None:
    """The consumer's own span is current between two items, and what it opens is not below the run."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def work() -> Iterator[SpanContext]:
        for _ in range(3):
            call_model(pipeline.app)
            yield current()

    with pipeline.app.start_as_current_span("consumer") as consumer:
        for inside in work():
            assert inside.span_id != current().span_id
            assert current() == consumer.get_span_context()
            with pipeline.app.start_as_current_span("between"):
                pass
        assert current() == consumer.get_span_context()
    assert not current().is_valid
    run = pipeline.span("invoke_agent bot").get_span_context()
    parents = {span.name: span.parent for span in pipeline.ended()}
    assert (parents["chat m"], parents["between"]) == (run, consumer.get_span_context())
    assert pipeline.event().attributes["agent.run.model_calls"] == 3


def test_interleaved_generators_are_kept_apart(pipeline: ApiPipeline) -> None:
    """Two runs whose items are drawn in turns: each one's calls and outcome are its own."""

    def make(agent: str, calls: int) -> Generator[int]:
        @agent_run(agent, tracer_provider=pipeline.provider)
        def work() -> Generator[int]:
            for number in range(calls):
                call_model(pipeline.app)
                record_outcome(label=f"{agent}-{number}")
                yield number

        return work()

    a, b = make("a", 2), make("b", 3)
    assert [next(a), next(b), next(a), next(b), next(b)] == [0, 0, 1, 1, 2]
    assert [next(a, None), next(b, None)] == [None, None]
    for agent, calls in (("a", 2), ("b", 3)):
        event = pipeline.event_of(agent)
        assert (event.outcome("label"), event.attributes["agent.run.model_calls"]) == (f"{agent}-{calls - 1}", calls)
    assert pipeline.run_count() == 2


# Async generators


def test_an_async_generator_runs_until_it_is_exhausted(pipeline: ApiPipeline) -> None:
    """The run lasts to the last item, and what is sent in reaches the body."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def echo() -> AsyncGenerator[str, str]:
        got = yield "ready"
        while got != "stop":
            await asyncio.sleep(0)
            got = yield got.upper()
        record_outcome(label="done")

    async def main() -> None:
        generator = echo()
        assert [await anext(generator), await generator.asend("a")] == ["ready", "A"]
        assert pipeline.events() == []
        with pytest.raises(StopAsyncIteration):
            await generator.asend("stop")

    asyncio.run(main())
    assert of(pipeline.event(), "status", "label") == ("success", "done")
    assert (pipeline.run_count(), pipeline.open_count()) == (1, 0)


def test_an_async_generator_closed_early(pipeline: ApiPipeline) -> None:
    """Closed after one item, by `aclose()`: the body's `finally`, awaits included, runs inside the run."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def count() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            assert record_outcome(label="closed")

    async def main() -> None:
        async with contextlib.aclosing(count()) as numbers:
            async for number in numbers:
                assert number == 1
                break
        assert not current().is_valid

    asyncio.run(main())
    assert of(pipeline.event(), "status", "label", "evidence") == ("success", "closed", "span_end")
    assert pipeline.open_count() == 0


def test_an_abandoned_async_generator_is_closed_by_its_loop(
    pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Left without `aclose()`, the loop closes it in a task of its own: the run ends, and nothing is logged."""
    closed = asyncio.Event()

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def count() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    async def main() -> None:
        async for _ in count():
            break
        await asyncio.wait_for(closed.wait(), 10)

    asyncio.run(main())
    assert pipeline.event().outcome("status") == "success"
    assert (pipeline.open_count(), caplog.records) == (0, [])


def test_an_exception_thrown_into_an_async_generator(pipeline: ApiPipeline) -> None:
    """The body may handle it; unhandled it comes out as it is and decides the run."""
    error = TimeoutError(PRIVATE_TEXT)

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def patient() -> AsyncGenerator[str]:
        try:
            yield "waiting"
        except KeyError:
            yield "handled"

    async def main() -> None:
        generator = patient()
        assert await anext(generator) == "waiting"
        assert await generator.athrow(KeyError()) == "handled"
        with pytest.raises(TimeoutError) as caught:
            await generator.athrow(error)
        assert caught.value is error

    asyncio.run(main())
    assert pipeline.event().outcome("status") == "timeout"
    assert (pipeline.run_count(), pipeline.leaks()) == (1, [])


def test_a_cancelled_async_generator(pipeline: ApiPipeline) -> None:
    """The consumer's task is cancelled while the body waits: the run is cancelled."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    async def stuck() -> AsyncGenerator[int]:
        yield 1
        await asyncio.Event().wait()

    async def main() -> None:
        started = asyncio.Event()

        async def consume() -> None:
            async for _ in stuck():
                started.set()

        task = asyncio.create_task(consume())
        await started.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert pipeline.event().outcome("status") == "cancelled"


def test_nothing_of_an_async_generators_run_is_current_between_items(pipeline: ApiPipeline) -> None:
    """Two async generators drawn in turns by one task: neither leaks into the other or into the consumer."""

    def make(agent: str) -> AsyncGenerator[SpanContext]:
        @agent_run(agent, tracer_provider=pipeline.provider)
        async def work() -> AsyncGenerator[SpanContext]:
            for _ in range(2):
                await asyncio.sleep(0)
                call_model(pipeline.app)
                record_outcome(label=agent)
                yield current()

        return work()

    async def main() -> None:
        a, b = make("a"), make("b")
        with pipeline.app.start_as_current_span("consumer") as consumer:
            seen = []
            for generator in (a, b, a, b):
                seen.append((await anext(generator)).span_id)
                assert current() == consumer.get_span_context()
            assert seen[:2] == seen[2:]
            assert len({*seen, consumer.get_span_context().span_id}) == 3
            assert [item async for item in a] + [item async for item in b] == []
        assert not current().is_valid

    asyncio.run(main())
    for agent in ("a", "b"):
        event = pipeline.event_of(agent)
        assert (event.outcome("label"), event.attributes["agent.run.model_calls"]) == (agent, 2)
    assert pipeline.run_count() == 2
