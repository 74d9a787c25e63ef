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
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

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
_CATEGORIES: Final = frozenset(category.value for category in ErrorCategory)


class Posting(NamedTuple):
    """An amount, never negative, added to a counter; `labels` are in the order of the instrument's attributes."""

    instrument: Instrument
    labels: tuple[LabelValue, ...]
    amount: Decimal | int


@dataclass(frozen=True, slots=True)
class Event:
    """A log record in OTLP's terms; `severity` is number and text, times are Unix nanoseconds."""

    trace_id: int
    span_id: int
    trace_flags: int
    timestamp_ns: int
    severity: tuple[int, str]
    body: str
    attributes: dict[str, AttributeValue]


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
    agent = (run.agent_name, run.job_type, outcome.status.value)
    postings = list(_run_postings(run, outcome, agent)) if revision == 0 else []
    if previous is not None and previous.state is State.REPORTED:
        postings += _outcome_postings(run, previous, reverse=True)
    if outcome.state is State.REPORTED:
        postings += _outcome_postings(run, outcome, reverse=False)
    return Record(
        event=_event(run, outcome, revision, run.end_ns if reported_at_ns is None else reported_at_ns),
        postings=tuple(postings),
        duration_s=run.duration_s if revision == 0 else None,
        duration_labels=agent,
    )


def outcome_uid(run: Run, revision: int) -> str:
    """The `log.record.uid` of a revision; the same wherever and however often it is made."""
    return f"{run.id}-{revision}"


def _run_postings(run: Run, outcome: Outcome, agent: tuple[str | None, str | None, str]) -> Iterator[Posting]:
    category = outcome.error_category
    if category is not None and category not in _CATEGORIES:
        category = OTHER_TEXT
    yield Posting(semconv.AGENT_RUNS, (*agent, outcome.retryable, category, outcome.source.value), 1)
    for part in run.cost.parts:
        yield Posting(semconv.AGENT_RUN_COST, (*agent, part.currency, part.kind.value), part.amount)
    if run.usage.input_tokens is not None:
        yield Posting(semconv.AGENT_RUN_TOKENS, (run.agent_name, TokenType.INPUT.value), run.usage.input_tokens)
    if run.usage.output_tokens is not None:
        yield Posting(semconv.AGENT_RUN_TOKENS, (run.agent_name, TokenType.OUTPUT.value), run.usage.output_tokens)


def _outcome_postings(run: Run, outcome: Outcome, *, reverse: bool) -> Iterator[Posting]:
    labels = (
        run.agent_name,
        run.job_type,
        outcome.status.value,
        outcome.type.value if outcome.type is not None else None,
        outcome.business_success,
        outcome.label,
    )
    entry = (semconv.AGENT_OUTCOMES, semconv.AGENT_OUTCOME_VALUE_METRIC, semconv.AGENT_OUTCOME_COST_METRIC)
    reversal = (
        semconv.AGENT_OUTCOME_REVERSALS,
        semconv.AGENT_OUTCOME_REVERSAL_VALUE,
        semconv.AGENT_OUTCOME_REVERSAL_COST,
    )
    count, value, cost = reversal if reverse else entry
    yield Posting(count, labels, 1)
    if outcome.value is not None:
        # A refund is worth what it takes back: it is entered on the other side, so that both sides only grow.
        side = value if outcome.value >= 0 else (entry if reverse else reversal)[1]
        yield Posting(side, (*labels, outcome.currency), abs(outcome.value))
    for currency, amount in run.cost.by_currency().items():
        yield Posting(cost, (*labels, currency), amount)


def _event(run: Run, outcome: Outcome, revision: int, timestamp_ns: int) -> Event:
    return Event(
        trace_id=run.trace_id,
        span_id=run.span_id,
        trace_flags=run.trace_flags,
        timestamp_ns=timestamp_ns,
        severity=_severity(outcome),
        body=_body(run, outcome),
        attributes={key: value for key, value in _event_attributes(run, outcome, revision) if value is not None},
    )


