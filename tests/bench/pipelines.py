# SPDX-License-Identifier: Apache-2.0
"""The SDK pipelines that are measured: everything real but the exporters, which drop what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.sdk.metrics import export_of
from agent_outcomes.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span

RESOURCE = Resource({"service.name": "bench"})


class NoOpProcessor(SpanProcessor):
    """Does nothing, in the signatures of a processor that does something."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        pass


class NullSpanExporter(SpanExporter):
    """Drops every span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self) -> None:
        pass


class NullLogExporter(LogRecordExporter):
    """Drops every record, and says how many there were: a case that emits nothing would look cheap."""

    def __init__(self) -> None:
        self.exported = 0

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self.exported += len(batch)
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self) -> None:
        pass


class LogPipeline(NamedTuple):
    """A logger provider that hands every record to a null exporter on the spot."""

    provider: LoggerProvider
    exporter: NullLogExporter


class OutcomePipeline(NamedTuple):
    """Our processor with providers of its own, and where its events and metrics end."""

    processor: AgentOutcomeSpanProcessor
    exporter: NullLogExporter
    meters: MeterProvider


def provider_with(processor: SpanProcessor) -> TracerProvider:
    """A provider that has this one processor and samples everything."""
    provider = TracerProvider(sampler=ALWAYS_ON, resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def log_pipeline() -> LogPipeline:
    """A new one."""
    exporter = NullLogExporter()
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return LogPipeline(provider, exporter)


def meter_provider() -> MeterProvider:
    """A meter provider that aggregates for a reader nobody reads."""
    return MeterProvider([InMemoryMetricReader()], resource=RESOURCE, shutdown_on_exit=False)


def outcome_pipeline() -> OutcomePipeline:
    """A new one."""
    logs, meters = log_pipeline(), meter_provider()
    processor = AgentOutcomeSpanProcessor(logger_provider=logs.provider, meter_provider=meters)
    return OutcomePipeline(processor, logs.exporter, meters)


def record_durations(meters: MeterProvider) -> None:
    """What we leave to readers, without the rest of a collection, which costs the same for any number of runs."""
    export_of(meters, Settings()).record_durations()
