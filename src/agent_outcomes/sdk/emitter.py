# SPDX-License-Identifier: Apache-2.0
"""From a settlement to the application's own logger and meter provider, on the thread on which the run ended.

Providers are looked up when first needed, so that the order of set-up does not matter. Nothing is dropped in
silence: every drop is counted by reason, and a missing provider is named once with the fix.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.trace import SpanContext, TraceFlags

from agent_outcomes import semconv
from agent_outcomes._version import __version__
from agent_outcomes.foreign_exceptions import Guard, class_name, is_theirs
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.evaluations import evaluation_events
from agent_outcomes.record.fitting import fit
from agent_outcomes.record.handoffs import handoff_event
from agent_outcomes.record.hiding import without_texts
from agent_outcomes.record.pauses import used_part_of
from agent_outcomes.record.record import record
from agent_outcomes.record.totals import Postings, Totals
from agent_outcomes.sdk.handover import note_event
from agent_outcomes.sdk.health import EVENT_HANDED_OVER, dropped, problem_postings, warn_of_mistakes
from agent_outcomes.sdk.metrics import export_of
from agent_outcomes.sdk.private_api import (
    SEVERITY_NUMBERS,
    ProviderLimits,
    are_logs_shut_down,
    are_metrics_shut_down,
    exports_logs,
    is_working,
    log_limits,
    run_context,
    working_log_processor,
)
from agent_outcomes.semconv import EVENT_NAME, SCOPE_NAME, DropReason, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.record.record import Event, PlainPosting, Record
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.sdk.handover import Handover
    from agent_outcomes.sdk.metrics import MetricExport
    from agent_outcomes.settings import Settings

StartT = TypeVar("StartT")

_log: Final = LimitedLog(logging.getLogger(__name__))


class OutcomeEmitter:
    """Emits the event, posts to the totals of the meter provider, and puts the duration down beside them."""

    uses_providers: Final = True

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
        self._logger: Logger | None = None
        self._logger_provider: LoggerProvider | None = None
        # One that was at work when last looked at: as long as it is, nothing that is emitted is lost.
        self._log_processor: object = None
        self._meter_provider: MeterProvider | None = None
        self._log_limits = ProviderLimits()
        self._export: MetricExport | None = None
        # What is counted about ourselves before there is a meter provider to read it.
        self._early_health = Totals()
        self._provider_guard = Guard(self._provider_raised)

    def deliver(self, handover: Handover) -> None:
        """Hand over one revision of an outcome, or go on with that where an interruption left off.

        Never raises but what only passes through. What could not be handed over is counted by reason; so is what was
        interrupted while it was, as nobody knows whether it has arrived.
        """
        made = handover.made
        if made is None:
            settlement = handover.settlement
            is_plain = settlement.revision == 0 and not self._hidden
            made = record(settlement.run, settlement.outcome) if is_plain else self._record(settlement)
            # Nothing else counts as done before `made` is there.
            if settlement.handoffs or self._settings.evaluation_result:
                handover.events = (made.event, *self._further_events(made.event, settlement))
            else:
                handover.events = (made.event,)
            handover.made = made
        while handover.next_event < len(handover.events):
            self._deliver_event(handover, handover.events[handover.next_event])
        if self._settings.outcome_span and not handover.is_span_made:
            from agent_outcomes.sdk.outcome_spans import emit_span  # noqa: PLC0415 - few make any

            handover.is_span_made = True
            handover.health = (*handover.health, *emit_span(self._tracer_provider, made.event, handover.context))
        if handover.postings is None:
            handover.postings = self._postings_of(handover, made)
        self._emit_metrics(handover, made, handover.postings)

    def pause(self, handover: Handover) -> None:
        """Post what a run has used that waits for a human, as `deliver` does.

        Its event, and all other postings, are counted as dropped, as it has no outcome yet; agents below it that have
        ended are handed over as handoffs.
        """
        if handover.made is None:
            settlement = handover.settlement
            whole = record(settlement.run, settlement.outcome)
            made = used_part_of(whole)
            lost = dropped(DropReason.PAUSED, Signal.METRIC, len(whole.postings) - len(made.postings))
            handover.events = [handoff_event(settlement.run, handoff) for handoff in settlement.handoffs]
            handover.health = [dropped(DropReason.PAUSED, Signal.EVENT, 1), lost]
            handover.is_span_made = True
            handover.made = made
        self.deliver(handover)

    def _record(self, settlement: Settlement) -> Record:
        outcome = settlement.outcome
        if self._hidden:
            outcome = without_texts(outcome, self._hidden)
        if settlement.revision == 0:
            return record(settlement.run, outcome)
        return record(
            settlement.run,
            outcome,
            settlement.revision,
            previous=settlement.previous,
            reported_at_ns=time.time_ns(),
        )

    def _deliver_event(self, handover: Handover, event: Event) -> None:
        if handover.is_handing:
            health: list[PlainPosting] = [dropped(DropReason.INTERRUPTED, Signal.EVENT, 1)]
        else:
            context = handover.context if event.name == EVENT_NAME else run_context(_span_context(event))
            handover.is_handing = True
            health = self._emit_event(event, context)
        note_event(handover, [*handover.health, *health] if handover.health else health)

    def _postings_of(self, handover: Handover, made: Record) -> Postings:
        settlement, health = handover.settlement, handover.health
        outcome = settlement.outcome
        if settlement.handoffs_lost:
            health = [*health, dropped(DropReason.LIMIT, Signal.EVENT, settlement.handoffs_lost)]
        if outcome.problems:
            health = [*health, *problem_postings(outcome.problems)]
            warn_of_mistakes(_log, settlement.run.agent_name, outcome.problems)
        if self._export is None and self._find_export() is None:
            return Postings([*health, dropped(DropReason.NO_PROVIDER, Signal.METRIC, len(made.postings))])
        if are_metrics_shut_down(self._meter_provider):
            handover.is_too_late = True
            _log.warning(
                "meter_provider_shut_down",
                "agent outcome metrics are dropped: the meter provider was shut down. Shut it down last.",
            )
            return Postings([*health, dropped(DropReason.SHUTDOWN, Signal.METRIC, len(made.postings))])
        return Postings([*made.postings, *health])

    def prepare(self) -> None:
        """Look the providers up now, and not first when there is something to emit."""
        self._find_logger()
        self._find_export()

    def prepare_metrics(self) -> None:
        """Look the meter provider up now: what is counted about ourselves is to be read."""
        self._find_export()

    def drop(self, reason: DropReason, handover: Handover) -> None:
        """Count a settlement that is not emitted at all."""
        settlement = handover.settlement
        if handover.postings is None:
            made = record(settlement.run, settlement.outcome, settlement.revision, previous=settlement.previous)
            lost = [dropped(reason, Signal.EVENT, 1), dropped(reason, Signal.METRIC, len(made.postings))]
            handover.postings = Postings(lost)
        self._find_export()
        self.health_totals().post_once(handover.postings)

    def give_up(self, handover: Handover) -> None:
        """Count as failed what a failure of ours has kept from being emitted."""
        if handover.next_event == 0 and not handover.is_handing:
            self.drop(DropReason.ERROR, handover)
        else:
            if handover.postings is None:
                postings = handover.made.postings if handover.made is not None else ()
                lost = dropped(DropReason.ERROR, Signal.METRIC, len(postings))
                held = [dropped(DropReason.ERROR, Signal.EVENT, 1)] if handover.next_event == 0 else []
                handover.postings = Postings([*handover.health, *held, lost])
            self.health_totals().post_once(handover.postings)

    def post_health(self, postings: Sequence[PlainPosting]) -> None:
        """Add to the counters about ourselves; never waits."""
        self.health_totals().post(postings)

    def health_totals(self) -> Totals:
        """Where the counters about ourselves stand: the meter provider's totals as soon as it has been needed."""
        export = self._export
        return self._early_health if export is None else export.totals

    def noting_resources(self, start: StartT) -> StartT:
        """`start` itself: providers have a resource of their own."""
        return start

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - as of a ledger
        """True: what was handed over is with its provider, and flushed there."""
        return True

    def shutdown(self) -> None:
        """Nothing is kept here that would have to be ended."""

    @property
    def find_logger_provider(self) -> Callable[[], LoggerProvider | None]:
        """What looks up the provider of the logger that events go to."""
        return self._find_logger_provider

    @property
    def find_meter_provider(self) -> Callable[[], MeterProvider | None]:
        """What looks up the provider of the meter that metrics go to."""
        return self._find_meter_provider

    def after_fork_in_child(self) -> None:
        """Forget what the parent will report."""
        self._early_health.restart()

    def _further_events(self, event: Event, settlement: Settlement) -> list[Event]:
        events = [handoff_event(settlement.run, handoff) for handoff in settlement.handoffs]
        if self._settings.evaluation_result:
            outcome = settlement.outcome
            if self._hidden:
                outcome = without_texts(outcome, self._hidden)
            events += evaluation_events(event, outcome, settlement.revision)
        return events

    def _emit_event(self, event: Event, context: Context) -> list[PlainPosting]:
        logger = self._find_logger() if self._logger is None else self._logger
        if logger is None:
            _warn_of_no_logger_provider()
            return [dropped(DropReason.NO_PROVIDER, Signal.EVENT, 1)]
        lost_for = None if is_working(self._log_processor) else self._why_logs_are_lost()
        if lost_for is not None:
            return [dropped(lost_for, Signal.EVENT, 1)]
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
        except Exception as error:  # of a log processor or exporter; written out, as a guard costs 1 % of an emission
            if is_theirs(error):
                raise
            _log.warning("logger_raised", "an agent outcome event was dropped: the logger raised %r", error)
            return [dropped(DropReason.ERROR, Signal.EVENT, 1)]
        if event.name != EVENT_NAME:
            return []
        return [EVENT_HANDED_OVER, *problem_postings(problems)] if problems else [EVENT_HANDED_OVER]

    def _why_logs_are_lost(self) -> DropReason | None:
        """Why what is emitted there would go nowhere, which is said in the log; `None` if it would not."""
        provider = self._logger_provider
        self._log_processor = working_log_processor(provider)
        if self._log_processor is not None:
            return None
        if are_logs_shut_down(provider):
            _log.warning(
                "logger_provider_shut_down",
                "agent outcome events are dropped: the logger provider was shut down. Shut it down last.",
            )
            return DropReason.SHUTDOWN
        if not exports_logs(provider):
            # Who has switched events off needs no advice.
            if os.environ.get("OTEL_LOGS_EXPORTER", "").strip().lower() != "none":
                _log.warning(
                    "no_log_processor",
                    "agent outcome events are dropped: the logger provider has no log record processor. Add one with "
                    "add_log_record_processor(...), or use agent_outcomes.install().",
                )
            return DropReason.NO_PROVIDER
        return None

    def _emit_metrics(self, handover: Handover, made: Record, postings: Postings) -> None:
        export = self._find_export() if self._export is None else self._export
        if export is None:
            _log.warning(
                "no_meter_provider",
                "agent outcome metrics are dropped: no meter provider is set. "
                "Call opentelemetry.metrics.set_meter_provider(...), pass meter_provider= to "
                "AgentOutcomeSpanProcessor, or use agent_outcomes.install().",
            )
            self._early_health.post_once(postings)
            return
        export.post_once(postings)
        if made.duration_s is not None and not handover.is_too_late:
            export.durations.put_down(handover, (made.duration_s, made.duration_labels, handover.context))

    def _find_logger(self) -> Logger | None:
        if self._logger is None:
            with self._provider_guard:
                provider = self._find_logger_provider()
                if provider is not None:
                    logger = provider.get_logger(SCOPE_NAME, __version__)
                    self._log_limits = log_limits(logger)
                    self._logger_provider = provider
                    self._logger = logger
        return self._logger

    def _find_export(self) -> MetricExport | None:
        if self._export is None:
            with self._provider_guard:
                provider = self._find_meter_provider()
                if provider is not None:
                    self._meter_provider = provider
                    self._take_over_health(export_of(provider, self._settings))
        return self._export

    def _provider_raised(self, error: BaseException) -> None:
        name = class_name(type(error))
        _log.warning(f"provider_{name}", "no provider could be found for agent outcomes: it raised %s", name)
        self.post_health([(semconv.AGENT_OUTCOMES_PROCESSOR_ERRORS, (name,), 1)])

    def _take_over_health(self, export: MetricExport) -> None:
        """What was counted before is counted there from now on, once."""
        while self._export is None:
            early = self._early_health
            self._take_export(export, early, early.all_of(semconv.HEALTH_COUNTERS), Totals())

    def _take_export(self, export: MetricExport, early: Totals, counted: Postings, fresh: Totals) -> None:
        # A move, as of `moves`, unless more has been counted meanwhile.
        if self._export is None and self._early_health is early and not early.posted:
            self._export = export
            self._early_health = fresh
            counted.is_posted = True
            export.totals.posted.append(counted.postings)


def _warn_of_no_logger_provider() -> None:
    _log.warning(
        "no_logger_provider",
        "agent outcome events are dropped: no logger provider is set. "
        "Call opentelemetry._logs.set_logger_provider(...), pass logger_provider= to "
        "AgentOutcomeSpanProcessor, or use agent_outcomes.install().",
    )


def _span_context(event: Event) -> SpanContext:
    return SpanContext(event.trace_id, event.span_id, is_remote=False, trace_flags=TraceFlags(event.trace_flags))
