# SPDX-License-Identifier: Apache-2.0
"""Where a ledger is: a SQLite file or a PostgreSQL database, read from a URL whose password is never shown."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from agent_outcomes.printable import printable
from agent_outcomes.settings import SettingsError

_TAKES: Final = (
    "give sqlite:///outcomes.db (a file in the working folder), sqlite:////var/lib/outcomes.db (an absolute path) "
    "or postgresql://user:password@host:5432/database"
)
_SHOWN_MAX: Final = 120
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})


class LedgerError(Exception):
    """A ledger cannot be used; the message names its file or URL, without a password, and what to do about it."""


class LedgerUnavailable(LedgerError):  # noqa: N818 - what the ledger is; the error is its base
    """A ledger cannot be reached or written to now, and nothing was stored: to try again later may help."""


class Engine(StrEnum):
    """The database that a ledger is in."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a ledger is.

    `path` is the absolute path of a SQLite file and `None` otherwise; `url` is a PostgreSQL URL as libpq takes it,
    with its password, and therefore in no repr. `str` is a URL that may be shown.
    """

    engine: Engine
    path: Path | None
    shown: str
    url: str = field(default="", repr=False)

    def __str__(self) -> str:
        """The URL without a password."""
        return self.shown


def read_location(url: object) -> Location:
    """The ledger that `url` names, which is not looked at.

    Raises `SettingsError` that names `ledger` and what it takes, and never a password, where it is no such URL.
    """
    if not isinstance(url, str) or not url.strip():
        raise SettingsError(_unusable("it is no URL"))
    text = url.strip()
    if any(ord(char) < ord(" ") for char in text):
        raise SettingsError(_unusable("the URL has control characters"))
    scheme = text.partition(":")[0].lower()
    if scheme in _SQLITE:
        return _sqlite(text)
    if scheme in _POSTGRESQL:
        return _postgresql(text)
    # What stands before the first colon may be anything, and what follows may hold a password.
    named = f"{printable(scheme[:20])}:..." if "://" in text else "it has no scheme"
    raise SettingsError(_unusable(f"{named}"))


def state_folder() -> Path:
    """Where this user's programs keep what must outlive them. Never raises."""
    stated = os.environ.get("XDG_STATE_HOME", "")
    if Path(stated).is_absolute():
        return Path(stated)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:  # nobody knows whose home it would be
        return Path(tempfile.gettempdir())


def _sqlite(text: str) -> Location:
    rest = text.partition("://")[2]
    if not rest.startswith("/"):
        raise SettingsError(_unusable(f"{_shown(text)} names a host, and three slashes stand before a file"))
    name = unquote(rest[1:])
    if not name or name == ":memory:" or name.endswith("/"):
        raise SettingsError(_unusable(f"{_shown(text)} names no file, where it would be kept"))
    if "?" in name or "#" in name:
        raise SettingsError(_unusable(f"{_shown(text)} has options, and a SQLite file takes none"))
    path = Path(name).absolute()
    return Location(Engine.SQLITE, path, f"sqlite:///{path}")


def _postgresql(text: str) -> Location:
    try:
        parts = urlsplit(text)
        database = unquote(parts.path.removeprefix("/"))
        shown = f"postgresql://{_place_of(parts)}/{database}"
    except ValueError:
        raise SettingsError(_unusable("host or port of the PostgreSQL URL cannot be read")) from None
    if not database or "/" in database:
        raise SettingsError(_unusable(f"{_shown(shown)} names no database"))
    return Location(Engine.POSTGRESQL, None, _shown(shown), f"postgresql:{text.partition(':')[2]}")


def _place_of(parts: SplitResult) -> str:
    """User, host and port; a port that is none raises `ValueError`, unless there are several hosts, as libpq allows."""
    hosts = parts.netloc.rpartition("@")[2]
    if "," not in hosts and parts.port == 0:
        raise ValueError
    user = parts.username
    return hosts if user is None else f"{unquote(user)}@{hosts}"


def _shown(text: str) -> str:
    return printable(text[:_SHOWN_MAX])


def _unusable(what: str) -> str:
    return f"ledger is not usable: {what}; {_TAKES}"
