# SPDX-License-Identifier: Apache-2.0
"""What was received, and what is under way: shared by all listeners of one gateway, on one event loop."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_outcomes.gateway.receiver.refusals import RefusalReason, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.gateway.settings import ReceiverLimits


@dataclass(frozen=True, slots=True)
class ReceiverFigures:
    """Requests taken, refused by reason and broken off by their sender; items rejected in requests that were taken.

    What ends in `_now` is under way.
    """

    requests_taken: int
    requests_broken_off: int
    requests_refused: Mapping[str, int]
    items_rejected: int
    received_bytes: int
    inflated_bytes: int
    requests_now: int
    bytes_now: int


@dataclass(slots=True)
class ReceiverCounts:
    """The counters of all listeners of one gateway. Not to be used from other threads than the event loop's."""

    taken: int = 0
    broken_off: int = 0
    refused: Counter[RefusalReason] = field(default_factory=Counter)
    items_rejected: int = 0
    received_bytes: int = 0
    inflated_bytes: int = 0
    requests_now: int = 0
    bytes_now: int = 0

    def counts(self) -> ReceiverFigures:
        """The figures as they stand. Never raises."""
        return ReceiverFigures(
            requests_taken=self.taken,
            requests_broken_off=self.broken_off,
            requests_refused={str(reason): count for reason, count in self.refused.items()},
            items_rejected=self.items_rejected,
            received_bytes=self.received_bytes,
            inflated_bytes=self.inflated_bytes,
            requests_now=self.requests_now,
            bytes_now=self.bytes_now,
        )


class Held:
    """The bytes of one request that are in memory."""

    __slots__ = ("_counts", "_max_bytes", "size_bytes")

    def __init__(self, counts: ReceiverCounts, max_bytes: int) -> None:
        self._counts = counts
        self._max_bytes = max_bytes
        self.size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """So many more are in memory now. Raises `RefusedError` where all requests together have too many."""
        if self._counts.bytes_now + size_bytes > self._max_bytes:
            message = "too many bytes are under way; send again later"
            raise RefusedError(RefusalReason.BUSY, message, retry_after_s=1)
        self.size_bytes += size_bytes
        self._counts.bytes_now += size_bytes


@contextmanager
def under_way(counts: ReceiverCounts, limits: ReceiverLimits) -> Iterator[Held]:
    """One request, from when its body is read until it is answered.

    Raises `RefusedError` where there are as many as the limits allow.
    """
    if counts.requests_now >= limits.requests_max:
        message = "too many requests are under way; send again later"
        raise RefusedError(RefusalReason.BUSY, message, retry_after_s=1)
    held = Held(counts, limits.in_flight_max_bytes)
    counts.requests_now += 1
    try:
        yield held
    finally:
        counts.requests_now -= 1
        counts.bytes_now -= held.size_bytes