def _event_attributes(run: Run, outcome: Outcome, revision: int) -> Iterator[tuple[str, AttributeValue | None]]:
    # What matters most comes last: a log record over its attribute limit loses the first ones.
    yield semconv.AGENT_OUTCOME_METADATA, outcome.metadata
    yield semconv.AGENT_OUTCOME_MESSAGE, outcome.message
    yield from _run_attributes(run)
    yield semconv.AGENT_OUTCOME_REMEDY, outcome.remedy.value if outcome.remedy is not None else None
    yield semconv.AGENT_OUTCOME_ERROR_CATEGORY, outcome.error_category
    yield semconv.ERROR_TYPE, outcome.error_type
    yield semconv.AGENT_OUTCOME_RETRYABLE, outcome.retryable
    yield semconv.AGENT_OUTCOME_EVIDENCE, outcome.evidence or None
    yield semconv.AGENT_OUTCOME_SOURCE, outcome.source.value
    yield from _cost_attributes(run.cost)
    yield semconv.AGENT_OUTCOME_LABEL, outcome.label
    yield semconv.AGENT_OUTCOME_TYPE, outcome.type.value if outcome.type is not None else None
    yield semconv.AGENT_OUTCOME_SUCCESS, outcome.business_success
    if outcome.value is not None:
        yield from _money_attributes(semconv.AGENT_OUTCOME_VALUE, semconv.AGENT_OUTCOME_VALUE_DECIMAL, outcome.value)
        yield semconv.AGENT_OUTCOME_CURRENCY, outcome.currency
    yield semconv.AGENT_OUTCOME_RAW_STATUS, outcome.raw_status
    yield semconv.AGENT_OUTCOME_STATE, outcome.state.value
    yield semconv.AGENT_OUTCOME_REFUSED, outcome.refused or None
    yield semconv.AGENT_OUTCOME_PROBLEMS, tuple(str(problem) for problem in outcome.problems) or None
    if revision > 0:
        yield semconv.AGENT_OUTCOME_SUPERSEDES, outcome_uid(run, revision - 1)
    yield semconv.AGENT_OUTCOME_REVISION, revision
    yield semconv.AGENT_OUTCOME_STATUS, outcome.status.value
    yield semconv.AGENT_OUTCOME_ID, run.id
    yield semconv.LOG_RECORD_UID, outcome_uid(run, revision)


def _run_attributes(run: Run) -> Iterator[tuple[str, AttributeValue | None]]:
    usage = run.usage
    yield semconv.AGENT_RUN_REASONING_TOKENS, usage.reasoning_tokens
    yield semconv.AGENT_RUN_CACHE_WRITE_TOKENS, usage.cache_write_tokens
    yield semconv.AGENT_RUN_CACHED_TOKENS, usage.cached_tokens
    yield semconv.AGENT_RUN_TOOL_CALLS, usage.tool_calls
    yield semconv.AGENT_RUN_MODEL_CALLS, usage.model_calls
    yield semconv.AGENT_RUN_OUTPUT_TOKENS, usage.output_tokens
    yield semconv.AGENT_RUN_INPUT_TOKENS, usage.input_tokens
    yield semconv.AGENT_RUN_DURATION, run.duration_s
    yield semconv.AGENT_OUTCOME_RUN_ID, run.run_id
    yield semconv.AGENT_OUTCOME_JOB_TYPE, run.job_type
    yield semconv.GEN_AI_CONVERSATION_ID, run.conversation_id
    yield semconv.GEN_AI_AGENT_ID, run.agent_id
    yield semconv.GEN_AI_AGENT_NAME, run.agent_name


def _cost_attributes(cost: Cost) -> Iterator[tuple[str, AttributeValue | None]]:
    sums = cost.by_currency()
    if len(cost.parts) > 1:
        parts = (f"{part.kind.value} {plain_text(part.amount)} {part.currency}" for part in cost.parts)
        yield semconv.AGENT_OUTCOME_COST_BREAKDOWN, tuple(parts)
    yield semconv.AGENT_OUTCOME_COST_SOURCE, cost.source.value if cost.source is not None else None
    yield semconv.AGENT_OUTCOME_COST_COMPLETE, cost.complete
    # Amounts in several currencies have no one sum; the breakdown and the counters carry each.
    if len(sums) == 1:
        ((currency, amount),) = sums.items()
        yield from _money_attributes(semconv.AGENT_OUTCOME_COST, semconv.AGENT_OUTCOME_COST_DECIMAL, amount)
        yield semconv.AGENT_OUTCOME_COST_CURRENCY, currency


def _money_attributes(key: str, decimal_key: str, amount: Decimal) -> Iterator[tuple[str, AttributeValue]]:
    if not is_exact_double(amount):
        yield decimal_key, plain_text(amount)
    yield key, float(amount)


def _severity(outcome: Outcome) -> tuple[int, str]:
    severity = SEVERITIES[outcome.status]
    return max(severity, WARN) if outcome.business_success is False else severity


def _body(run: Run, outcome: Outcome) -> str:
    result = outcome.status.value
    for part in (outcome.type.value if outcome.type is not None else None, outcome.label):
        if part is not None:
            result += "/" + _one_line(part)
    details = []
    if outcome.value is not None:
        details.append(f"worth {plain_text(outcome.value)} {outcome.currency}")
    details += [f"cost {plain_text(amount)} {currency}" for currency, amount in run.cost.by_currency().items()]
    if run.duration_s is not None:
        details.append(f"took {run.duration_s:.3f} s")
    if outcome.error_type is not None:
        details.append(_one_line(outcome.error_type))
    if outcome.retryable:
        details.append("retryable")
    text = f"{_one_line(run.agent_name or 'agent')}: {result}"
    return ", ".join([text, *details])[:BODY_LENGTH_MAX]


def _one_line(text: str) -> str:
    # Control and format characters (line breaks, ANSI, bidirectional overrides) would forge lines in a log viewer.
    return "".join(char if char.isprintable() else " " for char in text[:_BODY_PART_LENGTH_MAX])
