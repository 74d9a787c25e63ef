# SPDX-License-Identifier: Apache-2.0
"""What a run's status is inferred from: exceptions handled, escaping, in flight, and cancellation from all sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from tests.pipeline import (
    AGENT,
    OPENAI_AGENTS,
    Pipeline,
    call_model,
    run_agent,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def boom() -> None:
    throw(ValueError("no"))


def throw(error: BaseException) -> None:
    raise error


def test_run_inside_an_except_block_succeeds(pipeline: Pipeline) -> None:
    """An exception that was being handled before the run began says nothing about the run."""
    tracer = pipeline.tracer()
    try:
        boom()
    except ValueError:
        run_agent(tracer)
    assert pipeline.event().outcome("status") == "success"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_run_inside_the_handler_of_an_interruption_succeeds(
    pipeline: Pipeline, scope: str, error: type[BaseException]
) -> None:
    """So too where the exception is one that would count, and for scopes that end failed runs clean."""
    tracer = pipeline.tracer(scope)
    try:
        throw(error())
    except error:
        run_agent(tracer)
    assert pipeline.event().outcome("status") == "success"


def test_handled_recorded_exception_is_no_failure(pipeline: Pipeline) -> None:
    """`record_exception` and going on is a success."""
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        try:
            boom()
        except ValueError as error:
            span.record_exception(error)
    assert pipeline.event().outcome("status") == "success"
    assert pipeline.event().attributes.get("error.type") is None


@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_recovered_failed_sub_agent_is_a_success(pipeline: Pipeline, scope: str) -> None:
    """A sub-agent fails, its error is handled and another one does the job: the run is a success."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("Agent workflow", attributes=AGENT):
        try:
            with tracer.start_as_current_span("first", attributes=AGENT):
                boom()
        except ValueError:
            pass
        run_agent(tracer, "second")
    assert pipeline.event().outcome("status") == "success"


def test_failed_last_agent_fails_a_run_that_its_scope_ends_clean(pipeline: Pipeline) -> None:
    """openai-agents ends its root clean: where the last agent failed and nothing came after it, the run failed."""
    tracer = pipeline.tracer(OPENAI_AGENTS)
    root = tracer.start_span("Agent workflow", attributes=AGENT)
    with pytest.raises(ValueError, match="no"), trace.use_span(root):  # noqa: SIM117 - the agent is inside the root
        with tracer.start_as_current_span("first", attributes=AGENT):
            boom()
    root.set_status(trace.StatusCode.OK)
    root.end()
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("evidence")) == ("failure", "nested_agent:ValueError")


def test_escaping_exception_fails_the_run(pipeline: Pipeline) -> None:
    """What `start_as_current_span` records as it leaves is what failed."""
    tracer = pipeline.tracer()
    with pytest.raises(ConnectionError), tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        raise ConnectionError
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable")) == ("failure", True)
    assert event.attributes["error.type"] == "ConnectionError"


async def cancelled(agent: Callable[[], Any]) -> None:
    task = asyncio.create_task(agent())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out_by_wait_for(agent: Callable[[], Any]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(agent(), 0.01)


async def timed_out_by_timeout(agent: Callable[[], Any]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await agent()


@pytest.mark.parametrize("how", [cancelled, timed_out_by_wait_for, timed_out_by_timeout])
def test_cancelled_from_outside(pipeline: Pipeline, how: Callable[..., Any]) -> None:
    """Task cancellation and a time limit around the run look the same from inside: cancelled, not retryable."""
    tracer = pipeline.tracer()

    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            await asyncio.Event().wait()

    asyncio.run(how(agent))
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("source")) == ("cancelled", "inferred")
    assert event.outcome("evidence") == "exception:asyncio.exceptions.CancelledError"
    assert (event.outcome("retryable"), event.severity) == (False, "INFO")


def test_time_limit_inside_the_run(pipeline: Pipeline) -> None:
    """`asyncio.timeout` inside the span raises TimeoutError through it: a timeout, retryable."""
    tracer = pipeline.tracer()

    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(agent())
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable")) == ("timeout", True)


@pytest.mark.parametrize(
    ("error", "status", "category"),
    [
        (KeyboardInterrupt, "cancelled", "terminated"),
        (SystemExit(2), "cancelled", "terminated"),
        (SystemExit(0), "success", None),
        (SystemExit, "success", None),
        (GeneratorExit, "success", None),
    ],
)
def test_interruptions(
    pipeline: Pipeline, error: type[BaseException] | BaseException, status: str, category: str | None
) -> None:
    """The process being stopped cancels the run; a program that ends well, or a generator closed, says nothing."""
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        raise error
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("error.category")) == (status, category)


def test_closed_generator_is_a_success(pipeline: Pipeline) -> None:
    """A streaming agent whose reader has had enough is closed while it yields: not a failure."""

    def stream() -> Iterator[int]:
        with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
            yield 1
            yield 2

    chunks = stream()
    assert next(chunks) == 1
    chunks.close()  # type: ignore[attr-defined]
    assert pipeline.event().outcome("status") == "success"


@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_stop_async_iteration_in_flight_says_nothing(pipeline: Pipeline, scope: str) -> None:
    """The end of a stream is in flight when many a streaming wrapper ends its span: a success."""
    span = pipeline.tracer(scope).start_span("invoke_agent a", attributes=AGENT)
    try:
        throw(StopAsyncIteration())
    except StopAsyncIteration:
        span.end()
    assert pipeline.event().outcome("status") == "success"


def test_ordinary_exception_in_flight_on_a_clean_span_says_nothing(pipeline: Pipeline) -> None:
    """A span ended without an error inside a handler was ended by someone who had handled it."""
    span = pipeline.tracer().start_span("invoke_agent a", attributes=AGENT)
    try:
        boom()
    except ValueError:
        span.end()
    assert pipeline.event().outcome("status") == "success"


def test_human_in_the_loop_pause_is_no_outcome(pipeline: Pipeline) -> None:
    """A run that waits for a person has not ended: no run is counted, nothing emitted; what it used is."""
    graph_interrupt = type("GraphInterrupt", (Exception,), {"__module__": "langgraph.errors"})
    tracer = pipeline.tracer()

    def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            call_model(tracer)
            throw(graph_interrupt())

    with pytest.raises(graph_interrupt):
        agent()
    assert usage(pipeline) == (0, 10, 5, 0.01)
    assert pipeline.events() == []


STEPS = {"well": {"openinference.span.kind": "LLM"}, "tool": {"openinference.span.kind": "TOOL"}}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["well", "tool", "call fails", "agent fails", "agent", "step"]), max_size=8))
def test_only_what_failed_last_is_the_runs_failure(steps: list[str]) -> None:
    """Whatever failed before, one call, tool or agent that ended well after it shows that the run went on."""
    pipeline = Pipeline()
    tracer = pipeline.tracer(OPENAI_AGENTS)
    with tracer.start_as_current_span("outer", attributes={"openinference.span.kind": "AGENT"}):
        for step in steps:
            kind = "AGENT" if step.startswith("agent") else "CHAIN" if step == "step" else "LLM"
            attributes = STEPS.get(step, {"openinference.span.kind": kind})
            with tracer.start_as_current_span(step, attributes=attributes) as span:
                if step.endswith("fails"):
                    span.set_status(trace.StatusCode.ERROR, "503")
    told = [step for step in steps if step != "step"]
    expected = "failure" if told and told[-1].endswith("fails") else "success"
    assert pipeline.event().outcome("status") == expected
