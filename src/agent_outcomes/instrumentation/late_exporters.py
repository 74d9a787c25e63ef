# SPDX-License-Identifier: Apache-2.0
"""Exporters of the private pipelines, made by the thread that exports first, and never by the application's.

What they could not deliver is said in one line a minute, which names the cause and the fix, in place of the SDK's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, ExponentialBucketHistogramAggregation

from agent_outcomes.foreign_exceptions import SILENT
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData

TEMPORALITY_VARIABLE: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
HISTOGRAM_VARIABLE: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
NO_ANSWER: Final = "there was no answer in time"
NOBODY_LISTENS: Final = "nothing listens there"
_EXPORTERS_LOGGERS: Final = "opentelemetry.exporter.otlp."
_CONNECT_TIMEOUT_S: Final = 0.3
_REASON_LENGTH_MAX: Final = 300

_log: Final = LimitedLog(logging.getLogger(__name__))


class _Exporter(Protocol):
    def shutdown(self) -> None: ...


ExporterT = TypeVar("ExporterT", bound=_Exporter)
_ResultT = TypeVar("_ResultT")


class Delivery(Generic[ExporterT]):
    """One signal's way out: `make` is called by the first export, and again by the next if it raises.

    The SDK exports one batch of a signal at a time.
    """

    def __init__(self, make: Callable[[], ExporterT], what: str) -> None:
        self.failed_count = 0
        self._make = make
        self._what = what
        self._exporter: ExporterT | None = None
        self._is_exporting = False
        self._is_closed = False

    def send(self, export: Callable[[ExporterT], _ResultT], failure: _ResultT) -> _ResultT:
        """The exporter's answer, `failure` if it could not be made or raised. Never raises."""
        result, reason = failure, ""
        self._is_exporting = True
        with _heard() as records:
            try:
                exporter = self._made()
                result = export(exporter) if exporter is not None and not self._is_closed else failure
            except Exception as error:  # noqa: BLE001 - exporters read variables of their own, and raise what they like
                reason = repr(error)
        self._is_exporting = False
        if result == failure:
            self.failed_count += 1
            worst = max(records, key=lambda record: record.levelno, default=None)
            self.complain(reason or (worst.getMessage() if worst is not None else "no reason was given"))
        else:
            for record in records:
                logging.getLogger(record.name).handle(record)
        return result

    def close(self, reason: str = NO_ANSWER) -> None:
        """Give up what is under way, for that reason, and all that comes. Never raises."""
        self._is_closed = True
        if self._is_exporting:
            self.complain(reason)
        if self._exporter is not None:
            with _heard(), SILENT:  # it is given up, however it takes that
                self._exporter.shutdown()

    def is_refused(self) -> bool:
        """Whether nothing listens at this machine's port, or that of an address, to which an export is under way."""
        return self._is_exporting and _is_refused(self._endpoint())

    def _made(self) -> ExporterT | None:
        if self._exporter is None and not self._is_closed:
            # Two threads that import parts of one package at once may see it half made.
            with _making.lock:
                self._exporter = self._make()
            for name in list(logging.Logger.manager.loggerDict):
                if name.startswith(_EXPORTERS_LOGGERS):
                    logging.getLogger(name).addFilter(_keep)
        return self._exporter

    def _endpoint(self) -> str:
        return str(getattr(self._exporter, "_endpoint", ""))

    def complain(self, reason: str) -> None:
        """Say that something was not delivered, and why. Never raises."""
        if self._exporter is None:
            if not self._is_closed:
                _log.warning(
                    f"not_made_{self._what}",
                    "agent outcome %s are not exported: no OTLP exporter could be made: %s; "
                    "look at the OTEL_EXPORTER_OTLP_* and OTEL_*_EXPORT_* variables",
                    self._what,
                    reason,
                )
            return
        # One topic for both signals: most often they have one endpoint.
        _log.warning(
            "undelivered",
            "agent outcomes were not delivered to %s: %s. Is a collector running there? Set "
            "OTEL_EXPORTER_OTLP_ENDPOINT to where one is, or OTEL_LOGS_EXPORTER=none and OTEL_METRICS_EXPORTER=none "
            "to export none; the command agent-outcomes doctor looks for the cause",
            self._endpoint(),
            reason[:_REASON_LENGTH_MAX].rstrip(". "),
        )


class LateLogExporter(LogRecordExporter):
    """Hands log records to an exporter that is made when the first ones leave."""

    def __init__(self, delivery: Delivery[LogRecordExporter]) -> None:
        self._delivery = delivery

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export; never raises."""
        return self._delivery.send(lambda exporter: exporter.export(batch), LogRecordExportResult.FAILURE)

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Close the exporter; never raises."""
        self._delivery.close()


class LateMetricExporter(MetricExporter):
    """Hands metrics to an exporter that is made when the first ones leave.

    Temporality and aggregation are needed before: they come from the exporters' own variables, for what this package
    counts with.
    """

    def __init__(self, delivery: Delivery[MetricExporter]) -> None:
        super().__init__(preferred_temporality=_temporality(), preferred_aggregation=_aggregation())
        self._delivery = delivery

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export; never raises."""
        return self._delivery.send(
            lambda exporter: exporter.export(metrics_data, timeout_millis, **kwargs), MetricExportResult.FAILURE
        )

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ARG002 - the SDK's signature
        """Close the exporter; never raises."""
        self._delivery.close()


def _temporality() -> dict[type, AggregationTemporality]:
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


class _Hearing(threading.local):
    """What the exporters say on this thread, while they work for us."""

    records: list[logging.LogRecord] | None = None


class _Making:
    """The lock under which exporters are imported and made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self.lock = threading.Lock()


_making: Final = _Making()
_hearing: Final = _Hearing()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_making.after_fork_in_child)


@contextlib.contextmanager
def _heard() -> Iterator[list[logging.LogRecord]]:
    """Collect the warnings that exporters log on this thread, instead of having them logged."""
    before, records = _hearing.records, list[logging.LogRecord]()
    _hearing.records = records
    try:
        yield records
    finally:
        _hearing.records = before


def _keep(record: logging.LogRecord) -> bool:
    if _hearing.records is None or record.levelno < logging.WARNING:
        return True
    _hearing.records.append(record)
    return False


def _is_refused(endpoint: str) -> bool:
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy") for name in os.environ):
        return False
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        # To look another name up may take longer than there is time.
        if host != "localhost":
            ipaddress.ip_address(host)
        socket.create_connection((host, port), _CONNECT_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False
