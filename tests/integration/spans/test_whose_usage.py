# SPDX-License-Identifier: Apache-2.0
"""Tokens and cost of random runs are those of the ledger, or the cost is called incomplete and a problem is listed."""

from __future__ import annotations

import contextlib
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
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


LOGFIRE = "logfire.openai"
REQUEST: dict[str, Any] = {**MODEL, "gen_ai.request.model": "atlas-2"}
REPLY: dict[str, Any] = {
    **REQUEST,
    "logfire.span_type": "log",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
}


@pytest.mark.parametrize(("left", "problems"), [(0, []), (1, ["usage_missing"])])
@pytest.mark.parametrize("streams", [1, 3])
def test_a_streamed_reply_tells_what_its_call_has_used(
    bare: Pipeline, streams: int, left: int, problems: list[str]
) -> None:
    """Logfire ends the span of a call when the stream begins; a stream that its user leaves has no record."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        for _ in range(streams + left):
            bare.tracer(LOGFIRE).start_span("Chat Completion", attributes=REQUEST).end()
        for _ in range(streams):
            name = "streaming response from {request_data[model]!r} took {duration:.2f}s"
            bare.tracer(LOGFIRE).start_span(name, attributes={**REPLY, "operation.cost": 0.25}).end()
    assert usage(bare) == (1, 10 * streams, 5 * streams, 0.25 * streams)
    assert bare.event().attributes["agent.run.model_calls"] == streams + left
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == (problems, not left)


def seen_twice(bare: Pipeline, *, is_below: bool, fails_outside: bool, fails_inside: bool) -> None:
    """A call without usage in the spans of two instrumentations."""
    call = {**MODEL, "gen_ai.request.model": "atlas-2"}
    outer = bare.tracer("vendor.framework").start_span("chat", attributes=call)
    with use_span(outer if is_below else trace.get_current_span()):
        inner = bare.tracer("vendor.sdk").start_span("chat", attributes=call)
    for span, fails in ((inner, fails_inside), (outer, fails_outside)):
        if fails:
            span.set_status(StatusCode.ERROR)
        span.end()


@pytest.mark.parametrize("is_below", [True, False], ids=["below", "beside"])
@pytest.mark.parametrize("fails_inside", [True, False])
def test_a_call_that_failed_in_two_spans_is_one(bare: Pipeline, is_below: bool, fails_inside: bool) -> None:  # noqa: FBT001 - rows
    """Of which the inner one may not know that it failed; nothing is called missing."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        seen_twice(bare, is_below=is_below, fails_outside=True, fails_inside=fails_inside)
    assert bare.event().attributes["agent.run.model_calls"] == 1
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == ([], False)


@pytest.mark.parametrize("is_below", [True, False], ids=["below", "beside"])
def test_usage_is_missing_beside_calls_that_failed(bare: Pipeline, is_below: bool) -> None:  # noqa: FBT001 - a row
    """What another call has failed of says nothing of one that went well."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        seen_twice(bare, is_below=is_below, fails_outside=True, fails_inside=False)
        seen_twice(bare, is_below=True, fails_outside=False, fails_inside=True)
    assert bare.event().attributes["agent.run.model_calls"] == 2
    assert (bare.event().problems, bare.event().outcome("cost_complete")) == (["usage_missing"], False)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    ("error", "problems"), [(CancelledError, []), (KeyboardInterrupt, []), (GeneratorExit, ["usage_missing"])]
)
def test_a_call_that_was_cut_off_may_have_used_nothing(
    bare: Pipeline, error: type[BaseException], problems: list[str], count: int
) -> None:
    """Its span ends as if it went well, for a cancellation is no `Exception`; who closes a generator has its answer."""
    for _ in range(count):
        bare.memory.clear()
        with contextlib.suppress(error), bare.tracer().start_as_current_span("turn", attributes=AGENT):
            call = bare.tracer().start_span("chat", attributes=MODEL)
            try:
                raise error
            finally:
                call.end()
        assert bare.event().problems == problems


def test_an_error_that_a_call_began_below_says_nothing_of_it(bare: Pipeline) -> None:
    """A call that is made while an exception is handled went well all the same."""
    with bare.tracer().start_as_current_span("turn", attributes=AGENT):
        try:
            int("no number")
        except ValueError:
            bare.tracer().start_span("chat", attributes=MODEL).end()
    assert bare.event().problems == ["usage_missing"]


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
