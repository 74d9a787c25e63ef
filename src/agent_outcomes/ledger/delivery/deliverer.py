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
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.delivery.queue import DeliveryKind
    from agent_outcomes.ledger.delivery.targets import DeliveryTargets
    from agent_outcomes.ledger.store import Store

SHUTDOWN_S: Final = 5.0
GATHER_S: Final = 0.5
"""How long events gather after one has woken the thread, so that many go in one request."""
_ANSWER_S: Final = 0.05
_CLOSING_S: Final = 0.5

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Asked:
    """A flush that somebody waits for."""

    def __init__(self) -> None:
        self.is_taken_up = False
        self.is_delivered = False
        self.is_answered = threading.Event()
        self._since_ns = self._accepted_until = self._wished = 0

    def take_up(self, since_ns: int, accepted_until: int, wished: int) -> None:
        """Have it stand for what was accepted until now; of dead letters, for those accepted since the flush before."""
        self._since_ns, self._accepted_until, self._wished = since_ns, accepted_until, wished
        self.is_taken_up = True

    def answer(self, connection: Connection, kinds: Iterable[DeliveryKind]) -> None:
        """Let who waits go on, if all of it of these kinds has been delivered or has become a dead letter."""
        if wishes.last_granted(connection) < self._wished:
            return
        if is_any_waiting(connection, kinds, self._accepted_until):
            return
        self.is_delivered = not is_any_dead(connection, self._since_ns, self._accepted_until)
        self.is_answered.set()


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
        # A signal handler may come while its thread holds it.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._rounds = Rounds(self._targets)
        self._rounds_done = 0
        self._since_ns = time.time_ns()
        self._asked: list[_Asked] = []

    @property
    def is_delivering(self) -> bool:
        """Whether this process is the one that delivers now."""
        return self._rounds.lease.is_held

    @property
    def is_running(self) -> bool:
        """Whether there is a thread that delivers, or waits to."""
        thread = self._thread
        return thread is not None and thread.is_alive()

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
            store = self._open_store()
            self._take_up(store)
            wait_s = self._rounds.run(store)
            self._answer(store)
        except LedgerError as error:
            _log.warning("ledger_away", "agent outcomes are not delivered now: %s", error)
            return POLL_S
        return min(wait_s, _ANSWER_S) if self._asked else wait_s

    def _flush(self, until_s: float, *, is_patient: bool) -> bool:
        """Nothing here touches the database, which may keep whoever asks it waiting: the thread does."""
        self.start()
        asked = _Asked()
        failures, rounds = self._failures(), self._rounds_done
        try:
            self._asked.append(asked)
            self._hurry()
            self._wait_for_answer(asked, until_s, lambda: is_patient or self._is_worth_waiting(failures, rounds))
        finally:
            self._asked = [other for other in self._asked if other is not asked]
        return asked.is_delivered

    def _wait_for_answer(self, asked: _Asked, until_s: float, is_worth_waiting: Callable[[], bool]) -> None:
        while not asked.is_answered.wait(min(_ANSWER_S, max(0.0, until_s - time.monotonic()))):
            is_over = time.monotonic() >= until_s or self._thread is None or not self._thread.is_alive()
            if is_over or not is_worth_waiting():
                return

    def _is_worth_waiting(self, failures: int, rounds: int) -> bool:
        """Whether this process delivers, or has yet to see whether it may, and no receiver has failed since."""
        return self._failures() == failures and (self.is_delivering or self._rounds_done == rounds)

    def _take_up(self, store: Store) -> None:
        """Note in the ledger what has been asked for since the last round, so that whoever delivers sees it."""
        new = [asked for asked in list(self._asked) if not asked.is_taken_up]
        if not new:
            return
        since_ns, self._since_ns = self._since_ns, time.time_ns()
        accepted_until, wished = store.database.write(_wish)
        for asked in new:
            asked.take_up(since_ns, accepted_until, wished)
        self._rounds.hurry()

    def _answer(self, store: Store) -> None:
        taken_up = [asked for asked in list(self._asked) if asked.is_taken_up]
        if taken_up:
            with store.database.reading() as connection:
                self._answer_these(taken_up, connection)

    def _answer_these(self, taken_up: Sequence[_Asked], connection: Connection) -> None:
        for asked in taken_up:
            asked.answer(connection, self._targets.kinds)

    def _hurry(self) -> None:
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
