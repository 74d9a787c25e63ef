# SPDX-License-Identifier: Apache-2.0
"""`agent.outcome` events read back: the run, the outcome and the revision that each was made of, exactly.

What `record` writes is read, and nothing else: an event that says less, or contradicts itself, is refused with a reason
and never guessed at, as an amount that is wrong by a cent is worse than one that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.bounds import REVISION_MAX, TIME_MAX_NS
from agent_outcomes.gateway.signals.event_fields import EventFields, EventUnreadable, UnreadableReason
from agent_outcomes.ledger.book.accepted import Acceptance, LaterRevision
from agent_outcomes.outcome.attribute_reader import METADATA_LENGTH_MAX, Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX
from agent_outcomes.record.record import outcome_uid, plain_kind, record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import (
    Change,
    CostKind,
    CostSource,
    OutcomeType,
    ProblemKind,
    Remedy,
    Source,
    State,
    Status,
)

if TYPE_CHECKING:
    from agent_outcomes.gateway.wire.messages import WireLogRecord
    from agent_outcomes.ledger.book.accepted import ResourceFacts

_NS: Final = 1_000_000_000
_TRACE_FLAGS: Final = 0xFF
# Others follow it, made by reports, and each has a number of its own.
_REVISION_MAX: Final = REVISION_MAX // 2
_ID: Final = Pattern(r"([0-9a-f]{32})-([0-9a-f]{16})")
_PART: Final = Pattern(r"([a-z]{1,16}) ([0-9.]{1,64}) ([A-Z]{3})")
_USAGE: Final = (
    semconv.AGENT_RUN_INPUT_TOKENS,
    semconv.AGENT_RUN_OUTPUT_TOKENS,
    semconv.AGENT_RUN_CACHED_TOKENS,
    semconv.AGENT_RUN_CACHE_WRITE_TOKENS,
    semconv.AGENT_RUN_REASONING_TOKENS,
    semconv.AGENT_RUN_MODEL_CALLS,
    semconv.AGENT_RUN_TOOL_CALLS,
)
"""In the order of `Usage`'s parameters."""
# Left out of an event where its limits would have cut them; where those are so narrow, problems go without a name.
_CUT_WITH_AMOUNTS: Final = frozenset(
    {
        "",
        semconv.AGENT_OUTCOME_VALUE_DECIMAL,
        semconv.AGENT_OUTCOME_COST_DECIMAL,
        semconv.AGENT_OUTCOME_COST_BREAKDOWN,
        semconv.AGENT_COST_AMOUNT_DECIMAL,
    }
)


def read_event(event: WireLogRecord, resource: ResourceFacts) -> Acceptance:
    """The run as its own process has told it, with the revision that the event is of.

    Raises `EventUnreadable` with the reason and the attribute.
    """
    if event.dropped_attributes:
        raise EventUnreadable(UnreadableReason.CUT)
    fields = EventFields(event.attributes)
    revision = _revision(fields)
    run = _run(fields, event, revision)
    if fields.text(semconv.LOG_RECORD_UID) not in {None, outcome_uid(run, revision)}:
        raise EventUnreadable(UnreadableReason.CONTRADICTION, semconv.LOG_RECORD_UID)
    outcome = _outcome(fields)
    later = _later(fields, event.time_ns, revision) if revision else None
    return Acceptance(run, outcome, record(run, outcome), resource=resource, told=True, later=later)


def _revision(fields: EventFields) -> int:
    revision = fields.count(semconv.AGENT_OUTCOME_REVISION, _REVISION_MAX)
    if revision is None:
        raise EventUnreadable(UnreadableReason.MISSING, semconv.AGENT_OUTCOME_REVISION)
    return revision


def _later(fields: EventFields, reported_ns: int, revision: int) -> LaterRevision:
    change = fields.word(semconv.AGENT_OUTCOME_CHANGE, Change)
    if change is None:
        raise EventUnreadable(UnreadableReason.MISSING, semconv.AGENT_OUTCOME_CHANGE)
    return LaterRevision(
        revision=revision,
        change=change,
        reported_ns=reported_ns,
        reported_by=fields.text(semconv.AGENT_OUTCOME_REPORTED_BY),
        reason=fields.text(semconv.AGENT_OUTCOME_REASON, MESSAGE_LENGTH_MAX),
        cost_kind=fields.word(semconv.AGENT_COST_KIND, CostKind),
    )


def _run(fields: EventFields, event: WireLogRecord, revision: int) -> Run:
    trace_id, span_id = _ids(fields, event)
    return Run(
        trace_id=trace_id,
        span_id=span_id,
        trace_flags=event.flags & _TRACE_FLAGS,
        end_ns=_end_ns(fields, event.time_ns, revision),
        agent_name=fields.text(semconv.GEN_AI_AGENT_NAME),
        agent_id=fields.text(semconv.GEN_AI_AGENT_ID),
        conversation_id=fields.text(semconv.GEN_AI_CONVERSATION_ID),
        job_type=fields.text(semconv.AGENT_OUTCOME_JOB_TYPE),
        run_id=fields.text(semconv.AGENT_OUTCOME_RUN_ID),
        duration_s=fields.seconds(semconv.AGENT_RUN_DURATION),
        usage=Usage(*map(fields.count, _USAGE)),
        cost=_cost(fields),
        caller_id=fields.text(semconv.AGENT_HANDOFF_CALLER_ID),
    )


