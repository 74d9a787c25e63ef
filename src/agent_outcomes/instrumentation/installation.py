# SPDX-License-Identifier: Apache-2.0
"""The one processor that `install()` or OpenTelemetry's own start-up made, and the tracer providers it was added to."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from agent_outcomes.api.open_run import is_sdk_disabled
from agent_outcomes.foreign_exceptions import SILENT, Guard
from agent_outcomes.instrumentation.pipelines import Pipelines, Protocols, read_protocols
from agent_outcomes.instrumentation.process_exit import (
    EXIT_FLUSH_S,
    flush_all,
    flush_on_sigterm,
    flush_when_uvicorn_stops,
    is_interpreter_ending,
)
from agent_outcomes.list_prices import prices_of
from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.misuse import type_name
from agent_outcomes.sdk.attachment import Attachments
from agent_outcomes.sdk.health import dropped
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.sdk.sampler import can_drop_roots
from agent_outcomes.sdk.setup import open_ledger
from agent_outcomes.settings import LEDGER_OFF, VARIABLES, SettingsError, lenient_settings
from agent_outcomes.worker_ends import flush_when_multiprocessing_child_ends, flush_when_worker_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from agent_outcomes.run.pricing import ModelCall
    from agent_outcomes.sdk.span_reader import IsRun
    from agent_outcomes.semconv import DropReason, Signal
    from agent_outcomes.settings_arguments import SettingsArguments

_logger: Final = logging.getLogger(__name__)


def install_once(
    tracer_provider: TracerProvider | None,
    logger_provider: LoggerProvider | None,
    meter_provider: MeterProvider | None,
    is_run: IsRun | None,
    settings: SettingsArguments,
) -> AgentOutcomeSpanProcessor:
    """What `install()` does, under its arguments. Raises `SettingsError` for a value that cannot be used."""
    if tracer_provider is not None and not callable(look(tracer_provider, "add_span_processor")):
        message = (
            f"tracer_provider takes the SDK's TracerProvider, not {type_name(tracer_provider)}; where it is the global "
            "one leave it out, or set it first"
        )
        raise SettingsError(message)
    given = {"logger_provider": logger_provider, "meter_provider": meter_provider, "is_run": is_run, **settings}
    named = [name for name, value in given.items() if value is not None]
    with _installation.lock:
        is_new = _installation.make(
            lambda: _Recipe(logger_provider, meter_provider, is_run, read_protocols(), settings),
            tracer_provider,
            anew=bool(named),
        )
        if named and not is_new:
            with SILENT:  # a handler or a filter of the application may raise
                _logger.warning(
                    "agent outcomes are installed already, by an earlier install() or by opentelemetry-instrument; "
                    "the arguments of this install() are not taken: %s",
                    ", ".join(named),
                )
        _installation.attach_to(tracer_provider)
        return _installation.processor


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
        _installation.is_unattended = True
        _installation.make(
            lambda: _Recipe(
                logger_provider,
                meter_provider,
                None,
                read_protocols(complaints.setdefault),
                _unattended_settings(options, complaints.setdefault),
            ),
            tracer_provider,
            anew=False,
        )
        _installation.attach_to(tracer_provider)
    for complaint in complaints:
        with SILENT:
            _logger.warning("agent outcomes: %s", complaint)
    if not is_sdk_disabled():
        flush_on_sigterm(_installation.flush_at_exit)


def _unattended_settings(options: Mapping[str, object], complain: Callable[[str], object]) -> Mapping[str, Any]:
    settings = lenient_settings(options, complain)
    try:
        prices_of(settings.prices)
    except SettingsError as error:
        complain(f"{error}; none is used")
        settings = settings._replace(prices=None)
    try:
        open_ledger(settings)
    except SettingsError as error:
        complain(f"{error}; none is used")
        settings = settings._replace(ledger=None)
    # As an argument, `None` would have a variable read again, strictly.
    if settings.prices is None and VARIABLES["prices"] in os.environ:
        settings = settings._replace(prices=_no_price)
    if settings.ledger is None:
        settings = settings._replace(ledger=LEDGER_OFF)
    return settings._asdict()


def _no_price(call: ModelCall) -> None:
    del call


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What the processor is made of, and made of again after a shutdown."""

    logger_provider: LoggerProvider | None
    meter_provider: MeterProvider | None
    is_run: IsRun | None
    protocols: Protocols
    settings: Mapping[str, Any]


