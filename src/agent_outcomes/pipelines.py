# SPDX-License-Identifier: Apache-2.0
"""Private OTLP pipelines for an application that exports traces only, built from the standard variables.

Nothing is set globally: the application may still set its own providers, and these are used only where it has none
when the first outcome arrives. Exporters are imported here and nowhere else, and only when built.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from agent_outcomes.config import SettingsError
from agent_outcomes.otel import global_logger_provider, global_meter_provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry._logs import LoggerProvider as ApiLoggerProvider
    from opentelemetry.metrics import MeterProvider as ApiMeterProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource

PROTOCOL_VARIABLE: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"


def check_protocols() -> None:
    """Raise `SettingsError` if a protocol variable names one that there is no exporter for."""
    _protocol("LOGS")
    _protocol("METRICS")


class Pipelines:
    """Logger and meter provider: the application's own, or private ones made when first asked for in vain.

    `resource` is asked for the tracer provider's resource at that moment. The private providers flush at exit.
    """

    def __init__(self, resource: Callable[[], Resource | None]) -> None:
        self._resource = resource
        self._lock = threading.Lock()
        self._logger_provider: ApiLoggerProvider | None = None
        self._meter_provider: ApiMeterProvider | None = None

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self._lock = threading.Lock()

    def find_logger_provider(self) -> ApiLoggerProvider:
        """The logger provider; makes a private one if the application has none by now."""
        with self._lock:
            if self._logger_provider is None:
                self._logger_provider = global_logger_provider() or self._make_logger_provider()
            return self._logger_provider

    def find_meter_provider(self) -> ApiMeterProvider:
        """The meter provider; makes a private one if the application has none by now."""
        with self._lock:
            if self._meter_provider is None:
                self._meter_provider = global_meter_provider() or self._make_meter_provider()
            return self._meter_provider

    def _make_logger_provider(self) -> LoggerProvider:
        provider = LoggerProvider(resource=self._resource())
        provider.add_log_record_processor(BatchLogRecordProcessor(_log_exporter()))
        return provider

    def _make_meter_provider(self) -> MeterProvider:
        reader = PeriodicExportingMetricReader(_metric_exporter())
        resource = self._resource()
        return MeterProvider([reader], resource) if resource is not None else MeterProvider([reader])


def _protocol(signal: str) -> str:
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", PROTOCOL_VARIABLE):
        protocol = os.environ.get(variable, "").strip()
        if protocol in (GRPC, HTTP):
            return protocol
        if protocol:
            message = f"{variable}={protocol[:80]} is not supported; give {GRPC} or {HTTP}"
            raise SettingsError(message)
    # What the SDK's own `otlp` exporters default to, so that all three signals go the same way.
    return GRPC


def _log_exporter() -> LogRecordExporter:
    if _protocol("LOGS") == HTTP:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter

        return HttpExporter()
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

    return GrpcExporter()


def _metric_exporter() -> MetricExporter:
    if _protocol("METRICS") == HTTP:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        return HttpExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

    return GrpcExporter()
