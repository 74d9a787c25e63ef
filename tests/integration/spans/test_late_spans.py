# SPDX-License-Identifier: Apache-2.0
"""Spans that start after the span above them has ended: part of the run that is still open, or a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from agent_outcomes.spans.ended import REMEMBERED_MAX
from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, child_of, usage, use

if TYPE_CHECKING:
    from opentelemetry.trace import Span

AGENTS = {
    "operation": AGENT,
    "workflow": {"gen_ai.operation.name": "invoke_workflow"},
    "openinference": {"openinference.span.kind": "AGENT"},
    "traceloop": {"traceloop.span.kind": "agent"},
}
STEPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chain": {"openinference.span.kind": "CHAIN"},
    "tool": TOOL,
    "model": MODEL,
}


def start(bare: Pipeline, name: str, above: Span | None, attributes: dict[str, Any] | None = None) -> Span:
    context = None if above is None else child_of(above)
    return bare.tracer().start_span(name, context, attributes=attributes)


def call(bare: Pipeline, above: Span, tokens: int = 7, cost: str = "0.25") -> None:
    span = start(bare, "chat m", above, MODEL)
    use(span, tokens, tokens, cost)
    span.end()


def late(bare: Pipeline) -> tuple[float | int, float | int]:
    return bare.problem_count("late_agent"), bare.problem_count("late_usage")


@pytest.mark.parametrize("outer", AGENTS.values(), ids=AGENTS)
@pytest.mark.parametrize("inner", AGENTS.values(), ids=AGENTS)
def test_an_agent_that_starts_below_a_counted_run_is_none_itself(
    bare: Pipeline, outer: dict[str, str], inner: dict[str, str]
) -> None:
    """A coordinator's span that ends when the work has been given out; what the workers do is a problem each."""
    coordinator = start(bare, "invoke_agent coordinator", None, outer)
    coordinator.end()
    for number in range(3):
        writer = start(bare, f"invoke_agent writer-{number}", coordinator, inner)
        if number:
            call(bare, writer)
        writer.end()
    assert [event.attributes["gen_ai.agent.name"] for event in bare.events()] == ["coordinator"]
    assert usage(bare) == (1, 0, 0, 0)
    assert late(bare) == (3, 2)


@pytest.mark.parametrize("steps", [[], ["plain"], ["chain", "plain"], ["tool", "chain", "chain"]])
def test_usage_below_a_counted_run_is_a_problem(bare: Pipeline, steps: list[str]) -> None:
    """However deep, and also where the step that it is in began before the run ended."""
    agent = start(bare, "invoke_agent a", None, AGENT)
    agent.end()
    path = [agent]
    path += [start(bare, name, path[-1], STEPS[name]) for name in steps[:1]]
    path += [start(bare, name, path[-1], STEPS[name]) for name in steps[1:]]
    call(bare, path[-1])
    for span in reversed(path[1:]):
        span.end()
    assert usage(bare) == (1, 0, 0, 0)
    assert late(bare) == (0, 1)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("repeats", [1, 5])
def test_usage_below_an_ended_step_is_the_open_agents(bare: Pipeline, step: dict[str, Any], repeats: int) -> None:
    """A generator's span that ended when the generator was returned; also where its shape has been seen before."""
    agent = start(bare, "invoke_agent a", None, AGENT)
    for _ in range(repeats):
        ended = start(bare, "step", agent, step)
        ended.end()
        call(bare, ended)
        call(bare, ended)
    agent.end()
    assert usage(bare) == (1, 14 * repeats, 14 * repeats, 0.5 * repeats)
    assert late(bare) == (0, 0)


