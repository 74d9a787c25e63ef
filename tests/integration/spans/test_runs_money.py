# SPDX-License-Identifier: Apache-2.0
"""Amounts stated on several spans of one run: each in the currency of whoever gave it, none lost in silence."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import SpanKind

from agent_outcomes import agent_run
from tests.pipeline import AGENT, TOOL, Pipeline, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VALUE, CURRENCY = "agent.outcome.value", "agent.outcome.currency"
COST, COST_CURRENCY = "agent.outcome.cost", "agent.outcome.cost_currency"
PAIRS = ((VALUE, CURRENCY), (COST, COST_CURRENCY))
COUNTERS = {VALUE: (VALUE, CURRENCY), COST: ("agent.run.cost", COST_CURRENCY)}

Stated = dict[str, Any]


def _given(stated: dict[str, Any]) -> Stated:
    return {key: value for key, value in stated.items() if value is not None}


AMOUNT = st.sampled_from([None, 5, 5.0, "5.00", "10", 7.5])
CODE = st.sampled_from([None, "EUR", "eur", "USD", "JPY"])
STATED = st.fixed_dictionaries({VALUE: AMOUNT, CURRENCY: CODE, COST: AMOUNT, COST_CURRENCY: CODE}).map(_given)


def posted(pipeline: Pipeline, key: str) -> dict[str, Decimal]:
    """What a stated amount's counter holds, by currency."""
    counter, label = COUNTERS[key]
    found: dict[str, Decimal] = {}
    for labels, number in numbers(pipeline.collect(), counter):
        code = str(dict(labels)[label])
        found[code] = found.get(code, Decimal(0)) + Decimal(repr(number))
    return found


def pair_of(stated: Mapping[str, Any], key: str, currency_key: str) -> tuple[Decimal | None, str] | None:
    """The statement of one amount that a span makes, `None` if it makes none."""
    if key not in stated and currency_key not in stated:
        return None
    amount = Decimal(str(stated[key])) if key in stated else None
    return amount, str(stated.get(currency_key, "USD")).upper()


def differ(one: tuple[Decimal | None, str], other: tuple[Decimal | None, str]) -> bool:
    return one[1] != other[1] or (one[0] is not None and other[0] is not None and one[0] != other[0])


def run_with(pipeline: Pipeline, own: Stated, tools: Sequence[Stated]) -> None:
    """A run that states this, with tools that state those, one after the other."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        for stated in tools:
            with tracer.start_as_current_span("execute_tool t", attributes=TOOL) as tool:
                tool.set_attributes(stated)
        span.set_attributes(own)


@settings(deadline=None, max_examples=150)
@given(STATED, st.lists(STATED, max_size=3))
def test_whoever_gives_the_amount_gives_the_currency(own: Stated, tools: list[Stated]) -> None:
    """The run's own amount stands, else that of the last tool, each in its own currency; a difference is listed."""
    pipeline = Pipeline()
    run_with(pipeline, own, tools)
    event = pipeline.event()
    is_different = False
    for key, currency_key in PAIRS:
        pairs = [pair for stated in (own, *reversed(tools)) if (pair := pair_of(stated, key, currency_key))]
        amounts = [(amount, code) for amount, code in pairs if amount is not None]
        expected = {amounts[0][1]: amounts[0][0]} if amounts else {}
        assert posted(pipeline, key) == expected
        if amounts:
            assert (Decimal(str(event.attributes[key])), event.attributes[currency_key]) == amounts[0]
        else:
            assert key not in event.attributes
        is_different = is_different or any(differ(one, other) for one, other in combinations(pairs, 2))
    assert event.problems == (["contradicting_outcome"] if is_different else [])


@pytest.mark.parametrize(("key", "currency_key"), PAIRS)
def test_value_of_the_run_is_not_in_a_tools_currency(key: str, currency_key: str) -> None:
    """5 on the run is 5 US dollars, whatever a tool said of euros."""
    pipeline = Pipeline()
    run_with(pipeline, {key: 5.0}, [{key: 10.0, currency_key: "EUR"}])
    assert posted(pipeline, key) == {"USD": Decimal("5.0")}
    assert pipeline.event().problems == ["contradicting_outcome"]


