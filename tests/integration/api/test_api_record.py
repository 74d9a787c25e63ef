# SPDX-License-Identifier: Apache-2.0
"""`record_outcome`, `set_outcome` and `record_run` against a real SDK pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from agent_outcomes import Outcome, agent_run, record_outcome, record_run, set_outcome
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, isolate, of
from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, TOOL

# record_outcome


def test_record_outcome_inside_a_block(pipeline: ApiPipeline) -> None:
    """From anywhere below an `agent_run`, through functions and spans, the outcome is the run's."""
    with (
        agent_run("bot", tracer_provider=pipeline.provider),
        pipeline.app.start_as_current_span("execute_tool t", attributes=TOOL),
    ):
        assert record_outcome(type="deflected", value=12) is True
    event = pipeline.event()
    assert of(event, "type", "value", "evidence") == ("deflected", 12.0, "span_end")
    assert pipeline.stated()["type"] == "deflected"


def test_record_outcome_takes_a_whole_outcome(pipeline: ApiPipeline) -> None:
    """A whole outcome may be recorded, and a later one replaces it."""
    with agent_run("bot", tracer_provider=pipeline.provider):
        record_outcome(Outcome.failure(ConnectionError()))
        record_outcome(Outcome.success(), label="second try")
    event = pipeline.event()
    assert of(event, "status", "error.category") == ("success", None)
    assert event.outcome("label") == "second try"


def test_record_outcome_inside_plain_agent_spans(pipeline: ApiPipeline) -> None:
    """With an agent that plain OpenTelemetry code opened, the outcome lands on the outermost agent span."""
    with (
        pipeline.app.start_as_current_span("POST /chat", kind=SpanKind.SERVER),
        pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT),
        pipeline.app.start_as_current_span("invoke_agent inner", attributes=AGENT),
        pipeline.app.start_as_current_span("execute_tool t", attributes=TOOL),
    ):
        assert record_outcome(type="converted", value="49.90", currency="EUR") is True
    assert pipeline.stated()["value"] == 49.9
    assert pipeline.stated("invoke_agent inner") == {}
    event = pipeline.event()
    assert (event.outcome("type"), event.outcome("currency"), pipeline.run_count()) == ("converted", "EUR", 1)


def test_record_outcome_in_nested_blocks_goes_to_the_outermost(pipeline: ApiPipeline) -> None:
    """Inside a nested `agent_run`, `record_outcome` speaks of the run; `run.set_outcome` of the nested agent."""
    with (
        agent_run("bot", tracer_provider=pipeline.provider),
        agent_run("inner", tracer_provider=pipeline.provider) as inner,
    ):
        inner.set_outcome(label="nested")
        assert record_outcome(label="whole") is True
    assert pipeline.event().outcome("label") == "whole"
    assert pipeline.stated("invoke_agent inner")["label"] == "nested"


@pytest.mark.parametrize("depth", [3, 4 * sys.getrecursionlimit()])
def test_record_outcome_however_deep(pipeline: ApiPipeline, depth: int) -> None:
    """Agents that call one another take no stack of ours: the outermost one is found at any depth."""
    with contextlib.ExitStack() as blocks:
        runs = [blocks.enter_context(agent_run("bot", tracer_provider=pipeline.provider)) for _ in range(depth)]
        assert record_outcome(label="deep")
        runs[-1].set_outcome(label="own")
    assert pipeline.event().outcome("label") == "deep"
    assert pipeline.run_count() == 1


def test_record_outcome_in_a_block_below_a_plain_agent_goes_to_that(pipeline: ApiPipeline) -> None:
    """A block below an agent that plain OpenTelemetry code opened is a handoff: the outcome is the outer agent's."""
    with (
        pipeline.app.start_as_current_span("invoke_agent bot", attributes=AGENT),
        agent_run("inner", tracer_provider=pipeline.provider),
    ):
        assert record_outcome(label="whole") is True
    assert (pipeline.event().outcome("label"), pipeline.run_count()) == ("whole", 1)


