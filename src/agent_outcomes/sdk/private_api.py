# SPDX-License-Identifier: Apache-2.0
"""The parts of OpenTelemetry's Python API that are still private, imported in this one place.

The logs API lives under `opentelemetry._logs` until it is declared stable (opentelemetry-python#4750).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry._logs import LoggerProvider, NoOpLoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider, get_meter_provider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.trace import NonRecordingSpan
from opentelemetry.trace.propagation import _SPAN_KEY

from agent_outcomes.fields import Fields

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.trace import SpanContext, Tracer

SEVERITY_NUMBERS = {number.value: number for number in SeverityNumber}


def global_logger_provider() -> LoggerProvider | None:
    """The application's logger provider, `None` while it has set none (or switched logs off)."""
    provider = get_logger_provider()
    return None if isinstance(provider, ProxyLoggerProvider | NoOpLoggerProvider) else provider


def global_meter_provider() -> MeterProvider | None:
    """The application's meter provider, `None` while it has set none (or switched metrics off)."""
    provider = get_meter_provider()
    return None if isinstance(provider, _ProxyMeterProvider | NoOpMeterProvider) else provider


def exports_logs(provider: LoggerProvider | None) -> bool:
    """Whether what is emitted there may arrive anywhere: not with an SDK provider that has no processor."""
    processors = getattr(getattr(provider, "_multi_log_record_processor", None), "_log_record_processors", None)
    return provider is not None and processors != ()


def exports_metrics(provider: MeterProvider | None) -> bool:
    """Whether what is counted there may arrive anywhere: not with an SDK provider that has no reader."""
    storages = getattr(getattr(provider, "_measurement_consumer", None), "_reader_storages", None)
    return provider is not None and storages != {}


def working_log_processor(provider: LoggerProvider | None) -> object:
    """Of an SDK provider's processors one that was not shut down, for `is_working`; `None` if there is none."""
    processors = getattr(getattr(provider, "_multi_log_record_processor", None), "_log_record_processors", ())
    for one in processors:
        # A batch processor's flag is that of what it is made of.
        flagged: object = getattr(one, "_batch_processor", one)
        if is_working(flagged):
            return flagged
    return None


def is_working(processor: object) -> bool:
    """Whether this was not shut down; a provider keeps its processors, so that what is emitted then goes there."""
    return processor is not None and not getattr(processor, "_shutdown", False)


def are_logs_shut_down(provider: LoggerProvider | None) -> bool:
    """Whether every processor of an SDK provider was shut down: what is emitted there is lost without a word."""
    processors = getattr(getattr(provider, "_multi_log_record_processor", None), "_log_record_processors", ())
    # A batch processor's flag is that of what it is made of.
    flags = [getattr(getattr(one, "_batch_processor", one), "_shutdown", False) for one in processors]
    return bool(flags) and all(flags)


def are_metrics_shut_down(provider: MeterProvider | None) -> bool:
    """Whether an SDK provider was shut down, so that what is counted there is lost without a word."""
    return getattr(provider, "_shutdown", False) is True


class ProviderLimits(Fields):
    """How many attributes a record or span may have and how many characters a text; `None` where there is no limit."""

    __slots__ = ("attributes_max", "text_length_max")

    def __init__(self, attributes_max: int | None = None, text_length_max: int | None = None) -> None:
        self.attributes_max = attributes_max
        self.text_length_max = text_length_max


def log_limits(logger: Logger) -> ProviderLimits:
    """The limits that a logger's provider sets on its records; the SDK has no public way to ask. Never raises."""
    limits = getattr(logger, "_log_record_limits", None)
    if limits is None and type(logger).__module__.startswith("opentelemetry.sdk."):
        # Before 1.44 the SDK reads the environment anew for every record.
        from opentelemetry.sdk._logs import LogRecordLimits  # noqa: PLC0415 - needed on old SDKs only

        try:
            limits = LogRecordLimits()
        except ValueError:
            return ProviderLimits()
    count = getattr(limits, "max_log_record_attributes", getattr(limits, "max_attributes", None))
    length = getattr(limits, "max_log_record_attribute_length", getattr(limits, "max_attribute_length", None))
    return _limits(count, length)


def span_limits(tracer: Tracer) -> ProviderLimits:
    """The limits that a tracer's provider sets on its spans; the SDK has no public way to ask. Never raises."""
    limits = getattr(tracer, "_span_limits", None)
    return _limits(getattr(limits, "max_span_attributes", None), getattr(limits, "max_span_attribute_length", None))


def _limits(count: object, length: object) -> ProviderLimits:
    return ProviderLimits(
        attributes_max=count if isinstance(count, int) else None,
        text_length_max=length if isinstance(length, int) else None,
    )


def run_context(context: SpanContext) -> Context:
    """A context whose current span is the run's, so that events and exemplars carry its ids after it has ended.

    Made from scratch: the context in force when a span ends is that of its parent or of someone else's task.
    """
    return Context({_SPAN_KEY: NonRecordingSpan(context)})
