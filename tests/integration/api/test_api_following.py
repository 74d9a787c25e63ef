# SPDX-License-Identifier: Apache-2.0
"""Runs that outlast their function's return, share an `agent_run` object, lose attributes or were not sampled."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from agent_outcomes import Outcome, agent_run, record_outcome
from agent_outcomes.api import attributes
from agent_outcomes.outcome import statement
from agent_outcomes.run import folding
from agent_outcomes.sdk.processor import PROCESSORS
from tests.integration.api_pipeline import ApiPipeline, of
from tests.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator


async def work(error: BaseException | None = None) -> str:
    """An agent at work, which finds its run."""
    await asyncio.sleep(0)
    assert record_outcome(label="inside")
    if error is not None:
        raise error
    return "done"


class Handle:
    """An awaitable with a method of its own, as clients return it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self.name = "handle"

    def __await__(self) -> Generator[Any, Any, str]:
        return work(self._error).__await__()


def make_handle(error: BaseException | None = None) -> Handle:
    return Handle(error)


class CallableAgent:
    """An agent that is called."""

    async def __call__(self, error: BaseException | None = None) -> str:
        return await work(error)


def start_task(error: BaseException | None = None) -> asyncio.Task[str]:
    return asyncio.get_running_loop().create_task(work(error))


RETURNING: dict[str, Callable[..., Awaitable[str]]] = {
    "coroutine": lambda error=None: work(error),
    "task": start_task,
    "awaitable": make_handle,
    "callable object": CallableAgent(),
}


# What a plain function returned


@pytest.mark.parametrize("name", RETURNING)
def test_an_awaitable_is_followed_to_its_end(pipeline: ApiPipeline, name: str) -> None:
    """The run ends with what the function returned: the result and the exception of that are the run's."""
    decorated = agent_run(
        "bot", outcome_of=lambda result: Outcome.partial(message=result), tracer_provider=pipeline.provider
    )(RETURNING[name])

    async def main() -> None:
        assert await decorated() == "done"
        awaitable = decorated(TimeoutError())
        assert pipeline.open_count() == 1
        with pytest.raises(TimeoutError):
            await awaitable
        assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(main())
    done, failed = pipeline.events()
    assert of(done, "status", "message", "label") == ("partial", "done", "inside")
    assert of(failed, "status", "error.category", "label") == ("timeout", "timeout", "inside")
    assert (pipeline.run_count(), pipeline.open_count()) == (2, 0)


def test_what_is_returned_is_what_it_was(pipeline: ApiPipeline) -> None:
    """A coroutine stays one, a task is the very task, and an awaitable keeps its class and its own methods."""
    run = agent_run("bot", tracer_provider=pipeline.provider)

    async def main() -> None:
        coroutine = run(work)()
        assert inspect.iscoroutine(coroutine)
        handle = run(make_handle)()
        assert isinstance(handle, Handle)
        assert handle.name == "handle"
        with pytest.raises(AttributeError):
            _ = handle.missing  # type: ignore[attr-defined]
        task = asyncio.get_running_loop().create_task(asyncio.sleep(0, "done"))
        assert run(lambda: task)() is task
        assert [await coroutine, await handle, await task] == ["done"] * 3

    asyncio.run(main())
    assert pipeline.run_count() == 3


def test_a_cancelled_task_is_cancelled(pipeline: ApiPipeline) -> None:
    """A task that was returned and then cancelled, and one whose exception nobody has asked for."""
    run, complaints = agent_run("bot", tracer_provider=pipeline.provider), []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        task = run(start_task)()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        forgotten = run(start_task)(ConnectionError())
        await asyncio.wait([forgotten])
        del forgotten
        gc.collect()

    asyncio.run(main())
    assert [of(event, "status", "error.category") for event in pipeline.events()] == [
        ("cancelled", "cancelled"),
        ("failure", "network"),
    ]
    assert complaints == ["Task exception was never retrieved"]


