# SPDX-License-Identifier: Apache-2.0
"""One process at a time delivers: a row in the ledger that its holder keeps changing.

No clock is compared with another's. Whoever waits watches the row, and takes it over when it has not changed for
`TAKEOVER_S` of its own monotonic clock; the holder changes it every `RENEW_S` and stops delivering when it could not
for `HELD_S`, which is less. A holder on the same host that has ended is told by its process id, and not waited for.
`expires_ns` is for those who ask whether anybody delivers (`doctor`, `ledger status`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import select, update

from agent_outcomes.ledger.delivery.holders import is_gone
from agent_outcomes.ledger.schema import lease as lease_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from agent_outcomes.ledger.database import Database

LEASE_S: Final = 15.0
RENEW_S: Final = 3.0
HELD_S: Final = 10.0
TAKEOVER_S: Final = 12.0
_NAME: Final = "delivery"
_NOBODY: Final = ""
_NS_PER_S: Final = 1_000_000_000


class _Row(NamedTuple):
    holder: str
    expires_ns: int


class Lease:
    """The right to deliver from one ledger; `holder` names this process, as `this_process` does."""

    def __init__(self, holder: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._holder = holder
        self._clock_s = clock_s
        self._renewed_at_s: float | None = None
        self._seen: _Row | None = None
        self._seen_at_s = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this process may deliver at this moment."""
        return self._renewed_at_s is not None and self._clock_s() - self._renewed_at_s < HELD_S

    @property
    def retry_in_s(self) -> float:
        """Seconds until it may be taken over, if its holder is not heard of until then."""
        return max(0.0, self._seen_at_s + TAKEOVER_S - self._clock_s())

    def hold(self, database: Database) -> bool:
        """Take, renew or take over the lease where that is due and possible; whether it is held then.

        Raises `LedgerError`; what was held is then held no longer than it was.
        """
        now_s = self._clock_s()
        if self._renewed_at_s is not None and now_s - self._renewed_at_s < RENEW_S:
            return True
        # Who watches only reads: a write would have to wait for others'.
        with database.reading() as connection:
            row = _read(connection)
        is_ours = self._may_take(row, now_s) and database.write(lambda connection: self._take(connection, row))
        self._renewed_at_s = now_s if is_ours else None
        return is_ours

    def release(self, database: Database) -> None:
        """Leave the lease to whoever comes next, where it is held. Raises `LedgerError`."""
        if self._renewed_at_s is None:
            return
        self._renewed_at_s = None
        ours = lease_table.c.name == _NAME, lease_table.c.holder == self._holder
        left = update(lease_table).where(*ours).values(holder=_NOBODY, expires_ns=0)
        database.write(lambda connection: connection.execute(left))

    def _may_take(self, row: _Row | None, now_s: float) -> bool:
        """Whether nobody holds it, we do, or its holder has not been heard of for too long to deliver any more."""
        if row is None or row.holder in (_NOBODY, self._holder):
            return True
        if row != self._seen:
            self._seen = row
            self._seen_at_s = now_s
        return now_s - self._seen_at_s >= TAKEOVER_S or is_gone(row.holder)

    def _take(self, connection: Connection, seen: _Row | None) -> bool:
        """Put our name there, unless somebody has been faster."""
        if _read(connection) != seen:
            return False
        if seen is None:
            # Of two that insert it at the same time the database refuses one, which then looks again.
            connection.execute(lease_table.insert().values(name=_NAME, **self._new(0)))
            return True
        as_seen = (
            lease_table.c.name == _NAME,
            lease_table.c.holder == seen.holder,
            lease_table.c.expires_ns == seen.expires_ns,
        )
        changed = connection.execute(update(lease_table).where(*as_seen).values(self._new(seen.expires_ns)))
        return changed.rowcount == 1

    def _new(self, before_ns: int) -> dict[str, str | int]:
        # Ever another number, wherever the clock has been set to.
        expires_ns = max(time.time_ns() + int(LEASE_S * _NS_PER_S), before_ns + 1)
        return {"holder": self._holder, "expires_ns": expires_ns}


def _read(connection: Connection) -> _Row | None:
    columns = lease_table.c.holder, lease_table.c.expires_ns
    row = connection.execute(select(*columns).where(lease_table.c.name == _NAME)).one_or_none()
    return None if row is None else _Row(row.holder, row.expires_ns)
