# SPDX-License-Identifier: Apache-2.0
"""The SDK pipelines that are measured: everything real but the exporters, which drop what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agent_outcomes import AgentOutcomeSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import Tracer

RESOURCE = Resource({"service.name": "bench"})


class NoOpProcessor(SpanProcessor):
    """Does nothing, in the signatures of a processor that does something."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        pass


class NullLogExporter(LogRecordExporter):
    """Drops every record."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:  # noqa: ARG002 - the SDK's signature
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self) -> None:
        pass


def tracer_with(processor: SpanProcessor) -> Tracer:
    """A tracer of a provider that has this one processor and samples everything."""
    provider = TracerProvider(sampler=ALWAYS_ON, resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer("bench")


def logger_provider() -> LoggerProvider:
    """A logger provider that hands every record to a null exporter on the spot."""
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(NullLogExporter()))
    return provider


def meter_provider() -> MeterProvider:
    """A meter provider that aggregates for a reader nobody reads."""
    return MeterProvider([InMemoryMetricReader()], resource=RESOURCE, shutdown_on_exit=False)


def outcome_processor() -> AgentOutcomeSpanProcessor:
    """Our processor with pipelines of its own."""
    return AgentOutcomeSpanProcessor(logger_provider=logger_provider(), meter_provider=meter_provider())
