# SPDX-License-Identifier: Apache-2.0
"""Spans that have ended and below which others may still start, and what came too late for its run.

Agents' spans end early: at their last step, when a generator has been returned, or before the agents that go on in the
background. What starts below one then is part of it all the same: an agent is no run of its own, and usage is that of
the agent further up that is still open. If none is, the run has been counted, and what is left is a problem.

Remembered are the latest agents and the latest of the steps around calls, so that plain spans cost nothing here. Where
a parent is neither open nor remembered, the SDK's own object may lead on by one step; else its trace is all that tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.run.tally import Tally
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.spans.gathered import Gathered
from agent_outcomes.spans.open_spans import OpenSpan, ancestors, contents_of
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from agent_outcomes.spans.facts import SpanIds

REMEMBERED_MAX: Final = 1_000


class LatestSpans:
    """The latest spans of some sort by span id, at most `REMEMBERED_MAX`."""

    def __init__(self) -> None:
        self._nodes: dict[int, OpenSpan] = {}

    def add(self, node: OpenSpan) -> None:
        """Remember a span."""
        nodes = self._nodes
        nodes[node.context.span_id] = node
        if len(nodes) > REMEMBERED_MAX:
            nodes.pop(oldest_key(nodes) or 0, None)

    def get(self, span_id: int) -> OpenSpan | None:
        """The span of this id, if it is remembered."""
        return self._nodes.get(span_id)

    def discard(self, span_id: int) -> None:
        """Forget a span."""
        self._nodes.pop(span_id, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._nodes.clear()

    def of_trace(self, trace_id: int) -> list[OpenSpan]:
        """Those of them that are of this trace."""
        return [node for node in list(self._nodes.values()) if node.context.trace_id == trace_id]


class EndedSpans:
    """The latest agents and steps that have ended."""

    def __init__(self) -> None:
        self._agents = LatestSpans()
        self._steps = LatestSpans()

    def add(self, node: OpenSpan) -> None:
        """Remember a span that has just ended, with nothing of what it held."""
        was_agent = node.was_agent or node.early is not None
        if node.is_open or not (was_agent or node.parent is not None):
            return
        stub = closed_span(node.context, node.parent)
        stub.lost_id = node.lost_id
        if was_agent:
            stub.was_agent = True
            self._agents.add(stub)
        else:
            self._steps.add(stub)

    def get(self, span_id: int) -> OpenSpan | None:
        """The span of this id, if it is remembered."""
        return self._agents.get(span_id) or self._steps.get(span_id)

    def has_agent_above(self, orphan: OpenSpan) -> bool:
        """Whether an agent is remembered that the way up from an orphan may have led to."""
        top = ancestors(orphan)[-1]
        return any(may_be_above(node, top) for node in self._agents.of_trace(orphan.context.trace_id))

    def clear(self) -> None:
        """Forget all of them."""
        self._agents.clear()
        self._steps.clear()


def closed_span(context: SpanIds, parent: OpenSpan | None) -> OpenSpan:
    """What stands for a span that has ended."""
    stub = OpenSpan()
    stub.span, stub.context, stub.parent = None, context, parent
    stub.is_open = False
    return stub


def is_late(parent: OpenSpan | None, above: OpenSpan | None) -> bool:
    """Whether an agent between the two has ended: what passes it is no part of it any more."""
    node = parent
    while node is not None and node is not above:
        if node.was_agent and not node.is_open:
            return True
        node = node.parent
    return False


def holds_late(node: OpenSpan) -> bool:
    """Whether the span has been left something that came too late further down."""
    folded, items = contents_of(node)
    return (folded is not None and folded.has_late) or True in [type(one) is Gathered and one.has_late for one in items]


def is_orphan(node: OpenSpan) -> bool:
    """Whether the way up from the span ends at one of which nothing is known."""
    return ancestors(node)[-1].is_orphan


def may_be_above(agent: OpenSpan, top: OpenSpan) -> bool:
    """Whether an agent that started before may be above `top`, above which nothing is known.

    What `top` is above of is not above it; nor is what is below the same lost span, as its siblings are.
    """
    above = ancestors(agent)[-1]
    return above is not top and above.lost_id != top.lost_id


def late_problems(item: Gathered) -> list[ProblemKind]:
    """What is lost with what came too late for the run that it is part of."""
    problems = [] if item.nested is None else [ProblemKind.LATE_AGENT]
    if item.has_figures:
        problems.append(ProblemKind.LATE_USAGE)
    return problems


def note_of(*kinds: ProblemKind) -> Gathered:
    """What is left with an agent instead of something of which only the trace is known to be its."""
    note = Gathered()
    note.tally = Tally()
    note.tally.note([Problem(kind) for kind in kinds])
    return note
