# SPDX-License-Identifier: Apache-2.0
"""The fields of a run that is recorded by one request: checked by type and length, complaints by field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from agent_outcomes.record.record import AttributeValue

RESOURCE_ATTRIBUTES_MAX: Final = 64
RESOURCE_TEXT_MAX: Final = 1024
DURATION_MAX_S: Final = 10 * 365 * 24 * 3600
FUTURE_MAX_NS: Final = 3600 * 1_000_000_000
"""How far the clock of whoever records a run may be ahead."""

_NS: Final = 1_000_000_000
_TIME: Final = Pattern(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NAME_LENGTH_MAX: Final = 64
_TAKES_TIME: Final = "takes a time of RFC 3339, as 2026-01-31T12:00:00Z, or Unix seconds, and not of the future"


class Times(NamedTuple):
    """When a run began and ended; `duration_s` is `None` if nobody said how long it took."""

    start_ns: int
    end_ns: int
    duration_s: float | None


class RecordFields:
    """The fields as they are given, and what is wrong with them."""

    def __init__(self, given: Mapping[str, object], known: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self.complaints: list[tuple[str, str]] = []
        for name in given:
            if name not in known:
                # A name that nobody knows may be anything; it is quoted as far as it looks like one.
                shown = name if len(name) <= _NAME_LENGTH_MAX and name.isidentifier() else "a field"
                self.complain(shown, f"{shown} is unknown; a run takes {', '.join(known)}")

    def complain(self, field: str, text: str) -> None:
        """Note what is wrong with a field, and what it takes."""
        self.complaints.append((field, text))

    def has(self, name: str) -> bool:
        """Whether the field is given."""
        return name in self._given

    def some(self, names: tuple[str, ...]) -> dict[str, object]:
        """Those of these fields that are given."""
        return {name: self._given[name] for name in names if name in self._given}

    def text(self, name: str, length_max: int = LABEL_LENGTH_MAX) -> str | None:
        """A text of 1 to so many characters, in valid Unicode."""
        value = self._given.get(name)
        if value is None or _is_text(value, length_max):
            return value  # type: ignore[return-value] # told by `_is_text`
        self.complain(name, f"{name} takes text of 1 to {length_max} characters")
        return None

    def times(self, now_ns: int) -> Times:
        """When the run began and ended: by at most two of started, ended and duration_s; without any it ends now."""
        started_ns, ended_ns = self._time_ns("started", now_ns), self._time_ns("ended", now_ns)
        lasted_ns = self._duration_ns()
        if self.has("started") and self.has("ended") and self.has("duration_s"):
            self.complain("duration_s", "duration_s is said by started and ended already; give two of the three")
        if started_ns is not None and ended_ns is not None:
            if ended_ns < started_ns:
                self.complain("ended", "ended takes a time that is not before started")
            lasted_ns = max(0, ended_ns - started_ns)
        elif started_ns is not None:
            ended_ns = now_ns if lasted_ns is None else started_ns + lasted_ns
            lasted_ns = max(0, ended_ns - started_ns)
        end_ns = now_ns if ended_ns is None else ended_ns
        return Times(end_ns - (lasted_ns or 0), end_ns, None if lasted_ns is None else lasted_ns / _NS)

    def resource(self) -> dict[str, AttributeValue]:
        """Attributes of the resource, by their names and by the fields for the usual ones."""
        value = self._given.get("resource", {})
        attributes = _resource(value) if isinstance(value, Mapping) else None
        if attributes is None:
            takes = f"takes up to {RESOURCE_ATTRIBUTES_MAX} attributes, each a text, a number, true or false"
            self.complain("resource", f"resource {takes}")
            attributes = {}
        for name, key in RESOURCE_KEYS.items():
            text = self.text(name)
            if text is not None:
                attributes[key] = text
        return attributes

    def _time_ns(self, name: str, now_ns: int) -> int | None:
        value = self._given.get(name)
        if value is None:
            return None
        time_ns = _time_ns(value)
        if time_ns is not None and 0 < time_ns <= now_ns + FUTURE_MAX_NS:
            return time_ns
        self.complain(name, f"{name} {_TAKES_TIME}")
        return None

    def _duration_ns(self) -> int | None:
        value = self._given.get("duration_s")
        if value is None:
            return None
        seconds = number_of(value)
        if seconds is not None and 0 <= seconds <= DURATION_MAX_S:
            return int(seconds * _NS)
        self.complain("duration_s", "duration_s takes seconds, not negative, as 1.25")
        return None


RESOURCE_KEYS: Final[Mapping[str, str]] = {
    "service_name": "service.name",
    "service_namespace": "service.namespace",
    "environment": "deployment.environment.name",
}
"""The attributes of a resource that have a field of their own."""


def _time_ns(value: object) -> int | None:
    if not isinstance(value, str):
        seconds = number_of(value)
        return None if seconds is None or seconds > 2**40 else int(seconds * _NS)
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    try:
        whole_s = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
    except (ValueError, OverflowError):
        return None
    return whole_s * _NS + int((found[2] or "0").ljust(9, "0"))


def number_of(value: object) -> Decimal | None:
    """A number by its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    number = Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) <= _NAME_LENGTH_MAX else None


def _resource(given: Mapping[Any, object]) -> dict[str, AttributeValue] | None:
    if len(given) > RESOURCE_ATTRIBUTES_MAX:
        return None
    read: dict[str, AttributeValue] = {}
    for key, value in given.items():
        if not _is_text(key, LABEL_LENGTH_MAX):
            return None
        plain = float(value) if isinstance(value, Decimal) and value.is_finite() else value
        if not (_is_text(plain, RESOURCE_TEXT_MAX) or isinstance(plain, bool | int | float)):
            return None
        read[key] = plain  # type: ignore[assignment] # a text, a number, true or false
    return read


def _is_text(value: object, length_max: int) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
