# SPDX-License-Identifier: Apache-2.0
"""Where an ended agent-like span belongs: a run, a handoff of the agent above, or to be decided when that one ends.

Each method works out what is to happen and makes one of `moves`; it says `CHANGED` if the span that ends by it has been
left something meanwhile, so that its candidate has to be made anew.
"""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.record.settlement import Settled, Settlement
from agent_outcomes.run.folding import read_stated
from agent_outcomes.run.leaves import ROWS_MAX
from agent_outcomes.run.normalize import late_cost, revise
from agent_outcomes.semconv import ProblemKind, State
from agent_outcomes.spans import moves
from agent_outcomes.spans.candidates import prepare_to_wait, settlement_of
from agent_outcomes.spans.ended import is_late, late_problems, may_be_above, note_of
from agent_outcomes.spans.gathered import Gathered
from agent_outcomes.spans.leaving import fold, handed_off, passed_on
from agent_outcomes.spans.marks import OUTCOME_KEYS, Likeness, Standing, standing_of
from agent_outcomes.spans.moves import CLOSED, DONE, Ending
from agent_outcomes.spans.open_spans import ancestors, first_inbox_of, inbox_of, is_below, nearest_open, waiting_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.outcome.statement import Statement
    from agent_outcomes.spans.facts import FactsOf, SpanFacts
    from agent_outcomes.spans.gathered import Candidate
    from agent_outcomes.spans.marks import VerdictOf
    from agent_outcomes.spans.open_spans import Board, Inbox, OpenSpan

WAITING_MAX: Final = 1_000


