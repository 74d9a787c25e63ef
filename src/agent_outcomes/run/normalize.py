# SPDX-License-Identifier: Apache-2.0
"""From an ended agent span and the usage below it to a run and its outcome: pure, total and deterministic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.fields import Fields
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, PROBLEMS_MAX, AttributeReader, Problem
from agent_outcomes.outcome.errors import OTHER
from agent_outcomes.outcome.model import Execution, Outcome, business_fields, new_outcome
from agent_outcomes.run.conventions import (
    DEFAULT_NAMES,
    FINISH_REASON,
    MLFLOW_KIND,
    NAME_PREFIX,
    is_generated_name,
    text_of_json,
)
from agent_outcomes.run.evidence import ANCESTOR, DESCENDANT, ENDED_CLEAN, STATED, infer
from agent_outcomes.run.folding import read_stated
from agent_outcomes.run.model import Cost, CostPart, Run
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.tally import cost_of, problems_of, totals_of
from agent_outcomes.run.usage_keys import REQUEST_MODEL_KEYS
from agent_outcomes.semconv import CostKind, CostSource, ErrorCategory, ProblemKind, Remedy, Source, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from agent_outcomes.outcome.statement import Statement
    from agent_outcomes.run.findings import Finding
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.run.tally import Tally

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_SUCCESS: Final = Status.SUCCESS
_PARTIAL: Final = Status.PARTIAL
_EXPLICIT: Final = Source.EXPLICIT
_CONVERSATION_ID: Final = semconv.GEN_AI_CONVERSATION_ID
_STATUS_RULES: Final[Mapping[Status, Execution]] = {
    Status.SUCCESS: Execution(Status.SUCCESS, None, retryable=False, remedy=Remedy.NONE),
    Status.PARTIAL: Execution(Status.PARTIAL, None, retryable=False, remedy=None),
    Status.FAILURE: Execution(Status.FAILURE, None, retryable=None, remedy=None),
    Status.TIMEOUT: Execution(Status.TIMEOUT, ErrorCategory.TIMEOUT.value, retryable=True, remedy=Remedy.RETRY),
    Status.CANCELLED: Execution(Status.CANCELLED, ErrorCategory.CANCELLED.value, retryable=False, remedy=Remedy.NONE),
    Status.INVALID_OUTPUT: Execution(
        Status.INVALID_OUTPUT, ErrorCategory.VALIDATION.value, retryable=True, remedy=Remedy.RETRY
    ),
    Status.UNKNOWN: Execution(Status.UNKNOWN, None, retryable=None, remedy=None),
}


class Below(Fields):
    """What the spans below a run contribute to it.

    `stated` are `agent.outcome.*` attributes that were set on a span inside the run; `contradicted` says that two of
    those spans differed. `agent_name` is that of a nested agent, for a run that nobody has named. `caller_id` is
    the span of another process above the run, as trace and span id in hex joined by a dash.
    """

    __slots__ = ("agent_name", "caller_id", "contradicted", "is_open", "nested", "start_seen", "stated", "tally")

    def __init__(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
        self,
        tally: Tally | None = None,
        stated: Mapping[str, Any] | None = None,
        contradicted: bool = False,  # noqa: FBT001, FBT002 - as said
        nested: Finding | None = None,
        agent_name: str | None = None,
        is_open: bool = False,  # noqa: FBT001, FBT002 - as said
        start_seen: bool = True,  # noqa: FBT001, FBT002 - as said
        caller_id: str | None = None,
    ) -> None:
        self.tally = tally
        self.stated = stated
        self.contradicted = contradicted
        self.nested = nested
        self.agent_name = agent_name
        self.is_open = is_open
        self.start_seen = start_seen
        self.caller_id = caller_id


def normalize(span: AgentSpan, below: Below, finding: Finding | None = None) -> tuple[Run, Outcome]:
    """The run and the outcome that a span (with what lies below it) amounts to.

    Reads the vocabulary's "read from spans" attributes, the conventions' agent name, agent and conversation ids,
    finish reason and error type. `finding` is the inferred status where it has been inferred already. Never raises:
    what cannot be taken is listed in the outcome's `problems`.
    """
    statement, differ = read_stated(span, below.stated)
    problems = [*statement.problems]
    _add_problems_of_span(problems, span, below, contradicted=below.contradicted or differ)
    run = _run(span, below, statement, problems)
    return run, _outcome(span, below, statement, finding or infer(span, below.nested), problems)


def revise(run: Run, outcome: Outcome, statement: Statement) -> Outcome:
    """The outcome with the business result that was stated on an outer span; status and cost stay as counted."""
    conflict = statement.status is not None and statement.status.status not in (None, outcome.status)
    problems = (Problem(ProblemKind.STATUS_CONFLICT, semconv.AGENT_OUTCOME_STATUS),) if conflict else ()
    fields = business_fields(statement)
    if fields["metadata"] is None:
        fields["metadata"] = outcome.metadata
    if fields["message"] is None:
        fields["message"] = outcome.message
    return replace(
        outcome,
        **fields,
        evidence=ANCESTOR,
        problems=(*statement.problems, *problems, *late_cost(run, statement)),
        refused=statement.refused,
    )


def late_cost(run: Run, statement: Statement) -> tuple[Problem, ...]:
    """The stated cost of a run that has been counted with another one, as a problem."""
    if statement.cost is None or run.cost == _explicit_cost(statement.cost, statement.cost_currency):
        return ()
    return (Problem(ProblemKind.LATE_COST, semconv.AGENT_OUTCOME_COST),)


def _outcome(span: AgentSpan, below: Below, statement: Statement, finding: Finding, problems: list[Problem]) -> Outcome:
    stated = statement.status.status if statement.status is not None else None
    is_outdone = _knows_less(statement, finding)
    execution, source, evidence, error_type = _decide(statement, None if is_outdone else stated, finding)
    if statement.error_category is not None and not is_outdone:
        execution = execution.with_category(statement.error_category)
    if statement.retryable is not None:
        execution = execution.with_retryable(stated=statement.retryable)
    evidence = _with_descendant(evidence, below)
    if source is _EXPLICIT:
        problems += _conflicts(span, stated, finding)
    elif finding.problem is not None and stated is None:
        problems.append(Problem(finding.problem, FINISH_REASON))
    return new_outcome(
        execution,
        statement,
        error_type,
        source,
        evidence,
        tuple(dict.fromkeys(problems))[: PROBLEMS_MAX + 1] if problems else (),
    )


def _knows_less(statement: Statement, finding: Finding) -> bool:
    """Whether our own API has seen no more than an exception that no row names, and the spans tell what it was."""
    is_unnamed = statement.source is Source.INFERRED and statement.error_category == OTHER.category
    return is_unnamed and finding.failed and finding.execution.category not in (None, OTHER.category)


def _decide(statement: Statement, stated: Status | None, finding: Finding) -> tuple[Execution, Source, str, str | None]:
    if stated is None or statement.status is None:
        return finding.execution, Source.INFERRED, finding.evidence, finding.error_type
    execution = _explained(stated, finding)
    if statement.status.category is not None:
        execution = execution.with_category(statement.status.category.value)
    error_type = finding.error_type if finding.failed and stated is not _SUCCESS else None
    return execution, statement.source or _EXPLICIT, statement.evidence or STATED, _seen_by_api(statement) or error_type


def _seen_by_api(statement: Statement) -> str | None:
    """The class of the exception that our own API has seen itself; of a call below, a span may tell of another."""
    if statement.source is not Source.INFERRED or statement.evidence is None:
        return None
    rule, _, name = statement.evidence.partition(":")
    return name if rule == "exception" and name else None


def _explained(stated: Status, finding: Finding) -> Execution:
    """A stated status with the reasons that the span's own error gives for it."""
    if finding.execution.status is stated:
        return finding.execution
    if stated is Status.FAILURE and finding.failed and finding.error_type is not None:
        return finding.execution._replace(status=stated)
    return _STATUS_RULES[stated]


