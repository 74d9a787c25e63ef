# SPDX-License-Identifier: Apache-2.0
"""Which ended spans are runs, and what lies below each: the state kept while spans are open.

An agent-like span is settled as a run when it ends and no open ancestor is an agent or can still turn into one.
Otherwise it waits for that ancestor's end, or is folded into the agent above it as a handoff. A span that ends
agent-like after a run below it has settled never becomes a run: people set outcome attributes on the outer span they
hold, and then its business result belongs to the one run below.

One small object per open span, at most `OPEN_SPANS_MAX`. Nothing here waits for anything: what changes, changes by one
of `moves`, which says why that is safe whatever comes in between.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.run.conventions import ROLE_KEYS, Role
from agent_outcomes.run.leaves import Shapes
from agent_outcomes.run.scopes import LEAVES_FAILED_OPEN
from agent_outcomes.spans import moves
from agent_outcomes.spans.began import Began, as_it_began
from agent_outcomes.spans.candidates import step_end_of
from agent_outcomes.spans.ended import EndedSpans, LatestSpans, closed_span, note_of
from agent_outcomes.spans.ends import SpanEnds
from agent_outcomes.spans.giving_up import GivingUp
from agent_outcomes.spans.marks import (
    NO_AGENT,
    Likeness,
    Reading,
    Standing,
    is_outcome_span,
    own_usage,
    run_span_of,
    seen_as,
    standing_of,
)
from agent_outcomes.spans.moves import Ending
from agent_outcomes.spans.never_ended import Doubtful, has_failed
from agent_outcomes.spans.open_spans import (
    Board,
    OpenSpan,
    ancestors,
    first_inbox_of,
    is_local_parent,
    version_of,
    waiting_in,
)
from agent_outcomes.spans.placement import Placement
from agent_outcomes.spans.stale import StaleRuns
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sized

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.semconv import ProblemKind
    from agent_outcomes.spans.facts import FactsOf, SpanIds
    from agent_outcomes.spans.marks import PriceOf, VerdictOf
    from agent_outcomes.spans.open_spans import Inbox

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_NONE: Final = Likeness.NONE
_STATING: Final = Likeness.STATING
OPEN_SPANS_MAX: Final = 10_000
_AGENTS: Final = frozenset({Standing.RUN, Standing.AGENT})


class RunTracker:
    """Follows spans from start to end and says which runs have settled.

    `start` and `end` are called on whatever thread starts and ends the span; what settles by them is on
    `board.settled`, for the caller to take. `facts_of` reads a span that it was given. `on_problem` is told of problems
    that no event can list, `on_wait` when a run has to wait for an outer span, `on_evicted` when a span is no longer
    followed. With `keeps_handoffs` a settlement has the agents below it; with `keeps_ages` runs can be settled that do
    not end. `shapes` are those that other trackers know, too, where one sees few spans.
    """

    def __init__(  # noqa: PLR0913 - what is told, and what is kept
        self,
        *,
        facts_of: FactsOf,
        on_problem: Callable[[ProblemKind], None],
        on_wait: Callable[[], None],
        on_evicted: Callable[[], None] = lambda: None,
        verdict_of: VerdictOf | None = None,
        price_of: PriceOf | None = None,
        keeps_handoffs: bool = False,
        keeps_ages: bool = False,
        shapes: Shapes | None = None,
    ) -> None:
        self._reading = Reading(facts_of, verdict_of, price_of)
        self._keeps_handoffs = keeps_handoffs
        self._keeps_ages = keeps_ages
        self._on_evicted = on_evicted
        self._placement = Placement(facts_of=facts_of, on_problem=on_problem, on_wait=on_wait, verdict_of=verdict_of)
        self.shapes = Shapes() if shapes is None else shapes
        self.keeps_more = keeps_ages or keeps_handoffs
        self.prices_calls = price_of is not None
        self.asks_user = verdict_of is not None
        self.evicted_count = 0
        self._inherited: frozenset[int] = frozenset()
        self.board = Board()
        self.repeats: dict[int, int] = {}
        # Agents' spans that are open and no longer followed, beside those that have ended.
        self._evicted = LatestSpans()
        self._ended = EndedSpans()
        self._doubtful = Doubtful()
        self.doubted = self._doubtful.open
        # What is true while starts need more than the short way; nothing in it is looked at.
        self.attended: Sized = "always" if self.keeps_more else self.doubted
        reading, placement = self._reading, self._placement
        self._ends = SpanEnds(
            self.board, reading, placement, self._doubtful, self._ended, end=self.end, keeps_handoffs=keeps_handoffs
        )
        self._giving_up = GivingUp(reading, placement, self._doubtful, self._ends)
        self._stale = StaleRuns(self.board, reading, placement, self._giving_up)

    def after_fork_in_child(self) -> None:
        """Forget every open span: a run open at the fork belongs to the parent."""
        self._inherited |= frozenset([node.context.span_id for node in list(self.board.open.values())])
        self.board.clear()
        self._doubtful.clear()
        self.repeats.clear()
        self._evicted.clear()
        self._ended.clear()

    @property
    def open_count(self) -> int:
        """How many spans are open."""
        return len(self.board.open)

    @property
    def waiting_count(self) -> int:
        """How many ended agents wait for an outer span."""
        return self.board.waiting_count

    def follows(self, context: SpanIds) -> bool:
        """Whether the span is open here."""
        return context.span_id in self.board.open

    def holds(self, context: SpanIds) -> bool:
        """Whether the very span that was given this context object is open here."""
        return self._node_of(context) is not None

    def take_settled(self) -> list[Settlement]:
        """What has settled since this was last asked, in order; whoever gets one has it alone."""
        settled = self.board.settled
        return [one for one in list(settled) if settled.pop(one, one) is None]

    def start(self, span: object, context: SpanIds, parent: SpanIds | None, scope: str) -> OpenSpan:
        """Take note of a started span, below `parent` if it has one; what is kept of it."""
        node = OpenSpan()
        node.span = span
        node.context = context
        if parent is not None:
            self.find_parent(node, self.board.open.get(parent.span_id), parent)
        self.begin(node, parent, scope)
        return node

    def begin(self, node: OpenSpan, parent: SpanIds | None, scope: str) -> None:
        """Follow a span from here on, whose parent has been looked for."""
        facts = self._reading.facts_of(node.span)
        attributes = facts.attributes()
        if not ROLE_KEYS.isdisjoint(attributes):
            node.began = Began(facts.name, attributes)
        if (error := sys.exception()) is not None:
            node.exception_id = id(error)
        if self.board.open.setdefault(node.context.span_id, node) is not node:
            self.note_repeat(node)
        elif self.needs_more(scope):
            self.start_more(node, parent, scope)

    def needs_more(self, scope: str) -> bool:
        """Whether `start_more` is called for."""
        return bool(
            scope in LEAVES_FAILED_OPEN or self.doubted or self.keeps_more or len(self.board.open) > OPEN_SPANS_MAX
        )

    def first_inbox(self, node: OpenSpan) -> Inbox:
        """What an open span is about to be left, the first time."""
        return first_inbox_of(node, self._reading.facts_of)

    def find_parent(self, node: OpenSpan, above: OpenSpan | None, parent: SpanIds) -> None:
        """Link a starting span to the open one above, or to what stands for one that is no longer followed."""
        above = self._beside(parent) or above
        if above is None or not is_local_parent(above, parent):
            above = self._closed(parent)
        if above is not None:
            node.parent = above
        elif not parent.is_remote:
            node.is_orphan, node.lost_id = True, parent.span_id

    def look_beyond(self, context: SpanIds, span: object, above: SpanIds, parent: SpanIds | None) -> None:
        """Link an orphan to what is above its parent: to `parent` of `span`, which is known here by its ids alone.

        An agent among these is left alone: it was forgotten, waits for a human, or is another process's.
        """
        node, facts = self._node_of(context), self._reading.facts_of(span)
        _, likeness = seen_as(facts, facts.attributes(), self._reading.verdict_of)
        if node is None or parent is None or likeness is not Likeness.NONE:
            return
        stub = closed_span(above, None)
        self.find_parent(stub, self.board.open.get(parent.span_id), parent)
        if stub.parent is not None:
            node.parent, node.is_orphan = stub, False

    def note_caller(self, context: SpanIds, caller: SpanIds) -> None:
        """The span of another process that called a span which has just started without a parent."""
        node = self._node_of(context)
        if node is not None and self._keeps_handoffs:
            node.caller = caller

    def note_missed(self, context: SpanIds, kinds: Iterable[ProblemKind]) -> None:
        """List on the agent that a span is, or is below, what is known to be missing right below that span."""
        node = self._node_of(context)
        if node is not None:
            moves.leave(node, self.first_inbox(node), note_of(*kinds))

    def look_around(self, context: SpanIds) -> None:
        """List on the agent that is open that an agent which has just started below an unknown span may be part of it.

        For whoever knows that no more is to be found out of that span; which of the two ends first is open.
        """
        node = self._node_of(context)
        if node is not None and ancestors(node)[-1].is_orphan:
            facts = self._reading.facts_of(node.span)
            if seen_as(facts, facts.attributes(), self._reading.verdict_of)[1] not in NO_AGENT:
                node.is_within = self._placement.note_around(self.board, node)

    def start_more(self, node: OpenSpan, parent: SpanIds | None, scope: str) -> None:
        """What few spans need at their start: where ages or callers are kept, any is in doubt, too many are open."""
        if self._keeps_ages:
            node.started_s = time.monotonic()
        above = node.parent
        if self._keeps_handoffs and parent is not None:
            node.caller = above.caller if above is not None else (parent if parent.is_remote else None)
        if scope in LEAVES_FAILED_OPEN:
            self._doubtful.add(node)
        if self.doubted:
            self._giving_up.start_in_doubt(node)
        if len(self.board.open) > OPEN_SPANS_MAX:
            self._evict_oldest()

    def forget(self, context: SpanIds) -> None:
        """Take back the start of a span that nobody has got: it will not end."""
        node = self._node_of(context)
        if node is not None:
            if node.doubt is not None:
                self._doubtful.remove(node)
            moves.end_alone(self.board, node.own_key or context.span_id, node, version_of(node))

    def note_repeat(self, node: OpenSpan) -> None:
        """A span that starts once more, as it does to a processor that was added twice."""
        span_id = node.context.span_id
        known = self.board.open.get(span_id)
        if known is not None and known.context is node.context:
            self.repeats[span_id] = self.repeats.get(span_id, 0) + 1

    def start_beside(self, node: OpenSpan, parent: SpanIds | None, scope: str) -> None:
        """Follow a span whose id another open one has, if it is not that one once more.

        The SDK draws ids from Python's shared `random`: applications that seed it for each run have the same ids at
        once. Each span has a context object of its own, by which they are told apart. That holds for spans of this
        process alone: in a file, two of one id are one span that was written twice.
        """
        known = self.board.open.get(node.context.span_id)
        if known is None or known.context is node.context:
            self.note_repeat(node)
            return
        # The context lives as long as the node that is kept under its address.
        key = -id(node.context)
        node.own_key = key
        if self.board.open.setdefault(key, node) is not node:
            self.repeats[key] = self.repeats.get(key, 0) + 1
        elif self.needs_more(scope):
            self.start_more(node, parent, scope)

    def is_repeat(self, context: SpanIds) -> bool:
        """Whether this end will come once more, as it does to a processor that was added twice."""
        key = context.span_id if self._beside(context) is None else -id(context)
        count = self.repeats.pop(key, 0)
        if count > 1:
            self.repeats[key] = count - 1
        return count > 0

    def end(self, span: object, context: SpanIds, error: BaseException | None) -> None:
        """Take note of an ended span; `error` is the exception that is in flight.

        Called again after it was interrupted, it goes on where that left off.
        """
        facts = self._reading.facts_of(span)
        node = self._node_of(context)
        attributes = facts.attributes()
        if self.doubted and node is not None:
            self._giving_up.end_in_doubt(node, facts, attributes, error)
            node = self._node_of(context)
        if is_outcome_span(facts.scope, facts.name):
            self._ends.end_plain(node)
            return
        if self._inherited and context.span_id in self._inherited and node is None:
            return
        began = node.began if node is not None else None
        role, likeness = seen_as(facts, attributes, self._reading.verdict_of, began)
        if error is not None and node is not None and id(error) == node.exception_id:
            error = None
        own = own_usage(facts, attributes, role, self._reading.price_of, error)
        if likeness is _NONE:
            self._ends.end_plain(node, own, step_end_of(facts, attributes, role, error))
            self._remember_step(node, role)
        elif likeness is _STATING:
            step_end = step_end_of(facts, attributes, role, error)
            self._ends.end_stating(facts.snapshot(attributes, None), context, own, step_end, node)
            self._remember_step(node, role)
        elif not self._doubtful.has_given_up(context):
            in_flight = facts_from_exception(error) if error is not None else None
            self._evicted.discard(context.span_id)
            ended = as_it_began(facts.snapshot(attributes, in_flight), began)
            self._ends.end_agent(ended, context, likeness, own, node)

    def end_plain(self, context: SpanIds, error: BaseException | None) -> None:
        """Take note of an ended span that has no attribute, scope or verdict that matters."""
        node = self._node_of(context)
        if node is not None and self.doubted:
            self._giving_up.end_in_doubt(node, self._reading.facts_of(node.span), {}, error)
        node = self._node_of(context)
        self._ends.end_plain(node)
        if node is not None:
            self._ended.add(node)

    def _remember_step(self, node: OpenSpan | None, role: Role) -> None:
        # Below a model call hardly anything starts late, and there are many.
        if node is not None and (role is not Role.MODEL or node.inbox is not None):
            self._ended.add(node)

    def flush(self) -> None:
        """Settle every candidate that still waits for an ancestor, because no further end will come."""
        self._giving_up.give_up_all(self._giving_up.find_failed(None))
        for node in list(self.board.open.values()):
            for candidate in waiting_in(node):
                self._placement.settle(self.board, candidate, None, Ending(None, source=node))
            self._ends.end_missed(node)

    def settle_stale(self, stale_after_s: float, on_settled: Callable[[], None] = lambda: None) -> None:
        """Settle the runs whose span has been open for longer, and those that wait for an outer one that has."""
        self._stale.settle(stale_after_s, on_settled)

    def settle_held(self) -> None:
        """Settle the runs that have waited for an outer span for too long; to be called while any waits."""
        self._stale.settle_held()

    def find_run_span(self, context: SpanIds) -> object | None:
        """The open span on which an outcome for the current run belongs; `None` if no agent is above.

        The outermost open agent, an agent that can still be a run before one that cannot; else the given span itself
        where an ancestor may still turn out to be one.
        """
        nearest = self._beside(context) or self.board.open.get(context.span_id) or self._closed(context)
        reading, chain = self._reading, [(one.span, one.settled_below, one.began) for one in ancestors(nearest)]
        return run_span_of(chain, reading.facts_of, reading.verdict_of)

    def _closed(self, ids: SpanIds) -> OpenSpan | None:
        """What stands for a span that is no longer followed, if anything does."""
        found = self._doubtful.above_given_up(ids) or self._evicted.get(ids.span_id) or self._ended.get(ids.span_id)
        return found if found is not None and is_local_parent(found, ids) else None

    def _node_of(self, context: SpanIds) -> OpenSpan | None:
        node = self.board.open.get(context.span_id)
        return node if node is not None and node.context is context else self._beside(context)

    def _beside(self, context: SpanIds) -> OpenSpan | None:
        """The span of this very context object where another one with its id was open when it started."""
        node = self.board.open.get(-id(context))
        return node if node is not None and node.context is context else None

    def _evict_oldest(self) -> None:
        node = self.board.open.get(oldest_key(self.board.open) or 0)
        if node is None:
            return
        self.repeats.pop(node.own_key or node.context.span_id, None)
        self.evicted_count += 1
        self._on_evicted()
        span, reading = node.span, self._reading
        if node.doubt is not None and has_failed(node, reading.facts_of):
            self._giving_up.give_up_all(self._giving_up.find_failed(node))
            if self._giving_up.give_up(node):
                return
        # An agent's own end will still count it, so that the agents below it are no runs.
        is_agent = span is not None and standing_of(reading.facts_of(span), reading.verdict_of, node.began) in _AGENTS
        node.was_agent = is_agent and not node.settled_below
        if node.was_agent:
            self._evicted.add(node)
        self._ends.end_plain(node)
