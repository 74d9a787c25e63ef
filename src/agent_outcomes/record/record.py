# SPDX-License-Identifier: Apache-2.0
"""From a run, its outcome and a revision number to everything that is emitted: one event, postings, a duration.

Pure and deterministic. A correction is double-entry: the superseded revision is reversed and the new one entered, so
that every counter only ever grows and the net is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.fields import Fields, NamedTuple
from agent_outcomes.outcome.amounts import forms_of, plain_text
from agent_outcomes.outcome.text import one_line
from agent_outcomes.semconv import (
    AGENT_RUN_COST,
    AGENT_RUN_TOKENS,
    AGENT_RUNS,
    Change,
    CostKind,
    CostSource,
    ErrorCategory,
    Instrument,
    State,
    Status,
    TokenType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from enum import StrEnum

    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Cost, Run, Usage

AttributeValue = str | bool | int | float | tuple[str, ...]
LabelValue = str | bool | None

OTHER_TEXT: Final = "_OTHER"
BODY_LENGTH_MAX: Final = 320

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
# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_REPORTED: Final = State.REPORTED
_CATEGORIES: Final = frozenset(category.value for category in ErrorCategory)
_OTHER_KIND: Final = CostKind.OTHER
_LLM_KIND: Final = CostKind.LLM
_STATED_COST: Final = CostSource.EXPLICIT


class Posting(NamedTuple):
    """An amount, never negative, added to a counter; `labels` are in the order of the instrument's attributes."""

    instrument: Instrument
    labels: tuple[LabelValue, ...]
    amount: Decimal | int


PlainPosting = tuple[Instrument, tuple[LabelValue, ...], "Decimal | int"]
"""A posting without the names: an outcome's are made so, as a named tuple costs three times as much."""


class _Side(Fields):
    """The counters of one side of double entry."""

    __slots__ = ("cost", "outcomes", "value")

    def __init__(self, outcomes: Instrument, value: Instrument, cost: Instrument) -> None:
        self.outcomes = outcomes
        self.value = value
        self.cost = cost


_ENTRY: Final = _Side(semconv.AGENT_OUTCOMES, semconv.AGENT_OUTCOME_VALUE_METRIC, semconv.AGENT_OUTCOME_COST_METRIC)
_REVERSAL: Final = _Side(
    semconv.AGENT_OUTCOME_REVERSALS,
    semconv.AGENT_OUTCOME_REVERSAL_VALUE,
    semconv.AGENT_OUTCOME_REVERSAL_COST,
)


