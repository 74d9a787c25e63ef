# SPDX-License-Identifier: Apache-2.0
"""Opening a ledger: where it may be, who may read it, which schema it has, and what is said where it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import text

import agent_outcomes
from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right, list_keys
from agent_outcomes.ledger.location import LedgerError, LedgerUnavailable, read_location
from agent_outcomes.ledger.opening import BUSY_TIMEOUT_S, open_engine, schema_of
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.schema import SCHEMA_VERSION, VERSION_TABLE, metadata
from agent_outcomes.ledger.store import LedgerLimits, Store
from agent_outcomes.semconv import Change
from agent_outcomes.settings import SettingsError
from tests.acceptances import pending
from tests.postgresql import PASSWORD

if TYPE_CHECKING:
    from tests.postgresql import PostgresqlServer

DUMPS = Path(__file__).parents[2] / "golden" / "ledger"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///outcomes.db", Path.cwd() / "outcomes.db"),
        (" sqlite:////var/lib/out%20comes.db ", Path("/var/lib/out comes.db")),
        ("SQLite:///a/b.db", Path.cwd() / "a/b.db"),
    ],
)
def test_sqlite_url(url: str, path: Path) -> None:
    """Three slashes stand before a path from the working folder, four before an absolute one."""
    location = read_location(url)
    assert (location.engine, location.path, str(location)) == ("sqlite", path, f"sqlite:///{path}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_url(scheme: str) -> None:
    """A PostgreSQL URL is taken as libpq does, and its password is in nothing that may be shown."""
    location = read_location(f"{scheme}://ann:geh%40im@db.example:6432/outcomes?sslmode=require&password=geheim")
    assert location.path is None
    assert location.url == "postgresql://ann:geh%40im@db.example:6432/outcomes?sslmode=require&password=geheim"
    assert str(location) == "postgresql://ann@db.example:6432/outcomes"
    assert "geh" not in repr(location)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        None,
        7,
        "outcomes.db",
        "/var/lib/outcomes.db",
        "mysql://root:geheim@host/db",
        "sqlite://outcomes.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///folder/",
        "sqlite:///a.db?mode=ro",
        "sqlite:///a\x00.db",
        "postgresql://",
        "postgresql://ann:geheim@host",
        "postgresql://ann:geheim@host/",
        "postgresql://ann:geheim@host:port/db",
        "postgresql://ann:geheim@host:99999/db",
        "postgresql://ann:geheim@[::1/db",
        "geheim",
        "ann:geheim@host/db",
    ],
)
def test_unusable_url(url: object) -> None:
    """What is no URL of a ledger is an error that names the setting and what it takes, and shows no password."""
    with pytest.raises(SettingsError, match=r"ledger is not usable.*give sqlite:///") as raised:
        read_location(url)
    assert "geheim" not in str(raised.value)


def test_folder_and_file_are_private(tmp_path: Path) -> None:
    """The folder is made for its owner alone, and so are the file and what SQLite puts beside it."""
    old = os.umask(0)
    try:
        store = Store.open(read_location(f"sqlite:///{tmp_path}/data/outcomes.db"))
        store.accept([pending(1)])
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(old)
    assert found == dict.fromkeys(("outcomes.db", "outcomes.db-wal", "outcomes.db-shm"), 0o600)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    store.close()


def test_durable(tmp_path: Path) -> None:
    """Each commit is written through to the disk, and readers do not wait for writers."""
    store = Store.open(read_location(f"sqlite:///{tmp_path}/outcomes.db"))
    with store.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()


def test_schema_is_what_the_tables_say(ledger_url: str) -> None:
    """What the migrations lead to is what the code works with, to the last index."""
    engine = open_engine(read_location(ledger_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert schema_of(connection) == SCHEMA_VERSION
    engine.dispose()


def test_each_schema_has_its_dump() -> None:
    """Of the one of today, too: the tool that makes dumps makes them of that alone."""
    dumps = {f"schema_{number}.sql" for number in range(1, SCHEMA_VERSION + 1)}
    assert {path.name for path in DUMPS.glob("schema_*.sql")} == dumps == {dump for dump, _, _ in OF_BEFORE}


OF_BEFORE: Final = [("schema_1.sql", 28, 33), ("schema_2.sql", 30, 37), ("schema_3.sql", 30, 37)]


@pytest.mark.parametrize(("dump", "runs", "revisions"), OF_BEFORE)
def test_schema_of_before_opens(tmp_path: Path, dump: str, runs: int, revisions: int) -> None:
    """A filled ledger of each schema is brought up to date, with everything in it, verifies, and works on."""
    path = tmp_path / "outcomes.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DUMPS / dump).read_text(encoding="utf-8"))
        found = connection.execute("SELECT count(*), max(id) FROM revisions").fetchone()
    store = Store.open(read_location(f"sqlite:///{path}"))
    status = store.status()
    assert (status.schema, status.runs, status.paused, status.orphans) == (SCHEMA_VERSION, runs, 1, 1)
    assert len(list(store.revisions())) == found[0] == revisions
    assert sum(row.amount for row in store.series().totals if row.instrument == "agent.runs") == runs
    assert verify(store).difference is None
    store.accept([pending(77, run_id="to come")])
    (row,) = store.runs(RunFilter(since_ns=pending(77).run.end_ns, until_ns=pending(77).run.end_ns + 1))
    assert (row.state, row.standing.revision, row.standing.id) == ("reported", 1, found[1] + 2)
    assert verify(store).difference is None
    store.close()


def test_told_runs_and_keys_of_the_second_schema(tmp_path: Path) -> None:
    """What its processes have told of is still not delivered, and keys are as they were made."""
    path = tmp_path / "outcomes.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DUMPS / "schema_2.sql").read_text(encoding="utf-8"))
    store = Store.open(read_location(f"sqlite:///{path}"))
    revisions = store.run(RunReference(run_id="told-1")).revisions
    assert [(row.revision, row.told) for row in revisions] == [(0, True), (1, True), (2, False)]
    keys = list_keys(store)
    assert [(key.name, key.agents, key.rights) for key in keys] == [
        ("crm", frozenset({"support"}), frozenset({Right.REPORT}))
    ] * 2
    assert [key.expires_ns is None for key in keys] == [False, True]
    store.close()


def test_what_waits_for_a_person_in_the_third_schema(tmp_path: Path) -> None:
    """A cost of a run that had stopped is still there when that goes on, and is added to the cent."""
    path = tmp_path / "outcomes.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DUMPS / "schema_3.sql").read_text(encoding="utf-8"))
    store = Store.open(read_location(f"sqlite:///{path}"))
    assert [row.waits_for_person for row in store.held() if row.reference == "run_id:ticket-9"] == [True]
    store.accept([pending(109, run_id="ticket-9")])
    run = store.run(RunReference(outcome_id=pending(9).run.id))
    assert (run.row.outcome_id, [row.change for row in run.revisions]) == (pending(109).run.id, [None, Change.COST])
    assert verify(store).difference is None
    store.close()


def test_newer_schema_is_left_alone(ledger_url: str) -> None:
    """A ledger of a later release is refused with both numbers, and nothing in it is changed."""
    location = read_location(ledger_url)
    engine = open_engine(location)
    newer = SCHEMA_VERSION + 3
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :newer"), {"newer": f"{newer:04}"})
        connection.execute(text("CREATE TABLE from_the_future (id INTEGER)"))
    before = None if location.path is None else location.path.read_bytes()
    with pytest.raises(LedgerError, match=rf"version {newer}.*up to {SCHEMA_VERSION}; upgrade") as raised:
        Store.open(location)
    assert not isinstance(raised.value, LedgerUnavailable)
    with engine.connect() as connection:
        assert schema_of(connection) == newer
    assert before is None or location.path is None or location.path.read_bytes() == before
    engine.dispose()


def test_opened_by_many_at_once(ledger_url: str) -> None:
    """Of those that find no ledger one makes it, and the rest wait for that."""
    location = read_location(ledger_url)
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            open_engine(location).dispose()
        except BaseException as error:  # noqa: BLE001 - judged below
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_waits_for_who_writes_before_it_is_in_wal(tmp_path: Path, statement: str) -> None:
    """A new file that another is turning into WAL just then is waited for, as one in WAL is."""
    path = tmp_path / "outcomes.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as threads:
        other.execute(statement)
        opened = threads.submit(open_engine, read_location(f"sqlite:///{path}"))
        with pytest.raises(TimeoutError):
            opened.result(timeout=0.3)
        other.execute("COMMIT")
        opened.result(timeout=BUSY_TIMEOUT_S).dispose()


def test_settings_of_a_ledger_are_kept(ledger_url: str) -> None:
    """Limits that are given hold for who opens it later and gives none."""
    location = read_location(ledger_url)
    store = Store.open(location, limits=LedgerLimits(agents_max=2))
    store.accept([pending(number, agent=f"agent-{number}") for number in range(1, 4)])
    store.close()
    again = Store.open(location)
    again.accept([pending(4, agent="agent-4"), pending(5, agent="agent-2")])
    names = {row.labels[0]: row.amount for row in again.series().totals if row.instrument == "agent.runs"}
    assert names == {"agent-1": 1, "agent-2": 2, "_OTHER": 2}
    again.close()


def test_not_made(tmp_path: Path, postgresql: str) -> None:
    """Who only reads makes no ledger where there is none."""
    for url in (f"sqlite:///{tmp_path}/none.db", postgresql):
        with pytest.raises(LedgerError, match=r"no such file|holds no ledger"):
            Store.open(read_location(url), create=False)
    assert list(tmp_path.iterdir()) == []


def unusable(location_url: str, words: str) -> LedgerError:
    with pytest.raises(LedgerError, match=words) as raised:
        Store.open(read_location(location_url))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert PASSWORD not in str(raised.value)
    return raised.value


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """Each names the file and the fix, and is left as it was."""
    unusable(f"sqlite:///{tmp_path}/a/b/outcomes.db", f"{tmp_path}/a/b is missing; make it")
    unusable(f"sqlite:///{tmp_path}", f"ledger {tmp_path}: it is no file; name a file")
    no_database = tmp_path / "notes.txt"
    no_database.write_text("dear diary, " * 500)
    unusable(f"sqlite:///{no_database}", f"ledger {no_database}: it is no SQLite database; name another file")
    assert no_database.read_text() == "dear diary, " * 500
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    unusable(f"sqlite:///{other}", "tables of another program; give the ledger a database of its own")
    with sqlite3.connect(other) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]


def test_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that stays is named, nothing is stored, and it works again when the lock is gone."""
    monkeypatch.setattr("agent_outcomes.ledger.opening.BUSY_TIMEOUT_S", 0.05)
    store = Store.open(read_location(f"sqlite:///{tmp_path}/outcomes.db"))
    with sqlite3.connect(tmp_path / "outcomes.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match=r"outcomes\.db: another program has locked it; end that program"):
            store.accept([pending(1)])
        other.execute("ROLLBACK")
    assert store.status().runs == 0
    store.accept([pending(1)])
    assert store.status().runs == 1
    store.close()


def test_damaged(tmp_path: Path) -> None:
    """A damaged file is named with what to do, and accepts nothing."""
    path = tmp_path / "outcomes.db"
    store = Store.open(read_location(f"sqlite:///{path}"))
    store.accept([pending(number) for number in range(1, 60)])
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerError, match=r"outcomes\.db: it is damaged; restore it"):
        Store.open(read_location(f"sqlite:///{path}")).accept([pending(100)])


