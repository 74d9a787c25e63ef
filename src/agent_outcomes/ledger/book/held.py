# SPDX-License-Identifier: Apache-2.0
"""Reports as bytes: to be held until their run arrives, to be told apart by what they say, and their answers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.ledger.book.content import (
    ContentError,
    canonical,
    int_of,
    json_int,
    json_text,
    maybe,
    problem_pairs,
    read_problems,
    text_of,
)
from agent_outcomes.ledger.book.digests import digest_of
from agent_outcomes.ledger.book.refusals import Report, ReportState
from agent_outcomes.ledger.book.reports import LateCost, LateReport, Reporter, RunReference
from agent_outcomes.outcome.amounts import plain_text as digits_of
from agent_outcomes.outcome.spellings import StatusWord
from agent_outcomes.outcome.statement import Statement
from agent_outcomes.semconv import CostKind, ErrorCategory, OutcomeType, ProblemKind, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

COST_REPEAT_NS: Final = 24 * 3600 * 1_000_000_000
"""How long, in nanoseconds, the same cost without an idempotency key is taken for a repeat."""

_FINGERPRINT: Final = b"agent_outcomes.ledger.report/1"
_REPEAT: Final = b"agent_outcomes.ledger.cost/1"
_UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)


def encode_held(report: LateReport | LateCost) -> bytes:
    """A report that waits for its run, as canonical bytes."""
    fields = _report_fields(report) if isinstance(report, LateReport) else _cost_fields(report)
    return canonical({**fields, "fingerprint": report.fingerprint.hex(), "reporter": _reporter(report.reporter)})


def read_held(held: bytes) -> LateReport | LateCost:
    """The report that these bytes were made of. Raises `ContentError` for what is no report."""
    try:
        fields = json.loads(held)
        return _read_cost(fields) if "amount" in fields else _read_report(fields)
    except _UNREADABLE as error:
        message = "these bytes are no held report"
        raise ContentError(message) from error


def encode_answer(report: Report) -> bytes:
    """An answer to be given again, as canonical bytes."""
    return canonical({**report._asdict(), "problems": problem_pairs(report.problems) or None, "repeated": None})


def read_answer(answer: bytes) -> Report:
    """The answer that these bytes were made of, as one that is given again. Raises `ContentError` for what is none."""
    try:
        fields = json.loads(answer)
        problems = read_problems(fields.get("problems", []))
        state = ReportState(fields["state"])
    except _UNREADABLE as error:
        message = "these bytes are no answer to a report"
        raise ContentError(message) from error
    return Report(state, fields.get("outcome_id"), fields.get("revision"), problems, repeated=True)


def fingerprint_of(report: LateReport | LateCost) -> bytes:
    """The digest of all that a report says and of who says it; its idempotency key is no part of that. 32 bytes."""
    fields = _report_fields(report) if isinstance(report, LateReport) else _cost_fields(report)
    said = {**fields, "idempotency_key": None, "reporter": json_text(report.reporter.name)}
    return digest_of(_FINGERPRINT, (canonical(said),))


def repeat_key(cost: LateCost, outcome_id: str) -> str:
    """What tells one late cost of an outcome from another where there is no idempotency key; hex, within 24 hours.

    The outcome's id, kind, currency, amount (1.5 is 1.50) and who reported it.
    """
    said = (outcome_id, cost.kind.value, cost.currency, digits_of(cost.amount), cost.reporter.name)
    return digest_of(_REPEAT, [text.encode("utf-8", "surrogatepass") for text in said]).hex()


def _reference(reference: RunReference) -> dict[str, object]:
    fields = {name: json_text(getattr(reference, name)) for name in ("outcome_id", "trace_id", "run_id")}
    return {key: value for key, value in {**fields, "latest": reference.latest or None}.items() if value is not None}


def _reporter(reporter: Reporter) -> dict[str, object]:
    agents = None if reporter.agents is None else [json_text(name) for name in sorted(reporter.agents)]
    return {"name": json_text(reporter.name), "agents": agents, "may_correct": reporter.may_correct}


def _report_fields(report: LateReport) -> dict[str, object]:
    stated = report.statement
    return {
        "reference": _reference(report.reference),
        "status": None if stated.status is None else list(stated.status),
        "raw_status": json_text(stated.raw_status),
        "success": stated.success,
        "type": stated.type,
        "label": json_text(stated.label),
        "value": None if stated.value is None else digits_of(stated.value),
        "currency": stated.currency,
        "message": json_text(stated.message),
        "metadata": json_text(stated.metadata),
        "problems": problem_pairs(stated.problems) or None,
        "refused": [json_text(text) for text in stated.refused] or None,
        "retract": report.retract or None,
        "reason": json_text(report.reason),
        "idempotency_key": json_text(report.idempotency_key),
        "if_revision": json_int(report.if_revision),
    }


def _cost_fields(cost: LateCost) -> dict[str, object]:
    return {
        "reference": _reference(cost.reference),
        "amount": digits_of(cost.amount),
        "currency": cost.currency,
        "kind": cost.kind,
        "reason": json_text(cost.reason),
        "idempotency_key": json_text(cost.idempotency_key),
    }


def _read_report(fields: Mapping[str, Any]) -> LateReport:
    return LateReport(
        reference=_read_reference(fields["reference"]),
        statement=_read_statement(fields),
        retract=fields.get("retract", False),
        reason=text_of(fields.get("reason")),
        reporter=_read_reporter(fields["reporter"]),
        idempotency_key=text_of(fields.get("idempotency_key")),
        if_revision=int_of(fields.get("if_revision")),
        fingerprint=bytes.fromhex(fields["fingerprint"]),
    )


def _read_cost(fields: Mapping[str, Any]) -> LateCost:
    return LateCost(
        reference=_read_reference(fields["reference"]),
        amount=Decimal(fields["amount"]),
        currency=fields["currency"],
        kind=CostKind(fields["kind"]),
        reason=text_of(fields.get("reason")),
        reporter=_read_reporter(fields["reporter"]),
        idempotency_key=text_of(fields.get("idempotency_key")),
        fingerprint=bytes.fromhex(fields["fingerprint"]),
    )


def _read_reference(fields: Mapping[str, Any]) -> RunReference:
    return RunReference(**{name: text_of(value) for name, value in fields.items()})


def _read_reporter(fields: Mapping[str, Any]) -> Reporter:
    agents = fields["agents"]
    names = None if agents is None else frozenset(map(text_of, agents))
    return Reporter(text_of(fields["name"]), names, fields["may_correct"])


def _read_statement(fields: Mapping[str, Any]) -> Statement:
    statement = Statement()
    statement.status = maybe(_read_status, fields.get("status"))
    statement.raw_status = text_of(fields.get("raw_status"))
    statement.success = fields.get("success")
    statement.type = maybe(OutcomeType, fields.get("type"))
    statement.label = text_of(fields.get("label"))
    statement.value = maybe(Decimal, fields.get("value"))
    statement.currency = fields["currency"]
    statement.message = text_of(fields.get("message"))
    statement.metadata = text_of(fields.get("metadata"))
    statement.problems = read_problems(fields.get("problems", []))
    statement.refused = tuple(text_of(text) for text in fields.get("refused", ()))
    return statement


def _read_status(fields: list[Any]) -> StatusWord:
    status, type_, category, retryable, problem = fields
    return StatusWord(
        maybe(Status, status),
        maybe(OutcomeType, type_),
        maybe(ErrorCategory, category),
        retryable,
        maybe(ProblemKind, problem),
    )
