# SPDX-License-Identifier: Apache-2.0
"""A ledger as one process has it open: what commits to it and what delivers from it, shared by all its processors."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypedDict

from agent_outcomes import semconv
from agent_outcomes.foreign_exceptions import Guard
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.delivery.deliverer import Deliverer
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.later_forms import LaterForms
from agent_outcomes.ledger.location import Engine, LedgerError, LedgerUnavailable, read_location
from agent_outcomes.ledger.spool import Spool, spool_folder
from agent_outcomes.ledger.store import LedgerLimits, Store
from agent_outcomes.ledger.writer import LedgerWriter
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.record import Posting
from agent_outcomes.settings import OWN_POLICY, SettingsError

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import ResourceFacts
    from agent_outcomes.ledger.location import Location
    from agent_outcomes.record.record import LabelValue
    from agent_outcomes.record.totals import Totals
    from agent_outcomes.semconv import Instrument
    from agent_outcomes.settings import Settings

OPENING_S: Final = 2.0
"""How long the one who sets it up waits for a server, to be told at once of what is wrong with its URL."""
COMMIT_S: Final = 1.5

_log: Final = LimitedLog(logging.getLogger(__name__))


class LedgerUser(Protocol):
    """Whoever hands settlements over and counts what is to be known about that."""

    def health_totals(self) -> Totals:
        """What is counted about ourselves."""
        ...

    def facts(self) -> ResourceFacts:
        """Whose counters these are."""
        ...


class _Key(NamedTuple):
    instrument: Instrument
    labels: tuple[LabelValue, ...]


class KeptSettings(TypedDict):
    """What of a process's settings the ledger keeps for all who use it; `None` where they say nothing of their own."""

    policy: Policy | None
    limits: LedgerLimits | None
    forms: LaterForms | None


def kept_settings(settings: Settings) -> KeptSettings:
    """The arguments of `Store.open` that these settings mean."""
    limits = LedgerLimits(settings.agents_max, settings.job_types_max, settings.labels_max)
    forms = LaterForms(settings.evaluation_result, settings.outcome_span)
    return {
        "policy": None if settings.ledger_policy == OWN_POLICY else Policy(settings.ledger_policy),
        # Those that nobody has changed are no reason to change what is kept in the ledger.
        "limits": None if limits == LedgerLimits() else limits,
        # Nor what others may have on.
        "forms": forms if any(forms) else None,
    }


