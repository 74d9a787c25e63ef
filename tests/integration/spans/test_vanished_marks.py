# SPDX-License-Identifier: Apache-2.0
"""Agents whose marks do not last: evicted by the span's limit, or written over by a library with a model call's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits

from agent_outcomes.run.conventions import KIND_ROLES, OPENINFERENCE_KIND, OPERATION, OPERATION_ROLES, Role
from tests.pipeline import AGENT, MODEL, Pipeline, call_model, child_of, usage, use

if TYPE_CHECKING:
    from opentelemetry.trace import Span

DROPPED, OVERWRITTEN = "attributes_dropped", "marks_overwritten"
NAME = "gen_ai.agent.name"
MARKS: list[dict[str, Any]] = [
    {key: word}
    for key, roles in {OPERATION: OPERATION_ROLES, **KIND_ROLES}.items()
    for word, role in roles.items()
    if role is Role.AGENT
]
# Those of Traceloop and Langfuse are set after the start, and noted when something is first left with the span.
STARTING_MARKS = [mark for mark in MARKS if mark.keys() & {OPERATION, OPENINFERENCE_KIND}]
CALLS: list[dict[str, Any]] = [
    {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini"},
    {"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "gemini-2.5-flash"},
    {"gen_ai.operation.name": "text_completion", "openinference.span.kind": "LLM", "llm.model_name": "m"},
]
# What LiteLLM's callback writes first, and all there is of a call that it was still writing when the span ended.
LITELLM: list[dict[str, Any]] = [
    {"gen_ai.cost.input_cost": 0.15, "gen_ai.cost.output_cost": 0.1, "gen_ai.cost.total_cost": 0.25},
    {"gen_ai.cost.input_cost": 0.15, "gen_ai.cost.output_cost": 0.1, "gen_ai.cost.tool_usage_cost": 0.0},
    {"litellm.cost.total": 0.25},
    {"litellm.cost.input": 0.15, "litellm.cost.output": 0.1, "litellm.call_id": "c-1"},
    {"litellm.call_id": "c-1", "gen_ai.usage.cost": 0.25},
    {"litellm.cache_hit": False, "gen_ai.usage.total_cost": 0.25},
    {"llm.request.type": "acompletion", "gen_ai.operation.name": "acompletion", "operation.cost": 0.25},
    {"llm.request.type": "aresponses", "llm.cost.total": 0.25},
    {"openinference.span.kind": "LLM", "llm.cost.total": 0.25},
    {"langfuse.observation.type": "generation", "langfuse.observation.cost_details": '{"total": 0.25}'},
]


def fill(span: Span, count: int) -> None:
    for number in range(count):
        span.set_attribute(f"gen_ai.tool.{number}.name", "t")


def overwrite(span: Span, call: dict[str, Any], input_tokens: int, output_tokens: int, cost: str | None = None) -> None:
    for key, value in call.items():
        span.set_attribute(key, value)
    use(span, input_tokens, output_tokens, cost)


@pytest.mark.parametrize("mark", MARKS, ids=str)
def test_an_agent_whose_marks_were_evicted_is_counted_by_its_name(bare: Pipeline, mark: dict[str, Any]) -> None:
    """More attributes than the limit: the oldest go, which are the marks, and the name that stood beside them."""
    attributes = {**mark, NAME: "Kalliope", "gen_ai.conversation.id": "c7", "gen_ai.agent.id": "a9"}
    with bare.tracer().start_as_current_span("turn", attributes=attributes) as span:
        call_model(bare.tracer())
        with bare.tracer().start_as_current_span("other turn", attributes=attributes):
            call_model(bare.tracer())
        fill(span, 200)
        with bare.tracer().start_as_current_span("third turn", attributes=attributes):
            call_model(bare.tracer())
    event = bare.event()
    told = [event.attributes[key] for key in (NAME, "gen_ai.conversation.id", "gen_ai.agent.id")]
    assert told == ["Kalliope", "c7", "a9"]
    assert (event.problems, event.outcome("status")) == ([DROPPED], "success")
    assert usage(bare) == (1, 30, 15, 0.03)


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("mark", STARTING_MARKS, ids=str)
def test_an_agent_onto_which_a_model_call_was_written_is_counted(
    bare: Pipeline, mark: dict[str, Any], call: dict[str, Any]
) -> None:
    """By its own name; what the last call used is taken, and that there was no other is not claimed."""
    with bare.tracer().start_as_current_span("turn", attributes={**mark, NAME: "Kalliope"}) as span:
        overwrite(span, call, 101, 31, "0.5")
        overwrite(span, call, 111, 34, "0.25")
        span.set_attribute(NAME, "gateway")
        span.update_name("chat gpt-4o-mini")
        with bare.tracer().start_as_current_span("invoke_agent nested", attributes=AGENT):
            pass
    event = bare.event()
    assert event.attributes[NAME] == "Kalliope"
    assert (event.problems, event.outcome("cost_complete")) == ([OVERWRITTEN], False)
    assert usage(bare) == (1, 111, 34, 0.25)


def test_a_call_that_is_seen_below_the_agent_is_not_taken_again(bare: Pipeline) -> None:
    """Its own span reports it, with all others, so that nothing is missing."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as span:
        call_model(bare.tracer(), 101, 31, "0.5")
        call_model(bare.tracer(), 111, 34, "0.25")
        overwrite(span, CALLS[0], 111, 34, "0.25")
    assert usage(bare) == (1, 212, 65, 0.75)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], True)


