# SPDX-License-Identifier: Apache-2.0
"""What the runs of a range of time come to, as of one moment: of each run what stands, whoever delivers it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.content import field_in_content
from agent_outcomes.ledger.book.overviews import Overview, OverviewSums, standing_facts
from agent_outcomes.ledger.ids import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement, Connection, Select

    from agent_outcomes.ledger.store import Store

OVERVIEW_RUNS_MAX: Final = 100_000
"""How many runs are looked at, the last that ended first."""
BUCKETS_MAX: Final = 400
"""How many steps a range has at most: a smaller step is made larger."""
_READ_AT_ONCE: Final = 1_000
_NS: Final = 1_000_000_000
_RUNS: Final = schema.runs.c
_REVISIONS: Final = schema.revisions.c


class OverviewFilter(NamedTuple):
    """Which runs: those that ended from `since_ns` on and before `until_ns`, of one agent or kind of job, or of all.

    `agents` are those that whoever asks may see, `None` for all.
    """

    since_ns: int
    until_ns: int
    agent: str | None = None
    job_type: str | None = None
    step_s: int = 3600
    agents: frozenset[str] | None = None


def overview(
    store: Store,
    wanted: OverviewFilter,
    *,
    decode: Callable[[bytes], Any] = json.loads,
    runs_max: int = OVERVIEW_RUNS_MAX,
) -> Overview:
    """What these runs come to. `decode` reads JSON. Raises `LedgerError` where the ledger cannot be read."""
    sums = OverviewSums(_step_s(wanted))
    with (
        store.database.reading() as connection,
        connection.execute(_query(wanted, runs_max), execution_options={"yield_per": _READ_AT_ONCE}) as rows,
    ):
        is_partial = _add_up(rows, sums, wanted.job_type, decode, runs_max)
    return sums.overview(is_partial=is_partial)


def _add_up(
    rows: Iterable[Any],
    sums: OverviewSums,
    job_type: str | None,
    decode: Callable[[bytes], Any],
    runs_max: int,
) -> bool:
    """Add the runs of these rows, each an end and a content; whether there are more than may be looked at."""
    needle = None if job_type is None else field_in_content("job_type", job_type)
    for looked, (end_ns, content) in enumerate(rows, 1):
        if looked > runs_max:
            return True
        if content is None:
            sums.add_pruned()
        elif needle is None or needle in bytes(content):
            sums.add(standing_facts(end_ns, decode(bytes(content))))
    return False


def agents_of(store: Store, agents_max: int = 1_000) -> list[str]:
    """The names of the agents that have runs, in their order, of very many the first ones."""
    with store.database.reading() as connection:
        return _agent_names(connection, agents_max)


def _agent_names(connection: Connection, agents_max: int) -> list[str]:
    found: list[str] = []
    # From one to the next, as the index has them: to look through all runs would take long.
    following = select(func.min(_RUNS.agent_name))
    while len(found) < agents_max:
        query = following.where(_RUNS.agent_name > found[-1]) if found else following
        name = connection.execute(query).scalar()
        if name is None:
            return found
        found.append(name)
    return found


def _step_s(wanted: OverviewFilter) -> int:
    """The step that is wanted, but as many of them as are shown at most."""
    range_s = -((wanted.since_ns - wanted.until_ns) // _NS)
    return max(1, wanted.step_s, -(-range_s // BUCKETS_MAX))


def _query(wanted: OverviewFilter, runs_max: int) -> Select[*tuple[int, bytes | None]]:
    all_of_run = schema.revisions.alias().c
    last = select(func.max(all_of_run.revision)).where(all_of_run.run == _RUNS.id).scalar_subquery()
    return (
        select(_RUNS.end_ns, _REVISIONS.content)
        .join_from(schema.runs, schema.revisions, (_REVISIONS.run == _RUNS.id) & (_REVISIONS.revision == last))
        .where(*_conditions(wanted))
        .order_by(_RUNS.end_ns.desc(), _RUNS.id.desc())
        .limit(runs_max + 1)
    )


def _conditions(wanted: OverviewFilter) -> list[ColumnElement[bool]]:
    conditions = [_RUNS.end_ns >= wanted.since_ns, _RUNS.end_ns < wanted.until_ns]
    if wanted.agent is not None:
        conditions.append(_RUNS.agent_name == storable(wanted.agent))
    if wanted.agents is not None:
        conditions.append(_RUNS.agent_name.in_(sorted(filter(None, map(storable, wanted.agents)))))
    return conditions
