# SPDX-License-Identifier: Apache-2.0
"""The option `handoffs`: agents called within a run, and across processes, as events that are counted nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.propagate import extract, inject
from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

from agent_outcomes.record.handoffs import HANDOFFS_MAX
from tests.pipeline import AGENT, TOOL, Pipeline, call_model

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span

    from tests.pipeline import SeenEvent

HANDOFF = "agent.handoff"


def agent_span(pipeline: Pipeline, name: str, kind: SpanKind = SpanKind.INTERNAL) -> AbstractContextManager[Span]:
    return pipeline.tracer().start_as_current_span(
        f"invoke_agent {name}", kind=kind, attributes={**AGENT, "gen_ai.agent.name": name}
    )


def split(pipeline: Pipeline) -> tuple[list[SeenEvent], list[SeenEvent]]:
    """The handoffs and the outcomes."""
    events = pipeline.events()
    handoffs = [event for event in events if event.name == HANDOFF]
    return handoffs, [event for event in events if event.name == "agent.outcome"]


def names(handoffs: list[SeenEvent]) -> set[tuple[object, object]]:
    return {
        (event.attributes.get("agent.handoff.from"), event.attributes.get("gen_ai.agent.name")) for event in handoffs
    }


def hex_id(span: Span) -> str:
    context = span.get_span_context()
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def test_off_by_default() -> None:
    """Nobody who did not ask for it gets another event."""
    pipeline = Pipeline()
    with agent_span(pipeline, "boss"), agent_span(pipeline, "worker"):
        pass
    assert [event.name for event in pipeline.events()] == ["agent.outcome"]


def test_a_nested_agent_is_a_handoff_and_no_run(handoff_pipeline: Pipeline) -> None:
    """The event stands in the nested span, names both agents and the run, says how it went and carries no amounts."""
    tool = handoff_pipeline.tracer().start_as_current_span("execute_tool ask", attributes=TOOL)
    with agent_span(handoff_pipeline, "boss") as boss, tool, agent_span(handoff_pipeline, "worker") as worker:
        call_model(handoff_pipeline.tracer())
        worker.set_attribute("agent.outcome.label", "found")
        worker.set_attribute("agent.outcome.value", 3)
        worker.set_status(Status(StatusCode.ERROR))
        worker.set_attribute("error.type", "openai.RateLimitError")
    (handoff,), (outcome,) = split(handoff_pipeline)
    context = worker.get_span_context()
    assert (handoff.trace_id, handoff.span_id) == (context.trace_id, context.span_id)
    assert handoff.severity == "WARN"
    duration = handoff.attributes.pop("agent.handoff.duration")
    assert handoff.attributes == {
        "agent.handoff.id": hex_id(worker),
        "agent.outcome.id": hex_id(boss),
        "agent.handoff.from": "boss",
        "gen_ai.agent.name": "worker",
        "agent.handoff.remote": False,
        "agent.outcome.status": "failure",
        "agent.outcome.source": "inferred",
        "agent.outcome.evidence": "exception:openai.RateLimitError",
        "agent.outcome.retryable": True,
        "agent.outcome.error.category": "rate_limit",
        "error.type": "openai.RateLimitError",
        "agent.outcome.label": "found",
    }
    assert handoff.body == f"boss -> worker: failure, took {duration:.3f} s, openai.RateLimitError"
    assert outcome.attributes["agent.outcome.status"] == "success"
    assert handoff_pipeline.run_count() == 1
    assert handoff_pipeline.total("agent.outcomes") == 0
    assert handoff_pipeline.total("agent_outcomes.processor.events") == 1


def test_each_handoff_names_the_agent_right_above(handoff_pipeline: Pipeline) -> None:
    """A chain of agents and siblings, whatever lies between them."""
    with agent_span(handoff_pipeline, "boss"):
        step = handoff_pipeline.tracer().start_as_current_span("step")
        with agent_span(handoff_pipeline, "lead"), step, agent_span(handoff_pipeline, "worker"):
            pass
        with agent_span(handoff_pipeline, "critic"):
            pass
    handoffs, _ = split(handoff_pipeline)
    assert names(handoffs) == {("lead", "worker"), ("boss", "lead"), ("boss", "critic")}
    assert len({event.attributes["agent.outcome.id"] for event in handoffs}) == 1


def test_two_spans_of_one_agent_are_no_handoff(handoff_pipeline: Pipeline) -> None:
    """Frameworks put `invoke_workflow X` over `invoke_agent X`; what X calls is still called by X."""
    workflow = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.agent.name": "X"}
    outer = handoff_pipeline.tracer().start_as_current_span("invoke_workflow X", attributes=workflow)
    with outer, agent_span(handoff_pipeline, "X"), agent_span(handoff_pipeline, "Y"):
        pass
    handoffs, _ = split(handoff_pipeline)
    assert names(handoffs) == {("X", "Y")}


def test_outcome_attributes_inside_a_tool_are_no_handoff(handoff_pipeline: Pipeline) -> None:
    """A span that is agent-like by its outcome attributes alone states the run's outcome and hands nothing over."""
    with (
        agent_span(handoff_pipeline, "boss"),
        handoff_pipeline.tracer().start_as_current_span("execute_tool t", attributes=TOOL) as tool,
    ):
        tool.set_attribute("agent.outcome.label", "done")
    handoffs, (outcome,) = split(handoff_pipeline)
    assert handoffs == []
    assert outcome.attributes["agent.outcome.label"] == "done"


