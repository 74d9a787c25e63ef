# SPDX-License-Identifier: Apache-2.0
"""What is asked for in the query of a URL: filters, times, and where to go on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from agent_outcomes.gateway.http_api.problems import RequestCode, RequestRefused, forbidden
from agent_outcomes.given_times import read_time
from agent_outcomes.ledger.rows import place_in
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.given_times import GivenTime

RUNS_LISTED_MAX: Final = 1000
_COUNTS: Final = frozenset({"limit"})
_COUNT: Final = Pattern(r"[0-9]{1,9}")
_FIELD: Final = Pattern(r".*\$\.([a-z_]+)")
_UNKNOWN: Final = Pattern(r".*unknown field `([a-z_]{1,64})`.*")

Time = Annotated[
    str, Meta(max_length=64, description="How long ago, as 7d, 36h or 90m, or a date or time in ISO 8601.")
]
Name = Annotated[str, Meta(max_length=256, description="Exactly this one.")]
Latest = Annotated[Literal["latest"], Meta(description="Of several runs that match take the one that ended last.")]

_Query = TypeVar("_Query", bound=msgspec.Struct)


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs to list."""

    state: Annotated[Literal["pending", "reported"], Meta(description="Whether an outcome is reported.")] | None = None
    agent: Name | None = None
    job_type: Name | None = None
    status: (
        Annotated[
            Literal["success", "partial", "failure", "timeout", "cancelled", "invalid_output"],
            Meta(description="How the run executed."),
        ]
        | None
    ) = None
    type: (
        Annotated[
            Literal["converted", "escalated", "deflected", "unsuccessful", "custom"],
            Meta(description="The type of the reported outcome."),
        ]
        | None
    ) = None
    label: Name | None = None
    since: Time | None = None
    until: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=RUNS_LISTED_MAX, description="At most so many runs.")] = 100
    cursor: Annotated[str, Meta(max_length=64, description="`next` of the page before.")] | None = None


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of several runs that match."""

    run: Latest | None = None


class RangeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over which time, and of whom."""

    since: Time | None = None
    until: Time | None = None
    agent: Name | None = None
    job_type: Name | None = None


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which revisions to export, and in which form."""

    format: Annotated[Literal["jsonl", "csv"], Meta(description="JSON Lines, or CSV with a header.")] = "jsonl"
    since: Time | None = None
    until: Time | None = None
    agent: Name | None = None


class RetractionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an outcome is retracted, for who cannot send a body with DELETE."""

    reason: Annotated[str, Meta(max_length=4096, description="Why; needed here or in the body.")] | None = None
    run: Latest | None = None


def read_query(given: Mapping[str, str], query: type[_Query]) -> _Query:
    """What is asked for; raises `RequestRefused` that names the parameter and what it takes."""
    # Not `strict=False`, which takes the text `null` for a parameter that is not there.
    read = {name: _counted(text) if name in _COUNTS else text for name, text in given.items()}
    try:
        return msgspec.convert(read, query)
    except msgspec.ValidationError as error:
        raise _refused(str(error), query) from None


def _counted(text: str) -> int | str:
    """A count in decimal digits; what is none as it came, to be refused."""
    return int(text) if _COUNT.fullmatch(text) else text


def time_ns(text: str | None, field: str, now_ns: int) -> int | None:
    """A moment in Unix nanoseconds; raises `RequestRefused` that names the parameter."""
    return None if text is None else _given_time(text, field).before(now_ns)


def until_ns(text: str | None, field: str, now_ns: int) -> int | None:
    """The same as the end of a range; `None` also where all that is kept is before it."""
    return None if text is None else _given_time(text, field).until(now_ns)


def range_ns(since: str | None, until: str | None, now_ns: int) -> tuple[int | None, int | None]:
    """The beginning and the end of a range; raises `RequestRefused` that names the parameter, or both."""
    read = time_ns(since, "since", now_ns), until_ns(until, "until", now_ns)
    check_range(*read)
    return read


def check_range(since_ns: int | None, until_ns: int | None) -> None:
    """Raise `RequestRefused` (INVALID_QUERY) where a range ends before it begins: nothing can be in it."""
    if since_ns is not None and until_ns is not None and until_ns < since_ns:
        said = "since takes a time that is not after until, which for totals is now where it is left out"
        raise RequestRefused(RequestCode.INVALID_QUERY, said, ("since", "until"))


def _given_time(text: str, field: str) -> GivenTime:
    try:
        return read_time(text)
    except ValueError:
        said = f"{field} takes how long ago, as 7d, 36h or 90m, or a date or time in ISO 8601, as 2026-01-31"
        raise RequestRefused(RequestCode.INVALID_QUERY, said, (field,)) from None


def cursor_of(place: tuple[int, int]) -> str:
    """Where the next page goes on, as text."""
    return f"{place[0]}-{place[1]}"


def read_cursor(text: str | None) -> tuple[int, int] | None:
    """The place that `cursor_of` was given; raises `RequestRefused`."""
    if text is None:
        return None
    place = place_in(text, "-")
    if place is None:
        raise RequestRefused(RequestCode.INVALID_QUERY, "cursor takes the `next` of the page before", ("cursor",))
    return place


def agent_asked_for(caller: Caller, agent: str | None) -> str | None:
    """Whose runs to look at; raises `RequestRefused` where they are not this caller's."""
    if agent is not None and not caller.sees(agent):
        said = "the key is of another agent; use one of this agent"
        raise forbidden(said)
    return agent


def _refused(said: str, query: type[msgspec.Struct]) -> RequestRefused:
    known = query.__struct_fields__
    found = _UNKNOWN.fullmatch(said)
    if "unknown field" in said:
        named = (found[1],) if found else ()
        what = f"{found[1]} is" if found else "a parameter is"
        return RequestRefused(RequestCode.INVALID_QUERY, f"{what} unknown; this takes {', '.join(known)}", named)
    where = _FIELD.match(said)
    field = where[1] if where else ""
    takes = _description(query, field)
    return RequestRefused(RequestCode.INVALID_QUERY, f"{field} is not usable; it takes: {takes}", (field,))


def _description(query: type[msgspec.Struct], field: str) -> str:
    """What a parameter takes, in words."""
    properties = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
    found = properties.get(field, {})
    kinds = [found, *found.get("anyOf", ())]
    words = [kind["description"] for kind in kinds if "description" in kind]
    listed = [", ".join(map(str, kind["enum"])) for kind in kinds if "enum" in kind]
    bounds = [f"{kind['minimum']} to {kind['maximum']}" for kind in kinds if "minimum" in kind]
    return " ".join([*words, *listed, *bounds]) or "a value of its kind"
