# SPDX-License-Identifier: Apache-2.0
"""What an ended span leaves with the open one above it, and how all that is left there adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, AttributeReader, Problem
from agent_outcomes.outcome.errors import OTHER
from agent_outcomes.record.handoffs import named_by
from agent_outcomes.run.aggregates import cover_agent, cover_call, cover_span
from agent_outcomes.run.calls import MODEL_CALLS
from agent_outcomes.run.conventions import DEFAULT_NAMES, Role
from agent_outcomes.run.evidence import UNANSWERED
from agent_outcomes.run.folding import nested_amounts, stated_for_run
from agent_outcomes.run.normalize import stated_agent_name
from agent_outcomes.run.scopes import LIFETIME_MARK, rules_of
from agent_outcomes.run.tally import USAGE_MISSING, Tally
from agent_outcomes.semconv import ProblemKind, Status
from agent_outcomes.spans.gathered import WENT_WELL, FailureBelow, Gathered, added
from agent_outcomes.spans.marks import Likeness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_outcomes.run.findings import Finding
    from agent_outcomes.run.leaves import Plan
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.gathered import Candidate, Item, StepEnd

CALL_ON_AGENT: Final = Problem(ProblemKind.MARKS_OVERWRITTEN)


def beside_calls(own: Tally | None, gathered: Gathered, span: AgentSpan) -> Tally | None:
    """An agent's own figures, without what the spans of its calls tell better.

    Those of one call are no sign of others where calls of the agent report as much; nor is anything missing of the
    total of an object's whole life where each of its calls has been seen.
    """
    below = None if own is None else gathered.zone()
    if own is None or below is None or not below.model_calls:
        return own
    own = _without_lifetime(own, below, span)
    if not own.problems or CALL_ON_AGENT not in own.problems:
        return own
    if any(count is not None and count > (below.tokens[index] or 0) for index, count in enumerate(own.tokens)):
        return own
    # What one of several calls has cost says nothing of what the others have.
    if own.reported is not None and below.model_calls > 1 and below.unpriced > 0:
        return own
    return _without_problem(own, CALL_ON_AGENT)


def _without_lifetime(own: Tally, below: Tally, span: AgentSpan) -> Tally:
    """An agent's own figures, without the total of its object's whole life if each of its calls says what it used."""
    if below.missing > 0:
        return own
    if own.problems and USAGE_MISSING in own.problems:
        return _without_problem(own, USAGE_MISSING)
    if LIFETIME_MARK not in span.attributes or own.model_calls:
        return own
    seen = own.copy()
    seen.tokens = [None] * len(own.tokens)
    return seen


def _without_problem(own: Tally, problem: Problem) -> Tally:
    seen = own.copy()
    seen.problems = {one: None for one in own.problems or () if one != problem} or None
    return seen


def fold(before: Gathered | None, items: Iterable[Gathered | Item], waiting: Iterable[Candidate] = ()) -> Gathered:
    """Everything that a span has been left, in order; the agents in `waiting` are folded in as called by it."""
    whole = Gathered()
    notable: list[Gathered] = []
    if before is not None:
        whole.absorb(before)
        notable.append(before)
    leaves: dict[Plan, list[Item]] = {}
    for item in items:
        if type(item) is tuple:
            held = leaves.get(item[0])
            if held is None:
                leaves[item[0]] = [item]
            else:
                held.append(item)
        else:
            whole.absorb(item)  # type: ignore[arg-type]  # mypy does not narrow by type()
            if item.pause is not None or item.failure is not None:  # type: ignore[union-attr]  # likewise
                notable.append(item)  # type: ignore[arg-type]  # likewise
    if notable:
        _note(whole, notable, before, items)
    for plan, items_of_plan in leaves.items():
        whole.add_leaves(plan, items_of_plan)
    for candidate in waiting:
        handed = handed_off(candidate)
        whole.absorb(handed)
        whole.failure = _last_failure(whole, (handed,))
    return whole


def _note(whole: Gathered, notable: list[Gathered], before: Gathered | None, items: Iterable[Gathered | Item]) -> None:
    """Take the last pause of these, if it is not over, and how the last call failed, if nothing got over that."""
    pause = _open_pause(before, items) if any(one.pause is not None for one in notable) else None
    if pause is not None:
        whole.pause = pause
    failure = _last_failure(before, items)
    if failure is not None:
        whole.failure = failure


def _open_pause(before: Gathered | None, items: Iterable[Gathered | Item]) -> Finding | None:
    """The pause of a step right below after which the model was not called again: else the run has gone on.

    The steps that a model has called for run at once, so that another one which ends later says nothing.
    """
    pause = before.pause if before is not None else None
    for item in items:
        if isinstance(item, Gathered):
            pause = item.pause or (None if item.is_model_call else pause)
        elif item[0].role is Role.MODEL:
            pause = None
    return pause


def _last_failure(before: Gathered | None, items: Iterable[Gathered | Item]) -> FailureBelow | None:
    """How the last call or agent failed; whatever was done after it shows that the run got over it.

    Not what comes late from below an agent that has ended: that was done before the agent failed, or by nobody.
    """
    failure = before.failure if before is not None else None
    for item in items:
        if isinstance(item, tuple):
            failure = None
        elif item.failure is not None or item.nested is not None or (item.has_usage and not item.has_late):
            failure = item.failure
    return failure


def passed_on(gathered: Gathered, own: Tally | None, end: StepEnd = WENT_WELL) -> Gathered:
    """What an ended span that is no agent leaves with the one above it."""
    left = Gathered()
    left.absorb(gathered)
    if end.stated:
        left.add_stated(end.stated)
    if own is not None:
        _lay_over(left, own)
    if end.is_model_call:
        left.is_model_call = True
    pause = gathered.pause if end.relays_pause and end.pause is None else end.pause
    if pause is not None:
        left.pause = pause
    failure = _failure_of(gathered, own, end)
    if failure is not None:
        left.failure = failure
    return left


def _lay_over(left: Gathered, own: Tally) -> None:
    """Lay what a span that is no agent reports over what it leaves."""
    if own.model_calls:
        _lay_call_over(left, own.copy())
        return
    # The sums may be the very ones that are changed.
    below = left.sums().whole.copy()
    if own.tool_calls:
        left.by_tools = left.zone() or Tally()
        cover_span(left.by_tools, below, own)
        left.tally = left.by_tools.take_metered()
    else:
        left.tally = left.tally or Tally()
        cover_span(left.tally, below, own)
        if own.calls is not None and below.calls is None:
            left.tally.calls = own.calls.copy()


def _lay_call_over(left: Gathered, own: Tally) -> None:
    """Lay a model call over what it leaves; a call of another kind is no part of it, whatever lies between."""
    below = left.tally or Tally()
    kinds = set() if own.calls is None else {call.kind for call in own.calls.listed()}
    apart = [below.take_out(kind) for kind in MODEL_CALLS - kinds]
    found = [one for one in apart if one is not None]
    cover_call(below, own, encloses=bool(found or left.by_tools or left.by_agents))
    left.tally = below
    for one in found:
        left.by_tools = added(left.by_tools, one)


def _failure_of(gathered: Gathered, own: Tally | None, end: StepEnd) -> FailureBelow | None:
    """How a step, or what lies below it, failed: a call or a tool that went well got over it, a mere step did not."""
    if end.failure is None:
        return gathered.failure if end.has_failed or own is None or own.is_only_unpriced else None
    # Of one call seen twice the inner span is the one that knows the provider's error.
    is_unnamed = end.failure.finding.execution.category == OTHER.category
    return gathered.failure if is_unnamed and gathered.failure is not None else end.failure


def tally_of(candidate: Candidate) -> Tally | None:
    """Usage of a candidate's span and everything below it, each call once; one to change."""
    gathered, own = candidate.gathered, candidate.own
    # A model call that was written onto an agent's span is no total of it, but one call around what lies below.
    if own is not None and (candidate.likeness is Likeness.BY_OUTCOME or own.model_calls):
        return passed_on(gathered, own).whole()
    if own is None:
        whole = gathered.whole()
        return None if whole is None else whole.copy()
    below = gathered.sums()
    whole = below.whole.copy()
    cover_agent(whole, below, own, sums_own_calls=rules_of(candidate.span.scope).sums_own_calls)
    return whole


