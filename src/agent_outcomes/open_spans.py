# SPDX-License-Identifier: Apache-2.0
"""What is kept for every open span, and how usage and outcomes fold into the nearest open ancestor.

Links between open spans are object references, so that a span which outlives its parent still finds its way up.
Nothing here locks: the tracker's one lock guards all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_outcomes.attribute_reader import LABEL_LENGTH_MAX, AttributeReader
from agent_outcomes.conventions import DEFAULT_NAMES, agent_name_from_span
from agent_outcomes.detection import Likeness
from agent_outcomes.fields import Fields
from agent_outcomes.folding import add_stated, nested_amounts, stated_for_run
from agent_outcomes.handoffs import HANDOFFS_MAX, named_by
from agent_outcomes.leaves import ROWS_MAX
from agent_outcomes.normalize import stated_agent_name
from agent_outcomes.usage import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from agent_outcomes.classification import ErrorFacts
    from agent_outcomes.evidence import Finding
    from agent_outcomes.handoffs import Handoff
    from agent_outcomes.leaves import Plan
    from agent_outcomes.model import AgentSpan, Outcome, Run


class Doubt:
    """What is kept of an open span that may never end.

    `failure` is what was in flight when a span right below it ended, and `failed_at_ns` when that was. `aftermath` is
    from what the spans hang that started after it had failed: it is the span's own if that ends after all, and hangs
    from what is above if not.
    """

    __slots__ = ("aftermath", "failed_at_ns", "failure")

    def __init__(self) -> None:
        self.failure: ErrorFacts | None = None
        self.failed_at_ns: int | None = None
        self.aftermath: OpenSpan | None = None


class OpenSpan:
    """An open span. `below` is made when something below it has ended that matters; `span` is let go at the end.

    `runs_below` counts the runs below that have been counted while this span was no agent, `forced_below` those of them
    that are runs by the user's word, and `run_below` is the only one: with any other it can be no run any more.
    `caller` is the span of another process that this one is below. `doubt` is set on spans that may never end. A node
    without a span of its own stands `after` a failed one. `started_s` is on the monotonic clock, if ages are kept.
    `settled_early` is the run that the span has been counted as before its end.
    """

    # No __init__ and no slots: one is made for every span that starts, and what holds for nearly all of them is read
    # from the class, where it costs nothing to set.
    span: ReadableSpan | None
    context: SpanContext
    is_open = True
    parent: OpenSpan | None = None
    below: Gathered | None = None
    doubt: Doubt | None = None
    exception_id = 0
    run_below: Settled | None = None
    runs_below = 0
    forced_below = 0
    was_agent = False
    caller: SpanContext | None = None
    after: OpenSpan | None = None
    started_s = 0.0
    settled_early: Settled | None = None

    @property
    def settled_below(self) -> bool:
        """Whether a run below, other than by the user's word, has been counted, or the span itself before its end."""
        return self.settled_early is not None or self.runs_below > self.forced_below

    def bars(self, likeness: Likeness) -> bool:
        """Whether the runs counted below keep the span from becoming one; those that the user asked for do not."""
        return self.settled_below or (likeness is Likeness.BY_OUTCOME and self.runs_below > 0)

    def add_run(self, settled: Settled | None, *, forced: bool = False) -> None:
        """Take note of a run counted below; of several only their number is kept."""
        self.runs_below += 1
        self.forced_below += forced
        self.run_below = settled if self.runs_below == 1 else None


class Settlement(Fields):
    """One revision to emit: `previous` is set when it revises a run that has been counted before.

    A `paused` run waits for a human and has no outcome yet: it is accounted for, not emitted. `handoffs` are the agents
    below, if they are kept, and `handoffs_lost` how many were too many to keep.
    """

    __slots__ = ("context", "handoffs", "handoffs_lost", "outcome", "paused", "previous", "revision", "run")

    def __init__(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
        self,
        run: Run,
        outcome: Outcome,
        context: SpanContext,
        revision: int = 0,
        previous: Outcome | None = None,
        paused: bool = False,  # noqa: FBT001, FBT002 - as said
        handoffs: Sequence[Handoff] = (),
        handoffs_lost: int = 0,
    ) -> None:
        self.run = run
        self.outcome = outcome
        self.context = context
        self.revision = revision
        self.previous = previous
        self.paused = paused
        self.handoffs = handoffs
        self.handoffs_lost = handoffs_lost


