# SPDX-License-Identifier: Apache-2.0
"""What has become of the signals that came, counted by any thread."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.signals.event_fields import UnreadableReason
from agent_outcomes.gateway.signals.verdicts import Ignored
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

SERVICES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """Events by what they were to the ledger, reports by what they came to when they came first, and the rest.

    `events_unreadable` are by reason, `reports_ignored` by why they were none, `reports_refused` by the refusal's code.
    `counted_twice` are runs of which this gateway has delivered what their own processes had counted already.
    `others` are log records of other names; `events_waiting_now` are those that are being stored.
    """

    events_new: int
    events_known: int
    events_refused: int
    counted_twice: int
    events_unreadable: Mapping[str, int]
    handoffs: int
    evaluations: int
    reports: Mapping[str, int]
    reports_repeated: int
    reports_ignored: Mapping[str, int]
    reports_refused: Mapping[str, int]
    reports_failed: int
    others: int
    events_waiting_now: int


class Counting:
    """The counters, by name or by member of these enumerations; nothing here raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[tuple[type, str]] = Counter()
        self._services: list[str] = []

    def add(self, name: str | StrEnum, number: int = 1) -> None:
        """Count some of that name, or of that member of an enumeration."""
        with self._lock:
            self._counted[type(name), str(name)] += number

    def add_all(self, names: Iterable[str | StrEnum]) -> None:
        """Count one of each."""
        with self._lock:
            self._counted.update((type(name), str(name)) for name in names)

    def note_counted_twice(self, number: int, services: Iterable[str | None]) -> None:
        """Count runs that were counted twice, and keep the first services that they may be of."""
        with self._lock:
            self._counted[str, "counted_twice"] += number
            for service in services:
                if service is not None and service not in self._services and len(self._services) < SERVICES_MAX:
                    self._services.append(service)

    def services(self) -> list[str]:
        """The services that runs which were counted twice may be of."""
        with self._lock:
            return [*self._services]

    def counts(self, events_waiting: int) -> SignalCounts:
        """All counts as of now."""
        with self._lock:
            counted = Counter(self._counted)

        def of(words: type[StrEnum]) -> Mapping[str, int]:
            return {word.value: counted[words, word.value] for word in words}

        return SignalCounts(
            events_new=counted[str, "events_new"],
            events_known=counted[str, "events_known"],
            events_refused=counted[str, "events_refused"],
            counted_twice=counted[str, "counted_twice"],
            events_unreadable=of(UnreadableReason),
            handoffs=counted[str, "handoffs"],
            evaluations=counted[str, "evaluations"],
            reports=of(ReportState),
            reports_repeated=counted[str, "reports_repeated"],
            reports_ignored=of(Ignored),
            reports_refused=of(RefusalCode),
            reports_failed=counted[str, "reports_failed"],
            others=counted[str, "others"],
            events_waiting_now=events_waiting,
        )