def test_a_call_that_is_none_of_those_below_leaves_the_cost_incomplete(bare: Pipeline) -> None:
    """It is larger than all that is seen there."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as span:
        call_model(bare.tracer(), 10, 3, "0.01")
        overwrite(span, CALLS[0], 111, 34, "0.25")
    assert OVERWRITTEN in bare.event().problems
    assert bare.event().outcome("cost_complete") is False


@pytest.mark.parametrize("tokens", [None, (111, 34)])
@pytest.mark.parametrize("call", LITELLM, ids=str)
@pytest.mark.parametrize("mark", STARTING_MARKS, ids=str)
def test_what_is_said_of_single_calls_alone_is_no_total_of_an_agent(
    bare: Pipeline, mark: dict[str, Any], call: dict[str, Any], tokens: tuple[int, int] | None
) -> None:
    """With an operation or without: of further calls nothing tells, so that the cost is not called complete."""
    with bare.tracer().start_as_current_span("turn", attributes={**mark, NAME: "Kalliope"}) as span:
        span.set_attributes(call)
        if tokens is not None:
            use(span, *tokens)
    event = bare.event()
    assert (event.problems, event.outcome("cost_complete")) == ([OVERWRITTEN], False)
    assert usage(bare) == (1, *(tokens or (0, 0)), 0.25)


@pytest.mark.parametrize("name", ["execute crew", "execute agent"])
def test_a_frameworks_root_without_a_mark_is_no_call_either(bare: Pipeline, name: str) -> None:
    """CrewAI calls its models by LiteLLM, below spans that it knows by their names."""
    with bare.tracer("crewai").start_as_current_span(name, attributes={**LITELLM[0], NAME: "x"}):
        pass
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([OVERWRITTEN], False)


@pytest.mark.parametrize(("costs", "is_complete"), [((0.5, 0.25), True), ((None, 0.25), False), ((None, None), False)])
def test_the_cost_of_one_call_is_not_that_of_all_below(
    bare: Pipeline, *, costs: tuple[float | None, ...], is_complete: bool
) -> None:
    """The calls' own spans have all tokens; where one of them has no cost, that of the last call is not its."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as span:
        for cost, tokens in zip(costs, ((101, 31), (111, 34)), strict=True):
            call_model(bare.tracer(), *tokens, None if cost is None else str(cost))
        span.set_attributes(LITELLM[0])
        use(span, 111, 34)
    assert usage(bare)[:3] == (1, 212, 65)
    assert bare.event().outcome("cost_complete") is is_complete
    assert bare.event().problems == ([] if is_complete else [OVERWRITTEN])