class Settled:
    """A run that has been counted, as far as an outer span may still need it."""

    __slots__ = ("context", "early_s", "outcome", "revision", "run")

    def __init__(self, run: Run, outcome: Outcome, context: SpanContext) -> None:
        self.run = run
        self.context = context
        self.outcome = outcome
        self.revision = 0
        self.early_s = 0.0


class Gathered:
    """What ended spans have left with their nearest open ancestor.

    `nested` is how the last agent below ended, `pause` that a step right below asked a human and waits for the answer.
    """

    # As of `OpenSpan`: one is made below nearly every span that has children.
    usage: Tally | None = None
    rows: dict[Plan, list[tuple[Any, ...]]] | None = None
    waiting: list[Candidate] | None = None
    stated: dict[str, Any] | None = None
    contradicted = False
    nested: Finding | None = None
    pause: Finding | None = None
    agent_name: str | None = None
    handoffs: list[Handoff] | None = None
    handoffs_lost = 0

    @property
    def tally(self) -> Tally | None:
        """What has been used, all rows folded in."""
        if self.rows:
            rows, self.rows = self.rows, None
            for plan, values in rows.items():
                self.usage = self.usage or Tally()
                plan.add_to(self.usage, values)
        return self.usage

    @tally.setter
    def tally(self, tally: Tally | None) -> None:
        self.rows, self.usage = None, tally

    def add_row(self, plan: Plan, row: tuple[Any, ...]) -> None:
        """Add the usage of one leaf, folded in later."""
        rows = self.rows
        if rows is None:
            rows = self.rows = {}
        held = rows.get(plan)
        if held is None:
            rows[plan] = [row]
        else:
            held.append(row)
            if len(held) >= ROWS_MAX:
                self.usage = self.usage or Tally()
                plan.add_to(self.usage, rows.pop(plan))

    def add_stated(self, attributes: Mapping[str, Any], *, contradicted: bool = False) -> None:
        """Take outcome attributes set inside the run: the last span that ended wins, a difference is remembered."""
        self.stated, differ = add_stated(self.stated or {}, attributes)
        self.contradicted = self.contradicted or contradicted or differ

    def absorb(self, other: Gathered) -> None:
        """Take over what a span that ended had gathered (its waiting candidates are placed one by one)."""
        if other.tally is not None:
            self.add_tally(other.tally)
        if other.stated is not None:
            self.add_stated(other.stated, contradicted=other.contradicted)
        if other.nested is not None:
            self.nested = other.nested
        if self.agent_name is None:
            self.agent_name = other.agent_name
        if other.handoffs is not None:
            self.add_handoffs(other.handoffs, other.handoffs_lost)

    def add_handoffs(self, handoffs: list[Handoff], lost: int) -> None:
        """Keep agents that ended below, up to a limit."""
        kept = [*(self.handoffs or ()), *handoffs]
        self.handoffs = kept[:HANDOFFS_MAX]
        self.handoffs_lost += lost + len(kept) - len(self.handoffs)

    def add_tally(self, tally: Tally) -> None:
        """Add usage; the first tally is taken over as it is."""
        mine = self.tally
        if mine is None:
            self.usage = tally
        else:
            mine.add(tally)


