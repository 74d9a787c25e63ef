# SPDX-License-Identifier: Apache-2.0
"""What a database's errors mean: which file or server, what is wrong with it, and what to do about it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from agent_outcomes.ledger.book.content import ContentError
from agent_outcomes.ledger.location import Engine, LedgerError, LedgerUnavailable
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_outcomes.ledger.location import Location

_Read = TypeVar("_Read")

_SHOWN_MAX: Final = 200
_WORD_SHOWN_MAX: Final = 40
_UNREADABLE: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What comes of a value of another kind than its column's, which SQLite keeps in any."""


class StoredWordError(Exception):
    """A table has a word that this release does not know: a newer release may have written it."""

    def __init__(self, place: str, word: object) -> None:
        super().__init__(f"{place} is {printable(repr(word), _WORD_SHOWN_MAX)}, which this release does not know")


def read_word(read: Callable[[str], _Read], word: Any, place: str) -> _Read:
    """What `read` makes of a word of a table; `place` is its table and column. Raises `StoredWordError`."""
    try:
        return read(word)
    except (ValueError, TypeError):
        raise StoredWordError(place, word) from None


def read_json(text: Any, place: str) -> list[Any]:
    """A list that a table keeps as JSON; `place` is its table and column. Raises `ContentError`."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = None
    if isinstance(found, list):
        return found
    message = f"{place} cannot be read"
    raise ContentError(message)


class Meaning(NamedTuple):
    """What is wrong and what helps; `passes` says that trying again later may."""

    sentence: str
    passes: bool = False


SQLITE_ERRORS: Final[Mapping[int, Meaning]] = {
    sqlite3.SQLITE_BUSY: Meaning(
        "another program has locked it; end that program, or wait until it is done", passes=True
    ),
    sqlite3.SQLITE_LOCKED: Meaning("another connection has locked it; wait until it is done", passes=True),
    sqlite3.SQLITE_FULL: Meaning("its disk is full; make room", passes=True),
    sqlite3.SQLITE_IOERR: Meaning("its disk cannot be read or written; look at the disk and its mount", passes=True),
    sqlite3.SQLITE_READONLY: Meaning(
        "it is read-only; give this user the right to write the file and its folder", passes=True
    ),
    sqlite3.SQLITE_PERM: Meaning("access is denied; give this user the right to read and write the file", passes=True),
    sqlite3.SQLITE_AUTH: Meaning("access is denied; give this user the right to read and write the file", passes=True),
    sqlite3.SQLITE_CANTOPEN: Meaning(
        "it cannot be opened; look whether its folder is there and may be written to", passes=True
    ),
    sqlite3.SQLITE_CORRUPT: Meaning(
        "it is damaged; restore it from a backup, or save what is readable with sqlite3's .recover"
    ),
    sqlite3.SQLITE_NOTADB: Meaning("it is no SQLite database; name another file"),
    sqlite3.SQLITE_TOOBIG: Meaning("a value is larger than SQLite takes"),
}
"""By SQLite's primary result code."""
POSTGRESQL_ERRORS: Final[Mapping[str, Meaning]] = {
    "28P01": Meaning("the password is wrong, or none is given; correct it in the URL or in ~/.pgpass"),
    "28000": Meaning("the server does not let this user in; look at its pg_hba.conf"),
    "3D000": Meaning("the server has no such database; create it with createdb"),
    "42501": Meaning("this user lacks a right; GRANT CREATE ON SCHEMA, or let it own the tables"),
    "25006": Meaning("the server is read-only, as a standby is; name the primary", passes=True),
    "53100": Meaning("the server's disk is full; make room", passes=True),
    "53300": Meaning("the server has no connection left; raise max_connections", passes=True),
    "55P03": Meaning("another program has locked it; wait until it is done", passes=True),
    "57014": Meaning("the server stopped the statement; look at its statement_timeout", passes=True),
    "XX001": Meaning("the server's files are damaged; restore a backup"),
    "XX002": Meaning("an index of the server is damaged; REINDEX it"),
}
"""By SQLSTATE."""
PASSING_CLASSES: Final = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATEs that pass: connection, rollback, resources, not in the right state, intervention, system."""
RETRIED_AT_ONCE: Final = frozenset({"40001", "40P01", "23505"})
"""Of two transactions that got into each other's way the one that lost: it succeeds when it is done again."""


def meaning_of(error: BaseException) -> Meaning:
    """What this error of a driver or of SQLAlchemy means. Never raises."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        known = SQLITE_ERRORS.get(code & 0xFF) if isinstance(code, int) else None
        return known or Meaning(f"SQLite says: {_words(cause)}")
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return POSTGRESQL_ERRORS.get(state) or Meaning(
            f"the server says: {_words(cause)}", state.startswith(PASSING_CLASSES)
        )
    if isinstance(error, PoolTimeout):
        return Meaning("all its connections are in use; wait until one is free", passes=True)
    return _of_connecting(cause)


def _of_connecting(error: BaseException) -> Meaning:
    """An error before there was a session carries no SQLSTATE, only libpq's words in English."""
    words = str(error)
    if words.startswith(("invalid", "forbidden", "missing", "extra")):
        return Meaning("its URL cannot be read; write special characters of user and password as %XX")
    for part, state in (
        ("password", "28P01"),
        ("does not exist", "3D000"),
        ("pg_hba.conf", "28000"),
        ("too many", "53300"),
    ):
        if part in words:
            return POSTGRESQL_ERRORS[state]
    return Meaning("the server cannot be reached; look whether it runs, and at host and port", passes=True)


def is_lost_race(error: DBAPIError) -> bool:
    """Whether the same transaction, done again at once, may succeed."""
    return getattr(error.orig, "sqlstate", None) in RETRIED_AT_ONCE


@contextmanager
def told_of(location: Location) -> Iterator[None]:
    """Turn errors of the database into `LedgerError` or `LedgerUnavailable` that name the ledger and what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        raise error_of(location, meaning_of(error)) from None
    except ContentError as error:
        what = f"{error}, as if something else had written them; ledger verify names the first difference"
        raise error_of(location, Meaning(what)) from None
    except StoredWordError as error:
        what = f"{error}; upgrade otel-agent-outcomes here, or restore a backup if something else has written there"
        raise error_of(location, Meaning(what)) from None
    except (sqlite3.Error, OSError) as error:
        raise error_of(location, meaning_of(error) if isinstance(error, sqlite3.Error) else _of_system(error)) from None


@contextmanager
def told_of_rows(location: Location) -> Iterator[None]:
    """Turn what comes of rows that nobody can read into a `LedgerError`, while nothing but rows is read."""
    try:
        yield
    except ContentError:
        raise
    except _UNREADABLE as error:
        what = f"a row cannot be read ({type(error).__name__}), as if something else had written it"
        raise error_of(location, Meaning(f"{what}; ledger verify names the first difference")) from error


def error_of(location: Location, meaning: Meaning) -> LedgerError:
    """The error to raise."""
    kind = LedgerUnavailable if meaning.passes else LedgerError
    what = location.path if location.engine is Engine.SQLITE else location.shown
    return kind(f"ledger {printable(str(what))}: {meaning.sentence}")


def _of_system(error: OSError) -> Meaning:
    return Meaning(
        f"{(error.strerror or type(error).__name__).lower()}; look at the file's folder and its permissions",
        passes=True,
    )


def _words(error: BaseException) -> str:
    """The first line of what a database says; further ones quote statements and stored values."""
    lines = str(error).splitlines()
    return printable(lines[0][:_SHOWN_MAX]) if lines else type(error).__name__