def test_a_nested_agent_that_has_ended_leads_on_to_the_one_above(bare: Pipeline) -> None:
    """What starts below it, usage and agents, is part of the run that is open."""
    agent = start(bare, "invoke_agent a", None, AGENT)
    nested = start(bare, "invoke_agent b", agent, AGENT)
    nested.end()
    call(bare, nested)
    deeper = start(bare, "invoke_agent c", nested, AGENT)
    deeper.end()
    call(bare, deeper)
    agent.end()
    assert usage(bare) == (1, 14, 14, 0.5)
    assert (bare.event().problems, late(bare)) == ([], (0, 0))


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
def test_what_comes_late_below_an_open_span_is_told_when_that_ends(bare: Pipeline, kind: SpanKind) -> None:
    """A web server's span, or an application's own, may still be open when the run has been counted."""
    with bare.tracer().start_as_current_span("POST /chat", kind=kind):
        with bare.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
            pass
        call(bare, agent)
        start(bare, "invoke_agent b", agent, AGENT).end()
    assert usage(bare) == (1, 0, 0, 0)
    assert late(bare) == (1, 1)


def test_an_outer_span_that_turns_out_to_be_the_agent_has_all_of_it(bare: Pipeline) -> None:
    """What came too late for the inner agent has come in time for the run."""
    tracer = bare.tracer("openinference.instrumentation.langchain")
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("invoke_agent inner", attributes=AGENT) as inner:
            pass
        call(bare, inner)
        outer.set_attribute("openinference.span.kind", "AGENT")
    assert usage(bare) == (1, 7, 7, 0.25)
    assert late(bare) == (0, 0)


def test_usage_of_which_only_the_trace_is_known_leaves_the_cost_incomplete(bare: Pipeline) -> None:
    """Two plain spans above have ended that nothing was kept of: the open agent of the trace lists it."""
    agent = start(bare, "invoke_agent a", None, AGENT)
    call(bare, agent)
    outer = start(bare, "outer", agent)
    inner = start(bare, "inner", outer)
    inner.end()
    outer.end()
    call(bare, inner)
    other = start(bare, "invoke_agent other", None, AGENT)
    call(bare, other)
    for span in (agent, other):
        span.end()
    assert usage(bare) == (2, 14, 14, 0.5)
    told = [(event.problems, event.outcome("cost_complete")) for event in bare.events()]
    assert told == [(["late_usage"], False), ([], True)]


def lost_below(bare: Pipeline, above: Span) -> Span:
    """A span that has ended, below one that has ended: nothing was kept of either."""
    outer = start(bare, "outer", above)
    inner = start(bare, "inner", outer)
    inner.end()
    outer.end()
    return inner


@pytest.mark.parametrize("has_usage", [False, True])
def test_an_agent_of_which_only_the_trace_is_known_is_a_run_in_doubt(bare: Pipeline, *, has_usage: bool) -> None:
    """So is each run that it may be part of, whose cost may lack what it has used; other traces are not."""
    first = start(bare, "invoke_agent a", None, AGENT)
    second = start(bare, "invoke_agent b", lost_below(bare, first), AGENT)
    below = lost_below(bare, first)
    other = start(bare, "invoke_agent other", None, AGENT)
    nested = start(bare, "invoke_agent d", below, AGENT)
    for agent in [nested] if has_usage else []:
        call(bare, agent)
    for span in (nested, other):
        span.end()
    told = {event.attributes["gen_ai.agent.name"]: event.problems for event in bare.events()}
    assert told == {"d": ["parent_not_seen"], "other": []}
    expected = ["parent_not_seen", "late_usage"] if has_usage else ["parent_not_seen"]
    for span in (second, first):
        span.end()
        assert bare.events()[-1].problems == expected
        assert (bare.events()[-1].outcome("cost_complete") is False) is has_usage


def test_an_agent_that_starts_later_is_not_around_a_lost_one(bare: Pipeline) -> None:
    """Nor is one below the same lost span, as a sibling is; and usage there is neither's."""
    first = start(bare, "invoke_agent a", None, AGENT)
    lost = lost_below(bare, first)
    first.end()
    one, two = (start(bare, f"invoke_agent {name}", lost, AGENT) for name in "bc")
    call(bare, lost)
    two.end()
    one.end()
    assert [event.problems for event in bare.events()] == [[], [], []]


