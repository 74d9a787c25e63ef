# SPDX-License-Identifier: Apache-2.0
"""Runs as the API tells of them: amounts as decimal texts, times in ISO 8601. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent_outcomes.ledger.exporting import time_text
from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.rows import DeliveryRow, HeldRow, RevisionRow, RunHistory, RunRow


class CostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One part of what a run cost; `amount` is a decimal text, exact."""

    kind: str
    currency: str
    amount: str


class RevisionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome as it stood with one revision. Of one that was pruned only its number, times and digest are left."""

    revision: int
    change: str | None
    state: str | None = None
    success: bool | None = None
    type: str | None = None
    label: str | None = None
    value: str | None = None
    currency: str | None = None
    message: str | None = None
    metadata: str | None = None
    costs: list[CostAnswer] = []
    reported_by: str | None = None
    reason: str | None = None
    reported_at: str
    recorded_at: str
    problems: list[str] = []
    digest: str


class RunAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and the outcome that stands."""

    outcome_id: str
    trace_id: str
    run_id: str | None
    agent_name: str | None
    status: str
    state: str
    ended_at: str
    accepted_at: str
    job_type: str | None = None
    conversation_id: str | None = None
    retryable: bool | None = None
    error_category: str | None = None
    error_type: str | None = None
    duration_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model_calls: int | None = None
    tool_calls: int | None = None
    outcome: RevisionAnswer


class RunPageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, the last that ended first; `next` is the `cursor` of the next page, if there is one."""

    runs: list[RunAnswer]
    next: str | None


class DeliveryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a run, and how far it is; `reason` and `message` tell why it is dead."""

    revision: int | None
    event: int
    state: str
    reason: str | None
    message: str | None
    created_at: str
    delivered_at: str | None


class HeldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A report that came before its run; `code` is why it was refused when that came."""

    kind: str
    state: str
    code: str | None
    reported_by: str | None
    held_at: str


class RunDetailAnswer(RunAnswer, frozen=True, kw_only=True):
    """All about one run but its history."""

    resource: dict[str, Any]
    deliveries: list[DeliveryAnswer]
    held: list[HeldAnswer]


class RevisionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The history of a run's outcome, the first revision first."""

    outcome_id: str
    revisions: list[RevisionAnswer]


def run_answer(row: RunRow) -> RunAnswer:
    """A run with what stands of it."""
    return RunAnswer(**_run_fields(row))


def detail_answer(history: RunHistory) -> RunDetailAnswer:
    """All about one run but its history."""
    resource = {shown_text(name): _plain(value) for name, value in history.resource.attributes}
    deliveries, held = list(map(_delivery, history.deliveries)), list(map(_held, history.held))
    return RunDetailAnswer(**_run_fields(history.row), resource=resource, deliveries=deliveries, held=held)


def revisions_answer(history: RunHistory) -> RevisionsAnswer:
    """The history of a run's outcome."""
    return RevisionsAnswer(outcome_id=history.row.outcome_id, revisions=list(map(revision_answer, history.revisions)))


def revision_answer(row: RevisionRow) -> RevisionAnswer:
    """One revision."""
    fields = {} if row.content is None else _outcome_fields(row.content)
    return RevisionAnswer(
        revision=row.revision,
        change=None if row.change is None else row.change.value,
        reported_at=time_text(row.reported_ns),
        recorded_at=time_text(row.recorded_ns),
        digest=row.digest.hex(),
        **fields,
    )


def _run_fields(row: RunRow) -> dict[str, Any]:
    content = row.standing.content
    return {
        "outcome_id": row.outcome_id,
        "trace_id": row.outcome_id[:32],
        "run_id": shown_text(row.run_id),
        "agent_name": shown_text(row.agent_name),
        "status": row.status,
        "state": row.state.value,
        "ended_at": time_text(row.end_ns),
        "accepted_at": time_text(row.accepted_ns),
        "outcome": revision_answer(row.standing),
        **({} if content is None else _facts(content)),
    }


def _facts(content: Content) -> dict[str, Any]:
    run, outcome = content.run, content.outcome
    return {
        "job_type": shown_text(run.job_type),
        "conversation_id": shown_text(run.conversation_id),
        "retryable": outcome.retryable,
        "error_category": shown_text(outcome.error_category),
        "error_type": shown_text(outcome.error_type),
        "duration_s": run.duration_s,
        "input_tokens": run.usage.input_tokens,
        "output_tokens": run.usage.output_tokens,
        "model_calls": run.usage.model_calls,
        "tool_calls": run.usage.tool_calls,
    }


def _outcome_fields(content: Content) -> dict[str, Any]:
    outcome = content.outcome
    return {
        "state": outcome.state.value,
        "success": outcome.business_success,
        "type": None if outcome.type is None else outcome.type.value,
        "label": shown_text(outcome.label),
        "value": None if outcome.value is None else plain_text(outcome.value),
        "currency": None if outcome.value is None else outcome.currency,
        "message": shown_text(outcome.message),
        "metadata": shown_text(outcome.metadata),
        "costs": [
            CostAnswer(kind=part.kind.value, currency=part.currency, amount=plain_text(part.amount))
            for part in content.run.cost.parts
        ],
        "reported_by": shown_text(content.reported_by),
        "reason": shown_text(content.reason),
        "problems": [shown_text(str(problem)) for problem in outcome.problems],
    }


def _delivery(row: DeliveryRow) -> DeliveryAnswer:
    return DeliveryAnswer(
        revision=row.revision,
        event=row.event,
        state=row.state.value,
        reason=row.reason,
        message=shown_text(row.message),
        created_at=time_text(row.created_ns),
        delivered_at=None if row.delivered_ns is None else time_text(row.delivered_ns),
    )


def _held(row: HeldRow) -> HeldAnswer:
    by, at = shown_text(row.reported_by), time_text(row.held_ns)
    return HeldAnswer(kind=row.kind, state=row.state.value, code=row.code, reported_by=by, held_at=at)


def _plain(value: Any) -> Any:
    """A value of a resource as JSON takes it."""
    if isinstance(value, str):
        return shown_text(value)
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def shown_text(text: Any) -> Any:
    """A text that UTF-8 has a form of: lone surrogates are escaped."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
