# SPDX-License-Identifier: Apache-2.0
"""From an ended agent span with what lies below it to what is emitted: a settlement, or a handoff of the run above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.record.handoffs import Handoff, named_by
from agent_outcomes.record.pauses import settlement_for
from agent_outcomes.run.conventions import GENKIT_SUBTYPE, Role, adds_up_calls
from agent_outcomes.run.evidence import UNANSWERED, infer, infer_call, infer_open
from agent_outcomes.run.normalize import Below, has_default_name, normalize
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.spans.gathered import WENT_WELL, Candidate, FailureBelow, Gathered, StepEnd
from agent_outcomes.spans.leaving import agent_name_of, beside_calls, handed_off, tally_of
from agent_outcomes.spans.marks import Likeness, pause_in, relays_pause
from agent_outcomes.spans.open_spans import caller_id_of

if TYPE_CHECKING:
    from typing import Any

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.run.findings import Finding
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.run.tally import Tally
    from agent_outcomes.spans.facts import SpanFacts, SpanIds
    from agent_outcomes.spans.open_spans import OpenSpan


def step_end_of(span: SpanFacts, attributes: dict[str, Any], role: Role, error: BaseException | None) -> StepEnd:
    """How a span of this role ended that is no agent; `error` is what was in flight and had not been at its start."""
    pause = pause_in(span, attributes, error)
    failure = None
    if span.has_failed and (role is Role.MODEL or rules_of(span.scope).fails_with_last_step):
        in_flight = facts_from_exception(error) if error is not None else None
        failure = FailureBelow(infer_call(span.snapshot(attributes, in_flight)), span.scope)
    if role is Role.MODEL:
        if not (span.has_failed or span.has_succeeded or error is not None):
            failure = _unanswered(span, attributes)
        return StepEnd(pause, failure, has_failed=span.has_failed, is_model_call=True)
    relays, is_sum = relays_pause(span), adds_up_calls(attributes)
    if span.has_failed or pause is not None or relays or is_sum:
        return StepEnd(pause, failure, has_failed=span.has_failed, relays_pause=relays, adds_up=is_sum)
    return WENT_WELL


def _unanswered(span: SpanFacts, attributes: dict[str, Any]) -> FailureBelow | None:
    is_bare = rules_of(span.scope).is_unanswered(attributes, span.name)
    return FailureBelow(UNANSWERED, span.scope) if is_bare else None


def prepare_to_wait(candidate: Candidate) -> None:
    """Work out what the candidate comes to as a run and below one, and let go of what its span holds."""
    if candidate.settlement is None:
        candidate.left = handed_off(candidate)
        candidate.settlement = settlement_of(candidate)
        candidate.span = candidate.span._replace(attributes={}, exception_types=(), status_text="", recorded=None)


def settlement_of(candidate: Candidate) -> Settlement:
    """The run that the candidate is, and its outcome; a run that waits for a human is marked as paused."""
    if candidate.settlement is not None:
        return candidate.settlement
    gathered, span = candidate.gathered, candidate.span
    agent_name = gathered.agent_name
    if agent_name is not None and candidate.likeness is Likeness.BY_MARK:
        is_named_below = rules_of(span.scope).is_named_below(span.name) or has_default_name(span)
        agent_name = agent_name if is_named_below else None
    below = Below(
        # Only read, so that it need not be a copy.
        gathered.whole() if candidate.own is None else tally_of(candidate),
        gathered.stated,
        gathered.contradicted,
        gathered.nested,
        agent_name,
        candidate.is_open,
        candidate.start_seen,
        candidate.caller_id,
    )
    run, outcome = normalize(span, below, candidate.finding)
    settlement = settlement_for(run, outcome, candidate.context, has_asked=candidate.finding.paused)
    if gathered.handoffs:
        settlement.handoffs = named_by(gathered.handoffs, run.agent_name)
        settlement.handoffs_lost = gathered.handoffs_lost
    return settlement


def ended_candidate(
    node: OpenSpan | None,
    span: AgentSpan,
    context: SpanIds,
    likeness: Likeness,
    own: Tally | None,
    *,
    gathered: Gathered,
    is_open: bool,
    keeps_handoffs: bool,
) -> Candidate:
    """A span that has ended as a candidate, with what it has gathered; it may turn out to be a nested agent."""
    failure = gathered.failure
    # A failure that was handled may still be what the run then failed of, but fails none that ended clean.
    if failure is not None and failure.is_handled and span.status_code != "error":
        failure = None
    failed = failure.finding if failure is not None else None
    nested = failed if failure is not None and failure.is_agent else None
    finding = infer(span, nested, _pause_below(span, gathered), failed)
    may_be_nested = keeps_handoffs and node is not None and node.parent is not None
    return Candidate(
        span,
        context,
        likeness,
        finding,
        gathered=gathered,
        own=beside_calls(own, gathered, span),
        is_open=is_open,
        start_seen=node is not None,
        handoff=handoff_of(span, gathered, likeness, finding) if may_be_nested else None,
        caller_id=caller_id_of(node),
    )


def _pause_below(span: AgentSpan, gathered: Gathered) -> Finding | None:
    """The pause of a step right below; that of an agent below only where it is that of this span, too.

    That is, the same agent seen twice, or the last one of a graph or swarm that says nothing itself of how it stopped.
    """
    nested = gathered.nested
    if gathered.pause is not None or nested is None or not nested.paused:
        return gathered.pause
    rules = rules_of(span.scope)
    subtype = span.attributes.get(GENKIT_SUBTYPE)
    is_flow = isinstance(subtype, str) and str.__str__(subtype) == "flow"
    if rules.pauses_with_last_agent and (is_flow or rules.is_root(span.attributes, span.name)):
        return nested
    return nested if gathered.agent_name == agent_name_of(span) else None


def open_candidate(
    node: OpenSpan, span: AgentSpan, likeness: Likeness, own: Tally | None, gathered: Gathered
) -> Candidate:
    """A span that has been open for too long as a candidate, with what it has gathered so far."""
    return Candidate(
        span=span,
        context=node.context,
        likeness=likeness,
        finding=infer_open(span),
        gathered=gathered,
        own=beside_calls(own, gathered, span),
        is_open=True,
        start_seen=True,
        caller_id=caller_id_of(node),
    )


def handoff_of(span: AgentSpan, gathered: Gathered, likeness: Likeness, finding: Finding) -> Handoff | None:
    """How an agent that may turn out to be nested has done; `None` for a span that only states the run's outcome.

    A client's span is the call of an agent in another process, of which at most a request is seen here; AutoGen marks
    the agents of its own process so, too, and what they do is.
    """
    if likeness is Likeness.BY_OUTCOME:
        return None
    callee, outcome = normalize(span, Below(stated=gathered.stated, nested=gathered.nested), finding)
    return Handoff(callee, outcome, remote=not span.internal and not gathered.has_agent_work)