def test_the_cost_of_the_only_call_below_is_taken_from_the_agents_span(bare: Pipeline) -> None:
    """An instrumentation of the client has its tokens, the callback what they cost."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as span:
        call_model(bare.tracer("openinference.instrumentation.litellm"), 111, 34, None)
        span.set_attributes(LITELLM[0])
        use(span, 111, 34)
    assert usage(bare) == (1, 111, 34, 0.25)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], True)


@pytest.mark.parametrize("cost_key", ["gen_ai.usage.cost", "operation.cost", "gen_ai.usage.total_cost"])
@pytest.mark.parametrize("mark", STARTING_MARKS, ids=str)
def test_a_total_of_an_agent_is_believed(bare: Pipeline, mark: dict[str, Any], cost_key: str) -> None:
    """In words that are as good for a run as for a call, beside those that agents' spans have by convention."""
    total: dict[str, Any] = {cost_key: 0.25, "gen_ai.request.model": "m", "gen_ai.response.id": "last", NAME: "x"}
    with bare.tracer().start_as_current_span("turn", attributes={**mark, **total}) as span:
        use(span, 111, 34)
    assert usage(bare) == (1, 111, 34, 0.25)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], True)


def test_a_call_on_an_agent_is_priced_once() -> None:
    """As a call of its own, and not again by the agents above."""
    pipeline = Pipeline(prices=lambda call: (call.input_tokens or 0, "USD"))
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("agent_run [x]", attributes=MARKS[2]):
        for tokens in (100, 7):
            with tracer.start_as_current_span("invoke_agent x", attributes=AGENT) as span:
                overwrite(span, CALLS[1], tokens, 1)
    assert usage(pipeline) == (1, 107, 2, 107)
    assert (pipeline.event().problems, pipeline.event().outcome("cost_complete")) == ([OVERWRITTEN], False)


@pytest.mark.parametrize("overwritten", [{}, {"openinference.span.kind": "AGENT"}])
@pytest.mark.parametrize("name", ["invoke_agent x", "invoke_workflow x"])
def test_the_name_tells_of_a_mark_that_was_set_later(bare: Pipeline, name: str, overwritten: dict[str, Any]) -> None:
    """Whatever was written over it since; spans that are read from a file have no start."""
    for start in ({}, overwritten):
        with bare.tracer().start_as_current_span(name, attributes={**start, NAME: "x"}) as span:
            overwrite(span, CALLS[0], 7, 7)
    assert [event.attributes[NAME] for event in bare.events()] == ["x", "x"]


def test_an_agents_kind_tells_beside_a_model_calls_operation(bare: Pipeline) -> None:
    """Set after the start, and whatever the span is called."""
    with bare.tracer().start_as_current_span("turn") as span:
        overwrite(span, CALLS[0], 7, 7)
        span.set_attribute("openinference.span.kind", "AGENT")
    assert (usage(bare)[0], bare.event().problems) == (1, [OVERWRITTEN])


@pytest.mark.parametrize("vanish", [lambda span: fill(span, 200), lambda span: overwrite(span, CALLS[0], 1, 1)])
def test_a_mark_that_was_set_later_is_remembered_from_the_first_call_on(bare: Pipeline, vanish: Any) -> None:
    """When something is first left with the span, what it is by then is noted."""
    with bare.tracer().start_as_current_span("turn") as span:
        span.set_attributes({"traceloop.span.kind": "workflow", "traceloop.entity.name": "Kalliope"})
        call_model(bare.tracer())
        vanish(span)
    assert usage(bare) == (1, 10, 5, 0.01)
    assert bare.event().attributes[NAME] == "Kalliope"


