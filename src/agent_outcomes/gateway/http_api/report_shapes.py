# SPDX-License-Identifier: Apache-2.0
"""Reports as they are sent, and what becomes of them, as the OpenAPI document tells of them.

The ledger itself reads what is sent, so that each field that cannot be taken is named, in its words.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent_outcomes.gateway.http_api.problems import ProblemAnswer  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.refusals import Report

GivenAmount = Annotated[Decimal | float | int, Meta(description="A decimal number or its text, exact.")]
_Text = Annotated[str, Meta(min_length=1, max_length=256)]
_Why = Annotated[str, Meta(min_length=1, max_length=4096, description="Why; a correction needs it.")]
_Latest = Annotated[Literal["latest"], Meta(description="Of several runs that match take the one that ended last.")]
REPORTS_MAX = 1000


class ReportBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A report on a run's outcome: at least one of success, type, label and value, which are the whole result."""

    success: bool | str | None = None
    type: str | None = None
    label: str | None = None
    value: GivenAmount | None = None
    currency: Annotated[str, Meta(description="A code of ISO 4217; USD if not given.")] | None = None
    message: str | None = None
    metadata: dict[str, Any] | str | None = None
    status: Annotated[str, Meta(description="Compared with the run's; changes nothing.")] | None = None
    reason: _Why | None = None
    reported_by: Annotated[str, Meta(description="Who reports, where the key has no name.")] | None = None
    idempotency_key: Annotated[str, Meta(description="Makes a repeat safe; the header says the same.")] | None = None
    if_revision: Annotated[int, Meta(ge=0, description="Only if this one stands; If-Match says the same.")] | None = (
        None
    )
    retract: Annotated[bool, Meta(description="Take the result back; needs the right to correct and a reason.")] = False
    correct: (
        Annotated[bool, Meta(description="Whether another result may be replaced; as the key may if not given.")] | None
    ) = None
    run: _Latest | None = None


class NamedReportBody(ReportBody, kw_only=True, omit_defaults=True):
    """The same, and the run that it is about: by exactly one of these three."""

    outcome_id: str | None = None
    trace_id: str | None = None
    run_id: str | None = None


class BatchBody(msgspec.Struct, kw_only=True):
    """Reports, taken in this order."""

    reports: Annotated[list[NamedReportBody], Meta(min_length=1, max_length=REPORTS_MAX)]


class CostBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A cost that arose after its run had ended."""

    amount: GivenAmount
    currency: Annotated[str, Meta(description="A code of ISO 4217; USD if not given.")] | None = None
    kind: Annotated[str, Meta(description="llm, tool, human or other.")] | None = None
    reason: _Why | None = None
    reported_by: _Text | None = None
    idempotency_key: _Text | None = None
    run: _Latest | None = None


class RetractionBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why an outcome is retracted."""

    reason: _Why | None = None
    reported_by: _Text | None = None
    idempotency_key: _Text | None = None
    if_revision: Annotated[int, Meta(ge=0)] | None = None
    run: _Latest | None = None


class ReportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a report: recorded, unchanged, or held for a run that has not arrived.

    `problems` are what was listed of it and did not keep it from being taken. `repeated` says that the same report was
    answered before: this is that answer.
    """

    state: Literal["recorded", "unchanged", "held"]
    outcome_id: str | None
    revision: int | None
    problems: list[str]
    repeated: bool


class BatchItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one report, as if it had been sent alone."""

    status: int
    report: ReportAnswer | None = None
    problem: ProblemAnswer | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each report, in their order."""

    answers: list[BatchItemAnswer]


def report_answer(report: Report) -> ReportAnswer:
    """What became of a report."""
    return ReportAnswer(
        state=report.state.value,
        outcome_id=report.outcome_id,
        revision=report.revision,
        problems=[str(problem) for problem in report.problems],
        repeated=report.repeated,
    )
