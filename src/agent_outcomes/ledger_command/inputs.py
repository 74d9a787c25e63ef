# SPDX-License-Identifier: Apache-2.0
"""What is given on the command line: times, ages, counts, and which run is meant. Pure."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGE: Final = Pattern(r"(\d{1,6})(s|m|h|d|w)")
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OUTCOME_ID: Final = Pattern(r"[0-9a-fA-F]{32}-[0-9a-fA-F]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-fA-F]{32}")
_NS: Final = 1_000_000_000
_SHOWN_MAX: Final = 60
_COUNT_DIGITS_MAX: Final = 9


class GivenTime(NamedTuple):
    """A time as it was given: so long ago, or a moment in Unix nanoseconds."""

    ago_s: int | None
    moment_ns: int = 0

    def before(self, now_ns: int) -> int:
        """The moment, in Unix nanoseconds; never before 1970."""
        return self.moment_ns if self.ago_s is None else max(0, now_ns - self.ago_s * _NS)


def given_time(text: str) -> GivenTime:
    """A time: `7d` or `36h` ago, or a date or time in ISO 8601, in UTC if it names no zone."""
    given = text.strip()
    found = _AGE.fullmatch(given)
    if found is not None:
        return GivenTime(int(found[1]) * _SECONDS[found[2]])
    try:
        moment = datetime.fromisoformat(given)
        at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        moment_ns = round(at.timestamp()) * _NS
    except (ValueError, OverflowError):
        moment_ns = -1
    if moment_ns < 0:
        raise _unusable(text, "time; give how long ago, as 7d, 36h or 90m, or a date, as 2026-01-31")
    return GivenTime(None, moment_ns)


def positive_number(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS_MAX and int(text) > 0):
        raise _unusable(text, "number here; give a whole number from 1")
    return int(text)


def number(text: str) -> int:
    """A whole number from 0, as of a revision."""
    if not (text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS_MAX):
        raise _unusable(text, "number here; give a whole number from 0")
    return int(text)


def field_of(run: str) -> str:
    """Which of a run's three names this is, by its form: outcome id, trace id, or else the user's own key."""
    if _OUTCOME_ID.fullmatch(run):
        return "outcome_id"
    return "trace_id" if _TRACE_ID.fullmatch(run) else "run_id"


def _unusable(text: str, what: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"'{printable(text, _SHOWN_MAX)}' is no {what}")
