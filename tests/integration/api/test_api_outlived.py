# SPDX-License-Identifier: Apache-2.0
"""Runs in a context that an earlier run has left behind: a worker that was started within that one and goes on."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind

from agent_outcomes import agent_run, record_outcome, record_run
from tests.integration.api_pipeline import ApiPipeline
from tests.pipeline import MODEL, usage, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Jobs = Callable[[Callable[[], None], int], None]


def in_a_task(job: Callable[[], None], count: int) -> None:
    """The first run starts the worker, on the event loop that all of them share."""

    async def work(jobs: asyncio.Queue[None]) -> None:
        for _ in range(count):
            await jobs.get()
            job()

    async def main() -> None:
        jobs: asyncio.Queue[None] = asyncio.Queue()
        with agent_run("first", tracer_provider=trace.get_tracer_provider()):
            worker = asyncio.create_task(work(jobs))
        for _ in range(count):
            jobs.put_nowait(None)
        await worker

    asyncio.run(main())


def in_a_thread(job: Callable[[], None], count: int) -> None:
    """As an instrumentation of threads starts one: in the context of whoever started it."""
    jobs: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def work() -> None:
        while jobs.get():
            job()

    with agent_run("first", tracer_provider=trace.get_tracer_provider()):
        worker = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        worker.start()
    for _ in range(count):
        jobs.put(item=True)
    jobs.put(item=False)
    worker.join()


def in_a_generator(job: Callable[[], None], count: int) -> None:
    """One that is still read when its consumer's run is over."""
    context = contextvars.copy_context()

    def start() -> Iterator[None]:
        with agent_run("first", tracer_provider=trace.get_tracer_provider()):
            contexts.append(contextvars.copy_context())
        for _ in range(count):
            contexts[0].run(job)
            yield

    contexts: list[contextvars.Context] = []
    for _ in context.run(start):
        pass


JOBS = {"task": in_a_task, "thread": in_a_thread, "generator": in_a_generator}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> ApiPipeline:
    made = ApiPipeline()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.provider)
    return made


def names(pipeline: ApiPipeline) -> list[str]:
    return sorted(event.attributes["gen_ai.agent.name"] for event in pipeline.events())


def late(pipeline: ApiPipeline) -> float:
    return pipeline.problem_count("late_agent") + pipeline.problem_count("late_usage")


@pytest.mark.parametrize("jobs", JOBS.values(), ids=JOBS)
@pytest.mark.parametrize("count", [1, 3])
def test_each_run_of_a_worker_that_outlives_its_first_run_counts(pipeline: ApiPipeline, jobs: Jobs, count: int) -> None:
    """With all that it used and states, in a trace of its own that is linked to where the worker came from."""

    def job() -> None:
        with agent_run("later", label="done", tracer_provider=pipeline.provider) as run:
            assert record_outcome(value="1.50")
            with pipeline.app.start_as_current_span("chat m", attributes=MODEL) as call:
                use(call, 7, 7, "0.25")
            assert run.outer is None

    jobs(job, count)
    assert names(pipeline) == ["first", *["later"] * count]
    first, *later = sorted(pipeline.events(), key=lambda event: event.attributes["gen_ai.agent.name"])
    assert [(event.outcome("label"), event.outcome("value"), event.problems) for event in later] == [
        ("done", 1.5, [])
    ] * count
    assert usage(pipeline) == (1 + count, 7 * count, 7 * count, 0.25 * count)
    assert len({event.trace_id for event in pipeline.events()}) == 1 + count
    roots = [span for span in pipeline.ended() if span.name == "invoke_agent later"]
    assert [span.parent for span in roots] == [None] * count
    assert {link.context.span_id for span in roots for link in span.links} == {first.span_id}
    assert late(pipeline) == 0


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF, ParentBased(ALWAYS_ON), ParentBased(ALWAYS_OFF)])
def test_whatever_the_sampler_says(monkeypatch: pytest.MonkeyPatch, sampler: Any) -> None:
    """Dropped spans' runs count as those that are kept."""
    pipeline = ApiPipeline(sampler=sampler)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: pipeline.provider)

    def job() -> None:
        with agent_run("later", tracer_provider=pipeline.provider):
            pass

    in_a_thread(job, 3)
    assert names(pipeline) == ["first", "later", "later", "later"]