def handed_off(candidate: Candidate) -> Gathered:
    """What an agent-like span that is no run leaves with the agent above it.

    One that is agent-like by its outcome attributes alone (set inside a tool) states them for the run; a nested agent
    keeps its own.
    """
    if candidate.left is not None:
        return candidate.left
    if candidate.likeness is not Likeness.BY_OUTCOME:
        return _left_by_agent(candidate)
    left = passed_on(candidate.gathered, candidate.own)
    left.add_stated(stated_for_run(candidate.span))
    if candidate.gathered.failure is not None:
        left.failure = candidate.gathered.failure
    return left


def _left_by_agent(candidate: Candidate) -> Gathered:
    left = Gathered()
    left.absorb_all_but_usage(candidate.gathered)
    left.nested = candidate.finding
    # Of one that waits, and of one that nobody knows the end of, nothing has failed; but that its last call was not
    # answered may be what the framework's own span around it has come to.
    is_unanswered = candidate.finding == UNANSWERED and bool(rules_of(candidate.span.scope).answered_keys)
    if is_unanswered or (candidate.finding.failed and candidate.finding.execution.status is not Status.UNKNOWN):
        left.failure = FailureBelow(candidate.finding, candidate.span.scope, is_agent=True)
    # Whatever this one is part of, it has come in time for itself.
    left.has_late = False
    name = agent_name_of(candidate.span)
    if name is not None and (name not in DEFAULT_NAMES or left.agent_name is None):
        left.agent_name = name
    if candidate.handoff is not None:
        below = named_by(left.handoffs or (), candidate.handoff.callee.agent_name)
        left.handoffs = None
        left.add_handoffs([*below, candidate.handoff], 0)
    tally = tally_of(candidate)
    candidate.lost_amounts = nested_amounts(candidate.span)
    if candidate.lost_amounts:
        tally = tally or Tally()
        tally.note(candidate.lost_amounts)
    if tally is not None:
        # A tool that calls an agent is a tool call of its own, beside those that the agent makes.
        tally.tool_below = False
        left.by_agents = tally
        left.tally = tally.take_metered()
    return left


def agent_name_of(span: AgentSpan) -> str | None:
    """The name of the agent whose span it is, as its attributes or the span's name tell it."""
    name = stated_agent_name(span, AttributeReader(span.attributes))
    return rules_of(span.scope).agent_name_in(span.name[:LABEL_LENGTH_MAX]) if name is None else name
