# SPDX-License-Identifier: Apache-2.0
"""From a settlement to the application's own logger and meter provider, on the thread on which the run ended.

Providers are looked up when first needed, so that the order of set-up does not matter. Nothing is dropped in
silence: every drop is counted by reason, and a missing provider is named once with the fix.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.evaluations import evaluation_events
from agent_outcomes.fitting import fit
from agent_outcomes.handoffs import handoff_event
from agent_outcomes.hiding import without_texts
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.metrics import export_of
from agent_outcomes.otel import SCOPE_NAME, SEVERITY_NUMBERS, ProviderLimits, log_limits, run_context, span_limits
from agent_outcomes.record import Posting, record
from agent_outcomes.semconv import EVENT_NAME, DropReason, ProblemKind, Signal
from agent_outcomes.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.attribute_reader import Problem
    from agent_outcomes.config import Settings
    from agent_outcomes.metrics import MetricExport
    from agent_outcomes.model import Outcome
    from agent_outcomes.open_spans import Settlement
    from agent_outcomes.record import Event, Record

_log: Final = LimitedLog(logging.getLogger(__name__))

_UNKNOWN_WORD_KINDS: Final = frozenset(
    {
        ProblemKind.UNKNOWN_STATUS,
        ProblemKind.UNKNOWN_TYPE,
        ProblemKind.UNKNOWN_KIND,
        ProblemKind.UNKNOWN_ATTRIBUTE,
    },
)
# Mistakes in what the application states; the other kinds are a framework's or the run's own.
_STATED_WRONGLY: Final = _UNKNOWN_WORD_KINDS | {
    ProblemKind.STATUS_NOT_TERMINAL,
    ProblemKind.INVALID_AMOUNT,
    ProblemKind.INVALID_CURRENCY,
    ProblemKind.INVALID_BOOLEAN,
    ProblemKind.INVALID_TEXT,
    ProblemKind.INVALID_METADATA,
    ProblemKind.NEGATIVE_COST,
}


class OtelSink:
    """Emits the event and the duration, and posts to the totals of the meter provider."""

    def __init__(
        self,
        find_logger_provider: Callable[[], LoggerProvider | None],
        find_meter_provider: Callable[[], MeterProvider | None],
        settings: Settings,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        self._find_logger_provider = find_logger_provider
        self._find_meter_provider = find_meter_provider
        self._settings = settings
        self._hidden = settings.hidden
        self._tracer_provider = tracer_provider
        self._lock = threading.Lock()
        self._logger: Logger | None = None
        self._log_limits = ProviderLimits()
        self._export: MetricExport | None = None
        # What is counted about ourselves before there is a meter provider to read it.
        self._early_health = Totals()

    def emit(self, settlement: Settlement) -> None:
        """Emit one revision of an outcome; never raises, and counts what it could not hand over by reason."""
        outcome = settlement.outcome
        if self._hidden:
            outcome = without_texts(outcome, self._hidden)
        if settlement.revision == 0:
            made = record(settlement.run, outcome)
        else:
            made = record(
                settlement.run,
                outcome,
                settlement.revision,
                previous=settlement.previous,
                reported_at_ns=time.time_ns(),
            )
        context = run_context(settlement.context)
        health = self._emit_event(made.event, context)
        if settlement.handoffs or self._settings.evaluation_result:
            for event in self._further_events(made.event, settlement, outcome):
                health += self._emit_event(event, run_context(_span_context(event)))
        if settlement.handoffs_lost:
            health.append(_dropped(DropReason.LIMIT, Signal.EVENT, settlement.handoffs_lost))
        if self._settings.outcome_span:
            health += self._emit_span(made.event, context)
        if outcome.problems:
            health += _problem_postings(outcome.problems)
            _warn_of_mistakes(settlement.run.agent_name, outcome.problems)
        self._emit_metrics(made, context, health)

    def prepare(self) -> None:
        """Look the providers up now, and not first when there is something to emit."""
        self._find_logger()
        self._find_export()

    def drop(self, reason: DropReason, settlement: Settlement) -> None:
        """Count a settlement that is not emitted at all."""
        made = record(settlement.run, settlement.outcome, settlement.revision, previous=settlement.previous)
        self.post_health([_dropped(reason, Signal.EVENT, 1), _dropped(reason, Signal.METRIC, len(made.postings))])

    def post_health(self, postings: Sequence[Posting]) -> None:
        """Add to the counters about ourselves."""
        export = self._find_export()
        if export is None:
            with self._lock:
                export = self._export
                if export is None:
                    self._early_health.post(postings)
                    return
        export.post(postings)

    def health_totals(self) -> Totals:
        """Where the counters about ourselves stand: the meter provider's totals as soon as it has been needed."""
        export = self._export
        return self._early_health if export is None else export.totals

    def after_fork_in_child(self) -> None:
        """Forget what the parent will report; the lock may have been held."""
        self._lock = threading.Lock()
        self._early_health.restart()

    def _further_events(self, event: Event, settlement: Settlement, outcome: Outcome) -> list[Event]:
        events = [handoff_event(settlement.run, handoff) for handoff in settlement.handoffs]
        if self._settings.evaluation_result:
            events += evaluation_events(event, outcome, settlement.revision)
        return events

    def _emit_event(self, event: Event, context: Context) -> list[Posting]:
        logger = self._find_logger() if self._logger is None else self._logger
        if logger is None:
            _log.warning(
                "no_logger_provider",
                "agent outcome events are dropped: no logger provider is set. "
                "Call opentelemetry._logs.set_logger_provider(...), pass logger_provider= to "
                "AgentOutcomeSpanProcessor, or use agent_outcomes.install().",
            )
            return [_dropped(DropReason.NO_PROVIDER, Signal.EVENT, 1)]
        limits = self._log_limits
        attributes, problems = fit(event.attributes, limits.text_length_max, limits.attributes_max)
        try:
            logger.emit(
                timestamp=event.timestamp_ns,
                observed_timestamp=time.time_ns(),
                context=context,
                severity_number=SEVERITY_NUMBERS[event.severity[0]],
                severity_text=event.severity[1],
                body=event.body,
                attributes=attributes,
                event_name=event.name,
            )
        except Exception as error:  # noqa: BLE001 - a log processor or exporter of the application raised
            _log.warning("logger_raised", "an agent outcome event was dropped: the logger raised %r", error)
            return [_dropped(DropReason.ERROR, Signal.EVENT, 1)]
        if event.name != EVENT_NAME:
            return []
        return [_EVENT_HANDED_OVER, *_problem_postings(problems)] if problems else [_EVENT_HANDED_OVER]

    def _emit_metrics(self, made: Record, context: Context, health: list[Posting]) -> None:
        export = self._find_export() if self._export is None else self._export
        if export is None:
            _log.warning(
                "no_meter_provider",
                "agent outcome metrics are dropped: no meter provider is set. "
                "Call opentelemetry.metrics.set_meter_provider(...), pass meter_provider= to "
                "AgentOutcomeSpanProcessor, or use agent_outcomes.install().",
            )
            self.post_health([*health, _dropped(DropReason.NO_PROVIDER, Signal.METRIC, len(made.postings))])
            return
        export.post([*made.postings, *health])
        if made.duration_s is None:
            return
        try:
            export.record_duration(made.duration_s, made.duration_labels, context)
        except Exception as error:  # noqa: BLE001 - a view or reservoir of the application raised
            _log.warning("meter_raised", "an agent run duration was dropped: the meter raised %r", error)
            self.post_health([_dropped(DropReason.ERROR, Signal.METRIC, 1)])

    def _emit_span(self, event: Event, context: Context) -> list[Posting]:
        """Add the child span; it can only be exported with its trace, so it follows the trace's sampling."""
        try:
            tracer = trace.get_tracer(SCOPE_NAME, __version__, self._tracer_provider)
            limits = span_limits(tracer)
            attributes, _ = fit(event.attributes, limits.text_length_max, limits.attributes_max)
            span = tracer.start_span(EVENT_NAME, context, attributes=attributes, start_time=event.timestamp_ns)
            span.end(event.timestamp_ns)
        except Exception as error:  # noqa: BLE001 - a sampler, processor or exporter of the application raised
            _log.warning("tracer_raised", "an outcome span was dropped: the tracer provider raised %r", error)
            return [_dropped(DropReason.ERROR, Signal.SPAN, 1)]
        return []

    def _find_logger(self) -> Logger | None:
        if self._logger is None:
            provider = self._find_logger_provider()
            if provider is not None:
                logger = provider.get_logger(SCOPE_NAME, __version__)
                self._log_limits = log_limits(logger)
                self._logger = logger
        return self._logger

    def _find_export(self) -> MetricExport | None:
        if self._export is None:
            provider = self._find_meter_provider()
            if provider is not None:
                export = export_of(provider, self._settings)
                with self._lock:
                    early: list[Posting] = []
                    if self._export is None:
                        early = _health_postings(self._early_health)
                    self._export = export
                export.post(early)
        return self._export