def test_decorated_functions_and_nested_runs(pipeline: ApiPipeline) -> None:
    """A decorated function is a run as a block is; what it calls is nested in it, as anywhere."""

    @agent_run("inner", tracer_provider=pipeline.provider)
    def inner() -> None:
        pass

    @agent_run("later", tracer_provider=pipeline.provider)
    async def later() -> None:
        inner()

    in_a_thread(lambda: asyncio.run(later()), 2)
    assert names(pipeline) == ["first", "later", "later"]
    assert late(pipeline) == 0


def left_behind(pipeline: ApiPipeline, agent: str = "first") -> contextvars.Context:
    """The context within a run that is over."""
    with agent_run(agent, tracer_provider=pipeline.provider):
        return contextvars.copy_context()


def run(pipeline: ApiPipeline, agent: str, within: AbstractContextManager[Any] | None = None) -> None:
    if within is None:
        with agent_run(agent, tracer_provider=pipeline.provider):
            return
    with within, agent_run(agent, tracer_provider=pipeline.provider):
        pass


def test_an_agent_that_is_still_open_further_up_is_its_run(pipeline: ApiPipeline) -> None:
    """A nested agent has ended; the run that it was part of goes on, and has what comes below."""
    with agent_run("outer", tracer_provider=pipeline.provider):
        context = left_behind(pipeline, "nested")
        context.run(run, pipeline, "third")
        assert context.run(record_outcome, label="said below")
    assert names(pipeline) == ["outer"]
    assert pipeline.event().outcome("label") == "said below"
    assert pipeline.span("invoke_agent third").parent is not None


def test_when_that_one_has_ended_too_it_is_a_run(pipeline: ApiPipeline) -> None:
    """Nothing of the two is open any more."""
    with agent_run("outer", tracer_provider=pipeline.provider):
        context = left_behind(pipeline, "nested")
    context.run(run, pipeline, "third")
    assert names(pipeline) == ["outer", "third"]


def test_a_trace_that_the_worker_has_from_elsewhere_is_kept(pipeline: ApiPipeline) -> None:
    """A consumer's span continues the trace of the message; the run is below it, and not apart."""
    context = left_behind(pipeline)
    remote = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))
    within = pipeline.app.start_as_current_span(
        "receive", trace.set_span_in_context(trace.NonRecordingSpan(remote)), kind=SpanKind.CONSUMER
    )
    context.run(run, pipeline, "later", within)
    assert names(pipeline) == ["first", "later"]
    assert pipeline.event_of("later").trace_id == 0xABC
    parent = pipeline.span("invoke_agent later").parent
    assert parent == pipeline.span("receive").context


def test_baggage_goes_on(pipeline: ApiPipeline) -> None:
    """What the worker has in its context beside the run stays there."""
    seen: list[object] = []

    def job() -> None:
        context_api.attach(baggage.set_baggage("tenant", "a"))
        with agent_run("later", tracer_provider=pipeline.provider):
            seen.append(baggage.get_baggage("tenant"))

    left_behind(pipeline).run(job)
    assert seen == ["a"]
    assert names(pipeline) == ["first", "later"]


def test_record_run_is_below_the_trace_that_the_worker_has_from_elsewhere(pipeline: ApiPipeline) -> None:
    """As a block would be."""
    context = left_behind(pipeline)

    def job() -> None:
        with pipeline.app.start_as_current_span("receive", context_api.Context(), kind=SpanKind.CONSUMER):
            record_run("later", tracer_provider=pipeline.provider)

    context.run(job)
    assert names(pipeline) == ["first", "later"]
    assert pipeline.span("invoke_agent later").parent == pipeline.span("receive").context
