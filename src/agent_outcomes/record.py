# SPDX-License-Identifier: Apache-2.0
"""From a run, its outcome and a revision number to everything that is emitted: one event, postings, a duration.

Pure and deterministic. A correction is double-entry: the superseded revision is reversed and the new one entered, so
that every counter only ever grows and the net is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes import semconv
from agent_outcomes.money import is_exact_double, plain_text
from agent_outcomes.semconv import ErrorCategory, Instrument, State, Status, TokenType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from enum import StrEnum

    from agent_outcomes.model import Cost, Outcome, Run

AttributeValue = str | bool | int | float | tuple[str, ...]
LabelValue = str | bool | None

OTHER_TEXT: Final = "_OTHER"
BODY_LENGTH_MAX: Final = 320
_BODY_PART_LENGTH_MAX: Final = 80

INFO: Final = (9, "INFO")
WARN: Final = (13, "WARN")
ERROR: Final = (17, "ERROR")
SEVERITIES: Final[Mapping[Status, tuple[int, str]]] = {
    Status.SUCCESS: INFO,
    Status.CANCELLED: INFO,
    Status.PARTIAL: WARN,
    Status.UNKNOWN: WARN,
    Status.FAILURE: ERROR,
    Status.TIMEOUT: ERROR,
    Status.INVALID_OUTPUT: ERROR,
}
_INPUT: Final = TokenType.INPUT.value
_OUTPUT: Final = TokenType.OUTPUT.value
_CATEGORIES: Final = frozenset(category.value for category in ErrorCategory)


class Posting(NamedTuple):
    """An amount, never negative, added to a counter; `labels` are in the order of the instrument's attributes."""

    instrument: Instrument
    labels: tuple[LabelValue, ...]
    amount: Decimal | int


class _Side(NamedTuple):
    """The counters of one side of double entry."""

    outcomes: Instrument
    value: Instrument
    cost: Instrument


_ENTRY: Final = _Side(semconv.AGENT_OUTCOMES, semconv.AGENT_OUTCOME_VALUE_METRIC, semconv.AGENT_OUTCOME_COST_METRIC)
_REVERSAL: Final = _Side(
    semconv.AGENT_OUTCOME_REVERSALS,
    semconv.AGENT_OUTCOME_REVERSAL_VALUE,
    semconv.AGENT_OUTCOME_REVERSAL_COST,
)


@dataclass(frozen=True, slots=True)
class Event:
    """A log record in OTLP's terms; `severity` is number and text, times are Unix nanoseconds, `name` the event's."""

    trace_id: int
    span_id: int
    trace_flags: int
    timestamp_ns: int
    severity: tuple[int, str]
    body: str
    attributes: dict[str, AttributeValue]
    name: str = semconv.EVENT_NAME


@dataclass(frozen=True, slots=True)
class Record:
    """All that one revision of an outcome makes known. `duration_s` is set on revision 0 only."""

    event: Event
    postings: tuple[Posting, ...]
    duration_s: float | None
    duration_labels: tuple[LabelValue, ...]


def record(
    run: Run,
    outcome: Outcome,
    revision: int = 0,
    *,
    previous: Outcome | None = None,
    reported_at_ns: int | None = None,
) -> Record:
    """What to emit for this revision.

    Revision 0 counts the run; a later one needs `previous`, the outcome it supersedes, and when it was reported.
    """
    agent = (run.agent_name, run.job_type, outcome.status._value_)
    costs = run.cost.by_currency()
    postings = _run_postings(run, outcome, agent) if revision == 0 else []
    if previous is not None and previous.state is State.REPORTED:
        postings += _outcome_postings(run, previous, costs, _REVERSAL, _ENTRY)
    if outcome.state is State.REPORTED:
        postings += _outcome_postings(run, outcome, costs, _ENTRY, _REVERSAL)
    return Record(
        event=_event(run, outcome, revision, run.end_ns if reported_at_ns is None else reported_at_ns, costs),
        postings=tuple(postings),
        duration_s=run.duration_s if revision == 0 else None,
        duration_labels=agent,
    )


def outcome_uid(run: Run, revision: int) -> str:
    """The `log.record.uid` of a revision; the same wherever and however often it is made."""
    return _uid(run.id, revision)