class Placement:
    """Places candidates among the spans that are open above them.

    `on_problem` is told of problems that no event can list, `on_wait` when a run has to wait for an outer span, or may
    still be open when the process ends.
    """

    def __init__(
        self,
        *,
        facts_of: FactsOf,
        on_problem: Callable[[ProblemKind], None],
        on_wait: Callable[[], None],
        verdict_of: VerdictOf | None,
    ) -> None:
        self._facts_of = facts_of
        self._on_problem = on_problem
        self._on_wait = on_wait
        self._verdict_of = verdict_of

    def place(self, board: Board, candidate: Candidate, parent: OpenSpan | None, ending: Ending) -> int:
        """Settle the candidate, fold it into the agent above, or let it wait for what may become one."""
        while True:
            is_found = parent is None or candidate.settled is not None
            agent_above, target = (False, None) if is_found else self.look_up(parent)
            if agent_above:
                return self.hand_off(board, candidate, parent, ending)
            if target is None or board.waiting_count >= WAITING_MAX:
                return self.settle(board, candidate, parent, ending)
            self.expect_exit()
            if not candidate.is_waiting:
                candidate.waits_since_s = time.monotonic()
                prepare_to_wait(candidate)
            moved = moves.wait(board, candidate, target, inbox_of(target), ending)
            # It may have ended since it was looked at; then the rest of the way up is looked at anew.
            if moved is not CLOSED:
                # Once more: whoever looked meanwhile has seen nothing wait.
                self.expect_exit()
                return moved

    def place_waiting(self, board: Board, held: OpenSpan, parent: OpenSpan | None) -> None:
        """Place all candidates that waited for a span which is about to end, as no agent, below `parent`."""
        waiting = waiting_in(held)
        while waiting:
            agent_above, target = (False, None) if parent is None else self.look_up(parent)
            # One whose target has ended since it was looked at is looked up anew, with all that are left.
            waiting = [one for one in waiting if not self._placed(board, one, held, parent, agent_above, target)]

    def _placed(  # noqa: PLR0917 - what one look up has found
        self,
        board: Board,
        candidate: Candidate,
        held: OpenSpan,
        parent: OpenSpan | None,
        agent_above: bool,  # noqa: FBT001 - as said
        target: OpenSpan | None,
    ) -> bool:
        ending = Ending(None, source=held)
        if agent_above and candidate.settled is None:
            self.hand_off(board, candidate, parent, ending)
        elif target is None or candidate.settled is not None:
            self.settle(board, candidate, parent, ending)
        else:
            return moves.pass_on(candidate, inbox_of(held), target, inbox_of(target)) is DONE
        return True

    def expect_exit(self) -> None:
        """Say that something waits, and may still be open when the process ends."""
        self._on_wait()

    def look_up(self, parent: OpenSpan | None) -> tuple[bool, OpenSpan | None]:
        """Whether an agent is above, and the nearest open ancestor that may still become one.

        A run that was counted before its end is no agent to what starts below it then, but may turn out to be one: if
        it ends after all, they were its.
        """
        target: OpenSpan | None = None
        for node in ancestors(parent):
            span = node.span
            if span is None or not node.is_open:
                if node.was_agent:
                    return True, None
                continue
            if node.early is None:
                standing = self._standing_of(node, self._facts_of(span))
                if standing is Standing.RUN or (standing is Standing.AGENT and not node.settled_below):
                    return True, None
                if standing is Standing.MAY_BECOME and not node.settled_below and target is None:
                    target = node
            # Asked once more: if it has been counted just now, it was no agent any more to what is looked at above.
            if node.early is not None:
                target = target or node
        return False, target

    def _standing_of(self, node: OpenSpan, facts: SpanFacts) -> Standing:
        """What an open span is by now; looked at anew only where that may have changed."""
        if self._verdict_of is not None:
            return standing_of(facts, self._verdict_of, node.began)
        look = facts.look
        if node.stood is not None and node.stood[0] == look:
            return node.stood[1]
        standing = standing_of(facts, None, node.began)
        node.stood = (look, standing)
        return standing

    def hand_off(self, board: Board, candidate: Candidate, parent: OpenSpan | None, ending: Ending) -> int:
        """Fold the candidate into the agent above it."""
        item = handed_off(candidate)
        moved = CLOSED
        above: OpenSpan | None = None
        while moved is CLOSED:
            above = nearest_open(parent)
            inbox = None if above is None else above.inbox or first_inbox_of(above, self._facts_of)
            if is_late(parent, above):
                item.has_late = True
            moved = moves.hand_off(board, candidate, above, inbox, item, ending)
            if inbox is not None:
                keep_short(inbox)
        if moved is DONE and above is None:
            if candidate.likeness is Likeness.BY_OUTCOME:
                self.note_unheard()
            else:
                self._note_all([problem.kind for problem in candidate.lost_amounts])
            self.note_late(item)
        return moved

    def find_agents(self, board: Board, orphan: OpenSpan) -> list[OpenSpan]:
        """The open agents that may be runs, and to which the way up from an orphan may have led; the outermost ones."""
        trace_id, top = orphan.context.trace_id, ancestors(orphan)[-1]
        found: list[OpenSpan] = []
        for node in list(board.open.values()):
            # What has started later is not above it.
            if node is orphan or node is top:
                break
            span = node.span
            if node.context.trace_id != trace_id or span is None or node.early is not None:
                continue
            standing = self._standing_of(node, self._facts_of(span))
            is_run = standing is Standing.RUN or (standing is Standing.AGENT and not node.settled_below)
            if is_run and may_be_above(node, top) and not any(is_below(node, one) for one in found):
                found.append(node)
        return found

    def note_around(self, board: Board, orphan: OpenSpan, *more: ProblemKind) -> bool:
        """List on the agents that an orphan may be part of that it may be; whether there are any."""
        around = self.find_agents(board, orphan)
        for above in around:
            moves.leave(above, inbox_of(above), note_of(ProblemKind.PARENT_NOT_SEEN, *more))
        return bool(around)

    def note_doubt(self, board: Board, node: OpenSpan, gathered: Gathered, *, has_figures: bool) -> None:
        """List on an agent below a span that is not known, and on those that it may be part of, that it may be."""
        more = (ProblemKind.LATE_USAGE,) if has_figures else ()
        if self.note_around(board, node, *more) or node.is_within:
            gathered.absorb(note_of(ProblemKind.PARENT_NOT_SEEN))

    def note_late(self, item: Gathered) -> None:
        """Count what is lost with something that came too late for its run."""
        self._note_all(late_problems(item))

    def settle(self, board: Board, candidate: Candidate, parent: OpenSpan | None, ending: Ending) -> int:
        """Count the candidate as a run, and tell the open spans above.

        They are told first: from then on none of them can become a run around this one.
        """
        settlement = settlement_of(candidate)
        if parent is not None and not settlement.paused:
            if candidate.settled is None:
                candidate.settled = Settled(settlement.run, settlement.outcome, candidate.context, parent)
                if ending.node is not None:
                    ending.node.settled = candidate.settled
            tell_all(candidate.settled, is_apart=candidate.is_apart or candidate.likeness is Likeness.FORCED)
        return moves.count(board, candidate, settlement, candidate.settled, ending)

    def settle_early(self, board: Board, candidate: Candidate, ending: Ending) -> int:
        """Count a span that is still open as a run, with what it has gathered so far."""
        node = ending.node
        if node is None:
            return DONE
        settlement = settlement_of(candidate)
        settled = node.settled
        if settled is None:
            settled = node.settled = Settled(settlement.run, settlement.outcome, node.context, node.parent)
        settled.early_s = time.monotonic()
        tell_all(settled, is_apart=candidate.likeness is Likeness.FORCED)
        return moves.count_early(board, settlement, settled, ending, [], {})

    def end_settled(self, board: Board, settled: Settled, candidate: Candidate, ending: Ending) -> int:
        """What the end of a run adds that was counted before: its business result; all else stays as counted."""
        statement = _statement_of(candidate)
        outcome = settled.outcome
        revision: Settlement | None = None
        problems: list[ProblemKind] = []
        if statement is None or not statement.is_reported or outcome.state is State.REPORTED:
            problems.append(ProblemKind.ENDED_AFTER_STALE)
        late = [] if statement is None else late_cost(settled.run, statement)
        if statement is not None and statement.is_reported:
            listed = (*statement.problems, *late, Problem(ProblemKind.ENDED_AFTER_STALE))
            revised = replace(revise(settled.run, outcome, statement), evidence=outcome.evidence, problems=listed)
            revision = _revision(settled, outcome, revised, problems)
        else:
            problems += [problem.kind for problem in late]
        return self._end_outer(
            board, ending, None, item=Gathered(), settled=settled, revision=revision, problems=problems
        )

    def end_outer(
        self, board: Board, candidate: Candidate, parent: OpenSpan | None, settled: Settled | None, ending: Ending
    ) -> int:
        """A span that ends agent-like above a settled run: its business result is that run's, if it can only be its."""
        statement = _statement_of(candidate)
        problems: list[ProblemKind] = []
        revision = None if statement is None else _revised(settled, statement, problems)
        gathered = candidate.gathered
        gathered.stated = None
        item = passed_on(gathered, candidate.own)
        if candidate.likeness is Likeness.BY_MARK and item.has_figures:
            # Of an agent that can be no run any more: counted by one further up, or by none.
            item.has_late = True
        is_metered = candidate.own is not None and candidate.own.parts is not None
        moved = CLOSED
        while moved is CLOSED:
            above = nearest_open(parent)
            late = [ProblemKind.LATE_COST] if is_metered and (above is None or above.settled_below) else []
            if above is None and item.has_late:
                late += late_problems(item)
            moved = self._end_outer(
                board, ending, above, item=item, settled=settled, revision=revision, problems=[*problems, *late]
            )
        return moved

    def _end_outer(
        self,
        board: Board,
        ending: Ending,
        above: OpenSpan | None,
        *,
        item: Gathered,
        settled: Settled | None,
        revision: Settlement | None,
        problems: list[ProblemKind],
    ) -> int:
        inbox = None if above is None else inbox_of(above)
        moved = moves.end_outer(board, ending, above, inbox, item, settled, revision)
        if moved is DONE:
            self._note_all(problems)
        return moved

    def note_unheard(self) -> None:
        """Say that what was stated inside a run is stated for none, as there is no run above."""
        self._on_problem(ProblemKind.NO_CURRENT_RUN)

    def _note_all(self, problems: list[ProblemKind]) -> None:
        for problem in problems:
            self._on_problem(problem)


