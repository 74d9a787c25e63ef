# SPDX-License-Identifier: Apache-2.0
"""The thread that delivers a ledger from an application's process, and the same as a command's only work.

A forked child has a thread of its own as soon as it has accepted something; what was being sent is the parent's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from agent_outcomes.foreign_exceptions import Guard
from agent_outcomes.ledger.delivery import wishes
from agent_outcomes.ledger.delivery.queue import is_any_dead, is_any_waiting, last_id
from agent_outcomes.ledger.delivery.rounds import POLL_S, Rounds
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from agent_outcomes.ledger.delivery.targets import DeliveryTargets
    from agent_outcomes.ledger.store import Store

SHUTDOWN_S: Final = 5.0
GATHER_S: Final = 0.25
"""How long events gather after one has woken the thread, so that many go in one request."""
_ANSWER_S: Final = 0.05
_CLOSING_S: Final = 0.5

_log: Final = LimitedLog(logging.getLogger(__name__))


class Deliverer:
    """Delivers the ledger that `open_store` gives to `targets`, while this process holds the lease.

    The thread begins with the first `wake`, and with `start`.
    """

    def __init__(self, open_store: Callable[[], Store], targets: DeliveryTargets) -> None:
        self._open_store = open_store
        self._targets = targets
        self._guard = Guard(self._failed)
        self.restart()
        _deliverers.add(self)

    def restart(self) -> None:
        """Begin anew, without a thread: for a forked child."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._stopping = threading.Event()
        self._moved = threading.Event()
        self._thread: threading.Thread | None = None
        self._rounds = Rounds(self._targets)
        self._rounds_done = 0
        self._since_ns = time.time_ns()

    @property
    def is_delivering(self) -> bool:
        """Whether this process is the one that delivers now."""
        return self._rounds.lease.is_held

    def start(self) -> None:
        """Have a thread deliver, if there is none yet. Never raises."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                thread = threading.Thread(target=self.run, name="agent-outcomes-delivery", daemon=True)
                # The interpreter ends and starts no more threads: what waits stays in the ledger.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def wake(self) -> None:
        """Say that something has been accepted. Never raises, never waits; not for signal handlers."""
        if self._thread is None:
            self.start()
        self._wake.set()

    def run(self) -> None:
        """Deliver until `shutdown`, on this thread; the lease is then left to others."""
        wait_s = 0.0
        while not self._stopping.is_set():
            if wait_s > 0 and self._wake.wait(wait_s):
                self._urgent.wait(GATHER_S)
            self._wake.clear()
            self._urgent.clear()
            wait_s = POLL_S
            with self._guard:
                wait_s = self._round()
            self._rounds_done += 1
            self._moved.set()
        with self._guard, contextlib.suppress(LedgerError):  # it is then taken over a little later
            self._rounds.leave(self._open_store())

    def flush(self, timeout_s: float) -> bool:
        """Deliver all that has been accepted, events and totals, whichever process does it; whether it has been.

        `False` as well where an event that was accepted since the last flush has become a dead letter, or where the
        ledger cannot be asked. Never raises, and waits `timeout_s` at most.
        """
        return self._flush(time.monotonic() + timeout_s, is_patient=True)

    def shutdown(self, timeout_s: float = SHUTDOWN_S) -> bool:
        """Deliver what can be within `timeout_s` seconds and stop; whether all that was accepted has been delivered.

        It does not wait for a receiver that does not answer, nor for another process that delivers: what is left is in
        the ledger.
        """
        until_s = time.monotonic() + timeout_s
        is_done = self._flush(until_s - _CLOSING_S, is_patient=False)
        self._stopping.set()
        self._hurry()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until_s - _CLOSING_S - time.monotonic()))
            self._rounds.close()
            thread.join(max(0.0, until_s - time.monotonic()))
        return is_done

    def _round(self) -> float:
        try:
            return self._rounds.run(self._open_store())
        except LedgerError as error:
            _log.warning("ledger_away", "agent outcomes are not delivered now: %s", error)
            return POLL_S

    def _flush(self, until_s: float, *, is_patient: bool) -> bool:
        self.start()
        try:
            store = self._open_store()
            since_ns, self._since_ns = self._since_ns, time.time_ns()
            accepted_until, wished = store.database.write(_wish)
            failures, rounds = self._failures(), self._rounds_done
            self._hurry()
            while not self._is_delivered(store, accepted_until, wished):
                if time.monotonic() >= until_s or not (is_patient or self._is_worth_waiting(failures, rounds)):
                    return False
                self._moved.wait(_ANSWER_S)
                self._moved.clear()
            with store.database.reading() as connection:
                return not is_any_dead(connection, since_ns, accepted_until)
        except LedgerError as error:
            _log.warning("ledger_away", "agent outcomes are not delivered now: %s", error)
            return False

    def _is_worth_waiting(self, failures: int, rounds: int) -> bool:
        """Whether this process delivers, or has yet to see whether it may, and no receiver has failed since."""
        if self._thread is None or not self._thread.is_alive() or self._failures() > failures:
            return False
        return self.is_delivering or self._rounds_done == rounds

    def _is_delivered(self, store: Store, accepted_until: int, wished: int) -> bool:
        with store.database.reading() as connection:
            if wishes.last_granted(connection) < wished:
                return False
            return not is_any_waiting(connection, self._targets.kinds, accepted_until)

    def _hurry(self) -> None:
        self._rounds.hurry()
        self._urgent.set()
        self._wake.set()

    def _failures(self) -> int:
        return sum(outlet.failures for outlet in self._rounds.outlets())

    def _failed(self, error: BaseException) -> None:
        # The text may hold what must not be logged.
        _log.warning("delivery_failed", "the delivery of agent outcomes goes on after %s", type(error).__qualname__)


def deliver_forever(open_store: Callable[[], Store], targets: DeliveryTargets) -> bool:
    """Deliver until the process is told to end by SIGINT or SIGTERM; whether nothing was left then.

    For the main thread of a process that does nothing else.
    """
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: told.append(which))
    deliverer = Deliverer(open_store, targets)
    deliverer.start()
    while not told:
        # Not an event, whose lock the signal may come upon.
        time.sleep(_ANSWER_S)
    return deliverer.shutdown()


def _wish(connection: Connection) -> tuple[int, int]:
    return last_id(connection), wishes.wish(connection)


def _after_fork_in_child() -> None:
    for deliverer in list(_deliverers):
        deliverer.restart()


_deliverers: Final[weakref.WeakSet[Deliverer]] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