def _uid(outcome_id: str, revision: int) -> str:
    return f"{outcome_id}-{revision}"


def _run_postings(run: Run, outcome: Outcome, agent: tuple[str | None, str | None, str]) -> list[Posting]:
    category = outcome.error_category
    if category is not None and category not in _CATEGORIES:
        category = OTHER_TEXT
    postings = [Posting(semconv.AGENT_RUNS, (*agent, outcome.retryable, category, word(outcome.source)), 1)]
    for part in run.cost.parts:
        labels = (*agent, part.currency, word(part.kind))
        postings.append(Posting(semconv.AGENT_RUN_COST, labels, part.amount))
    for token_type, count in ((_INPUT, run.usage.input_tokens), (_OUTPUT, run.usage.output_tokens)):
        if count is not None:
            postings.append(Posting(semconv.AGENT_RUN_TOKENS, (run.agent_name, token_type), count))
    return postings


def _outcome_postings(
    run: Run, outcome: Outcome, costs: Mapping[str, Decimal], side: _Side, other_side: _Side
) -> list[Posting]:
    labels = (
        run.agent_name,
        run.job_type,
        word(outcome.status),
        word(outcome.type),
        outcome.business_success,
        outcome.label,
    )
    postings = [Posting(side.outcomes, labels, 1)]
    value = outcome.value
    if value is not None:
        # A refund is worth what it takes back: it is entered on the other side, so that both sides only grow.
        instrument = side.value if value >= 0 else other_side.value
        postings.append(Posting(instrument, (*labels, outcome.currency), value.copy_abs()))
    for currency, amount in costs.items():
        postings.append(Posting(side.cost, (*labels, currency), amount))
    return postings


def _event(run: Run, outcome: Outcome, revision: int, timestamp_ns: int, costs: Mapping[str, Decimal]) -> Event:
    attributes = _event_attributes(run, outcome, revision, costs)
    return Event(
        trace_id=run.trace_id,
        span_id=run.span_id,
        trace_flags=run.trace_flags,
        timestamp_ns=timestamp_ns,
        severity=_severity(outcome),
        body=_body(run, outcome, costs),
        attributes={key: value for key, value in attributes.items() if value is not None},
    )


def _event_attributes(
    run: Run, outcome: Outcome, revision: int, costs: Mapping[str, Decimal]
) -> dict[str, AttributeValue | None]:
    outcome_id = run.id
    # What matters most comes last: a log record over its attribute limit loses the first ones.
    return {
        semconv.AGENT_OUTCOME_METADATA: outcome.metadata,
        semconv.AGENT_OUTCOME_MESSAGE: outcome.message,
        **_run_attributes(run),
        semconv.AGENT_OUTCOME_REMEDY: word(outcome.remedy),
        semconv.AGENT_OUTCOME_ERROR_CATEGORY: outcome.error_category,
        semconv.ERROR_TYPE: outcome.error_type,
        semconv.AGENT_OUTCOME_RETRYABLE: outcome.retryable,
        semconv.AGENT_OUTCOME_EVIDENCE: outcome.evidence or None,
        semconv.AGENT_OUTCOME_SOURCE: word(outcome.source),
        **_cost_attributes(run.cost, costs),
        semconv.AGENT_OUTCOME_LABEL: outcome.label,
        semconv.AGENT_OUTCOME_TYPE: word(outcome.type),
        semconv.AGENT_OUTCOME_SUCCESS: outcome.business_success,
        **_value_attributes(outcome),
        semconv.AGENT_OUTCOME_RAW_STATUS: outcome.raw_status,
        semconv.AGENT_OUTCOME_STATE: word(outcome.state),
        semconv.AGENT_OUTCOME_REFUSED: outcome.refused or None,
        semconv.AGENT_OUTCOME_PROBLEMS: tuple(map(str, outcome.problems)) or None,
        semconv.AGENT_OUTCOME_SUPERSEDES: _uid(outcome_id, revision - 1) if revision > 0 else None,
        semconv.AGENT_OUTCOME_REVISION: revision,
        semconv.AGENT_OUTCOME_STATUS: word(outcome.status),
        semconv.AGENT_OUTCOME_ID: outcome_id,
        semconv.LOG_RECORD_UID: _uid(outcome_id, revision),
    }