def test_record_outcome_below_a_span_marked_late(pipeline: ApiPipeline) -> None:
    """Below an instrumentation that says only at the end what its spans are, the outcome still becomes the run's."""
    chain = pipeline.provider.get_tracer(OPENINFERENCE_LANGCHAIN)
    with (
        chain.start_as_current_span("LangGraph-like") as root,
        chain.start_as_current_span("node") as node,
    ):
        assert record_outcome(label="resolved") is True
        node.set_attribute("openinference.span.kind", "TOOL")
        root.set_attribute("openinference.span.kind", "AGENT")
    event = pipeline.event()
    assert (event.outcome("label"), pipeline.run_count(), event.problems) == ("resolved", 1, [])
    assert event.span_id == root.get_span_context().span_id


def test_record_outcome_in_a_thread_with_the_context_carried_over(pipeline: ApiPipeline) -> None:
    """Where OpenTelemetry's context is carried into a thread, the run is: a status stated there stands."""
    with agent_run("bot", tracer_provider=pipeline.provider), ThreadPoolExecutor(1) as pool:
        carried = context_api.get_current()

        def work() -> bool:
            token = context_api.attach(carried)
            try:
                return record_outcome(status="failure", label="from_thread")
            finally:
                context_api.detach(token)

        assert pool.submit(work).result() is True
        copied = contextvars.copy_context()
        assert pool.submit(lambda: copied.run(record_outcome, message="m")).result() is True
    event = pipeline.event()
    assert of(event, "status", "label", "message") == ("failure", "from_thread", "m")


