# SPDX-License-Identifier: Apache-2.0
"""Transactions on a ledger's database, in whatever process they are asked for.

A connection is never shared with a forked child: each process makes an engine of its own when it first needs one.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from random import SystemRandom
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from agent_outcomes.ledger.errors import is_lost_race, told_of, told_of_rows
from agent_outcomes.ledger.forking import FORK_WAIT_MAX_S, GATE, SERVER_WAIT_MAX_S, Inside
from agent_outcomes.ledger.location import Engine, LedgerUnavailable
from agent_outcomes.ledger.opening import READS_ONLY, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy
    from sqlalchemy import Connection

    from agent_outcomes.ledger.location import Location

_Done = TypeVar("_Done")

# Not the shared one, whose numbers are the application's if it has seeded it; nor a state that forked children share.
_random: Final = SystemRandom()
ATTEMPTS_MAX: Final = 20
_PAUSE_MAX_S: Final = 0.05
# Every writer shares it; who has to see all that others are about to commit (a held report, a seal) takes it alone.
_WRITERS_LOCK: Final = 0x6F7574636F6D66
_SHARED: Final = text(f"SELECT pg_advisory_xact_lock_shared({_WRITERS_LOCK})")
_ALONE: Final = text(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

# What a child inherited stays as it is: to close it would end the parent's sessions, and take its locks on the file.
_inherited: Final[list[object]] = []


class LedgerReplaced(LedgerUnavailable):
    """The ledger's file is another one: trying again goes to that one, of which nothing is known."""


class Database:
    """The database of one ledger. Raises `LedgerError` or `LedgerUnavailable`, and nothing else of the driver's."""

    def __init__(self, location: Location, *, create: bool = True) -> None:
        self.location = location
        self._create = create
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.is_closed = False
        self._engine: sqlalchemy.Engine | None = open_engine(location, create=create)
        self._file = _file_of(location)

    @property
    def engine(self) -> sqlalchemy.Engine:
        """The engine of the process that asks."""
        engine = self._engine
        if engine is not None and self._pid == os.getpid():
            return engine
        return self._reopened()

    @property
    def is_postgresql(self) -> bool:
        """Whether several writers may be at work at once."""
        return self.location.engine is Engine.POSTGRESQL

    def _reopened(self) -> sqlalchemy.Engine:
        if self._pid != os.getpid():
            # The lock may have been held by a thread that is not there in the child.
            _inherited.append((self._engine, self._lock))
            self._engine, self._lock, self._pid = None, threading.Lock(), os.getpid()
        with self._lock, self._inside():
            if self._engine is None:
                self._engine = open_engine(self.location, create=self._create)
                self._file = _file_of(self.location)
            return self._engine

    def write(self, work: Callable[[Connection], _Done], *, alone: bool = False) -> _Done:
        """What `work` gives in one transaction, which is committed when it returns, and else leaves nothing.

        It is done again where another transaction got in its way. `alone` waits until no other writes, and has others
        wait. On PostgreSQL a commit whose answer was lost may have been made: whoever tries again must see that.
        """
        with told_of(self.location):
            return self._write_until_done(work, alone=alone)

    def _write_until_done(self, work: Callable[[Connection], _Done], *, alone: bool) -> _Done:
        for attempt in range(ATTEMPTS_MAX):
            try:
                return self._write_once(work, alone=alone)
            except DBAPIError as error:
                if not is_lost_race(error) or attempt == ATTEMPTS_MAX - 1:
                    raise
            time.sleep(_random.uniform(0, _PAUSE_MAX_S))
        raise AssertionError

    def _write_once(self, work: Callable[[Connection], _Done], *, alone: bool) -> _Done:
        # Else a child that is forked meanwhile, whoever is at it here, may hang at its first statement.
        with self._inside(), self.engine.begin() as connection:
            self._refuse_another_file()
            if self.is_postgresql:
                connection.execute(_ALONE if alone else _SHARED)
            return work(connection)

    def _refuse_another_file(self) -> None:
        """What was put in the place of a file that is open is another ledger, and what goes into the first is lost."""
        if self._file is not None and _file_of(self.location) != self._file:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.dispose()
            message = f"ledger {self.location}: its file was replaced or removed while it was open; it is opened anew"
            raise LedgerReplaced(message)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that only reads, all of it as of one moment."""
        told = told_of(self.location), told_of_rows(self.location)
        with told[0], told[1], self._inside(), self.engine.connect() as connection:
            # SQLite's snapshot is of the first read; PostgreSQL has to be asked.
            isolation = {"isolation_level": "REPEATABLE READ"} if self.is_postgresql else {}
            yield connection.execution_options(**READS_ONLY, **isolation)

    def _inside(self) -> Inside:
        return Inside(GATE, SERVER_WAIT_MAX_S if self.is_postgresql else FORK_WAIT_MAX_S)

    def close(self) -> None:
        """Close all connections of this process; a later use opens them again."""
        self.is_closed = True
        engine, self._engine = self._engine, None
        if engine is not None and self._pid == os.getpid():
            engine.dispose()


def _file_of(location: Location) -> tuple[int, int] | None:
    """Which file is there, `None` if none is or the ledger is in no file."""
    if location.path is None:
        return None
    try:
        found = location.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
