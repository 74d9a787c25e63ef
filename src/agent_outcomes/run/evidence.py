# SPDX-License-Identifier: Apache-2.0
"""Which evidence decides a run's status, strongest first, and what it is called in `agent.outcome.evidence`.

Order: stated status, `gen_ai.agent.finish_reason`, the error of a span whose status is ERROR or that states one in an
attribute (its class or code, else an HTTP or gRPC status on the span, else a message of a known form, else the error of
the model call that failed last), that its last answer broke off, was cut short or refused, why a framework's own event
or answer says that the run stopped, an interruption in flight on a span left UNSET and, for instrumentations that end a
failed run clean, any exception in flight; then a step that stopped to ask a human; then, for those again, the failure
of the last nested agent or model call, if nothing went well after it; then, of a span that was not set to OK, a finish
reason in no known word, which leaves it unknown; then success. A handled exception (`record_exception` on a span that
then goes on) is no failure.

So where several steps ran at once, of which one asked and others failed, the run's own span decides: the frameworks
raise a failure that nobody handled over a pause (LangGraph's runner, Pydantic AI's tool loop), so that a span that ends
clean says that it was handled, and the pause is what the run came to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.classification import (
    UNNAMED_ERROR,
    classify,
    facts_from_name,
    find_named,
    find_rule,
    find_specific,
    is_interruption,
    is_silent,
)
from agent_outcomes.outcome.codes import FINISH_REASON_RULES, STOP_RULES
from agent_outcomes.outcome.error_classes import MODEL_CALL_WRAPPERS
from agent_outcomes.outcome.error_names import SAYS_NOTHING, rule_of_http, segment_of, word_of
from agent_outcomes.outcome.errors import AWAITING_HUMAN, CANCELLED, OTHER
from agent_outcomes.outcome.finish_reasons import FinishReason
from agent_outcomes.outcome.messages import leading_status, told_by
from agent_outcomes.outcome.model import Execution
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.shown_names import is_name, shown_name
from agent_outcomes.outcome.text import encodable
from agent_outcomes.run.conventions import ANSWER, FINISH_REASON, INTERRUPTION_KEY, OPENINFERENCE_KIND, STOP_OUTPUTS
from agent_outcomes.run.findings import Finding, finding_of
from agent_outcomes.run.pauses import RUN_MARKS
from agent_outcomes.run.protocol_statuses import protocol_status
from agent_outcomes.run.scope_rules import OPENINFERENCE_SCOPE
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.stated_errors import (
    COPILOT_SESSION,
    COPILOT_STOPPED,
    FINISH_KEYS,
    INTERRUPTED,
    finish_reason,
    is_broken_off,
    stop_output,
)
from agent_outcomes.semconv import AGENT_OUTCOME_STATUS, ERROR_TYPE, Remedy, Status

if TYPE_CHECKING:
    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.run.model import AgentSpan

ENDED_CLEAN: Final = "span_end"
BROKEN_OFF: Final = "no_answer"
SPAN_ERROR: Final = "span_status:error"
STATUS_TEXT: Final = "status_text"
STATED_REASON: Final = "finish_reason"
STOP_REASON: Final = "stop_reason"
NESTED_AGENT: Final = "nested_agent"
LAST_STEP: Final = "last_step"
ANCESTOR: Final = "ancestor"
DESCENDANT: Final = "descendant"
STALE: Final = "stale"
STATED: Final = AGENT_OUTCOME_STATUS
ERROR_TYPE_LENGTH_MAX: Final = 200

# Attributes that may say how a span ended that is not marked as failed.
_TELLING_KEYS: Final = frozenset(
    {FINISH_REASON, ERROR_TYPE, INTERRUPTION_KEY, *FINISH_KEYS, *STOP_OUTPUTS, *[mark.key for mark in RUN_MARKS]}
)

_CANCELLED_WORDS: Final = frozenset({"cancelled", "canceled"})

SUCCESS: Final = Execution(Status.SUCCESS, category=None, retryable=False, remedy=Remedy.NONE)


_CLEAN: Final = Finding(SUCCESS, ENDED_CLEAN)
_UNKNOWN: Final = Execution(Status.UNKNOWN, category=None, retryable=None, remedy=None)
_STALE: Final = Finding(_UNKNOWN, STALE)
UNANSWERED: Final = Finding(_UNKNOWN, BROKEN_OFF)
"""Of a span that came to no answer and says no more."""


def infer(
    span: AgentSpan, nested: Finding | None = None, pause: Finding | None = None, failed_call: Finding | None = None
) -> Finding:
    """The status of a run nobody stated one for.

    `nested` is what its last nested agent ended with, `pause` the interrupt of a step after which the model was not
    asked again, if there was one, `failed_call` how the last model call or agent below failed, if nothing has got over
    that.
    """
    if _says_nothing(span) and nested is None and pause is None and failed_call is None:
        return _CLEAN
    reason = _agents_reason(span)
    if reason is not None and reason.rule is not None:
        return finding_of(reason.rule, f"{STATED_REASON}:{reason.word}", None)
    finished = _finished(span, failed_call)
    if span.status_code == "error":
        # Of what failed an unanswered call says less than any error.
        failed_call = None if failed_call == UNANSWERED else failed_call
        finished = finished or _stopped_by_somebody(span)
        found = _from_error_span(span, failed_call)
        return finished if finished is not None and found.execution.category == OTHER.category else found
    own = finished or _paused(span) or _stopped(span) or _in_flight(span, failed_call) or pause
    return own or _from_last_step(span, nested, failed_call) or _untold(span, reason) or _CLEAN


def infer_call(span: AgentSpan) -> Finding:
    """How a model call ended: the number that its error's message begins with is the provider's HTTP status."""
    finding = infer(span)
    if finding.execution.category != OTHER.category:
        return finding
    leading = [facts.leading for facts in (span.recorded, span.in_flight) if facts is not None]
    status = next((one for one in (*leading, leading_status(span.status_text)) if one is not None), None)
    rule = rule_of_http(status) if status is not None else None
    return finding if rule is None else finding_of(rule, f"{STATUS_TEXT}:{status}", finding.error_type or str(status))


def _says_nothing(span: AgentSpan) -> bool:
    """Whether the span has ended without any word on how, as nearly all do."""
    if span.status_code == "error" or span.in_flight is not None or span.recorded is not None:
        return False
    if span.stop_reason is not None or rules_of(span.scope).stopped_by(span.status_code) is not None:
        return False
    return _TELLING_KEYS.isdisjoint(span.attributes) and not is_broken_off(span.scope, span.name, span.attributes)


def _agents_reason(span: AgentSpan) -> FinishReason | None:
    reason = span.attributes.get(FINISH_REASON)
    return FinishReason(str.__str__(reason)) if isinstance(reason, str) else None


def _untold(span: AgentSpan, reason: FinishReason | None) -> Finding | None:
    """That nothing but a finish reason tells how a span ended that was not set to OK, and that in no known word.

    Or that it came to no answer.
    """
    if span.status_code == "unset" and is_broken_off(span.scope, span.name, span.attributes):
        return None if span.limits.has_dropped else UNANSWERED
    if reason is None or reason.is_open or span.status_code == "ok":
        return None
    word = reason.word if is_name(reason.word) else UNNAMED_ERROR
    return Finding(_UNKNOWN, f"{STATED_REASON}:{word}", problem=reason.problem)


def _finished(span: AgentSpan, failed_call: Finding | None) -> Finding | None:
    """How the last answer ended, where that says that the run did not end well."""
    found = finish_reason(span.attributes)
    if found is None:
        return None
    reason, key = found
    rule = AWAITING_HUMAN if reason == INTERRUPTED else FINISH_REASON_RULES[reason]
    if rule is OTHER and failed_call is not None:
        return _from_call(failed_call)
    return finding_of(rule, f"{key}:{reason}", None)


def _stopped_by_somebody(span: AgentSpan) -> Finding | None:
    """That the whole text of the status is the word for it, and nothing names an error.

    AgentScope sets it so in Java; within a text it may be an order that was cancelled.
    """
    if span.status_text.strip().lower() not in _CANCELLED_WORDS:
        return None
    # Copilot names a class of its own in VS Code, as its build has made it shorter.
    if COPILOT_SESSION in span.attributes:
        return finding_of(CANCELLED, STATUS_TEXT, None)
    is_named = span.in_flight is not None or _stated_name(span) is not None or _recorded(span) is not None
    return None if is_named else finding_of(CANCELLED, STATUS_TEXT, None)


def _stopped(span: AgentSpan) -> Finding | None:
    reason = span.stop_reason or stop_output(span.attributes) or rules_of(span.scope).stopped_by(span.status_code)
    rule = STOP_RULES.get(reason) if reason is not None else None
    return finding_of(rule, f"{STOP_REASON}:{reason}", None) if rule is not None else None


def infer_open(span: AgentSpan) -> Finding:
    """The status of a run that has been open for too long: what its span says by now, else unknown, as it may yet end.

    A time-out would say that somebody stopped it.
    """
    finding = infer(span)
    return _STALE if finding.evidence in (ENDED_CLEAN, BROKEN_OFF) else finding


def _in_flight(span: AgentSpan, failed_call: Finding | None) -> Finding | None:
    """What was being raised when a span ended that is not marked as failed, where that is believed."""
    is_unset = _is_as_good_as_unset(span)
    if is_unset and span.in_flight is not None and is_interruption(span.in_flight):
        return _from_facts(span.in_flight)
    interruption = span.attributes.get(INTERRUPTION_KEY)
    if is_unset and isinstance(interruption, str):
        facts = facts_from_name(str.__str__(interruption))
        if find_rule(facts) is not None and not is_silent(facts):
            return _from_facts(facts)
    rules = rules_of(span.scope)
    # Where what has failed may go on, what went well after it shows that it did.
    is_recorded = rules.records_failures and (failed_call is not None or not rules.leaves_failed_open)
    for is_believed, raised in ((rules.ends_clean, span.in_flight), (is_recorded, span.recorded)):
        if is_believed and raised is not None and not is_silent(raised):
            return _from_facts(raised)
    return None


def _is_as_good_as_unset(span: AgentSpan) -> bool:
    """Whether nobody who knows has said that the span went well.

    OpenInference's span processors, which put its words on the spans of Pydantic AI, Agent Framework and Strands, set
    to OK what is not marked as failed.
    """
    if span.status_code != "ok" or OPENINFERENCE_KIND not in span.attributes:
        return span.status_code == "unset"
    return rules_of(span.scope).is_genai and not OPENINFERENCE_SCOPE.match(span.scope)


def _from_last_step(span: AgentSpan, nested: Finding | None, failed_call: Finding | None) -> Finding | None:
    """How the last step failed, where an instrumentation is known to end a failed run clean."""
    if failed_call is None:
        return None
    if failed_call == UNANSWERED:
        # Around the framework's own spans somebody else decides what that means.
        return failed_call if span.status_code == "unset" and rules_of(span.scope).answered_keys else None
    if failed_call.evidence.startswith(COPILOT_STOPPED):
        return _from_call(failed_call)
    rules = rules_of(span.scope)
    # Whatever was done after an agent had failed, as by whoever had called it as a tool, got over that.
    if rules.fails_with_last_agent and nested is not None and nested.failed:
        return Finding(nested.execution, f"{NESTED_AGENT}:{nested.error_type or UNNAMED_ERROR}", nested.error_type)
    # Whoever leaves a stream has had enough.
    is_last = rules.fails_with_last_call or (rules.fails_with_last_step and ANSWER not in span.attributes)
    if is_last and failed_call.execution.status is not Status.CANCELLED:
        return _from_call(failed_call)
    return None


def _paused(span: AgentSpan) -> Finding | None:
    """What a span that is not marked as failed says itself of a wait for a human.

    Our own API leaves it unmarked but for `error.type`. The classes of `AWAITING_HUMAN` are raised for nothing else, so
    that one in flight is believed, too.
    """
    name = span.attributes.get(ERROR_TYPE)
    if isinstance(name, str):
        found = pause_of(str.__str__(name))
        if found is not None:
            return found
    for mark in RUN_MARKS:
        said = mark.found_in(span.attributes)
        if said is not None:
            return pause_by_mark(mark.key, said)
    return _from_facts(span.in_flight) if span.in_flight is not None and is_pause(span.in_flight) else None


def is_pause(facts: ErrorFacts) -> bool:
    """Whether the error is raised to stop a run until a human has answered."""
    rule = find_rule(facts)
    return rule is not None and rule.paused


def pause_by_mark(key: str, said: str) -> Finding:
    """A pause that an attribute tells."""
    return finding_of(AWAITING_HUMAN, f"{key}:{encodable(said, ERROR_TYPE_LENGTH_MAX)}", None)


def pause_of(error_name: str) -> Finding | None:
    """What an exception of this class says of a run that waits for a human; `None` if it is no such interrupt."""
    rule = find_rule(facts_from_name(error_name))
    if rule is None or not rule.paused:
        return None
    return finding_of(rule, f"exception:{shown_name(error_name) or UNNAMED_ERROR}", None)


def _from_error_span(span: AgentSpan, failed_call: Finding | None) -> Finding:
    recorded, stated = _recorded(span), _stated_name(span)
    if stated is not None and shown_name(stated) != stated:
        span, stated = _with_message(span, stated), shown_name(stated)
    raised = span.in_flight if span.in_flight is not None and not is_silent(span.in_flight) else None
    name = stated or (shown_name(_cut(recorded.name or "")) if recorded is not None else None) or None
    as_recorded = _as_recorded(stated, span)
    found = _named(recorded, as_recorded, raised) or _refined(_from_codes(span, name), span, name)
    # A framework's wrapper says less than a message of which the form is known.
    found = found or _from_status_text(span, name)
    for facts in (recorded, raised):
        if found is None and facts is not None and facts.told is not None:
            found = _from_facts(facts)
    if found is None and failed_call is not None and _may_be_of_a_call(name, failed_call):
        found = _from_call(failed_call)
    # A vendor's word for errors of many kinds says less than a status, wherever that stands.
    for facts in (recorded, as_recorded, raised):
        if found is None and facts is not None and find_named(facts) is not None:
            found = _from_facts(facts)
    if found is None and raised is not None:
        found = _from_facts(raised)
    if found is None and name is not None:
        found = finding_of(OTHER, f"exception:{name}", name)
    found = found or finding_of(OTHER, SPAN_ERROR, UNNAMED_ERROR)
    return found if name is None or name == found.error_type else found._replace(raised=name)


def _with_message(span: AgentSpan, message: str) -> AgentSpan:
    """The span with a message that it has for an error's name as the text of its status, if that says less."""
    return span if told_by(span.status_text) is not None else span._replace(status_text=message)


