# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by `python tests/tools/generate_vocabulary.py`; edits here are lost.
"""The vocabulary: names of attributes, the words their values are taken from, and the instruments.

An attribute's constant is its name in upper case with underscores for dots. So is an instrument's, but where an
attribute has the same name the instrument's constant ends in `_METRIC`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.words import status_value_of

SCOPE_NAME: Final = "agent_outcomes"
EVENT_NAME: Final = "agent.outcome"
HANDOFF_EVENT_NAME: Final = "agent.handoff"
LABEL_ALIAS: Final = "agent.outcome"
METADATA_PREFIX: Final = "agent.outcome.metadata."

AGENT_OUTCOME_STATUS: Final = "agent.outcome.status"
"""How the run ended technically."""
AGENT_OUTCOME_SUCCESS: Final = "agent.outcome.success"
"""Whether the run reached its business goal, by the user's own definition."""
AGENT_OUTCOME_TYPE: Final = "agent.outcome.type"
"""What kind of business result the run had."""
AGENT_OUTCOME_LABEL: Final = "agent.outcome.label"
"""A free short label for the result, of low cardinality."""
AGENT_OUTCOME_VALUE: Final = "agent.outcome.value"
"""What the outcome was worth; negative for a loss, such as a refund."""
AGENT_OUTCOME_CURRENCY: Final = "agent.outcome.currency"
"""Currency of the value, as an ISO 4217 code; USD when absent on input."""
AGENT_OUTCOME_COST: Final = "agent.outcome.cost"
"""What the run cost in total; on input it overrides the cost rolled up from the spans below."""
AGENT_OUTCOME_COST_CURRENCY: Final = "agent.outcome.cost_currency"
"""Currency of the cost, as an ISO 4217 code; USD when absent on input."""
AGENT_OUTCOME_RETRYABLE: Final = "agent.outcome.retryable"
"""Whether running again as it is could help; on input it overrides what is derived."""
AGENT_OUTCOME_MESSAGE: Final = "agent.outcome.message"
"""The reason for the outcome, for people to read."""
AGENT_OUTCOME_ERROR_CATEGORY: Final = "agent.outcome.error.category"
"""What class of error ended the run."""
AGENT_OUTCOME_JOB_TYPE: Final = "agent.outcome.job_type"
"""The kind of job the run did, for views per job type; of low cardinality."""
AGENT_OUTCOME_RUN_ID: Final = "agent.outcome.run_id"
"""The user's own key for the run, by which an outcome can be reported later."""
AGENT_OUTCOME_METADATA: Final = "agent.outcome.metadata"
"""Free context of the outcome, as one JSON object."""
AGENT_OUTCOME_SOURCE: Final = "agent.outcome.source"
"""Where the status came from."""
AGENT_OUTCOME_EVIDENCE: Final = "agent.outcome.evidence"
"""What decided the status."""
AGENT_OUTCOME_RAW_STATUS: Final = "agent.outcome.raw_status"
"""The status as it was stated, when it is no known word."""
AGENT_OUTCOME_ID: Final = "agent.outcome.id"
"""Identity of the outcome over all its revisions, as `{trace_id}-{span_id}` in hex."""
AGENT_OUTCOME_REVISION: Final = "agent.outcome.revision"
"""Number of the revision; 0 is the one made when the run ended."""
AGENT_OUTCOME_SUPERSEDES: Final = "agent.outcome.supersedes"
"""The `log.record.uid` of the revision that this one replaces."""
AGENT_OUTCOME_CHANGE: Final = "agent.outcome.change"
"""What a later revision changed."""
AGENT_OUTCOME_DELAY: Final = "agent.outcome.delay"
"""How many seconds after its run's end a later revision was reported to a ledger."""
AGENT_OUTCOME_REPORTED_BY: Final = "agent.outcome.reported_by"
"""Who or what made the report behind a later revision."""
AGENT_OUTCOME_REASON: Final = "agent.outcome.reason"
"""Why a later revision was made, for people to read."""
AGENT_OUTCOME_STATE: Final = "agent.outcome.state"
"""Whether the business result is known."""
AGENT_OUTCOME_REMEDY: Final = "agent.outcome.remedy"
"""What would help against the error."""
AGENT_OUTCOME_VALUE_DECIMAL: Final = "agent.outcome.value_decimal"
"""The exact value, when a double cannot hold it."""
AGENT_OUTCOME_COST_DECIMAL: Final = "agent.outcome.cost_decimal"
"""The exact cost, when a double cannot hold it."""
AGENT_OUTCOME_COST_SOURCE: Final = "agent.outcome.cost_source"
"""Where the cost came from."""
AGENT_OUTCOME_COST_COMPLETE: Final = "agent.outcome.cost_complete"
"""Whether the cost covers everything the run is known to have used."""
AGENT_OUTCOME_COST_BREAKDOWN: Final = "agent.outcome.cost_breakdown"
"""The parts of the cost, each as `kind amount currency`."""
AGENT_OUTCOME_PROBLEMS: Final = "agent.outcome.problems"
"""What in the input could not be taken as it was, each as a problem kind and where it was found."""
AGENT_OUTCOME_REFUSED: Final = "agent.outcome.refused"
"""Inputs that could not be taken, each as `name=value`; bounded in number and length."""
AGENT_COST_AMOUNT: Final = "agent.cost.amount"
"""A cost that arose in this span; added to what the run costs."""
AGENT_COST_AMOUNT_DECIMAL: Final = "agent.cost.amount_decimal"
"""The exact amount of a late cost, when a double cannot hold it."""
AGENT_COST_CURRENCY: Final = "agent.cost.currency"
"""Currency of the amount, as an ISO 4217 code; USD when absent."""
AGENT_COST_KIND: Final = "agent.cost.kind"
"""What the cost was spent on."""
AGENT_HANDOFF_ID: Final = "agent.handoff.id"
"""Identity of the call of the other agent, as `{trace_id}-{span_id}` in hex."""
AGENT_HANDOFF_FROM: Final = "agent.handoff.from"
"""Name of the agent that handed the work over."""
AGENT_HANDOFF_DURATION: Final = "agent.handoff.duration"
"""How long the other agent took, in seconds."""
AGENT_HANDOFF_REMOTE: Final = "agent.handoff.remote"
"""Whether the other agent runs in another process, whose run has an outcome of its own."""
AGENT_HANDOFF_CALLER_ID: Final = "agent.handoff.caller_id"
"""Span of another process below which the run began, as `{trace_id}-{span_id}` in hex."""
AGENT_RUN_DURATION: Final = "agent.run.duration"
"""Duration of the run in seconds."""
AGENT_RUN_INPUT_TOKENS: Final = "agent.run.input_tokens"
"""Input tokens of the run, cached ones included."""
AGENT_RUN_OUTPUT_TOKENS: Final = "agent.run.output_tokens"
"""Output tokens of the run, reasoning included."""
AGENT_RUN_CACHED_TOKENS: Final = "agent.run.cached_tokens"
"""The part of the input tokens that was read from a cache."""
AGENT_RUN_CACHE_WRITE_TOKENS: Final = "agent.run.cache_write_tokens"
"""The part of the input tokens that was written to a cache."""
AGENT_RUN_REASONING_TOKENS: Final = "agent.run.reasoning_tokens"
"""The part of the output tokens that was spent on reasoning."""
AGENT_RUN_MODEL_CALLS: Final = "agent.run.model_calls"
"""Number of calls to models in the run."""
AGENT_RUN_TOOL_CALLS: Final = "agent.run.tool_calls"
"""Number of calls to tools in the run."""
AGENT_OUTCOMES_SIGNAL: Final = "agent_outcomes.signal"
"""Which signal an item that was dropped belonged to."""
AGENT_OUTCOMES_PROBLEM: Final = "agent_outcomes.problem"
"""What kind of problem was found in the input."""
AGENT_OUTCOMES_FIELD: Final = "agent_outcomes.field"
"""Name of the attribute that held an unknown word."""
AGENT_OUTCOMES_AGE: Final = "agent_outcomes.age"
"""How long ago a run ended."""
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
"""Name of the agent."""
GEN_AI_AGENT_ID: Final = "gen_ai.agent.id"
"""Identity of the agent."""
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
"""Identity of the conversation or session the run belongs to."""
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name, not a secret
"""Whether the tokens were input or output."""
ERROR_TYPE: Final = "error.type"
"""Class of the error, as a low-cardinality name."""
LOG_RECORD_UID: Final = "log.record.uid"
"""Identity of this record, as the outcome's id and revision; a receiver can drop repeats by it."""


