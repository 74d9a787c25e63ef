# SPDX-License-Identifier: Apache-2.0
"""The three signals' pipelines: real SDK providers, exporting to an OTLP endpoint, to OTLP JSON files, or both.

Whatever goes out is kept beside, encoded by the SDK's own OTLP encoders, so that it can be read back afterwards.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.otlp.json_codec import from_otlp_json, to_otlp_json
from demo_late import LastRun
from demo_readback import SpanKey, read_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

SERVICE_NAME: Final = "agent-outcomes-demo"
QUEUE_MAX: Final = 1_000_000
BATCH_MAX: Final = 512
BATCH_DELAY_MS: Final = 1_000
METRIC_INTERVAL_MS: Final = 5_000
METRIC_INTERVAL_VARIABLE: Final = "OTEL_METRIC_EXPORT_INTERVAL"
FLUSH_TIMEOUT_MS: Final = 60_000
EXPORT_TIMEOUT_S: Final = 10

RequestT = TypeVar("RequestT", bound="Message")


class Kept(Protocol[RequestT]):
    """Where the encoded requests of one signal are kept."""

    def write(self, request: RequestT) -> None:
        """Keep a request."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...

    def read(self) -> Iterator[RequestT]:
        """Every request kept, in order."""
        ...


class JsonLines(Generic[RequestT]):
    """Keeps requests in a file, one OTLP JSON document a line; an existing file is replaced."""

    def __init__(self, path: Path, request_type: type[RequestT]) -> None:
        self.path = path
        self._type = request_type
        self._file = path.open("w", encoding="ascii")

    def write(self, request: RequestT) -> None:
        """Append a line, readable by others at once; raises OSError."""
        self._file.write(to_otlp_json(request) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; what it could not take was noted when it was written."""
        with suppress(OSError):
            self._file.close()

    def read(self) -> Iterator[RequestT]:
        """Read the file from its beginning; raises OSError or ValueError."""
        with self.path.open(encoding="ascii") as lines:
            for line in lines:
                yield from_otlp_json(line, self._type)


class InMemory(Generic[RequestT]):
    """Keeps requests as they are."""

    def __init__(self) -> None:
        self._requests: list[RequestT] = []

    def write(self, request: RequestT) -> None:
        """Keep a request."""
        self._requests.append(request)

    def close(self) -> None:
        """There is nothing to close."""

    def read(self) -> Iterator[RequestT]:
        """Every request kept, in order."""
        yield from self._requests


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to export to: an OTLP endpoint (`protocol` is grpc or http/protobuf), a folder for files, or both.

    With a `ledger`, events and metrics go there, and from there to the endpoint.
    """

    endpoint: str | None
    protocol: str
    folder: Path | None
    ledger: str | None = None


class Failures:
    """What could not be exported, one line each time; true once there is any. Thread-safe.

    After the first nothing more is sent to the endpoint, which would take its whole timeout for every batch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: list[str] = []

    def __bool__(self) -> bool:
        """Whether anything has failed."""
        return bool(self.lines)

    def note(self, signal: str, reason: str) -> None:
        """Note that a batch was lost."""
        with self._lock:
            self.lines.append(f"{signal}: {reason}")


class SpanTee(SpanExporter):
    """Exports spans and keeps what was exported."""

    def __init__(self, kept: Kept[ExportTraceServiceRequest], forward: SpanExporter | None, failures: Failures) -> None:
        self._kept = kept
        self._forward = forward
        self._failures = failures

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep and forward a batch."""
        with _Noted(self._failures, "traces") as noted:
            self._kept.write(encode_spans(spans))
            if self._forward is not None and not self._failures:
                noted.require(self._forward.export(spans) is SpanExportResult.SUCCESS)
        return SpanExportResult.FAILURE if self._failures else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Shut the OTLP exporter down."""
        if self._forward is not None:
            self._forward.shutdown()


class LogTee(LogRecordExporter):
    """Exports log records and keeps what was exported."""

    def __init__(
        self, kept: Kept[ExportLogsServiceRequest], forward: LogRecordExporter | None, failures: Failures
    ) -> None:
        self._kept = kept
        self._forward = forward
        self._failures = failures

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Keep and forward a batch."""
        with _Noted(self._failures, "logs") as noted:
            self._kept.write(encode_logs(batch))
            if self._forward is not None and not self._failures:
                noted.require(self._forward.export(batch) is LogRecordExportResult.SUCCESS)
        return LogRecordExportResult.FAILURE if self._failures else LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back here."""
        return True

    def shutdown(self) -> None:
        """Shut the OTLP exporter down."""
        if self._forward is not None:
            self._forward.shutdown()  # type: ignore[no-untyped-call] # the SDK left it so


class MetricTee(MetricExporter):
    """Exports metrics and keeps what was exported."""

    def __init__(
        self, kept: Kept[ExportMetricsServiceRequest], forward: MetricExporter | None, failures: Failures
    ) -> None:
        # The reader asks its exporter for these, and the OTLP exporter has them from OTEL_* variables.
        super().__init__(
            preferred_temporality=getattr(forward, "_preferred_temporality", None),
            preferred_aggregation=getattr(forward, "_preferred_aggregation", None),
        )
        self._kept = kept
        self._forward = forward
        self._failures = failures

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: Any,  # noqa: ARG002 - the SDK's signature
    ) -> MetricExportResult:
        """Keep and forward what was collected."""
        with _Noted(self._failures, "metrics") as noted:
            self._kept.write(encode_metrics(metrics_data))
            if self._forward is not None and not self._failures:
                noted.require(self._forward.export(metrics_data, timeout_millis) is MetricExportResult.SUCCESS)
        return MetricExportResult.FAILURE if self._failures else MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the OTLP exporter."""
        return self._forward.force_flush(timeout_millis) if self._forward is not None else True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ARG002 - the SDK's signature
        """Shut the OTLP exporter down."""
        if self._forward is not None:
            self._forward.shutdown(timeout_millis)


class _Noted(AbstractContextManager["_Noted"]):
    """Notes a failure, returned or raised, and goes on: the SDK's worker threads report neither."""

    def __init__(self, failures: Failures, signal: str) -> None:
        self._failures = failures
        self._signal = signal

    def require(self, delivered: bool) -> None:  # noqa: FBT001 - the one thing there is to say
        if not delivered:
            self._failures.note(self._signal, "the endpoint did not take a batch")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._failures.note(self._signal, f"{type(error).__name__}: {error}")
        return True


class Pipelines:
    """Providers of all three signals with the outcome processor between them; the tracer provider is set globally.

    Raises OSError when files cannot be made.
    """

    def __init__(self, destination: Destination) -> None:
        self.failures = Failures()
        self.spans: Kept[ExportTraceServiceRequest] = _kept(destination, "traces", ExportTraceServiceRequest)
        self.logs: Kept[ExportLogsServiceRequest] = _kept(destination, "logs", ExportLogsServiceRequest)
        self.metrics: Kept[ExportMetricsServiceRequest] = _kept(destination, "metrics", ExportMetricsServiceRequest)
        forward = _otlp_exporters(destination)
        resource = Resource.create({"service.name": SERVICE_NAME, "service.instance.id": str(uuid4())})
        self._logger_provider = LoggerProvider(resource=resource)
        self._logger_provider.add_log_record_processor(
            BatchLogRecordProcessor(
                LogTee(self.logs, forward.logs, self.failures),
                schedule_delay_millis=BATCH_DELAY_MS,
                max_export_batch_size=BATCH_MAX,
                max_queue_size=QUEUE_MAX,
            )
        )
        # Often enough for people who watch a dashboard, unless the standard variable says how often.
        interval_ms = None if METRIC_INTERVAL_VARIABLE in os.environ else METRIC_INTERVAL_MS
        reader = PeriodicExportingMetricReader(
            MetricTee(self.metrics, forward.metrics, self.failures), export_interval_millis=interval_ms
        )
        self._meter_provider = MeterProvider([reader], resource=resource)
        self._tracer_provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        self.outcomes = _processor(destination, self._logger_provider, self._meter_provider)
        self.last_run = LastRun()
        for processor in (self.outcomes, self.last_run):
            self._tracer_provider.add_span_processor(processor)
        self._tracer_provider.add_span_processor(
            BatchSpanProcessor(
                SpanTee(self.spans, forward.spans, self.failures),
                max_queue_size=QUEUE_MAX,
                schedule_delay_millis=BATCH_DELAY_MS,
                max_export_batch_size=BATCH_MAX,
            )
        )
        trace.set_tracer_provider(self._tracer_provider)

    def deliver(self) -> None:
        """Have the ledger deliver all that it holds; what it could not is noted as a failure."""
        if not self.outcomes.force_flush(FLUSH_TIMEOUT_MS):
            self.failures.note("ledger", "the endpoint has not confirmed everything; the rest is still in the ledger")

    def shutdown(self) -> None:
        """Export everything that is still queued."""
        self._tracer_provider.force_flush(FLUSH_TIMEOUT_MS)
        self._logger_provider.force_flush(FLUSH_TIMEOUT_MS)
        self._tracer_provider.shutdown()
        self._logger_provider.shutdown()
        self._meter_provider.shutdown(FLUSH_TIMEOUT_MS)
        for kept in (self.spans, self.logs, self.metrics):
            kept.close()

    def root_spans(self) -> set[SpanKey]:
        """Trace and span ids of all exported spans without a parent."""
        return read_spans(self.spans.read())


@dataclass(frozen=True, slots=True)
class _Forward:
    spans: SpanExporter | None = None
    logs: LogRecordExporter | None = None
    metrics: MetricExporter | None = None


def _processor(destination: Destination, logs: LoggerProvider, meters: MeterProvider) -> AgentOutcomeSpanProcessor:
    if destination.ledger is None:
        return AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters)
    if destination.endpoint is not None:
        # The ledger delivers by OpenTelemetry's own variables.
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = destination.endpoint
        os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = destination.protocol
    return AgentOutcomeSpanProcessor(ledger=destination.ledger, ledger_deliver=destination.endpoint is not None)


