# SPDX-License-Identifier: Apache-2.0
"""`AgentOutcomeSpanProcessor`: the edge between the SDK's span callbacks and everything pure.

Every callback runs on the application's thread, so each catches at its outermost edge, counts, and logs at most
once a minute. An exception here would replace the application's own (opentelemetry-python#5624).
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, Unpack

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from agent_outcomes.foreign_exceptions import Guard, is_theirs, is_theirs_in_given
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.pauses import settlement_for
from agent_outcomes.run.evidence import infer
from agent_outcomes.run.normalize import Below, normalize
from agent_outcomes.sdk import setup
from agent_outcomes.sdk.duplicates import CLAIMS, FIRST_SPANS
from agent_outcomes.sdk.emission import Emission
from agent_outcomes.sdk.health import Mishaps
from agent_outcomes.sdk.metrics import BEFORE_COLLECTION
from agent_outcomes.sdk.private_api import global_logger_provider, global_meter_provider
from agent_outcomes.sdk.processors import Processors
from agent_outcomes.sdk.span_callbacks import ORPHAN, SpanCallbacks
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.sdk.stale_sweep import StaleSweep
from agent_outcomes.semconv import DropReason
from agent_outcomes.settings import read_settings
from agent_outcomes.spans.tracker import RunTracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import Span
    from opentelemetry.trace import SpanContext, TracerProvider

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.sdk.handover import Handover
    from agent_outcomes.sdk.setup import Sink
    from agent_outcomes.sdk.span_reader import IsRun
    from agent_outcomes.semconv import ProblemKind
    from agent_outcomes.settings_arguments import SettingsArguments
    from agent_outcomes.spans.facts import SpanFacts

S = TypeVar("S")

_log: Final = LimitedLog(logging.getLogger(__name__))

PROCESSORS: Final[Processors[AgentOutcomeSpanProcessor]] = Processors()


class AgentOutcomeSpanProcessor(SpanProcessor):
    """Reads `agent.outcome.*` from agent spans and emits each run's outcome as an OTLP event and metrics.

    Add it to a tracer provider; it works without arguments. No callback ever raises: a failure of ours is counted
    in `agent_outcomes.processor.errors`. A second processor that sees the same spans disables itself with a warning.
    A run that stops to ask a human has no outcome yet; what it used is counted when it stops. A run below a span that
    may yet turn out to be an agent is held back for seconds at most, see `spans.stale`.

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
        ledger: the URL of a database that keeps every outcome, its later revisions and exact totals, and delivers them
            by OTLP (extra `ledger`): nothing goes to the two providers then.
        ledger_sync: commit a run before its span's end returns; otherwise a thread does within 50 ms.
        ledger_policy: "immutable" or "latest", whether a late report may change a result; "own", the default: the
            ledger's.
        ledger_hold_s: how many seconds a late report made in this process is held for a run that is not there yet.
        ledger_deliver: deliver from this process what the ledger holds; otherwise another one has to.
        tracer_provider: where outcome spans are made; the global one if not given.

    Raises:
        SettingsError: an argument or an `AGENT_OUTCOMES_*` variable has a value that cannot be used, or needs a
            package that is not installed.
        TypeError: there is no argument of a name that was given; the message names those there are.

    """

    def __init__(
        self,
        *,
        logger_provider: LoggerProvider | Callable[[], LoggerProvider | None] | None = None,
        meter_provider: MeterProvider | Callable[[], MeterProvider | None] | None = None,
        is_run: IsRun | None = None,
        tracer_provider: TracerProvider | None = None,
        **arguments: Unpack[SettingsArguments],
    ) -> None:
        setup.check_given(logger_provider, meter_provider, is_run, tracer_provider)
        settings = read_settings(**arguments)
        self._user_is_run = is_run
        self._sink = setup.sink_for(
            setup.finder(logger_provider, global_logger_provider),
            setup.finder(meter_provider, global_meter_provider),
            settings,
            tracer_provider,
        )
        self._mishaps = Mishaps(self._sink.post_health, lambda: self._emission.ready(self._sink.prepare_metrics))
        self._guard = Guard(self._mishaps.failed)
        self._tracker = RunTracker(
            facts_of=SpanReader,
            on_problem=self._mishaps.note_problem,
            on_wait=self._look_after_waiting,
            on_evicted=lambda: self._mishaps.note_evictions(self._tracker.evicted_count),
            verdict_of=self._verdict_of if is_run is not None else None,
            price_of=setup.prices_in(settings, self._mishaps.count_error),
            keeps_handoffs=settings.handoffs,
            keeps_ages=settings.stale_after_s > 0,
        )
        self._stale_after_s = settings.stale_after_s
        self._stale_sweep = (
            StaleSweep(settings.stale_after_s, self._settle_stale, self._has_open) if settings.stale_after_s else None
        )
        self._callbacks = SpanCallbacks(self._tracker)
        self._start = self._sink.noting_resources(self._callbacks.start)
        self._end = self._callbacks.end
        self._emission = Emission(self._deliver, self._sink.give_up, self._mishaps.failed)
        self._board = self._tracker.board
        self._claimant = object()  # what claims name as their owner, so that they keep no processor
        self._at_exit = partial(_settle_waiting, weakref.ref(self))
        self._disabled = False
        self._has_started = False
        self._has_waited = False
        # Whether a start needs more than the tracker: at the first span, and for the sweep.
        self._attends = True
        self._is_shut_down = False
        setup.warn_without_global_lock()
        PROCESSORS.add(self)

    @property
    def sink(self) -> Sink:
        """Where this processor's outcomes go."""
        return self._sink

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take note of a started span. Never raises but what only passes through."""
        if self._disabled:
            return
        try:
            # Loaded first: an attribute that is called at once is looked for among the methods.
            start = self._start
            if (started := start(span)) or self._attends:
                if started is ORPHAN:
                    self._callbacks.look_beyond(span, parent_context)
                self._attend(span)
        except BaseException as error:  # noqa: BLE001 - outermost edge: the application must not see our failure
            self._survive(error, self._resume_start, span)

    def on_end(self, span: ReadableSpan) -> None:
        """Emit the outcome of every run that has settled with this span's end. Never raises but what passes through."""
        if self._disabled:
            return
        try:
            end = self._end
            if end(span):
                if self._board.waiting_count:
                    self._tracker.settle_held()
                self._emit()
        except BaseException as error:  # noqa: BLE001 - outermost edge, as above
            self._survive(error, self._resume_end, span)

    def _survive(self, error: BaseException, resume: Callable[[S, BaseException | None], None], span: S) -> None:
        """Count a failure of ours; finish what a foreign exception has interrupted, and let that go on."""
        if not is_theirs(error):
            self._mishaps.failed(error)
            return
        with self._guard:
            resume(span, error.__context__)
        raise error

    def _resume_start(self, span: Span, _: BaseException | None) -> None:
        # The exception goes to whoever starts the span, instead of the span.
        self._tracker.forget(span.get_span_context())
        self._emit()

    def _resume_end(self, span: ReadableSpan, in_flight: BaseException | None) -> None:
        self._callbacks.resume_end(span, in_flight)
        self._emit()

    def _attend(self, span: Span) -> None:
        if self._stale_sweep is not None:
            self._stale_sweep.wake()
        if not self._has_started:
            setup.warn_beside_caller()
            self._look_for_another(span.get_span_context())
        self._attends = self._stale_sweep is not None
        if self._board.waiting_count:
            self._attends = True
            self._tracker.settle_held()
        self._emit()

    def shutdown(self) -> None:
        """Settle the runs that still wait for an outer span; later ones are counted as dropped. Never raises.

        A ledger accepts later ones, too. It delivers what it can within 5 s; the rest stays there.
        """
        if self._stale_sweep is not None:
            self._stale_sweep.stop()
            self._settle_stale()
        self.settle_waiting()
        self._is_shut_down = True
        PROCESSORS.close(self)
        atexit.unregister(self._at_exit)
        for claims in (CLAIMS, FIRST_SPANS):
            claims.release(self._claimant)
        with self._guard:
            self._sink.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Settle the runs that have waited for an outer span for too long; all else is with its provider by now.

        With a ledger: whether everything that was accepted by now has been delivered within the time. Never raises.
        """
        self.settle_held()
        with self._guard:
            return self._sink.flush(timeout_millis / 1000)
        return False

    def settle_held(self) -> None:
        """Settle the runs that have waited for an outer span for too long. Never raises but what passes through."""
        with self._guard:
            if self._board.waiting_count and not self._disabled:
                self._tracker.settle_held()
                self._emit()

    def settle_waiting(self) -> None:
        """Settle the runs that still wait for an outer span to end. Never raises but what passes through."""
        with self._guard:
            self._tracker.flush()
            self._emit()

    def _settle_stale(self) -> None:
        with self._guard:
            if not self._disabled:
                self._tracker.settle_stale(self._stale_after_s, self._emit)
                self._emit()

    def _has_open(self) -> bool:
        return self._tracker.open_count > 0 and not self._disabled

    @property
    def is_enabled(self) -> bool:
        """Whether this processor counts; `False` for the second one on the same spans and after shutdown."""
        return not (self._disabled or self._is_shut_down)

    @property
    def is_shut_down(self) -> bool:
        """Whether `shutdown()` was called: what comes since is counted as dropped."""
        return self._is_shut_down

    def find_run_span(self, context: SpanContext) -> ReadableSpan | None:
        """The open span that an outcome stated within the span `context` belongs to; `None` if no run is above it."""
        if self._disabled:
            return None
        found = self._tracker.find_run_span(context)
        return found if isinstance(found, ReadableSpan) else None

    def follows(self, context: SpanContext) -> bool:
        """Whether the span is open here."""
        return not self._disabled and self._tracker.follows(context)

    def record_unrecorded(self, span: AgentSpan, context: SpanContext) -> None:
        """Count a run whose span the sampler dropped, so that `on_end` never sees it. Never raises but what passes."""
        with self._guard:
            finding = infer(span)
            run, outcome = normalize(span, Below(is_open=True), finding)
            settlement = settlement_for(run, outcome, context, has_asked=finding.paused)
            self._tracker.board.settled[settlement] = None
            self._emit()

    def note_problem(self, kind: ProblemKind) -> None:
        """Count a problem that no event can list. Never raises but what passes through."""
        with self._guard:
            self._mishaps.note_problem(kind)

    def after_fork_in_child(self) -> None:
        """Forget the parent's open spans and counts; locks are made anew."""
        self._tracker.after_fork_in_child()
        self._emission.restart()
        self._sink.after_fork_in_child()
        if self._stale_sweep is not None:
            self._stale_sweep.after_fork_in_child()

    def _look_after_waiting(self) -> None:
        # From now on each start of a span looks whether a run has waited for too long.
        self._attends = True
        if self._has_waited:
            return
        self._has_waited = True
        # atexit runs last in, first out: registered only when a run has to wait, this comes before the shutdown of
        # providers made by then. Those that install() makes on demand are made now, as at exit it would be too late.
        self._sink.prepare()
        atexit.register(self._at_exit)

    def _emit(self) -> None:
        """Hand on all that has settled."""
        self._emission.run(self._tracker.board)

    def _deliver(self, handover: Handover) -> None:
        settlement = handover.settlement
        if settlement.revision == 0 and not handover.is_claimed and not self._claim(settlement):
            return
        handover.is_claimed = True
        if self._is_shut_down and self._sink.uses_providers:
            self._sink.drop(DropReason.SHUTDOWN, handover)
            _log.warning(
                "shutdown",
                "an agent outcome is dropped: the run ended after its AgentOutcomeSpanProcessor was shut down. "
                "Shut its tracer provider down last. Where a framework makes a provider for each session, "
                "add a new processor to each.",
            )
        elif settlement.paused:
            self._sink.pause(handover)
        else:
            self._sink.deliver(handover)

    def _claim(self, settlement: Settlement) -> bool:
        owner = CLAIMS.claim(settlement.context, self._claimant, settlement)
        if owner is self._claimant:
            return True
        if owner is not None:
            self._disable()
        return False

    def _look_for_another(self, context: SpanContext) -> None:
        # At the first span: of two that start together one claims it, and one that came before follows it already.
        is_first = FIRST_SPANS.claim(context, self._claimant) is self._claimant
        others = [other for other in PROCESSORS.open() if other is not self]
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

    def _verdict_of(self, facts: SpanFacts) -> bool | None:
        if self._user_is_run is not None and isinstance(facts, SpanReader):
            with Guard(self._mishaps.failed, is_theirs_in_given):  # the user's function must not cost them the outcome
                return self._user_is_run(facts.span)
        return None


def _settle_held() -> None:
    for processor in PROCESSORS.open():
        processor.settle_held()


def _settle_waiting(reference: weakref.ref[AgentOutcomeSpanProcessor]) -> None:
    processor = reference()
    if processor is not None:
        processor.settle_waiting()


def _after_fork_in_child() -> None:
    for processor in PROCESSORS:
        processor.after_fork_in_child()


BEFORE_COLLECTION.append(_settle_held)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
