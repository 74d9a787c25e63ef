# SPDX-License-Identifier: Apache-2.0
"""Times as people give them: how long ago, or a date. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGE: Final = Pattern(r"([0-9]{1,6})(s|m|h|d|w)")
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NS: Final = 1_000_000_000


class GivenTime(NamedTuple):
    """A time as it was given: so long ago, or a moment in Unix nanoseconds."""

    ago_s: int | None
    moment_ns: int = 0

    def before(self, now_ns: int) -> int:
        """The moment, in Unix nanoseconds; never before 1970."""
        return self.moment_ns if self.ago_s is None else max(0, now_ns - self.ago_s * _NS)


def read_time(text: str) -> GivenTime:
    """A time: `7d` or `36h` ago, or a date or time in ISO 8601, in UTC if it names no zone.

    Raises `ValueError` for what is none, or before 1970.
    """
    given = text.strip()
    found = _AGE.fullmatch(given)
    if found is not None:
        return GivenTime(int(found[1]) * _SECONDS[found[2]])
    moment = datetime.fromisoformat(given)
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        moment_ns = round(at.timestamp()) * _NS
    except OverflowError as error:
        raise ValueError(text) from error
    if moment_ns < 0:
        raise ValueError(text)
    return GivenTime(None, moment_ns)
