# SPDX-License-Identifier: Apache-2.0
"""Dead letters: events that a receiver has refused for good, with its words, and sending them once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import literal_column, select, update

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.ids import outcome_id_of
from agent_outcomes.ledger.rows import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Row

    from agent_outcomes.ledger.store import Store

_DELIVERIES = schema.deliveries.c
# Written out, so that the databases see that their small index answers it.
_IS_DEAD = _DELIVERIES.state == literal_column("'dead'")


class DeadLetter(NamedTuple):
    """An event that was refused: its number, its run's outcome and revision (none of a pause), and why."""

    id: int
    outcome_id: str | None
    revision: int | None
    event: int
    reason: str
    message: str
    created_ns: int
    payload: bytes


def dead_letters(store: Store) -> Iterator[DeadLetter]:
    """All dead letters, in the order in which they were accepted."""
    runs = schema.runs.c
    query = (
        select(schema.deliveries, runs.trace_id, runs.span_id)
        .join_from(schema.deliveries, schema.runs, _DELIVERIES.run == runs.id, isouter=True)
        .where(_IS_DEAD)
        .order_by(_DELIVERIES.id)
    )
    with store.database.reading() as connection:
        yield from map(_dead_letter, connection.execute(query, execution_options={"yield_per": 100}))


def _dead_letter(row: Row[Any]) -> DeadLetter:
    outcome_id = None if row.trace_id is None else outcome_id_of(row.trace_id, row.span_id)
    payload = b"" if row.payload is None else bytes(row.payload)
    reason, message = row.reason or "", row.message or ""
    return DeadLetter(row.id, outcome_id, row.revision, row.event, reason, message, row.created_ns, payload)


def retry_dead_letters(store: Store, ids: Collection[int] | None = None) -> int:
    """Have dead letters, all or those with these numbers, wait to be delivered again; how many do."""
    waiting = update(schema.deliveries).where(_IS_DEAD)
    if ids is not None:
        waiting = waiting.where(_DELIVERIES.id.in_(ids))
    values = {"state": DeliveryState.WAITING.value, "reason": None, "message": None}
    return store.database.write(lambda connection: connection.execute(waiting.values(values)).rowcount)
