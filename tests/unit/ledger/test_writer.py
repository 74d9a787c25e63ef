# SPDX-License-Identifier: Apache-2.0
"""The writer on a real ledger: what it acknowledges is there, and whatever happens every run is accounted for."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.ledger import committing
from agent_outcomes.ledger import writer as writer_module
from agent_outcomes.ledger.forking import GATE, SERVER_WAIT_MAX_S, Inside
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.spool import Spool, spool_folder
from agent_outcomes.ledger.store import Store
from agent_outcomes.ledger.waiting import Submission
from agent_outcomes.ledger.writer import LedgerWriter
from agent_outcomes.limited_log import LimitedLog
from tests.soak.judge import Stored
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent_outcomes.ledger.book.accepted import Acceptance, Arrivals, Claim

SEED = 11
DEADLINE_S = 20.0


class Ledger:
    """A ledger in a file, the writers that were made for it, and how often each has committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.location = read_location(self.url)
        self.spool = Spool(spool_folder(self.location))
        self.batches: list[int] = []
        self.writers: list[LedgerWriter] = []

    def open(self) -> Counting:
        return Counting(Store.open(self.location), self.batches)

    def writer(self, *, sync: bool = True) -> LedgerWriter:
        made = LedgerWriter(self.open, self.spool, sync=sync)
        self.writers.append(made)
        return made

    def stored(self) -> Stored:
        return Stored(self.url, SEED)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the database, until the block ends."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


class Counting(Store):
    """The store, noting the size of each batch."""

    def __init__(self, store: Store, batches: list[int]) -> None:
        self.__dict__.update(vars(store))
        self._batches = batches

    def accept(self, acceptances: Sequence[Acceptance], claim: Claim | None = None) -> Arrivals:
        self._batches.append(len(acceptances))
        return super().accept(acceptances, claim)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    for module in (writer_module, committing):
        monkeypatch.setattr(module, "_log", LimitedLog(logging.getLogger(module.__name__)))
    # Whoever waits for a lock of the database is not to wait for longer than a test does.
    monkeypatch.setattr("agent_outcomes.ledger.opening.BUSY_TIMEOUT_S", 0.2)
    made = Ledger(tmp_path / "l.db")
    # Migrations take a second, or many on a busy machine.
    Store.open(made.location)
    yield made
    for writer in made.writers:
        writer.shutdown()
        assert writer._thread is None or not writer._thread.is_alive()
    Store.open(made.location).close()


def one(number: int) -> Acceptance:
    return acceptance(SEED, number)


def unstorable(number: int) -> Acceptance:
    """A run that no database takes: its amount has more digits than are kept."""
    made = one(number)
    instrument, labels, _ = made.record.postings[0]
    from decimal import Decimal  # noqa: PLC0415

    made.record.postings = ((instrument, labels, Decimal("1e-20")),)
    return made


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.005)


def accounted(writer: LedgerWriter) -> bool:
    """Issued = committed + waiting + spooled + dropped."""
    figures = writer.figures()
    gone = figures.committed + figures.spooled + sum(figures.dropped.values())
    return figures.issued == gone + figures.waiting


def test_what_is_acknowledged_is_there(ledger: Ledger) -> None:
    """At once, for whoever looks."""
    writer = ledger.writer()
    for number in (3, 1, 7):
        assert writer.accept(one(number))
        assert number in ledger.stored().numbers
    assert writer.figures()[:5] == (3, 3, 0, 0, {"error": 0, "limit": 0})


def test_the_same_run_twice_is_one(ledger: Ledger) -> None:
    """Another process may have been handed it, too."""
    assert [writer.accept(one(1)) for writer in (ledger.writer(), ledger.writer())] == [True, True]
    assert ledger.stored().counts == {1: 1}
    assert ledger.stored().sums == ledger.stored().expected_sums()


def test_threads_share_commits(ledger: Ledger) -> None:
    """Sixteen that end runs at the same time need far fewer transactions than they have runs."""
    writer = ledger.writer()
    answers: list[bool] = []

    def work(first: int) -> None:
        answers.extend(writer.accept(one(number)) for number in range(first, first + 20))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 320, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 320
    assert ledger.stored().numbers == set(range(320))
    assert sum(ledger.batches) == 320
    assert len(ledger.batches) < 160


