# SPDX-License-Identifier: Apache-2.0
"""What the end of a span moves: to the span above what it has left, and an agent to where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.run.conventions import adds_up_calls
from agent_outcomes.run.folding import stated_for_run
from agent_outcomes.semconv import ProblemKind
from agent_outcomes.spans import moves
from agent_outcomes.spans.candidates import ended_candidate
from agent_outcomes.spans.ended import holds_late, is_late, is_orphan, note_of
from agent_outcomes.spans.gathered import WENT_WELL, Gathered
from agent_outcomes.spans.leaving import fold, passed_on
from agent_outcomes.spans.marks import Likeness, handles
from agent_outcomes.spans.moves import CLOSED, DONE, Ending
from agent_outcomes.spans.never_ended import Doubtful, end_aftermath
from agent_outcomes.spans.open_spans import (
    Board,
    OpenSpan,
    contents_of,
    first_inbox_of,
    gathered_by,
    inbox_of,
    is_below,
    is_within_settled,
    nearest_open,
    shorten,
    version_of,
    waiting_in,
)
from agent_outcomes.spans.placement import keep_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.run.tally import Tally
    from agent_outcomes.spans.ended import EndedSpans
    from agent_outcomes.spans.facts import SpanIds
    from agent_outcomes.spans.gathered import Candidate, FailureBelow, StepEnd
    from agent_outcomes.spans.marks import Reading
    from agent_outcomes.spans.placement import Placement


class SpanEnds:
    """Ends the spans on a board, as no agents or as agents.

    `end` is called to end a span below of whose end nobody was told. With `keeps_handoffs` a candidate has what the
    agents below it have come to.
    """

    def __init__(
        self,
        board: Board,
        reading: Reading,
        placement: Placement,
        doubtful: Doubtful,
        ended: EndedSpans,
        *,
        end: Callable[[object, SpanIds, BaseException | None], None],
        keeps_handoffs: bool,
    ) -> None:
        self._board = board
        self._reading = reading
        self._placement = placement
        self._doubtful = doubtful
        self._ended = ended
        self._end = end
        self._keeps_handoffs = keeps_handoffs

    def end_plain(self, node: OpenSpan | None, own: Tally | None = None, end: StepEnd = WENT_WELL) -> None:
        """End a span that is no agent: what it leaves is the ancestor's above, what waited for it is placed anew."""
        if node is None:
            if end.stated:
                self._placement.note_unheard()
            return
        if node.doubt is not None:
            end_aftermath(node)
        moved = moves.CHANGED
        while moved is not DONE:
            self._placement.place_waiting(self._board, node, node if node.was_agent else node.parent)
            seen = version_of(node)
            if waiting_in(node):
                continue
            moved = self._close(node, seen, own, end)
        if node.doubt is not None:
            self._doubtful.remove(node)
        shorten(node)

    def end_stating(
        self, span: AgentSpan, context: SpanIds, own: Tally | None, end: StepEnd, node: OpenSpan | None
    ) -> None:
        """End a tool or a model call that states an outcome: that of the run above it, or of the only one below."""
        if node is not None:
            self._placement.place_waiting(self._board, node, node.parent)
            if node.bars(Likeness.BY_OUTCOME):
                self.end_agent(span, context, Likeness.BY_OUTCOME, own, node)
                return
        self.end_plain(node, own, end._replace(stated=stated_for_run(span)))

    def end_agent(
        self, span: AgentSpan, context: SpanIds, likeness: Likeness, own: Tally | None, node: OpenSpan | None
    ) -> None:
        """End an agent's span, which is a run or the business of one above; without `node` its start was never seen."""
        if node is None:
            unseen = ended_candidate(
                None, span, context, likeness, own, gathered=Gathered(), is_open=False, keeps_handoffs=False
            )
            self._placement.place(self._board, unseen, None, Ending(None))
            return
        if node.doubt is not None:
            end_aftermath(node)
        candidate: Candidate | None = None
        while candidate is None:
            candidate = self._try_end(span, likeness, own, node)
        if node.doubt is not None:
            self._doubtful.remove(node)
        shorten(node)
        # A run that waits for a human goes on below this span, and one that never ended has nothing below it.
        if not candidate.finding.paused and not self._doubtful.has_given_up(node.context):
            self._ended.add(node)

    def end_missed(self, node: OpenSpan) -> bool:
        """End a span that has ended without our being told, for an exception came just then; whether it has."""
        span = node.span
        has_ended = span is not None and self._reading.facts_of(span).has_ended
        if has_ended:
            self._end(span, node.context, None)
        return has_ended

    def _open_below(self, node: OpenSpan) -> list[OpenSpan]:
        """What is open below a span: all of it has started later."""
        later: list[OpenSpan] = []
        for one in reversed(list(self._board.open.values())):
            if one is node:
                break
            if one.parent is not None and is_below(one, node):
                later.append(one)
        return later

    def _close(self, node: OpenSpan, seen: int, own: Tally | None, end: StepEnd) -> int:
        if nearest_open(node.parent) is None and not (
            is_late(node.parent, None) or is_orphan(node) or holds_late(node)
        ):
            # What it has gathered is nobody's.
            return self._close_alone(node, seen, is_unheard=bool(end.stated) or _holds_statement(node))
        item = passed_on(gathered_by(node, [], sums=end.adds_up), own, end)
        if item.failure is not None and end.failure is None:
            item.failure = self._seen_from_above(node, item.failure)
        moved = CLOSED
        while moved is CLOSED:
            above = nearest_open(node.parent)
            if above is None or item.is_empty:
                return self._end_uppermost(node, seen, item)
            if is_late(node.parent, above):
                item.has_late = True
            inbox = above.inbox or first_inbox_of(above, self._reading.facts_of)
            moved = moves.end_below(self._board, node.own_key or node.context.span_id, node, seen, above, inbox, item)
            keep_short(inbox)
        return moved

    def _seen_from_above(self, node: OpenSpan, failure: FailureBelow) -> FailureBelow:
        """The failure of something below a span, which that may have handled."""
        is_handled = node.span is not None and handles(self._reading.facts_of(node.span), failure.scope)
        return failure._replace(is_handled=True) if is_handled else failure

    def _end_uppermost(self, node: OpenSpan, seen: int, item: Gathered) -> int:
        """End a span with nothing open above it: what it leaves is nobody's, or comes too late for its run."""
        is_lost = item.has_figures and is_orphan(node)
        around = self._placement.find_agents(self._board, node) if is_lost else []
        if around:
            span_id, note, above = node.own_key or node.context.span_id, note_of(ProblemKind.LATE_USAGE), around[0]
            for other in around[1:]:
                moves.leave(other, inbox_of(other), note)
            return moves.end_below(self._board, span_id, node, seen, above, inbox_of(above), note)
        comes_late = item.has_late or is_late(node.parent, None) or (is_lost and self._ended.has_agent_above(node))
        moved = self._close_alone(node, seen, is_unheard=item.stated is not None)
        if moved is DONE and comes_late:
            self._placement.note_late(item)
        return moved

    def _close_alone(self, node: OpenSpan, seen: int, *, is_unheard: bool) -> int:
        moved = moves.end_alone(self._board, node.own_key or node.context.span_id, node, seen)
        if moved is DONE and is_unheard:
            self._placement.note_unheard()
        return moved

    def _try_end(self, span: AgentSpan, likeness: Likeness, own: Tally | None, node: OpenSpan) -> Candidate | None:
        """End an agent's span by what can be seen of it now; `None` if that is no longer all."""
        below = [one for one in self._open_below(node) if not self.end_missed(one)]
        if below and not node.settled_below:
            self._take_from_open(node, below)
        is_outer = node.settled is None and likeness is not Likeness.FORCED and node.bars(likeness)
        if is_outer and node.early is None and waiting_in(node):
            node.run_below = None
            self._placement.place_waiting(self._board, node, node.parent)
        seen, waiting = version_of(node), waiting_in(node)
        if is_outer and node.early is None and waiting:
            return None
        gathered = gathered_by(node, waiting, sums=adds_up_calls(span.attributes))
        if is_orphan(node) and likeness is not Likeness.FORCED and node.early is None:
            has_figures = gathered.has_figures or own is not None
            self._placement.note_doubt(self._board, node, gathered, has_figures=has_figures)
        candidate = ended_candidate(
            node,
            span,
            node.context,
            likeness,
            own,
            gathered=gathered,
            is_open=bool(below),
            keeps_handoffs=self._keeps_handoffs,
        )
        candidate.settled = node.settled
        moved = self._place(candidate, node, Ending(node, seen, len(waiting)), is_outer=is_outer)
        return candidate if moved is DONE else None

    def _place(self, candidate: Candidate, node: OpenSpan, ending: Ending, *, is_outer: bool) -> int:
        placement, board, parent = self._placement, self._board, node.parent
        if node.early is not None:
            return placement.end_settled(board, node.early, candidate, ending)
        if candidate.likeness is Likeness.FORCED:
            return placement.settle(board, candidate, parent, ending)
        if is_outer:
            return placement.end_outer(board, candidate, parent, node.run_below, ending)
        if is_within_settled(node):
            return placement.hand_off(board, candidate, parent, ending)
        return placement.place(board, candidate, parent, ending)

    def _take_from_open(self, node: OpenSpan, below: list[OpenSpan]) -> None:
        """An agent that ends before spans below it has what they gathered until now; later ones come too late."""
        filled = [(one, one.span) for one in below if one.inbox is not None]
        verdict_of = self._reading.verdict_of
        apart = [
            one
            for one, span in filled
            if verdict_of is not None and span is not None and verdict_of(self._reading.facts_of(span))
        ]
        for one, span in filled:
            if span is None or any(one is run or is_below(one, run) for run in apart):
                continue
            moved = moves.CHANGED
            while moved is moves.CHANGED:
                seen, taken = version_of(one), inbox_of(one)
                folded, items = contents_of(one)
                if folded is None and not items:
                    break
                moved = moves.take_over(node, inbox_of(node), one, taken, seen, fold(folded, items), [])


def _holds_statement(node: OpenSpan) -> bool:
    """Whether a span below, that was no agent, has stated something for the run above."""
    folded, items = contents_of(node)
    left = [item for item in (folded, *items) if item is not None and type(item) is not tuple]
    return any(item.stated is not None for item in left)  # type: ignore[union-attr]  # mypy does not narrow by type()