class _InstalledProcessor(AgentOutcomeSpanProcessor):
    """The processor that `install()` returns: it answers for the private pipelines behind it."""

    def __init__(self, recipe: _Recipe, pipelines: Pipelines, tracer_provider: TracerProvider | None) -> None:
        super().__init__(
            logger_provider=recipe.logger_provider or pipelines.find_logger_provider,
            meter_provider=recipe.meter_provider or pipelines.find_meter_provider,
            is_run=recipe.is_run,
            tracer_provider=tracer_provider,
            **recipe.settings,
        )
        self._pipelines = pipelines
        pipelines.count_lost = self._count_lost

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the private pipelines or the ledger; `False` if that took longer or failed. Never raises."""
        if self._sink.uses_providers:
            return self._pipelines.flush(timeout_millis / 1000)
        return super().force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Settle the runs that wait and flush the private pipelines in `EXIT_FLUSH_S`. Never raises.

        At the end of the process it only settles: exit functions that come later may still end runs.
        """
        if is_interpreter_ending():
            self.settle_waiting()
        elif not self.is_shut_down:
            super().shutdown()
            self._pipelines.rest()

    def end(self) -> None:
        """Settle and flush at the end of the process, and from then on with every outcome. Never raises."""
        setattr(self, "on_end", self._end_last)  # noqa: B010 - assigning to a method is what mypy forbids
        self.settle_waiting()
        self._deliver_last()

    def _end_last(self, span: ReadableSpan) -> None:
        """Have no run wait: whether its outer span ends before the process does, nobody knows."""
        super().on_end(span)
        self.settle_waiting()

    def _count_lost(self, reason: DropReason, signal: Signal, count: int) -> None:
        self._sink.post_health([dropped(reason, signal, count)])

    def _emit(self) -> None:
        has_settled = bool(self._board.settled)
        if has_settled and self._pipelines.is_ending and sys.is_finalizing() and not self.is_shut_down:
            super().shutdown()  # the SDK imports on its way, which fails by now
        super()._emit()
        if has_settled and self._pipelines.is_ending and not self.is_shut_down:
            self._deliver_last()

    def _deliver_last(self) -> None:
        if not self._sink.uses_providers:
            self._sink.shutdown()
        elif not self._pipelines.end():
            super().shutdown()