def _run_attributes(run: Run) -> dict[str, AttributeValue | None]:
    usage = run.usage
    return {
        semconv.AGENT_RUN_REASONING_TOKENS: usage.reasoning_tokens,
        semconv.AGENT_RUN_CACHE_WRITE_TOKENS: usage.cache_write_tokens,
        semconv.AGENT_RUN_CACHED_TOKENS: usage.cached_tokens,
        semconv.AGENT_RUN_TOOL_CALLS: usage.tool_calls,
        semconv.AGENT_RUN_MODEL_CALLS: usage.model_calls,
        semconv.AGENT_RUN_OUTPUT_TOKENS: usage.output_tokens,
        semconv.AGENT_RUN_INPUT_TOKENS: usage.input_tokens,
        semconv.AGENT_RUN_DURATION: run.duration_s,
        semconv.AGENT_OUTCOME_RUN_ID: run.run_id,
        semconv.AGENT_OUTCOME_JOB_TYPE: run.job_type,
        semconv.AGENT_HANDOFF_CALLER_ID: run.caller_id,
        semconv.GEN_AI_CONVERSATION_ID: run.conversation_id,
        semconv.GEN_AI_AGENT_ID: run.agent_id,
        semconv.GEN_AI_AGENT_NAME: run.agent_name,
    }


def _cost_attributes(cost: Cost, costs: Mapping[str, Decimal]) -> dict[str, AttributeValue | None]:
    attributes: dict[str, AttributeValue | None] = {}
    if len(cost.parts) > 1:
        parts = (f"{part.kind.value} {plain_text(part.amount)} {part.currency}" for part in cost.parts)
        attributes[semconv.AGENT_OUTCOME_COST_BREAKDOWN] = tuple(parts)
    attributes[semconv.AGENT_OUTCOME_COST_SOURCE] = word(cost.source)
    attributes[semconv.AGENT_OUTCOME_COST_COMPLETE] = cost.complete
    # Amounts in several currencies have no one sum; the breakdown and the counters carry each.
    if len(costs) == 1:
        ((currency, amount),) = costs.items()
        if not is_exact_double(amount):
            attributes[semconv.AGENT_OUTCOME_COST_DECIMAL] = plain_text(amount)
        attributes[semconv.AGENT_OUTCOME_COST] = float(amount)
        attributes[semconv.AGENT_OUTCOME_COST_CURRENCY] = currency
    return attributes


def _value_attributes(outcome: Outcome) -> dict[str, AttributeValue | None]:
    value = outcome.value
    if value is None:
        return {}
    return {
        semconv.AGENT_OUTCOME_VALUE_DECIMAL: None if is_exact_double(value) else plain_text(value),
        semconv.AGENT_OUTCOME_VALUE: float(value),
        semconv.AGENT_OUTCOME_CURRENCY: outcome.currency,
    }


def word(member: StrEnum | None) -> str | None:
    """The word for a member of the vocabulary, `None` for none."""
    # `value` is a descriptor written in Python, which costs more than all the rest of an attribute.
    return None if member is None else member._value_


def _severity(outcome: Outcome) -> tuple[int, str]:
    severity = SEVERITIES[outcome.status]
    return max(severity, WARN) if outcome.business_success is False else severity


def _body(run: Run, outcome: Outcome, costs: Mapping[str, Decimal]) -> str:
    result = outcome.status.value
    for part in (outcome.type.value if outcome.type is not None else None, outcome.label):
        if part is not None:
            result += "/" + one_line(part)
    details = []
    if outcome.value is not None:
        details.append(f"worth {plain_text(outcome.value)} {outcome.currency}")
    details += [f"cost {plain_text(amount)} {currency}" for currency, amount in costs.items()]
    if run.duration_s is not None:
        details.append(f"took {run.duration_s:.3f} s")
    if outcome.error_type is not None:
        details.append(one_line(outcome.error_type))
    if outcome.retryable:
        details.append("retryable")
    text = f"{one_line(run.agent_name or 'agent')}: {result}"
    return ", ".join([text, *details])[:BODY_LENGTH_MAX]


def one_line(text: str) -> str:
    """Text of others made safe for a line of ours, and short."""
    # Control and format characters (line breaks, ANSI, bidirectional overrides) would forge lines in a log viewer.
    cut = text[:_BODY_PART_LENGTH_MAX]
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)