@pytest.mark.parametrize("span_name", ["chat m", "step", "embeddings invoke_agent"])
def test_a_model_call_is_no_agent(bare: Pipeline, span_name: str) -> None:
    """Whatever else is on it."""
    for call in CALLS:
        with bare.tracer().start_as_current_span(span_name, attributes=call) as span:
            use(span, 7, 7)
            span.set_attribute(NAME, "x")
    assert bare.run_count() == 0


@pytest.mark.parametrize("role", ["agent", "call"])
def test_usage_that_may_have_been_evicted_leaves_the_cost_incomplete(bare: Pipeline, role: str) -> None:
    """Of an agent's span, or of a model call's that bears no mark any more."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as agent:
        call_model(bare.tracer())
        span = agent if role == "agent" else bare.tracer().start_span("chat", child_of(agent), attributes=MODEL)
        use(span, 100, 50, "0.5")
        fill(span, 200)
        if span is not agent:
            span.end()
    assert usage(bare) == (1, 10, 5, 0.01)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([DROPPED], False)


def test_a_plain_span_beyond_its_limit_says_nothing_of_the_cost(bare: Pipeline) -> None:
    """A request with very many attributes is no model call."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as agent:
        call_model(bare.tracer())
        request = bare.tracer().start_span("POST", child_of(agent))
        for number in range(200):
            request.set_attribute(f"http.request.header.{number}", "x")
        request.end()
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], True)


def test_an_outcome_stated_below_finds_the_agent_whose_mark_is_gone(bare: Pipeline) -> None:
    """It is the current run, whatever its attributes are by now."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as agent:
        fill(agent, 200)
        with bare.tracer().start_as_current_span("step") as step:
            found = bare.processor.find_run_span(step.get_span_context())
    assert found is not None
    assert found.context == agent.get_span_context()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_vanishes_each_agent_is_counted_once_by_its_name(data: st.DataObject) -> None:
    """Any limit, any order of attributes, calls and agents: tokens are counted, or the cost is not complete."""
    limit = data.draw(st.integers(1, 200))
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attributes=limit))
    tracer, used, last = pipeline.tracer(), 0, 0
    marks = [*data.draw(st.sampled_from(STARTING_MARKS)).items(), (NAME, "Kalliope")]
    attributes: dict[str, Any] = dict(data.draw(st.permutations([*marks, ("app.a", 1), ("app.b", 2)])))
    # A limit so low that the marks are gone before the span has started leaves its name alone to tell.
    is_named = limit < len(attributes)
    span = tracer.start_span("invoke_agent Kalliope" if is_named else "turn", attributes=attributes)
    for _ in range(data.draw(st.integers(0, 8))):
        action = data.draw(st.sampled_from(["call", "fill", "overwrite", "agent", "own call", "rename"]))
        tokens = data.draw(st.integers(1, 50))
        if action in ("call", "agent"):
            above = span
            if action == "agent":
                above = tracer.start_span("invoke_agent nested", child_of(span), attributes=AGENT)
            leaf = tracer.start_span("chat", child_of(above), attributes=MODEL)
            use(leaf, tokens, 0, "0.5")
            leaf.end()
            used += tokens
            if above is not span:
                above.end()
        elif action == "fill":
            fill(span, data.draw(st.integers(0, 220)))
        elif action == "overwrite":
            overwrite(span, data.draw(st.sampled_from(CALLS)), tokens, 0)
            used, last = used + tokens, tokens
        elif action == "rename" and not is_named:
            span.update_name("chat")
    span.end()
    event = pipeline.event()
    assert event.attributes[NAME] == "Kalliope"
    counted = event.attributes.get("agent.run.input_tokens", 0)
    assert counted <= used
    assert counted == used or event.outcome("cost_complete") is False or last <= counted