def _with_descendant(evidence: str, below: Below) -> str:
    if not below.stated:
        return evidence
    return DESCENDANT if evidence in (ENDED_CLEAN, STATED) else f"{evidence},{DESCENDANT}"


def _conflicts(span: AgentSpan, stated: Status | None, finding: Finding) -> tuple[Problem, ...]:
    escaped = span.status_code == "error" and finding.error_type is not None
    if stated in (_SUCCESS, _PARTIAL) and escaped and finding.failed:
        return (Problem(ProblemKind.STATUS_CONFLICT, semconv.AGENT_OUTCOME_STATUS),)
    return ()


def _add_problems_of_span(problems: list[Problem], span: AgentSpan, below: Below, *, contradicted: bool) -> None:
    if below.tally is not None:
        problems += problems_of(below.tally)
    if span.limits.has_dropped:
        problems.append(Problem(ProblemKind.ATTRIBUTES_DROPPED))
    if contradicted:
        problems.append(Problem(ProblemKind.CONTRADICTING_OUTCOME))
    if not below.start_seen:
        problems.append(Problem(ProblemKind.START_NOT_SEEN))
    if _has_calls_beside(span, below):
        problems.append(Problem(ProblemKind.USAGE_MISSING))


def _has_calls_beside(span: AgentSpan, below: Below) -> bool:
    """Whether the calls of the run stand elsewhere in its trace, as nothing of them is below it."""
    return rules_of(span.scope).calls_beside and (below.tally is None or not below.tally.model_calls)