def test_who_does_not_wait_is_committed_within_50_ms(ledger: Ledger) -> None:
    """And together with what came meanwhile."""
    writer = ledger.writer(sync=False)
    assert writer.flush(DEADLINE_S)
    for number in range(30):
        assert not writer.accept(one(number))
    assert writer.flush(DEADLINE_S)
    assert ledger.stored().numbers == set(range(30))
    assert len(ledger.batches) <= 3
    took_s = []
    for number in range(100, 105):
        began_s = time.monotonic()
        writer.accept(one(number))
        until(lambda: writer.figures().waiting == 0)
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 0.05


def test_a_run_waits_for_two_seconds_once(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """While the database is away the next ones do not wait at all; when it is back all of them are there."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    with ledger.locked():
        began_s = time.monotonic()
        assert not writer.accept(one(1))
        assert 1.5 < time.monotonic() - began_s < 4.5
        took_s = []
        for number in range(2, 200):
            began_s = time.perf_counter()
            assert not writer.accept(one(number))
            took_s.append(time.perf_counter() - began_s)
        # Half of them: on a busy machine others take their turn in between.
        assert sorted(took_s)[99] < 0.001
        assert max(took_s) < 1.0
        assert writer.is_away
        assert accounted(writer)
    until(lambda: writer.figures().waiting == 0)
    assert ledger.stored().numbers == set(range(200))
    assert writer.accept(one(200))
    until(lambda: not writer.is_away)
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(ledger.path) in line
    assert "locked" in line


def test_the_ledger_is_opened_when_that_is_possible(ledger: Ledger) -> None:
    """A folder that is not there yet, a server that starts later: runs wait meanwhile."""
    away = ledger.path.parent / "mounted later" / "not yet"
    made = Ledger(away / "l.db")
    writer = made.writer()
    assert not writer.accept(one(5))
    away.mkdir(parents=True)
    until(lambda: writer.figures().committed == 1)
    assert made.stored().numbers == {5}
    assert writer.shutdown()


def test_flush_waits_for_the_database(ledger: Ledger) -> None:
    """False when the time is up first."""
    writer = ledger.writer()
    assert writer.flush(0.1)
    with ledger.locked():
        writer.accept(one(1))
        assert not writer.flush(0.1)
    assert writer.flush(DEADLINE_S)
    assert ledger.stored().numbers == {1}


def test_what_is_left_at_exit_is_read_at_the_next_opening(ledger: Ledger) -> None:
    """From the spool file, which is gone then."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    with ledger.locked():
        for number in range(1, 20):
            writer.accept(one(number))
        assert writer.shutdown(0.3)
        assert writer.figures()[:4] == (20, 1, 0, 19)
        assert accounted(writer)
    assert ledger.stored().numbers == {0}
    following = ledger.writer()
    # The first one's thread may have come to it, too, before it ended.
    until(lambda: writer.figures().recovered + following.figures().recovered == 19)
    until(lambda: not ledger.spool.has_any())
    assert ledger.stored().numbers == set(range(20))
    assert ledger.stored().sums == ledger.stored().expected_sums()


def test_memory_is_bounded_and_the_rest_is_spooled(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read back by the same process as soon as the database is there."""
    monkeypatch.setattr(writer_module, "IN_MEMORY_MAX", 100)
    monkeypatch.setattr(writer_module, "SPOOLED_AT_ONCE", 30)
    monkeypatch.setattr(writer_module, "CROWDED", 160)
    writer = ledger.writer()
    assert writer.accept(one(0))
    with ledger.locked():
        for number in range(1, 1000):
            writer.accept(one(number))
            assert writer.figures().waiting <= 161
        until(lambda: writer.figures().waiting <= 100)
        assert writer.figures().spooled >= 800
        assert accounted(writer)
    until(lambda: writer.figures().committed + writer.figures().recovered == 1000)
    assert ledger.stored().numbers == set(range(1000))
    until(lambda: not ledger.spool.has_any())


def test_what_neither_memory_nor_spool_can_keep_is_counted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And said: nothing is lost in silence."""
    monkeypatch.setattr(writer_module, "CROWDED", 40)
    monkeypatch.setattr(writer_module, "IN_MEMORY_MAX", 35)
    ledger.spool.folder.write_text("a file where the folder should be")
    writer = ledger.writer()
    assert writer.accept(one(0))
    with ledger.locked():
        for number in range(1, 61):
            assert not writer.accept(one(number))
        assert accounted(writer)
        assert writer.figures().dropped == {"error": 0, "limit": 20}
        assert not writer.shutdown(0.3)
        assert writer.figures()[:5] == (61, 1, 0, 0, {"error": 0, "limit": 60})
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert str(ledger.spool.folder) in told
    assert "are lost" in told


@pytest.mark.parametrize("place", [0, 3, 41, 63])
def test_one_that_cannot_be_stored_costs_no_other(ledger: Ledger, place: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is found by halves, counted and named; all others are there."""
    writer = ledger.writer()
    assert writer.accept(one(1000))
    with ledger.locked():
        for number in range(64):
            writer.accept(unstorable(number) if number == place else one(number))
    until(lambda: writer.figures().waiting == 0)
    assert ledger.stored().numbers == {*range(64), 1000} - {place}
    assert writer.figures().dropped == {"error": 1, "limit": 0}
    assert accounted(writer)
    assert any(one(place).run.id in record.getMessage() for record in caplog.records)


def test_one_that_fails_alone_waits_until_others_are_stored(ledger: Ledger) -> None:
    """It may as well be the database that takes nothing."""
    writer = ledger.writer()
    assert not writer.accept(unstorable(1))
    assert writer.figures()[:5] == (1, 0, 1, 0, {"error": 0, "limit": 0})
    writer.accept(one(2))
    until(lambda: writer.figures()[:5] == (2, 1, 0, 0, {"error": 1, "limit": 0}))
    assert writer.accept(one(3))


def test_a_spooled_one_that_cannot_be_stored_is_kept_aside(ledger: Ledger) -> None:
    """The rest of its file is stored."""
    long = one(2)
    long.run.trace_id = 2**130
    ledger.spool.keep([one(1), one(3)])
    (path,) = ledger.spool.folder.iterdir()
    path.write_bytes(path.read_bytes() + b"00000000 {}\n")
    writer = ledger.writer()
    until(lambda: writer.figures().aside == 1)
    assert ledger.stored().numbers == {1, 3}
    assert not ledger.spool.has_any()
    assert len(list(ledger.spool.folder.iterdir())) == 1


def test_a_forked_child_has_a_writer_of_its_own(ledger: Ledger) -> None:
    """What waits at the fork is the parent's, and stored once."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    with ledger.locked():
        writer.accept(one(1))
        pid = os.fork()
        if pid == 0:
            os._exit(0 if writer.figures().issued == 0 else 1)
        assert os.waitpid(pid, 0)[1] == 0
    until(lambda: writer.figures().waiting == 0)
    pid = os.fork()
    if pid == 0:
        is_right = all(writer.accept(one(number)) for number in range(2, 30)) and writer.figures().issued == 28
        os._exit(0 if is_right else 1)
    assert all(writer.accept(one(number)) for number in range(30, 60))
    assert os.waitpid(pid, 0)[1] == 0
    assert ledger.stored().numbers == set(range(60))
    assert ledger.stored().counts.total() == 60
    assert writer.figures().issued == 32


def test_a_fork_waits_for_threads_that_are_in_the_database() -> None:
    """A second at most, and none enters meanwhile: a child would find the client library's locks held for good."""
    entered, leave, seen = threading.Event(), threading.Event(), []

    def be_inside() -> None:
        with Inside(GATE):
            entered.set()
            leave.wait(DEADLINE_S)
            seen.append("left")

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        seen.append("forked")
        os.waitpid(pid, 0)

    def enter() -> None:
        with Inside(GATE):
            seen.append("entered")

    inside, forking = threading.Thread(target=be_inside), threading.Thread(target=fork)
    inside.start()
    entered.wait()
    forking.start()
    until(lambda: GATE.closed_until_s > 0)
    late = threading.Thread(target=enter)
    late.start()
    leave.set()
    for thread in (inside, forking, late):
        thread.join(DEADLINE_S)
    assert sorted(seen) == ["entered", "forked", "left"]
    assert seen.index("left") < seen.index("forked")


def test_a_fork_does_not_wait_for_ever() -> None:
    """A server may be away, and whoever calls it for long."""
    entered, leave = threading.Event(), threading.Event()

    def be_inside() -> None:
        with Inside(GATE, SERVER_WAIT_MAX_S):
            entered.set()
            leave.wait(DEADLINE_S)

    inside = threading.Thread(target=be_inside)
    inside.start()
    entered.wait()
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not GATE.inside else 1)
    took_s = time.monotonic() - began_s
    assert os.waitpid(pid, 0)[1] == 0
    leave.set()
    inside.join()
    assert 0.9 < took_s < DEADLINE_S / 2
    assert not GATE.inside


class LimitReached(Exception):  # noqa: N818 - as task queues name theirs
    pass


def test_an_exception_from_a_signal_passes_and_the_run_counts_once(ledger: Ledger) -> None:
    """A time limit strikes while the run waits for its commit; whoever hands it in again finds it counted."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    submission = Submission(one(1))

    def strike(*_: object) -> None:
        raise LimitReached

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with ledger.locked():
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(LimitReached):
                writer.submit(submission)
            assert writer.figures()[:3] == (2, 1, 1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert writer.submit(submission)
    assert writer.submit(submission)
    assert writer.figures()[:3] == (2, 2, 0)
    assert ledger.stored().numbers == {0, 1}


def test_exceptions_out_of_nowhere_leave_the_books_right(ledger: Ledger) -> None:
    """They strike at any point of the way in, hundreds of times, and whatever was handed in again counts once."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
    done, struck = threading.Event(), []
    ready = threading.Event()

    def work() -> None:
        number = 1
        submission = Submission(one(number))
        ready.set()
        while number < 250:
            try:
                while number < 250:
                    writer.submit(submission)
                    number, submission = number + 1, Submission(one(number + 1))
            except LimitReached:
                struck.append(number)
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    while not done.is_set():
        set_async_exc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(LimitReached))
        time.sleep(0.002)
    assert len(struck) > 10
    assert writer.flush(DEADLINE_S)
    assert accounted(writer)
    assert writer.figures().waiting == 0
    assert ledger.stored().numbers == set(range(250))
    assert ledger.stored().counts.total() == 250


def test_a_run_that_ends_in_a_signal_handler_within_the_wait(ledger: Ledger) -> None:
    """The handler's run waits for its own commit, and the first one goes on."""
    writer = ledger.writer()
    answers: list[bool] = []

    def handle(*_: object) -> None:
        answers.append(writer.accept(one(1000 + len(answers))))
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        first = [writer.accept(one(number)) for number in range(100)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert first == [True] * 100
    assert len(answers) > 5
    assert all(answers)
    assert len(ledger.stored().numbers) == 100 + len(answers)


def test_a_run_that_ends_where_the_commit_is_made_does_not_wait_for_it(ledger: Ledger) -> None:
    """A finalizer may run on the writer's thread, or within a late report's transaction."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    began_s = time.monotonic()
    with Inside(GATE):
        assert not writer.accept(one(1))
        assert not writer.flush(5.0) or writer.figures().waiting == 0
    assert time.monotonic() - began_s < 1.8
    assert writer.flush(DEADLINE_S)
    assert ledger.stored().numbers == {0, 1}


def test_after_shutdown_a_run_is_committed_by_its_own_thread(ledger: Ledger) -> None:
    """As at the end of the interpreter, when no other thread runs any more."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    assert writer.shutdown()
    assert writer._thread is not None
    assert not writer._thread.is_alive()
    assert writer.accept(one(1))
    with ledger.locked():
        assert not writer.accept(one(2))
        assert writer.figures()[:4] == (3, 2, 0, 1)
    following = ledger.writer()
    until(lambda: following.figures().recovered == 1)
    assert ledger.stored().numbers == {0, 1, 2}


def test_where_no_thread_can_be_had_the_run_commits_itself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has none left to give, or the interpreter ends; later there may be one again."""

    def no_thread(_: Any) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        writer = ledger.writer()
        assert writer.accept(one(1))
        assert writer.flush(1.0)
    assert writer.accept(one(2))
    assert ledger.stored().numbers == {1, 2}


def test_a_store_that_hangs_keeps_neither_runs_nor_the_exit(ledger: Ledger) -> None:
    """A call to a database may never return; what is in it is spooled at exit, and counted once when it returns."""
    writer = ledger.writer()
    assert writer.accept(one(0))
    returns = threading.Event()

    class Hanging(Counting):
        def accept(self, acceptances: Sequence[Acceptance], claim: Claim | None = None) -> Arrivals:
            returns.wait(DEADLINE_S)
            return super().accept(acceptances, claim)

    writer._committing._store = Hanging(ledger.open(), [])
    began_s = time.monotonic()
    assert not writer.accept(one(1))
    assert not writer.accept(one(2))
    assert time.monotonic() - began_s < 3.8
    assert writer.shutdown(0.2)
    assert time.monotonic() - began_s < 6.0
    assert writer.figures()[:4] == (3, 1, 0, 2)
    returns.set()
    following = ledger.writer()
    # By whichever of the two comes to the spool first, and each once.
    until(lambda: ledger.stored().counts == {0: 1, 1: 1, 2: 1})
    assert following.figures().recovered in {0, 1, 2}
    assert accounted(writer)
