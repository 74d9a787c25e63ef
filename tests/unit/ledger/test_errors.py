# SPDX-License-Identifier: Apache-2.0
"""What a database's errors become: every row of both tables, raised by the databases themselves where they can be."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from agent_outcomes.ledger.errors import POSTGRESQL_ERRORS, SQLITE_ERRORS, meaning_of
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable, read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import pending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    opened = Store.open(read_location(ledger_url))
    opened.accept([pending(1)])
    yield opened
    opened.close()


def test_disk_full(tmp_path: Path) -> None:
    """Where SQLite finds no room nothing is stored, the fix is named, and it goes on once there is room."""
    store = Store.open(read_location(f"sqlite:///{tmp_path}/outcomes.db"))
    store.accept([pending(1)])
    limits = [60]

    @event.listens_for(store.database.engine, "checkout")
    def no_room(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limits[0]}")

    with pytest.raises(LedgerUnavailable, match=r"outcomes\.db: its disk is full; make room"):
        store.accept([pending(number) for number in range(2, 500)])
    assert store.status().runs == 1
    limits[0] = 1_000_000
    store.accept([pending(number) for number in range(2, 500)])
    assert store.status().runs == 499
    assert sum(row.amount for row in store.series().totals if row.instrument == "agent.runs") == 499
    store.close()


def test_read_only(tmp_path: Path) -> None:
    """A file that may not be written to is read, and what would write says which right is missing."""
    store = Store.open(read_location(f"sqlite:///{tmp_path}/outcomes.db"))
    store.accept([pending(1)])

    @event.listens_for(store.database.engine, "checkout")
    def read_only(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    with pytest.raises(LedgerUnavailable, match=r"outcomes\.db: it is read-only; give this user the right"):
        store.accept([pending(2)])
    assert store.status().runs == 1
    store.close()


@pytest.mark.parametrize("code", SQLITE_ERRORS)
def test_sqlite_codes(code: int) -> None:
    """Each code, also as one of its extended ones, has a sentence with what to do."""
    for extended in (code, code | 7 << 8):
        error = sqlite3.OperationalError("words of SQLite")
        error.sqlite_errorcode = extended
        assert meaning_of(error) == SQLITE_ERRORS[code]
    unknown = sqlite3.OperationalError("words of SQLite\nstored value")
    assert meaning_of(unknown).sentence == "SQLite says: words of SQLite"


@pytest.mark.parametrize("state", [*POSTGRESQL_ERRORS, "P0001", "57P03", "22003"])
def test_postgresql_states(state: str, postgresql: str) -> None:
    """Each state that a server raises is told with its ledger; one that is in no table by the server's first line."""
    store = Store.open(read_location(postgresql))
    statement = text(f"DO $$ BEGIN RAISE 'no luck' USING ERRCODE = '{state}', DETAIL = 'stored value'; END $$")
    with pytest.raises(LedgerError) as raised:
        store.database.write(lambda connection: connection.execute(statement))
    known = POSTGRESQL_ERRORS.get(state)
    assert ("no luck" in str(raised.value)) == (known is None)
    assert known is None or known.sentence in str(raised.value)
    passes = known.passes if known is not None else state == "57P03"
    assert isinstance(raised.value, LedgerUnavailable) == passes
    assert "stored value" not in str(raised.value)
    assert str(store.location) in str(raised.value)
    store.close()


@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
def test_lost_race_is_run_again(state: str, postgresql: str) -> None:
    """A transaction that another got in the way of is done again from its beginning, and counted once."""
    store = Store.open(read_location(postgresql))
    tries: list[int] = []

    def losing(connection: Connection) -> None:
        tries.append(1)
        if len(tries) < 4:
            connection.execute(text(f"DO $$ BEGIN RAISE 'lost' USING ERRCODE = '{state}'; END $$"))

    store.database.write(losing)
    assert len(tries) == 4
    store.close()


def test_row_of_totals_that_is_gone(store: Store) -> None:
    """An amount never goes to a row that is no longer there: nothing is stored, and the fix is named."""
    store.database.write(lambda connection: connection.execute(text("DELETE FROM totals")))
    with pytest.raises(LedgerError, match=r"totals is gone.*ledger verify"):
        store.accept([pending(2)])
    assert store.status().runs == 1