class Candidate(Fields):
    """An ended agent-like span that may be a run."""

    __slots__ = (
        "caller_id",
        "context",
        "finding",
        "gathered",
        "handoff",
        "is_open",
        "likeness",
        "own",
        "span",
        "start_seen",
    )

    def __init__(  # noqa: PLR0917 - by position, as by keyword it costs twice as much
        self,
        span: AgentSpan,
        context: SpanContext,
        likeness: Likeness,
        finding: Finding,
        gathered: Gathered,
        own: Tally | None,
        is_open: bool,  # noqa: FBT001 - as said
        start_seen: bool,  # noqa: FBT001 - as said
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

    def tally(self) -> Tally | None:
        """Usage of the span and everything below it, each leaf once."""
        below = self.gathered.tally
        if below is None:
            return self.own
        if self.own is not None:
            below.cover(self.own)
            self.own = None
        return below


def ancestors(node: OpenSpan | None) -> Iterator[OpenSpan]:
    """The node itself and everything above it, ended spans included."""
    while node is not None:
        yield node
        node = node.parent


def nearest_open(node: OpenSpan | None) -> OpenSpan | None:
    """The first of these that is still open."""
    return next((one for one in ancestors(node) if one.is_open), None)


def is_local_parent(above: OpenSpan, parent: SpanContext) -> bool:
    """Whether this open span is the parent meant, and not another process's with the same span id."""
    return above.context is parent or (not parent.is_remote and above.context.trace_id == parent.trace_id)


def caller_id_of(node: OpenSpan | None) -> str | None:
    """The span of another process above this one, as trace and span id in hex joined by a dash."""
    caller = node.caller if node is not None else None
    return None if caller is None else f"{caller.trace_id:032x}-{caller.span_id:016x}"


def close(node: OpenSpan) -> OpenSpan | None:
    """Mark the span ended; returns the nearest open ancestor."""
    node.span = None
    node.is_open = False
    parent = node.parent
    if parent is not None and not parent.is_open:
        node.parent = _shortened(node, parent)
        parent = nearest_open(parent)
    return parent


def _shortened(node: OpenSpan, above: OpenSpan | None) -> OpenSpan | None:
    """The next node above that still says something: spans which overlap in an endless chain must not pile up."""
    while above is not None and not above.is_open and _says_nothing(above, node):
        above = above.parent
    return above


def gathered_by(node: OpenSpan) -> Gathered:
    """What the span has gathered so far, made when first needed."""
    if node.below is None:
        node.below = Gathered()
    return node.below


def is_below(node: OpenSpan, above: OpenSpan) -> bool:
    """Whether the one span is a descendant of the other."""
    return any(one is above for one in ancestors(node.parent))


def take_gathered(node: OpenSpan, below: OpenSpan) -> None:
    """Take over what a descendant that is still open has gathered so far, but for what waits for its end."""
    gathered = below.below
    if gathered is None:
        return
    gathered_by(node).absorb(gathered)
    below.below = None
    if gathered.waiting is not None:
        gathered_by(below).waiting = gathered.waiting


def note_settled(settled: Settled, parent: OpenSpan | None, likeness: Likeness) -> None:
    """Tell the open spans above that a run below them has been counted."""
    for node in ancestors(parent):
        if node.is_open:
            node.add_run(settled, forced=likeness is Likeness.FORCED)


def note_settled_early(settled: Settled, node: OpenSpan, now_s: float, likeness: Likeness) -> None:
    """Mark a span as counted before its end: what is open below it by now belongs to it, what starts later does not."""
    note_settled(settled, node.parent, likeness)
    settled.early_s = now_s
    node.settled_early = settled


def is_within_settled(node: OpenSpan) -> bool:
    """Whether the span was open below one when that was counted before its end."""
    above = (one.settled_early for one in ancestors(node.parent))
    return any(settled is not None and node.started_s <= settled.early_s for settled in above)


def _says_nothing(above: OpenSpan, node: OpenSpan) -> bool:
    return above.settled_early is None and (node.was_agent or not above.was_agent)


def fold_plain(parent: OpenSpan, gathered: Gathered | None, own: Tally | None) -> None:
    """Fold an ended span that is no agent into the ancestor above it."""
    above = gathered_by(parent)
    if gathered is None:
        if own is not None:
            above.add_tally(own)
        return
    if own is not None:
        if gathered.tally is None:
            gathered.tally = own
        else:
            gathered.tally.cover(own)
    above.absorb(gathered)


def fold_handoff(above: Gathered, candidate: Candidate) -> None:
    """Fold an agent-like span that is no run into what the agent above it has gathered.

    One that is agent-like by its outcome attributes alone (set inside a tool) states them for the run; a nested agent
    keeps its own.
    """
    gathered = candidate.gathered
    tally = candidate.tally()
    if candidate.likeness is Likeness.BY_OUTCOME:
        gathered.add_stated(stated_for_run(candidate.span))
    else:
        gathered.nested = candidate.finding
        name = agent_name_of(candidate.span)
        if name is not None and (name not in DEFAULT_NAMES or gathered.agent_name is None):
            gathered.agent_name = name
        if candidate.handoff is not None:
            below = named_by(gathered.handoffs or (), candidate.handoff.callee.agent_name)
            gathered.handoffs = None
            gathered.add_handoffs([*below, candidate.handoff], 0)
        lost = nested_amounts(candidate.span)
        if lost:
            tally = tally or Tally()
            tally.note(lost)
        if tally is not None:
            # A tool that calls an agent is a tool call of its own, beside those that the agent makes.
            tally.tool_below = False
    gathered.tally = tally
    above.absorb(gathered)


def agent_name_of(span: AgentSpan) -> str | None:
    """The name of the agent whose span it is, as its attributes or the span's name tell it."""
    name = stated_agent_name(span.scope, AttributeReader(span.attributes))
    return agent_name_from_span(span.name[:LABEL_LENGTH_MAX], span.scope) if name is None else name