def _as_recorded(stated: str | None, span: AgentSpan) -> ErrorFacts | None:
    """What `error.type` says, with the text of the span's status for a message."""
    return facts_from_recorded(stated, span.status_text) if stated is not None else None


def _named(recorded: ErrorFacts | None, stated: ErrorFacts | None, raised: ErrorFacts | None) -> Finding | None:
    """By class or code: the recorded exception's, else the stated one's, else that of the one in flight.

    Where the one in flight is the one that is named, it knows more than its name.
    """
    for facts in (recorded, stated):
        if facts is None or facts.name is None or find_specific(facts) is None:
            continue
        if raised is not None and _is_same(raised.name, facts.name) and find_specific(raised) is not None:
            return _from_facts(raised, facts.name)
        return _from_facts(facts)
    return _from_facts(raised) if raised is not None and find_specific(raised) is not None else None


def _from_codes(span: AgentSpan, name: str | None) -> Finding | None:
    """By the status of HTTP or gRPC that a span carries, which says nothing if it is that of a success."""
    found = protocol_status(span.attributes)
    if found is None:
        return None
    rule, key, code = found
    shown = shown_name(code) or UNNAMED_ERROR
    return finding_of(rule, f"{key}:{shown}", name or shown)


def _refined(found: Finding | None, span: AgentSpan, name: str | None) -> Finding | None:
    """What a status says, or a provider's own sentence beside it."""
    recorded = span.recorded.told if span.recorded is not None else None
    said = next((one for one in (recorded, told_by(span.status_text, name)) if one is not None and one.is_said), None)
    return found if found is None or said is None else finding_of(said.rule, STATUS_TEXT, name or found.error_type)


