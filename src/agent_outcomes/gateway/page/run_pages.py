# SPDX-License-Identifier: Apache-2.0
"""The list of runs, one run, and what may be done to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from agent_outcomes.gateway.page.names import given_name, keep_name
from agent_outcomes.gateway.page.references import reference_of
from agent_outcomes.gateway.page.refusals import PageRefusal, page_refusal_of
from agent_outcomes.gateway.page.rendering import address
from agent_outcomes.gateway.page.report_forms import (
    KINDS,
    TYPES,
    CostForm,
    OutcomeForm,
    late_cost_of,
    late_report_of,
    new_cost_form,
    new_form,
    retraction_of,
    standing_form,
    typed_cost,
    typed_outcome,
)
from agent_outcomes.gateway.page.run_list import (
    RANGES,
    Wanted,
    place_text,
    read_place,
    read_wanted,
    run_filter,
    run_line,
)
from agent_outcomes.gateway.page.run_view import run_view
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused, ReportState
from agent_outcomes.ledger.keys import Right
from agent_outcomes.semconv import State, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.page.doors import Door, Visit
    from agent_outcomes.gateway.page.trace_links import TraceUrl
    from agent_outcomes.ledger.book.refusals import Report
    from agent_outcomes.ledger.book.reports import RunReference
    from agent_outcomes.ledger.rows import RunHistory

_DONE: Final = {
    "report": "Recorded.",
    "retract": "Taken back: the run is pending again.",
    "costs": "The cost was added.",
    "unchanged": "That is what stands already; nothing was changed.",
}


class RunPages:
    """The pages on runs."""

    def __init__(self, door: Door, trace_url: TraceUrl | None) -> None:
        self._door = door
        self._trace_url = trace_url

    def routes(self) -> list[BaseRoute]:
        """Their routes; a run's id may have any characters, so that what is done to it comes first."""
        door = self._door
        return [
            Route("/runs", door.view(self._list)),
            Route("/find", door.view(self._find)),
            Route("/runs/{id}/report", door.action(Right.REPORT, self._report), methods=["POST"]),
            Route("/runs/{id}/retract", door.action(Right.CORRECT, self._retract), methods=["POST"]),
            Route("/runs/{id}/costs", door.action(Right.REPORT, self._add_cost), methods=["POST"]),
            *(Route(f"/runs/{{id}}/{what}", door.view(self._back)) for what in ("report", "retract", "costs")),
            Route("/runs/{id:path}", door.view(self._run)),
        ]

    async def _list(self, visit: Visit) -> Response:
        query = visit.request.query_params
        now_ns = self._door.context.now_ns()
        wanted = read_wanted(query)
        bound = visit.visitor.caller.agents
        before = read_place(query.get("before", ""))
        page = await self._door.context.run_blocking(
            partial(self._door.context.store.run_page, run_filter(wanted, bound, before, now_ns))
        )
        lines = [run_line(row, now_ns) for row in page.rows]
        further = place_text(page.next)
        return self._door.page(
            "runs.html",
            visit.visitor,
            lines=lines,
            wanted=wanted,
            later=None if further is None else address("/runs", **{**wanted._asdict(), "before": further}),
            first=None if before is None else address("/runs", **wanted._asdict()),
            agents=None if bound is None else sorted(bound),
            ranges=RANGES,
            states=[state.value for state in State],
            statuses=[status.value for status in Status],
            types=TYPES,
            narrow=wanted != Wanted(),
        )

    async def _find(self, visit: Visit) -> Response:
        text = visit.request.query_params.get("id", "").strip()
        return self._door.elsewhere(address("/runs", text) if text else "/runs")

    async def _back(self, visit: Visit) -> Response:
        """For whoever loads the address of a form."""
        return self._door.elsewhere(address("/runs", visit.request.path_params["id"]))

    async def _run(self, visit: Visit) -> Response:
        reference = reference_of(visit.request.path_params["id"])
        store = self._door.context.store
        try:
            found = await self._door.context.run_blocking(partial(store.run, reference))
        except ReportRefused as refused:
            if refused.code is not RefusalCode.RUN_AMBIGUOUS:
                raise
            return await self._several(visit, reference)
        _check_sees(visit.visitor.caller, found.row.agent_name)
        done = _DONE.get(visit.request.query_params.get("done", ""))
        return self._shown(visit, found, done=done)

    async def _several(self, visit: Visit, reference: RunReference) -> Response:
        context = self._door.context
        rows = await context.run_blocking(partial(context.store.matching, reference))
        seen = [row for row in rows if visit.visitor.caller.sees(row.agent_name)]
        lines = [run_line(row, context.now_ns()) for row in seen]
        return self._door.page("several.html", visit.visitor, 300, lines=lines)

    def _shown(
        self,
        visit: Visit,
        found: RunHistory,
        *,
        done: str | None = None,
        refusal: PageRefusal | None = None,
        outcome_form: OutcomeForm | None = None,
        cost_form: CostForm | None = None,
        tried: str = "",
    ) -> Response:
        view = run_view(found)
        name = given_name(visit.request)
        form = outcome_form
        if form is None:
            is_pending = view.state is State.PENDING
            form = new_form(view.revision, name) if is_pending else standing_form(view.outcome, view.revision, name)
        return self._door.page(
            "run.html",
            visit.visitor,
            200 if refusal is None else refusal.status,
            run=view,
            trace_url=None if self._trace_url is None else self._trace_url.of(view.outcome_id),
            form=form,
            blank_form=new_form(view.revision, name),
            cost_form=cost_form or new_cost_form(name),
            tried=tried,
            types=TYPES,
            kinds=KINDS,
            done=done,
            refusal=refusal,
            is_pending=view.state is State.PENDING,
            may_change=visit.visitor.may_correct,
        )

    async def _report(self, visit: Visit) -> Response:
        form = typed_outcome(visit.fields)
        store, now_ns = self._door.context.store, self._door.context.now_ns()

        def take(outcome_id: str) -> Report:
            report = late_report_of(form, outcome_id, visit.visitor.caller.reporter())
            return store.report(report, now_ns=now_ns, hold_s=0)

        return await self._taken(visit, "report", take, outcome_form=form)

    async def _retract(self, visit: Visit) -> Response:
        form = typed_outcome(visit.fields)
        store, now_ns = self._door.context.store, self._door.context.now_ns()

        def take(outcome_id: str) -> Report:
            report = retraction_of(form, outcome_id, visit.visitor.caller.reporter())
            return store.report(report, now_ns=now_ns, hold_s=0)

        return await self._taken(visit, "retract", take)

    async def _add_cost(self, visit: Visit) -> Response:
        form = typed_cost(visit.fields)
        store, now_ns = self._door.context.store, self._door.context.now_ns()

        def take(outcome_id: str) -> Report:
            return store.add_cost(
                late_cost_of(form, outcome_id, visit.visitor.caller.reporter()), now_ns=now_ns, hold_s=0
            )

        return await self._taken(visit, "costs", take, cost_form=form)

    async def _taken(
        self,
        visit: Visit,
        what: str,
        take: Callable[[str], Report],
        *,
        outcome_form: OutcomeForm | None = None,
        cost_form: CostForm | None = None,
    ) -> Response:
        outcome_id = visit.request.path_params["id"]
        context = self._door.context
        try:
            answer = await context.run_blocking(partial(take, outcome_id))
        except ReportRefused as refused:
            refusal = page_refusal_of(refused)
            reference = reference_of(outcome_id)
            found = await context.run_blocking(partial(context.store.run, reference))
            _check_sees(visit.visitor.caller, found.row.agent_name)
            return self._shown(
                visit, found, refusal=refusal, outcome_form=outcome_form, cost_form=cost_form, tried=what
            )
        done = "unchanged" if answer.state is ReportState.UNCHANGED else what
        response = self._door.elsewhere(address("/runs", outcome_id, done=done))
        keep_name(visit, response)
        return response


def _check_sees(caller: Caller, agent_name: str | None) -> None:
    if not caller.sees(agent_name):
        text = "This run belongs to another agent than this key may speak for."
        raise PageRefusal(403, "Not with this key", text)
