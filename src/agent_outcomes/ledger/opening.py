# SPDX-License-Identifier: Apache-2.0
"""Opening a ledger: its file and who may read it, its connections, and its schema brought up to date under a lock."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, create_engine, event, inspect, text

from agent_outcomes.ledger.errors import Meaning, error_of, read_word, told_of
from agent_outcomes.ledger.location import Engine, LedgerError
from agent_outcomes.ledger.schema import SCHEMA_VERSION, VERSION_TABLE, metadata
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy

    from agent_outcomes.ledger.location import Location

BUSY_TIMEOUT_S: Final = 5.0
_BUSY_PAUSE_S: Final = 0.01
# The bits of an error's code beside what SQLite calls extended.
_PRIMARY_CODE: Final = 0xFF
# A server that is gone without a word, behind a network that drops packets, is noticed within half a minute.
_CONNECTION: Final[Mapping[str, Any]] = {
    "application_name": "agent-outcomes",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What holds unless the URL says otherwise."""
READS_ONLY: Final = {"ledger_reads_only": True}
"""Execution options of a connection whose transactions write nothing: on SQLite they wait for nobody."""
_CACHE_KIB: Final = 65_536
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
# Any number will do, as long as no other program takes the same.
MIGRATION_LOCK: Final = 0x6F7574636F6D65
LOCK_TIMEOUT: Final = "10s"
_NO_FOLDER: Final = Meaning(
    "its schema cannot be made or brought up to date by a package that was imported from an archive; "
    "install otel-agent-outcomes unpacked, or open the ledger once with a program that has it so"
)


def open_engine(location: Location, *, create: bool = True) -> sqlalchemy.Engine:
    """An engine for this ledger, whose schema is the newest; with `create` a ledger that is not there is made.

    Raises `LedgerError`, or `LedgerUnavailable` where trying again may help, naming the ledger and what to do; a ledger
    of a newer schema, or a database that holds something else, is left untouched.
    """
    with told_of(location):
        if location.path is not None:
            _prepare_file(location, location.path, create=create)
        engine = _sqlite(location.path) if location.path is not None else _postgresql(location)
        try:
            _bring_up_to_date(engine, location, create=create)
        except BaseException:
            engine.dispose()
            raise
        return engine


def schema_of(connection: Connection) -> int | None:
    """The version of the schema that is there, `None` where there is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our constant
    return None if found is None else read_word(int, found, f"{VERSION_TABLE}.version_num")


def _prepare_file(location: Location, path: Path, *, create: bool) -> None:
    if path.exists():
        if not path.is_file():
            raise error_of(location, Meaning("it is no file; name a file"))
        return
    if not create:
        raise error_of(
            location, Meaning("there is no such file; look at the path, or start the program that writes it")
        )
    if not path.parent.exists():
        if not path.parent.parent.exists():
            raise error_of(location, Meaning(f"its folder {path.parent} is missing; make it, or correct the path"))
        path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    # SQLite would make it readable for all; its WAL gets the permissions of the file itself.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, _FILE_MODE))


def _sqlite(path: Path) -> sqlalchemy.Engine:
    def connect() -> sqlite3.Connection:
        # Transactions are begun by us, as the driver would begin them too late for a lock.
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=_queue_pool(), pool_size=4, max_overflow=4)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads_only = connection.get_execution_options().get("ledger_reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


def _set_up(connection: sqlite3.Connection) -> None:
    _into_wal(connection)
    for pragma in ("synchronous=FULL", f"cache_size=-{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")


def _into_wal(connection: sqlite3.Connection) -> None:
    """SQLite's timeout does not hold here: of two that turn a new file into WAL one is told at once it is busy.

    It has begun to read by then, and who reads is not made to wait for a lock to write (`sqlite3BtreeBeginTrans`).
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(_BUSY_PAUSE_S)


def _queue_pool() -> type[sqlalchemy.pool.Pool]:
    from sqlalchemy.pool import QueuePool  # noqa: PLC0415 - beside the one use that has to name it

    return QueuePool


def _postgresql(location: Location) -> sqlalchemy.Engine:
    try:
        import psycopg  # noqa: PLC0415 - only who has the extra has the driver
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ImportError:
        message = (
            f"ledger {location}: the driver for PostgreSQL is missing; pip install 'otel-agent-outcomes[postgresql]'"
        )
        raise LedgerError(message) from None

    def connect() -> Any:
        return psycopg.connect(**{**_CONNECTION, **conninfo_to_dict(location.url)})

    # By position, so that many rows go to the driver as plain tuples.
    return create_engine(
        "postgresql+psycopg://", creator=connect, paramstyle="format", pool_size=4, max_overflow=4, pool_pre_ping=True
    )


def _bring_up_to_date(engine: sqlalchemy.Engine, location: Location, *, create: bool) -> None:
    with engine.connect().execution_options(**READS_ONLY) as connection:
        found = schema_of(connection)
    if found == SCHEMA_VERSION:
        return
    _refuse_newer(location, found)
    if found is None and not create:
        raise error_of(location, Meaning("it holds no ledger; look at the path, or start the program that writes it"))
    migrate = _migration(location)
    with engine.begin() as connection:
        if location.engine is Engine.POSTGRESQL:
            connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": LOCK_TIMEOUT})
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        found = schema_of(connection)
        _refuse_newer(location, found)
        if found is None:
            _refuse_tables_of_others(location, connection)
        if found != SCHEMA_VERSION:
            migrate(connection)


def _refuse_newer(location: Location, found: int | None) -> None:
    if found is not None and found > SCHEMA_VERSION:
        sentence = (
            f"its schema is version {found}, and this release knows up to {SCHEMA_VERSION}; "
            "upgrade otel-agent-outcomes here, or name another ledger"
        )
        raise error_of(location, Meaning(sentence))


def _refuse_tables_of_others(location: Location, connection: Connection) -> None:
    tables = set(inspect(connection).get_table_names())
    # A file that another program keeps its data in is not ours to write to; on a server only names must not clash.
    clash = tables if location.engine is Engine.SQLITE else tables & set(metadata.tables)
    if clash:
        raise error_of(location, Meaning("it holds tables of another program; give the ledger a database of its own"))


def _migration(location: Location) -> Callable[[Connection], None]:
    """What migrates; alembic is seldom needed and slow to import, for which nobody is to wait at the lock.

    Alembic reads the migrations as files of a folder. Raises `LedgerError` where they are none, or are not all there.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    folder = Path(__file__).parent / "migrations"
    if not folder.is_dir():
        raise error_of(location, _NO_FOLDER)

    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            sentence = (
                f"its schema cannot be brought up to date: {printable(str(error))}; reinstall otel-agent-outcomes"
            )
            raise error_of(location, Meaning(sentence)) from error

    return migrate