def test_servers_that_cannot_be_used(postgresql_server: PostgresqlServer, postgresql: str) -> None:
    """Each names the server and the fix, and shows no password."""
    name = postgresql.rpartition("/")[2]
    unusable(postgresql_server.url(name, password="wrong"), f"ledger@127.0.0.1.*{name}: the password is wrong")  # noqa: S106
    unusable(postgresql_server.url("absent"), "no such database; create it with createdb")
    refused = unusable(postgresql.replace(f":{postgresql_server.port}/", ":1/"), "cannot be reached; look whether")
    assert isinstance(refused, LedgerUnavailable)
    postgresql_server.execute("CREATE TABLE runs (id int)", name)
    unusable(postgresql, "tables of another program; give the ledger a database of its own")


@pytest.mark.parametrize("rest", ["u:geheim%zz@127.0.0.1/db", "u:geheim%00@127.0.0.1/db", "u:p@127.0.0.1/db?geheim=1"])
def test_server_urls_that_libpq_cannot_read(rest: str) -> None:
    """What libpq does not take is told without what it may hold."""
    with pytest.raises(LedgerError, match="its URL cannot be read; write special characters") as raised:
        Store.open(read_location(f"postgresql://{rest}"))
    assert "geheim" not in str(raised.value)


def test_content_that_something_else_has_written(ledger_url: str) -> None:
    """Changed bytes are named as such, to who reads them and to who reports on them, and nothing is stored."""
    store = Store.open(read_location(ledger_url))
    store.accept([pending(1, run_id="r")])
    store.database.write(lambda connection: connection.execute(text("UPDATE revisions SET content = digest")))
    with pytest.raises(LedgerError, match=r"not the content of a revision.*ledger verify"):
        store.run(RunReference(run_id="r"))
    with pytest.raises(ReportRefused, match=r"not the content of a revision.*ledger verify"):
        store.report(read_report(run_id="r", success=True), now_ns=1)
    assert store.status().accepted == 1
    store.close()


