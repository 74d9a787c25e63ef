# SPDX-License-Identifier: Apache-2.0
"""Runs that made no spans, told in one call from whatever language."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from agent_outcomes.gateway.http_api.answering import answer_of
from agent_outcomes.gateway.http_api.bodies import read_fields
from agent_outcomes.gateway.http_api.references import etag_of, with_key
from agent_outcomes.gateway.http_api.report_shapes import GivenAmount  # noqa: TC001 - msgspec reads it
from agent_outcomes.gateway.signals.records import read_run_record

if TYPE_CHECKING:
    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall


class RecordBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run that is over. Without a status it is taken for a success, or for what `error_type` says.

    Its ids are made up: from the idempotency key, or from all that is said where there is a `run_id`. A key stands for
    all that is said under it, and is the caller's own.
    """

    agent: Annotated[str, Meta(min_length=1, max_length=256)]
    agent_id: str | None = None
    conversation_id: str | None = None
    run_id: str | None = None
    job_type: str | None = None
    status: (
        Annotated[str, Meta(description="success, partial, failure, timeout, cancelled or invalid_output.")] | None
    ) = None
    error_category: str | None = None
    error_type: Annotated[str, Meta(description="The class of its error.")] | None = None
    retryable: bool | None = None
    message: str | None = None
    success: bool | None = None
    type: Annotated[str, Meta(description="converted, escalated, deflected, unsuccessful or custom.")] | None = None
    label: str | None = None
    value: GivenAmount | None = None
    currency: Annotated[str, Meta(description="A code of ISO 4217; USD if not given.")] | None = None
    cost: GivenAmount | None = None
    cost_currency: str | None = None
    metadata: dict[str, Any] | str | None = None
    started: Annotated[str | float, Meta(description="RFC 3339, or Unix seconds.")] | None = None
    ended: Annotated[str | float, Meta(description="RFC 3339, or Unix seconds; now if not given.")] | None = None
    duration_s: Annotated[float, Meta(ge=0)] | None = None
    service_name: str | None = None
    service_namespace: str | None = None
    environment: str | None = None
    resource: dict[str, str | bool | float] | None = None
    idempotency_key: Annotated[str, Meta(description="Makes a repeat safe; the header says the same.")] | None = None


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome's id, by which later reports may name the run; `repeated` says that it was recorded before."""

    outcome_id: str
    run_id: str | None
    revision: int
    problems: list[str]
    repeated: bool


async def record_run_told(call: ApiCall) -> Response:
    """`POST /v1/runs`."""
    fields = with_key(await read_fields(call.request), call.request.headers)
    context, caller = call.context, call.caller
    acceptance, claim = read_run_record(fields, now_ns=context.now_ns(), caller=caller.name, agents=caller.agents)
    is_new = (await context.run_blocking(partial(context.store.accept, [acceptance], claim))).new > 0
    run = acceptance.run
    made = RecordedAnswer(
        outcome_id=run.id,
        run_id=run.run_id,
        revision=0,
        problems=[str(problem) for problem in acceptance.outcome.problems],
        repeated=not is_new,
    )
    headers = {"etag": etag_of(0), "location": f"/v1/runs/{run.id}"}
    return answer_of(made, 201 if is_new else 200, headers)