def test_record_outcome_without_a_run(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """No run above: `False`, one warning however often, and every loss counted as `no_current_run`."""
    with pipeline.app.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        assert [record_outcome(label="lost") for _ in range(3)] == [False, False, False]
    assert (pipeline.events(), pipeline.run_count(), pipeline.problem_count("no_current_run")) == ([], 0, 3)
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage() == (
        "an agent outcome was not taken (no_current_run): An outcome was recorded where no run was open."
    )


def test_record_outcome_after_the_run_has_ended(pipeline: ApiPipeline) -> None:
    """Work that outlives its run finds none."""

    async def main() -> bool:
        async with agent_run("bot", tracer_provider=pipeline.provider):
            task = asyncio.create_task(late())
        return await task

    async def late() -> bool:
        await asyncio.sleep(0)
        return record_outcome(label="late")

    assert asyncio.run(main()) is False
    assert pipeline.problem_count("no_current_run") == 1


def test_record_outcome_without_a_processor(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing installed: `False`, and one warning that names the fix."""
    isolate()
    assert [record_outcome(label="lost") for _ in range(3)] == [False, False, False]
    (warning,) = caplog.records
    assert "install()" in warning.getMessage()


# set_outcome


def test_set_outcome_on_a_span_held(pipeline: ApiPipeline) -> None:
    """On a span of one's own the canonical attributes are written, source and evidence with a stated status."""
    span = pipeline.app.start_span("invoke_agent bot", attributes=AGENT)
    set_outcome(span, Outcome.failure(ConnectionError(PRIVATE_TEXT)), label="no_route", value="1.50")
    span.end()
    assert pipeline.stated() == {
        "status": "failure",
        "source": "explicit",
        "evidence": "exception:ConnectionError",
        "retryable": True,
        "error.category": "network",
        "label": "no_route",
        "value": 1.5,
    }
    event = pipeline.event()
    assert of(event, "status", "retryable", "label") == ("failure", True, "no_route")
    assert (event.outcome("evidence"), event.problems) == ("exception:ConnectionError", [])
    assert pipeline.leaks() == []


def test_set_outcome_on_an_ended_span(pipeline: ApiPipeline, caplog: pytest.LogCaptureFixture) -> None:
    """On a span that has ended it changes nothing and one warning says so."""
    span = pipeline.app.start_span("invoke_agent bot", attributes=AGENT)
    span.end()
    for _ in range(3):
        set_outcome(span, label="late")
    assert pipeline.event().outcome("label") is None
    (warning,) = caplog.records
    assert "ended or was not sampled" in warning.getMessage()


# record_run


def test_record_run_in_one_call(pipeline: ApiPipeline) -> None:
    """One call gives a run with its duration, cost and outcome, under the id that it returns."""
    outcome_id = record_run(
        agent="bot",
        success=True,
        label="resolved",
        cost="0.0042",
        duration_s=3.1,
        job_type="cron",
        tracer_provider=pipeline.provider,
    )
    event = pipeline.event()
    assert of(event, "id", "status", "success") == (outcome_id, "success", True)
    assert of(event, "label", "job_type") == ("resolved", "cron")
    assert of(event, "cost", "cost_source", "cost_complete") == (0.0042, "explicit", True)
    assert event.attributes["agent.run.duration"] == 3.1
    assert pipeline.total("agent.run.cost", {"gen_ai.agent.name": "bot"}) == 0.0042
    assert pipeline.run_count() == 1


def test_record_run_with_an_outcome_and_an_error(pipeline: ApiPipeline) -> None:
    """A whole outcome, or the exception that ended the run, says how it executed."""
    record_run("whole", Outcome.partial(label="half"), tracer_provider=pipeline.provider)
    record_run("failed", error=ConnectionError(PRIVATE_TEXT), tracer_provider=pipeline.provider)
    assert of(pipeline.event_of("whole"), "status", "label") == ("partial", "half")
    failed = pipeline.event_of("failed")
    assert of(failed, "status", "error.category", "retryable") == ("failure", "network", True)
    assert pipeline.leaks() == []


@pytest.mark.parametrize("duration_s", [-1, float("nan"), float("inf"), 1e300, "soon", None])
def test_record_run_survives_any_duration(pipeline: ApiPipeline, duration_s: Any) -> None:
    """A duration that is none does not cost the outcome: the run counts, with no time taken."""
    assert record_run("bot", label="x", duration_s=duration_s, tracer_provider=pipeline.provider) is not None
    assert (pipeline.event().attributes["agent.run.duration"], pipeline.event().outcome("label")) == (0.0, "x")


def test_record_run_inside_a_run_is_a_run_of_its_own(pipeline: ApiPipeline) -> None:
    """Inside a run, of the helper's or of plain spans, it starts a trace of its own, linked to where it was called."""
    with agent_run("bot", tracer_provider=pipeline.provider) as run:
        inside = record_run("a", label="x", tracer_provider=pipeline.provider)
    with pipeline.app.start_as_current_span("invoke_agent plain", attributes=AGENT) as plain:
        below_plain = record_run("b", label="y", tracer_provider=pipeline.provider)
    assert pipeline.run_count() == 4
    for name, outcome_id, outer in (("a", inside, run.span), ("b", below_plain, plain)):
        span = pipeline.span(f"invoke_agent {name}")
        assert span.parent is None
        assert [link.context.span_id for link in span.links] == [outer.get_span_context().span_id]
        assert pipeline.event_of(name).outcome("id") == outcome_id
        assert pipeline.event_of(name).trace_id != outer.get_span_context().trace_id
    assert pipeline.event_of("bot").outcome("label") is None


def test_record_run_below_a_server_span_stays_in_its_trace(pipeline: ApiPipeline) -> None:
    """Below spans that are no agent it is a child like any other."""
    with pipeline.app.start_as_current_span("POST /cron", kind=SpanKind.SERVER) as server:
        record_run("bot", success=True, tracer_provider=pipeline.provider)
    parent = pipeline.span("invoke_agent bot").parent
    assert parent is not None
    assert (parent.span_id, pipeline.run_count()) == (server.get_span_context().span_id, 1)


def test_record_run_after_the_run_around_it_has_ended(pipeline: ApiPipeline) -> None:
    """Background work that outlives its run, in a span still open, can record a run of its own."""
    with agent_run("bot", tracer_provider=pipeline.provider):
        background = context_api.attach(trace.set_span_in_context(pipeline.app.start_span("background")))
        carried = context_api.get_current()
        context_api.detach(background)
    token = context_api.attach(carried)
    try:
        record_run("late", success=True, tracer_provider=pipeline.provider)
    finally:
        context_api.detach(token)
    assert pipeline.run_count() == 2
