# SPDX-License-Identifier: Apache-2.0
"""What ended spans have left with an open span above them, and how it adds up.

A `Gathered` is made by folding and not changed once anybody else can see it: folding it again, after an interruption
or because another thread was faster, gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX, AttributeReader, Problem
from agent_outcomes.outcome.errors import OTHER
from agent_outcomes.record.handoffs import HANDOFFS_MAX, named_by
from agent_outcomes.run.aggregates import Sums, cover_agent, cover_call, cover_span
from agent_outcomes.run.calls import MODEL_CALLS
from agent_outcomes.run.conventions import DEFAULT_NAMES, Role
from agent_outcomes.run.folding import add_stated, nested_amounts, stated_for_run
from agent_outcomes.run.normalize import stated_agent_name
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.run.tally import Tally
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.spans.marks import Likeness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_outcomes.record.handoffs import Handoff
    from agent_outcomes.record.settlement import Settled, Settlement
    from agent_outcomes.run.evidence import Finding
    from agent_outcomes.run.leaves import Plan
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.facts import SpanIds

    # A plan with what it says of one span.
    Item = tuple[Any, ...]


class StepEnd(NamedTuple):
    """How a span ended that is no agent.

    `pause` that it asked a human, `failure` how a model call failed; `has_failed` whether its status is ERROR; `stated`
    is what it states for the run above. `is_model_call` says that it called a model, `relays_pause` that what right
    below it asked a human did so for the span above it.
    """

    pause: Finding | None = None
    failure: Finding | None = None
    has_failed: bool = False
    stated: Mapping[str, Any] | None = None
    is_model_call: bool = False
    relays_pause: bool = False


WENT_WELL: Final = StepEnd()
CALL_ON_AGENT: Final = Problem(ProblemKind.MARKS_OVERWRITTEN)


class Gathered:
    """What lies below a span.

    Usage is kept apart by what it is reached through: no tool nor agent (`tally`), a tool and no agent (`by_tools`), an
    agent (`by_agents`). A model call around it may be one of the first, never one of the others. `nested` is how the
    last agent below ended, `pause` that a step right below asked a human and waits for the answer, `failure` how the
    last model call or agent below failed, if nothing went well after that. `has_late` says that some of it was left
    below an agent that had ended, `is_model_call` that a model was called right below.
    """

    # No __init__ and no slots: one is made below nearly every span that has children, and what holds for nearly all of
    # them is read from the class.
    tally: Tally | None = None
    by_tools: Tally | None = None
    by_agents: Tally | None = None
    stated: dict[str, Any] | None = None
    contradicted = False
    nested: Finding | None = None
    pause: Finding | None = None
    failure: Finding | None = None
    is_model_call = False
    agent_name: str | None = None
    handoffs: list[Handoff] | None = None
    handoffs_lost = 0
    has_late = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been left."""
        return not self.__dict__

    @property
    def has_figures(self) -> bool:
        """Whether any usage has been left, not only problems with it."""
        tally = self.whole()
        if tally is None:
            return False
        calls = tally.model_calls or tally.tool_calls
        return bool(calls or tally.reported or tally.parts or any(count is not None for count in tally.tokens))

    @property
    def has_agent_work(self) -> bool:
        """Whether an agent, a model call or a tool has ended here."""
        tally = self.whole()
        return self.nested is not None or (tally is not None and bool(tally.model_calls or tally.tool_calls))

    def add_stated(self, attributes: Mapping[str, Any], *, contradicted: bool = False) -> None:
        """Take outcome attributes set inside the run: the last span that ended wins, a difference is remembered."""
        self.stated, differ = add_stated(self.stated or {}, attributes)
        if contradicted or differ:
            self.contradicted = True

    @property
    def has_usage(self) -> bool:
        """Whether anything below has called a model or a tool, or reports figures."""
        return self.tally is not None or self.by_tools is not None or self.by_agents is not None

    def zone(self) -> Tally | None:
        """Usage of what no agent below has called; not to be changed."""
        return _sum_of(self.tally, self.by_tools)

    def whole(self) -> Tally | None:
        """Usage of all that lies below; not to be changed."""
        return _sum_of(self.zone(), self.by_agents)

    def add_leaves(self, plan: Plan, leaves: list[Item]) -> None:
        """Add the usage of leaves of one shape."""
        if self.tally is None:
            self.tally = Tally()
        plan.add_to(self.tally, leaves)

    def absorb(self, other: Gathered) -> None:
        """Add what a span that ended had gathered; a pause concerns the span right above it, a failure what follows."""
        if other.tally is not None:
            self.tally = _added(self.tally, other.tally)
        if other.by_tools is not None:
            self.by_tools = _added(self.by_tools, other.by_tools)
        if other.by_agents is not None:
            self.by_agents = _added(self.by_agents, other.by_agents)
        self.absorb_all_but_usage(other)

    def absorb_all_but_usage(self, other: Gathered) -> None:
        """Add what a span that ended has of what was stated, of agents and of handoffs."""
        if other.stated is not None:
            self.add_stated(other.stated, contradicted=other.contradicted)
        if other.nested is not None:
            self.nested = other.nested
        if other.agent_name is not None and self.agent_name is None:
            self.agent_name = other.agent_name
        if other.handoffs is not None:
            self.add_handoffs(other.handoffs, other.handoffs_lost)
        if other.has_late:
            self.has_late = True

    def add_handoffs(self, handoffs: Sequence[Handoff], lost: int) -> None:
        """Keep agents that ended below, up to a limit."""
        kept = [*(self.handoffs or ()), *handoffs]
        self.handoffs = kept[:HANDOFFS_MAX]
        self.handoffs_lost += lost + len(kept) - len(self.handoffs)