class Status(StrEnum):
    """Values of `agent.outcome.status`."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INVALID_OUTPUT = "invalid_output"
    UNKNOWN = "unknown"

    @classmethod
    def from_text(cls, text: str) -> Status:
        """The status that a word means, as `agent.outcome.status` is read: "approved" is success. Never raises.

        Case, blanks and joints do not matter. A word that no table has is `UNKNOWN`, as is one that leaves the status
        to the run's end ("escalated") or says that there is none yet ("running").
        """
        return cls(status_value_of(text))


class OutcomeType(StrEnum):
    """Values of `agent.outcome.type`."""

    CONVERTED = "converted"
    ESCALATED = "escalated"
    DEFLECTED = "deflected"
    UNSUCCESSFUL = "unsuccessful"
    CUSTOM = "custom"


class Change(StrEnum):
    """Values of `agent.outcome.change`."""

    REPORTED = "reported"
    CORRECTED = "corrected"
    RETRACTED = "retracted"
    COST = "cost"


class State(StrEnum):
    """Values of `agent.outcome.state`."""

    PENDING = "pending"
    REPORTED = "reported"


class Source(StrEnum):
    """Values of `agent.outcome.source`."""

    EXPLICIT = "explicit"
    INFERRED = "inferred"


class Remedy(StrEnum):
    """Values of `agent.outcome.remedy`."""

    NONE = "none"
    RETRY = "retry"
    RETRY_LATER = "retry_later"
    CHANGE_INPUT = "change_input"
    CHANGE_CONFIG = "change_config"
    RAISE_LIMIT = "raise_limit"
    HUMAN = "human"


class CostKind(StrEnum):
    """Values of `agent.cost.kind`."""

    LLM = "llm"
    TOOL = "tool"
    HUMAN = "human"
    OTHER = "other"


class CostSource(StrEnum):
    """Values of `agent.outcome.cost_source`."""

    EXPLICIT = "explicit"
    REPORTED = "reported"
    COMPUTED = "computed"


class TokenType(StrEnum):
    """Values of `gen_ai.token.type`."""

    INPUT = "input"
    OUTPUT = "output"


class ErrorCategory(StrEnum):
    """Values of `agent.outcome.error.category`."""

    TIMEOUT = "timeout"
    RUN_DEADLINE = "run_deadline"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    NETWORK = "network"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    TRANSIENT = "transient"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    VALIDATION = "validation"
    TRUNCATED = "truncated"
    BUDGET_EXHAUSTED = "budget_exhausted"
    POLICY = "policy"
    AWAITING_HUMAN = "awaiting_human"
    TOOL_ERROR = "tool_error"
    BUG = "bug"
    OTHER = "other"


class ProblemKind(StrEnum):
    """Values of `agent_outcomes.problem`."""

    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_ATTRIBUTE = "unknown_attribute"
    STATUS_NOT_TERMINAL = "status_not_terminal"
    STATUS_IS_ESCALATION = "status_is_escalation"
    STATUS_CONFLICT = "status_conflict"
    INVALID_AMOUNT = "invalid_amount"
    INVALID_CURRENCY = "invalid_currency"
    INVALID_BOOLEAN = "invalid_boolean"
    INVALID_TEXT = "invalid_text"
    INVALID_COUNT = "invalid_count"
    INVALID_METADATA = "invalid_metadata"
    TEXT_TRUNCATED = "text_truncated"
    TEXT_REPAIRED = "text_repaired"
    NEGATIVE_COST = "negative_cost"
    NEGATIVE_DURATION = "negative_duration"
    USAGE_MISMATCH = "usage_mismatch"
    USAGE_MISSING = "usage_missing"
    MIXED_CURRENCIES = "mixed_currencies"
    ATTRIBUTES_DROPPED = "attributes_dropped"
    AMBIGUOUS_OUTCOME = "ambiguous_outcome"
    CONTRADICTING_OUTCOME = "contradicting_outcome"
    NESTED_AMOUNT = "nested_amount"
    LATE_COST = "late_cost"
    LATE_USAGE = "late_usage"
    LATE_AGENT = "late_agent"
    MARKS_OVERWRITTEN = "marks_overwritten"
    NO_CURRENT_RUN = "no_current_run"
    ENDED_AFTER_STALE = "ended_after_stale"
    OUTCOME_OF_PAUSE = "outcome_of_pause"
    START_NOT_SEEN = "start_not_seen"
    PARENT_NOT_SEEN = "parent_not_seen"
    TOO_MANY_PROBLEMS = "too_many_problems"


class DropReason(StrEnum):
    """Why something was dropped."""

    NO_PROVIDER = "no_provider"
    SHUTDOWN = "shutdown"
    ERROR = "error"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    LIMIT = "limit"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"


class Signal(StrEnum):
    """Values of `agent_outcomes.signal`."""

    EVENT = "event"
    METRIC = "metric"
    SPAN = "span"


class Age(StrEnum):
    """Values of `agent_outcomes.age`."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    OLDER = "older"


