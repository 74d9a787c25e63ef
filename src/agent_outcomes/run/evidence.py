# SPDX-License-Identifier: Apache-2.0
"""Which evidence decides a run's status, strongest first, and what it is called in `agent.outcome.evidence`.

Order: stated status, `gen_ai.agent.finish_reason`, the error of a span whose status is ERROR (its class, else a message
of a known form), why a framework's own event says that the run stopped, an interruption in flight on a span left UNSET;
then, for instrumentations that end a failed run clean, any exception in flight or the last nested agent's failure; then
success. A handled exception (`record_exception` on a span that then goes on) is no failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.outcome.classification import (
    UNNAMED_ERROR,
    classify,
    facts_from_name,
    find_rule,
    is_interruption,
    is_silent,
)
from agent_outcomes.outcome.codes import FINISH_REASON_RULES, STOP_RULES, TEXT_RULES
from agent_outcomes.outcome.errors import OTHER, Classification
from agent_outcomes.outcome.model import Execution
from agent_outcomes.outcome.text import encodable
from agent_outcomes.run.conventions import FINISH_REASON, INTERRUPTION_KEY
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.semconv import AGENT_OUTCOME_STATUS, ERROR_TYPE, Remedy, Status

if TYPE_CHECKING:
    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.run.model import AgentSpan

ENDED_CLEAN: Final = "span_end"
SPAN_ERROR: Final = "span_status:error"
STATUS_TEXT: Final = "status_text"
STOP_REASON: Final = "stop_reason"
ANCESTOR: Final = "ancestor"
DESCENDANT: Final = "descendant"
STALE: Final = "stale"
STATED: Final = AGENT_OUTCOME_STATUS
ERROR_TYPE_LENGTH_MAX: Final = 200

SUCCESS: Final = Execution(Status.SUCCESS, category=None, retryable=False, remedy=Remedy.NONE)


class Finding(NamedTuple):
    """The inferred execution of a run, the evidence that decided it and the error's class if there is one.

    `paused` marks a human-in-the-loop interrupt: the run goes on later and has no outcome yet.
    """

    execution: Execution
    evidence: str
    error_type: str | None = None
    paused: bool = False

    @property
    def failed(self) -> bool:
        """Whether the run did not end well."""
        return self.execution.status is not Status.SUCCESS


_CLEAN: Final = Finding(SUCCESS, ENDED_CLEAN)
_STALE: Final = Finding(Execution(Status.UNKNOWN, category=None, retryable=None, remedy=None), STALE)


def infer(span: AgentSpan, nested: Finding | None = None, pause: Finding | None = None) -> Finding:
    """The status of a run nobody stated one for.

    `nested` is what its last nested agent ended with, `pause` the interrupt that its last step ended with, if it did.
    """
    reason = span.attributes.get(FINISH_REASON)
    if isinstance(reason, str):
        reason = str.__str__(reason)
        rule = FINISH_REASON_RULES.get(reason)
        if rule is not None:
            return _finding(rule, f"finish_reason:{reason}", None)
    if span.status_code == "error":
        return _from_error_span(span)
    return _paused(span) or pause or _stopped(span) or _from_unset_span(span, nested)


def _stopped(span: AgentSpan) -> Finding | None:
    rule = STOP_RULES.get(span.stop_reason) if span.stop_reason is not None else None
    return _finding(rule, f"{STOP_REASON}:{span.stop_reason}", None) if rule is not None else None


def infer_open(span: AgentSpan) -> Finding:
    """The status of a run that has been open for too long: what its span says by now, else unknown, as it may yet end.

    A time-out would say that somebody stopped it.
    """
    finding = infer(span)
    return _STALE if finding.evidence == ENDED_CLEAN else finding


def _from_unset_span(span: AgentSpan, nested: Finding | None) -> Finding:
    if span.status_code == "unset" and span.in_flight is not None and is_interruption(span.in_flight):
        return _from_facts(span.in_flight)
    interruption = span.attributes.get(INTERRUPTION_KEY)
    if span.status_code == "unset" and isinstance(interruption, str):
        facts = facts_from_name(str.__str__(interruption))
        if find_rule(facts) is not None and not is_silent(facts):
            return _from_facts(facts)
    rules = rules_of(span.scope)
    if rules.ends_clean and span.in_flight is not None and not is_silent(span.in_flight):
        return _from_facts(span.in_flight)
    if rules.fails_with_last_agent and nested is not None and nested.failed:
        return Finding(nested.execution, f"nested_agent:{nested.error_type or UNNAMED_ERROR}", nested.error_type)
    return _CLEAN


def _paused(span: AgentSpan) -> Finding | None:
    """Our own API leaves the span of a run that waits for a human unmarked but for `error.type`."""
    name = span.attributes.get(ERROR_TYPE)
    return pause_of(str.__str__(name)) if isinstance(name, str) else None


def pause_of(error_name: str) -> Finding | None:
    """What an exception of this class says of a run that waits for a human; `None` if it is no such interrupt."""
    rule = find_rule(facts_from_name(error_name))
    return _finding(rule, f"exception:{error_name}", None) if rule is not None and rule.paused else None


def _from_error_span(span: AgentSpan) -> Finding:
    named = _named_error(span)
    facts = facts_from_name(named) if named else None
    raised = span.in_flight if span.in_flight is not None and not is_silent(span.in_flight) else None
    if facts is None or find_rule(facts) is None:
        # A framework's wrapper says less than the exception in flight, whose causes lead to the class that matters,
        # and that says less than a message of which the form is known.
        told = _from_status_text(span) if raised is None or find_rule(raised) is None else None
        if told is not None:
            return told
        if raised is not None:
            return _from_facts(raised)
    if facts is not None and named is not None:
        return _finding(classify(facts), f"exception:{named}", named)
    return _finding(OTHER, SPAN_ERROR, UNNAMED_ERROR)


def _from_status_text(span: AgentSpan) -> Finding | None:
    for pattern, rule in TEXT_RULES:
        found = pattern.match(span.status_text)
        if found is None:
            continue
        if rule is not None:
            return _finding(rule, STATUS_TEXT, _named_error(span) or UNNAMED_ERROR)
        code = found[1]
        return _finding(classify(facts_from_name(code)), f"{STATUS_TEXT}:{code}", code)
    return None


def _named_error(span: AgentSpan) -> str | None:
    error_type = span.attributes.get(ERROR_TYPE)
    stated = encodable(error_type, ERROR_TYPE_LENGTH_MAX) if isinstance(error_type, str) else ""
    recorded = encodable(span.exception_types[-1], ERROR_TYPE_LENGTH_MAX) if span.exception_types else ""
    if recorded and find_rule(facts_from_name(recorded)) is not None:
        return recorded
    if stated and stated != UNNAMED_ERROR:
        return stated
    return recorded or None


def _from_facts(facts: ErrorFacts) -> Finding:
    name = encodable(facts.name or UNNAMED_ERROR, ERROR_TYPE_LENGTH_MAX)
    return _finding(classify(facts), f"exception:{name}", name)


def _finding(rule: Classification, evidence: str, error_type: str | None) -> Finding:
    execution = Execution(rule.status, rule.category or None, rule.retryable, rule.remedy)
    return Finding(execution, evidence, error_type, rule.paused)
