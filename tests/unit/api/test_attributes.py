# SPDX-License-Identifier: Apache-2.0
"""Statements and outcomes as canonical span attributes: what is written is read back as it was stated."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal import _encode_attributes

from agent_outcomes.api.attributes import attributes_of_outcome, attributes_of_stated, read_given
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES, stated_attributes
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.outcome.statement import Statement, read_statement
from agent_outcomes.semconv import ProblemKind, Source, Status
from tests.hostile import JUNK as HOSTILE
from tests.hostile import LoudObject, armed

PREFIX = "agent.outcome."
STATED_BY_WORD = {f"{PREFIX}source": "explicit", f"{PREFIX}evidence": "agent.outcome.status"}

CANONICAL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"label": None, "value": None}, {}),
    ({"status": "SUCCEEDED"}, {"status": "success"}),
    ({"status": Status.TIMEOUT}, {"status": "timeout"}),
    ({"status": "rejected"}, {"status": "failure", "error.category": "policy"}),
    ({"status": "rejected", "error_category": "auth"}, {"status": "failure", "error.category": "auth"}),
    ({"status": "handed off"}, {"status": "handed off", "type": "escalated"}),
    ({"status": "sideways"}, {"status": "sideways"}),
    ({"status": 7}, {"status": 7}),
    ({"success": "TRUE"}, {"success": True}),
    ({"success": 1}, {"success": 1}),
    ({"type": " Won "}, {"type": "converted"}),
    ({"type": "upsold"}, {"type": "upsold"}),
    ({"label": "resolved"}, {"label": "resolved"}),
    ({"label": 5}, {"label": 5}),
    ({"label": Decimal(5)}, {"label": ("5",)}),
    ({"message": object()}, {"message": ("<object>",)}),
    ({"value": 12}, {"value": 12.0}),
    ({"value": "49.90"}, {"value": 49.9}),
    ({"value": 0.1}, {"value": 0.1}),
    ({"value": Decimal("0.10")}, {"value": 0.1}),
    ({"value": "123456789012345.123456789012"}, {"value": "123456789012345.123456789012"}),
    ({"value": 5, "currency": "eur"}, {"value": 5.0, "currency": "EUR"}),
    ({"currency": "EUR"}, {"currency": "EUR"}),
    ({"value": 5, "currency": "euros"}, {"value": 5, "currency": "euros"}),
    ({"value": "abc"}, {"value": "abc"}),
    ({"value": float("inf")}, {"value": float("inf")}),
    ({"value": 1e300}, {"value": 1e300}),
    ({"value": True}, {"value": True}),
    ({"value": 2**63}, {"value": str(2**63)}),
    ({"value": object()}, {"value": "<object>"}),
    ({"cost": "0.0042", "cost_currency": "jpy"}, {"cost": 0.0042, "cost_currency": "JPY"}),
    ({"cost": -1}, {"cost": -1}),
    ({"retryable": False}, {"retryable": False}),
    ({"message": "m"}, {"message": "m"}),
    ({"error_category": "policy"}, {"error.category": "policy"}),
    ({"job_type": "ticket", "run_id": "r-1"}, {"job_type": "ticket", "run_id": "r-1"}),
    ({"metadata": {"a": [1, 2.5, None]}}, {"metadata": '{"a": [1, 2.5, null]}'}),
    ({"metadata": '{"a": 1}'}, {"metadata": '{"a": 1}'}),
]


@pytest.mark.parametrize(("stated", "expected"), CANONICAL)
def test_what_is_stated_is_written_in_canonical_form(stated: Any, expected: dict[str, Any]) -> None:
    """Words and amounts become canonical; what cannot be taken is written as it was given."""
    wanted = {PREFIX + name: value for name, value in expected.items()}
    if "status" in stated:
        wanted |= STATED_BY_WORD
    written = attributes_of_stated(stated)
    assert written == wanted
    assert {key: type(value) for key, value in written.items()} == {key: type(value) for key, value in wanted.items()}


def test_every_field_can_be_stated() -> None:
    """The table above has a case for every keyword."""
    assert {name for stated, _ in CANONICAL for name in stated} == set(STATED_ATTRIBUTES)


def test_an_unknown_keyword_is_a_type_error() -> None:
    """It names itself and what there is."""
    wrong: Any = {"lable": "x"}
    with pytest.raises(TypeError, match="unknown outcome field 'lable'; expected one of status, success, type, label"):
        attributes_of_stated(wrong)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(2**200),
    st.floats(allow_nan=False),
    st.decimals(),
    st.text(max_size=300),
    st.text(alphabet="\ud800\udfffa", max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    st.sampled_from(["ok", "FAILED", "true", "won", "eur", "USD", "12.5", "0." + "0" * 5000 + "1", "x" * 5000]),
)
STATED = st.dictionaries(st.sampled_from(sorted(STATED_ATTRIBUTES)), JUNK)


def comparable(statement: Statement) -> Statement:
    """Without what need not be the same word for word: the texts of what was refused, and source and evidence."""
    same = copy(statement)
    same.problems = same.refused = ()
    same.source = same.evidence = same.metadata = same.raw_status = None
    return same


@settings(deadline=None)
@given(stated=STATED)
def test_reading_what_was_written_gives_the_statement(stated: Any) -> None:
    """Whatever is stated, the span says the same: no value is gained, lost or changed, and every refusal is listed."""
    direct = read_statement(stated_attributes(stated))
    read_back = read_statement(attributes_of_stated(stated))
    assert comparable(read_back) == comparable(direct)
    repaired = {problem for problem in direct.problems if problem.kind.value == "text_repaired"}
    assert {problem.attribute for problem in direct.problems if problem not in repaired} <= {
        problem.attribute for problem in read_back.problems
    }


@settings(deadline=None)
@given(stated=STATED)
def test_what_is_written_is_canonical_and_encodes(stated: Any) -> None:
    """Written once more it stays the same, and OTLP can hold every attribute of it."""
    written = attributes_of_stated(stated)
    again = attributes_of_stated(_as_stated(written))
    assert again == {key: value for key, value in written.items() if not isinstance(value, tuple)}
    encoded = _encode_attributes(written) or []
    assert {pair.key for pair in encoded if pair.value.WhichOneof("value")} == set(written)
    b"".join(pair.SerializeToString() for pair in encoded)


def _as_stated(written: dict[str, Any]) -> Any:
    names = {attribute: name for name, attribute in STATED_ATTRIBUTES.items()}
    return {names[key]: value for key, value in written.items() if key in names and not isinstance(value, tuple)}


FACTORIES = [Outcome.success, Outcome.partial, Outcome.timeout, Outcome.cancelled, Outcome.invalid_output]
OF_OUTCOME = sorted(set(STATED_ATTRIBUTES) - {"status", "cost", "cost_currency", "job_type", "run_id"})


@settings(deadline=None)
@given(factory=st.sampled_from(FACTORIES), stated=st.dictionaries(st.sampled_from(OF_OUTCOME), JUNK))
def test_an_outcome_reads_back_as_it_is(factory: Any, stated: Any) -> None:
    """Status, reasons and business result of a whole outcome, and the amounts that it refused, survive the span."""
    outcome: Outcome = factory(**stated)
    statement = read_statement(attributes_of_outcome(outcome))
    assert statement.status is not None
    assert statement.status.status is outcome.status
    assert (statement.retryable, statement.error_category) == (outcome.retryable, outcome.error_category)
    assert (statement.type, statement.success) == (outcome.type, outcome.business_success)
    assert (statement.label, statement.message) == (outcome.label, outcome.message)
    assert statement.value == outcome.value
    if outcome.value is not None:
        assert statement.currency == outcome.currency
    amounts = {problem for problem in outcome.problems if problem.kind.value == "invalid_amount"}
    assert amounts <= set(statement.problems)


@settings(deadline=None)
@given(factory=st.sampled_from(FACTORIES), stated=st.dictionaries(st.sampled_from(OF_OUTCOME), HOSTILE))
def test_what_a_factory_refused_is_listed_by_the_reader(factory: Any, stated: Any) -> None:
    """Each problem and each refused value once, whatever value stands in its place."""
    outcome: Outcome = factory(**{key: armed(value) for key, value in stated.items()})
    statement = read_statement(attributes_of_outcome(outcome))
    assert set(map(str, outcome.problems)) == set(map(str, statement.problems))
    assert set(outcome.refused) == set(statement.refused)
    assert len({*statement.problems}) == len(statement.problems)


@settings(deadline=None)
@given(stated=st.dictionaries(st.sampled_from(sorted(STATED_ATTRIBUTES)), HOSTILE))
def test_what_a_keyword_could_not_say_is_listed_by_the_reader(stated: Any) -> None:
    """Each problem of the keywords as they were given, the repair of a text included."""
    fields: Any = {key: armed(value) for key, value in stated.items()}
    problems = set(map(str, read_statement(stated_attributes(fields)).problems))
    assert problems <= set(map(str, read_statement(attributes_of_stated(fields)).problems))


def test_an_outcome_and_keywords_that_both_could_not_be_taken() -> None:
    """What either refused is listed, though the keyword's value stands."""
    given_both = read_given("set_outcome", Outcome.success(label=5, message=7), {"label": "a\ud800"})  # type: ignore[arg-type]
    statement = read_statement(given_both.attributes)
    assert statement.label == "a?"
    assert {*map(str, statement.problems)} == {
        "invalid_text:agent.outcome.label",
        "invalid_text:agent.outcome.message",
        "text_repaired:agent.outcome.label",
    }