def test_usage_of_which_only_the_trace_is_known_is_late_after_the_run(bare: Pipeline) -> None:
    """It may be the run's; in a trace without a run it is nobody's."""
    for attributes, expected in (({}, 0), (AGENT, 1)):
        agent = start(bare, "invoke_agent a", None, attributes)
        outer = start(bare, "outer", agent)
        inner = start(bare, "inner", outer)
        for span in (inner, outer, agent):
            span.end()
        call(bare, inner)
        assert late(bare) == (0, expected)


def test_a_span_of_another_provider_leads_on(bare: Pipeline) -> None:
    """Two tracer providers in one trace: a span that this processor never sees is between the agent and its call."""
    elsewhere = TracerProvider(shutdown_on_exit=False)
    with bare.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        with elsewhere.get_tracer("theirs").start_as_current_span("step") as step:
            call(bare, step)
        call(bare, step)
    assert usage(bare) == (1, 14, 14, 0.5)


def test_a_run_that_was_paused_goes_on_as_one(bare: Pipeline) -> None:
    """It has no outcome by then, so what goes on below its ended span is no part of a counted run."""
    paused = start(bare, "invoke_agent a", None, AGENT)
    paused.set_attribute("error.type", "GraphInterrupt")
    paused.end()
    resumed = start(bare, "invoke_agent a", paused, AGENT)
    call(bare, resumed)
    resumed.end()
    assert usage(bare)[0] == 1
    assert late(bare) == (0, 0)


def test_only_the_latest_are_remembered(bare: Pipeline) -> None:
    """What starts below an agent that ended long ago is taken for itself, and nothing piles up."""
    first = start(bare, "invoke_agent first", None, AGENT)
    first.end()
    for _ in range(REMEMBERED_MAX):
        start(bare, "invoke_agent a", None, AGENT).end()
    start(bare, "invoke_agent second", first, AGENT).end()
    assert bare.run_count() == REMEMBERED_MAX + 2
    ended = bare.processor._tracker._ended
    assert len(ended._agents._nodes) == REMEMBERED_MAX


@dataclass
class Made:
    """A span that was made."""

    span: Span
    is_open: bool = True


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_usage_is_lost_in_silence(data: st.DataObject) -> None:
    """Any tree, each span below any that was there before, open or not: one run, and all tokens or a problem."""
    pipeline = Pipeline()
    root = Made(start(pipeline, "invoke_agent root", None, AGENT))
    made, used = [root], 0
    for _ in range(data.draw(st.integers(1, 14))):
        above = data.draw(st.sampled_from(made))
        action = data.draw(st.sampled_from(["end", "start", "start", "call", "agent"]))
        if action == "end" and above.is_open:
            above.span.end()
            above.is_open = False
        elif action == "call":
            call(pipeline, above.span)
            used += 7
        elif action in ("start", "agent"):
            attributes = AGENT if action == "agent" else data.draw(st.sampled_from(list(STEPS.values())))
            made.append(Made(start(pipeline, action, above.span, attributes)))
    for one in reversed(made):
        if one.is_open:
            one.span.end()
    runs = {event.span_id: event for event in pipeline.events()}
    run = runs[root.span.get_span_context().span_id]
    assert (len(runs), run.attributes["gen_ai.agent.name"]) == (len(pipeline.events()), "root")
    counted = usage(pipeline)[1]
    assert counted <= used
    assert counted == used or any(late(pipeline)) or (run.problems and run.outcome("cost_complete") is False)


def test_a_root_is_a_run_whatever_has_ended_before(bare: Pipeline) -> None:
    """An ended span that is still current makes what starts there its own; a trace of its own is a run."""
    agent = start(bare, "invoke_agent a", None, AGENT)
    agent.end()
    with trace.use_span(agent):
        start(bare, "invoke_agent b", None, AGENT).end()
        start(bare, "invoke_agent c", trace.INVALID_SPAN, AGENT).end()
    assert [event.attributes["gen_ai.agent.name"] for event in bare.events()] == ["a", "c"]
    assert late(bare) == (1, 0)
