# SPDX-License-Identifier: Apache-2.0
"""Revenium's outcome of a job: reported once, then amended with a reason, in its words and with its codes.

A job is the run whose own key is the job's id. The execution status of a run comes from its spans: the one that is sent
is compared, and where no type is given FAILED and CANCELLED say that the job did not succeed, whereas SUCCESS states no
result. A report and an amendment are read alike, and what neither would change is refused where it does not stand.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from agent_outcomes.gateway.http_api.adapters.reporting import body_as
from agent_outcomes.gateway.http_api.adapters.revenium_answers import (
    JobAnswer,
    JobProblem,
    execution_of,
    held_job,
    job_answer,
    told_as_revenium,
    told_job,
    told_reported,
    told_stale,
)
from agent_outcomes.gateway.http_api.bodies import read_fields
from agent_outcomes.gateway.http_api.operations import ADAPTERS, AnswerKind, Operation
from agent_outcomes.gateway.http_api.problems import RequestCode, RequestRefused, refused_by_ledger
from agent_outcomes.gateway.http_api.references import idempotency_of
from agent_outcomes.gateway.http_api.report_shapes import GivenAmount  # noqa: TC001 - msgspec reads it
from agent_outcomes.gateway.http_api.reports import REPORT_STATUS, read_late_report, report
from agent_outcomes.gateway.http_api.runs import history_for
from agent_outcomes.ledger.book.reading import read_reference
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused, ReportState, conflict, invalid
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right
from agent_outcomes.outcome.model import BUSINESS_SUCCESS_BY_TYPE
from agent_outcomes.outcome.spellings import TYPE_WORDS
from agent_outcomes.semconv import State
from agent_outcomes.words import canonical_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.book.reports import LateReport
    from agent_outcomes.ledger.rows import RunHistory
    from agent_outcomes.outcome.model import Outcome

ExecutionStatus = Literal["SUCCESS", "FAILED", "CANCELLED"]
_STATUSES: Final[Mapping[str, str]] = {"SUCCESS": "success", "FAILED": "failure", "CANCELLED": "cancelled"}
_SUCCESS: Final = "SUCCESS"
_NO_SUCCESS: Final = frozenset(_STATUSES) - {_SUCCESS}
_OF_A_RESULT: Final[Mapping[str, str]] = {
    "message": "outcomeReason",
    "metadata": "metadata",
    "currency": "outcomeCurrency",
}
"""What is recorded with a result only, by our names."""
_REASON_MAX: Final = 2048
_Reason = Annotated[str, Meta(max_length=_REASON_MAX)]


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job: how it executed, and what that was worth to the business."""

    executionStatus: ExecutionStatus  # noqa: N815 - Revenium's own names, here and below
    outcomeType: Annotated[str, Meta(max_length=256)] | None = None  # noqa: N815
    outcomeValue: GivenAmount | None = None  # noqa: N815
    outcomeCurrency: Annotated[str, Meta(max_length=16)] | None = None  # noqa: N815
    outcomeReason: _Reason | None = None  # noqa: N815
    metadata: str | dict[str, Any] | None = None
    reportedBy: Annotated[str, Meta(max_length=256)] | None = None  # noqa: N815


class JobAmendment(msgspec.Struct, frozen=True, kw_only=True):
    """What is different about a job's outcome; what is left out stays, and `reason` says why."""

    reason: _Reason | None = None
    expectedEntityVersion: Annotated[int, Meta(ge=0)] | None = None  # noqa: N815
    executionStatus: ExecutionStatus | None = None  # noqa: N815
    outcomeType: Annotated[str, Meta(max_length=256)] | None = None  # noqa: N815
    outcomeValue: GivenAmount | None = None  # noqa: N815
    outcomeCurrency: Annotated[str, Meta(max_length=16)] | None = None  # noqa: N815
    outcomeReason: _Reason | None = None  # noqa: N815
    metadata: str | dict[str, Any] | None = None
    reportedBy: Annotated[str, Meta(max_length=256)] | None = None  # noqa: N815


