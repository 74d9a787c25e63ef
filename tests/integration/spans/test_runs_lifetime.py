# SPDX-License-Identifier: Apache-2.0
"""Spans that end late, never, twice or elsewhere: bounded state, and every run counted once."""

from __future__ import annotations

import threading

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.spans.placement import WAITING_MAX
from agent_outcomes.spans.tracker import OPEN_SPANS_MAX
from tests.pipeline import (
    AGENT,
    MODEL,
    OPENINFERENCE_LANGCHAIN,
    TOOL,
    Pipeline,
    call_model,
    child_of,
    run_agent,
    usage,
    use,
)


def test_child_that_ends_after_the_run(pipeline: Pipeline) -> None:
    """A child still open when the run ends marks its cost incomplete; its late usage belongs to no run."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        agent = tracer.start_span("invoke_agent a", attributes=AGENT)
        with trace.use_span(agent):
            call_model(tracer)
        late = tracer.start_span("chat late", context=child_of(agent), attributes=MODEL)
        agent.end()
        use(late, 1000, 1000, "9.99")
        late.end()
    assert usage(pipeline) == (1, 10, 5, 0.01)
    assert pipeline.event().outcome("cost_complete") is False
    assert pipeline.open_count() == 0


def test_run_that_ends_before_the_spans_around_its_leaves(pipeline: Pipeline) -> None:
    """What spans that are still open have gathered belongs to the run that ends above them, once."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        agent = tracer.start_span("invoke_agent a", attributes=AGENT)
        inner = tracer.start_span("invoke_agent inner", context=child_of(agent), attributes=AGENT)
        step = tracer.start_span("step", context=child_of(inner))
        with trace.use_span(step):
            call_model(tracer)
            with tracer.start_as_current_span("execute_tool t", attributes=TOOL) as tool:
                tool.set_attribute("agent.outcome.label", "resolved")
        with trace.use_span(inner):
            call_model(tracer)
        agent.end()
        step.end()
        inner.end()
        assert usage(pipeline) == (1, 20, 10, 0.02)
        run_agent(tracer, "b")
    assert usage(pipeline) == (2, 40, 20, 0.04)
    first, second = pipeline.events()
    assert (first.outcome("label"), first.outcome("cost_complete")) == ("resolved", False)
    assert first.attributes["agent.run.tool_calls"] == 1
    assert (second.outcome("label"), second.outcome("cost_complete")) == (None, True)


def test_run_of_its_own_below_a_run_that_ends_before_it() -> None:
    """What a run by the user's word has gathered stays with it, whatever ends above it."""
    pipeline = Pipeline(is_run=lambda span: span.name == "job" or None)
    tracer = pipeline.tracer()
    agent = tracer.start_span("invoke_agent a", attributes=AGENT)
    job = tracer.start_span("job", context=child_of(agent))
    step = tracer.start_span("step", context=child_of(job))
    with trace.use_span(step):
        call_model(tracer)
    with trace.use_span(job):
        call_model(tracer)
    agent.end()
    step.end()
    job.end()
    ended_first, ended_last = pipeline.events()
    assert ended_first.attributes.get("agent.run.model_calls") is None
    assert ended_last.attributes["agent.run.model_calls"] == 2
    assert pipeline.error_count() == 0


def test_closed_children_leave_the_cost_complete(pipeline: Pipeline) -> None:
    """With every child ended before the run, and every call priced, the cost is complete."""
    run_agent(pipeline.tracer())
    assert pipeline.event().outcome("cost_complete") is True


def test_agent_that_ends_after_the_run_above_it(pipeline: Pipeline) -> None:
    """A nested agent which outlives the run is still no run of its own."""
    tracer = pipeline.tracer()
    outer = tracer.start_span("invoke_agent outer", attributes=AGENT)
    inner = tracer.start_span("invoke_agent inner", context=child_of(outer), attributes=AGENT)
    tool = tracer.start_span("execute_tool", context=child_of(inner), attributes=TOOL)
    outer.end()
    inner.end()
    tool.set_attribute("agent.outcome.label", "too late")
    tool.end()
    assert pipeline.run_count() == 1
    assert pipeline.event().outcome("label") is None
    assert pipeline.problem_count("no_current_run") == 1
    assert pipeline.open_count() == 0


def test_rolling_chain_of_overlapping_spans_stays_short(pipeline: Pipeline) -> None:
    """A worker whose every span starts the next before it ends keeps neither the spans nor a growing path to them."""
    tracer = pipeline.tracer()
    span = tracer.start_span("step 0")
    for index in range(20_000):
        following = tracer.start_span(f"step {index}", context=child_of(span))
        span.end()
        span = following
    node = pipeline.processor._tracker.board.open[span.get_span_context().span_id]
    length = 0
    while node.parent is not None:
        node, length = node.parent, length + 1
    assert length <= 2
    with trace.use_span(span, end_on_exit=True):
        run_agent(tracer)
    assert pipeline.run_count() == 1


def test_spans_that_never_end_are_bounded_and_counted(pipeline: Pipeline) -> None:
    """Past the limit the oldest open span is forgotten; runs go on being counted."""
    tracer = pipeline.tracer()
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX + 500)]
    assert pipeline.open_count() == OPEN_SPANS_MAX
    assert pipeline.total("agent_outcomes.processor.spans_evicted") == 500
    run_agent(tracer)
    assert usage(pipeline) == (1, 20, 10, 0.02)
    for span in leaked:
        span.end()
    assert pipeline.open_count() == 0
    assert pipeline.run_count() == 1


