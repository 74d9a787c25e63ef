# SPDX-License-Identifier: Apache-2.0
"""What waits to be committed, and where everything has gone that was ever put down: each step is a move.

Runs end on the application's threads, where anything may come in between (see `spans.moves`, whose rules hold for
every function here). So a submission and its figures change together or not at all, and at any moment
issued = committed + waiting + spooled + dropped.
"""

from __future__ import annotations

import itertools
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import Acceptance

# Plain numbers, as a member of an enumeration is found by a call.
NEW: Final = 0
WAITING: Final = 1
COMMITTED: Final = 2
SPOOLED: Final = 3
DROPPED: Final = 4


class Submission:
    """One acceptance on its way into the ledger; submitted again after an interruption, it is still one.

    `place` is where it is. `settled` is held until it waits no more.
    """

    __slots__ = ("acceptance", "place", "settled")

    def __init__(self, acceptance: Acceptance) -> None:
        self.acceptance = acceptance
        self.place = NEW
        self.settled = threading.Lock()
        self.settled.acquire()


class Books:
    """All submissions that wait, in their order, and how many have gone where."""

    __slots__ = ("committed_count", "dropped", "is_woken", "issued_count", "spooled_count", "waiting", "wake")

    def __init__(self) -> None:
        self.waiting: dict[Submission, None] = {}
        self.issued_count = 0
        self.committed_count = 0
        self.spooled_count = 0
        # By plain text, as a member's hash is a call.
        self.dropped: dict[str, int] = {"error": 0, "limit": 0}
        # Its `put` may come within itself; one token is enough until the thread has taken it.
        self.wake: SimpleQueue[None] = SimpleQueue()
        self.is_woken = False

    def first(self, count: int) -> list[Submission]:
        """The oldest ones."""
        while True:
            try:
                return list(itertools.islice(self.waiting, count))
            except RuntimeError:  # a finalizer has put one down meanwhile
                continue


def put_down(books: Books, submission: Submission) -> None:
    """Let a submission wait, and wake the thread."""
    if submission.place != NEW:
        return
    submission.place = WAITING
    books.issued_count += 1
    books.waiting[submission] = None
    if books.is_woken:
        return
    books.is_woken = True
    books.wake.put(None)


def note_committed(books: Books, submission: Submission) -> None:
    """It is in the database for good."""
    if submission not in books.waiting:
        return
    del books.waiting[submission]
    submission.place = COMMITTED
    books.committed_count += 1
    submission.settled.release()


def note_spooled(books: Books, submission: Submission) -> None:
    """It is in a spool file for good."""
    if submission not in books.waiting:
        return
    del books.waiting[submission]
    submission.place = SPOOLED
    books.spooled_count += 1
    submission.settled.release()


def note_dropped(books: Books, submission: Submission, reason: str) -> None:
    """It is lost, and counted so."""
    if submission not in books.waiting:
        return
    del books.waiting[submission]
    submission.place = DROPPED
    books.dropped[reason] += 1
    submission.settled.release()
