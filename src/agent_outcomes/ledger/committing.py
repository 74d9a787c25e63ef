# SPDX-License-Identifier: Apache-2.0
"""Commits what waits, in groups, and reads spool files back; keeps count of how long the database has been away."""

from __future__ import annotations

import itertools
import logging
import math
import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.foreign_exceptions import is_theirs_in_given
from agent_outcomes.ledger.forking import FORK_WAIT_MAX_S, GATE, SERVER_WAIT_MAX_S, Inside
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable
from agent_outcomes.ledger.spool_lines import encode_line
from agent_outcomes.ledger.waiting import note_committed, note_dropped
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.spool import Segment, Spool
    from agent_outcomes.ledger.store import Store
    from agent_outcomes.ledger.waiting import Books

COMMITTED_AT_ONCE: Final = 512
"""In one transaction."""
RECOVERED_AT_ONCE: Final = 100
"""Small, as threads whose runs end wait meanwhile."""
AWAY_AFTER_S: Final = 2.0
"""From the first failure on, until which the database is not known to be away."""
PAUSE_MIN_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0
FAILURES_MAX: Final = 40
"""After so many tries without a success it is not one acceptance that is to blame."""

_log: Final = LimitedLog(logging.getLogger(__name__))


class Away(Exception):  # noqa: N818 - no mistake of anybody's
    """The database cannot be used now."""


class _Search:
    """For what keeps a transaction from being committed: `suspects` are the places of those that fail alone."""

    __slots__ = ("error", "failure_count", "has_stored", "suspects")

    def __init__(self) -> None:
        self.suspects: list[int] = []
        self.error: Exception | None = None
        self.has_stored = False
        self.failure_count = 0


class Committing:
    """What of `books` can be committed to the store is; any thread may call, and done by two it changes nothing.

    `patience_until_s` is when threads whose runs end stop to wait, on the monotonic clock: infinite while all is well.
    `looked_through_count` is how many this process had spooled when its spool was last read to the end.
    """

    def __init__(self, open_store: Callable[[], Store], spool: Spool, books: Books) -> None:
        self.patience_until_s = math.inf
        self.recovered_count = 0
        self.looked_through_count = 0
        self.aside_count = 0
        self._open_store = open_store
        self._spool = spool
        self._books = books
        self._store: Store | None = None
        self._was_open = False
        self._pause_s = 0.0
        # At the beginning for what other processes have left.
        self._looks_into_spool = True

    def pause_s(self) -> float | None:
        """How long to wait before the next try; `None`: until there is work."""
        return self._pause_s if self._has_work() else None

    def work_off(self) -> bool:
        """Commit all that waits, then what is spooled; whether the database took it. Never raises but what passes."""
        try:
            self._commit_waiting()
            if self._has_spooled():
                self._recover()
        except Away:
            return False
        return True

    def _has_work(self) -> bool:
        return bool(self._books.waiting) or self._has_spooled()

    def _has_spooled(self) -> bool:
        return self._looks_into_spool or self._books.spooled_count > self.looked_through_count

    def _commit_waiting(self) -> None:
        while batch := self._books.first(COMMITTED_AT_ONCE):
            search = self._store_all([submission.acceptance for submission in batch])
            if search.error is not None and not search.has_stored:
                # It is as likely that nothing at all can be stored.
                self._note_away(search.error)
                raise Away
            for place in search.suspects:
                note_dropped(self._books, batch[place], "error")
            for submission in batch:
                note_committed(self._books, submission)

    def _recover(self) -> None:
        spooled_count = self._books.spooled_count
        if self._spool.has_any() and self._store is None:
            self._store_all([])
        try:
            self._recover_segments()
        except OSError as error:
            told = error.strerror or type(error).__name__
            _log.warning("unread", "spool files of the ledger in %s cannot be read: %s", self._spool.folder, told)
        self._looks_into_spool = False
        self.looked_through_count = spooled_count
        self._spool.forget_size()

    def _recover_segments(self) -> None:
        for segment in self._spool.take():
            self._recover_segment(segment)

    def _recover_segment(self, segment: Segment) -> None:
        acceptances = segment.acceptances()
        while batch := list(itertools.islice(acceptances, RECOVERED_AT_ONCE)):
            search = self._store_all(batch)
            if search.suspects and not search.has_stored:
                return
            for place in search.suspects:
                segment.keep_aside(encode_line(batch[place]))
            self.recovered_count += len(batch) - len(search.suspects)
            self._commit_waiting()
        segment.remove()
        if segment.aside_count:
            self.aside_count += segment.aside_count
            _log.warning(
                "aside",
                "%d lines of a spool file could not be stored in the ledger and are kept in %s",
                segment.aside_count,
                segment.aside_path,
            )

    def _store_all(self, acceptances: Sequence[Acceptance]) -> _Search:
        """Store all but those that cannot be. Raises `Away` if the database says so; then some may be stored."""
        search = _Search()
        self._narrow(acceptances, 0, search)
        if search.suspects and search.has_stored:
            _log.warning(
                "poison",
                "%d agent outcomes are lost: the ledger cannot store them, while it stores others. The first: %s",
                len(search.suspects),
                acceptances[search.suspects[0]].run.id,
            )
        return search

    def _narrow(self, acceptances: Sequence[Acceptance], start: int, search: _Search) -> None:
        try:
            self._store_as_one(acceptances)
        except Away:
            raise
        except Exception as error:  # of the database, or a failure of ours
            if is_theirs_in_given(error):
                raise
            search.error = error
            search.failure_count += 1
            if search.failure_count > FAILURES_MAX and not search.has_stored:
                self._note_away(error)
                raise Away from None
            half = len(acceptances) // 2
            if half == 0:
                search.suspects.append(start)
                return
            self._narrow(acceptances[:half], start, search)
            self._narrow(acceptances[half:], start + half, search)
        else:
            search.has_stored = True

    def _store_as_one(self, acceptances: Sequence[Acceptance]) -> None:
        store = self._store
        if store is None:
            store = self._store = self._opened()
        try:
            store.accept(acceptances)
        except LedgerUnavailable as error:
            self._store = None
            self._note_away(error)
            raise Away from None
        self._note_back()

    def _opened(self) -> Store:
        try:
            # As long as it was never open, modules are imported for it.
            with Inside(GATE, SERVER_WAIT_MAX_S if self._was_open else FORK_WAIT_MAX_S):
                store = self._open_store()
        except LedgerError as error:
            self._note_away(error)
            raise Away from None
        self._was_open = True
        return store

    def _note_away(self, error: BaseException) -> None:
        if self.patience_until_s == math.inf:
            self.patience_until_s = time.monotonic() + AWAY_AFTER_S
        self._pause_s = min(max(2 * self._pause_s, PAUSE_MIN_S), PAUSE_MAX_S)
        # A foreign exception's text may hold what must not be logged.
        told = str(error) if isinstance(error, LedgerError) else type(error).__qualname__
        waiting = len(self._books.waiting)
        _log.warning("away", "%s; %d agent outcomes wait for it and are kept until it can be written", told, waiting)

    def _note_back(self) -> None:
        if self._pause_s:
            self._pause_s = 0.0
            self._looks_into_spool = True
        if self.patience_until_s != math.inf:
            self.patience_until_s = math.inf