@pytest.mark.parametrize("problems", [("x",), ("unknown_status", 5), (Problem("x"), Problem(None, 5)), (LoudObject(),)])  # type: ignore[arg-type]
def test_problems_that_no_factory_has_listed(problems: Any) -> None:
    """Of an outcome that was made by hand only problems are listed, and nothing raises."""
    known = (*problems, Problem(ProblemKind.INVALID_TEXT, "a"))
    assert attributes_of_outcome(Outcome(status=Status.SUCCESS, problems=known))["agent.outcome.problems"] == (
        "invalid_text:a",
    )


def test_an_outcome_of_an_exception_keeps_its_evidence() -> None:
    """Class, evidence and source are written, so that trace backends can search them; output is not."""
    outcome = Outcome.from_exception(ConnectionError("secret"), label="x")
    assert attributes_of_outcome(replace(outcome, output="secret")) == {
        "agent.outcome.status": "failure",
        "agent.outcome.source": "explicit",
        "agent.outcome.evidence": "exception:ConnectionError",
        "agent.outcome.retryable": True,
        "agent.outcome.error.category": "network",
        "error.type": "ConnectionError",
        "agent.outcome.label": "x",
    }


def test_an_outcome_of_unknown_status_keeps_its_word() -> None:
    """The word that no table has is what stands on the span."""
    outcome = Outcome(status=Status.UNKNOWN, raw_status="sideways", source=Source.INFERRED, evidence="span_end")
    assert attributes_of_outcome(outcome) == {
        "agent.outcome.status": "sideways",
        "agent.outcome.source": "inferred",
        "agent.outcome.evidence": "span_end",
    }
