# SPDX-License-Identifier: Apache-2.0
"""What is given on the command line: times, ages, counts, and which run is meant. Pure."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from agent_outcomes.bounds import REVISION_MAX, ROW_MAX, whole_number
from agent_outcomes.given_times import read_time
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from agent_outcomes.given_times import GivenTime

_OUTCOME_ID: Final = Pattern(r"[0-9a-fA-F]{32}-[0-9a-fA-F]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-fA-F]{32}")
_SHOWN_MAX: Final = 60


def given_text(text: str) -> str:
    """A text; an empty one, as of a variable of the shell that is not set, is no name, no path and no value."""
    if not text.strip():
        empty = "it is empty; give it a value, or leave it out"
        raise argparse.ArgumentTypeError(empty)
    return text


def given_time(text: str) -> GivenTime:
    """A time: `7d` or `36h` ago, or a date or time in ISO 8601, in UTC if it names no zone."""
    try:
        return read_time(text)
    except ValueError:
        what = "time; give how long ago, as 7d, 36h or 90m, or a date, as 2026-01-31"
        raise _unusable(text, what) from None


def age_s(text: str) -> int:
    """How long, in seconds: `90m`, `36h`, `7d`."""
    given = given_time(text)
    if given.ago_s is None:
        raise _unusable(text, "length of time; give it as 90m, 36h or 7d")
    return given.ago_s


def positive_number(text: str) -> int:
    """A whole number from 1, as of a row."""
    found = whole_number(text, ROW_MAX)
    if not found:
        raise _unusable(text, "number here; give a whole number from 1")
    return found


def number(text: str) -> int:
    """The number of a revision."""
    found = whole_number(text, REVISION_MAX)
    if found is None:
        raise _unusable(text, "number here; give a whole number from 0")
    return found


def field_of(run: str) -> str:
    """Which of a run's three names this is, by its form: outcome id, trace id, or else the user's own key."""
    if _OUTCOME_ID.fullmatch(run):
        return "outcome_id"
    return "trace_id" if _TRACE_ID.fullmatch(run) else "run_id"


def _unusable(text: str, what: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"'{printable(text, _SHOWN_MAX)}' is no {what}")
