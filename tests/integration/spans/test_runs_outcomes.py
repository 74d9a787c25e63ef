# SPDX-License-Identifier: Apache-2.0
"""`agent.outcome.*` set on spans around the run, inside it and on several at once."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from tests.pipeline import (
    AGENT,
    TOOL,
    Pipeline,
    call_model,
    run_agent,
    usage,
    use,
)


def test_outcome_set_on_the_server_span_at_its_start(pipeline: Pipeline) -> None:
    """A server span that carries an outcome from the start is the run; the agent below it is a handoff."""
    tracer = pipeline.tracer()
    attributes = {"agent.outcome.job_type": "ticket"}
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER, attributes=attributes) as server:
        run_agent(tracer, "support")
        server.set_attribute("agent.outcome.label", "resolved")
    event = pipeline.event()
    assert event.span_id == server.get_span_context().span_id
    assert (event.outcome("label"), event.outcome("job_type")) == ("resolved", "ticket")
    assert event.attributes["gen_ai.agent.name"] == "support"
    assert usage(pipeline) == (1, 20, 10, 0.02)


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
def test_outcome_set_on_an_outer_span_at_its_end(pipeline: Pipeline, kind: SpanKind) -> None:
    """The one run below has been counted; the outer span's business result becomes its revision 1."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle", kind=kind) as outer:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
            call_model(tracer)
        outer.set_attribute("agent.outcome.type", "converted")
        outer.set_attribute("agent.outcome.value", 49.9)
        outer.set_attribute("agent.outcome.status", "failure")
    first, second = pipeline.events()
    context = agent.get_span_context()
    assert (first.outcome("state"), first.outcome("revision")) == ("pending", 0)
    assert (second.outcome("state"), second.outcome("revision")) == ("reported", 1)
    assert (second.trace_id, second.span_id) == (context.trace_id, context.span_id)
    assert second.outcome("id") == first.outcome("id")
    assert second.outcome("supersedes") == first.attributes["log.record.uid"]
    assert (second.outcome("evidence"), second.outcome("status")) == ("ancestor", "success")
    assert second.problems == ["status_conflict:agent.outcome.status"]
    assert (second.outcome("type"), second.outcome("value")) == ("converted", 49.9)
    assert pipeline.run_count() == 1
    assert pipeline.total("agent.outcomes") == 1
    assert pipeline.total("agent.outcome.value") == 49.9
    assert pipeline.total("agent.outcome.reversals") == 0
    assert pipeline.total("agent.run.duration") == 1


def test_outer_span_repeats_what_the_run_reported(pipeline: Pipeline) -> None:
    """The same business result on both is one outcome, no revision and no problem."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, label="resolved")
        outer.set_attribute("agent.outcome.label", "resolved")
    assert pipeline.event().outcome("label") == "resolved"
    assert pipeline.total("agent_outcomes.processor.problems") == 0


def test_outer_span_contradicts_what_the_run_reported(pipeline: Pipeline) -> None:
    """A run that has reported stands; the different result on the outer span is counted as ambiguous."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, label="resolved")
        outer.set_attribute("agent.outcome.label", "escalated")
    assert pipeline.event().outcome("label") == "resolved"
    assert pipeline.problem_count("ambiguous_outcome") == 1
    assert pipeline.total("agent.outcomes") == 1


