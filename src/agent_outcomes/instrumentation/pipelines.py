# SPDX-License-Identifier: Apache-2.0
"""Private OTLP pipelines for an application that exports traces only, built from the standard variables.

Nothing is set globally: the application may still set its own providers, and these are used only where it has none
when the first outcome arrives. What sends is imported only when something leaves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent_outcomes.foreign_exceptions import Guard
from agent_outcomes.instrumentation.delivery import NO_ANSWER, NOBODY_LISTENS, Delivery, PipelineEnd
from agent_outcomes.instrumentation.flushing import Flusher
from agent_outcomes.instrumentation.metric_outlet import MetricOutlet
from agent_outcomes.instrumentation.process_exit import EXIT_FLUSH_S
from agent_outcomes.instrumentation.waiting_logs import WaitingLogs
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otel_variables import GRPC, HTTP, OtlpSignal, nearest_protocol, protocol_of
from agent_outcomes.printable import printable
from agent_outcomes.sdk.private_api import exports_logs, exports_metrics, global_logger_provider, global_meter_provider
from agent_outcomes.semconv import Signal
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry._logs import LoggerProvider as ApiLoggerProvider
    from opentelemetry.metrics import MeterProvider as ApiMeterProvider

    from agent_outcomes.semconv import DropReason

RETRY_S: Final = 60.0
PATIENCE_S: Final = 0.3

_log: Final = LimitedLog(logging.getLogger(__name__))

ProviderT = TypeVar("ProviderT", LoggerProvider, MeterProvider)


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
    """Logger and meter provider: the application's own, or private ones where it has none.

    An SDK provider without any processor or reader is no pipeline. Private ones are made by `prepare`, or when first
    asked for in vain, with what `resource` returns then. They cost threads at once and clients when they are used.
    They stay for the life of the process: another one's cumulative counts would begin anew under the same name.
    `count_lost` is told of what they lose: why, of which signal and how much.
    """

    def __init__(self, resource: Callable[[], Resource | None], protocols: Protocols) -> None:
        self.is_ending = False
        self.protocols = protocols
        self.count_lost: Callable[[DropReason, Signal, int], object] = _count_nothing
        self._resource = resource
        self._left_s = EXIT_FLUSH_S
        self._lock = threading.RLock()
        self._logs = _Private(self._make_logger_provider, "LOGS", "events")
        self._metrics = _Private(self._make_meter_provider, "METRICS", "metrics")
        self._logger_provider: ApiLoggerProvider | None = None
        self._meter_provider: ApiMeterProvider | None = None

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self._lock = threading.RLock()
        for private in (self._logs, self._metrics):
            private.after_fork_in_child()

    def prepare(self, *, logs: bool, metrics: bool) -> None:
        """Make private providers now where the application has no pipeline so far. Never raises."""
        with self._lock:
            if logs and self._logger_provider is None and not exports_logs(global_logger_provider()):
                self._logs.prepare()
            if metrics and self._meter_provider is None and not exports_metrics(global_meter_provider()):
                self._metrics.prepare()

    def find_logger_provider(self) -> ApiLoggerProvider | None:
        """The logger provider; a private one if the application has no logs pipeline by now. Never raises."""
        with self._lock:
            if self._logger_provider is None:
                found = global_logger_provider()
                if exports_logs(found):
                    self._logs.discard()
                    self._logger_provider = found
                else:
                    self._logger_provider = self._logs.find() or found
            return self._logger_provider

    def find_meter_provider(self) -> ApiMeterProvider | None:
        """The meter provider; a private one if the application has no metrics pipeline by now. Never raises."""
        with self._lock:
            if self._meter_provider is None:
                found = global_meter_provider()
                if exports_metrics(found):
                    self._metrics.discard()
                    self._meter_provider = found
                else:
                    self._meter_provider = self._metrics.find() or found
            return self._meter_provider

    def applications_flushes(self) -> list[Callable[[], object]]:
        """What flushes the application's providers in use; takes no lock, as the thread that holds it may wait."""
        private = (self._logs.provider, self._metrics.provider)
        return [
            provider.force_flush
            for provider in (self._logger_provider, self._meter_provider)
            if isinstance(provider, LoggerProvider | MeterProvider) and not any(provider is one for one in private)
        ]

    def flush(self, timeout_s: float) -> bool:
        """Flush the private providers in use; `False` if that took longer or failed. Never raises."""
        until_s = time.monotonic() + timeout_s
        return _wait_for({private: private.request() for private in self._used()}, until_s)

    def end(self) -> bool:
        """Flush at the end of the process, and as often as something comes after that, in `EXIT_FLUSH_S` in all.

        Not so long where nothing listens at the endpoint. `False` if it was not delivered: it is given up by then.
        Never raises.
        """
        self.is_ending = True
        started_s = time.monotonic()
        undelivered = self._undelivered(started_s + self._left_s)
        for private, reason in undelivered.items():
            private.give_up(reason)
        self._left_s -= time.monotonic() - started_s
        return not undelivered

    def rest(self) -> None:
        """Flush in `EXIT_FLUSH_S`, not so long where nothing listens, and say what was not delivered. Never raises.

        The private providers stay: the next session's metrics go on where those of this one end.
        """
        for private, reason in self._undelivered(time.monotonic() + EXIT_FLUSH_S).items():
            private.complain(reason)

    def look_again(self) -> None:
        """Forget which providers were found: the application may have others by now."""
        with self._lock:
            self._logger_provider, self._meter_provider = None, None

    def give_up(self) -> None:
        """Have nothing under way when the process ends. Never raises."""
        for private in self._used():
            private.give_up()

    def _used(self) -> list[_Private[Any]]:
        return [private for private in (self._logs, self._metrics) if private.is_used]

    def _undelivered(self, until_s: float) -> dict[_Private[Any], str]:
        """Flush until then, and no longer than somebody listens: what is still under way, and why."""
        under_way = {private: private.request() for private in self._used()}
        refused: dict[_Private[Any], str] = {}
        while True:
            _wait_for(under_way, min(until_s, time.monotonic() + PATIENCE_S))
            under_way = {private: asked for private, asked in under_way.items() if not private.is_done(asked)}
            if not under_way or time.monotonic() >= until_s:
                return refused | dict.fromkeys(under_way, NO_ANSWER)
            refused |= {private: NOBODY_LISTENS for private in under_way if private.is_refused()}
            under_way = {private: asked for private, asked in under_way.items() if private not in refused}

    def _make_logger_provider(self) -> tuple[LoggerProvider, PipelineEnd]:
        delivery = Delivery(OtlpSignal.LOGS, self.protocols.logs, "events")
        provider = LoggerProvider(resource=self._resource(), shutdown_on_exit=False)
        outlet = WaitingLogs(delivery, provider.resource, lambda *lost: self._count(Signal.EVENT, *lost))
        provider.add_log_record_processor(outlet)
        return provider, outlet

    def _make_meter_provider(self) -> tuple[MeterProvider, PipelineEnd]:
        delivery = Delivery(OtlpSignal.METRICS, self.protocols.metrics, "metrics")
        outlet = MetricOutlet(delivery, lambda *lost: self._count(Signal.METRIC, *lost))
        reader = PeriodicExportingMetricReader(outlet)
        resource = self._resource()
        provider = MeterProvider(
            [reader], resource if resource is not None else Resource.create({}), shutdown_on_exit=False
        )
        return provider, outlet

    def _count(self, signal: Signal, reason: DropReason, count: int) -> None:
        self.count_lost(reason, signal, count)