def test_reading_needs_no_right_to_write(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a ledger that is there, and says nothing new of it, waits for no writer."""
    location = read_location(ledger_url)
    Store.open(location, policy=Policy.LATEST).close()
    monkeypatch.setattr("agent_outcomes.ledger.opening.BUSY_TIMEOUT_S", 0.05)
    engine = open_engine(location)
    with engine.begin():
        store = Store.open(location, policy=Policy.LATEST)
        assert store.status().runs == 0
        store.close()
    engine.dispose()


def test_server_without_rights(postgresql_server: PostgresqlServer, postgresql: str) -> None:
    """A user who may not make tables is told which right is missing."""
    name = postgresql.rpartition("/")[2]
    postgresql_server.execute("DROP ROLE IF EXISTS reader", name)
    postgresql_server.execute("CREATE ROLE reader LOGIN PASSWORD 'p'", name)
    unusable(f"postgresql://reader:p@127.0.0.1:{postgresql_server.port}/{name}", "lacks a right; GRANT CREATE")


@pytest.mark.parametrize("how", ["restored", "removed"])
def test_a_file_that_is_replaced_while_it_is_open(tmp_path: Path, how: str) -> None:
    """Nothing is acknowledged into what nobody will ever open again; the next attempt goes to what is there."""
    path, backup = tmp_path / "outcomes.db", tmp_path / "backup.db"
    location = read_location(f"sqlite:///{path}")
    store = Store.open(location)
    store.accept([pending(1), pending(2)])
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    store.accept([pending(number, agent=f"agent {number}") for number in range(3, 9)])
    for file in tmp_path.glob("outcomes.db*"):
        file.unlink()
    if how == "restored":
        backup.rename(path)
    with pytest.raises(LedgerUnavailable, match="replaced or removed"):
        store.accept([pending(10)])
    assert store.accept([pending(10), pending(11, agent="agent 3")]).new == 2
    there = 2 if how == "restored" else 0
    assert (store.status().runs, store.status().pending) == (there + 2, there + 2)
    assert verify(store).difference is None
    store.close()


def test_a_package_in_an_archive_says_what_to_do(tmp_path: Path) -> None:
    """Migrations are files of a folder there; a ledger that is made opens all the same: nothing is to be migrated."""
    packages = Path(agent_outcomes.__file__).parents[1]
    archive, ledger = tmp_path / "application.pyz", tmp_path / "outcomes.db"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (packages / "agent_outcomes").rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                packed.write(file, file.relative_to(packages))
    program = (
        "import sys, agent_outcomes\n"
        "assert agent_outcomes.__file__.startswith(sys.argv[1]), agent_outcomes.__file__\n"
        "try:\n    agent_outcomes.install(ledger=sys.argv[2], ledger_deliver=False)\n"
        "except agent_outcomes.SettingsError as error:\n    print(error)\n"
        "with agent_outcomes.agent_run('bot') as run:\n    print(run.has_ended)\n"
    )

    def run() -> list[str]:
        command = [sys.executable, "-c", program, str(archive), f"sqlite:///{ledger}"]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(archive)}, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    error, went_on = run()
    assert (error.startswith(f"ledger {ledger}: "), "install otel-agent-outcomes unpacked" in error) == (True, True)
    assert went_on == "False"
    Store.open(read_location(f"sqlite:///{ledger}")).close()
    assert run() == ["False"]


def test_migrations_that_are_not_all_there(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever alembic makes of it is an error of this ledger, and not one of its own that nobody expects."""

    def upgrade(*_: object) -> None:
        message = "Can't locate revision identified by '0002'"
        raise CommandError(message)

    monkeypatch.setattr("alembic.command.upgrade", upgrade)
    with pytest.raises(LedgerError, match="Can't locate revision identified by '0002'; reinstall otel-agent-outcomes"):
        Store.open(read_location(ledger_url))