class _Installation:
    """The one installed processor and the tracer providers it has been added to."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_unattended = False
        self._recipe: _Recipe | None = None
        self._processor: _InstalledProcessor | None = None
        self._pipelines: Pipelines | None = None
        self._attachments = Attachments()
        self._waits = False

    @property
    def processor(self) -> _InstalledProcessor:
        """The processor; there is one once `make` has been called."""
        assert self._processor is not None
        return self._processor

    def make(self, recipe: Callable[[], _Recipe], tracer_provider: TracerProvider | None, *, anew: bool) -> bool:
        """Make the processor, unless there is one that was not shut down; says whether it did.

        After a shutdown it is made as before, or by the recipe if `anew`. Raises `SettingsError` where `recipe` does.
        """
        if self._processor is not None and not self._processor.is_shut_down:
            return False
        if self._recipe is None or anew:
            self._open(recipe(), tracer_provider)
        else:
            self._open(self._recipe, tracer_provider)
        return True

    def _open(self, recipe: _Recipe, tracer_provider: TracerProvider | None) -> None:
        pipelines = self._pipelines
        if pipelines is None or pipelines.protocols != recipe.protocols:
            pipelines = Pipelines(self._attachments.resource, recipe.protocols)
        pipelines.look_again()
        processor = _InstalledProcessor(recipe, pipelines, tracer_provider)
        if self._processor is None:
            atexit.register(self.end)
            flush_when_multiprocessing_child_ends(self.flush_at_exit)
        self._recipe, self._pipelines, self._processor = recipe, pipelines, processor
        self._attachments.point_to(processor)
        flush_when_uvicorn_stops(self.flush_at_exit)

    def after_fork_in_child(self) -> None:
        """The locks may have been held by a thread that the child does not have."""
        self.lock = threading.RLock()
        if self._processor is not None and self._pipelines is not None:
            self._pipelines.after_fork_in_child()
            flush_when_worker_ends(self.flush_at_exit, __name__)
            flush_when_uvicorn_stops(self.flush_at_exit)

    def flush_at_exit(self) -> None:
        """Settle what waits and flush all that an outcome or its trace went to, in `EXIT_FLUSH_S`. Never raises."""
        processor, pipelines = self._processor, self._pipelines
        if processor is None or pipelines is None:
            return
        until_s = time.monotonic() + EXIT_FLUSH_S
        flush_all([processor.settle_waiting], EXIT_FLUSH_S / 2)
        left_s = until_s - time.monotonic()
        flush_all(
            [
                *self._attachments.flushes(),
                *pipelines.applications_flushes(),
                lambda: pipelines.flush(left_s),
                lambda: processor.sink.flush(left_s),
            ],
            left_s,
        )

    def end(self) -> None:
        """At the end of the process: what it told last is delivered, too. Never raises."""
        if self._processor is None or self._pipelines is None:
            return
        if self._processor.is_shut_down:
            self._pipelines.give_up()
        else:
            self._processor.end()

    def attach_to(self, tracer_provider: TracerProvider | None) -> None:
        """Add the processor to the provider given, else to the global one, else to every one used from now on."""
        target = tracer_provider if tracer_provider is not None else _global_tracer_provider()
        if target is not None:
            self.attach(target, again=True)
        else:
            self.attach_later()

    def attach(self, provider: TracerProvider, *, again: bool) -> None:
        """Add the processor to a provider, once; `again`: even to one that was shut down since."""
        attachment = self._attachments.of(provider)
        if self._recipe is None or (attachment is not None and (attachment.is_open or not again)):
            return
        if self.processor.is_shut_down:
            self._open(self._recipe, None)
        if attachment is not None:
            attachment.reopen(self.processor)
        else:
            provider.add_span_processor(self._attachments.add(provider, self.processor, self._shut_down))
        if is_sdk_disabled():
            return
        if self._pipelines is not None and self.processor.sink.uses_providers:
            self._pipelines.prepare(
                logs=self._recipe.logger_provider is None, metrics=self._recipe.meter_provider is None
            )
        self._warn_of_sampler(provider)

    def _shut_down(self) -> None:
        """A tracer provider was shut down: the processor goes with the last one, and until then what it has is sent."""
        with self.lock:
            processor, is_last = self.processor, not self._attachments.are_open()
        if is_last:
            processor.shutdown()
        elif not is_interpreter_ending():
            processor.force_flush(round(EXIT_FLUSH_S * 1000))

    def _warn_of_sampler(self, provider: TracerProvider) -> None:
        sampler = getattr(provider, "sampler", None)
        if isinstance(sampler, Sampler) and can_drop_roots(sampler):
            # A program that makes its own provider would lose the ratio: by name the SDK takes none from its variable.
            by_name = (
                ", or put outcome_ before its name: OTEL_TRACES_SAMPLER=outcome_parentbased_traceidratio"
                if self.is_unattended
                else ""
            )
            description = sampler.get_description()
            with SILENT:
                _logger.warning(
                    "the sampler %s may drop agent runs, which then have no outcome; wrap it: "
                    "TracerProvider(sampler=agent_outcomes.OutcomeSampler(...))%s",
                    description,
                    by_name,
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
            # A provider or sampler of the application may raise, which asks for no more than a tracer.
            with Guard(_note_not_added), self.lock:
                self.attach(provider, again=False)
            return original(provider, *args, **kwargs)

        setattr(TracerProvider, "get_tracer", attaching)  # noqa: B010 - assigning to a method is what mypy forbids


def _note_not_added(error: BaseException) -> None:
    with SILENT:
        _logger.error("agent outcomes could not be added to a tracer provider", exc_info=error)


def _global_tracer_provider() -> TracerProvider | None:
    provider = trace.get_tracer_provider()
    # Distributions wrap the SDK's provider in classes of their own; what takes a processor will do.
    return cast("TracerProvider", provider) if hasattr(provider, "add_span_processor") else None


_installation: Final = _Installation()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_installation.after_fork_in_child)
