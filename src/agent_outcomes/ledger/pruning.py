# SPDX-License-Identifier: Apache-2.0
"""Pruning: the details of old runs go, and what makes their history provable stays.

Kept are the run itself, so that it is not accepted twice, each revision's digest and what it posted, totals and seals.
Gone are contents, events, idempotency keys and joined reports. A run is pruned only when all its events are delivered;
the room in the file is used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, func, select, update

from agent_outcomes.bounds import TIME_MAX_NS
from agent_outcomes.ledger import schema
from agent_outcomes.ledger.accounting import PRUNED_EVENTS
from agent_outcomes.ledger.rows import DeliveryState, HeldState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from agent_outcomes.ledger.store import Store

BATCH_RUNS: Final = 500
_RUNS: Final = schema.runs.c
_REVISIONS: Final = schema.revisions.c
_DELIVERIES: Final = schema.deliveries.c


class Prunable(NamedTuple):
    """What pruning would do: runs that can go, and runs as old that stay, as events of theirs are not delivered."""

    runs: int
    undelivered: int


def prunable(store: Store, before_ns: int) -> Prunable:
    """How many runs that ended before then can be pruned, and how many cannot."""
    with store.database.reading() as connection:
        old = connection.execute(select(func.count()).where(_is_old(before_ns))).scalar_one()
        free = connection.execute(select(func.count()).where(_is_old(before_ns), ~_has_undelivered())).scalar_one()
    return Prunable(free, old - free)


def prune(store: Store, before_ns: int, *, progress: Callable[[int], object] | None = None) -> int:
    """Prune the runs that ended before then, a batch in each transaction; how many. `progress` is told so far.

    Raises `LedgerError` or `LedgerUnavailable`; what was pruned until then stays so.
    """
    done = 0
    while True:
        pruned = store.database.write(lambda connection: _prune_batch(connection, before_ns))
        done += pruned
        if progress is not None:
            progress(done)
        if pruned < BATCH_RUNS:
            store.database.write(lambda connection: _prune_pauses(connection, before_ns))
            return done


def _is_old(before_ns: int) -> ColumnElement[bool]:
    has_content = select(_REVISIONS.id).where(_REVISIONS.run == _RUNS.id, _REVISIONS.content.is_not(None)).exists()
    return (_RUNS.end_ns < before_ns) & has_content


def _has_undelivered() -> ColumnElement[bool]:
    mine = _DELIVERIES.run == _RUNS.id
    return select(_DELIVERIES.id).where(mine, _DELIVERIES.state != DeliveryState.DELIVERED.value).exists()


def _prune_batch(connection: Connection, before_ns: int) -> int:
    old = select(_RUNS.id).where(_is_old(before_ns), ~_has_undelivered())
    # Who reports on one of them at this moment comes before or after.
    runs = connection.execute(old.order_by(_RUNS.end_ns).limit(BATCH_RUNS).with_for_update(of=schema.runs))
    rows = runs.scalars().all()
    if rows:
        connection.execute(update(schema.revisions).where(_REVISIONS.run.in_(rows)).values(content=None))
        _forget_events(connection, _DELIVERIES.run.in_(rows))
        _forget_reports(connection, rows)
    return len(rows)


def _forget_events(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete events; they stay counted among those that were accepted and delivered."""
    gone = connection.execute(delete(schema.deliveries).where(which)).rowcount
    meta = schema.meta
    mine = meta.c.name == PRUNED_EVENTS
    before = connection.execute(select(meta.c.value).where(mine)).scalar_one_or_none()
    if before is None:
        connection.execute(meta.insert().values(name=PRUNED_EVENTS, value=str(gone)))
    else:
        connection.execute(update(meta).where(mine).values(value=str(int(before) + gone)))


def _forget_reports(connection: Connection, rows: Sequence[int]) -> None:
    connection.execute(delete(schema.idempotency_keys).where(schema.idempotency_keys.c.run.in_(rows)))
    held = schema.held_reports.c
    joined = held.run.in_(rows) & (held.state == HeldState.JOINED.value)
    connection.execute(delete(schema.held_reports).where(joined))


def _prune_pauses(connection: Connection, before_ns: int) -> None:
    pauses = schema.pauses.c
    old = pauses.content.is_not(None) & (pauses.end_ns < before_ns)
    connection.execute(update(schema.pauses).where(old).values(content=None))
    held = schema.held_reports.c
    # Whoever has waited for a person for so long waits in vain, and so does what was reported of that run.
    in_vain = (held.expires_ns == TIME_MAX_NS) & (held.held_ns < before_ns)
    connection.execute(update(schema.held_reports).where(in_vain).values(expires_ns=before_ns))
    of_none = _DELIVERIES.run.is_(None) & (_DELIVERIES.created_ns < before_ns)
    _forget_events(connection, of_none & (_DELIVERIES.state == DeliveryState.DELIVERED.value))
