# SPDX-License-Identifier: Apache-2.0
"""Sending the totals: all series in each export, so that what a lost one said is in the next."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from agent_outcomes.ledger.delivery.points import POINTS_MAX, metrics_requests
from agent_outcomes.ledger.delivery.series import AGE_LIMITS_NS, LedgerFacts, by_age, of_ledger, of_totals
from agent_outcomes.ledger.schema import meta, pending_runs
from agent_outcomes.otlp.answers import Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.database import Database
    from agent_outcomes.ledger.delivery.outlets import Outlet
    from agent_outcomes.ledger.delivery.points import Measured
    from agent_outcomes.ledger.store import Store
    from agent_outcomes.otlp.answers import Answer
    from agent_outcomes.semconv import Age

_ID: Final = "delivery_id"
_MADE: Final = "delivery_made_ns"
_COUNTING_SHARE: Final = 30
"""Counting takes one part in so many of the time, but is done once a minute."""
_COUNT_MAX_S: Final = 60.0


class TotalsDelivery:
    """Sends every series as it is at the moment of sending."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._points_max = POINTS_MAX
        self._facts: LedgerFacts | None = None
        self._counted: tuple[Measured, ...] = ()
        self._count_at_s = 0.0

    def send_all(self, store: Store) -> bool:
        """Whether a receiver has confirmed all of it. Raises `LedgerError`."""
        if self._facts is None:
            self._facts = ledger_facts(store.database)
        # Before it is read: what is sent is at least what it was at that time, and never less than what came before.
        now_ns = time.time_ns()
        measured = [*of_totals(store.series(), self._facts), *self._of_ledger(store, self._facts, now_ns)]
        is_all_taken = True
        for payload in metrics_requests(measured, now_ns, self._points_max):
            answer = self._outlet.send(payload)
            if answer.verdict is Verdict.REFUSED:
                is_all_taken = False
                self._refused(answer)
            elif answer.verdict is not Verdict.DELIVERED:
                self._outlet.failed(answer)
                return False
        if is_all_taken:
            self._outlet.succeeded()
        return is_all_taken

    def _of_ledger(self, store: Store, facts: LedgerFacts, now_ns: int) -> Sequence[Measured]:
        """What the ledger says about itself; of a very large one, as it was a moment ago, as that has to be counted."""
        began_s = time.monotonic()
        if began_s >= self._count_at_s:
            pending = _pending_by_age(store.database, now_ns)
            self._counted = tuple(of_ledger(store.status(now_ns), pending, facts, now_ns))
            ended_s = time.monotonic()
            self._count_at_s = ended_s + min(_COUNTING_SHARE * (ended_s - began_s), _COUNT_MAX_S)
        return self._counted

    def _refused(self, answer: Answer) -> None:
        if answer.reason is Reason.TOO_LARGE and self._points_max > 1:
            self._points_max //= 2
        self._outlet.refused(answer, "agent outcome metrics were refused; all are sent again with the next export")


def ledger_facts(database: Database) -> LedgerFacts:
    """The ledger's id and when it got it: the same for every process that delivers. Raises `LedgerError`."""
    return database.write(_facts_of)


def known_ledger_facts(database: Database) -> LedgerFacts | None:
    """The same where the ledger has an id already; nothing is written. Raises `LedgerError`."""
    with database.reading() as connection:
        return _known_facts_of(connection)


def _facts_of(connection: Connection) -> LedgerFacts:
    known = _known_facts_of(connection)
    if known is not None:
        return known
    made = LedgerFacts(str(uuid.uuid4()), time.time_ns())
    rows = [{"name": _ID, "value": made.id}, {"name": _MADE, "value": str(made.made_ns)}]
    connection.execute(meta.insert(), rows)
    return made


def _known_facts_of(connection: Connection) -> LedgerFacts | None:
    found = dict(connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name.in_((_ID, _MADE)))).all())
    return LedgerFacts(found[_ID], int(found[_MADE])) if found else None


def _pending_by_age(database: Database, now_ns: int) -> dict[Age, int]:
    with database.reading() as connection:
        younger = [_count_since(connection, now_ns - limit_ns) for limit_ns in AGE_LIMITS_NS.values()]
        total = connection.execute(select(func.count()).select_from(pending_runs)).scalar_one()
    return by_age(younger, total)


def _count_since(connection: Connection, since_ns: int) -> int:
    younger = select(func.count()).select_from(pending_runs).where(pending_runs.c.end_ns >= since_ns)
    return int(connection.execute(younger).scalar_one())
