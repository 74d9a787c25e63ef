# SPDX-License-Identifier: Apache-2.0
"""Spans that report on a run by a link: what they state, as a span states it, and which spans are none of these."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agent_outcomes.gateway.signals.span_reports import may_report, reports_of_span, reports_on_another
from agent_outcomes.gateway.signals.verdicts import Ignored
from agent_outcomes.gateway.wire.messages import WireLink, WireSpan
from agent_outcomes.ledger.book.reports import LateReport, RunReference
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.semconv import OutcomeType, ProblemKind

pytestmark = pytest.mark.backends
LINK = WireLink(b"t" * 16, b"s" * 8, {})
LINKED = f"{LINK.trace_id.hex()}-{LINK.span_id.hex()}"


def span(*links: WireLink, **stated: Any) -> WireSpan:
    attributes = {f"agent.outcome.{key}": value for key, value in stated.items()}
    return WireSpan(b"a" * 16, b"b" * 8, name="deal.closed", attributes=attributes, links=links)


def reported(*links: WireLink, **stated: Any) -> LateReport:
    (report,) = reports_of_span(span(*links, **stated), {}, is_in_run=False).reports
    return report


def test_a_span_with_a_link_reports_on_the_linked_run() -> None:
    """Business result, exact money, texts; and the same report with the same key, however often it comes."""
    stated: dict[str, Any] = {
        "success": True,
        "type": "converted",
        "label": "closed_won",
        "value": "1234.10",
        "currency": "eur",
        "message": "signed",
        "metadata.stage": 4,
        "reason": "contract",
        "reported_by": "crm",
    }
    report = reported(LINK, **stated)
    statement = report.statement
    assert report.reference == RunReference(outcome_id=LINKED)
    assert (statement.success, statement.type, statement.label) == (True, OutcomeType.CONVERTED, "closed_won")
    assert (statement.value, statement.currency) == (Decimal("1234.10"), "EUR")
    assert (statement.message, statement.metadata) == ("signed", '{"stage": 4}')
    assert (report.reason, report.reporter.name, statement.problems) == ("contract", "crm", ())
    assert reported(LINK, LINK, **dict(reversed(stated.items()))) == report
    assert reported(LINK, success=True).reporter.name == "span:deal.closed"


def test_what_cannot_be_taken_is_listed() -> None:
    """As of any span: nobody is there to be told; a cost is none of a report's."""
    report = reported(LINK, success=True, value="a lot", cost=1.5, lable="x")
    kinds = {problem.kind for problem in report.statement.problems}
    assert kinds == {ProblemKind.INVALID_AMOUNT, ProblemKind.LATE_COST, ProblemKind.UNKNOWN_ATTRIBUTE}
    assert report.statement.value is None
    dropped = span(LINK, value=5, success=True)._replace(dropped_attributes=1)
    (report,) = reports_of_span(dropped, {}, is_in_run=False).reports
    assert report.statement.value is None, "in which currency it was, nobody knows"
    assert Problem(ProblemKind.INVALID_CURRENCY, "agent.outcome.value") in report.statement.problems


def test_what_is_no_report_is_ignored_by_reason() -> None:
    """Nothing stated of the result, several runs, or what a run states of itself."""
    assert reports_of_span(span(LINK, status="success"), {}, is_in_run=False).ignored == (Ignored.NO_VERDICT,)
    other = LINK._replace(span_id=b"o" * 8)
    assert reports_of_span(span(LINK, other, success=True), {}, is_in_run=False).ignored == (Ignored.SEVERAL_RUNS,)
    assert reports_of_span(span(LINK, success=True), {}, is_in_run=True) == ((), ())
    assert reports_of_span(span(success=True), {}, is_in_run=False) == ((), ())
    assert reports_of_span(span(LINK), {}, is_in_run=False) == ((), ())


@pytest.mark.parametrize(
    ("attributes", "scope", "name", "is_report"),
    [
        ({}, "crm", "deal", True),
        ({"gen_ai.operation.name": "chat"}, "crm", "deal", True),
        ({"gen_ai.operation.name": "invoke_agent"}, "crm", "deal", False),
        ({"openinference.span.kind": "AGENT"}, "crm", "deal", False),
        ({"openinference.span.kind": "EVALUATOR"}, "crm", "deal", True),
        ({}, "agent_outcomes", "agent.outcome", False),
        ({}, "crm", "agent.outcome", True),
    ],
)
def test_an_agent_with_a_link_is_a_run_of_its_own(
    attributes: dict[str, Any],
    scope: str,
    name: str,
    is_report: bool,  # noqa: FBT001
) -> None:
    """Its link says where it comes from; our own spans only show what is known."""
    stated = {**attributes, "agent.outcome.success": True}
    assert reports_on_another(stated, scope, name, (LINK,)) is is_report
    assert not reports_on_another(stated, scope, name, ())
    assert not reports_on_another(attributes, scope, name, (LINK,))


@pytest.mark.parametrize(
    ("key", "is_worth_it"),
    [
        ("agent.outcome.success", True),
        ("agent.outcome.metadata.stage", True),
        ("annotations.0.annotation.name", True),
        ("trace.evaluations.0.evaluation.name", True),
        ("http.route", False),
        ("annotation", False),
    ],
)
def test_few_spans_are_worth_a_look(key: str, is_worth_it: bool) -> None:  # noqa: FBT001
    """By the names of their attributes alone."""
    assert may_report({"http.method": "GET", key: "x"}) is is_worth_it