def test_generators_of_a_plain_function_are_followed(pipeline: ApiPipeline) -> None:
    """Both kinds last until exhausted, and between two items the context is the consumer's."""

    def items() -> Generator[int, None, str]:
        yield 1
        assert record_outcome(label="items")
        return "result"

    async def async_items() -> AsyncIterator[int]:
        yield 2
        assert record_outcome(label="async_items")

    run = agent_run(
        "bot", outcome_of=lambda result: Outcome.success(message=str(result)), tracer_provider=pipeline.provider
    )

    async def drain() -> list[int]:
        return [item async for item in run(functools.partial(next, iter([async_items()])))()]

    for item in run(functools.partial(next, iter([items()])))():
        assert (item, pipeline.events()) == (1, [])
        assert not trace.get_current_span().get_span_context().is_valid
    assert asyncio.run(drain()) == [2]
    assert [of(event, "label", "message") for event in pipeline.events()] == [
        ("items", "result"),
        ("async_items", "None"),
    ]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    "make", [work, make_handle, lambda: (item for item in (1, 2))], ids=["coroutine", "handle", "items"]
)
def test_what_nobody_awaits_was_cancelled(pipeline: ApiPipeline, make: Any) -> None:
    """Thrown away before it was started it leaves no open run behind, and no success either."""

    @agent_run("bot", tracer_provider=pipeline.provider)
    def give() -> Any:
        return make()

    made = give()
    assert pipeline.open_count() == 1
    del made
    gc.collect()
    assert (pipeline.event().outcome("status"), pipeline.open_count()) == ("cancelled", 0)


@pytest.mark.parametrize("result", [None, "text", {"a": 1}, iter([1]), object(), threading.Lock()])
def test_any_other_result_ends_the_run(pipeline: ApiPipeline, result: Any) -> None:
    """It is handed on as it is, and the run is over."""
    assert agent_run("bot", tracer_provider=pipeline.provider)(lambda: result)() is result
    assert of(pipeline.event(), "status", "source") == ("success", "inferred")


def test_an_awaitable_that_is_a_context_manager_too_is_not_touched(pipeline: ApiPipeline) -> None:
    """Nothing could stand for all that a client's request can do: the run ends when the function returns."""

    class Request(Handle):
        async def __aenter__(self) -> str:
            return "entered"

        async def __aexit__(self, *_: object) -> None: ...

    request = Request()
    assert agent_run("bot", tracer_provider=pipeline.provider)(lambda: request)() is request
    assert pipeline.run_count() == 1


# One object for several blocks


