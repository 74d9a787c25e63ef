# SPDX-License-Identifier: Apache-2.0
"""What is shown of a ledger's URL: of one that cannot be read no part that may be a secret, wherever it stands."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway_command.flags import FLAGS, gateway_settings
from agent_outcomes.ledger.location import read_location
from agent_outcomes.settings import SettingsError, lenient_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = "hunter2"
SCHEMES = st.sampled_from(
    ["sqlite", "postgresql", "postgres", "postgresql+psycopg", "POSTGRES", "mysql", "jdbc:postgresql", "x", "", HIDDEN]
)
SLASHES = st.sampled_from(["", "/", "//", "///", "////", "\\\\", "/ /"])
# Where a password stands in what people write: beside a user, as a port, before a host, or among options.
USERS = st.sampled_from([f"ann:{HIDDEN}@", f":{HIDDEN}@", f"ann:{HIDDEN}", f"ann:1/{HIDDEN}@", f"ann:{HIDDEN}@x@"])
HOSTS = st.sampled_from(["db", "db:5432", "[::1]", "[::1", "db:port", "a,b", "a:1,b:2", "", "db.example:99999"])
ENDS = st.sampled_from(["", "/", "/outcomes", "/a/b", "outcomes.db", "/o?sslmode=require", "/o;x=1", "?a", "#b"])
OPTIONS = st.sampled_from(
    [f"?password={HIDDEN}", f"/x?a=b&password={HIDDEN}", f"?{HIDDEN}", f"#{HIDDEN}", f"/o;password={HIDDEN}"]
)
ENCODINGS: list[Callable[[str], str]] = [
    str,
    lambda text: quote(text, safe="/"),
    lambda text: quote(quote(text, safe="/"), safe="/"),
    lambda text: text.replace("@", "%40"),
    lambda text: text.replace(":", "%3A"),
]


@st.composite
def mistyped(draw: st.DrawFn) -> str:
    """A URL with a password somewhere, some of whose other parts are wrong."""
    user = draw(USERS)
    before, after = (user, draw(ENDS)) if draw(st.booleans()) else ("ann@", draw(OPTIONS))
    rest = draw(st.sampled_from(ENCODINGS))(f"{before}{draw(HOSTS)}{after}")
    colon = draw(st.sampled_from([":", "", "::"]))
    return f"{draw(SCHEMES)}{colon}{draw(SLASHES)}{rest}"


@given(url=mistyped())
def test_no_secret_of_a_mistyped_url_is_shown(url: str) -> None:
    """Neither in a message, nor with all that led to it, nor in what stands for a URL that can be read."""
    complaints: list[str] = []
    calls: list[Callable[[], object]] = [
        lambda: read_location(url),
        lambda: _without_ledger({"AGENT_OUTCOMES_LEDGER": url}),
        lambda: _without_ledger({}, ledger=url),
        lambda: (gateway_settings({}, {"AGENT_OUTCOMES_LEDGER": url}), "")[1],
    ]
    lenient_settings({"ledger": url}, complaints.append, {"AGENT_OUTCOMES_LEDGER": url})
    assert HIDDEN not in "".join(complaints)
    for call in calls:
        told = _told(call)
        # What has no sign of a user or of options may be the name of a file: a colon alone is none.
        assert HIDDEN not in told or (told.startswith("sqlite:///") and not set("@?#=") & set(unquote(unquote(url))))


def _told(call: Callable[[], object]) -> str:
    """What a call gives, or all that is known of its error, also what a program that logs errors may look at."""
    try:
        given = call()
    except SettingsError as error:
        causes = traceback.format_exception(error), repr(error.__context__), repr(error.__cause__)
        return f"{causes} {error!r}"
    return f"{given} {given!r}"


def _without_ledger(environ: dict[str, str], **arguments: str) -> None:
    read_settings(environ, **arguments)  # type: ignore[arg-type]  # of them all only the ledger is given


@pytest.mark.parametrize("name", [flag.name for flag in FLAGS if flag.metavar == "URL" and flag.name != "ledger"])
@given(url=mistyped())
def test_no_secret_of_another_mistyped_url_is_shown(name: str, url: str) -> None:
    """Of a URL that a gateway cannot use only a scheme that is known."""
    try:
        gateway_settings({name: url}, {})
    except SettingsError as error:
        assert HIDDEN not in str(error)  # noqa: PT017 - what can be used is none


@pytest.mark.parametrize("user", ["ann", "ann.b", "ann-b", "ann b", "änne"])
@pytest.mark.parametrize("host", ["db", "db.example:5432", "[::1]:5432", "[fe80::1]", "a:1,b:2", "%2Fvar%2Frun", ""])
@pytest.mark.parametrize("database", ["outcomes", "out-comes.v2", "out_comes"])
def test_a_plain_url_is_shown_whole(user: str, host: str, database: str) -> None:
    """But for its password and its options."""
    location = read_location(f"postgresql://{quote(user)}:{HIDDEN}@{host}/{database}?password={HIDDEN}")
    assert str(location) == f"postgresql://{user}@{host}/{database}"


@pytest.mark.parametrize(
    "path",
    [
        "outcomes.db",
        "/var/lib/x.db",
        "day=2026-01-01/x.db",
        "C:/x.db",
        "C:/ann@home/x.db",
        "ann@home/x.db",
        "10:00/x.db",
        "a&b/c;d.db",
    ],
)
def test_usual_file_names_are_taken(path: str) -> None:
    """Also those with characters that part a URL."""
    assert str(read_location(f"sqlite:///{path}").path).endswith(path)