@pytest.mark.parametrize(("key", "currency_key"), PAIRS)
def test_tool_that_lost_its_currency_states_no_amount(key: str, currency_key: str) -> None:
    """A tool whose span lost attributes to the limit may have named any currency: its amount is refused and listed."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attributes=2))
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        tool = tracer.start_span("step")
        for name, value in ((currency_key, "JPY"), (key, 900), ("agent.outcome.label", "sold")):
            tool.set_attribute(name, value)
        tool.end()
    assert posted(pipeline, key) == {}
    assert f"invalid_currency:{key}" in pipeline.event().problems
    assert pipeline.event().outcome("label") == "sold"


def test_metadata_of_many_keys_takes_no_currency_away() -> None:
    """Of more keys than are kept between spans it is the metadata that goes, never one half of an amount."""
    pipeline = Pipeline()
    metadata = [{f"agent.outcome.metadata.{number}_{key}": key for key in range(60)} for number in range(3)]
    run_with(
        pipeline, {}, [*({"agent.outcome.success": True, **keys} for keys in metadata), {VALUE: 5, CURRENCY: "EUR"}]
    )
    assert posted(pipeline, VALUE) == {"EUR": Decimal(5)}


@settings(deadline=None, max_examples=100)
@given(STATED, STATED, st.booleans())
def test_amounts_of_a_nested_agent_are_listed(nested: Stated, own: Stated, handoffs: bool) -> None:  # noqa: FBT001
    """A nested agent's outcome is its own: its amounts are in no counter of the run, and each is named."""
    pipeline = Pipeline(handoffs=handoffs)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT) as span:
        with tracer.start_as_current_span("invoke_agent inner", attributes=AGENT) as inner:
            inner.set_attributes(nested)
        span.set_attributes(own)
    event = pipeline.events()[0]
    lost = [key for key, _ in PAIRS if key in nested]
    assert event.problems == [f"nested_amount:{key}" for key in lost]
    assert pipeline.problem_count("nested_amount") == len(lost)
    for key, currency_key in PAIRS:
        pair = pair_of(own, key, currency_key)
        assert posted(pipeline, key) == ({pair[1]: pair[0]} if pair and pair[0] is not None else {})
    if COST in nested and COST not in own:
        assert event.outcome("cost_complete") is False


def test_amounts_of_nested_agents_by_the_api() -> None:
    """With `agent_run` as well, at any depth."""
    pipeline = Pipeline()
    provider = pipeline.spans
    with agent_run("planner", tracer_provider=provider), agent_run("worker", tracer_provider=provider) as worker:
        with agent_run("helper", tracer_provider=provider) as helper:
            helper.set_outcome(cost=7)
        worker.set_outcome(type="converted", value=100, currency="EUR")
    assert sorted(pipeline.event().problems) == [
        "nested_amount:agent.outcome.cost",
        "nested_amount:agent.outcome.value",
    ]


def test_amount_of_an_agent_that_outlives_its_run() -> None:
    """Nothing is open any more to list it: it is counted."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        inner = tracer.start_span("invoke_agent inner", attributes=AGENT)
    inner.set_attributes({VALUE: 5, COST: 1})
    inner.end()
    assert pipeline.problem_count("nested_amount") == 2
    assert posted(pipeline, VALUE) == {}


@settings(deadline=None, max_examples=150)
@given(STATED, st.booleans(), STATED, STATED)
def test_outer_span_states_amounts(own: Stated, reports: bool, tool: Stated, outer: Stated) -> None:  # noqa: FBT001
    """An outer span's value is the pending run's, in its own currency; its cost comes too late, and is named."""
    pipeline = Pipeline()
    if reports:
        own = {**own, "agent.outcome.label": "sold"}
    with pipeline.tracer().start_as_current_span("handle", kind=SpanKind.SERVER) as span:
        run_with(pipeline, own, [tool])
        before = posted(pipeline, VALUE)
        is_pending = pipeline.events()[0].outcome("state") == "pending"
        cost = posted(pipeline, COST)
        span.set_attributes(outer)
    pair = pair_of(outer, VALUE, CURRENCY)
    revised = is_pending and pair is not None and pair[0] is not None
    assert posted(pipeline, VALUE) == ({pair[1]: pair[0]} if revised and pair else before)
    assert posted(pipeline, COST) == cost
    stated = pair_of(outer, COST, COST_CURRENCY)
    is_late = stated is not None and stated[0] is not None and cost != {stated[1]: stated[0]}
    assert pipeline.problem_count("late_cost") == is_late
    assert pipeline.error_count() == 0


@pytest.mark.parametrize("outcome", [{"agent.outcome.label": "escalated"}, {"gen_ai.operation.name": "invoke_agent"}])
def test_cost_metered_on_an_outer_span_comes_too_late(outcome: Stated) -> None:
    """The minutes of a person, metered on the server's span after its run has been counted, are in no counter."""
    pipeline = Pipeline()
    with pipeline.tracer().start_as_current_span("handle", kind=SpanKind.SERVER) as span:
        run_with(pipeline, {}, [])
        span.set_attributes({"agent.cost.amount": 3, "agent.cost.kind": "human", **outcome})
    assert posted(pipeline, COST) == {}
    assert pipeline.problem_count("late_cost") == 1


@pytest.mark.parametrize("value", [{}, {VALUE: 1}])
def test_cost_stated_at_the_end_of_a_stale_run_comes_too_late(value: Stated) -> None:
    """The run has been counted with the cost that was known; another one is named, the same one is not."""
    for late, expected in ((3, 0), (4, 1)):
        pipeline = Pipeline(stale_after_s=3600.0)
        span = pipeline.tracer().start_span("invoke_agent a", attributes={**AGENT, COST: 3})
        pipeline.processor._tracker.settle_stale(0.0)
        pipeline.processor._emit()
        span.set_attributes({COST: late, **value})
        span.end()
        assert posted(pipeline, COST) == {"USD": Decimal(3)}
        assert pipeline.problem_count("late_cost") == expected
