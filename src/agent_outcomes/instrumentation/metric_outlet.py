# SPDX-License-Identifier: Apache-2.0
"""Metrics of the private pipeline on their way to the receiver.

Where all are cumulative, a collection replaces the one before: what was not delivered is in the next. Deltas are each
needed, and wait in order from before they are encoded, which may fail.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, ExponentialBucketHistogramAggregation

from agent_outcomes.instrumentation.delivery import making
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otlp.answers import Verdict
from agent_outcomes.semconv import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.sdk.metrics.export import MetricsData

    from agent_outcomes.instrumentation.delivery import Delivery
    from agent_outcomes.otlp.answers import Answer

TEMPORALITY_VARIABLE: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
HISTOGRAM_VARIABLE: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
COLLECTIONS_MAX: Final = 120
"""Collections with deltas that wait at most: two hours of the SDK's usual interval."""
_LAST_WAIT_S: Final = 1.0

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Collection:
    """What was collected, its bytes in its place once it was encoded, and how many data points are in it."""

    __slots__ = ("data", "payload", "points")

    def __init__(self, data: MetricsData) -> None:
        self.data: MetricsData | None = data
        self.payload = b""
        self.points = sum(
            len(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )

    def encode(self) -> None:
        """Have the bytes; raises what the encoder does."""
        if self.data is not None:
            self.payload = _encoder()(self.data).SerializeToString()
            self.data = None


class MetricOutlet(MetricExporter):
    """Sends collections, with temporality and aggregation from the exporters' own variables.

    `lost` is told of each loss, by reason and number of data points. `delivery` is the way out; `is_whole` says whether
    the last collection was taken as a whole, and all before it.
    """

    def __init__(self, delivery: Delivery, lost: Callable[[DropReason, int], object]) -> None:
        temporality = _temporality()
        super().__init__(preferred_temporality=dict(temporality), preferred_aggregation=_aggregation())
        self.delivery = delivery
        self.is_whole = True
        self._lost = lost
        self._not_taken_count = 0
        self._has_deltas = AggregationTemporality.DELTA in temporality.values()
        self._sending = threading.Lock()
        self._collections: deque[_Collection] = deque()
        with contextlib.suppress(Exception):  # what fails here is tried again before each sending
            _encoder()

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - the reader's is longer than that of the variables
        **_: Any,
    ) -> MetricExportResult:
        """Send what waits and this collection; `FAILURE` if it waits now, or was refused. Never raises."""
        self.is_whole = False
        self._keep(_Collection(metrics_data))
        until_s = time.monotonic() + self.delivery.timeout_s
        before = self._not_taken_count
        with self._sending:
            answer = self.delivery.keep_trying(lambda: self._send_waiting(until_s), until_s)
        if answer is not None:
            self.delivery.complain_if_it_lasts(self.waiting())
        self.is_whole = answer is None and self._not_taken_count == before
        return MetricExportResult.SUCCESS if self.is_whole else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back but what could not be delivered, which goes with the next collection."""
        return self.is_whole

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - the SDK's signature
        """Send nothing any more. Never raises."""
        self.delivery.close()

    def waiting(self) -> int:
        """How many data points the receiver does not have."""
        return sum(one.points for one in list(self._collections))

    def give_up(self) -> int:
        """Send nothing any more; how many data points that lost. Never raises."""
        self.delivery.close()
        is_idle = self._sending.acquire(timeout=_LAST_WAIT_S)
        count = self.waiting()
        self._collections.clear()
        if is_idle:
            self._sending.release()
        if count:
            self._lost(DropReason.UNDELIVERED, count)
        return count

    def after_fork_in_child(self) -> None:
        """What waits is the parent's, and locks may have been held."""
        self.delivery.after_fork_in_child()
        self._sending = threading.Lock()
        self._collections.clear()

    def _keep(self, collection: _Collection) -> None:
        if not self._has_deltas:
            self._collections.clear()
        elif len(self._collections) >= COLLECTIONS_MAX:
            lost = self._collections.popleft()
            _log.warning("no_room", "agent outcome metrics are dropped, the oldest first: %d collections wait already",
                         COLLECTIONS_MAX)  # fmt: skip
            self._lost(DropReason.LIMIT, lost.points)
        self._collections.append(collection)

    def _send_waiting(self, until_s: float) -> Answer | None:
        """Send all collections in order; the answer that stopped it, `None` if nothing did."""
        try:
            _encoder()
            self._encode_waiting()
        except Exception as error:  # noqa: BLE001 - an import runs foreign code, and memory or descriptors run out
            return self.delivery.cannot_send(error)
        while self._collections:
            collection = self._collections[0]
            answer = self.delivery.send(collection.payload, until_s)
            if answer.verdict in {Verdict.RETRY, Verdict.MISCONFIGURED}:
                return answer
            self._leave(collection)
            if answer.verdict is Verdict.REFUSED:
                self._refused(collection, answer)
        return None

    def _encode_waiting(self) -> None:
        """What cannot be encoded is dropped: it would hold up all others for good."""
        for collection in list(self._collections):
            try:
                collection.encode()
            except MemoryError:  # the process's failure, and not the collection's
                raise
            except Exception as error:  # noqa: BLE001 - the exporters' encoder may raise anything
                self._leave(collection)
                self._not_taken(DropReason.ERROR, collection.points)
                _log.warning(
                    "not_encoded",
                    "%d data points of agent outcome metrics could not be encoded: %s",
                    collection.points,
                    type(error).__name__,
                )

    def _leave(self, collection: _Collection) -> None:
        with contextlib.suppress(ValueError):  # it was given up meanwhile
            self._collections.remove(collection)

    def _refused(self, collection: _Collection, answer: Answer) -> None:
        count = answer.rejected or collection.points
        self._not_taken(DropReason.REFUSED, count)
        _log.warning(
            "refused",
            "the receiver refuses %d data points of agent outcome metrics: %s: %s",
            count,
            answer.reason.replace("_", " "),
            answer.message,
        )

    def _not_taken(self, reason: DropReason, count: int) -> None:
        self._not_taken_count += count
        if self._has_deltas:  # else the next collection has them again
            self._lost(reason, count)


def _encoder() -> Callable[[MetricsData], ExportMetricsServiceRequest]:
    # Two threads that import parts of one package at once may see it half made.
    with making.lock:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    return encode_metrics


def _temporality() -> Mapping[type, AggregationTemporality]:
    preference = os.environ.get(TEMPORALITY_VARIABLE, "").strip().upper()
    delta = {
        "DELTA": (Counter, Histogram, ObservableCounter),
        "LOWMEMORY": (Counter, Histogram),
    }.get(preference, ())
    return dict.fromkeys(delta, AggregationTemporality.DELTA)


def _aggregation() -> dict[type, Any]:
    is_exponential = os.environ.get(HISTOGRAM_VARIABLE, "").strip() == "base2_exponential_bucket_histogram"
    return {
        Histogram: ExponentialBucketHistogramAggregation() if is_exponential else ExplicitBucketHistogramAggregation()
    }
