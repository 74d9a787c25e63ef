# SPDX-License-Identifier: Apache-2.0
"""`install()`: one line that makes outcomes flow, whatever the application has set up so far or sets up later."""

from __future__ import annotations

import functools
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from agent_outcomes.active_run import is_sdk_disabled
from agent_outcomes.pipelines import Pipelines, check_protocols
from agent_outcomes.processor import AgentOutcomeSpanProcessor
from agent_outcomes.sampling import can_drop_roots

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Tracer

    from agent_outcomes.detection import IsRun
    from agent_outcomes.pricing import Prices

_logger: Final = logging.getLogger(__name__)


def install(
    tracer_provider: TracerProvider | None = None,
    *,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    is_run: IsRun | None = None,
    prices: Prices | str | None = None,
) -> AgentOutcomeSpanProcessor:
    """Add the processor to the tracer provider given, to the global one, or to every one used from now on.

    Where the application has no logger or meter provider when the first outcome arrives, private OTLP ones are built
    from `OTEL_EXPORTER_OTLP_*` (grpc and http/protobuf) with the tracer provider's resource; they flush at exit. Sets
    no global, so that the application's own `set_*_provider` still works. A second call returns the first one's
    processor.

    Raises:
        SettingsError: an `AGENT_OUTCOMES_*` or protocol variable has a value that cannot be used.

    """
    with _installation.lock:
        target = tracer_provider if tracer_provider is not None else _global_tracer_provider()
        processor = _installation.processor
        if processor is None:
            check_protocols()
            pipelines = _installation.pipelines
            processor = _installation.processor = AgentOutcomeSpanProcessor(
                logger_provider=logger_provider or pipelines.find_logger_provider,
                meter_provider=meter_provider or pipelines.find_meter_provider,
                is_run=is_run,
                prices=prices,
                tracer_provider=tracer_provider,
            )
        if target is not None:
            _installation.attach(target)
        else:
            _installation.attach_later()
        return processor


class _Installation:
    """The one installed processor and the tracer providers it has been added to."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.processor: AgentOutcomeSpanProcessor | None = None
        self.pipelines = Pipelines(self.resource)
        self._attached: list[TracerProvider] = []
        self._waits = False

    def resource(self) -> Resource | None:
        """The resource of the first tracer provider that the processor was added to."""
        return getattr(self._attached[0], "resource", None) if self._attached else None

    def after_fork_in_child(self) -> None:
        """The locks may have been held by a thread that the child does not have."""
        self.lock = threading.RLock()
        self.pipelines.after_fork_in_child()

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
                "TracerProvider(sampler=agent_outcomes.OutcomeSampler(...))",
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
            with self.lock:
                self.attach(provider)
            return original(provider, *args, **kwargs)

        setattr(TracerProvider, "get_tracer", attaching)  # noqa: B010 - assigning to a method is what mypy forbids


def _global_tracer_provider() -> TracerProvider | None:
    provider = trace.get_tracer_provider()
    # Distributions wrap the SDK's provider in classes of their own; what takes a processor will do.
    return cast("TracerProvider", provider) if hasattr(provider, "add_span_processor") else None


_installation: Final = _Installation()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_installation.after_fork_in_child)
