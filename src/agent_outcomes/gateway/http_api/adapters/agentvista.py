# SPDX-License-Identifier: Apache-2.0
"""AgentVista's late update: `success` and `outcome` of a trace, the last one stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from agent_outcomes.gateway.http_api.adapters.reporting import (
    body_as,
    report_or_replace,
    trace_or_key,
)
from agent_outcomes.gateway.http_api.answering import answer_of
from agent_outcomes.gateway.http_api.bodies import read_fields
from agent_outcomes.gateway.http_api.operations import ADAPTERS, AnswerKind, Operation
from agent_outcomes.gateway.http_api.references import idempotency_of
from agent_outcomes.ledger.book.refusals import ReportState
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall

_TRACE_ID: Final = "trace_id"


class VistaOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the run succeeded by the user's own definition, and an optional label."""

    success: bool | None = None
    outcome: Annotated[str, Meta(max_length=256)] | None = None


class VistaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome as it was taken."""

    trace_id: str
    success: bool | None
    outcome: str | None
    state: str
    outcome_id: str | None
    revision: int | None


async def take_vista_outcome(call: ApiCall) -> Response:
    """`PATCH /api/v1/dashboard/traces/{trace_id}/outcome`."""
    body = body_as(await read_fields(call.request), VistaOutcome)
    trace_id = str(call.request.path_params[_TRACE_ID])
    fields = {"success": body.success, "label": body.outcome, **trace_or_key(trace_id)}
    answer = await report_or_replace(call, {**fields, **idempotency_of(call.request.headers)})
    made = VistaAnswer(
        trace_id=trace_id,
        success=body.success,
        outcome=body.outcome,
        state=answer.state.value,
        outcome_id=answer.outcome_id,
        revision=answer.revision,
    )
    return answer_of(made, 202 if answer.state is ReportState.HELD else 200)


AGENTVISTA: Final = (
    Operation(
        method="PATCH",
        path="/api/v1/dashboard/traces/{trace_id:key}/outcome",
        name="agentVistaOutcome",
        summary="AgentVista: set the outcome of a trace",
        right=Right.REPORT,
        carry_out=take_vista_outcome,
        body=VistaOutcome,
        answers=(
            AnswerKind(200, "The outcome stands.", VistaAnswer),
            AnswerKind(202, "The outcome is held for a trace that has not arrived.", VistaAnswer),
        ),
        headers=("idempotency-key",),
        refusals=(400, 404, 409, 413, 415, 422),
        group=ADAPTERS,
    ),
)
