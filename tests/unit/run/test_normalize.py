# SPDX-License-Identifier: Apache-2.0
"""`normalize` with what lies below a run, and revisions; the spans themselves are in the case table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import PROBLEMS_MAX, Problem, SpanLimits
from agent_outcomes.outcome.model import Execution, Outcome
from agent_outcomes.outcome.statement import read_statement
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.findings import Finding
from agent_outcomes.run.model import AgentSpan, Cost, CostPart, Usage
from agent_outcomes.run.normalize import Below, normalize, revise
from agent_outcomes.run.tally import Tally
from agent_outcomes.run.usage import read_usage
from agent_outcomes.semconv import CostKind, CostSource, OutcomeType, ProblemKind, Remedy, Source, Status
from tests.hostile import HOSTILE_ATTRIBUTES, armed

SPAN = AgentSpan(
    trace_id=1,
    span_id=2,
    trace_flags=1,
    name="invoke_agent support",
    scope="app",
    internal=True,
    start_ns=1_000_000_000,
    end_ns=3_500_000_000,
    status_code="unset",
    attributes={},
)
TIMED_OUT = Finding(
    Execution(Status.TIMEOUT, "timeout", retryable=True, remedy=Remedy.RETRY), "exception:TimeoutError", "TimeoutError"
)


def span(**attributes: Any) -> AgentSpan:
    return SPAN._replace(attributes={key.replace("__", "."): value for key, value in attributes.items()})


def kinds(outcome: Outcome) -> list[ProblemKind]:
    return [problem.kind for problem in outcome.problems]


def test_run() -> None:
    """A run is who, when and how much, from the span and what lies below."""
    tally = read_usage({"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cost": 0.5}, Role.MODEL)
    run, _ = normalize(span(gen_ai__agent__id="a1", gen_ai__conversation__id="c1"), Below(tally=tally))
    assert (run.trace_id, run.span_id, run.trace_flags, run.end_ns) == (1, 2, 1, 3_500_000_000)
    assert (run.agent_name, run.agent_id, run.conversation_id, run.duration_s) == ("support", "a1", "c1", 2.5)
    assert run.usage == Usage(input_tokens=5, model_calls=1)
    assert run.cost == Cost((CostPart(CostKind.LLM, "USD", Decimal("0.5")),), CostSource.REPORTED, complete=True)


def test_finding_made_before_is_taken() -> None:
    """A status inferred when the span ended is not inferred anew."""
    _, outcome = normalize(SPAN, Below(), TIMED_OUT)
    assert (outcome.status, outcome.evidence, outcome.error_type) == (
        Status.TIMEOUT,
        "exception:TimeoutError",
        "TimeoutError",
    )


def test_nested_agents_name_a_run_without_one() -> None:
    """The name comes from the span's own attribute, else from a nested agent, else from the span's name."""
    below = Below(agent_name="inner")
    assert normalize(span(gen_ai__agent__name="own"), below)[0].agent_name == "own"
    assert normalize(SPAN, below)[0].agent_name == "inner"
    assert normalize(SPAN, Below())[0].agent_name == "support"
    assert normalize(SPAN._replace(internal=False), Below())[0].agent_name == "support"
    assert normalize(SPAN._replace(internal=False, name="POST /agent"), Below())[0].agent_name is None


def test_stated_below() -> None:
    """What was stated inside the run fills what the run left open, and is named as evidence."""
    stated = {"agent.outcome.type": "converted", "agent.outcome.label": "inner"}
    _, outcome = normalize(span(agent__outcome__label="outer"), Below(stated=stated))
    assert (outcome.type, outcome.label, outcome.evidence) == (OutcomeType.CONVERTED, "outer", "descendant")
    assert outcome.source is Source.INFERRED


def test_stated_below_a_failed_run() -> None:
    """The evidence of the status stays in front."""
    _, outcome = normalize(SPAN, Below(stated={"agent.outcome.label": "x"}), TIMED_OUT)
    assert outcome.evidence == "exception:TimeoutError,descendant"


def test_contradiction_and_missing_start_are_listed() -> None:
    """What went wrong around the span is among its problems."""
    _, outcome = normalize(SPAN, Below(stated={"agent.outcome.label": "x"}, contradicted=True))
    assert kinds(outcome) == [ProblemKind.CONTRADICTING_OUTCOME]
    run, outcome = normalize(SPAN, Below(start_seen=False))
    assert kinds(outcome) == [ProblemKind.START_NOT_SEEN]
    assert run.cost.complete is False


def test_explicit_cost_replaces_the_rolled_up_one() -> None:
    """A stated cost stands, in its currency, and is complete whatever was missing."""
    tally = read_usage({"gen_ai.usage.cost": 0.5}, Role.MODEL)
    run, _ = normalize(
        span(agent__outcome__cost="0.25", agent__outcome__cost_currency="eur"), Below(tally=tally, is_open=True)
    )
    assert run.cost == Cost((CostPart(CostKind.OTHER, "EUR", Decimal("0.25")),), CostSource.EXPLICIT, complete=True)


def test_mixed_currencies() -> None:
    """A cost in two currencies is listed, unless a stated one replaces it."""
    tally = Tally()
    tally.parts = {(CostKind.TOOL, "EUR"): Decimal(1), (CostKind.TOOL, "USD"): Decimal(1)}
    assert kinds(normalize(SPAN, Below(tally=tally))[1]) == [ProblemKind.MIXED_CURRENCIES]
    assert kinds(normalize(span(agent__outcome__cost=2), Below(tally=tally))[1]) == []


@pytest.mark.parametrize(
    ("status", "conflict"),
    [("success", True), ("partial", True), ("failure", False), ("timeout", False), ("cancelled", False)],
)
def test_status_conflict(status: str, *, conflict: bool) -> None:
    """Only a good status contradicts an escaping exception, and it stands."""
    made = span(agent__outcome__status=status)._replace(status_code="error", exception_types=("ValueError",))
    _, outcome = normalize(made, Below())
    assert outcome.status == status
    assert kinds(outcome) == ([ProblemKind.STATUS_CONFLICT] if conflict else [])


def test_stated_timeout_keeps_the_errors_class() -> None:
    """A stated status keeps its own meaning and says which error there was."""
    made = span(agent__outcome__status="timeout")._replace(status_code="error", exception_types=("KeyError",))
    _, outcome = normalize(made, Below())
    assert (outcome.status, outcome.retryable, outcome.error_category, outcome.error_type) == (
        Status.TIMEOUT,
        True,
        "timeout",
        "KeyError",
    )


def test_problems_are_listed_once_and_bounded() -> None:
    """A problem met twice is listed once, and there are so many at most."""
    attributes = {f"agent.outcome.slip{number}": 1 for number in range(100)}
    _, outcome = normalize(SPAN._replace(attributes=attributes, limits=SpanLimits(has_dropped=True)), Below())
    assert len(outcome.problems) == PROBLEMS_MAX + 1
    tally = Tally()
    tally.note([Problem(ProblemKind.INVALID_AMOUNT, "agent.outcome.value")])
    _, outcome = normalize(span(agent__outcome__value="x"), Below(tally=tally))
    assert outcome.problems == (Problem(ProblemKind.INVALID_AMOUNT, "agent.outcome.value"),)


def test_revise() -> None:
    """An outer span's business result is taken over, the status stays as counted."""
    run, counted = normalize(span(agent__outcome__message="kept"), Below(), TIMED_OUT)
    revised = revise(run, counted, read_statement({"agent.outcome.type": "escalated", "agent.outcome.value": 5}))
    assert (revised.status, revised.error_type, revised.retryable) == (Status.TIMEOUT, "TimeoutError", True)
    assert (revised.type, revised.business_success, revised.value) == (OutcomeType.ESCALATED, False, Decimal(5))
    assert (revised.evidence, revised.message, revised.problems) == ("ancestor", "kept", ())