def test_eviction_settles_what_waited_for_the_evicted_span(pipeline: Pipeline) -> None:
    """An agent that waits for an outer span which is never ended is a run when that span is forgotten."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    outer = tracer.start_span("chain that leaks")
    with trace.use_span(outer):
        run_agent(tracer, "waits", label="resolved")
    assert pipeline.run_count() == 0
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX)]
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.event().outcome("label") == "resolved"
    assert len(leaked) == OPEN_SPANS_MAX


def test_evicted_agent_is_still_one_run(pipeline: Pipeline) -> None:
    """Forgetting an open agent makes neither its handoffs runs nor itself uncounted; its cost is incomplete."""
    tracer = pipeline.tracer()
    agent = tracer.start_span("invoke_agent long", attributes=AGENT)
    early = tracer.start_span("invoke_agent helper", context=child_of(agent), attributes=AGENT)
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX - 1)]
    early.end()
    assert pipeline.run_count() == 0
    agent.end()
    assert pipeline.run_count() == 1
    assert pipeline.event().problems == ["start_not_seen"]
    assert pipeline.event().outcome("cost_complete") is False
    assert len(leaked) == OPEN_SPANS_MAX - 1


def test_only_so_many_runs_wait(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit a run does not wait for the outer span: all are counted, memory stays bounded."""
    # However long it takes, so that their number alone lets them go.
    monkeypatch.setattr("agent_outcomes.spans.stale.HOLD_MAX_S", 600.0)
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("endless stream"):
        for _ in range(WAITING_MAX + 50):
            with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
                pass
        assert pipeline.run_count() == 50
    assert pipeline.run_count() == WAITING_MAX + 50


@pytest.mark.parametrize("late", ["gen_ai.operation.name", "agent.outcome.label"])
def test_agents_that_wait_beside_one_that_could_not(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """One agent too many to wait has been counted, so the outer span is no run, and those that waited for it are."""
    monkeypatch.setattr("agent_outcomes.spans.placement.WAITING_MAX", 2)
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("chain") as chain:
        for expected in (0, 0, 1):
            run_agent(tracer)
            assert pipeline.run_count() == expected
        chain.set_attribute(late, "invoke_agent")
    assert usage(pipeline) == (3, 60, 30, 0.06)
    assert [event.outcome("state") for event in pipeline.events()] == ["pending"] * 3
    assert pipeline.problem_count("ambiguous_outcome") == (late == "agent.outcome.label")


def test_shutdown_settles_what_waits(pipeline: Pipeline) -> None:
    """A run that waits for an outer span is counted when the provider is shut down."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    outer = tracer.start_span("chain")
    with trace.use_span(outer):
        run_agent(tracer, label="resolved")
    assert pipeline.run_count() == 0
    pipeline.spans.shutdown()
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.event().outcome("label") == "resolved"


def test_run_whose_start_was_not_seen() -> None:
    """A processor added in the middle of a run counts it once, says so, and calls its cost incomplete."""
    pipeline = Pipeline()
    late = Pipeline()
    tracer = pipeline.tracer()
    pipeline.processor._disabled = True
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer)
        pipeline.spans.add_span_processor(late.processor)
        call_model(tracer)
    event = late.event()
    assert event.problems == ["start_not_seen"]
    assert event.outcome("cost_complete") is False
    assert late.run_count() == 1


def test_processor_added_later_sees_whole_runs_afterwards() -> None:
    """After one run with its start not seen, the next is whole."""
    pipeline = Pipeline()
    pipeline.processor._disabled = True
    late = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        pipeline.spans.add_span_processor(late.processor)
    run_agent(tracer)
    assert [event.problems for event in late.events()] == [["start_not_seen"], []]


def test_runs_end_on_other_threads_than_they_began(pipeline: Pipeline) -> None:
    """Start and end on different threads are one run."""
    tracer = pipeline.tracer()
    agent = tracer.start_span("invoke_agent a", attributes=AGENT)
    with trace.use_span(agent):
        call_model(tracer)
    thread = threading.Thread(target=agent.end)
    thread.start()
    thread.join()
    assert usage(pipeline) == (1, 10, 5, 0.01)


def test_the_same_processor_added_twice_counts_once(pipeline: Pipeline) -> None:
    """Every callback comes twice; runs, handoffs and usage count once."""
    pipeline.spans.add_span_processor(pipeline.processor)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        call_model(tracer)
        run_agent(tracer, "inner")
    assert usage(pipeline) == (1, 30, 15, 0.03)
    assert len(pipeline.events()) == 1
    assert pipeline.event().problems == []
    assert pipeline.open_count() == 0


def test_the_same_processor_on_two_providers(pipeline: Pipeline) -> None:
    """One processor may serve two tracer providers."""
    other = Pipeline()
    other.spans.add_span_processor(pipeline.processor)
    other.processor._disabled = True
    run_agent(pipeline.tracer())
    run_agent(other.tracer())
    assert usage(pipeline) == (2, 40, 20, 0.04)
    assert isinstance(pipeline.processor, AgentOutcomeSpanProcessor)


def test_what_steps_leave_with_a_long_open_run_is_added_up() -> None:
    """A run that goes on for days keeps the sum of its ended steps and nested agents, not each of them."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        for _ in range(200):
            with tracer.start_as_current_span("step"):
                call_model(tracer)
            with tracer.start_as_current_span("invoke_agent b", attributes=AGENT):
                call_model(tracer)
        inbox = pipeline.processor._tracker.board.open[span.get_span_context().span_id].inbox
        assert inbox is not None
        assert len(inbox.items) < 100
    assert pipeline.total("agent.run.tokens") == 400 * 15