class DeadReason(StrEnum):
    """Why an event became a dead letter."""

    REFUSED = "refused"
    TOO_LARGE = "too_large"


class InstrumentKind(StrEnum):
    """How an instrument adds up what is recorded."""

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Instrument(NamedTuple):
    """A metric: `unit` as in UCUM, `attributes` the keys of its attribute sets, `buckets` bounds in its unit."""

    name: str
    kind: InstrumentKind
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...]


AGENT_RUNS: Final = Instrument(
    name="agent.runs",
    kind=InstrumentKind.COUNTER,
    unit="{run}",
    description="Finished runs, each counted once.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_RETRYABLE,
        AGENT_OUTCOME_ERROR_CATEGORY,
        AGENT_OUTCOME_SOURCE,
    ),
    buckets=(),
)
AGENT_RUN_DURATION_METRIC: Final = Instrument(
    name="agent.run.duration",
    kind=InstrumentKind.HISTOGRAM,
    unit="s",
    description="Duration of finished runs; carries the exemplars that lead to the trace.",
    attributes=(GEN_AI_AGENT_NAME, AGENT_OUTCOME_JOB_TYPE, AGENT_OUTCOME_STATUS),
    buckets=(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, 900.0, 1800.0, 3600.0, 7200.0),
)
AGENT_RUN_COST: Final = Instrument(
    name="agent.run.cost",
    kind=InstrumentKind.COUNTER,
    unit="{currency}",
    description="What finished runs cost.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_COST_CURRENCY,
        AGENT_COST_KIND,
    ),
    buckets=(),
)
AGENT_RUN_TOKENS: Final = Instrument(
    name="agent.run.tokens",
    kind=InstrumentKind.COUNTER,
    unit="{token}",
    description="Input and output tokens of finished runs; cached and reasoning tokens are parts of these.",
    attributes=(GEN_AI_AGENT_NAME, GEN_AI_TOKEN_TYPE),
    buckets=(),
)
AGENT_OUTCOMES: Final = Instrument(
    name="agent.outcomes",
    kind=InstrumentKind.COUNTER,
    unit="{outcome}",
    description="Reported outcomes.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
    ),
    buckets=(),
)
AGENT_OUTCOME_VALUE_METRIC: Final = Instrument(
    name="agent.outcome.value",
    kind=InstrumentKind.COUNTER,
    unit="{currency}",
    description="Value of reported outcomes.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
        AGENT_OUTCOME_CURRENCY,
    ),
    buckets=(),
)
AGENT_OUTCOME_COST_METRIC: Final = Instrument(
    name="agent.outcome.cost",
    kind=InstrumentKind.COUNTER,
    unit="{currency}",
    description="Cost of the runs behind the reported outcomes.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
        AGENT_OUTCOME_COST_CURRENCY,
    ),
    buckets=(),
)
AGENT_OUTCOME_REVERSALS: Final = Instrument(
    name="agent.outcome.reversals",
    kind=InstrumentKind.COUNTER,
    unit="{outcome}",
    description="Outcomes that a correction took back, as they were counted before.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
    ),
    buckets=(),
)
AGENT_OUTCOME_REVERSAL_VALUE: Final = Instrument(
    name="agent.outcome.reversal.value",
    kind=InstrumentKind.COUNTER,
    unit="{currency}",
    description="Value that a correction took back; negative values are counted here, too.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
        AGENT_OUTCOME_CURRENCY,
    ),
    buckets=(),
)
AGENT_OUTCOME_REVERSAL_COST: Final = Instrument(
    name="agent.outcome.reversal.cost",
    kind=InstrumentKind.COUNTER,
    unit="{currency}",
    description="Cost of the runs behind outcomes that a correction took back.",
    attributes=(
        GEN_AI_AGENT_NAME,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_LABEL,
        AGENT_OUTCOME_COST_CURRENCY,
    ),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_EVENTS: Final = Instrument(
    name="agent_outcomes.processor.events",
    kind=InstrumentKind.COUNTER,
    unit="{event}",
    description="Outcome events handed to the logger provider.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_DROPPED: Final = Instrument(
    name="agent_outcomes.processor.dropped",
    kind=InstrumentKind.COUNTER,
    unit="{item}",
    description="Events and postings that were dropped, by reason.",
    attributes=(ERROR_TYPE, AGENT_OUTCOMES_SIGNAL),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_PROBLEMS: Final = Instrument(
    name="agent_outcomes.processor.problems",
    kind=InstrumentKind.COUNTER,
    unit="{problem}",
    description="Problems found in the input, by kind.",
    attributes=(AGENT_OUTCOMES_PROBLEM,),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_UNKNOWN_WORDS: Final = Instrument(
    name="agent_outcomes.processor.unknown_words",
    kind=InstrumentKind.COUNTER,
    unit="{word}",
    description="Words that no accepted spelling covers, by the attribute that held them.",
    attributes=(AGENT_OUTCOMES_FIELD,),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_SPANS_EVICTED: Final = Instrument(
    name="agent_outcomes.processor.spans_evicted",
    kind=InstrumentKind.COUNTER,
    unit="{span}",
    description="Open spans that were forgotten because there were too many of them.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_PROCESSOR_ERRORS: Final = Instrument(
    name="agent_outcomes.processor.errors",
    kind=InstrumentKind.COUNTER,
    unit="{error}",
    description="Errors of the processor itself, kept from the application, by exception class.",
    attributes=(ERROR_TYPE,),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_ACCEPTED: Final = Instrument(
    name="agent_outcomes.ledger.accepted",
    kind=InstrumentKind.COUNTER,
    unit="{event}",
    description="Events that the ledger has accepted.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_DELIVERED: Final = Instrument(
    name="agent_outcomes.ledger.delivered",
    kind=InstrumentKind.COUNTER,
    unit="{event}",
    description="Events that a receiver has confirmed.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_WAITING: Final = Instrument(
    name="agent_outcomes.ledger.waiting",
    kind=InstrumentKind.UPDOWNCOUNTER,
    unit="{event}",
    description="Events that are still to be delivered.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_DEAD: Final = Instrument(
    name="agent_outcomes.ledger.dead",
    kind=InstrumentKind.UPDOWNCOUNTER,
    unit="{event}",
    description="Dead letters, by reason; a retry takes them out again.",
    attributes=(ERROR_TYPE,),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_OLDEST_WAITING: Final = Instrument(
    name="agent_outcomes.ledger.oldest_waiting",
    kind=InstrumentKind.GAUGE,
    unit="s",
    description="How long the oldest event that is still to be delivered has waited.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_PENDING: Final = Instrument(
    name="agent_outcomes.ledger.pending",
    kind=InstrumentKind.UPDOWNCOUNTER,
    unit="{run}",
    description="Runs without a reported outcome, by how long ago they ended.",
    attributes=(AGENT_OUTCOMES_AGE,),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_HELD: Final = Instrument(
    name="agent_outcomes.ledger.held",
    kind=InstrumentKind.UPDOWNCOUNTER,
    unit="{report}",
    description="Reports that wait for their run.",
    attributes=(),
    buckets=(),
)
AGENT_OUTCOMES_LEDGER_ORPHANS: Final = Instrument(
    name="agent_outcomes.ledger.orphans",
    kind=InstrumentKind.UPDOWNCOUNTER,
    unit="{report}",
    description="Reports whose run never came.",
    attributes=(),
    buckets=(),
)

PROBLEM_BRIEFS: Final[dict[ProblemKind, str]] = {
    ProblemKind.UNKNOWN_STATUS: "The status is no known word.",
    ProblemKind.UNKNOWN_TYPE: "The outcome type is no known word.",
    ProblemKind.UNKNOWN_KIND: "The cost kind is no known word.",
    ProblemKind.UNKNOWN_ATTRIBUTE: "The vocabulary has no attribute of this name.",
    ProblemKind.STATUS_NOT_TERMINAL: "The status says that the run still goes on.",
    ProblemKind.STATUS_IS_ESCALATION: "The status names a hand-over, which was taken as the outcome type.",
    ProblemKind.STATUS_CONFLICT: "The stated status contradicts what was observed.",
    ProblemKind.INVALID_AMOUNT: "An amount is no decimal within the limits.",
    ProblemKind.INVALID_CURRENCY: "A currency is no ISO 4217 code.",
    ProblemKind.INVALID_BOOLEAN: "A value is neither true nor false.",
    ProblemKind.INVALID_TEXT: "A value is not text.",
    ProblemKind.INVALID_COUNT: "A count is no whole number within the limits.",
    ProblemKind.INVALID_METADATA: "The metadata is no JSON object within the limits.",
    ProblemKind.TEXT_TRUNCATED: "A text was cut off before or while it was taken.",
    ProblemKind.TEXT_REPAIRED: "Characters of a text that cannot be encoded were replaced.",
    ProblemKind.NEGATIVE_COST: "A cost is below zero.",
    ProblemKind.NEGATIVE_DURATION: "The run ended before it started.",
    ProblemKind.USAGE_MISMATCH: "A total differs from what it sums up, or a count is smaller than a part of it.",
    ProblemKind.USAGE_MISSING: "A model call reports neither tokens nor a cost, and no total of the run does.",
    ProblemKind.MIXED_CURRENCIES: "The costs are in several currencies, so that there is no one total.",
    ProblemKind.ATTRIBUTES_DROPPED: "The span lost attributes to a limit of the SDK.",
    ProblemKind.AMBIGUOUS_OUTCOME: "It is not clear which run an outcome belongs to.",
    ProblemKind.CONTRADICTING_OUTCOME: "Two spans of one run state different outcomes.",
    ProblemKind.NESTED_AMOUNT: "An amount stated on an agent inside the run is in no counter: its outcome is its own.",
    ProblemKind.LATE_COST: "A cost was stated after its run had been counted, whose cost stays as counted.",
    ProblemKind.LATE_USAGE: "Usage came after its run had been counted, or from below a span that is not known.",
    ProblemKind.LATE_AGENT: "An agent ended after the run it is part of had been counted; it is no run itself.",
    ProblemKind.MARKS_OVERWRITTEN: "A model call was written onto an agent's span; there may have been more of them.",
    ProblemKind.NO_CURRENT_RUN: "An outcome was recorded where no run was open.",
    ProblemKind.ENDED_AFTER_STALE: "A run ended that had been reported as stale; its status stays as counted.",
    ProblemKind.OUTCOME_OF_PAUSE: "A run that waits for a human has no outcome yet: the one stated is not counted.",
    ProblemKind.START_NOT_SEEN: "The start of the span was not seen.",
    ProblemKind.PARENT_NOT_SEEN: "One run may be part of another of its trace: the span between is not known.",
    ProblemKind.TOO_MANY_PROBLEMS: "There were more problems than are listed.",
}
"""What each kind of problem means, as a sentence."""
OUTCOME_COUNTERS: Final = (
    AGENT_RUNS,
    AGENT_RUN_COST,
    AGENT_RUN_TOKENS,
    AGENT_OUTCOMES,
    AGENT_OUTCOME_VALUE_METRIC,
    AGENT_OUTCOME_COST_METRIC,
    AGENT_OUTCOME_REVERSALS,
    AGENT_OUTCOME_REVERSAL_VALUE,
    AGENT_OUTCOME_REVERSAL_COST,
)
HEALTH_COUNTERS: Final = (
    AGENT_OUTCOMES_PROCESSOR_EVENTS,
    AGENT_OUTCOMES_PROCESSOR_DROPPED,
    AGENT_OUTCOMES_PROCESSOR_PROBLEMS,
    AGENT_OUTCOMES_PROCESSOR_UNKNOWN_WORDS,
    AGENT_OUTCOMES_PROCESSOR_SPANS_EVICTED,
    AGENT_OUTCOMES_PROCESSOR_ERRORS,
)
LEDGER_INSTRUMENTS: Final = (
    AGENT_OUTCOMES_LEDGER_ACCEPTED,
    AGENT_OUTCOMES_LEDGER_DELIVERED,
    AGENT_OUTCOMES_LEDGER_WAITING,
    AGENT_OUTCOMES_LEDGER_DEAD,
    AGENT_OUTCOMES_LEDGER_OLDEST_WAITING,
    AGENT_OUTCOMES_LEDGER_PENDING,
    AGENT_OUTCOMES_LEDGER_HELD,
    AGENT_OUTCOMES_LEDGER_ORPHANS,
)

READ_ATTRIBUTES: Final[frozenset[str]] = frozenset(
    {
        LABEL_ALIAS,
        AGENT_OUTCOME_STATUS,
        AGENT_OUTCOME_SUCCESS,
        AGENT_OUTCOME_TYPE,
        AGENT_OUTCOME_LABEL,
        AGENT_OUTCOME_VALUE,
        AGENT_OUTCOME_CURRENCY,
        AGENT_OUTCOME_COST,
        AGENT_OUTCOME_COST_CURRENCY,
        AGENT_OUTCOME_RETRYABLE,
        AGENT_OUTCOME_MESSAGE,
        AGENT_OUTCOME_ERROR_CATEGORY,
        AGENT_OUTCOME_JOB_TYPE,
        AGENT_OUTCOME_RUN_ID,
        AGENT_OUTCOME_METADATA,
        AGENT_OUTCOME_SOURCE,
        AGENT_OUTCOME_EVIDENCE,
    }
)
"""What is read from a span that carries an outcome."""
COST_ATTRIBUTES: Final[frozenset[str]] = frozenset({AGENT_COST_AMOUNT, AGENT_COST_CURRENCY, AGENT_COST_KIND})
"""What is read from any span of a run that meters a cost."""