async def take_job_outcome(call: ApiCall) -> Response:
    """`POST /v1/jobs/{id}/outcome`: a second one that says something else is a conflict."""
    job_id = call.identifier
    body = body_as(await read_fields(call.request), JobOutcome)
    fields = {**_stated(body), **_said_by(call, body.reportedBy, None), **idempotency_of(call.request.headers)}
    if body.outcomeValue is not None and not body.outcomeType:
        raise invalid([("outcomeType", "outcomeType is missing; it is needed where outcomeValue is given")])
    if not fields.keys() & {"type", "success"}:
        return await _standing(call, job_id, fields)
    try:
        late = read_late_report(call.caller, {**fields, "run_id": job_id, "correct": False})
        answer = await report(call, late)
    except ReportRefused as refused:
        if refused.code is not RefusalCode.OUTCOME_CONFLICT:
            raise
        return told_reported(refused_by_ledger(refused), await _job(call, job_id))
    if answer.state is ReportState.HELD:
        return told_job(held_job(job_id, body.executionStatus, answer.state), REPORT_STATUS[answer.state])
    found = await _history(call, RunReference(outcome_id=answer.outcome_id))
    return told_job(job_answer(job_id, found), REPORT_STATUS[answer.state])


async def take_job_amendment(call: ApiCall) -> Response:
    """`PATCH /v1/jobs/{id}/outcome`: a correction, with a reason; what is left out stays."""
    job_id = call.identifier
    body = body_as(await read_fields(call.request), JobAmendment)
    call.need(Right.CORRECT)
    if not body.reason:
        raise invalid([("reason", "reason is missing; an amendment says why")])
    standing = await _job(call, job_id)
    if standing.row.state is State.PENDING or standing.row.standing.content is None:
        said = "the job has no outcome to amend; report one first with POST"
        raise RequestRefused(RequestCode.NO_OUTCOME, said)
    expected = standing.row.standing.revision if body.expectedEntityVersion is None else body.expectedEntityVersion
    fields = {**_amended(body, standing), **_said_by(call, body.reportedBy, body.reason), "if_revision": expected}
    named = {"outcome_id": standing.row.outcome_id, **idempotency_of(call.request.headers)}
    late = read_late_report(call.caller, {**fields, **named})
    try:
        answer = await report(call, late)
    except ReportRefused as refused:
        if refused.code is not RefusalCode.STALE_REVISION:
            raise
        return told_stale(refused_by_ledger(refused), expected, await _job(call, job_id))
    if answer.state is ReportState.UNCHANGED:
        _check_texts(late, standing.row.standing.content.outcome)
    return told_job(job_answer(job_id, await _job(call, job_id)), 200)


async def _standing(call: ApiCall, job_id: str, fields: Mapping[str, Any]) -> Response:
    """The answer to a report that says no more than that the job executed well, which its spans say.

    Nothing is recorded, and so nothing is held for a job that has not arrived. Raises `ReportRefused`.
    """
    unused = sorted(_OF_A_RESULT.keys() & fields.keys())
    if unused:
        named = ", ".join(_OF_A_RESULT[name] for name in unused)
        raise invalid([("outcomeType", f"outcomeType is missing; it is needed where {named} is given")])
    found = await _job(call, job_id)
    if found.row.state is State.REPORTED and _says_no_success(found):
        return told_reported(refused_by_ledger(conflict(("success",))), found)
    _check_success(found)
    return told_job(job_answer(job_id, found), 200)


async def _job(call: ApiCall, job_id: str) -> RunHistory:
    return await _history(call, read_reference(run_id=job_id))


async def _history(call: ApiCall, reference: RunReference) -> RunHistory:
    return await call.context.run_blocking(partial(history_for, call.caller, call.context.store, reference))


def _stated(body: JobOutcome | JobAmendment) -> dict[str, Any]:
    """What a body says in our words, of a report and of an amendment alike."""
    stated = {
        "value": body.outcomeValue,
        "currency": body.outcomeCurrency,
        "message": body.outcomeReason,
        "metadata": body.metadata,
        "status": None if body.executionStatus is None else _STATUSES[body.executionStatus],
        **_type_of(body.outcomeType),
    }
    if not body.outcomeType and body.executionStatus in _NO_SUCCESS:
        stated["success"] = False
    return {name: value for name, value in stated.items() if value is not None and value != ""}


def _type_of(word: str | None) -> dict[str, Any]:
    """A type that Revenium lets users make up is custom, with the word as the label."""
    known = None if not word else TYPE_WORDS.get(canonical_word(word))
    if known is not None:
        return {"type": known.value}
    return {"type": "custom", "label": word} if word else {}