def _run(span: AgentSpan, below: Below, statement: Statement, problems: list[Problem]) -> Run:
    attributes = span.attributes
    reader = AttributeReader(attributes)
    duration_s = (span.end_ns - span.start_ns) / 1e9 if span.end_ns >= span.start_ns else None
    if duration_s is None:
        problems.append(Problem(ProblemKind.NEGATIVE_DURATION))
    if statement.cost is not None:
        cost = _explicit_cost(statement.cost, statement.cost_currency)
    else:
        has_more = below.is_open or not below.start_seen or _has_calls_beside(span, below)
        cost = cost_of(below.tally, open_below=has_more)
        if len(cost.parts) > 1 and len(cost.by_currency()) > 1:
            problems.append(Problem(ProblemKind.MIXED_CURRENCIES))
    run = Run(
        span.trace_id,
        span.span_id,
        span.trace_flags,
        span.end_ns,
        _agent_name(span, below, reader),
        _plain_text(span, reader, semconv.GEN_AI_AGENT_ID) if semconv.GEN_AI_AGENT_ID in attributes else None,
        _plain_text(span, reader, _CONVERSATION_ID) if _CONVERSATION_ID in attributes else None,
        statement.job_type,
        statement.run_id,
        duration_s,
        totals_of(below.tally),
        cost,
        below.caller_id,
    )
    problems += reader.problems
    return run


def _explicit_cost(amount: Decimal, currency: str) -> Cost:
    return Cost((CostPart(CostKind.OTHER, currency, amount),), CostSource.EXPLICIT, complete=True)


def stated_agent_name(span: AgentSpan, reader: AttributeReader) -> str | None:
    """The name that a span's attributes give to its agent; `None` if they give none that anybody chose."""
    for key in rules_of(span.scope).agent_name_keys():
        name = _plain_text(span, reader, key)
        if name is not None and not is_generated_name(name):
            return name
    return None


def _plain_text(span: AgentSpan, reader: AttributeReader, key: str) -> str | None:
    text = reader.text(key)
    return text if text is None or MLFLOW_KIND not in span.attributes else text_of_json(text)


def _agent_name(span: AgentSpan, below: Below, reader: AttributeReader) -> str | None:
    stated = stated_agent_name(span, reader)
    if stated is not None and stated not in DEFAULT_NAMES:
        return stated
    if below.agent_name is not None or stated is not None:
        return below.agent_name or stated
    # The name of a server, client or messaging span is that of an endpoint, unless it says that it is an agent's.
    is_agents = span.internal or NAME_PREFIX.match(span.name) is not None
    name = rules_of(span.scope).agent_name_in(span.name[:LABEL_LENGTH_MAX]) if is_agents else None
    # Where an agent has no name some put the model's in its place.
    return None if any(name == span.attributes.get(key) for key in REQUEST_MODEL_KEYS) else name


def has_default_name(span: AgentSpan) -> bool:
    """Whether a span names its agent by what its framework calls every run, so that the first agent in it says more."""
    return stated_agent_name(span, AttributeReader(span.attributes)) in DEFAULT_NAMES