def _ids(fields: EventFields, event: WireLogRecord) -> tuple[int, int]:
    """Those in the outcome's id, which those of the record may be missing beside, but must not contradict."""
    text = fields.text(semconv.AGENT_OUTCOME_ID)
    found = None if text is None else _ID.fullmatch(text)
    if found is None:
        raise EventUnreadable(UnreadableReason.MISSING, semconv.AGENT_OUTCOME_ID)
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    beside = (int.from_bytes(event.trace_id, "big"), int.from_bytes(event.span_id, "big"))
    if any(given not in {0, own} for given, own in zip(beside, (trace_id, span_id), strict=True)):
        raise EventUnreadable(UnreadableReason.CONTRADICTION, semconv.AGENT_OUTCOME_ID)
    return trace_id, span_id


def _end_ns(fields: EventFields, time_ns: int, revision: int) -> int:
    """When the run ended: the time of revision 0; of a later one its time less how late it was, where it says so."""
    if time_ns == 0:
        raise EventUnreadable(UnreadableReason.MISSING, "time_unix_nano")
    delay_s = fields.seconds(semconv.AGENT_OUTCOME_DELAY) if revision else None
    # Before it is multiplied: the largest double would be without end.
    is_too_late = delay_s is not None and delay_s > TIME_MAX_NS / _NS
    end_ns = -1 if is_too_late else time_ns - round((delay_s or 0) * _NS)
    if end_ns < 0:
        raise EventUnreadable(UnreadableReason.CONTRADICTION, semconv.AGENT_OUTCOME_DELAY)
    return end_ns


def _cost(fields: EventFields) -> Cost:
    source = fields.word(semconv.AGENT_OUTCOME_COST_SOURCE, CostSource)
    complete = fields.flag(semconv.AGENT_OUTCOME_COST_COMPLETE)
    total = fields.money(
        semconv.AGENT_OUTCOME_COST, semconv.AGENT_OUTCOME_COST_DECIMAL, semconv.AGENT_OUTCOME_COST_CURRENCY
    )
    if total is not None and total[0] < 0:
        raise EventUnreadable(UnreadableReason.AMOUNT, semconv.AGENT_OUTCOME_COST)
    listed = fields.texts(semconv.AGENT_OUTCOME_COST_BREAKDOWN)
    if not listed:
        parts = () if total is None else (CostPart(plain_kind(source), total[1], total[0]),)
        return Cost(parts, source, complete)
    cost = Cost(tuple(map(_part, listed)), source, complete)
    sums = cost.by_currency()
    if total is None if len(sums) == 1 else total is not None:
        raise EventUnreadable(UnreadableReason.AMOUNT, semconv.AGENT_OUTCOME_COST)
    if total is not None and sums != {total[1]: total[0]}:
        raise EventUnreadable(UnreadableReason.AMOUNT, semconv.AGENT_OUTCOME_COST_BREAKDOWN)
    return cost


def _part(text: str) -> CostPart:
    found = _PART.fullmatch(text)
    if found is None:
        raise EventUnreadable(UnreadableReason.AMOUNT, semconv.AGENT_OUTCOME_COST_BREAKDOWN)
    fields = EventFields({"kind": found[1], "amount": found[2], "currency": found[3]})
    kind, amount, currency = fields.word("kind", CostKind), fields.exact("amount"), fields.currency("currency")
    if kind is None or amount is None or currency is None:
        raise EventUnreadable(UnreadableReason.AMOUNT, semconv.AGENT_OUTCOME_COST_BREAKDOWN)
    return CostPart(kind, currency, amount)


def _outcome(fields: EventFields) -> Outcome:
    worth = fields.money(
        semconv.AGENT_OUTCOME_VALUE, semconv.AGENT_OUTCOME_VALUE_DECIMAL, semconv.AGENT_OUTCOME_CURRENCY
    )
    outcome = Outcome(
        status=fields.needed(semconv.AGENT_OUTCOME_STATUS, Status),
        retryable=fields.flag(semconv.AGENT_OUTCOME_RETRYABLE),
        remedy=fields.word(semconv.AGENT_OUTCOME_REMEDY, Remedy),
        error_category=fields.text(semconv.AGENT_OUTCOME_ERROR_CATEGORY),
        error_type=fields.text(semconv.ERROR_TYPE),
        type=fields.word(semconv.AGENT_OUTCOME_TYPE, OutcomeType),
        business_success=fields.flag(semconv.AGENT_OUTCOME_SUCCESS),
        label=fields.text(semconv.AGENT_OUTCOME_LABEL),
        value=None if worth is None else worth[0],
        currency=DEFAULT_CURRENCY if worth is None else worth[1],
        message=fields.text(semconv.AGENT_OUTCOME_MESSAGE, MESSAGE_LENGTH_MAX),
        metadata=fields.text(semconv.AGENT_OUTCOME_METADATA, METADATA_LENGTH_MAX),
        source=fields.needed(semconv.AGENT_OUTCOME_SOURCE, Source),
        evidence=fields.text(semconv.AGENT_OUTCOME_EVIDENCE) or "",
        raw_status=fields.text(semconv.AGENT_OUTCOME_RAW_STATUS),
        problems=tuple(map(_problem, fields.texts(semconv.AGENT_OUTCOME_PROBLEMS))),
        refused=fields.texts(semconv.AGENT_OUTCOME_REFUSED),
    )
    if outcome.state is not fields.needed(semconv.AGENT_OUTCOME_STATE, State):
        raise EventUnreadable(UnreadableReason.CONTRADICTION, semconv.AGENT_OUTCOME_STATE)
    return outcome


def _problem(text: str) -> Problem:
    kind, _, attribute = text.partition(":")
    problem = Problem(EventFields({"kind": kind}).needed("kind", ProblemKind), attribute)
    if problem.kind is ProblemKind.TEXT_TRUNCATED and attribute in _CUT_WITH_AMOUNTS:
        raise EventUnreadable(UnreadableReason.CUT, semconv.AGENT_OUTCOME_PROBLEMS)
    return problem
