# SPDX-License-Identifier: Apache-2.0
"""The events of a ledger that are still to be delivered, and what becomes of them."""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, literal_column, select, update

from agent_outcomes.ledger.rows import DeliveryState
from agent_outcomes.ledger.schema import SPAN, deliveries, resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from agent_outcomes.semconv import DeadReason

BATCH_ROWS_MAX: Final = 512
BATCH_BYTES_MAX: Final = 1_048_576
# Written out, so that the databases see that their small indexes answer it.
_IS_WAITING: Final = deliveries.c.state == literal_column(f"'{DeliveryState.WAITING.value}'")
_IS_DEAD: Final = deliveries.c.state == literal_column(f"'{DeliveryState.DEAD.value}'")


class DeliveryKind(Enum):
    """What is delivered to a receiver of its own: events as log records, and some revisions as zero-length spans."""

    EVENTS = auto()
    SPANS = auto()

    @property
    def rows(self) -> ColumnElement[bool]:
        """The rows of this kind."""
        return deliveries.c.event == SPAN if self is DeliveryKind.SPANS else deliveries.c.event != SPAN


class Waiting(NamedTuple):
    """An event that waits: its row, whose resource it has, and the encoded log record or span."""

    id: int
    resource: int
    payload: bytes


def waiting(connection: Connection, kind: DeliveryKind, rows_max: int, bytes_max: int) -> tuple[list[Waiting], bool]:
    """Those of a kind that have waited longest, so many that they fit into one request, and whether these are all.

    One at least, if there is any, however large.
    """
    columns = deliveries.c.id, deliveries.c.resource, deliveries.c.payload
    oldest_first = select(*columns).where(_IS_WAITING, kind.rows).order_by(deliveries.c.id).limit(rows_max)
    with connection.execute(oldest_first) as rows:
        found, fit = _fitting(rows, bytes_max)
    return found, fit and len(found) < rows_max


def _fitting(rows: Iterable[Row[*tuple[Any, ...]]], bytes_max: int) -> tuple[list[Waiting], bool]:
    """The first of these rows that fit into so many bytes, one at least, and whether all do."""
    found: list[Waiting] = []
    size_bytes = 0
    for row in rows:
        size_bytes += len(row.payload)
        if found and size_bytes > bytes_max:
            return found, False
        found.append(Waiting(row.id, row.resource, row.payload))
    return found, True


def resource_attributes(connection: Connection, ids: Iterable[int]) -> dict[int, bytes]:
    """The attributes of these resources, as they are stored."""
    rows = connection.execute(select(resources.c.id, resources.c.attributes).where(resources.c.id.in_(list(ids))))
    return {row.id: row.attributes for row in rows}


def mark_delivered(connection: Connection, ids: Sequence[int]) -> None:
    """Note that a receiver has confirmed these; what was sent is not needed any more."""
    _mark(connection, ids, state=DeliveryState.DELIVERED.value, payload=None, delivered_ns=time.time_ns())


def mark_dead(connection: Connection, ids: Sequence[int], reason: DeadReason, message: str) -> None:
    """Keep these as dead letters, with the receiver's words."""
    _mark(connection, ids, state=DeliveryState.DEAD.value, reason=reason.value, message=message)


def last_id(connection: Connection) -> int:
    """The row of the event that was accepted last; 0 of none."""
    return int(connection.execute(select(func.max(deliveries.c.id))).scalar() or 0)


def is_any_waiting(connection: Connection, kinds: Iterable[DeliveryKind], until_id: int) -> bool:
    """Whether anything of these kinds up to this row is still to be delivered."""
    return any(_is_any(connection, _IS_WAITING, kind.rows, deliveries.c.id <= until_id) for kind in kinds)


def is_any_dead(connection: Connection, since_ns: int, until_id: int) -> bool:
    """Whether an event up to this row that was accepted since that time is a dead letter."""
    return _is_any(connection, _IS_DEAD, deliveries.c.created_ns >= since_ns, deliveries.c.id <= until_id)


def _is_any(connection: Connection, *conditions: ColumnElement[bool]) -> bool:
    return connection.execute(select(deliveries.c.id).where(*conditions).limit(1)).first() is not None


def _mark(connection: Connection, ids: Sequence[int], **values: object) -> None:
    # Only what still waits: another process may have noted it, when this one was held up for longer than its lease.
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids), _IS_WAITING).values(values))