class _Private(Generic[ProviderT]):
    """A private provider, made when first needed; if that fails, it is tried again after a minute."""

    _make: Callable[[], tuple[ProviderT, PipelineEnd]]

    def __init__(self, make: Callable[[], tuple[ProviderT, PipelineEnd]], signal: str, what: str) -> None:
        self.provider: ProviderT | None = None
        self.is_used = False
        self._make = make
        self._variable = f"OTEL_{signal}_EXPORTER"
        self._what = what
        self._next_try_s = 0.0
        self._outlet: PipelineEnd | None = None
        self._flusher: Flusher | None = None

    def prepare(self) -> None:
        if self.provider is None and not self._is_switched_off() and time.monotonic() >= self._next_try_s:
            self._next_try_s = time.monotonic() + RETRY_S
            # The SDK reads variables of its own, and the application goes on without what they break.
            with Guard(self._not_made):
                self.provider, self._outlet = self._make()
                self._flusher = Flusher(self._flush)

    def _not_made(self, error: BaseException) -> None:
        _log.warning(
            f"not_made_{self._what}",
            "agent outcome %s are not exported: no OTLP exporter could be made: %r; "
            "look at the OTEL_EXPORTER_OTLP_* and OTEL_*_EXPORT_* variables",
            self._what,
            error,
        )

    def find(self) -> ProviderT | None:
        if self._is_switched_off():
            _log.warning(self._variable, "agent outcome %s are not exported: %s=none", self._what, self._variable)
            return None
        self.prepare()
        self.is_used = self.provider is not None
        return self.provider

    def discard(self) -> None:
        """End the provider, of which nothing is expected any more."""
        self.give_up()
        if self._flusher is not None and self.provider is not None:
            self._flusher.finish(self.provider.shutdown)
        self.provider, self._flusher, self.is_used = None, None, False

    def request(self) -> int:
        return self._flusher.request() if self._flusher is not None else 0

    def wait(self, asked: int, until_s: float) -> bool:
        return self._flusher is None or self._flusher.wait(asked, until_s)

    def is_done(self, asked: int) -> bool:
        return self._flusher is None or self._flusher.is_done(asked)

    def is_refused(self) -> bool:
        return self._outlet is not None and self._outlet.delivery.is_refused()

    def complain(self, reason: str) -> None:
        if self._outlet is not None:
            self._outlet.delivery.complain(self._outlet.waiting(), reason)

    def give_up(self, reason: str = "") -> None:
        if self._outlet is not None:
            lost = self._outlet.give_up()
            if lost or reason:
                self._outlet.delivery.complain_of_loss(lost, reason)

    def after_fork_in_child(self) -> None:
        if self._outlet is not None:
            self._outlet.after_fork_in_child()
        if self._flusher is not None:
            self._flusher.after_fork_in_child()

    def _flush(self) -> bool:
        if self.provider is None or self._outlet is None:
            return True
        return self.provider.force_flush() is not False and self._outlet.is_whole

    def _is_switched_off(self) -> bool:
        return os.environ.get(self._variable, "").strip().lower() == "none"


def _wait_for(asked: Mapping[_Private[Any], int], until_s: float) -> bool:
    delivered = [private.wait(number, until_s) for private, number in asked.items()]
    return all(delivered)


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


def _count_nothing(*_: object) -> None:
    """There is no processor yet that counts."""