class Candidate:
    """An ended agent-like span that may be a run.

    `is_placed` once it has been counted as a run or folded into one; `is_waiting` while it waits for an outer span,
    since `waits_since_s` on the monotonic clock. `settled` is set when it is found to be a run, and `is_apart` when
    that is so whatever the spans above turn out to be. `settlement` and `left` are what it comes to as a run or below
    one, worked out when it has to wait: its span is let go then, as what it holds may be long.
    """

    __slots__ = (
        "caller_id",
        "context",
        "finding",
        "gathered",
        "handoff",
        "is_apart",
        "is_open",
        "is_placed",
        "is_waiting",
        "left",
        "likeness",
        "lost_amounts",
        "own",
        "settled",
        "settlement",
        "span",
        "start_seen",
        "waits_since_s",
    )

    def __init__(  # noqa: PLR0913 - all that is known of one span
        self,
        span: AgentSpan,
        context: SpanIds,
        likeness: Likeness,
        finding: Finding,
        *,
        gathered: Gathered,
        own: Tally | None,
        is_open: bool,
        start_seen: bool,
        handoff: Handoff | None = None,
        caller_id: str | None = None,
    ) -> None:
        self.span = span
        self.context = context
        self.likeness = likeness
        self.finding = finding
        self.gathered = gathered
        self.own = own
        self.is_open = is_open
        self.start_seen = start_seen
        self.handoff = handoff
        self.caller_id = caller_id
        self.is_placed = False
        self.is_waiting = False
        self.is_apart = False
        self.waits_since_s = 0.0
        self.lost_amounts: list[Problem] = []
        self.left: Gathered | None = None
        self.settlement: Settlement | None = None
        self.settled: Settled | None = None

    def tally(self) -> Tally | None:
        """Usage of the span and everything below it, each call once; one to change."""
        gathered, own = self.gathered, self.own
        # A model call that was written onto an agent's span is no total of it, but one call around what lies below.
        if own is not None and (self.likeness is Likeness.BY_OUTCOME or own.model_calls):
            return passed_on(gathered, own).whole()
        whole = gathered.whole()
        if own is None:
            return None if whole is None else whole.copy()
        below = Sums(whole or Tally(), gathered.zone() or Tally(), gathered.tally or Tally())
        sums = below.whole.copy()
        cover_agent(sums, below, own)
        return sums