class Event(Fields):
    """A log record in OTLP's terms; `severity` is number and text, times are Unix nanoseconds, `name` the event's."""

    __slots__ = ("attributes", "body", "name", "severity", "span_id", "timestamp_ns", "trace_flags", "trace_id")

    def __init__(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
        self,
        trace_id: int,
        span_id: int,
        trace_flags: int,
        timestamp_ns: int,
        severity: tuple[int, str],
        body: str,
        attributes: dict[str, AttributeValue],
        name: str = semconv.EVENT_NAME,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.timestamp_ns = timestamp_ns
        self.severity = severity
        self.body = body
        self.attributes = attributes
        self.name = name


class Record(Fields):
    """All that one revision of an outcome makes known. `duration_s` is set on revision 0 only."""

    __slots__ = ("duration_labels", "duration_s", "event", "postings")

    def __init__(
        self,
        event: Event,
        postings: tuple[PlainPosting, ...],
        duration_s: float | None,
        duration_labels: tuple[LabelValue, ...],
    ) -> None:
        self.event = event
        self.postings = postings
        self.duration_s = duration_s
        self.duration_labels = duration_labels


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
    if previous is not None and previous.state is _REPORTED:
        postings += _outcome_postings(run, previous, costs, _REVERSAL, _ENTRY)
    if outcome.state is _REPORTED:
        postings += _outcome_postings(run, outcome, costs, _ENTRY, _REVERSAL)
    event = _event(run, outcome, revision, run.end_ns if reported_at_ns is None else reported_at_ns, costs)
    if previous is not None:
        event.attributes[semconv.AGENT_OUTCOME_CHANGE] = _change(previous, outcome)._value_
    return Record(
        event,
        tuple(postings),
        run.duration_s if revision == 0 else None,
        agent,
    )


def _change(previous: Outcome, outcome: Outcome) -> Change:
    if previous.state is not State.REPORTED:
        return Change.REPORTED
    return Change.CORRECTED if outcome.state is State.REPORTED else Change.RETRACTED


def outcome_uid(run: Run, revision: int) -> str:
    """The `log.record.uid` of a revision; the same wherever and however often it is made."""
    return _uid(run.id, revision)


def _uid(outcome_id: str, revision: int) -> str:
    return f"{outcome_id}-{revision}"


def _run_postings(run: Run, outcome: Outcome, agent: tuple[str | None, str | None, str]) -> list[PlainPosting]:
    category = outcome.error_category
    if category is not None and category not in _CATEGORIES:
        category = OTHER_TEXT
    name, job_type, status = agent
    source = outcome.source._value_
    postings: list[PlainPosting] = [(AGENT_RUNS, (name, job_type, status, outcome.retryable, category, source), 1)]
    for part in run.cost.parts:
        labels = (name, job_type, status, part.currency, part.kind._value_)
        postings.append((AGENT_RUN_COST, labels, part.amount))
    usage = run.usage
    if usage.input_tokens is not None:
        postings.append((AGENT_RUN_TOKENS, (name, _INPUT), usage.input_tokens))
    if usage.output_tokens is not None:
        postings.append((AGENT_RUN_TOKENS, (name, _OUTPUT), usage.output_tokens))
    return postings


def _outcome_postings(
    run: Run, outcome: Outcome, costs: Mapping[str, Decimal], side: _Side, other_side: _Side
) -> list[PlainPosting]:
    name, job_type, status, label = run.agent_name, run.job_type, outcome.status._value_, outcome.label
    type_ = None if outcome.type is None else outcome.type._value_
    success = outcome.business_success
    postings: list[PlainPosting] = [(side.outcomes, (name, job_type, status, type_, success, label), 1)]
    value = outcome.value
    if value is not None:
        # A refund is worth what it takes back: it is entered on the other side, so that both sides only grow.
        instrument = other_side.value if value.is_signed() and value else side.value
        labels = (name, job_type, status, type_, success, label, outcome.currency)
        postings.append((instrument, labels, value.copy_abs()))
    for currency, amount in costs.items():
        postings.append((side.cost, (name, job_type, status, type_, success, label, currency), amount))
    return postings


def _event(run: Run, outcome: Outcome, revision: int, timestamp_ns: int, costs: Mapping[str, Decimal]) -> Event:
    # What matters most comes last: a log record over its attribute limit loses the first ones.
    attributes: dict[str, AttributeValue] = {}
    details: list[str] = []
    if outcome.metadata is not None:
        attributes[semconv.AGENT_OUTCOME_METADATA] = outcome.metadata
    if outcome.message is not None:
        attributes[semconv.AGENT_OUTCOME_MESSAGE] = outcome.message
    _add_usage(attributes, run.usage)
    _add_run(attributes, run)
    _add_execution(attributes, outcome)
    worth = None if outcome.value is None else forms_of(outcome.value)
    if worth is not None:
        details.append(f"worth {worth[2]} {outcome.currency}")
    _add_cost(attributes, details, run.cost, costs)
    _add_business(attributes, outcome, worth)
    _add_revision(attributes, run.id, outcome, revision)
    return Event(
        run.trace_id,
        run.span_id,
        run.trace_flags,
        timestamp_ns,
        _severity(outcome),
        _body(run, outcome, details),
        attributes,
    )


def _add_usage(attributes: dict[str, AttributeValue], usage: Usage) -> None:
    # Here and below: a table of keys and fields would cost four times as much.
    if usage.reasoning_tokens is not None:
        attributes[semconv.AGENT_RUN_REASONING_TOKENS] = usage.reasoning_tokens
    if usage.cache_write_tokens is not None:
        attributes[semconv.AGENT_RUN_CACHE_WRITE_TOKENS] = usage.cache_write_tokens
    if usage.cached_tokens is not None:
        attributes[semconv.AGENT_RUN_CACHED_TOKENS] = usage.cached_tokens
    if usage.tool_calls is not None:
        attributes[semconv.AGENT_RUN_TOOL_CALLS] = usage.tool_calls
    if usage.model_calls is not None:
        attributes[semconv.AGENT_RUN_MODEL_CALLS] = usage.model_calls
    if usage.output_tokens is not None:
        attributes[semconv.AGENT_RUN_OUTPUT_TOKENS] = usage.output_tokens
    if usage.input_tokens is not None:
        attributes[semconv.AGENT_RUN_INPUT_TOKENS] = usage.input_tokens


def _add_run(attributes: dict[str, AttributeValue], run: Run) -> None:
    if run.duration_s is not None:
        attributes[semconv.AGENT_RUN_DURATION] = run.duration_s
    if run.run_id is not None:
        attributes[semconv.AGENT_OUTCOME_RUN_ID] = run.run_id
    if run.job_type is not None:
        attributes[semconv.AGENT_OUTCOME_JOB_TYPE] = run.job_type
    if run.caller_id is not None:
        attributes[semconv.AGENT_HANDOFF_CALLER_ID] = run.caller_id
    if run.conversation_id is not None:
        attributes[semconv.GEN_AI_CONVERSATION_ID] = run.conversation_id
    if run.agent_id is not None:
        attributes[semconv.GEN_AI_AGENT_ID] = run.agent_id
    if run.agent_name is not None:
        attributes[semconv.GEN_AI_AGENT_NAME] = run.agent_name


def _add_execution(attributes: dict[str, AttributeValue], outcome: Outcome) -> None:
    if outcome.remedy is not None:
        attributes[semconv.AGENT_OUTCOME_REMEDY] = outcome.remedy._value_
    if outcome.error_category is not None:
        attributes[semconv.AGENT_OUTCOME_ERROR_CATEGORY] = outcome.error_category
    if outcome.error_type is not None:
        attributes[semconv.ERROR_TYPE] = outcome.error_type
    if outcome.retryable is not None:
        attributes[semconv.AGENT_OUTCOME_RETRYABLE] = outcome.retryable
    if outcome.evidence:
        attributes[semconv.AGENT_OUTCOME_EVIDENCE] = outcome.evidence
    attributes[semconv.AGENT_OUTCOME_SOURCE] = outcome.source._value_


def _add_business(
    attributes: dict[str, AttributeValue], outcome: Outcome, worth: tuple[float, bool, str] | None
) -> None:
    if outcome.label is not None:
        attributes[semconv.AGENT_OUTCOME_LABEL] = outcome.label
    if outcome.type is not None:
        attributes[semconv.AGENT_OUTCOME_TYPE] = outcome.type._value_
    if outcome.business_success is not None:
        attributes[semconv.AGENT_OUTCOME_SUCCESS] = outcome.business_success
    if worth is not None:
        number, is_exact, text = worth
        if not is_exact:
            attributes[semconv.AGENT_OUTCOME_VALUE_DECIMAL] = text
        attributes[semconv.AGENT_OUTCOME_VALUE] = number
        attributes[semconv.AGENT_OUTCOME_CURRENCY] = outcome.currency
    if outcome.raw_status is not None:
        attributes[semconv.AGENT_OUTCOME_RAW_STATUS] = outcome.raw_status


def _add_revision(attributes: dict[str, AttributeValue], outcome_id: str, outcome: Outcome, revision: int) -> None:
    attributes[semconv.AGENT_OUTCOME_STATE] = outcome.state._value_
    if outcome.refused:
        attributes[semconv.AGENT_OUTCOME_REFUSED] = outcome.refused
    if outcome.problems:
        attributes[semconv.AGENT_OUTCOME_PROBLEMS] = tuple(map(str, outcome.problems))
    if revision > 0:
        attributes[semconv.AGENT_OUTCOME_SUPERSEDES] = _uid(outcome_id, revision - 1)
    attributes[semconv.AGENT_OUTCOME_REVISION] = revision
    attributes[semconv.AGENT_OUTCOME_STATUS] = outcome.status._value_
    attributes[semconv.AGENT_OUTCOME_ID] = outcome_id
    attributes[semconv.LOG_RECORD_UID] = f"{outcome_id}-{revision}"


def _add_cost(
    attributes: dict[str, AttributeValue], details: list[str], cost: Cost, costs: Mapping[str, Decimal]
) -> None:
    if len(cost.parts) > 1 or (cost.parts and cost.parts[0].kind is not plain_kind(cost.source)):
        parts = (f"{part.kind.value} {plain_text(part.amount)} {part.currency}" for part in cost.parts)
        attributes[semconv.AGENT_OUTCOME_COST_BREAKDOWN] = tuple(parts)
    if cost.source is not None:
        attributes[semconv.AGENT_OUTCOME_COST_SOURCE] = cost.source._value_
    if cost.complete is not None:
        attributes[semconv.AGENT_OUTCOME_COST_COMPLETE] = cost.complete
    # Amounts in several currencies have no one sum; the breakdown and the counters carry each.
    if len(costs) == 1:
        ((currency, amount),) = costs.items()
        number, is_exact, text = forms_of(amount)
        if not is_exact:
            attributes[semconv.AGENT_OUTCOME_COST_DECIMAL] = text
        attributes[semconv.AGENT_OUTCOME_COST] = number
        attributes[semconv.AGENT_OUTCOME_COST_CURRENCY] = currency
        details.append(f"cost {text} {currency}")
    else:
        details += [f"cost {plain_text(amount)} {currency}" for currency, amount in costs.items()]


def plain_kind(source: CostSource | None) -> CostKind:
    """What a cost of one part was spent on, as its event does not say so: a stated one on anything, else on models."""
    return _OTHER_KIND if source is _STATED_COST else _LLM_KIND


def word(member: StrEnum | None) -> str | None:
    """The word for a member of the vocabulary, `None` for none."""
    # `value` is a descriptor written in Python, which costs more than all the rest of an attribute.
    return None if member is None else member._value_


def _severity(outcome: Outcome) -> tuple[int, str]:
    severity = SEVERITIES[outcome.status]
    return max(severity, WARN) if outcome.business_success is False else severity


def _body(run: Run, outcome: Outcome, details: list[str]) -> str:
    text = f"{one_line(run.agent_name or 'agent')}: {outcome.status._value_}"
    if outcome.type is not None:
        text = f"{text}/{outcome.type._value_}"
    if outcome.label is not None:
        text = f"{text}/{one_line(outcome.label)}"
    if run.duration_s is not None:
        details.append(f"took {run.duration_s:.3f} s")
    if outcome.error_type is not None:
        details.append(one_line(outcome.error_type))
    if outcome.retryable:
        details.append("retryable")
    whole = ", ".join((text, *details))
    if len(whole) <= BODY_LENGTH_MAX:
        return whole
    for detail in details:
        # Whole or not at all: an amount cut short is another amount.
        if len(text) + len(detail) + 2 <= BODY_LENGTH_MAX:
            text = f"{text}, {detail}"
    return text