def _from_status_text(span: AgentSpan, name: str | None) -> Finding | None:
    told = told_by(span.status_text, name)
    if told is None:
        return None
    if told.code is None:
        return finding_of(told.rule, STATUS_TEXT, name or UNNAMED_ERROR)
    return finding_of(told.rule, f"{STATUS_TEXT}:{told.code}", told.code)


def _from_call(failed_call: Finding) -> Finding:
    return failed_call._replace(evidence=f"{LAST_STEP}:{failed_call.error_type or UNNAMED_ERROR}", paused=False)


def _may_be_of_a_call(name: str | None, failed_call: Finding) -> bool:
    """Whether an error that no row knows may be that of the last model call: it has no name, the same, or a wrapper's.

    A sentence is no name.
    """
    if name is None or " " in name or word_of(name) in SAYS_NOTHING:
        return True
    is_same = _is_same(name, failed_call.error_type) or _is_same(name, failed_call.raised)
    return is_same or segment_of(name) in MODEL_CALL_WRAPPERS


def _is_same(one: str | None, other: str | None) -> bool:
    """Whether two names are of one class, as far as their last segments tell."""
    return one is not None and other is not None and segment_of(one) == segment_of(other)


def _recorded(span: AgentSpan) -> ErrorFacts | None:
    if span.recorded is not None:
        return span.recorded
    return facts_from_name(span.exception_types[-1]) if span.exception_types else None


def _stated_name(span: AgentSpan) -> str | None:
    error_type = span.attributes.get(ERROR_TYPE)
    stated = _cut(error_type) if isinstance(error_type, str) else ""
    return stated if stated and stated != UNNAMED_ERROR else None


def _from_facts(facts: ErrorFacts, called: str | None = None) -> Finding:
    name = shown_name(_cut(called or facts.name or UNNAMED_ERROR)) or UNNAMED_ERROR
    return finding_of(classify(facts), f"exception:{name}", name)


def _cut(text: str) -> str:
    return encodable(text, ERROR_TYPE_LENGTH_MAX)
