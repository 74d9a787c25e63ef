# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for runs and outcomes as the ledger is given them, and shortcuts to make them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from agent_outcomes import semconv
from agent_outcomes.ledger.book.accepted import Acceptance
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import Posting, record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.revisions import StandingRun

TEXTS: Final = st.text(max_size=12) | st.sampled_from(
    ["", "\x00", "\ud800", "\udfff\ud800", "\ud83d\ude00", "\U0001f600", '{"utf8": "00"}', "a\nb\u202ec", "é" * 40]
)
TEXTS_OR_NONE: Final = st.none() | TEXTS
COUNTS: Final = (
    st.none() | st.integers(0, 2**53) | st.sampled_from([2**53 + 1, 2**63, 2**200, -(2**70), 10**5000, -(10**5000)])
)
AMOUNTS: Final = st.decimals(-(10**15), 10**15, places=12) | st.sampled_from(
    [
        Decimal(0),
        Decimal("-0"),
        Decimal("0E-12"),
        Decimal("50.00"),
        Decimal("5E+1"),
        Decimal("1E-40"),
        Decimal("9" * 200),
        Decimal("1E+999999"),
    ]
)
CURRENCY_TEXTS: Final = st.sampled_from(["USD", "EUR", "JPY"]) | TEXTS
COSTS: Final = st.builds(
    Cost,
    st.lists(st.builds(CostPart, st.sampled_from(semconv.CostKind), CURRENCY_TEXTS, AMOUNTS), max_size=4).map(tuple),
    st.none() | st.sampled_from(semconv.CostSource),
    st.none() | st.booleans(),
)
RUNS: Final = st.builds(
    Run,
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
    trace_flags=st.integers(0, 255),
    end_ns=st.integers(0, 2**64),
    agent_name=TEXTS_OR_NONE,
    agent_id=TEXTS_OR_NONE,
    conversation_id=TEXTS_OR_NONE,
    job_type=TEXTS_OR_NONE,
    run_id=TEXTS_OR_NONE,
    duration_s=st.none() | st.floats(0, allow_infinity=False) | st.integers(0, 2**40),
    usage=st.builds(Usage, *[COUNTS] * len(Usage.__slots__)),
    cost=COSTS,
    caller_id=TEXTS_OR_NONE,
)
OUTCOMES: Final = st.builds(
    Outcome,
    status=st.sampled_from(semconv.Status),
    retryable=st.none() | st.booleans(),
    remedy=st.none() | st.sampled_from(semconv.Remedy),
    error_category=TEXTS_OR_NONE | st.sampled_from(semconv.ErrorCategory),
    error_type=TEXTS_OR_NONE,
    type=st.none() | st.sampled_from(semconv.OutcomeType),
    business_success=st.none() | st.booleans(),
    label=TEXTS_OR_NONE,
    value=st.none() | AMOUNTS,
    currency=CURRENCY_TEXTS,
    message=TEXTS_OR_NONE,
    metadata=TEXTS_OR_NONE,
    source=st.sampled_from(semconv.Source),
    evidence=TEXTS,
    raw_status=TEXTS_OR_NONE,
    problems=st.lists(st.builds(Problem, st.sampled_from(semconv.ProblemKind), TEXTS), max_size=4).map(tuple),
    refused=st.lists(TEXTS, max_size=3).map(tuple),
)
"""Outcomes with anything in their texts and amounts, also what no reader would let through."""

_LABELS: Final = st.none() | st.booleans() | TEXTS
POSTINGS: Final = st.sampled_from(semconv.OUTCOME_COUNTERS).flatmap(
    lambda instrument: st.builds(
        Posting, st.just(instrument), st.tuples(*[_LABELS] * len(instrument.attributes)), COUNTS.filter(bool) | AMOUNTS
    )
)

RUN_FIELDS: Final[dict[str, Any]] = {"trace_id": 0xA1, "span_id": 0xB2, "trace_flags": 1, "end_ns": 1_000}


def a_run(**fields: Any) -> Run:
    """A run of the agent `support` with these fields."""
    return Run(**{**RUN_FIELDS, "agent_name": "support", **fields})


def a_cost(*parts: tuple[str, str, str], complete: bool = True) -> Cost:
    """A reported cost of these parts: kind, currency, amount."""
    made = tuple(CostPart(semconv.CostKind(kind), currency, Decimal(text)) for kind, currency, text in parts)
    return Cost(made, semconv.CostSource.REPORTED, complete)


def accepted(run: Run, outcome: Outcome, *, paused: bool = False) -> Acceptance:
    """The run as the ledger is given it."""
    return Acceptance(run, outcome, record(run, outcome), paused=paused)


def result_of(standing: StandingRun) -> tuple[object, ...]:
    """The business result that stands."""
    outcome = standing.outcome
    return outcome.type, outcome.business_success, outcome.label, outcome.value