def _kept(destination: Destination, signal: str, request_type: type[RequestT]) -> Kept[RequestT]:
    if destination.folder is None:
        return InMemory()
    destination.folder.mkdir(parents=True, exist_ok=True)
    return JsonLines(destination.folder / f"{signal}.json", request_type)


def _otlp_exporters(destination: Destination) -> _Forward:
    if destination.endpoint is None:
        return _Forward()
    if destination.protocol == "grpc":
        return _grpc_exporters(destination.endpoint)
    return _http_exporters(destination.endpoint.rstrip("/"))


def _grpc_exporters(endpoint: str) -> _Forward:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter  # noqa: PLC0415 - only when used
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    insecure = not endpoint.startswith("https://")
    return _Forward(
        spans=OTLPSpanExporter(endpoint, insecure=insecure, timeout=EXPORT_TIMEOUT_S),
        logs=OTLPLogExporter(endpoint, insecure=insecure, timeout=EXPORT_TIMEOUT_S),
        metrics=OTLPMetricExporter(endpoint, insecure=insecure, timeout=EXPORT_TIMEOUT_S),
    )


def _http_exporters(endpoint: str) -> _Forward:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415 - only when used
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return _Forward(
        spans=OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_S),
        logs=OTLPLogExporter(f"{endpoint}/v1/logs", timeout=EXPORT_TIMEOUT_S),
        metrics=OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
    )
