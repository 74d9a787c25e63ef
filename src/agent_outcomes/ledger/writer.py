# SPDX-License-Identifier: Apache-2.0
"""From the threads on which runs end to the database: one thread of ours commits for all of them.

A run's thread puts its acceptance down, which is one move (see `waiting`), and waits for the commit: two seconds at
most, and not at all while the database is known to be away. It holds no lock at any time, so that nothing that
interrupts it can leave one held. The writer commits all that waits in one transaction. What it cannot commit waits in
memory, then in spool files, and is committed when the database is back; what cannot be kept at all is counted as
dropped, and said.

Where there is no such thread (the interpreter ends, the writer was shut down, the system has no thread to give), the
thread that comes works off what waits.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import sys
import threading
import time
import weakref
from functools import partial
from queue import Empty
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.foreign_exceptions import Guard, is_theirs_in_given
from agent_outcomes.ledger.committing import PAUSE_MAX_S, Committing
from agent_outcomes.ledger.forking import GATE
from agent_outcomes.ledger.waiting import COMMITTED, WAITING, Books, Submission, note_dropped, note_spooled, put_down
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.worker_ends import flush_when_multiprocessing_child_ends, flush_when_worker_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.spool import Spool
    from agent_outcomes.ledger.store import Store

WAIT_MAX_S: Final = 2.0
"""How long the thread of a run that ends waits for the commit."""
IN_MEMORY_MAX: Final = 10_000
"""How many wait in memory before the oldest go to the spool."""
SPOOLED_AT_ONCE: Final = 1_000
CROWDED: Final = IN_MEMORY_MAX + 2 * SPOOLED_AT_ONCE
"""From here on each thread spools its own: the writer is in a call to the database that does not return."""
COLLECT_S: Final = 0.02
"""How long the writer lets acceptances gather that nobody waits for."""
EXIT_MAX_S: Final = 2.0
_SLICE_S: Final = 0.05

_log: Final = LimitedLog(logging.getLogger(__name__))


class WriterFigures(NamedTuple):
    """Where everything has gone that this process has put down: issued = committed + waiting + spooled + dropped.

    `recovered` has come out of spool files since, also those of other processes, and `aside` are lines of them that
    could not be stored.
    """

    issued: int
    committed: int
    waiting: int
    spooled: int
    dropped: dict[str, int]
    recovered: int
    aside: int


class LedgerWriter:
    """Commits acceptances to the store that `open_store` gives, by a thread of its own that is started at once.

    With `sync` a run's thread waits for the commit; else a commit follows within 50 ms. `open_store` is called on the
    writer's thread, again after each failure and in a forked child; so is `on_committed`, after each commit. What is
    left at exit goes to `spool`, whose files are read as soon as the store is open.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        spool: Spool,
        *,
        sync: bool = True,
        on_committed: Callable[[], None] | None = None,
    ) -> None:
        self._open_store = open_store
        self._spool = spool
        self._sync = sync
        self._on_committed = on_committed
        self._is_shut_down = False
        self._guard = Guard(self._failed, is_theirs_in_given)
        self._restart()
        _WRITERS.add(self)
        self._end = partial(_shut_down, weakref.ref(self))
        atexit.register(self._end)
        flush_when_multiprocessing_child_ends(self._end)
        self._has_thread()

    def accept(self, acceptance: Acceptance) -> bool:
        """Put it down and wait for its commit; returns whether it is in the database. Never raises but what passes."""
        return self.submit(Submission(acceptance))

    def submit(self, submission: Submission) -> bool:
        """The same for one that may have been submitted before and been interrupted: it counts once."""
        put_down(self._books, submission)
        if submission.place == WAITING:
            with self._guard:
                self._settle(submission)
        return submission.place == COMMITTED

    def figures(self) -> WriterFigures:
        """How the books stand. Never raises."""
        books, committing = self._books, self._committing
        return WriterFigures(
            books.issued_count,
            books.committed_count,
            len(books.waiting),
            books.spooled_count,
            dict(books.dropped),
            committing.recovered_count,
            committing.aside_count,
        )

    @property
    def is_away(self) -> bool:
        """Whether the database is known to be away, so that nobody waits for it."""
        return self._committing.patience_until_s < time.monotonic()

    def flush(self, timeout_s: float) -> bool:
        """Whether all that was put down by now is in the database within the time. Never raises but what passes.

        If not, and the database is known to be away, what waits is spooled, as this may be the end of the process.
        """
        books, spooled_count = self._books, self._books.spooled_count
        submissions = list(books.waiting)
        until_s = time.monotonic() + timeout_s
        with self._guard:
            if not self._has_thread():
                self._work_here()
            if not self._must_not_wait():
                _wait_for_all(submissions, until_s)
                self._wait_for_spool(spooled_count, until_s)
            if books.waiting and self.is_away:
                self._spool_down_to(0)
        is_read = self._committing.looked_through_count >= spooled_count
        return is_read and all(submission.place == COMMITTED for submission in submissions)

    def shutdown(self, timeout_s: float = EXIT_MAX_S) -> bool:
        """Commit what waits within the time and spool the rest; whether nothing had to be dropped. Never raises.

        The thread ends. Whoever submits afterwards commits on its own thread.
        """
        dropped_before = sum(self._books.dropped.values())
        with self._guard:
            self._is_shut_down = True
            self._end_thread(timeout_s)
            if self._books.waiting:
                self._spool_down_to(0)
        return sum(self._books.dropped.values()) == dropped_before

    def after_fork_in_child(self) -> None:
        """What waited at the fork is the parent's; so is the thread."""
        self._restart()
        flush_when_worker_ends(self._end, f"{__name__}.{id(self)}")

    def _restart(self) -> None:
        self._books = Books()
        self._committing = Committing(self._open_store, self._spool, self._books)
        self._thread: threading.Thread | None = None

    def _settle(self, submission: Submission) -> None:
        if not self._has_thread():
            self._work_here()
            if submission.place == WAITING:
                self._spool_own(submission)
        elif len(self._books.waiting) > CROWDED:
            self._spool_own(submission)
        elif self._sync and not self._must_not_wait():
            self._wait_for_commit(submission)

    def _must_not_wait(self) -> bool:
        """Whether this is a thread, interrupted by a finalizer, that the commit itself waits for."""
        return GATE.has_me_inside() or threading.current_thread() is self._thread

    def _wait_for_commit(self, submission: Submission) -> None:
        committing = self._committing
        until_s = time.monotonic() + WAIT_MAX_S
        while submission.place == WAITING:
            now_s = time.monotonic()
            left_s = min(until_s, committing.patience_until_s) - now_s
            if left_s <= 0.0:
                # Known to be away: the next one does not wait, until a commit succeeds.
                committing.patience_until_s = min(committing.patience_until_s, now_s)
                return
            submission.settled.acquire(timeout=min(left_s, _SLICE_S))

    def _wait_for_spool(self, spooled_count: int, until_s: float) -> None:
        while self._committing.looked_through_count < spooled_count and (left_s := until_s - time.monotonic()) > 0.0:
            time.sleep(min(left_s, _SLICE_S))

    def _has_thread(self) -> bool:
        """Whether there is a thread that commits; one is started where there is none."""
        if self._is_shut_down or sys.is_finalizing():  # by then other threads run no more
            return False
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        thread = threading.Thread(target=self._run, args=(self._books,), name="agent-outcomes-ledger", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends and starts no more threads, or the system has none
            return False
        self._thread = thread
        return True

    def _run(self, books: Books) -> None:
        committing = self._committing
        while books is self._books and not self._is_shut_down:
            is_done = False
            with self._guard:
                self._take_wake(books, committing.pause_s())
                if committing.work_off():
                    if self._on_committed is not None:
                        self._on_committed()
                elif len(books.waiting) > IN_MEMORY_MAX:
                    self._spool_down_to(IN_MEMORY_MAX)
                is_done = True
            if not is_done:  # a failure of ours, which was said: not at once again
                time.sleep(PAUSE_MAX_S)
        with self._guard:
            committing.work_off()

    def _take_wake(self, books: Books, pause_s: float | None) -> None:
        """Wait for work; while the database is away for the whole pause, whatever comes."""
        until_s = math.inf if pause_s is None else time.monotonic() + pause_s
        while True:
            left_s = None if until_s == math.inf else until_s - time.monotonic()
            if self._is_shut_down or (left_s is not None and left_s <= 0.0):
                break
            with contextlib.suppress(Empty):
                books.wake.get(timeout=left_s)
                if left_s is None:
                    break
        if pause_s is None and not self._sync:
            time.sleep(COLLECT_S)
        books.is_woken = False

    def _end_thread(self, timeout_s: float) -> None:
        thread = self._thread
        if thread is threading.current_thread():
            return
        if thread is not None and not sys.is_finalizing():
            self._books.wake.put(None)
            thread.join(timeout_s)
        if thread is None or not thread.is_alive():
            self._work_here()

    def _work_here(self) -> None:
        """Commit on the calling thread, unless it is already at it or the database is known to be away."""
        if not GATE.has_me_inside() and not self.is_away:
            self._committing.work_off()

    def _spool_down_to(self, count: int) -> None:
        books = self._books
        while oldest := books.first(min(max(0, len(books.waiting) - count), SPOOLED_AT_ONCE)):
            try:
                self._spool.keep(submission.acceptance for submission in oldest)
            except OSError as error:
                self._say_unspooled(error)
                if self._is_shut_down:
                    self._drop(oldest, "limit")
                    continue
                return
            for submission in oldest:
                note_spooled(books, submission)

    def _spool_own(self, submission: Submission) -> None:
        try:
            self._spool.keep([submission.acceptance])
        except OSError as error:
            self._say_unspooled(error)
            self._drop([submission], "limit")
        else:
            note_spooled(self._books, submission)

    def _drop(self, submissions: list[Submission], reason: str) -> None:
        for submission in submissions:
            note_dropped(self._books, submission, reason)
        _log.warning(
            f"dropped_{reason}",
            "agent outcomes are lost: the ledger is away, and neither memory nor spool can keep them (%d by now)",
            self._books.dropped[reason],
        )

    def _say_unspooled(self, error: OSError) -> None:
        _log.warning(
            "spool",
            "agent outcomes that wait for the ledger cannot be kept in %s: %s. Make room there, or grant access.",
            self._spool.folder,
            error.strerror or type(error).__name__,
        )

    def _failed(self, error: BaseException) -> None:
        name = type(error).__qualname__
        _log.warning(f"failed_{name}", "the ledger's writer failed and goes on: %s", name)


def _wait_for_all(submissions: Iterable[Submission], until_s: float) -> None:
    for submission in submissions:
        _wait(submission, until_s)


def _wait(submission: Submission, until_s: float) -> None:
    # Several may wait for it, and its lock lets one through: the others see it in the next slice.
    while submission.place == WAITING and (left_s := until_s - time.monotonic()) > 0.0:
        submission.settled.acquire(timeout=min(left_s, _SLICE_S))


_WRITERS: Final[weakref.WeakSet[LedgerWriter]] = weakref.WeakSet()


def _shut_down(reference: weakref.ref[LedgerWriter]) -> None:
    writer = reference()
    if writer is not None:
        writer.shutdown()


def _after_fork_in_child() -> None:
    for writer in list(_WRITERS):
        writer.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
