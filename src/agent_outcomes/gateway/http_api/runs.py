# SPDX-License-Identifier: Apache-2.0
"""Runs: what stands of them, their history, and those that are told in one call because they made no spans."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.http_api.answering import answer_of
from agent_outcomes.gateway.http_api.problems import RequestCode, RequestRefused, forbidden
from agent_outcomes.gateway.http_api.queries import (
    RunQuery,
    RunsQuery,
    agent_asked_for,
    cursor_of,
    range_ns,
    read_cursor,
    read_query,
)
from agent_outcomes.gateway.http_api.references import etag_of, run_named_by
from agent_outcomes.gateway.http_api.run_answers import RunPageAnswer, detail_answer, revisions_answer, run_answer
from agent_outcomes.ledger.book.reading import read_reference
from agent_outcomes.ledger.book.refusals import ambiguous, not_found
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.semconv import OutcomeType, State, Status

if TYPE_CHECKING:
    from starlette.responses import Response

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.rows import RunHistory
    from agent_outcomes.ledger.store import Store

_OF_A_RESULT: Final = ("type", "label")


async def list_runs_asked_for(call: ApiCall) -> Response:
    """`GET /v1/runs`."""
    wanted = _filter(call, read_query(call.request.query_params, RunsQuery))
    page = await call.context.run_blocking(partial(call.context.store.run_page, wanted))
    following = None if page.next is None else cursor_of(page.next)
    return answer_of(RunPageAnswer(runs=list(map(run_answer, page.rows)), next=following))


async def tell_run(call: ApiCall) -> Response:
    """`GET /v1/runs/{id}`."""
    history = await run_asked_for(call)
    return answer_of(detail_answer(history), headers={"etag": etag_of(history.row.standing.revision)})


async def tell_revisions(call: ApiCall) -> Response:
    """`GET /v1/runs/{id}/revisions`."""
    history = await run_asked_for(call)
    return answer_of(revisions_answer(history), headers={"etag": etag_of(history.row.standing.revision)})


async def run_asked_for(call: ApiCall) -> RunHistory:
    """All about the run that the path names. Raises `ReportRefused`, or `RequestRefused` for another's run."""
    query = read_query(call.request.query_params, RunQuery)
    named = run_named_by(call.identifier)
    named["run"] = query.run
    reference = read_reference(**named)
    return await call.context.run_blocking(partial(history_for, call.caller, call.context.store, reference))


def history_for(caller: Caller, store: Store, reference: RunReference) -> RunHistory:
    """All about the one run of the caller's that is meant. Raises as `run_asked_for` does; it blocks."""
    matching = store.matching(reference)
    own = [row for row in matching if caller.sees(row.agent_name)]
    if matching and not own:
        said = "the run belongs to another agent than this key is of; use the key of that agent"
        raise forbidden(said)
    if not own:
        raise not_found(reference.field)
    if len(own) > 1 and not reference.latest:
        raise ambiguous(reference.field, [row.outcome_id for row in own])
    return store.run(RunReference(outcome_id=own[0].outcome_id))


def _filter(call: ApiCall, query: RunsQuery) -> RunFilter:
    since_ns, end_ns = range_ns(query.since, query.until, call.context.now_ns())
    _check_pending(query)
    return RunFilter(
        state=None if query.state is None else State(query.state),
        agent=agent_asked_for(call.caller, query.agent),
        since_ns=since_ns,
        until_ns=end_ns,
        limit=query.limit,
        job_type=query.job_type,
        status=None if query.status is None else Status(query.status),
        type=None if query.type is None else OutcomeType(query.type),
        label=query.label,
        agents=call.caller.agents,
        before=read_cursor(query.cursor),
    )


def _check_pending(query: RunsQuery) -> None:
    """Refuse to look for what a pending run has not: nothing of a result was reported."""
    if query.state == State.PENDING.value:
        asked = [name for name in _OF_A_RESULT if getattr(query, name) is not None]
        if asked:
            said = f"a pending run has no {' and no '.join(asked)}; give state reported, or leave one of them out"
            raise RequestRefused(RequestCode.INVALID_QUERY, said, ("state", *asked))
