# SPDX-License-Identifier: Apache-2.0
"""One `Totals` per meter provider, read out by observable counters, and the duration histogram.

However many processors share a meter provider, they share its totals. After a fork the child starts from nothing
and observes under a scope with one more attribute, `process.pid`, so that parent and child, and the workers of one
server, each report only their own increments under a name of their own (opentelemetry-python#3885). The histogram is
the SDK's own, for its exemplars, and therefore keeps in the child what the parent's readers had collected by the fork,
under the parent's scope.
"""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.record.totals import LabelLimits, Totals, as_attributes
from agent_outcomes.sdk.run_durations import RunDurations
from agent_outcomes.semconv import HEALTH_COUNTERS, OUTCOME_COUNTERS, SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider

    from agent_outcomes.record.totals import Postings
    from agent_outcomes.semconv import Instrument
    from agent_outcomes.settings import Settings

_INT64_MAX: Final = 2**63 - 1

BEFORE_COLLECTION: Final[list[Callable[[], None]]] = []
"""Called before the counters are read, on the thread that reads them: what has waited for too long is to be in them."""


class MetricExport:
    """The totals of one meter provider, and the instruments through which it reads them."""

    def __init__(self, provider: MeterProvider, settings: Settings) -> None:
        self._provider = weakref.ref(provider)
        self.totals = Totals(_limits_of(settings))
        self._generation = 0
        self._lock = threading.RLock()
        self._histogram: Histogram | None = None
        self.durations = RunDurations(self._provider, self.totals)

    def after_fork_in_child(self) -> None:
        """Start from nothing; instruments are made anew when something is recorded, not while forking."""
        self._lock = threading.RLock()
        self.totals.restart()
        self.durations.restart()
        self._generation += 1
        self._histogram = None

    def post_once(self, postings: Postings) -> None:
        """Add postings to the totals, however often it is called for them."""
        if self._histogram is None:
            self.make_ready()
        self.totals.post_once(postings)

    def record_durations(self) -> None:
        """Record the durations that wait in the histogram, as each collection does first."""
        if self._histogram is not None:
            self.durations.record_all(self._histogram)

    def make_ready(self) -> None:
        """Make the instruments, if there are none yet, or none in this process.

        One that is there already, because this was interrupted before, keeps the callbacks it has.
        """
        with self._lock:
            if self._histogram is None:
                self._create()

    def _create(self) -> None:
        provider = self._provider()
        if provider is None:
            return
        # Older SDKs give forked workers no `service.instance.id` of their own.
        scope_attributes = {"process.pid": os.getpid()} if _state.is_forked else None
        meter = provider.get_meter(SCOPE_NAME, __version__, attributes=scope_attributes)
        duration = semconv.AGENT_RUN_DURATION_METRIC
        histogram = meter.create_histogram(
            duration.name,
            duration.unit,
            duration.description,
            explicit_bucket_boundaries_advisory=list(duration.buckets),
        )
        callbacks = [partial(self._record_durations, self._generation)]
        for instrument in (*OUTCOME_COUNTERS, *HEALTH_COUNTERS):
            callbacks.append(partial(self._observe, instrument, self._generation))
            meter.create_observable_counter(instrument.name, callbacks, instrument.unit, instrument.description)
            callbacks = []
        self._histogram = histogram

    def _record_durations(self, generation: int, _: CallbackOptions) -> list[Observation]:
        """Before anything is observed, so that what could not be recorded is counted in the same collection."""
        if generation == self._generation:
            for prepare in BEFORE_COLLECTION:
                prepare()
            self.record_durations()
        return []

    def _observe(self, instrument: Instrument, generation: int, _: CallbackOptions) -> list[Observation]:
        if generation != self._generation:
            return []
        sums = self.totals.sums(instrument)
        return [Observation(_number(amount), as_attributes(instrument, labels)) for labels, amount in sums]


def export_of(provider: MeterProvider, settings: Settings) -> MetricExport:
    """The one export of this meter provider; the first processor's limits hold for it."""
    with _state.lock:
        key = id(provider)
        export = _state.exports.get(key)
        if export is None:
            export = _state.exports[key] = MetricExport(provider, settings)
            # By identity, as a provider may compare by value and then has no hash (Logfire's).
            weakref.finalize(provider, _state.exports.pop, key, None).atexit = False
    # Only now: its instruments call this very export, also where making them is interrupted.
    export.make_ready()
    return export


class _State:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_forked = False
        self.exports: dict[int, MetricExport] = {}

    def after_fork_in_child(self) -> None:
        self.lock = threading.RLock()
        self.is_forked = True
        for export in list(self.exports.values()):
            export.after_fork_in_child()


def _limits_of(settings: Settings) -> LabelLimits:
    return LabelLimits(
        {
            semconv.GEN_AI_AGENT_NAME: settings.agents_max,
            semconv.AGENT_OUTCOME_JOB_TYPE: settings.job_types_max,
            semconv.AGENT_OUTCOME_LABEL: settings.labels_max,
        },
    )


def _number(amount: Decimal | int) -> float | int:
    # One integer past 64 bit would make the exporter fail on the whole batch.
    return amount if isinstance(amount, int) and amount <= _INT64_MAX else float(amount)


_state: Final = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.after_fork_in_child)