def _added(sums: Tally | None, further: Tally) -> Tally:
    """The sums, changed to have further usage, too."""
    if sums is None:
        return further.copy()
    sums.add(further)
    return sums


def _sum_of(one: Tally | None, other: Tally | None) -> Tally | None:
    if one is None or other is None:
        return other if one is None else one
    both = one.copy()
    both.add(other)
    return both


def beside_calls(own: Tally | None, gathered: Gathered) -> Tally | None:
    """An agent's own figures; those of one call are no sign of others where calls of the agent report as much."""
    if own is None or not own.problems or CALL_ON_AGENT not in own.problems:
        return own
    below = gathered.zone()
    if below is None or not below.model_calls:
        return own
    if any(count is not None and count > (below.tokens[index] or 0) for index, count in enumerate(own.tokens)):
        return own
    seen = own.copy()
    seen.problems = {problem: None for problem in own.problems if problem != CALL_ON_AGENT} or None
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


def _last_failure(before: Gathered | None, items: Iterable[Gathered | Item]) -> Finding | None:
    """How the last call or agent failed; whatever was done after it shows that the run got over it."""
    failure = before.failure if before is not None else None
    for item in items:
        if isinstance(item, tuple):
            failure = None
        elif item.failure is not None or item.nested is not None or item.has_usage:
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
    whole = left.whole() or Tally()
    if own.tool_calls:
        left.by_tools = left.zone() or Tally()
        cover_span(left.by_tools, whole.copy(), own)
        left.tally = left.by_tools.take_metered()
    elif own.model_calls:
        _lay_call_over(left, own.copy())
    else:
        below = whole.copy()
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
        left.by_tools = _added(left.by_tools, one)


def _failure_of(gathered: Gathered, own: Tally | None, end: StepEnd) -> Finding | None:
    """How a step, or what lies below it, failed: a call or a tool that went well got over it, a mere step did not."""
    if end.failure is None:
        return gathered.failure if end.has_failed or own is None else None
    # Of one call seen twice the inner span is the one that knows the provider's error.
    is_unnamed = end.failure.execution.category == OTHER.category
    return gathered.failure if is_unnamed and gathered.failure is not None else end.failure


def handed_off(candidate: Candidate) -> Gathered:
    """What an agent-like span that is no run leaves with the agent above it.

    One that is agent-like by its outcome attributes alone (set inside a tool) states them for the run; a nested agent
    keeps its own.
    """
    if candidate.left is not None:
        return candidate.left
    if candidate.likeness is Likeness.BY_OUTCOME:
        left = passed_on(candidate.gathered, candidate.own)
        left.add_stated(stated_for_run(candidate.span))
        if candidate.gathered.failure is not None:
            left.failure = candidate.gathered.failure
    else:
        left = Gathered()
        left.absorb_all_but_usage(candidate.gathered)
        tally = candidate.tally()
        left.nested = candidate.finding
        if candidate.finding.failed and not candidate.finding.paused:
            left.failure = candidate.finding
        # Whatever this one is part of, it has come in time for itself.
        left.has_late = False
        name = agent_name_of(candidate.span)
        if name is not None and (name not in DEFAULT_NAMES or left.agent_name is None):
            left.agent_name = name
        if candidate.handoff is not None:
            below = named_by(left.handoffs or (), candidate.handoff.callee.agent_name)
            left.handoffs = None
            left.add_handoffs([*below, candidate.handoff], 0)
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
    name = stated_agent_name(span.scope, AttributeReader(span.attributes))
    return rules_of(span.scope).agent_name_in(span.name[:LABEL_LENGTH_MAX]) if name is None else name
