# SPDX-License-Identifier: Apache-2.0
"""`install()`: one line that makes outcomes flow, whatever the application has set up so far or sets up later."""

from __future__ import annotations

import functools
import logging
import os
import threading
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from agent_outcomes.config import VARIABLES, SettingsError, lenient_settings
from agent_outcomes.list_prices import prices_of
from agent_outcomes.open_run import is_sdk_disabled
from agent_outcomes.pipelines import Pipelines, Protocols, read_protocols
from agent_outcomes.process_exit import (
    EXIT_FLUSH_S,
    flush_all,
    flush_on_sigterm,
    flush_when_uvicorn_stops,
    flush_when_worker_ends,
)
from agent_outcomes.processor import AgentOutcomeSpanProcessor
from agent_outcomes.sampling import can_drop_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Tracer

    from agent_outcomes.config import SettingsArguments
    from agent_outcomes.detection import IsRun
    from agent_outcomes.pricing import ModelCall

_logger: Final = logging.getLogger(__name__)


def install(
    tracer_provider: TracerProvider | None = None,
    *,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    is_run: IsRun | None = None,
    **settings: Unpack[SettingsArguments],
) -> AgentOutcomeSpanProcessor:
    """Add the processor to the tracer provider given, to the global one, or to every one used from now on.

    Takes the settings that `AgentOutcomeSpanProcessor` takes; one that is not given is read from its
    `AGENT_OUTCOMES_*` variable. Where the application has no logs or metrics pipeline when the first outcome arrives,
    private OTLP ones are built from `OTEL_EXPORTER_OTLP_*` (grpc and http/protobuf) with the tracer provider's
    resource, unless `OTEL_LOGS_EXPORTER` or `OTEL_METRICS_EXPORTER` is `none`. They flush at exit and with
    `tracer_provider.force_flush()`. Sets no global, so that the application's own `set_*_provider` still works. A
    second call returns the first one's processor, as it was made.

    Raises:
        SettingsError: an argument, or an `AGENT_OUTCOMES_*` or protocol variable, has a value that cannot be used.

    """
    with _installation.lock:
        processor, is_new = _installation.make(
            logger_provider=logger_provider,
            meter_provider=meter_provider,
            is_run=is_run,
            tracer_provider=tracer_provider,
            protocols=read_protocols,
            settings=lambda: settings,
        )
        given = {"logger_provider": logger_provider, "meter_provider": meter_provider, "is_run": is_run, **settings}
        late = [name for name, value in given.items() if value is not None]
        if late and not is_new:
            _logger.warning(
                "agent outcomes are installed already, by an earlier install() or by opentelemetry-instrument; "
                "the arguments of this install() are not taken: %s",
                ", ".join(late),
            )
        _installation.attach_to(tracer_provider)
        return processor