def test_a_remote_agent_is_a_handoff_here_and_a_run_there() -> None:
    """Over a propagated context the caller's handoff and the callee's outcome name the same span."""
    here, there = Pipeline(handoffs=True), Pipeline(handoffs=True)
    carrier: dict[str, str] = {}
    with agent_span(here, "boss"), agent_span(here, "remote-worker", SpanKind.CLIENT):
        inject(carrier)
    server = there.tracer().start_span("POST /run", extract(carrier), SpanKind.SERVER)
    with use_span(server, end_on_exit=True), agent_span(there, "remote-worker"):
        call_model(there.tracer())
    (handoff,), _ = split(here)
    no_handoffs, (outcome,) = split(there)
    assert no_handoffs == []
    assert handoff.attributes["agent.handoff.remote"] is True
    assert outcome.attributes["agent.handoff.caller_id"] == handoff.attributes["agent.handoff.id"]
    assert (here.run_count(), there.run_count()) == (1, 1)


def test_a_run_without_a_remote_parent_has_no_caller(handoff_pipeline: Pipeline) -> None:
    """Nor has one whose parent is a span of the same process."""
    with handoff_pipeline.tracer().start_as_current_span("job"), agent_span(handoff_pipeline, "boss"):
        pass
    assert "agent.handoff.caller_id" not in handoff_pipeline.event().attributes


def test_handoffs_are_bounded(handoff_pipeline: Pipeline) -> None:
    """Of very many, 100 are told and the others counted as dropped; the run itself is not affected."""
    with agent_span(handoff_pipeline, "boss"):
        for number in range(HANDOFFS_MAX + 20):
            with agent_span(handoff_pipeline, f"worker {number}"):
                pass
    handoffs, outcomes = split(handoff_pipeline)
    assert (len(handoffs), len(outcomes)) == (100, 1)
    assert handoff_pipeline.total("agent_outcomes.processor.dropped", {"error.type": "limit"}) == 20


def test_runs_that_are_no_handoffs_tell_none(handoff_pipeline: Pipeline) -> None:
    """Two runs beside each other below a server span are two runs."""
    with handoff_pipeline.tracer().start_as_current_span("GET /", kind=SpanKind.SERVER):
        for name in ("one", "two"):
            with agent_span(handoff_pipeline, name):
                pass
    handoffs, outcomes = split(handoff_pipeline)
    assert (len(handoffs), len(outcomes)) == (0, 2)
