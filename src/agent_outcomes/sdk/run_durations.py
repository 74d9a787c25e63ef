# SPDX-License-Identifier: Apache-2.0
"""Durations of runs, kept until a reader collects and recorded in the SDK's histogram then, on the reader's thread.

Why not at once: the SDK locks while it takes a measurement, and its locks are not re-entrant. An application's thread
that is interrupted in there (by a time limit's exception, a fork, a finalizer that ends a run) may leave one held, and
every later run would wait there for ever. Putting a duration down is one step instead, as of `moves`. The SDK calls all
callbacks of observable instruments before it reads any metric, so that what is recorded in a callback is part of the
same collection, the last one of a shutdown included. The exemplar leads to the run all the same; its time is that of
the collection.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.foreign_exceptions import is_theirs
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.totals import as_attributes
from agent_outcomes.sdk.health import dropped
from agent_outcomes.sdk.private_api import exports_metrics
from agent_outcomes.semconv import DropReason, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, MeterProvider

    from agent_outcomes.record.record import LabelValue
    from agent_outcomes.record.totals import Totals
    from agent_outcomes.sdk.handover import Handover

RunDuration = tuple[float, tuple["LabelValue", ...], "Context"]
"""Seconds, the values of the metric's labels, and the run's context, from which an exemplar takes its ids."""

PENDING_MAX: Final = 50_000
"""More than 800 runs a second between two collections a minute apart; about 30 MB."""
UNREAD_MAX: Final = 1_024
"""Where nobody collects."""

_log: Final = LimitedLog(logging.getLogger(__name__))


class RunDurations:
    """The durations that no reader of one meter provider has collected yet; `totals` count those that are given up."""

    def __init__(self, find_provider: Callable[[], MeterProvider | None], totals: Totals) -> None:
        self._find_provider = find_provider
        self._totals = totals
        self._pending: deque[RunDuration] = deque()
        self._attributes: dict[tuple[LabelValue, ...], dict[str, str | bool]] = {}

    def restart(self) -> None:
        """Begin anew from nothing: for a forked child, whose parent records what was put down."""
        self._pending = deque()
        self._attributes = {}

    def put_down(self, handover: Handover, duration: RunDuration) -> None:
        """Keep a run's duration, once, however often it is called for it. Never waits.

        Past the bound it is given up and counted as dropped (`limit`).
        """
        pending = self._pending
        if len(pending) < UNREAD_MAX or len(pending) < self._room():
            _put_down(pending, handover, duration)
        elif not handover.is_duration_handed:
            handover.is_duration_handed = True
            self._totals.post([dropped(DropReason.LIMIT, Signal.METRIC, 1)])

    def record_all(self, histogram: Histogram) -> None:
        """Record what has been put down until now; called by whoever collects."""
        pending = self._pending
        for _ in range(len(pending)):
            try:
                duration_s, labels, context = pending.popleft()
            except IndexError:  # taken by another reader; the SDK lets them collect one after the other
                return
            try:
                histogram.record(duration_s, self._attributes.get(labels) or self._attributes_of(labels), context)
            except BaseException as error:  # noqa: BLE001 - of a view or reservoir, or passing through
                self._not_recorded(error)

    def _not_recorded(self, error: BaseException) -> None:
        is_passing = is_theirs(error)
        reason = DropReason.INTERRUPTED if is_passing else DropReason.ERROR
        self._totals.post([dropped(reason, Signal.METRIC, 1)])
        if is_passing:
            raise error
        _log.warning("meter_raised", "an agent run duration was dropped: the meter raised %r", error)

    def _attributes_of(self, labels: tuple[LabelValue, ...]) -> dict[str, str | bool]:
        instrument = semconv.AGENT_RUN_DURATION_METRIC
        bounded = self._totals.bound(instrument, labels)
        attributes = as_attributes(instrument, bounded)
        if bounded == labels:
            self._attributes[labels] = attributes
        return attributes

    def _room(self) -> int:
        if not exports_metrics(self._find_provider()):
            return UNREAD_MAX
        if len(self._pending) >= PENDING_MAX:
            _log.warning(
                "durations_uncollected",
                "agent run durations are dropped: %d wait to be collected. Have a metric reader collect more often.",
                PENDING_MAX,
            )
        return PENDING_MAX


def _put_down(pending: deque[RunDuration], handover: Handover, duration: RunDuration) -> None:
    # A move, as of `moves`: the mark and the duration are made together.
    if not handover.is_duration_handed:
        handover.is_duration_handed = True
        pending.append(duration)
