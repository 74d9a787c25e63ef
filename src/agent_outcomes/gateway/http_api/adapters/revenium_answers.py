# SPDX-License-Identifier: Apache-2.0
"""Jobs and refusals as Revenium's API tells of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from agent_outcomes.gateway.http_api.operations import JSON_TYPE
from agent_outcomes.gateway.http_api.problems import RequestCode
from agent_outcomes.gateway.http_api.references import etag_of
from agent_outcomes.gateway.http_api.report_shapes import GivenAmount  # noqa: TC001 - msgspec reads it
from agent_outcomes.gateway.http_api.run_answers import revision_answer
from agent_outcomes.ledger.book.refusals import RefusalCode
from agent_outcomes.ledger.exporting import time_text
from agent_outcomes.semconv import Change, State, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.http_api.problems import RequestRefused
    from agent_outcomes.ledger.book.refusals import ReportState
    from agent_outcomes.ledger.rows import RunHistory

_GUIDANCE: Final = "the outcome has been reported; amend it with PATCH, giving a reason"
_EXECUTIONS: Final[Mapping[Status, str]] = {
    Status.SUCCESS: "SUCCESS",
    Status.PARTIAL: "SUCCESS",
    Status.CANCELLED: "CANCELLED",
}
_numbers: Final = msgspec.json.Encoder(decimal_format="number")


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A job and the outcome that stands; `entityVersion` is our revision. `state` is pending, reported or held."""

    agenticJobId: str  # noqa: N815 - Revenium's own names, here and below
    executionStatus: str | None  # noqa: N815
    hasOutcome: bool  # noqa: N815
    outcomeType: str | None  # noqa: N815
    outcomeValue: GivenAmount | None  # noqa: N815
    outcomeCurrency: str | None  # noqa: N815
    outcomeReason: str | None  # noqa: N815
    outcomeMetadata: str | None  # noqa: N815
    outcomeUpdateCount: int  # noqa: N815
    entityVersion: int | None  # noqa: N815
    state: str
    outcome_id: str | None


class JobConflict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands already: when it was reported, how often it was changed, and its version."""

    guidance: str | None = None
    reportedAt: str | None = None  # noqa: N815
    updateCount: str | None = None  # noqa: N815
    currentEntityVersion: int | None = None  # noqa: N815


class JobProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out; `error` is the phrase of the status, `code` the ledger's."""

    status: int
    error: str
    message: str
    code: str
    retryable: bool
    fields: list[str]
    details: JobConflict | None = None


def told_job(answer: JobAnswer, status: int) -> Response:
    """The answer that tells of a job, with its value as a number."""
    headers = {} if answer.entityVersion is None else {"etag": etag_of(answer.entityVersion)}
    return Response(_numbers.encode(answer), status, headers, JSON_TYPE)


def job_answer(job_id: str, history: RunHistory) -> JobAnswer:
    """A job with what stands of it."""
    row = history.row
    content = row.standing.content
    outcome = None if content is None else content.outcome
    shown = revision_answer(row.standing)
    is_custom = shown.type == "custom" and shown.label is not None
    return JobAnswer(
        agenticJobId=job_id,
        executionStatus=execution_of(row.status),
        hasOutcome=row.state is State.REPORTED,
        outcomeType=shown.label if is_custom else None if shown.type is None else shown.type.upper(),
        outcomeValue=None if outcome is None else outcome.value,
        outcomeCurrency=shown.currency,
        outcomeReason=shown.message,
        outcomeMetadata=shown.metadata,
        outcomeUpdateCount=_changes_of(history),
        entityVersion=row.standing.revision,
        state=row.state.value,
        outcome_id=row.outcome_id,
    )


def execution_of(status: str) -> str:
    """How a run executed, in Revenium's word."""
    return _EXECUTIONS.get(Status(status), "FAILED")


def held_job(job_id: str, execution_status: str, state: ReportState) -> JobAnswer:
    """A job that has not arrived; `state` is what the ledger says has become of the report on it."""
    return JobAnswer(
        agenticJobId=job_id,
        executionStatus=execution_status,
        hasOutcome=False,
        outcomeType=None,
        outcomeValue=None,
        outcomeCurrency=None,
        outcomeReason=None,
        outcomeMetadata=None,
        outcomeUpdateCount=0,
        entityVersion=None,
        state=state.value,
        outcome_id=None,
    )


def told_as_revenium(refused: RequestRefused) -> Response:
    """The answer to a refusal in Revenium's words."""
    is_unread = refused.code in {RefusalCode.INVALID_REPORT, RequestCode.INVALID_BODY, RequestCode.INVALID_QUERY}
    return _told(refused, 400 if is_unread else refused.status)


def told_reported(refused: RequestRefused, history: RunHistory) -> Response:
    """The answer to a second report: what stands, and how to amend it."""
    details = JobConflict(
        guidance=_GUIDANCE,
        reportedAt=time_text(history.row.standing.reported_ns),
        updateCount=str(_changes_of(history)),
        currentEntityVersion=history.row.standing.revision,
    )
    return _told(refused, 409, details)


def told_stale(refused: RequestRefused, expected: int, history: RunHistory) -> Response:
    """The answer to an amendment of what somebody else has amended meanwhile."""
    current = history.row.standing.revision
    message = f"Outcome has changed since entity version {expected}; current version is {current}. Refetch and retry."
    return _told(refused, 409, JobConflict(currentEntityVersion=current), message)


def _told(refused: RequestRefused, status: int, details: JobConflict | None = None, message: str = "") -> Response:
    made = JobProblem(
        status=status,
        error=HTTPStatus(status).phrase,
        message=message or refused.detail,
        code=refused.code.value,
        retryable=refused.retryable,
        fields=list(refused.fields),
        details=details,
    )
    return Response(msgspec.json.encode(made), status, refused.headers, JSON_TYPE)


def _changes_of(history: RunHistory) -> int:
    return sum(row.change in {Change.CORRECTED, Change.RETRACTED} for row in history.revisions)
