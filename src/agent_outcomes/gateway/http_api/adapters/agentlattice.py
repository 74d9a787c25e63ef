# SPDX-License-Identifier: Apache-2.0
"""AgentLattice's report on an audit event: success, failure or partial, the last one stands, and its own codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from agent_outcomes.gateway.http_api.adapters.reporting import (
    body_as,
    report_or_replace,
    trace_or_key,
)
from agent_outcomes.gateway.http_api.answering import answer_of
from agent_outcomes.gateway.http_api.bodies import read_fields
from agent_outcomes.gateway.http_api.operations import ADAPTERS, JSON_TYPE, AnswerKind, Operation
from agent_outcomes.gateway.http_api.problems import RequestCode
from agent_outcomes.gateway.http_api.references import idempotency_of
from agent_outcomes.gateway.http_api.reports import REPORT_STATUS
from agent_outcomes.ledger.book.refusals import RefusalCode, invalid
from agent_outcomes.ledger.exporting import time_text
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.gateway.http_api.problems import RequestRefused

_EVENT_FIELDS: Final = frozenset({"id", "audit_event_id", "run_id", "trace_id", "outcome_id"})
_NO_EVENT_ID: Final = "INVALID_AUDIT_EVENT_ID"
_CODES: Final[Mapping[str, tuple[int, str]]] = {
    RefusalCode.INVALID_REPORT: (400, "INVALID_OUTCOME"),
    RefusalCode.IDEMPOTENCY_KEY_REUSED: (400, "INVALID_OUTCOME"),
    RequestCode.INVALID_BODY: (400, "INVALID_BODY"),
    RequestCode.BODY_TOO_LARGE: (400, "INVALID_BODY"),
    RequestCode.UNSUPPORTED_MEDIA_TYPE: (400, "INVALID_BODY"),
    RefusalCode.RUN_AMBIGUOUS: (400, _NO_EVENT_ID),
    RefusalCode.NOT_ALLOWED: (403, "FORBIDDEN"),
    RefusalCode.OUTCOME_CONFLICT: (403, "FORBIDDEN"),
    RequestCode.UNAUTHENTICATED: (401, "UNAUTHORIZED"),
    RefusalCode.RUN_NOT_FOUND: (404, "AUDIT_EVENT_NOT_FOUND"),
    RefusalCode.LEDGER_UNAVAILABLE: (503, "REPORT_FAILED"),
    RequestCode.OVERLOADED: (503, "REPORT_FAILED"),
}
_BUSINESS: Final[Mapping[str, Mapping[str, Any]]] = {
    "success": {"success": True},
    "failure": {"success": False},
    # Some parts succeeded: neither the one nor the other.
    "partial": {"type": "custom", "label": "partial"},
}


class LatticeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: success, failure (no useful work done), or partial (some parts succeeded)."""

    status: Literal["success", "failure", "partial"]
    message: Annotated[str, Meta(max_length=4096)] | None = None
    metadata: dict[str, Any] | None = None


class LatticeReport(msgspec.Struct, frozen=True, kw_only=True):
    """The same, with the audit event in the body."""

    audit_event_id: Annotated[str, Meta(min_length=1, max_length=256)]
    outcome: LatticeOutcome


class LatticeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome as it was taken."""

    audit_event_id: str
    status: str
    reported_at: str
    state: str
    outcome_id: str | None
    revision: int | None


class LatticeProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a report was not taken; `error` is AgentLattice's code, `code` the ledger's."""

    error: str
    message: str
    code: str
    retryable: bool
    fields: list[str]


async def take_lattice_outcome(call: ApiCall) -> Response:
    """`POST /v1/audit-events/{id}/outcome`."""
    return await _taken(call, call.identifier, body_as(await read_fields(call.request), LatticeOutcome))


async def take_lattice_report(call: ApiCall) -> Response:
    """`POST /api/v1/report`, which is what its Python client sends."""
    body = body_as(await read_fields(call.request), LatticeReport)
    return await _taken(call, body.audit_event_id, body.outcome)


async def _taken(call: ApiCall, event_id: str, outcome: LatticeOutcome) -> Response:
    if not event_id.strip():
        raise invalid([("audit_event_id", "audit_event_id takes the key of a run, or its trace id")])
    stated = {"message": outcome.message, "metadata": outcome.metadata, **_BUSINESS[outcome.status]}
    fields = {**stated, **trace_or_key(event_id), **idempotency_of(call.request.headers)}
    answer = await report_or_replace(call, fields)
    made = LatticeAnswer(
        audit_event_id=event_id,
        status=outcome.status,
        reported_at=time_text(call.context.now_ns()),
        state=answer.state.value,
        outcome_id=answer.outcome_id,
        revision=answer.revision,
    )
    return answer_of(made, REPORT_STATUS[answer.state])


def told_as_lattice(refused: RequestRefused) -> Response:
    """The answer to a refusal in AgentLattice's codes."""
    status, error = _code_of(refused)
    made = LatticeProblem(
        error=error,
        message=refused.detail,
        code=refused.code.value,
        retryable=refused.retryable,
        fields=list(refused.fields),
    )
    return Response(msgspec.json.encode(made), status, refused.headers, JSON_TYPE)


def _code_of(refused: RequestRefused) -> tuple[int, str]:
    if refused.code is RefusalCode.INVALID_REPORT and not _EVENT_FIELDS.isdisjoint(refused.fields):
        return 400, _NO_EVENT_ID
    return _CODES.get(refused.code, (refused.status, refused.code.value))


def _operation(path: str, name: str, body: type[msgspec.Struct], carry_out: Any) -> Operation:
    return Operation(
        method="POST",
        path=path,
        name=name,
        summary="AgentLattice: report what came of an audit event",
        right=Right.REPORT,
        carry_out=carry_out,
        body=body,
        answers=(
            AnswerKind(201, "The outcome was recorded.", LatticeAnswer),
            AnswerKind(200, "The same outcome stood already.", LatticeAnswer),
            AnswerKind(202, "The outcome is held for an event that has not arrived.", LatticeAnswer),
        ),
        headers=("idempotency-key",),
        refusals=(400, 404),
        group=ADAPTERS,
        problem=LatticeProblem,
        tell=told_as_lattice,
    )


AGENTLATTICE: Final = (
    _operation("/v1/audit-events/{id:key}/outcome", "agentLatticeOutcome", LatticeOutcome, take_lattice_outcome),
    _operation("/api/v1/report", "agentLatticeReport", LatticeReport, take_lattice_report),
)
