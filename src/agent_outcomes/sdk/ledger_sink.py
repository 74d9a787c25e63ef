# SPDX-License-Identifier: Apache-2.0
"""From a settlement to a ledger, which keeps it and delivers it: nothing goes to the application's own providers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.waiting import DROPPED, Submission
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.pauses import used_part_of
from agent_outcomes.record.record import record
from agent_outcomes.record.totals import Postings, Totals
from agent_outcomes.sdk.acceptances import acceptance_of
from agent_outcomes.sdk.health import EVENT_HANDED_OVER, dropped, problem_postings, warn_of_mistakes
from agent_outcomes.sdk.ledger_connection import connection_to
from agent_outcomes.sdk.outcome_spans import emit_span
from agent_outcomes.sdk.resources import TraceResources
from agent_outcomes.semconv import DropReason, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
    from agent_outcomes.record.record import PlainPosting
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.sdk.handover import Handover
    from agent_outcomes.sdk.ledger_connection import LedgerConnection
    from agent_outcomes.settings import Settings

LEDGER_SHUTDOWN_S: Final = 4.0
"""With what the interpreter itself takes to end, less than the five seconds of many a supervisor."""

_log: Final = LimitedLog(logging.getLogger(__name__))


class LedgerSink:
    """Has the ledger accept each settlement; what it holds is delivered by it. Does what `OutcomeEmitter` does.

    Raises `SettingsError` where the ledger cannot be opened; a database that is away is waited for.
    """

    uses_providers: Final = False

    def __init__(self, settings: Settings, ledger: str, tracer_provider: TracerProvider | None = None) -> None:
        self._settings = settings
        self._hidden = settings.hidden
        self._tracer_provider = tracer_provider
        self._resources = TraceResources(tracer_provider)
        self._connection = connection_to(ledger, settings)
        # Those whose handing over was interrupted are gone on with under the same submission.
        self._under_way: dict[Handover, Submission] = {}
        self._health = Totals()
        self._connection.add(self)

    @property
    def connection(self) -> LedgerConnection:
        """What commits to the ledger and delivers from it."""
        return self._connection

    def noting_resources(self, start: Callable[[ReadableSpan], int]) -> Callable[[ReadableSpan], int]:
        """`start`, which is called for every span that starts, taking note of whose spans they are first."""
        return self._resources.noting(start)

    def deliver(self, handover: Handover) -> None:
        """Have one revision of an outcome accepted, or go on with that where an interruption left off.

        Never raises but what only passes through; what could not be kept is counted by reason.
        """
        submission = self._under_way.get(handover)
        if submission is None:
            submission = Submission(self._acceptance_of(handover.settlement))
            self._under_way[handover] = submission
        self._connection.writer.submit(submission)
        if self._settings.outcome_span and not handover.is_span_made:
            handover.is_span_made = True
            # Those of later revisions are made where the revision is: it may be another one than is thought here.
            if submission.acceptance.revised is None and not submission.acceptance.paused:
                event = submission.acceptance.record.event
                handover.health = (*handover.health, *emit_span(self._tracer_provider, event, handover.context))
        if handover.postings is None:
            handover.postings = Postings(self._health_of(handover, submission))
        self._health.post_once(handover.postings)
        self._under_way.pop(handover, None)

    def pause(self, handover: Handover) -> None:
        """Have the ledger post what a run has used that waits for a human, as `deliver` does."""
        self.deliver(handover)

    def drop(self, reason: DropReason, handover: Handover) -> None:
        """Count a settlement that is not accepted at all."""
        settlement = handover.settlement
        if handover.postings is None:
            made = record(settlement.run, settlement.outcome, settlement.revision, previous=settlement.previous)
            handover.postings = Postings(_lost(reason, len(made.postings)))
        self._health.post_once(handover.postings)

    def give_up(self, handover: Handover) -> None:
        """Count as failed what a failure of ours has kept from being accepted."""
        self._under_way.pop(handover, None)
        self.drop(DropReason.ERROR, handover)

    def prepare(self) -> None:
        """Nothing has to be looked up: the ledger is open, or is waited for."""

    def prepare_metrics(self) -> None:
        """Nothing has to be looked up: what is counted about ourselves is posted to the ledger."""

    def post_health(self, postings: Sequence[PlainPosting]) -> None:
        """Add to the counters about ourselves; never waits."""
        self._health.post(postings)

    def health_totals(self) -> Totals:
        """Where the counters about ourselves stand in this process."""
        return self._health

    def flush(self, timeout_s: float) -> bool:
        """Whether all that was accepted by now has been delivered within the time. Never raises."""
        return self._connection.flush(timeout_s)

    def shutdown(self) -> None:
        """Commit what waits and deliver what can be in `LEDGER_SHUTDOWN_S`; the rest stays in the ledger. Never raises.

        What is handed over afterwards is committed on the thread that comes with it.
        """
        self._connection.release(self, LEDGER_SHUTDOWN_S)

    def facts(self) -> ResourceFacts:
        """Whose counters about ourselves these are."""
        return self._resources.facts_of(0)

    def after_fork_in_child(self) -> None:
        """Forget what the parent goes on with."""
        self._under_way = {}
        self._health.restart()

    def _acceptance_of(self, settlement: Settlement) -> Acceptance:
        resource = self._resources.facts_of(settlement.run.trace_id)
        return acceptance_of(settlement, resource, hidden=self._hidden, evaluates=self._settings.evaluation_result)

    def _health_of(self, handover: Handover, submission: Submission) -> list[PlainPosting]:
        settlement, acceptance = handover.settlement, submission.acceptance
        health = [*handover.health]
        postings = acceptance.record.postings
        if submission.place == DROPPED:
            health += _lost(DropReason.ERROR, len(postings))
        elif settlement.paused:
            unused = len(postings) - len(used_part_of(acceptance.record).postings)
            health += _lost(DropReason.PAUSED, unused)
        else:
            health.append(EVENT_HANDED_OVER)
        if settlement.handoffs_lost:
            health.append(dropped(DropReason.LIMIT, Signal.EVENT, settlement.handoffs_lost))
        problems = settlement.outcome.problems
        if problems:
            health += problem_postings(problems)
            warn_of_mistakes(_log, settlement.run.agent_name, problems)
        return health


def _lost(reason: DropReason, metrics: int) -> list[PlainPosting]:
    return [dropped(reason, Signal.EVENT, 1), dropped(reason, Signal.METRIC, metrics)]
