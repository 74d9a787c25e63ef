# SPDX-License-Identifier: Apache-2.0
"""The time range that is looked at, as the address of the page names it. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.bounds import TIME_MAX_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

_NS: Final = 1_000_000_000
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
_MINUTE_S: Final = 60
_STEPS_S: Final = (
    *(_MINUTE_S * minutes for minutes in (1, 5, 15)),
    *(_HOUR_S * hours for hours in (1, 3, 6)),
    *(_DAY_S * days for days in (1, 2, 3, 7, 14, 30, 90, 365)),
)
_BUCKETS_MAX: Final = 31
_DATE_LENGTH: Final = 10
_FIRST_DAY: Final = date(1970, 1, 1)
# The day after it begins before the last moment that is kept.
_LAST_DAY: Final = _FIRST_DAY + timedelta(seconds=TIME_MAX_NS // _NS - _DAY_S)


class Span(StrEnum):
    """The ranges that end now."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "365d"


SPAN_WORDS: Final[Mapping[Span, str]] = {
    Span.HOUR: "1 hour",
    Span.DAY: "24 hours",
    Span.WEEK: "7 days",
    Span.MONTH: "30 days",
    Span.QUARTER: "90 days",
    Span.YEAR: "1 year",
}
_SPAN_S: Final[Mapping[Span, int]] = {
    Span.HOUR: _HOUR_S,
    Span.DAY: _DAY_S,
    Span.WEEK: 7 * _DAY_S,
    Span.MONTH: 30 * _DAY_S,
    Span.QUARTER: 90 * _DAY_S,
    Span.YEAR: 365 * _DAY_S,
}
_SPANS: Final[Mapping[str, Span]] = {span.value: span for span in Span}
USUAL: Final = Span.WEEK


class Period(NamedTuple):
    """A range of time, `until_ns` not part of it, and in what steps it is shown.

    `span` is how it was named if it ends now, else `first_day` and `last_day` are its days, in UTC. `complaint` says
    what was wrong with what was asked for, in whose place this is.
    """

    since_ns: int
    until_ns: int
    step_s: int
    span: Span | None
    first_day: str = ""
    last_day: str = ""
    complaint: str | None = None


def read_period(query: Mapping[str, str], now_ns: int) -> Period:
    """What `from` and `to`, two days in UTC, or else `range` ask for; without any the last seven days. Never raises."""
    first, last = query.get("from", "").strip(), query.get("to", "").strip()
    if first or last:
        return _of_days(first, last, now_ns)
    named = query.get("range", USUAL)
    span = _SPANS.get(named)
    if span is not None:
        return _ending_now(span, now_ns)
    complaint = f"There is no such range; these are the last {SPAN_WORDS[USUAL]}."
    return _ending_now(USUAL, now_ns)._replace(complaint=complaint)


def _ending_now(span: Span, now_ns: int) -> Period:
    until_s = (now_ns // (_NS * _MINUTE_S) + 1) * _MINUTE_S
    since_s = max(0, until_s - _SPAN_S[span])
    return Period(since_s * _NS, until_s * _NS, _step_of(_SPAN_S[span]), span)


def _of_days(first: str, last: str, now_ns: int) -> Period:
    since, until = _day(first), _day(last)
    if since is None or until is None or until < since:
        fix = f"Give two days, as 2026-01-31, the earlier first, up to {_LAST_DAY}"
        complaint = f"{fix}; these are the last {SPAN_WORDS[USUAL]}."
        return _ending_now(USUAL, now_ns)._replace(complaint=complaint)
    until_s = _seconds(until) + _DAY_S
    step_s = _step_of(until_s - _seconds(since))
    return Period(_seconds(since) * _NS, until_s * _NS, step_s, None, str(since), str(until))


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if len(text) == _DATE_LENGTH else None
    except ValueError:
        return None
    return day if day is not None and _FIRST_DAY <= day <= _LAST_DAY else None


def _seconds(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _step_of(length_s: int) -> int:
    return next((step for step in _STEPS_S if step * _BUCKETS_MAX >= length_s), _STEPS_S[-1])
