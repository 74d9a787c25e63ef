# SPDX-License-Identifier: Apache-2.0
"""Runs below a span that may yet turn out to be an agent: for how long they are held back, and what is kept of them."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, Pipeline, call_model, child_of, run_agent, usage

if TYPE_CHECKING:
    from collections.abc import Callable

MCP = "opentelemetry.instrumentation.mcp.instrumentation"
HOLD = "agent_outcomes.spans.stale.HOLD_MAX_S"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run is held back when anybody looks."""
    monkeypatch.setattr(HOLD, 0.0)
    monkeypatch.setattr("agent_outcomes.spans.stale.LOOK_INTERVAL_S", 0.0)


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        (MCP, {"traceloop.span.kind": "session"}),
        ("traceloop.tracer", {"traceloop.span.kind": "task"}),
        ("openinference.instrumentation.mcp", {"openinference.span.kind": "CHAIN"}),
        ("app", {"openinference.span.kind": "RETRIEVER"}),
        ("app", {"gen_ai.operation.name": "execute_tool"}),
        ("app", {"gen_ai.operation.name": "serve", "gen_ai.conversation.id": "c"}),
        ("langfuse-sdk", {"langfuse.observation.type": "span"}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_span_that_is_something_else(pipeline: Pipeline, scope: str, attributes: dict[str, Any], *, late: bool) -> None:
    """A session, a task, a chain: marked at its start or soon after, it holds no run back."""
    outer = pipeline.tracer(scope).start_span("outer", attributes=None if late else attributes)
    outer.set_attributes(attributes)
    with trace.use_span(outer):
        for expected in (1, 2):
            run_agent(pipeline.tracer())
            assert (pipeline.run_count(), pipeline.processor._tracker.waiting_count) == (expected, 0)
    outer.set_attribute("agent.outcome.label", "resolved")
    outer.end()
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_chain_of_an_instrumentation_that_marks_at_the_end(pipeline: Pipeline) -> None:
    """What is a CHAIN until it ends may be an agent: what is below it belongs to it."""
    tracer = pipeline.tracer("@arizeai/openinference-instrumentation-langchain")
    with tracer.start_as_current_span("supervisor", attributes={"openinference.span.kind": "CHAIN"}) as span:
        run_agent(tracer)
        assert pipeline.run_count() == 0
        span.set_attribute("openinference.span.kind", "AGENT")
    assert usage(pipeline) == (1, 20, 10, 0.02)


LOOKS: dict[str, Callable[[Pipeline], object]] = {
    "a span starts": lambda pipeline: pipeline.tracer().start_span("GET /").end(),
    "an agent ends": lambda pipeline: run_agent(pipeline.tracer()),
    "metrics are read": lambda pipeline: pipeline.collect(),
    "a flush": lambda pipeline: pipeline.spans.force_flush(),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("look", LOOKS)
def test_run_that_has_waited_for_too_long(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    """Whatever the application does next, or its meter provider, a run below a span that says nothing is counted."""
    monkeypatch.setattr(HOLD, 3600.0)
    with pipeline.tracer(MCP).start_as_current_span("mcp.client.session"):
        with pipeline.tracer().start_as_current_span("invoke_agent held", attributes=AGENT):
            call_model(pipeline.tracer())
        LOOKS[look](pipeline)
        assert pipeline.events() == []
        monkeypatch.setattr(HOLD, 0.0)
        with trace.use_span(trace.INVALID_SPAN):
            LOOKS[look](pipeline)
        held = [event for event in pipeline.events() if event.attributes["gen_ai.agent.name"] == "held"]
        assert len(held) == 1
    assert pipeline.error_count() == 0


@pytest.mark.usefixtures("impatient")
def test_outer_span_that_is_an_agent_after_all(pipeline: Pipeline) -> None:
    """It counts what it has used beside the run that was counted before it: nothing is lost, nothing counted twice."""
    tracer = pipeline.tracer(MCP)
    with tracer.start_as_current_span("outer") as outer:
        call_model(tracer)
        run_agent(tracer, "inner")
        pipeline.spans.force_flush()
        assert usage(pipeline) == (1, 20, 10, 0.02)
        call_model(tracer)
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        run_agent(tracer, "its own")
    assert usage(pipeline) == (2, 60, 30, 0.06)
    assert pipeline.open_count() == pipeline.processor._tracker.waiting_count == 0


@pytest.mark.usefixtures("impatient")
def test_outer_span_that_states_the_outcome(pipeline: Pipeline) -> None:
    """A span that only states an outcome does so for the one run below it."""
    tracer = pipeline.tracer(MCP)
    with tracer.start_as_current_span("outer") as outer:
        run_agent(tracer)
        pipeline.spans.force_flush()
        outer.set_attribute("agent.outcome.label", "resolved")
    first, second = pipeline.events()
    assert (first.outcome("label"), second.outcome("label"), second.outcome("revision")) == (None, "resolved", 1)
    assert pipeline.run_count() == 1


@pytest.mark.usefixtures("impatient")
def test_outer_span_that_has_become_an_agent(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited for it is its, however long that takes."""
    monkeypatch.setattr(HOLD, 3600.0)
    tracer = pipeline.tracer(MCP)
    with tracer.start_as_current_span("outer") as outer:
        run_agent(tracer, "inner")
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        monkeypatch.setattr(HOLD, 0.0)
        pipeline.spans.force_flush()
        assert pipeline.processor._tracker.waiting_count == pipeline.run_count() == 0
    assert usage(pipeline) == (1, 20, 10, 0.02)


@pytest.mark.usefixtures("impatient")
def test_outer_span_that_has_become_something_else(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it any more."""
    monkeypatch.setattr(HOLD, 3600.0)
    with pipeline.tracer(MCP).start_as_current_span("outer") as outer:
        run_agent(pipeline.tracer())
        assert pipeline.run_count() == 0
        outer.set_attribute("traceloop.span.kind", "session")
        assert pipeline.run_count() == 1


@pytest.mark.usefixtures("impatient")
def test_instrumentations_that_mark_at_the_end_are_waited_for(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that works for minutes is one run; even that has an end."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("supervisor") as span:
        run_agent(tracer, "worker")
        pipeline.spans.force_flush()
        assert pipeline.run_count() == 0
        span.set_attribute("openinference.span.kind", "AGENT")
    assert usage(pipeline) == (1, 20, 10, 0.02)
    monkeypatch.setattr("agent_outcomes.spans.stale.HOLD_LATE_MAX_S", 0.0)
    with tracer.start_as_current_span("a loop"):
        run_agent(tracer, "worker")
        pipeline.spans.force_flush()
        assert usage(pipeline) == (2, 40, 20, 0.04)


@pytest.mark.usefixtures("impatient")
def test_pause_that_was_held_back(pipeline: Pipeline) -> None:
    """What a run has used that waits for a human is posted no later, and keeps nothing above from being a run."""
    tracer = pipeline.tracer("pydantic-ai")
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            call_model(tracer)
            with tracer.start_as_current_span("execute_tool t") as tool:
                tool.set_attribute("pydantic_ai.tool.deferral.name", "CallDeferred")
        pipeline.spans.force_flush()
        assert usage(pipeline) == (0, 10, 5, 0.01)
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        call_model(tracer)
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_what_waits_holds_no_messages(pipeline: Pipeline) -> None:
    """Hundreds of runs that wait keep what comes of them, not the texts on their spans."""
    tracer = pipeline.tracer()
    outer = pipeline.tracer(MCP).start_span("mcp.client.session")
    tracemalloc.start()
    try:
        for number in range(600):
            attributes = {**AGENT, "gen_ai.agent.name": "support", "gen_ai.input.messages": f"{number:06d}" * 10_000}
            tracer.start_span("invoke_agent support", context=child_of(outer), attributes=attributes).end()
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert pipeline.processor._tracker.waiting_count == 600
    assert held_bytes < 5 * 2**20
    outer.end()
    assert pipeline.run_count() == 600


@pytest.mark.parametrize("ends_as", ["agent", "nothing"])
def test_what_is_kept_of_a_waiting_run_is_all_that_matters(ends_as: str) -> None:
    """Name, ids, outcome, amounts, problems and handoffs: as if it had not waited."""
    pipeline = Pipeline(handoffs=True)
    tracer = pipeline.tracer(MCP)
    stated = {"value": "12.50", "label": "resolved", "cost": "0.5", "job_type": "refund", "metadata.key": "x"}
    attributes = {**AGENT, "gen_ai.agent.name": "inner", "gen_ai.agent.id": "1", "gen_ai.conversation.id": "c"}
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("invoke_agent inner", attributes=attributes) as span:
            run_agent(tracer, "callee")
            span.set_attributes({f"agent.outcome.{key}": value for key, value in stated.items()})
        if ends_as == "agent":
            outer.set_attribute("gen_ai.operation.name", "invoke_agent")
    if ends_as == "agent":
        handed = {event.attributes["gen_ai.agent.name"]: event for event in pipeline.events()[1:]}
        assert set(handed) == {"inner", "callee"}
        assert handed["inner"].outcome("label") == "resolved"
        assert pipeline.events()[0].problems == [
            "nested_amount:agent.outcome.value",
            "nested_amount:agent.outcome.cost",
        ]
        return
    event = pipeline.events()[0]
    assert {key: event.outcome(key) for key in ("value", "label", "cost", "job_type")} == {
        "value": 12.5,
        "label": "resolved",
        "cost": 0.5,
        "job_type": "refund",
    }
    found = [event.attributes[f"gen_ai.{key}"] for key in ("agent.name", "agent.id", "conversation.id")]
    assert found == ["inner", "1", "c"]


def test_team_is_one_run(pipeline: Pipeline) -> None:
    """A root that its scope's row knows holds what runs in consumers below it, for as long as it takes."""
    root = pipeline.tracer(OPENINFERENCE_LANGCHAIN).start_span("team")
    for _ in range(2):
        consumer = pipeline.tracer("autogen runtime").start_span(
            "process", context=child_of(root), kind=SpanKind.CONSUMER
        )
        with trace.use_span(consumer, end_on_exit=True):
            run_agent(pipeline.tracer("autogen-core"))
    root.set_attribute("openinference.span.kind", "AGENT")
    root.end()
    assert usage(pipeline) == (1, 40, 20, 0.04)


def test_outcome_stated_within_a_chain(pipeline: Pipeline) -> None:
    """Where there is no agent, a chain is what an outcome can be stated on, though no agent would wait for it."""
    tracer = pipeline.tracer("openinference.instrumentation.haystack")
    with tracer.start_as_current_span("Pipeline.run", attributes={"openinference.span.kind": "CHAIN"}) as chain:
        found = pipeline.processor.find_run_span(chain.get_span_context())
        assert found is not None
        assert found.get_span_context() is chain.get_span_context()
