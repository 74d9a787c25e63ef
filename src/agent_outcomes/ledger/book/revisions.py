# SPDX-License-Identifier: Apache-2.0
"""From a run and what is reported of it to the next revision: its event, its postings, its content and its digest.

Pure and deterministic. A correction reverses the outcome that stood and enters the new one; a late cost only adds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.content import Content, encode_content
from agent_outcomes.ledger.book.digests import revision_digest
from agent_outcomes.ledger.book.fitting import fitted
from agent_outcomes.ledger.book.policy import RULINGS, differing_fields, situation_of
from agent_outcomes.ledger.book.refusals import RefusalCode, Report, ReportState
from agent_outcomes.outcome.amounts import EXACT, forms_of
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.model import business_fields
from agent_outcomes.record.pauses import used_part_of
from agent_outcomes.record.record import Event, Record, record
from agent_outcomes.run.model import Cost, CostPart, Run
from agent_outcomes.semconv import (
    AGENT_OUTCOME_COST_METRIC,
    AGENT_RUN_COST,
    Change,
    CostKind,
    CostSource,
    ProblemKind,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from agent_outcomes.ledger.book.accepted import Acceptance, LaterRevision
    from agent_outcomes.ledger.book.policy import Policy
    from agent_outcomes.ledger.book.reports import LateCost, LateReport
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue, PlainPosting

_NS: Final = 1_000_000_000
_COSTS: Final = (AGENT_RUN_COST, AGENT_OUTCOME_COST_METRIC)


class StandingRun(NamedTuple):
    """What stands of a run: its last revision, with every late cost so far in `run.cost`."""

    run: Run
    outcome: Outcome
    revision: int
    digest: bytes


class NewRevision(NamedTuple):
    """A revision to store and to deliver. `content` is what is stored of it and digested; `change` is `None` for 0."""

    revision: int
    change: Change | None
    run: Run
    outcome: Outcome
    record: Record
    content: bytes
    digest: bytes

    @property
    def standing(self) -> StandingRun:
        """What stands of the run from now on."""
        return StandingRun(self.run, self.outcome, self.revision, self.digest)

    @property
    def report(self) -> Report:
        """The answer to the report that made it."""
        return Report(ReportState.RECORDED, self.run.id, self.revision, self.outcome.problems)


class _Said(NamedTuple):
    """Who reported, why and when."""

    at_ns: int
    reported_by: str | None = None
    reason: str | None = None


def first_revision(acceptance: Acceptance) -> NewRevision:
    """Revision 0 of a run that has ended: the same event and postings as without a ledger.

    Of a paused run only what it used is posted. An event over 64 KiB loses texts, each listed as a problem. A run that
    is first told of by a later revision begins with that one, and posts all that it comes to by then.
    """
    run, outcome, made = acceptance.run, acceptance.outcome, acceptance.record
    whole = fitted(run, outcome)
    if (later := acceptance.later) is not None:
        made = record(run, whole)
        said = (later.reported_ns, later.reported_by, later.reason)
        return _new(Content(run, whole, later.revision, later.change, *said, made.postings), made, None)
    if whole is not outcome:
        made = record(run, whole)
    if acceptance.paused:
        made = used_part_of(made)
    return _new(Content(run, whole, 0, None, run.end_ns, None, None, made.postings), made, None)


def judge(
    report: LateReport, standing: StandingRun, policy: Policy, reported_at_ns: int, *, is_overtaken: bool = False
) -> NewRevision | Report:
    """What a report makes of what stands: a new revision, or the answer that it is unchanged.

    `is_overtaken` says that what stands is what the run itself has stated at its end, after the report was made.
    Raises `ReportRefused` with NOT_ALLOWED, STALE_REVISION or OUTCOME_CONFLICT.
    """
    if not report.reporter.may_speak_for(standing.run.agent_name):
        raise refusals.not_allowed()
    if report.if_revision is not None and report.if_revision != standing.revision:
        raise refusals.stale_revision()
    wanted = _wanted(report, standing.outcome)
    entitled = report.reporter.may_correct and report.reason is not None
    said = _Said(reported_at_ns, report.reporter.name or None, report.reason)
    return _judged(wanted, standing, policy, said, entitled=entitled, is_overtaken=is_overtaken)


def judge_revised(revised: Outcome, standing: StandingRun, policy: Policy, reported_at_ns: int) -> NewRevision | Report:
    """The same of an outcome that the run's own process has stated once more.

    Raises `ReportRefused` with OUTCOME_CONFLICT where the policy is `immutable` and another result stands.
    """
    return _judged(revised, standing, policy, _Said(reported_at_ns), entitled=False)


def told_revision(acceptance: Acceptance, later: LaterRevision, standing: StandingRun) -> NewRevision:
    """The revision that a run's own process tells of: its number is its own, and it posts what differs from what stood.

    Revisions between that were not told of are bridged. What is told of the run is its further cost; else its facts
    are those that stand.
    """
    growth = tuple(_growth(standing.run.cost, acceptance.run.cost, later.cost_kind or CostKind.OTHER))
    cost = standing.run.cost
    for part in growth:
        cost = _added(cost, part)
    run = _with_cost(standing.run, cost)
    outcome = fitted(run, _with_business_of(acceptance.outcome, standing.outcome))
    postings: tuple[PlainPosting, ...] = ()
    if not outcome.same_business(standing.outcome):
        reversing = standing.outcome if standing.outcome.state is State.REPORTED else None
        made = record(standing.run, outcome, later.revision, previous=reversing, reported_at_ns=later.reported_ns)
        postings = made.postings
    if growth:
        postings += _cost_postings(run, Cost(growth), outcome)
    said = (later.reported_ns, later.reported_by, later.reason)
    content = Content(run, outcome, later.revision, later.change, *said, postings)
    whole = record(run, outcome, later.revision, reported_at_ns=later.reported_ns)
    return _new(content, Record(whole.event, postings, None, whole.duration_labels), standing.digest)


def add_cost(cost: LateCost, standing: StandingRun, reported_at_ns: int) -> NewRevision:
    """The revision that adds a late cost: to what the run cost and, where an outcome is reported, to that outcome.

    Its event shows the new total. Raises `ReportRefused` with NOT_ALLOWED.
    """
    if not cost.reporter.may_speak_for(standing.run.agent_name):
        raise refusals.not_allowed()
    part = CostPart(cost.kind, cost.currency, cost.amount)
    run = _with_cost(standing.run, _added(standing.run.cost, part))
    outcome = fitted(run, replace(standing.outcome, problems=(), refused=()))
    revision = standing.revision + 1
    whole = record(run, outcome, revision, reported_at_ns=reported_at_ns)
    postings = _cost_postings(run, Cost((part,)), outcome)
    said = _Said(reported_at_ns, cost.reporter.name or None, cost.reason)
    made = Record(_told(whole.event, run, said, _added_by(cost)), postings, None, whole.duration_labels)
    return _new(Content(run, outcome, revision, Change.COST, *said, postings), made, standing.digest)


def _added_by(cost: LateCost) -> dict[str, AttributeValue]:
    number, is_exact, text = forms_of(cost.amount)
    added: dict[str, AttributeValue] = {semconv.AGENT_COST_KIND: cost.kind.value}
    if not is_exact:
        added[semconv.AGENT_COST_AMOUNT_DECIMAL] = text
    added[semconv.AGENT_COST_CURRENCY] = cost.currency
    added[semconv.AGENT_COST_AMOUNT] = number
    added[semconv.AGENT_OUTCOME_CHANGE] = Change.COST.value
    return added


def _judged(
    wanted: Outcome,
    standing: StandingRun,
    policy: Policy,
    said: _Said,
    *,
    entitled: bool,
    is_overtaken: bool = False,
) -> NewRevision | Report:
    situation = situation_of(standing.outcome, wanted, entitled=entitled, is_overtaken=is_overtaken)
    ruling = RULINGS[situation][policy]
    if isinstance(ruling, RefusalCode):
        raise refusals.conflict(differing_fields(standing.outcome, wanted))
    if isinstance(ruling, ReportState):
        return Report(ruling, standing.run.id, standing.revision, wanted.problems)
    run, revision = standing.run, standing.revision + 1
    outcome = fitted(run, wanted)
    made = record(run, outcome, revision, previous=standing.outcome, reported_at_ns=said.at_ns)
    told = Record(_told(made.event, run, said), made.postings, None, made.duration_labels)
    return _new(Content(run, outcome, revision, ruling, *said, made.postings), told, standing.digest)


def _wanted(report: LateReport, standing: Outcome) -> Outcome:
    """The outcome as the report has it: its whole business result, whereas a text that it does not state is kept."""
    statement = report.statement
    stated = None if statement.status is None else statement.status.status
    is_other = stated not in (None, standing.status)
    conflicts = (Problem(ProblemKind.STATUS_CONFLICT, semconv.AGENT_OUTCOME_STATUS),) if is_other else ()
    fields = business_fields(statement)
    if fields["metadata"] is None:
        fields["metadata"] = standing.metadata
    if fields["message"] is None:
        fields["message"] = standing.message
    return replace(standing, **fields, problems=(*statement.problems, *conflicts), refused=statement.refused)


def _new(stored: Content, made: Record, previous: bytes | None) -> NewRevision:
    content = encode_content(stored)
    digest = revision_digest(content, previous)
    return NewRevision(stored.revision, stored.change, stored.run, stored.outcome, made, content, digest)


def _told(event: Event, run: Run, said: _Said, added: Mapping[str, AttributeValue] | None = None) -> Event:
    """The event with who reported, why and how late at its begin: over its limits a log record loses what comes first.

    `added` is what a late cost has added.
    """
    told: dict[str, AttributeValue | None] = {
        semconv.AGENT_OUTCOME_REASON: said.reason,
        semconv.AGENT_OUTCOME_REPORTED_BY: said.reported_by,
        semconv.AGENT_OUTCOME_DELAY: max(0, said.at_ns - run.end_ns) / _NS,
        **(added or {}),
    }
    attributes = {key: value for key, value in told.items() if value is not None} | event.attributes
    return Event(
        event.trace_id,
        event.span_id,
        event.trace_flags,
        event.timestamp_ns,
        event.severity,
        event.body,
        attributes,
        event.name,
    )


def _cost_postings(run: Run, added: Cost, outcome: Outcome) -> tuple[PlainPosting, ...]:
    """Labelled as the whole cost would be, but for these amounts alone."""
    alone = record(_with_cost(run, added), outcome)
    return tuple(posting for posting in alone.postings if posting[0] in _COSTS)


def _growth(before: Cost, after: Cost, kind: CostKind) -> Iterator[CostPart]:
    """What a cost has grown by in each currency: an event does not tell the kind of every part."""
    stood = before.by_currency()
    for currency, amount in after.by_currency().items():
        grown = EXACT.subtract(amount, stood.get(currency, 0))
        if grown > 0:
            yield CostPart(kind, currency, grown)


def _with_business_of(told: Outcome, standing: Outcome) -> Outcome:
    """How the run executed as it stands, with the business result that was told."""
    return replace(
        standing,
        type=told.type,
        business_success=told.business_success,
        label=told.label,
        value=told.value,
        currency=told.currency,
        message=told.message,
        metadata=told.metadata,
        problems=told.problems,
        refused=told.refused,
    )


def _added(cost: Cost, part: CostPart) -> Cost:
    """The cost with one part more; what was complete stays so, as this is not what was missing."""
    amounts: dict[tuple[CostKind, str], Decimal] = {}
    for kind, currency, amount in (*cost.parts, part):
        before = amounts.get((kind, currency))
        amounts[kind, currency] = amount if before is None else EXACT.add(before, amount)
    parts = tuple(CostPart(kind, currency, amount) for (kind, currency), amount in amounts.items())
    complete = True if cost.complete is None else cost.complete
    return Cost(parts, cost.source or CostSource.REPORTED, complete)


def _with_cost(run: Run, cost: Cost) -> Run:
    fields = {name: getattr(run, name) for name in Run.__slots__}
    return Run(**{**fields, "cost": cost})
