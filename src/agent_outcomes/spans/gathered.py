# SPDX-License-Identifier: Apache-2.0
"""What ended spans have left with an open span above them, and what an ended agent's span is until it is placed.

A `Gathered` is made by folding and not changed once anybody else can see it: folding it again, after an interruption
or because another thread was faster, gives the same. How it is made is in `leaving`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.record.handoffs import HANDOFFS_MAX
from agent_outcomes.run.aggregates import Sums
from agent_outcomes.run.folding import add_stated
from agent_outcomes.run.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_outcomes.outcome.attribute_reader import Problem
    from agent_outcomes.record.handoffs import Handoff
    from agent_outcomes.record.settlement import Settled, Settlement
    from agent_outcomes.run.findings import Finding
    from agent_outcomes.run.leaves import Plan
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.facts import SpanIds
    from agent_outcomes.spans.marks import Likeness

    # A plan with what it says of one span.
    Item = tuple[Any, ...]


class FailureBelow(NamedTuple):
    """How a model call or an agent below failed, and the scope of its span.

    `is_handled` says that a span in between has ended well nevertheless.
    """

    finding: Finding
    scope: str
    is_agent: bool = False
    is_handled: bool = False


class StepEnd(NamedTuple):
    """How a span ended that is no agent.

    `pause` that it asked a human, `failure` how a model call failed; `has_failed` whether its status is ERROR; `stated`
    is what it states for the run above. `is_model_call` says that it called a model, `relays_pause` that what right
    below it asked a human did so for the span above it, `adds_up` that each call right below reports what those before
    it have used, too.
    """

    pause: Finding | None = None
    failure: FailureBelow | None = None
    has_failed: bool = False
    stated: Mapping[str, Any] | None = None
    is_model_call: bool = False
    relays_pause: bool = False
    adds_up: bool = False


WENT_WELL: Final = StepEnd()


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
    failure: FailureBelow | None = None
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
        calls = tally.model_calls or tally.tool_calls or tally.unpriced
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
        is_used = self.tally is not None and not self.tally.is_only_unpriced
        return is_used or self.by_tools is not None or self.by_agents is not None

    def zone(self) -> Tally | None:
        """Usage of what no agent below has called; not to be changed."""
        return _sum_of(self.tally, self.by_tools)

    def whole(self) -> Tally | None:
        """Usage of all that lies below; not to be changed."""
        return _sum_of(self.zone(), self.by_agents)

    def sums(self) -> Sums:
        """Usage of all that lies below and of its parts; not to be changed."""
        zone = self.zone()
        return Sums(_sum_of(zone, self.by_agents) or Tally(), zone or Tally(), self.tally or Tally())

    def add_leaves(self, plan: Plan, leaves: list[Item]) -> None:
        """Add the usage of leaves of one shape."""
        if self.tally is None:
            self.tally = Tally()
        plan.add_to(self.tally, leaves)

    def absorb(self, other: Gathered) -> None:
        """Add what a span that ended had gathered; a pause concerns the span right above it, a failure what follows."""
        if other.tally is not None:
            self.tally = added(self.tally, other.tally)
        if other.by_tools is not None:
            self.by_tools = added(self.by_tools, other.by_tools)
        if other.by_agents is not None:
            self.by_agents = added(self.by_agents, other.by_agents)
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


def added(sums: Tally | None, further: Tally) -> Tally:
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
