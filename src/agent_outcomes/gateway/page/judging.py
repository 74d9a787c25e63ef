# SPDX-License-Identifier: Apache-2.0
"""Judge: the pending runs, oldest first, one at a time, and the next as soon as one is judged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.routing import Route

from agent_outcomes.gateway.page.names import given_name, keep_name
from agent_outcomes.gateway.page.outcome_words import Mark, kind_words, standing_mark
from agent_outcomes.gateway.page.references import reference_of
from agent_outcomes.gateway.page.refusals import PageRefusal, page_refusal_of
from agent_outcomes.gateway.page.rendering import address
from agent_outcomes.gateway.page.report_forms import TYPES, OutcomeForm, late_report_of, new_form, typed_outcome
from agent_outcomes.gateway.page.run_list import Wanted, place_text, read_place, read_wanted, run_filter, run_line
from agent_outcomes.gateway.page.run_view import standing_view
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.keys import Right
from agent_outcomes.semconv import State

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.page.doors import Door, Visit, Visitor
    from agent_outcomes.gateway.page.trace_links import TraceUrl
    from agent_outcomes.ledger.rows import RunRow

QUEUE_ROWS: Final = 12
_GONE: Final = frozenset({RefusalCode.STALE_REVISION, RefusalCode.OUTCOME_CONFLICT})


class Judged(NamedTuple):
    """The run that was judged last, and how it stands now."""

    outcome_id: str
    agent: str | None
    verdict: Mark
    kind: str


class _Place(NamedTuple):
    """Where somebody is in the queue: what they judge, and after which run."""

    agent: str
    job_type: str
    after: str

    def address(self, *, after: str | None = None, done: str | None = None) -> str:
        """The address of this place, or of a later one."""
        return address("/judge", agent=self.agent, job_type=self.job_type, after=after or self.after, done=done)


class JudgePage:
    """The page where people judge."""

    def __init__(self, door: Door, trace_url: TraceUrl | None) -> None:
        self._door = door
        self._trace_url = trace_url

    def routes(self) -> list[BaseRoute]:
        """Its routes."""
        return [
            Route("/judge", self._door.view(self._look)),
            Route("/judge/{id}", self._door.action(Right.REPORT, self._judge), methods=["POST"]),
            Route("/judge/{id}", self._door.view(self._back)),
        ]

    async def _look(self, visit: Visit) -> Response:
        place = _place_of(visit)
        done = visit.request.query_params.get("done", "")
        judged = await self._judged(visit.visitor, done) if done else None
        return await self._shown(visit, place, judged=judged)

    async def _back(self, visit: Visit) -> Response:
        """For whoever loads the address of a form."""
        return self._door.elsewhere(_place_of(visit).address())

    async def _judge(self, visit: Visit) -> Response:
        place = _place_of(visit)
        outcome_id = visit.request.path_params["id"]
        form = typed_outcome(visit.fields)
        context = self._door.context
        try:
            report = late_report_of(form, outcome_id, visit.visitor.caller.reporter(may_correct=False))
            await context.run_blocking(partial(context.store.report, report, now_ns=context.now_ns(), hold_s=0))
        except ReportRefused as refused:
            refusal = page_refusal_of(refused)
            if refused.code in _GONE:
                # Judged by somebody else meanwhile: it is no longer in the queue, so that the next one is shown.
                judged = await self._judged(visit.visitor, outcome_id)
                return await self._shown(visit, place, refusal=refusal, judged=judged)
            return await self._shown(visit, place, refusal=refusal, form=form, first=outcome_id)
        response = self._door.elsewhere(place.address(done=outcome_id))
        keep_name(visit, response)
        return response

    async def _shown(
        self,
        visit: Visit,
        place: _Place,
        *,
        judged: Judged | None = None,
        refusal: PageRefusal | None = None,
        form: OutcomeForm | None = None,
        first: str | None = None,
    ) -> Response:
        context = self._door.context
        wanted = Wanted(state=State.PENDING.value, agent=place.agent, job_type=place.job_type)
        now_ns = context.now_ns()
        asked = run_filter(wanted, visit.visitor.caller.agents, read_place(place.after), now_ns, QUEUE_ROWS)._replace(
            oldest_first=True
        )
        page = await context.run_blocking(partial(context.store.run_page, asked))
        rows = page.rows
        current = next((row for row in rows if row.outcome_id == first), rows[0] if rows else None)
        return self._door.page(
            "judge.html",
            visit.visitor,
            200 if refusal is None else refusal.status,
            run=None if current is None else standing_view(current),
            trace_url=self._trace_of(current),
            age_ns=0 if current is None else now_ns - current.end_ns,
            queue=[run_line(row, now_ns) for row in rows if row is not current],
            has_more=page.next is not None,
            further=None if page.next is None else place.address(after=place_text(page.next)),
            skip=None if current is None else place.address(after=place_text((current.end_ns, current.id))),
            again=_Place(place.agent, place.job_type, "").address() if place.after else None,
            place=place,
            form=form or new_form(0 if current is None else current.standing.revision, given_name(visit.request)),
            types=TYPES,
            judged=judged,
            refusal=refusal,
            agents=None if visit.visitor.caller.agents is None else sorted(visit.visitor.caller.agents),
        )

    async def _judged(self, visitor: Visitor, outcome_id: str) -> Judged | None:
        context = self._door.context
        try:
            rows = await context.run_blocking(partial(context.store.matching, reference_of(outcome_id)))
        except ReportRefused:
            return None
        row = next((row for row in rows if row.outcome_id == outcome_id), None)
        if row is None or not visitor.caller.sees(row.agent_name):
            return None
        content = row.standing.content
        kind = "" if content is None else kind_words(content.outcome)
        return Judged(row.outcome_id, row.agent_name, standing_mark(content), kind)

    def _trace_of(self, row: RunRow | None) -> str | None:
        return None if row is None or self._trace_url is None else self._trace_url.of(row.outcome_id)


def _place_of(visit: Visit) -> _Place:
    """Where a visitor is, by the address, and by the form that they send."""
    given = {**visit.request.query_params}
    wanted = read_wanted(given)
    after = place_text(read_place(given.get("after", ""))) or ""
    return _Place(wanted.agent, wanted.job_type, after)
