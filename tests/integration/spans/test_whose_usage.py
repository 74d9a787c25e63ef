# SPDX-License-Identifier: Apache-2.0
"""Tokens and cost of random runs are those of the ledger, or the cost is called incomplete and a problem is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import INVALID_SPAN, StatusCode, use_span

from tests.pipeline import AGENT, MODEL, call_model, run_agent, usage, use
from tests.usage_trees import Forest, difference

if TYPE_CHECKING:
    from tests.pipeline import Pipeline

TREES = 400


@pytest.mark.parametrize(
    ("size", "hides"), [(4, False), (100_000, True)], ids=["figures that meet by chance", "calls that do not show"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_silent_difference(seed: int, size: int, hides: bool) -> None:  # noqa: FBT001 - a row
    """Agents, calls, tools, embeddings, duplicates and aggregates in any order; most come out exactly."""
    forest = Forest(seed, size, hides)
    exact = 0
    for number in range(TREES):
        used, event, traits = forest.grow()
        assert difference(used, event) is None, (number, sorted(traits))
        exact += event.outcome("cost_complete") is not False
    assert exact > TREES / 3


@pytest.mark.parametrize("count", [1, 2, 70])
@pytest.mark.parametrize("keys", [{}, {"gen_ai.request.model": "m"}, {"gen_ai.usage.input_tokens": 0}])
def test_a_call_that_reports_nothing_is_listed(bare: Pipeline, keys: dict[str, Any], count: int) -> None:
    """It went well, so that it has used something; a total above it would tell what."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        call_model(bare.tracer())
        for _ in range(count):
            bare.tracer().start_span("chat", attributes={**MODEL, **keys}).end()
    assert usage(bare) == (1, 10, 5, 0.01)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == (["usage_missing"], False)


def test_a_total_above_tells_what_a_call_has_used(bare: Pipeline) -> None:
    """And what it has cost."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as span:
        bare.tracer().start_span("chat", attributes=MODEL).end()
        use(span, 100, 50, "0.5")
    assert usage(bare) == (1, 100, 50, 0.5)
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], True)


def test_a_call_that_failed_may_have_used_nothing(bare: Pipeline) -> None:
    """Most did not come to an answer."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        bare.tracer().start_span("chat", attributes=MODEL).end()
        call_model(bare.tracer())
    bare.memory.clear()
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        call = bare.tracer().start_span("chat", attributes=MODEL)
        call.set_status(StatusCode.ERROR)
        call.end()
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], False)


@pytest.mark.parametrize(
    "tokens",
    [
        {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.total_tokens": 90},
        {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.reasoning_tokens": 40},
    ],
)
@pytest.mark.parametrize("role", [AGENT, MODEL])
def test_a_cost_beside_figures_that_disagree_is_not_called_complete(
    bare: Pipeline, role: dict[str, Any], tokens: dict[str, int]
) -> None:
    """Whoever has worked it out may have seen the smaller of them."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT) as agent:
        span = agent if role is AGENT else bare.tracer().start_span("chat", attributes=MODEL)
        span.set_attributes({**tokens, "gen_ai.usage.cost": 0.5})
        if span is not agent:
            span.end()
    assert "usage_mismatch" in bare.event().problems
    assert bare.event().outcome("cost_complete") is False


@pytest.mark.parametrize("has_total", [False, True])
@pytest.mark.parametrize("is_below", [False, True], ids=["uppermost", "below a plain span"])
def test_usage_of_a_span_that_turns_agent_when_its_run_has_been_counted(
    bare: Pipeline, *, has_total: bool, is_below: bool
) -> None:
    """Nothing said that it would, so that the agent below it was a run: what it has used itself is listed."""
    above = bare.tracer().start_span("request")
    with use_span(above if is_below else INVALID_SPAN), bare.tracer().start_as_current_span("handle") as span:
        if not has_total:
            call_model(bare.tracer())
        run_agent(bare.tracer(), "inner")
        span.set_attributes(AGENT)
        if has_total:
            use(span, 1000, 500, "3")
    above.end()
    assert usage(bare)[:3] == (1, 20, 10)
    assert bare.problem_count("late_usage") == 1