def _amended(body: JobAmendment, standing: RunHistory) -> dict[str, Any]:
    """The whole result with the amendment."""
    content = standing.row.standing.content
    assert content is not None  # looked at before
    outcome, stated = content.outcome, _stated(body)
    kept: dict[str, Any] = {"value": outcome.value, "currency": outcome.currency if outcome.value is not None else None}
    if not body.outcomeType:
        if body.executionStatus == _SUCCESS:
            _check_success(standing, is_alone=body.outcomeValue is None)
        if stated.get("success") is False and BUSINESS_SUCCESS_BY_TYPE[outcome.type]:
            said = "outcomeType is missing; the one that stands is of a job that succeeded, so give UNSUCCESSFUL, say"
            raise invalid([("outcomeType", said)])
        kept |= {"type": outcome.type, "success": outcome.business_success, "label": outcome.label}
    if "currency" in stated and outcome.value is None and "value" not in stated:
        raise invalid([("outcomeValue", "outcomeValue is missing; it is needed where outcomeCurrency is given")])
    return {**{name: value for name, value in kept.items() if value is not None}, **stated}


def _says_no_success(standing: RunHistory) -> bool:
    content = standing.row.standing.content
    return content is not None and content.outcome.business_success is False


def _check_success(standing: RunHistory, *, is_alone: bool = True) -> None:
    """Refuse SUCCESS without a type where it is not what stands: it states no result that could be recorded."""
    is_other = execution_of(standing.row.status) != _SUCCESS
    if _says_no_success(standing) or (is_alone and is_other):
        said = "executionStatus SUCCESS is not what stands, and changes nothing by itself; give the outcomeType, too"
        raise invalid([("executionStatus", said), ("outcomeType", said)])


def _check_texts(late: LateReport, standing: Outcome) -> None:
    """Refuse texts that would not be recorded: the ledger takes them with another result than the one that stands."""
    pairs = {
        "outcomeReason": (late.statement.message, standing.message),
        "metadata": (late.statement.metadata, standing.metadata),
    }
    other = [name for name, (given, stands) in pairs.items() if given not in {None, stands}]
    if other:
        fix = "is amended together with outcomeType or outcomeValue only; give one that is different"
        raise invalid([(name, f"{name} {fix}") for name in other])


def _said_by(call: ApiCall, reported_by: str | None, reason: str | None) -> dict[str, Any]:
    """Who reports and why. A key has a name of its own: then who is named is told in the reason."""
    if not reported_by or reported_by == call.caller.name:
        return {} if reason is None else {"reason": reason}
    if not call.caller.name:
        return {"reported_by": reported_by, **({} if reason is None else {"reason": reason})}
    return {"reason": f"{reason or 'reported'} (by {reported_by})"}


def _operation(method: str, path: str, name: str) -> Operation:
    is_first = method == "POST"
    return Operation(
        method=method,
        path=path,
        name=name,
        summary=f"Revenium: {'report' if is_first else 'amend'} the outcome of a job",
        right=Right.REPORT if is_first else Right.CORRECT,
        carry_out=take_job_outcome if is_first else take_job_amendment,
        body=JobOutcome if is_first else JobAmendment,
        answers=(
            AnswerKind(200, "The outcome stands." if is_first else "The outcome was amended.", JobAnswer),
            *(
                (
                    AnswerKind(201, "The outcome was recorded.", JobAnswer),
                    AnswerKind(202, "The outcome is held for a job that has not arrived.", JobAnswer),
                )
                if is_first
                else ()
            ),
        ),
        headers=("idempotency-key",),
        refusals=(400, 404, 409, 413, 415, 422),
        group=ADAPTERS,
        problem=JobProblem,
        tell=told_as_revenium,
    )


REVENIUM: Final = (
    _operation("POST", "/v1/jobs/{id:key}/outcome", "reveniumOutcome"),
    _operation("PATCH", "/v1/jobs/{id:key}/outcome", "reveniumAmendment"),
    _operation("POST", "/profitstream/v2/api/jobs/{id:key}/outcome", "reveniumClientOutcome"),
    _operation("PATCH", "/profitstream/v2/api/jobs/{id:key}/outcome", "reveniumClientAmendment"),
)
