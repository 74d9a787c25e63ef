# SPDX-License-Identifier: Apache-2.0
"""What one process does of the delivery, round by round: nothing without the lease, else what is due."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.audit import SEAL_EVERY_S, seal
from agent_outcomes.ledger.delivery import wishes
from agent_outcomes.ledger.delivery.events import EventDelivery, Sent
from agent_outcomes.ledger.delivery.holders import this_process
from agent_outcomes.ledger.delivery.lease import Lease
from agent_outcomes.ledger.delivery.outlets import Outlet
from agent_outcomes.ledger.delivery.queue import DeliveryKind
from agent_outcomes.ledger.delivery.totals import TotalsDelivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.delivery.targets import DeliveryTargets
    from agent_outcomes.ledger.store import Store

POLL_S: Final = 1.0
"""How often another process's events, and its lease, are looked for."""
SEAL_LOOK_S: Final = 60.0
"""How often the one that delivers looks whether the ledger's hourly seal is due."""
_SHORTLY_S: Final = 0.01


class Rounds:
    """The delivery of one ledger by this process; for one thread at a time."""

    def __init__(self, targets: DeliveryTargets) -> None:
        self.lease = Lease(str(this_process()))
        self._interval_s = targets.interval_s
        self._metrics = None if targets.metrics is None else Outlet(targets.metrics)
        ways = ((DeliveryKind.EVENTS, targets.logs), (DeliveryKind.SPANS, targets.traces))
        outlets = [(kind, Outlet(target)) for kind, target in ways if target is not None]
        self._events = [(outlet, EventDelivery(outlet, kind)) for kind, outlet in outlets]
        self._totals = None if self._metrics is None else TotalsDelivery(self._metrics)
        self._export_at_s = 0.0
        self._granted = 0
        self._seal_at_s = time.monotonic() + SEAL_LOOK_S

    def outlets(self) -> Iterator[Outlet]:
        """The ways to the receivers of the signals that are on."""
        yield from (outlet for outlet, _ in self._events)
        if self._metrics is not None:
            yield self._metrics

    def run(self, store: Store) -> float:
        """One round; after how many seconds the next is due, if nothing comes up before. Raises `LedgerError`."""
        if not self.lease.hold(store.database):
            return min(POLL_S, self.lease.retry_in_s + _SHORTLY_S)
        if time.monotonic() >= self._seal_at_s:
            self._seal_at_s = time.monotonic() + SEAL_LOOK_S
            seal(store, every_s=SEAL_EVERY_S)
        with store.database.reading() as connection:
            wished = wishes.last_wish(connection)
        sent_in_s = self._send(store)
        if sent_in_s == 0.0 and time.monotonic() < self._export_at_s:
            # More events wait: what they leave behind is then part of the export.
            return 0.0
        return min(sent_in_s, self._export(store, wished), POLL_S)

    def leave(self, store: Store) -> None:
        """Let another process deliver. Raises `LedgerError`."""
        self.lease.release(store.database)

    def close(self) -> None:
        """End what is under way, from whatever thread."""
        for outlet in self.outlets():
            outlet.close()

    def hurry(self) -> None:
        """Somebody waits: try again what has failed, as soon as the receiver allows it."""
        for outlet in self.outlets():
            outlet.hurry()

    def _send(self, store: Store) -> float:
        """Send a batch of events, and one of spans, if that is due; after how many seconds the next is."""
        return min((self._send_to(store, outlet, events) for outlet, events in self._events), default=POLL_S)

    def _send_to(self, store: Store, outlet: Outlet, events: EventDelivery) -> float:
        if outlet.wait_s == 0.0:
            sent = events.send_batch(store.database, lambda: self.lease.hold(store.database))
            if sent is Sent.SOME:
                return 0.0
            if sent is Sent.NOT_LOOKED:
                # Whoever has it sent knows of something, perhaps.
                return events.look_in_s
            if sent is not Sent.KEPT:
                return POLL_S
        return outlet.wait_s

    def _export(self, store: Store, wished: int) -> float:
        """Send the totals, if that is due; after how many seconds it is next."""
        if self._totals is None or self._metrics is None:
            self._grant(store, wished)
            return POLL_S
        due_in_s = 0.0 if wished > self._granted else self._export_at_s - time.monotonic()
        wait_s = max(self._metrics.wait_s, due_in_s)
        if wait_s > 0:
            return wait_s
        if self._totals.send_all(store):
            self._grant(store, wished)
        self._export_at_s = time.monotonic() + self._interval_s
        return self._metrics.wait_s if self._metrics.is_failing else self._interval_s

    def _grant(self, store: Store, wished: int) -> None:
        if wished > self._granted:
            store.database.write(lambda connection: wishes.grant(connection, wished))
            self._granted = wished
