# SPDX-License-Identifier: Apache-2.0
"""A steady load of agent runs, and a note of what the collector accepted of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Status, StatusCode

from agent_outcomes import AgentOutcomeSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

SERVICE: Final = "load"
RUNS_PER_S: Final = 40
EXPORT_TIMEOUT_S: Final = 5
EXPORT_INTERVAL_MS: Final = 200
METRIC_INTERVAL_MS: Final = 500
STOP_TIMEOUT_S: Final = 30
FAILED_OF: Final = 10


class _Spans(OTLPSpanExporter):
    def __init__(self, endpoint: str) -> None:
        super().__init__(f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_S)
        self.accepted: set[tuple[str, str]] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            contexts = [span.context for span in spans if span.context is not None]
            self.accepted |= {(f"{one.trace_id:032x}", f"{one.span_id:016x}") for one in contexts}
        return result


class _Logs(OTLPLogExporter):
    def __init__(self, endpoint: str) -> None:
        super().__init__(f"{endpoint}/v1/logs", timeout=EXPORT_TIMEOUT_S)
        self.accepted: set[str] = set()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result = super().export(batch)
        if result is LogRecordExportResult.SUCCESS:
            self.accepted |= {str((one.log_record.attributes or {})["log.record.uid"]) for one in batch}
        return result


class Load:
    """Runs of one agent, 40 a second (one in ten fails), each with one child span, from `with` to `finish()`."""

    def __init__(self, endpoint: str) -> None:
        resource = Resource({"service.name": SERVICE, "service.instance.id": "one"})
        self._spans, self._logs = _Spans(endpoint), _Logs(endpoint)
        self._logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._logger_provider.add_log_record_processor(
            BatchLogRecordProcessor(self._logs, schedule_delay_millis=EXPORT_INTERVAL_MS)
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
            export_interval_millis=METRIC_INTERVAL_MS,
        )
        self._meter_provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer_provider.add_span_processor(
            AgentOutcomeSpanProcessor(logger_provider=self._logger_provider, meter_provider=self._meter_provider)
        )
        self._tracer_provider.add_span_processor(
            BatchSpanProcessor(self._spans, schedule_delay_millis=EXPORT_INTERVAL_MS)
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self.runs = 0

    def __enter__(self) -> Self:
        """Start the load."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the load and its providers."""
        self._end()
        for provider in (self._tracer_provider, self._logger_provider, self._meter_provider):
            provider.shutdown()

    def finish(self) -> None:
        """End the load and export what is left."""
        self._end()
        self._tracer_provider.force_flush()
        self._logger_provider.force_flush()
        self._meter_provider.force_flush()

    @property
    def accepted_spans(self) -> set[tuple[str, str]]:
        """Trace and span ids, in hex, of the spans that the collector said it has."""
        return set(self._spans.accepted)

    @property
    def accepted_events(self) -> set[str]:
        """The `log.record.uid` of each event that the collector said it has."""
        return set(self._logs.accepted)

    def _end(self) -> None:
        self._stop.set()
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        tracer = self._tracer_provider.get_tracer("load")
        while not self._stop.wait(1 / RUNS_PER_S):
            attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "loaded"}
            with tracer.start_as_current_span("invoke_agent loaded", attributes=attributes) as span:
                with tracer.start_as_current_span("step"):
                    span.set_attribute("agent.outcome.value", "0.1")
                if self.runs % FAILED_OF == 0:
                    span.set_status(Status(StatusCode.ERROR))
            self.runs += 1
