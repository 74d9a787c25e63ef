# SPDX-License-Identifier: Apache-2.0
"""Times as people give them: how long ago, or a date. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from agent_outcomes.bounds import TIME_MAX_NS
from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGE: Final = Pattern(r"([0-9]{1,6})(s|m|h|d|w)")
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Of what stands behind the seconds Python keeps six digits, and the ledger nine.
_NANOSECONDS: Final = Pattern(r"[^.,]*[.,][0-9]{6}([0-9]{1,3})[0-9]*(?:[Zz]|[+-][0-9:]*)?")
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS: Final = 1_000_000_000


class GivenTime(NamedTuple):
    """A time as it was given: so long ago, or a moment in Unix nanoseconds."""

    ago_s: int | None
    moment_ns: int = 0

    def before(self, now_ns: int) -> int:
        """The moment, in Unix nanoseconds; never before 1970, nor after the last one that is kept."""
        moment_ns = self.moment_ns if self.ago_s is None else now_ns - self.ago_s * _NS
        return min(max(0, moment_ns), TIME_MAX_NS)

    def until(self, now_ns: int) -> int | None:
        """The moment as the end of a range; `None`, which is no end, where nothing later is kept."""
        moment_ns = self.before(now_ns)
        return moment_ns if moment_ns < TIME_MAX_NS else None


def read_time(text: str) -> GivenTime:
    """A time: `7d` or `36h` ago, or a date or time in ISO 8601, in UTC if it names no zone.

    Raises `ValueError` for what is none, or before 1970.
    """
    given = text.strip()
    found = _AGE.fullmatch(given)
    if found is not None:
        return GivenTime(int(found[1]) * _SECONDS[found[2]])
    moment_ns = _moment_ns(given)
    if moment_ns < 0:
        raise ValueError(text)
    return GivenTime(None, moment_ns)


def _moment_ns(given: str) -> int:
    """A date or time in ISO 8601, exactly; what is less than a nanosecond is left out, as none is recorded."""
    moment = datetime.fromisoformat(given)
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    found = _NANOSECONDS.fullmatch(given)
    nanoseconds = 0 if found is None else int(found[1].ljust(3, "0"))
    # In whole numbers: a double holds no nanoseconds of today. Whatever is later is after all that is kept.
    return min((at - _BEGINNING) // timedelta(microseconds=1) * 1_000 + nanoseconds, TIME_MAX_NS)
