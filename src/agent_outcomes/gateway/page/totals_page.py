# SPDX-License-Identifier: Apache-2.0
"""The page of totals."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.routing import Route

from agent_outcomes.gateway.page.period import read_period
from agent_outcomes.gateway.page.totals import Asked, totals_view
from agent_outcomes.ledger.overview import OverviewFilter, agents_of, overview
from agent_outcomes.ledger.rows import RunFilter

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from agent_outcomes.gateway.page.doors import Door, Visit
    from agent_outcomes.ledger.book.overviews import Overview
    from agent_outcomes.ledger.store import Store

_TEXT_LENGTH_MAX: Final = 256
_AGENTS_MAX: Final = 200


class TotalsPage:
    """What runs amount to."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        """Its route."""
        return [Route("/", self._door.view(self._look))]

    async def _look(self, visit: Visit) -> Response:
        context = self._door.context
        asked = _asked(visit, context.now_ns())
        bound = visit.visitor.caller.agents
        found = await context.run_blocking(partial(_read, context.store, asked, bound))
        view = totals_view(found, asked)
        return self._door.page(
            "totals.html",
            visit.visitor,
            view=view,
            agents=sorted(bound)
            if bound is not None
            else await context.run_blocking(partial(_agents, context.store, asked)),
            job_types=_job_types(found, asked),
            has_runs=not view.is_empty or await context.run_blocking(partial(_has_runs, context.store, bound)),
        )


def _asked(visit: Visit, now_ns: int) -> Asked:
    query = visit.request.query_params
    agent, job_type = (query.get(name, "").strip()[:_TEXT_LENGTH_MAX] for name in ("agent", "job_type"))
    return Asked(read_period(query, now_ns), agent, job_type)


def _read(store: Store, asked: Asked, agents: frozenset[str] | None) -> Overview:
    period = asked.period
    wanted = OverviewFilter(
        since_ns=period.since_ns,
        until_ns=period.until_ns,
        agent=asked.agent or None,
        job_type=asked.job_type or None,
        step_s=period.step_s,
        agents=agents,
    )
    return overview(store, wanted, decode=msgspec.json.decode)


def _has_runs(store: Store, agents: frozenset[str] | None) -> bool:
    return bool(store.run_page(RunFilter(limit=1, agents=agents)).rows)


def _agents(store: Store, asked: Asked) -> list[str]:
    """Those that can be chosen, and the one that is chosen."""
    return sorted({*agents_of(store, _AGENTS_MAX)} | _given(asked.agent))


def _job_types(found: Overview, asked: Asked) -> list[str]:
    return sorted({job.job_type for job in found.jobs if job.job_type is not None} | _given(asked.job_type))


def _given(name: str) -> set[str]:
    return {name} if name else set()
