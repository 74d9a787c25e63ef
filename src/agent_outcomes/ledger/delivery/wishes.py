# SPDX-License-Identifier: Apache-2.0
"""Asking whoever delivers, in whatever process, to export the totals now: two counters in the ledger.

Who asks raises the one, after all it has accepted is committed. Who delivers reads it, then exports what the totals are
from then on, and has the other follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from agent_outcomes.ledger.schema import meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WISHED: Final = "delivery_wished"
_GRANTED: Final = "delivery_granted"


def wish(connection: Connection) -> int:
    """Ask for an export; the number of this wish. Two that ask at the same time may share one."""
    number = _read(connection, _WISHED) + 1
    _write(connection, _WISHED, number)
    return number


def last_wish(connection: Connection) -> int:
    """The number of the last wish; 0 where nobody has asked yet."""
    return _read(connection, _WISHED)


def last_granted(connection: Connection) -> int:
    """The number of the last wish that has been met."""
    return _read(connection, _GRANTED)


def grant(connection: Connection, number: int) -> None:
    """Note that an export that was begun after this wish has been confirmed."""
    _write(connection, _GRANTED, max(number, _read(connection, _GRANTED)))


def _read(connection: Connection, name: str) -> int:
    return int(connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar() or 0)


def _write(connection: Connection, name: str, number: int) -> None:
    changed = connection.execute(update(meta).where(meta.c.name == name).values(value=str(number)))
    if changed.rowcount == 0:
        connection.execute(meta.insert().values(name=name, value=str(number)))