@pytest.mark.parametrize(
    ("status", "conflict"), [("timeout", False), ("failure", True), ("success", True), ("handed_off", False)]
)
def test_revise_with_a_status(status: str, *, conflict: bool) -> None:
    """A status that differs from the counted one is a conflict; one that agrees, or is none, is not."""
    run, counted = normalize(SPAN, Below(), TIMED_OUT)
    revised = revise(run, counted, read_statement({"agent.outcome.status": status, "agent.outcome.label": "x"}))
    assert revised.status is Status.TIMEOUT
    assert (ProblemKind.STATUS_CONFLICT in kinds(revised)) is conflict


@given(HOSTILE_ATTRIBUTES, HOSTILE_ATTRIBUTES, st.none() | st.integers(0, 40), st.sampled_from(["unset", "error"]))
def test_total_and_deterministic(
    attributes: dict[str, Any], stated: dict[str, Any], limit: int | None, status_code: str
) -> None:
    """No span and nothing below it raises, and the same input always gives the same run and outcome."""
    made = SPAN._replace(attributes=armed(attributes), limits=SpanLimits(limit), status_code=status_code)
    below = Below(tally=read_usage(made.attributes, Role.MODEL, SpanLimits(limit)), stated=armed(stated))
    run, outcome = normalize(made, below)
    assert (run, outcome) == normalize(made, below)
    assert outcome.business_success is None or outcome.state == "reported"
    revised = revise(run, outcome, read_statement(made.attributes))
    assert revised.status is outcome.status


@given(HOSTILE_ATTRIBUTES)
def test_business_is_never_derived_from_status(attributes: dict[str, Any]) -> None:
    """The same statement gives the same business result, however the run ended, and the other way round."""
    made = SPAN._replace(attributes=armed(attributes))
    _, well = normalize(made, Below())
    _, badly = normalize(made, Below(), TIMED_OUT)
    assert well.same_business(badly)
    assert (badly.status is Status.TIMEOUT) is (badly.source is Source.INFERRED or well.status is Status.TIMEOUT)
