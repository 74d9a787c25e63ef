# SPDX-License-Identifier: Apache-2.0
"""Reports as they are given: read as spans are, and refused by the names of the fields that cannot be taken."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes import semconv
from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.content import ContentError
from agent_outcomes.ledger.book.held import (
    COST_REPEAT_NS,
    encode_answer,
    encode_held,
    read_answer,
    read_held,
    repeat_key,
)
from agent_outcomes.ledger.book.reading import CostFields, ReportFields, read_cost, read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportRefused, ReportState
from agent_outcomes.ledger.book.reports import LateCost, LateReport, Reporter, RunReference
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES, stated_attributes
from agent_outcomes.outcome.statement import read_statement
from agent_outcomes.semconv import CostKind, OutcomeType, ProblemKind
from tests.hostile import JUNK, TEXTS, armed

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE: Final = "5b8efff798038103d269b633813fc60c"
ID: Final = f"{TRACE}-eee19b7ec3c1b174"
RUN: Final[dict[str, Any]] = {"run_id": "ticket-4711"}
SECRET: Final = "4711-5ecret"  # noqa: S105 - to be found where it must not be


def refused(**stated: Any) -> ReportRefused:
    with pytest.raises(ReportRefused) as error:
        read_report(**stated)
    assert error.value.code is RefusalCode.INVALID_REPORT
    assert not error.value.retryable
    return error.value


def refused_cost(**stated: Any) -> ReportRefused:
    with pytest.raises(ReportRefused) as error:
        read_cost(**stated)
    assert error.value.code is RefusalCode.INVALID_REPORT
    return error.value


@pytest.mark.parametrize(
    ("named", "reference"),
    [
        ({"outcome_id": ID}, RunReference(outcome_id=ID)),
        ({"outcome_id": f" {ID.upper()}\n"}, RunReference(outcome_id=ID)),
        ({"trace_id": TRACE}, RunReference(trace_id=TRACE)),
        ({"trace_id": int(TRACE, 16), "run": "latest"}, RunReference(trace_id=TRACE, latest=True)),
        ({"trace_id": 1}, RunReference(trace_id=f"{1:032x}")),
        ({"run_id": "ticket-4711"}, RunReference(run_id="ticket-4711")),
        ({"run_id": "ticket-4711", "run": "latest"}, RunReference(run_id="ticket-4711", latest=True)),
        ({"run_id": "a\ud800"}, RunReference(run_id="a?")),
        ({"run_id": "x" * 256, "trace_id": None}, RunReference(run_id="x" * 256)),
    ],
)
def test_run_is_named(named: dict[str, Any], reference: RunReference) -> None:
    """By one of three, in the form in which runs are kept."""
    report = read_report(**named, success=True)
    assert report.reference == reference
    assert report.reference.field == next(name for name in ("outcome_id", "trace_id", "run_id") if named.get(name))
    assert read_cost(**named, amount=1).reference == reference


@pytest.mark.parametrize(
    ("named", "fields"),
    [
        ({}, ("outcome_id", "trace_id", "run_id")),
        ({"outcome_id": ID, "run_id": "a"}, ("outcome_id", "run_id")),
        ({"outcome_id": TRACE}, ("outcome_id",)),
        ({"outcome_id": ID + "0"}, ("outcome_id",)),
        ({"outcome_id": 5}, ("outcome_id",)),
        ({"trace_id": ID}, ("trace_id",)),
        ({"trace_id": 0}, ("trace_id",)),
        ({"trace_id": True}, ("trace_id",)),
        ({"trace_id": -1}, ("trace_id",)),
        ({"trace_id": 2**128}, ("trace_id",)),
        ({"trace_id": "\u0660" * 32}, ("trace_id",)),
        ({"run_id": ""}, ("run_id",)),
        ({"run_id": "x" * 257}, ("run_id",)),
        ({"run_id": 7}, ("run_id",)),
        ({"run_id": "a", "run": "first"}, ("run",)),
    ],
)
def test_run_that_is_not_named(named: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Each field is named, with what it takes."""
    assert refused(**named, success=True).fields == fields
    assert refused_cost(**named, amount=1).fields == fields


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        ({}, ("success", "type", "label", "value")),
        ({"message": "only this"}, ("success", "type", "label", "value")),
        ({"currency": "EUR"}, ("success", "type", "label", "value")),
        ({"status": "success"}, ("success", "type", "label", "value")),
        ({"label": ""}, ("success", "type", "label", "value")),
        ({"value": f"1,000 {SECRET}"}, ("value",)),
        ({"value": float("nan")}, ("value",)),
        ({"value": 10**15}, ("value",)),
        ({"value": "0.0000000000001"}, ("value",)),
        ({"value": True}, ("value",)),
        ({"value": 5, "currency": SECRET}, ("currency", "value")),
        ({"success": True, "currency": "USDT"}, ("currency",)),
        ({"success": SECRET}, ("success",)),
        ({"success": 1}, ("success",)),
        ({"type": SECRET}, ("type",)),
        ({"type": ["converted"]}, ("type",)),
        ({"label": 5}, ("label",)),
        ({"label": "a", "message": 5}, ("message",)),
        ({"label": "a", "metadata": "{" + SECRET}, ("metadata",)),
        ({"label": "a", "metadata": "[" * 20_000}, ("metadata",)),
        ({"label": "a", "metadata": '"' + "x" * 20_000 + '"'}, ("metadata",)),
        ({"label": "a", "reason": ""}, ("reason",)),
        ({"label": "a", "reason": 5}, ("reason",)),
        ({"label": "a", "reason": "x" * 4097}, ("reason",)),
        ({"label": "a", "reason": "\ud800"}, ("reason",)),
        ({"label": "a", "reported_by": "x" * 257}, ("reported_by",)),
        ({"label": "a", "idempotency_key": ""}, ("idempotency_key",)),
        ({"label": "a", "idempotency_key": "x" * 257}, ("idempotency_key",)),
        ({"label": "a", "if_revision": -1}, ("if_revision",)),
        ({"label": "a", "if_revision": True}, ("if_revision",)),
        ({"label": "a", "if_revision": "0"}, ("if_revision",)),
        ({"label": "a", "if_revision": 2**31}, ("if_revision",)),
        ({"retract": "yes"}, ("retract",)),
        ({"retract": True, "label": "a", "value": 1}, ("retract",)),
        ({"label": "a", "cost": 5}, ("cost",)),
        ({"label": "a", "not a name " + SECRET: 5}, ("a field",)),
        ({"value": "x", "success": "x", "type": "x"}, ("type", "value", "success")),
    ],
)
def test_bad_input_is_named(stated: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Each field that cannot be taken, and never what was in it."""
    error = refused(**RUN, **stated)
    assert sorted(error.fields) == sorted(fields)
    assert SECRET not in str(error)
    assert all(field in str(error) for field in fields if field != "a field")


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        ({}, ("amount",)),
        ({"amount": "-0.01"}, ("amount",)),
        ({"amount": "5 USD"}, ("amount",)),
        ({"amount": 5, "currency": "DOLLARS"}, ("currency", "amount")),
        ({"amount": 5, "kind": "beer"}, ("kind",)),
        ({"amount": 5, "success": True}, ("success",)),
        ({"amount": 5, "if_revision": 0}, ("if_revision",)),
    ],
)
def test_bad_cost_is_named(stated: dict[str, Any], fields: tuple[str, ...]) -> None:
    """A cost is an amount that is not negative, in a currency, of a kind."""
    assert set(refused_cost(**RUN, **stated).fields) == set(fields)


def test_cost_is_read_as_a_metered_one() -> None:
    """The same spellings, digits and defaults as of `agent.cost.*` on a span."""
    assert read_cost(**RUN, amount="50.00", currency=" eur", kind="HUMAN", reported_by="desk")[1:6] == (
        Decimal("50.00"),
        "EUR",
        CostKind.HUMAN,
        None,
        Reporter("desk"),
    )
    assert read_cost(**RUN, amount=0.1)[1:4] == (Decimal("0.1"), "USD", CostKind.OTHER)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "success": st.booleans() | st.sampled_from(["TRUE", "false"]),
            "type": st.sampled_from([*OutcomeType, "Won", "handoff"]),
            "label": TEXTS.map(armed),
            "value": st.decimals(-(10**15) + 1, 10**15 - 1, places=12) | st.integers(-99, 99) | st.just("1e-3"),
            "currency": st.sampled_from(["USD", "eur ", "JPY"]),
            "message": TEXTS.map(armed),
            "metadata": st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
            "status": st.sampled_from(["success", "FAILED", "wibble", "escalated"]),
        },
    )
)
def test_what_is_taken_is_what_a_span_would_say(stated: dict[str, Any]) -> None:
    """Field by field, problem by problem."""
    as_on_span = read_statement(stated_attributes(stated))  # type: ignore[arg-type]
    if as_on_span.is_reported:
        assert read_report(**RUN, **stated).statement == as_on_span
    else:
        assert refused(**RUN, **stated).fields == ("success", "type", "label", "value")


def outcome_of(
    read: Callable[..., LateReport | LateCost], junk: dict[str, Any]
) -> LateReport | LateCost | ReportRefused:
    try:
        return read(**junk)
    except ReportRefused as error:
        return error


NAMES: Final = sorted({*ReportFields.__annotations__, *CostFields.__annotations__, *STATED_ATTRIBUTES, "x", ""})


@given(st.dictionaries(st.sampled_from(NAMES), JUNK, max_size=8))
def test_whatever_is_given_is_read_or_refused(junk: dict[str, Any]) -> None:
    """Never anything but a report or `ReportRefused`, and what is read can be held."""
    for read in (read_report, read_cost):
        came = outcome_of(read, armed(junk))
        if isinstance(came, ReportRefused):
            assert came.fields
            assert str(came).isprintable()
        else:
            assert read_held(encode_held(came)) == came


def test_refusal_can_be_pickled() -> None:
    """Task queues hand errors from process to process."""
    error = pickle.loads(pickle.dumps(refusals.unavailable("the ledger is away", 2.5)))  # noqa: S301 - our own bytes
    assert (error.code, error.retryable, error.retry_after_s) == (RefusalCode.LEDGER_UNAVAILABLE, True, 2.5)
    assert str(error) == "LEDGER_UNAVAILABLE: the ledger is away"


@pytest.mark.parametrize(
    ("error", "code", "retryable", "fields", "words"),
    [
        (refusals.key_reused(), "IDEMPOTENCY_KEY_REUSED", False, ("idempotency_key",), "a key of its own"),
        (refusals.not_found("run_id"), "RUN_NOT_FOUND", True, ("run_id",), "report again later"),
        (refusals.not_allowed(), "NOT_ALLOWED", False, (), "the key of that agent"),
        (
            refusals.ambiguous("run_id", map(str, range(12))),
            "RUN_AMBIGUOUS",
            False,
            ("run_id",),
            "9, ...",
        ),
    ],
)
def test_refusals_say_the_fix(
    *, error: ReportRefused, code: str, retryable: bool, fields: tuple[str, ...], words: str
) -> None:
    """Code, fields, whether trying again could help, and what to do."""
    assert (error.code, error.retryable, error.fields) == (code, retryable, fields)
    assert words in str(error)


BASE: Final[dict[str, Any]] = {**RUN, "value": "50", "label": "sold"}


@pytest.mark.parametrize(
    "same",
    [
        {**BASE, "value": 50},
        {**BASE, "value": "50.000", "currency": "usd"},
        {**BASE, "idempotency_key": "k"},
        dict(reversed(BASE.items())),
    ],
)
def test_same_report_has_the_same_fingerprint(same: dict[str, Any]) -> None:
    """However it was spelled, and whatever its key."""
    assert read_report(**same).fingerprint == read_report(**BASE).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {**BASE, "value": "50.01"},
        {**BASE, "currency": "EUR"},
        {**BASE, "label": "lost"},
        {**BASE, "success": True},
        {**BASE, "message": "a"},
        {**BASE, "metadata": {"a": 1}},
        {**BASE, "status": "failed"},
        {**BASE, "reason": "a"},
        {**BASE, "reported_by": "a"},
        {**BASE, "if_revision": 0},
        {**BASE, "run_id": "ticket-4712"},
        {**BASE, "run": "latest"},
        {**RUN, "retract": True},
    ],
)
def test_other_report_has_another_fingerprint(other: dict[str, Any]) -> None:
    """Whatever it says otherwise, and whoever says it."""
    assert read_report(**other).fingerprint != read_report(**BASE).fingerprint


def test_cost_that_is_a_repeat() -> None:
    """Outcome, kind, currency, amount and reporter tell one cost from another where there is no key, for a day."""
    cost = read_cost(**RUN, amount="1.50", kind="human", reported_by="desk")
    others = [
        cost._replace(amount=Decimal("1.51")),
        cost._replace(currency="EUR"),
        cost._replace(kind=CostKind.TOOL),
        cost._replace(reporter=Reporter("other")),
    ]
    assert repeat_key(cost._replace(amount=Decimal("1.5"), reason="again"), ID) == repeat_key(cost, ID)
    assert len({repeat_key(one, ID) for one in (cost, *others)} | {repeat_key(cost, ID[:-1] + "0")}) == 6
    assert COST_REPEAT_NS == 24 * 60 * 60 * 10**9


@given(
    st.builds(
        Report,
        st.sampled_from(ReportState),
        st.none() | st.just(ID),
        st.none() | st.integers(0, 2**31),
        st.lists(st.builds(Problem, st.sampled_from(ProblemKind), st.text(max_size=5)), max_size=3).map(tuple),
    )
)
def test_answer_is_given_again(report: Report) -> None:
    """As it was, and as one that is repeated."""
    assert read_answer(encode_answer(report)) == report._replace(repeated=True)


@given(st.binary(max_size=40) | st.just(b'{"amount":"x"}'))
def test_what_was_not_stored_by_us_is_said_so(junk: bytes) -> None:
    """Never anything but `ContentError`."""
    for read in (read_held, read_answer):
        with pytest.raises(ContentError):
            read(junk)


def test_reporter_is_who_the_ledger_knows() -> None:
    """A stated name stands where there is no other."""
    key = Reporter("key-7", frozenset({"support"}), may_correct=True)
    assert read_report(key, **BASE).reporter == key
    assert read_report(key, **BASE, reported_by="key-7").reporter == key
    assert read_report(Reporter(may_correct=True), **BASE, reported_by="alice").reporter == Reporter(
        "alice", may_correct=True
    )
    with pytest.raises(ReportRefused, match="another name"):
        read_report(key, **BASE, reported_by="alice")


def test_vocabulary_has_what_a_report_adds() -> None:
    """Who, why and what was changed."""
    names = (semconv.AGENT_OUTCOME_REPORTED_BY, semconv.AGENT_OUTCOME_REASON, semconv.AGENT_OUTCOME_CHANGE)
    assert names == ("agent.outcome.reported_by", "agent.outcome.reason", "agent.outcome.change")
    assert list(semconv.Change) == ["reported", "corrected", "retracted", "cost"]