def _revised(settled: Settled | None, statement: Statement, problems: list[ProblemKind]) -> Settlement | None:
    if settled is None:
        problems.append(ProblemKind.AMBIGUOUS_OUTCOME)
        return None
    previous = settled.outcome
    revised = revise(settled.run, previous, statement)
    if not statement.is_reported:
        problems += [problem.kind for problem in revised.problems]
        return None
    return _revision(settled, previous, revised, problems)


def _revision(settled: Settled, previous: Outcome, revised: Outcome, problems: list[ProblemKind]) -> Settlement | None:
    if previous.state is not State.REPORTED:
        return Settlement(settled.run, revised, settled.context, settled.revision + 1, previous)
    if not revised.same_business(previous):
        problems.append(ProblemKind.AMBIGUOUS_OUTCOME)
    problems += [problem.kind for problem in revised.problems if problem.kind is ProblemKind.LATE_COST]
    return None


def keep_short(inbox: Inbox) -> None:
    """Add up what has been left with a span that is open for long, once there is much of it."""
    folded, items = inbox.folded, inbox.items
    if len(items) >= ROWS_MAX:
        # Not all of them: if exceptions come up in here time and again, it must not take longer each time.
        first = items[:ROWS_MAX]
        moves.compact(inbox, folded, items, slice(0, len(first)), fold(folded, first))


def tell_all(settled: Settled, *, is_apart: bool) -> None:
    """Tell every span above of a run, going on where an interruption has left off."""
    apart = 1 if is_apart else 0
    while settled.untold is not None:
        moves.tell(settled, settled.untold, apart)


def _statement_of(candidate: Candidate) -> Statement | None:
    """What is stated on a span and, by spans that stated it for their run, below it."""
    gathered, span = candidate.gathered, candidate.span
    below = gathered.stated
    if OUTCOME_KEYS.isdisjoint(span.attributes) and OUTCOME_KEYS.isdisjoint(below or ()):
        return None
    statement, differ = read_stated(span, below)
    if differ or gathered.contradicted:
        problems = (*statement.problems, Problem(ProblemKind.CONTRADICTING_OUTCOME))
        statement = copy(statement)
        statement.problems = problems
    return statement