_EVENT_HANDED_OVER: Final = Posting(semconv.AGENT_OUTCOMES_PROCESSOR_EVENTS, (), 1)


def _span_context(event: Event) -> SpanContext:
    return SpanContext(event.trace_id, event.span_id, is_remote=False, trace_flags=TraceFlags(event.trace_flags))


def _dropped(reason: DropReason, signal: Signal, count: int) -> Posting:
    return Posting(semconv.AGENT_OUTCOMES_PROCESSOR_DROPPED, (reason.value, signal.value), count)


def _problem_postings(problems: Sequence[Problem]) -> list[Posting]:
    kinds = [Posting(semconv.AGENT_OUTCOMES_PROCESSOR_PROBLEMS, (problem.kind.value,), 1) for problem in problems]
    words = [problem.attribute for problem in problems if problem.kind in _UNKNOWN_WORD_KINDS]
    return kinds + [Posting(semconv.AGENT_OUTCOMES_PROCESSOR_UNKNOWN_WORDS, (word,), 1) for word in words]


def _warn_of_mistakes(agent: str | None, problems: Sequence[Problem]) -> None:
    """Say once a minute and kind what was stated wrongly; the value is in the event, not in the application's log."""
    for problem in problems:
        if problem.kind in _STATED_WRONGLY:
            _log.warning(
                f"stated_{problem.kind.value}",
                "an outcome of agent %r was not taken as stated: %r. %s",
                agent,
                str(problem),
                semconv.PROBLEM_BRIEFS[problem.kind],
            )


def _health_postings(totals: Totals) -> list[Posting]:
    return [
        Posting(instrument, labels, amount)
        for instrument in semconv.HEALTH_COUNTERS
        for labels, amount in totals.sums(instrument)
    ]