def test_a_block_ends_its_own_run_whatever_the_others_do(
    pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Two threads in blocks of one object, left in either order: what the one states last is not lost to the other."""
    shared = agent_run("bot", tracer_provider=pipeline.provider)
    second_in, first_out = threading.Event(), threading.Event()

    def first() -> None:
        with shared as run:
            assert second_in.wait(30)
            run.set_outcome(label="first")
        first_out.set()

    def second() -> None:
        with shared as run:
            second_in.set()
            assert first_out.wait(30)
            assert run.has_ended is False
            run.set_outcome(label="second")

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [event.outcome("label") for event in pipeline.events()] == ["first", "second"]
    assert caplog.records == []


def test_a_block_left_in_another_context(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """A framework may leave it elsewhere: each exit ends one run, and OpenTelemetry has no complaint."""
    shared = agent_run("bot", tracer_provider=pipeline.provider)
    run = contextvars.Context().run(shared.__enter__)
    with shared:
        contextvars.Context().run(shared.__exit__, None, None, None)
        assert (pipeline.run_count(), run.has_ended) == (1, False)
    assert run.has_ended
    assert (pipeline.run_count(), pipeline.open_count()) == (2, 0)
    assert caplog.records == []


def test_a_block_left_without_having_been_entered(pipeline: ApiPipeline) -> None:
    """The error says how to write it, and never comes in place of the application's own."""
    shared = agent_run("bot", tracer_provider=pipeline.provider)
    with shared:
        pass
    with pytest.raises(RuntimeError, match="had not been entered: write `with agent_run"):
        shared.__exit__(None, None, None)
    shared.__exit__(KeyError, KeyError(), None)
    with pytest.raises(RuntimeError, match="had not been entered"):
        asyncio.run(shared.__aexit__(None, None, None))
    assert pipeline.run_count() == 1


def test_what_the_application_sees_of_a_run(pipeline: ApiPipeline) -> None:
    """Ids, span and `set_outcome`: nothing that would end the run, write past it or make it current."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        public = {name for name in dir(run) if not name.startswith("_")}
    assert public == {"has_ended", "is_traced", "outcome_id", "outer", "set_outcome", "span", "span_id", "trace_id"}


# Attributes that the span's limit has cost


@pytest.mark.parametrize("limit", [16, 32, 128])
@pytest.mark.parametrize("extra", [0, 1, 15, 127, 128, 300])
def test_a_run_keeps_what_was_stated_past_the_limit_of_attributes(limit: int, extra: int) -> None:
    """However many attributes the application sets, and by whichever means: the run, its amount and its name arrive."""
    made = ApiPipeline()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=limit), shutdown_on_exit=False)
    provider.add_span_processor(made.processor)
    with agent_run("bot", job_type="ticket", tracer_provider=provider) as run:
        run.set_outcome(Outcome.success(type="converted", value="12345.67", currency="EUR", label="sold"))
        for number in range(extra):
            run.span.set_attribute(f"key.{number}", number)
        run.span.set_attribute("agent.outcome.label", "by_hand")
    event = made.event()
    assert of(event, "type", "value", "currency", "label") == ("converted", 12345.67, "EUR", "by_hand")
    assert of(event, "status", "source", "job_type") == ("success", "explicit", "ticket")
    assert event.attributes["gen_ai.agent.name"] == "bot"
    assert made.error_count() == 0


# Runs that were not sampled


class Wrapper(trace.TracerProvider):
    """A provider as distributions wrap the SDK's; `tracer` says whether its tracers are the SDK's own."""

    def __init__(self, inner: TracerProvider, *, wraps_tracers: bool) -> None:
        self._hidden = inner
        self._wraps_tracers = wraps_tracers

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        tracer = self._hidden.get_tracer(*args, **kwargs)
        return WrappedTracer(tracer) if self._wraps_tracers else tracer


class WrappedTracer(trace.Tracer):
    """A tracer around another, under a name that nobody knows."""

    def __init__(self, inner: trace.Tracer) -> None:
        self._concealed = inner

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self._concealed.start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._concealed.start_as_current_span(*args, **kwargs)


@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("wraps_tracers", [False, True])
def test_an_unsampled_run_is_counted_by_no_other_providers_processor(own: int, *, wraps_tracers: bool) -> None:
    """Its tracers lead to its own provider's processor; where they are wrapped as well, none is found."""
    for processor in list(PROCESSORS):
        PROCESSORS.close(processor)
    pipelines = [Pipeline(), Pipeline()]
    inner = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    inner.add_span_processor(pipelines[own].processor)
    with agent_run("bot", label="x", tracer_provider=Wrapper(inner, wraps_tracers=wraps_tracers)):
        pass
    counted = [pipeline.run_count() for pipeline in pipelines]
    assert counted == ([0, 0] if wraps_tracers else [int(own == 0), int(own == 1)])


# What a statement costs


def test_a_statement_is_read_once(pipeline: ApiPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the call that makes it, and by the processor at the end of the span."""
    calls = []
    read = statement.read_statement

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return read(*args, **kwargs)

    for module in (attributes, folding):
        monkeypatch.setattr(module, "read_statement", counted)
    with agent_run("bot", tracer_provider=pipeline.provider):
        record_outcome(type="converted")
    assert len(calls) == 2


def test_a_tracer_is_asked_for_once_a_provider() -> None:
    """Making one takes a lock and several objects; a provider that is gone is not kept for its tracer."""
    made = ApiPipeline()
    asked = []

    class Counted(TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
            asked.append(args)
            return super().get_tracer(*args, **kwargs)

    provider = Counted(shutdown_on_exit=False)
    provider.add_span_processor(made.processor)
    for _ in range(3):
        with agent_run("bot", tracer_provider=provider):
            pass
    assert (len(asked), made.run_count()) == (1, 3)