def test_outer_span_above_two_runs_is_ambiguous(pipeline: Pipeline) -> None:
    """With two runs below, an outer span's outcome is given to neither, and counted as a problem."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, "one")
        run_agent(tracer, "two")
        outer.set_attributes({"agent.outcome.success": True})
    assert [event.outcome("state") for event in pipeline.events()] == ["pending", "pending"]
    assert pipeline.problem_count("ambiguous_outcome") == 1
    assert pipeline.total("agent.outcomes") == 0
    assert usage(pipeline) == (2, 40, 20, 0.04)


def test_outer_span_marked_as_an_agent_late_never_becomes_a_run(pipeline: Pipeline) -> None:
    """A run below has settled already, so that the late mark above it counts nothing twice."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer)
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        use(outer, 20, 10, "0.02")
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_outcome_on_an_outer_span_two_levels_up(pipeline: Pipeline) -> None:
    """Plain spans between the run and the span that states its outcome do not matter."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST", kind=SpanKind.SERVER) as server:
        with tracer.start_as_current_span("handler"), tracer.start_as_current_span("inner handler"):
            run_agent(tracer)
        server.set_attributes({"agent.outcome.success": False})
    assert [event.outcome("success") for event in pipeline.events()] == [None, False]


def test_agent_that_outlives_a_late_stating_outer_span_is_a_run(pipeline: Pipeline) -> None:
    """The outer span stated an outcome for the run before it; another run that goes on in the background counts."""
    tracer = pipeline.tracer()
    server = tracer.start_span("POST", kind=SpanKind.SERVER)
    with trace.use_span(server):
        run_agent(tracer, "one")
        background = tracer.start_span("invoke_agent two", attributes=AGENT)
    server.set_attribute("agent.outcome.label", "resolved")
    server.end()
    background.end()
    assert pipeline.run_count() == 2


def test_agents_below_an_outer_span_that_turns_agent_like_late_are_runs(pipeline: Pipeline) -> None:
    """An outer span that turns agent-like above a settled run is none itself; what follows below it is no handoff."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, "one")
        outer.set_attribute("gen_ai.conversation.id", "c")
        run_agent(tracer, "two")
        outer.set_attribute("agent.outcome.label", "resolved")
    assert usage(pipeline) == (2, 40, 20, 0.04)
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_agents_after_the_outer_span_has_been_given_an_outcome_are_runs(pipeline: Pipeline) -> None:
    """A loop that runs an agent and sets the outcome on the span around the loop: each turn is a run of its own."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("loop") as outer:
        for turn in range(3):
            with tracer.start_as_current_span("turn"):
                run_agent(tracer)
            outer.set_attribute("agent.outcome.label", f"turn {turn}")
            assert pipeline.run_count() == turn + 1
    assert usage(pipeline) == (3, 60, 30, 0.06)
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_outcome_set_on_a_tool_span_is_the_runs(pipeline: Pipeline) -> None:
    """`get_current_span()` inside a tool is the tool's span; what is set there is the run's, not a second run's."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        call_model(tracer)
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            trace.get_current_span().set_attribute("agent.outcome.type", "deflected")
            trace.get_current_span().set_attribute("agent.outcome.value", "12.50")
    event = pipeline.event()
    assert event.span_id == agent.get_span_context().span_id
    assert (event.outcome("type"), event.outcome("value"), event.outcome("evidence")) == (
        "deflected",
        12.5,
        "descendant",
    )
    assert event.attributes["agent.run.tool_calls"] == 1
    assert event.problems == []
    assert usage(pipeline) == (1, 10, 5, 0.01)


def test_the_runs_own_statement_wins_over_a_tools(pipeline: Pipeline) -> None:
    """Fields fold up only where the run states none itself."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        with tracer.start_as_current_span("execute_tool t") as tool:
            tool.set_attribute("agent.outcome.label", "from the tool")
            tool.set_attribute("agent.outcome.type", "deflected")
        agent.set_attribute("agent.outcome.label", "from the run")
    event = pipeline.event()
    assert (event.outcome("label"), event.outcome("type")) == ("from the run", "deflected")


def test_contradicting_tool_spans(pipeline: Pipeline) -> None:
    """The last tool that ended wins, and the contradiction is listed."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        for label in ("first", "second"):
            with tracer.start_as_current_span("execute_tool t") as tool:
                tool.set_attribute("agent.outcome.label", label)
    assert pipeline.event().outcome("label") == "second"
    assert pipeline.event().problems == ["contradicting_outcome"]
    assert pipeline.run_count() == 1


def test_a_nested_agents_outcome_stays_its_own(pipeline: Pipeline) -> None:
    """A real agent below the run keeps what it states."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        run_agent(tracer, "inner", label="inner label", status="failure")
    event = pipeline.event()
    assert (event.outcome("label"), event.outcome("status"), event.outcome("state")) == (None, "success", "pending")