def install_unattended(
    options: Mapping[str, object],
    *,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """`install()` for a start-up that nobody watches: what cannot be used is named in a warning, and a default used.

    Settings come from `options`, then from the `AGENT_OUTCOMES_*` variables. Flushes on SIGTERM, too, where nothing
    else handles it. Without effect on what an earlier `install()` made.
    """
    # One bad variable may hold for several things, and is told of once.
    complaints: dict[str, None] = {}
    with _installation.lock:
        _installation.make(
            logger_provider=logger_provider,
            meter_provider=meter_provider,
            is_run=None,
            tracer_provider=tracer_provider,
            protocols=lambda: read_protocols(complaints.setdefault),
            settings=lambda: _unattended_settings(options, complaints.setdefault),
        )
        _installation.attach_to(tracer_provider)
    for complaint in complaints:
        _logger.warning("agent outcomes: %s", complaint)
    if not is_sdk_disabled():
        flush_on_sigterm(_installation.flush_at_exit)


def _unattended_settings(options: Mapping[str, object], complain: Callable[[str], object]) -> Mapping[str, Any]:
    settings = lenient_settings(options, complain)
    try:
        prices_of(settings.prices)
    except SettingsError as error:
        complain(f"{error}; none is used")
        settings = replace(settings, prices=None)
    if settings.prices is None and VARIABLES["prices"] in os.environ:
        # As an argument, `None` would have the variable read again, strictly.
        settings = replace(settings, prices=_no_price)
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _no_price(call: ModelCall) -> None:
    del call


class _InstalledProcessor(AgentOutcomeSpanProcessor):
    """The processor that `install()` adds: it answers for the private pipelines behind it."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the private pipelines; `False` if that took longer or failed. Never raises."""
        return flush_all(_installation.pipelines.flushes(private_only=True), timeout_millis / 1000)


class _Installation:
    """The one installed processor and the tracer providers it has been added to."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.processor: AgentOutcomeSpanProcessor | None = None
        self.pipelines = Pipelines(self.resource)
        self._attached: list[TracerProvider] = []
        self._waits = False

    def make(
        self,
        *,
        logger_provider: LoggerProvider | None,
        meter_provider: MeterProvider | None,
        is_run: IsRun | None,
        tracer_provider: TracerProvider | None,
        protocols: Callable[[], Protocols],
        settings: Callable[[], Mapping[str, Any]],
    ) -> tuple[AgentOutcomeSpanProcessor, bool]:
        """The processor and whether it was made just now. Raises `SettingsError` where `protocols` or `settings` do."""
        if self.processor is not None:
            return self.processor, False
        self.pipelines.protocols = protocols()
        self.processor = _InstalledProcessor(
            logger_provider=logger_provider or self.pipelines.find_logger_provider,
            meter_provider=meter_provider or self.pipelines.find_meter_provider,
            is_run=is_run,
            tracer_provider=tracer_provider,
            **settings(),
        )
        flush_when_uvicorn_stops(self.flush_at_exit)
        return self.processor, True

    def resource(self) -> Resource | None:
        """The resource of the first tracer provider that the processor was added to."""
        return getattr(self._attached[0], "resource", None) if self._attached else None

    def after_fork_in_child(self) -> None:
        """The locks may have been held by a thread that the child does not have."""
        self.lock = threading.RLock()
        self.pipelines.after_fork_in_child()
        if self.processor is not None:
            flush_when_worker_ends(self.flush_at_exit)
            flush_when_uvicorn_stops(self.flush_at_exit)

    def flush_at_exit(self) -> None:
        """Settle what waits and flush all that an outcome or its trace went to, in bounded time. Never raises."""
        if self.processor is not None:
            flush_all([self.processor.settle_waiting], EXIT_FLUSH_S)
        spans = [provider.force_flush for provider in self._attached if hasattr(provider, "force_flush")]
        flush_all([*spans, *self.pipelines.flushes(private_only=False)], EXIT_FLUSH_S)

    def attach_to(self, tracer_provider: TracerProvider | None) -> None:
        """Add the processor to the provider given, else to the global one, else to every one used from now on."""
        target = tracer_provider if tracer_provider is not None else _global_tracer_provider()
        if target is not None:
            self.attach(target)
        else:
            self.attach_later()

    def attach(self, provider: TracerProvider) -> None:
        """Add the processor to a provider, once."""
        if self.processor is None or any(provider is one for one in self._attached):
            return
        self._attached.append(provider)
        provider.add_span_processor(self.processor)
        sampler = getattr(provider, "sampler", None)
        if isinstance(sampler, Sampler) and can_drop_roots(sampler) and not is_sdk_disabled():
            _logger.warning(
                "the sampler %s may drop agent runs, which then have no outcome; wrap it: "
                "TracerProvider(sampler=agent_outcomes.OutcomeSampler(...)), or put outcome_ before its name: "
                "OTEL_TRACES_SAMPLER=outcome_parentbased_traceidratio",
                sampler.get_description(),
            )

    def attach_later(self) -> None:
        """Add the processor to every provider that is used from now on.

        There is no hook for that. A provider made before, and made the global one after, shows only when the first
        tracer is taken from it, and no span can come before that.
        """
        if self._waits:
            return
        self._waits = True
        original = TracerProvider.get_tracer

        @functools.wraps(original)
        def attaching(provider: TracerProvider, *args: Any, **kwargs: Any) -> Tracer:
            try:
                with self.lock:
                    self.attach(provider)
            except Exception:  # a provider or sampler of the application raised, and it asks for no more than a tracer
                _logger.exception("agent outcomes could not be added to a tracer provider")
            return original(provider, *args, **kwargs)

        setattr(TracerProvider, "get_tracer", attaching)  # noqa: B010 - assigning to a method is what mypy forbids


def _global_tracer_provider() -> TracerProvider | None:
    provider = trace.get_tracer_provider()
    # Distributions wrap the SDK's provider in classes of their own; what takes a processor will do.
    return cast("TracerProvider", provider) if hasattr(provider, "add_span_processor") else None


_installation: Final = _Installation()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_installation.after_fork_in_child)
