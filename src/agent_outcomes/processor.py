# SPDX-License-Identifier: Apache-2.0
"""`AgentOutcomeSpanProcessor`: the edge between the SDK's span callbacks and everything pure.

Every callback runs on the application's thread, so each catches at its outermost edge, counts, and logs at most
once a minute. An exception here would replace the application's own (opentelemetry-python#5624).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import weakref
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.sdk.trace import SpanProcessor

from agent_outcomes import semconv
from agent_outcomes.claims import CLAIMS, FIRST_SPANS
from agent_outcomes.config import read_settings
from agent_outcomes.evidence import infer
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.list_prices import prices_of
from agent_outcomes.normalize import Below, normalize
from agent_outcomes.open_spans import Settlement
from agent_outcomes.otel import global_logger_provider, global_meter_provider
from agent_outcomes.record import Posting
from agent_outcomes.runs import RunTracker
from agent_outcomes.semconv import DropReason, ProblemKind, Source
from agent_outcomes.sinks import OtelSink
from agent_outcomes.stale_sweep import StaleSweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext, TracerProvider

    from agent_outcomes.config import Settings
    from agent_outcomes.detection import IsRun
    from agent_outcomes.model import AgentSpan
    from agent_outcomes.pricing import ModelCall, Prices

P = TypeVar("P")

_log: Final = LimitedLog(logging.getLogger(__name__))

PROCESSORS: Final[weakref.WeakSet[AgentOutcomeSpanProcessor]] = weakref.WeakSet()


class AgentOutcomeSpanProcessor(SpanProcessor):
    """Reads `agent.outcome.*` from agent spans and emits each run's outcome as an OTLP event and metrics.

    Add it to a tracer provider; it works without arguments. No callback ever raises: a failure of ours is counted
    in `agent_outcomes.processor.errors`. A second processor that sees the same spans disables itself with a warning.

    Args:
        logger_provider: where events go; the global one, looked up at the first outcome, if not given. May be a
            function that returns one (or `None` while there is none).
        meter_provider: where metrics go, likewise.
        is_run: says of an ended span whether it is a run (`True`, even below an agent), never one (`False`), or to be
            judged by the rules (`None`). Called for every span, on the thread that ends it; an error in it counts
            as `None`.
        agents_max, job_types_max, labels_max: how many distinct agents, job types and labels become metric labels.
        hide_message, hide_metadata: keep these two free texts off events.
        outcome_span: add a zero-length child span `agent.outcome` with the outcome's attributes to every run, for trace
            viewers that show no events.
        handoffs: emit an event `agent.handoff` for every agent called within a run, at most 100 a run, and say on the
            outcome of a run which span of another process called it.
        evaluation_result: emit the outcome as `gen_ai.evaluation.result` events, too.
        prices: what a model call has cost that reports tokens and no cost: a function from a `ModelCall` to an amount
            and its currency (or `None`), called on the thread that ends the call's span; or "genai-prices" for the
            prices that the package of that name lists (extra `prices`). An error in the function is counted, and
            that run's cost is incomplete.
        stale_after_s: report a run that has been open for so many seconds, as it stands: what was stated, else status
            `unknown` with evidence `stale`. Its end then adds its business result only. A thread looks for such runs
            while any span is open. 0, the default, never does.
        tracer_provider: where outcome spans are made; the global one if not given.

    Raises:
        SettingsError: an argument or an `AGENT_OUTCOMES_*` variable has a value that cannot be used, or needs a
            package that is not installed.

    """

    def __init__(
        self,
        *,
        logger_provider: LoggerProvider | Callable[[], LoggerProvider | None] | None = None,
        meter_provider: MeterProvider | Callable[[], MeterProvider | None] | None = None,
        is_run: IsRun | None = None,
        agents_max: int | None = None,
        job_types_max: int | None = None,
        labels_max: int | None = None,
        hide_message: bool | None = None,
        hide_metadata: bool | None = None,
        outcome_span: bool | None = None,
        handoffs: bool | None = None,
        evaluation_result: bool | None = None,
        prices: Prices | str | None = None,
        stale_after_s: float | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        settings: Settings = read_settings(
            agents_max=agents_max,
            job_types_max=job_types_max,
            labels_max=labels_max,
            hide_message=hide_message,
            hide_metadata=hide_metadata,
            outcome_span=outcome_span,
            handoffs=handoffs,
            evaluation_result=evaluation_result,
            prices=prices,
            stale_after_s=stale_after_s,
        )
        self._user_is_run = is_run
        self._prices = prices_of(settings.prices)
        self._tracker = RunTracker(
            on_problem=self._note_problem,
            on_first_wait=self._settle_at_exit,
            on_evicted=self._report_evictions,
            is_run=self._is_run if is_run is not None else None,
            price_of=self._price_of if self._prices is not None else None,
            keeps_handoffs=settings.handoffs,
            keeps_ages=settings.stale_after_s > 0,
        )
        self._stale_after_s = settings.stale_after_s
        self._stale_sweep = (
            StaleSweep(settings.stale_after_s, self._settle_stale, self._has_open) if settings.stale_after_s else None
        )
        self._sink = OtelSink(
            _finder(logger_provider, global_logger_provider),
            _finder(meter_provider, global_meter_provider),
            settings,
            tracer_provider,
        )
        self._start = self._tracker.start
        self._end = self._tracker.end
        self._disabled = False
        self._has_started = False
        # Whether a start needs more than the tracker: at the first span, and for the sweep.
        self._attends = True
        self._is_shut_down = False
        self._evicted_reported = 0
        PROCESSORS.add(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Take note of a started span. Never raises."""
        if self._disabled:
            return
        try:
            settled = self._start(span)
            if self._attends or settled:
                self._attend(span, settled)
        except Exception as error:  # noqa: BLE001 - outermost edge: the application must not see our failure
            self._failed(error)

    def on_end(self, span: ReadableSpan) -> None:
        """Emit the outcome of every run that has settled with this span's end. Never raises."""
        if self._disabled:
            return
        try:
            settled = self._end(span)
            if settled:
                self._emit(settled)
        except Exception as error:  # noqa: BLE001 - outermost edge: the application must not see our failure
            self._failed(error)

    def _attend(self, span: Span, settled: list[Settlement]) -> None:
        if self._stale_sweep is not None:
            self._stale_sweep.wake()
        if not self._has_started:
            self._look_for_another(span.get_span_context())
        self._attends = self._stale_sweep is not None
        if settled:
            self._emit(settled)

    def shutdown(self) -> None:
        """Settle the runs that still wait for an outer span; later ones are counted as dropped. Never raises."""
        if self._stale_sweep is not None:
            self._stale_sweep.stop()
            self._settle_stale()
        self.settle_waiting()
        self._is_shut_down = True

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back here, so nothing is to be flushed: events and metrics are with their providers."""
        return True

    def settle_waiting(self) -> None:
        """Settle the runs that still wait for an outer span to end. Never raises."""
        try:
            self._emit(self._tracker.flush())
        except Exception as error:  # noqa: BLE001 - outermost edge, as above
            self._failed(error)

    def _settle_stale(self) -> None:
        try:
            if not self._disabled:
                self._emit(self._tracker.settle_stale(self._stale_after_s))
        except Exception as error:  # noqa: BLE001 - outermost edge, as above
            self._failed(error)

    def _has_open(self) -> bool:
        return self._tracker.open_count > 0 and not self._disabled

    @property
    def is_enabled(self) -> bool:
        """Whether this processor counts; `False` for the second one on the same spans and after shutdown."""
        return not (self._disabled or self._is_shut_down)

    def find_run_span(self, context: SpanContext) -> ReadableSpan | None:
        """The open span that an outcome stated within the span `context` belongs to; `None` if no run is above it."""
        return None if self._disabled else self._tracker.find_run_span(context)

    def follows(self, context: SpanContext) -> bool:
        """Whether the span is open here."""
        return not self._disabled and self._tracker.follows(context)

    def record_unrecorded(self, span: AgentSpan, context: SpanContext) -> None:
        """Count a run whose span the sampler dropped, so that `on_end` never sees it. Never raises."""
        try:
            finding = infer(span)
            run, outcome = normalize(span, Below(is_open=True), finding)
            paused = finding.paused and outcome.source is Source.INFERRED
            self._emit([Settlement(run, outcome, context, paused=paused)])
        except Exception as error:  # noqa: BLE001 - outermost edge, as above
            self._failed(error)

    def note_problem(self, kind: ProblemKind) -> None:
        """Count a problem that no event can list. Never raises."""
        try:
            self._note_problem(kind)
        except Exception as error:  # noqa: BLE001 - outermost edge, as above
            self._failed(error)

    def after_fork_in_child(self) -> None:
        """Forget the parent's open spans and counts; locks are made anew."""
        self._tracker.after_fork_in_child()
        self._sink.after_fork_in_child()
        if self._stale_sweep is not None:
            self._stale_sweep.after_fork_in_child()

    def _settle_at_exit(self) -> None:
        # atexit runs last in, first out: registered only when a run has to wait, this comes before the shutdown of
        # providers made by then. Those that install() makes on demand are made now, as at exit it would be too late.
        self._sink.prepare()
        atexit.register(_settle_waiting, weakref.ref(self))

    def _emit(self, settled: Iterable[Settlement]) -> None:
        for settlement in settled:
            if settlement.revision == 0 and not self._claim(settlement.context):
                continue
            if settlement.paused:
                self._sink.drop(DropReason.PAUSED, settlement)
            elif self._is_shut_down:
                self._sink.drop(DropReason.SHUTDOWN, settlement)
                _log.warning(
                    "shutdown",
                    "an agent outcome is dropped: the run ended after its AgentOutcomeSpanProcessor was shut down. "
                    "Shut its tracer provider down last. Where a framework makes a provider for each session, "
                    "add a new processor to each.",
                )
            else:
                self._sink.emit(settlement)

    def _claim(self, context: SpanContext) -> bool:
        owner = CLAIMS.claim(context, self)
        if owner is self:
            return True
        if owner is not None:
            self._disable()
        return False

    def _look_for_another(self, context: SpanContext) -> None:
        # At the first span: of two that start together one claims it, and one that came before follows it already.
        is_first = FIRST_SPANS.claim(context, self) is self
        others = [other for other in list(PROCESSORS) if other is not self]
        if not is_first or any(other._has_started and other._holds(context) for other in others):  # noqa: SLF001 - ours
            self._disable()
        self._has_started = True

    def _holds(self, context: SpanContext) -> bool:
        return not self._disabled and self._tracker.holds(context)

    def _disable(self) -> None:
        self._disabled = True
        _log.warning(
            "second_processor",
            "a second AgentOutcomeSpanProcessor sees the same spans and has disabled itself; add it only once "
            "per tracer provider (install() counts, too)",
        )

    def _is_run(self, span: ReadableSpan) -> bool | None:
        try:
            return self._user_is_run(span) if self._user_is_run is not None else None
        except Exception as error:  # noqa: BLE001 - the user's function must not cost them the outcome
            self._failed(error)
            return None

    def _price_of(self, call: ModelCall) -> object:
        try:
            return self._prices(call) if self._prices is not None else None
        except Exception as error:  # noqa: BLE001 - the prices must not cost the application its run
            self._count_error(error)
            name = type(error).__qualname__
            _log.warning("prices", "the prices of %r raised %s; that run's cost is incomplete", call.model, name)
            return None

    def _note_problem(self, kind: ProblemKind) -> None:
        self._sink.post_health([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_PROBLEMS, (kind.value,), 1)])
        brief = semconv.PROBLEM_BRIEFS[kind]
        _log.warning(f"problem_{kind.value}", "an agent outcome was not taken (%s): %s", kind.value, brief)

    def _report_evictions(self) -> None:
        count = self._tracker.evicted_count
        new, self._evicted_reported = count - self._evicted_reported, count
        self._sink.post_health([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_SPANS_EVICTED, (), new)])
        _log.warning("evicted", "too many open spans; the oldest are no longer followed. Are spans never ended?")

    def _failed(self, error: BaseException) -> None:
        name = type(error).__qualname__
        _log.warning(f"failed_{name}", "agent outcomes: a span was not taken into account: %s", name)
        self._count_error(error)

    def _count_error(self, error: BaseException) -> None:
        name = type(error).__qualname__
        with contextlib.suppress(Exception):  # counting our failure failed; the log line has to do
            self._sink.post_health([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_ERRORS, (name,), 1)])


def _finder(given: P | Callable[[], P | None] | None, find_global: Callable[[], P | None]) -> Callable[[], P | None]:
    if given is None:
        return find_global
    if callable(given):
        return given  # pyright: ignore[reportReturnType]  # it cannot tell a callable provider from a function
    provider = given
    return lambda: provider


def _settle_waiting(reference: weakref.ref[AgentOutcomeSpanProcessor]) -> None:
    processor = reference()
    if processor is not None:
        processor.settle_waiting()


def _after_fork_in_child() -> None:
    for processor in list(PROCESSORS):
        processor.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