class LedgerConnection:
    """Opens the store when it is first needed, and again after a failure; `writer` commits, `deliverer` delivers.

    `hold_s` is how many seconds a report made in this process waits for its run, `hidden` the attributes whose texts
    go into no ledger.
    """

    def __init__(self, location: Location, settings: Settings) -> None:
        self.location = location
        self.hold_s = settings.ledger_hold_s
        self.hidden = settings.hidden
        self._kept = kept_settings(settings)
        self._store: Store | None = None
        self._users: weakref.WeakSet[LedgerUser] = weakref.WeakSet()
        self._reported: weakref.WeakKeyDictionary[LedgerUser, dict[_Key, int]] = weakref.WeakKeyDictionary()
        self._posting = threading.Lock()
        targets = read_delivery_targets(os.environ)
        self.deliverer = Deliverer(self.open_store, targets) if settings.ledger_deliver else None
        self._refuse_unusable()
        self.writer = LedgerWriter(
            self._opened,
            Spool(spool_folder(location)),
            sync=settings.ledger_sync,
            on_committed=None if self.deliverer is None else self.deliverer.wake,
        )
        if self.deliverer is not None:
            self.deliverer.start()

    def open_store(self) -> Store:
        """The store of this process. Raises `LedgerError`."""
        store = self._store
        if store is None or store.is_closed:
            store = self._store = Store.open(self.location, **self._kept)
        return store

    def add(self, user: LedgerUser) -> None:
        """Take in one who hands settlements over."""
        self._users.add(user)

    def flush(self, timeout_s: float) -> bool:
        """Whether all that was handed over by now has been committed and delivered within the time. Never raises."""
        until_s = time.monotonic() + timeout_s
        is_committed = self.writer.flush(timeout_s)
        self.post_health()
        left_s = max(0.0, until_s - time.monotonic())
        # Where another process delivers, this one asks it to.
        is_delivered = self.deliverer.flush(left_s) if self.deliverer is not None else False
        return is_committed and is_delivered

    def release(self, user: LedgerUser, timeout_s: float) -> None:
        """Commit what waits; with the last one that uses it, deliver what can be in the time. Never raises."""
        until_s = time.monotonic() + timeout_s
        if user not in self._users:
            return
        self.writer.flush(COMMIT_S)
        self.post_health()
        self._users.discard(user)
        if self._users:
            return
        _connections.forget(self)
        self.writer.shutdown(min(COMMIT_S, max(0.0, until_s - time.monotonic())))
        if self.deliverer is not None:
            self.deliverer.shutdown(max(0.0, until_s - time.monotonic()))

    def post_health(self) -> None:
        """Post to the ledger what has been counted about ourselves since the last time. Never raises."""
        if not self._posting.acquire(blocking=False):
            return
        try:
            with Guard(_health_not_posted):
                self._post_health_of_all()
        finally:
            self._posting.release()

    def after_fork_in_child(self) -> None:
        """What the parent has counted is the parent's."""
        self._posting = threading.Lock()
        self._reported.clear()

    def _post_health_of_all(self) -> None:
        for user in list(self._users):
            self._post_health_of(user)

    def _post_health_of(self, user: LedgerUser) -> None:
        reported = self._reported.setdefault(user, {})
        totals = user.health_totals()
        sums = {
            _Key(instrument, labels): int(amount)
            for instrument in semconv.HEALTH_COUNTERS
            for labels, amount in totals.sums(instrument)
        }
        new = [Posting(*key, amount - reported.get(key, 0)) for key, amount in sums.items()]
        grown = [posting for posting in new if posting.amount > 0]
        if grown and not self.writer.is_away:
            self.open_store().post_health(grown, user.facts())
            reported.update(sums)

    def _opened(self) -> Store:
        """For the writer, whose thread is the first of ours in a forked child: it has one deliver there, too."""
        if self.deliverer is not None:
            self.deliverer.start()
        return self.open_store()

    def _refuse_unusable(self) -> None:
        """Raise `SettingsError` where the ledger cannot be opened for a reason that does not pass by itself."""
        failures: list[LedgerError] = []

        def attempt() -> None:
            try:
                self.open_store()
            except LedgerUnavailable:
                return
            except LedgerError as error:
                failures.append(error)

        if self.location.engine is Engine.SQLITE:
            attempt()
        else:
            thread = threading.Thread(target=attempt, name="agent-outcomes-ledger-opening", daemon=True)
            thread.start()
            thread.join(OPENING_S)
        if failures:
            raise SettingsError(str(failures[0]))


class _Connections:
    """Those of this process, by location; the first processor's settings hold for one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_location: dict[Location, LedgerConnection] = {}

    def of(self, location: Location, settings: Settings) -> LedgerConnection:
        with self._lock:
            found = self._by_location.get(location)
            if found is None:
                found = self._by_location[location] = LedgerConnection(location, settings)
            return found

    def forget(self, connection: LedgerConnection) -> None:
        with self._lock:
            if self._by_location.get(connection.location) is connection:
                del self._by_location[connection.location]

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        for connection in list(self._by_location.values()):
            connection.after_fork_in_child()


def connection_to(url: str, settings: Settings) -> LedgerConnection:
    """The connection to the ledger at this URL.

    Raises `SettingsError` where the URL is wrong, or the ledger cannot be opened for a reason that does not pass.
    """
    return _connections.of(read_location(url), settings)


def _health_not_posted(error: BaseException) -> None:
    if not isinstance(error, LedgerError):
        name = type(error).__qualname__
        _log.warning("health", "counters about agent outcomes were not posted to the ledger: %s", name)


_connections: Final = _Connections()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_connections.after_fork_in_child)
