# SPDX-License-Identifier: Apache-2.0
"""Private OTLP pipelines for an application that exports traces only, built from the standard variables.

Nothing is set globally: the application may still set its own providers, and these are used only where it has none
when the first outcome arrives. Exporters are imported here and nowhere else, and only when built.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from agent_outcomes.config import SettingsError
from agent_outcomes.otel import exports_logs, exports_metrics, global_logger_provider, global_meter_provider
from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal, nearest_protocol, protocol_of
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry._logs import LoggerProvider as ApiLoggerProvider
    from opentelemetry.metrics import MeterProvider as ApiMeterProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource

_logger: Final = logging.getLogger(__name__)

ProviderT = TypeVar("ProviderT")


class Protocols(NamedTuple):
    """The OTLP protocol of each signal."""

    logs: str = GRPC
    metrics: str = GRPC


def read_protocols(complain: Callable[[str], object] | None = None) -> Protocols:
    """The protocols that the standard variables name.

    One that there is no exporter for: `complain` gets a sentence and the nearest is taken. Without `complain`,
    `SettingsError` is raised.
    """
    return Protocols(_protocol(OtlpSignal.LOGS, complain), _protocol(OtlpSignal.METRICS, complain))


class Pipelines:
    """Logger and meter provider: the application's own, or private ones made when first asked for in vain.

    An SDK provider without any processor or reader is no pipeline. `resource` is asked for the tracer provider's
    resource at that moment. The private providers flush at exit.
    """

    def __init__(self, resource: Callable[[], Resource | None]) -> None:
        self.protocols = Protocols()
        self._resource = resource
        self._lock = threading.Lock()
        self._logs = _Private(self._make_logger_provider, "LOGS", "events")
        self._metrics = _Private(self._make_meter_provider, "METRICS", "metrics")
        self._logger_provider: ApiLoggerProvider | None = None
        self._meter_provider: ApiMeterProvider | None = None

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self._lock = threading.Lock()

    def find_logger_provider(self) -> ApiLoggerProvider | None:
        """The logger provider; makes a private one if the application has no logs pipeline by now. Never raises."""
        with self._lock:
            if self._logger_provider is None:
                found = global_logger_provider()
                self._logger_provider = found if exports_logs(found) else self._logs.find() or found
            return self._logger_provider

    def find_meter_provider(self) -> ApiMeterProvider | None:
        """The meter provider; makes a private one if the application has no metrics pipeline by now. Never raises."""
        with self._lock:
            if self._meter_provider is None:
                found = global_meter_provider()
                self._meter_provider = found if exports_metrics(found) else self._metrics.find() or found
            return self._meter_provider

    def flushes(self, *, private_only: bool) -> list[Callable[[], object]]:
        """What flushes the providers in use; takes no lock, as the thread that holds it may be the one interrupted."""
        private = (self._logs.provider, self._metrics.provider)
        providers = [self._logger_provider, self._meter_provider]
        return [
            provider.force_flush
            for provider in providers
            if isinstance(provider, LoggerProvider | MeterProvider)
            and (not private_only or any(provider is one for one in private))
        ]

    def _make_logger_provider(self) -> LoggerProvider:
        exporter = _log_exporter(self.protocols.logs)
        provider = LoggerProvider(resource=self._resource())
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        return provider

    def _make_meter_provider(self) -> MeterProvider:
        reader = PeriodicExportingMetricReader(_metric_exporter(self.protocols.metrics))
        resource = self._resource()
        return MeterProvider([reader], resource) if resource is not None else MeterProvider([reader])


class _Private(Generic[ProviderT]):
    """A private provider, made once; if that fails, or the signal is switched off, it is said once and stays so."""

    def __init__(self, make: Callable[[], ProviderT], signal: str, what: str) -> None:
        self.provider: ProviderT | None = None
        self._make = make
        self._signal = signal
        self._what = what
        self._tried = False

    def find(self) -> ProviderT | None:
        if self._tried:
            return self.provider
        self._tried = True
        variable = f"OTEL_{self._signal}_EXPORTER"
        if os.environ.get(variable, "").strip().lower() == "none":
            _logger.warning("agent outcome %s are not exported: %s=none", self._what, variable)
            return None
        try:
            self.provider = self._make()
        except Exception as error:  # noqa: BLE001 - exporters read variables of their own, and the application goes on
            _logger.warning(
                "agent outcome %s are not exported: no OTLP exporter could be made: %r; "
                "look at the OTEL_EXPORTER_OTLP_* and OTEL_*_EXPORT_* variables",
                self._what,
                error,
            )
        return self.provider


def _protocol(signal: OtlpSignal, complain: Callable[[str], object] | None) -> str:
    protocol = protocol_of(os.environ, signal)
    nearest = nearest_protocol(protocol.value)
    if nearest != protocol.value:
        shown = printable(protocol.value[:80])
        message = f"{protocol.variable}={shown} is not supported; give {GRPC} or {HTTP}"
        if complain is None:
            raise SettingsError(message)
        complain(f"{message}; {nearest} is used")
    return nearest


def _log_exporter(protocol: str) -> LogRecordExporter:
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter

        return HttpExporter()
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

    return GrpcExporter()


def _metric_exporter(protocol: str) -> MetricExporter:
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        return HttpExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

    return GrpcExporter()
