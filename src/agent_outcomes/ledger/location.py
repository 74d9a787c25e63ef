# SPDX-License-Identifier: Apache-2.0
"""Where a ledger is: a SQLite file or a PostgreSQL database, read from a URL whose password is never shown."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from agent_outcomes.printable import printable
from agent_outcomes.settings import SettingsError, shown_scheme

_TAKES: Final = (
    "give sqlite:///outcomes.db (a file in the working folder), sqlite:////var/lib/outcomes.db (an absolute path) "
    "or postgresql://user:password@host:5432/database"
)
_SHOWN_MAX: Final = 120
_HIDDEN: Final = "..."
_PORT_MAX: Final = 65_535
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_HOST: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
# What parts a URL does not belong into a name: where it does stand in one, user, password or options were mistaken
# for it. A host may be the folder of a socket, or have an address in brackets.
_PARTING: Final = re.compile(r"[:@;=&?#%\\]")
_PLAIN_HOST: Final = re.compile(r"[\w.~/-]*|\[[\w.:]*\]")
# A colon between a single letter at the start and a slash is that of a drive.
_USER_IN_PATH: Final = re.compile(r"(?:(?<!^[A-Za-z]):|:(?![/\\])).*@|[;&][^/]*=")
_ENCODED_MAX: Final = 3
"""How often a part may have been percent-encoded: tools encode once more what was encoded."""


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
    raise SettingsError(_unusable(shown_scheme(text) if "://" in text else "it has no scheme"))


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
        raise SettingsError(_unusable("sqlite:... names a host, and three slashes stand before a file"))
    name = unquote(rest[1:])
    if not name or name == ":memory:" or name.endswith("/"):
        raise SettingsError(_unusable("sqlite:... names no file, where it would be kept"))
    decoded = _decoded(name)
    if "?" in decoded or "#" in decoded:
        raise SettingsError(_unusable("sqlite:... has options, and a SQLite file takes none"))
    if _USER_IN_PATH.search(decoded):
        raise SettingsError(_unusable("sqlite:... has a user, a password or options, and a SQLite file takes none"))
    path = Path(name).absolute()
    return Location(Engine.SQLITE, path, f"sqlite:///{path}")


def _postgresql(text: str) -> Location:
    parts, place = _parted(text), None
    if parts is not None:
        place = _place_of(parts)
    # Raised where no error is at hand: the words of one that came before quote what they cannot read.
    if parts is None or place is None:
        raise SettingsError(_unusable("host or port of the PostgreSQL URL cannot be read"))
    database = unquote(parts.path.removeprefix("/"))
    if not parts.netloc and not text.partition(":")[2].startswith("///"):
        raise SettingsError(_unusable("two slashes stand before user and host of a PostgreSQL URL"))
    if not database or "/" in database:
        raise SettingsError(_unusable("the PostgreSQL URL names no database"))
    shown = f"postgresql://{place}/{_plain(database)}"
    return Location(Engine.POSTGRESQL, None, _shown(shown), f"postgresql:{text.partition(':')[2]}")


def _parted(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _place_of(parts: SplitResult) -> str | None:
    """User, hosts and ports as they may be shown; `None` where they cannot be read. There may be several hosts."""
    before, at, hosts = parts.netloc.rpartition("@")
    shown = [_host_shown(host, is_only="," not in hosts) for host in hosts.split(",")]
    if None in shown:
        return None
    user = f"{_plain(unquote(before.partition(':')[0]))}@" if at else ""
    return user + ",".join(filter(None, shown))


def _host_shown(text: str, *, is_only: bool) -> str | None:
    """A host with its port; `None` where that is none. libpq takes 0 for the usual one if there are several hosts."""
    found = _HOST.fullmatch(text)
    port = None if found is None else found["port"]
    if found is None or (port and not int(is_only) <= int(port) <= _PORT_MAX):
        return None
    host = found["host"] if _PLAIN_HOST.fullmatch(_decoded(found["host"])) else _HIDDEN
    return host if port is None else f"{host}:{port}"


def _plain(name: str) -> str:
    """A user or a database as it may be shown."""
    return _HIDDEN if _PARTING.search(_decoded(name)) else name


def _decoded(text: str) -> str:
    """The text without percent-encoding, however often that was done."""
    for _ in range(_ENCODED_MAX):
        text = unquote(text)
    return text


def _shown(text: str) -> str:
    return printable(text[:_SHOWN_MAX])


def _unusable(what: str) -> str:
    return f"ledger is not usable: {what}; {_TAKES}"
