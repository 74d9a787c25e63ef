# SPDX-License-Identifier: Apache-2.0
"""Where an ended agent-like span belongs: a run, a handoff of the agent above, or to be decided when that one ends."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_outcomes.attribute_reader import Problem
from agent_outcomes.detection import OUTCOME_KEYS, Likeness, Standing, standing_of
from agent_outcomes.folding import nested_amounts, read_stated
from agent_outcomes.normalize import late_cost, revise
from agent_outcomes.open_spans import (
    Settled,
    Settlement,
    ancestors,
    fold_handoff,
    fold_plain,
    gathered_by,
    is_below,
    nearest_open,
    note_settled,
    note_settled_early,
    take_gathered,
)
from agent_outcomes.semconv import ProblemKind, State
from agent_outcomes.settling import settlement_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_outcomes.detection import IsRun
    from agent_outcomes.model import Outcome
    from agent_outcomes.open_spans import Candidate, Gathered, OpenSpan
    from agent_outcomes.statement import Statement

WAITING_MAX: Final = 1_000


class Placement:
    """Places candidates among the spans that are open above them.

    `lock` guards the open spans. `on_problem` is told of problems that no event can list, `on_first_wait` once, when a
    run first has to wait for an outer span.
    """

    def __init__(
        self, *, on_problem: Callable[[ProblemKind], None], on_first_wait: Callable[[], None], is_run: IsRun | None
    ) -> None:
        self._on_problem = on_problem
        self._on_first_wait = on_first_wait
        self._has_waited = False
        self._is_run = is_run
        self.restart()

    def restart(self) -> None:
        """Forget what waits; the lock is made anew."""
        self.lock = threading.Lock()
        self.waiting_count = 0

    def take_from_open(self, node: OpenSpan, below: Iterable[OpenSpan]) -> None:
        """An agent that ends before spans below it has what they gathered until now; later ones come too late."""
        with self.lock:
            found = [(one, one.span) for one in below if one.below is not None]
        is_run = self._is_run
        apart = [one for one, span in found if is_run is not None and span is not None and is_run(span)]
        with self.lock:
            for one, _ in found:
                if one.span is not None and not any(one is run or is_below(one, run) for run in apart):
                    take_gathered(node, one)

    def place_all(self, candidates: list[Candidate], parent: OpenSpan | None) -> list[Settlement]:
        """Place each candidate that waited for a span which has ended, below `parent`."""
        return [settlement for candidate in candidates for settlement in self.place(candidate, parent)]

    def place(self, candidate: Candidate, parent: OpenSpan | None) -> list[Settlement]:
        """Settle the candidate, fold it into the agent above, or let it wait for what may become one."""
        if parent is None:
            return self.settle(candidate, None)
        while True:
            agent_above, target = self.look_up(parent)
            if agent_above:
                return self.hand_off(candidate, parent)
            if target is None:
                return self.settle(candidate, parent)
            self.expect_exit()
            with self.lock:
                if self.waiting_count >= WAITING_MAX:
                    break
                # It may have ended since it was looked at; then the rest of the way up is looked at anew.
                if target.span is not None:
                    gathered = gathered_by(target)
                    gathered.waiting = [*(gathered.waiting or ()), candidate]
                    self.waiting_count += 1
                    return []
        return self.settle(candidate, parent)

    def expect_exit(self) -> None:
        """Say that something may still be open when the process ends, the first time that it may."""
        if not self._has_waited:
            self._has_waited = True
            self._on_first_wait()

    def look_up(self, parent: OpenSpan | None) -> tuple[bool, OpenSpan | None]:
        """Whether an agent is above, and the nearest open ancestor that may still become one."""
        with self.lock:
            above = (node for node in ancestors(parent) if node.settled_early is None)
            chain = [(node, node.span, node.settled_below) for node in above]
        target: OpenSpan | None = None
        for node, span, settled_below in chain:
            if span is None:
                if node.was_agent:
                    return True, None
                continue
            standing = standing_of(span, self._is_run)
            if standing is Standing.RUN or (standing is Standing.AGENT and not settled_below):
                return True, None
            if standing is Standing.MAY_BECOME and not settled_below and target is None:
                target = node
        return False, target

    def hand_off(self, candidate: Candidate, parent: OpenSpan | None) -> list[Settlement]:
        """Fold the candidate into the agent above it."""
        with self.lock:
            above = nearest_open(parent)
            if above is not None:
                fold_handoff(gathered_by(above), candidate)
        if above is None and candidate.likeness is Likeness.BY_OUTCOME:
            self._on_problem(ProblemKind.NO_CURRENT_RUN)
        elif above is None:
            self._note_all(nested_amounts(candidate.span))
        return []

    def settle(self, candidate: Candidate, parent: OpenSpan | None) -> list[Settlement]:
        """Count the candidate as a run, and tell the open spans above."""
        settlement = settlement_of(candidate)
        if parent is not None and not settlement.paused:
            settled = Settled(settlement.run, settlement.outcome, candidate.context)
            with self.lock:
                note_settled(settled, parent, candidate.likeness)
        return [settlement]

    def settle_early(self, candidate: Candidate, node: OpenSpan) -> list[Settlement]:
        """Count a span that is still open as a run, with what it has gathered so far; the lock is held."""
        gathered = node.below or candidate.gathered
        node.below = None
        for below in self.take_waiting(gathered):
            fold_handoff(gathered, below)
        candidate.gathered = gathered
        settlement = settlement_of(candidate)
        settled = Settled(settlement.run, settlement.outcome, node.context)
        note_settled_early(settled, node, time.monotonic(), candidate.likeness)
        return [settlement]

    def end_settled(self, settled: Settled, candidate: Candidate) -> list[Settlement]:
        """What the end of a run adds that was counted before: its business result; all else stays as counted."""
        statement = _statement_of(candidate)
        outcome = settled.outcome
        if statement is None or not statement.is_reported or outcome.state is State.REPORTED:
            self._on_problem(ProblemKind.ENDED_AFTER_STALE)
        if statement is None:
            return []
        late = late_cost(settled.run, statement)
        if not statement.is_reported:
            self._note_all(late)
            return []
        problems = (*statement.problems, *late, Problem(ProblemKind.ENDED_AFTER_STALE))
        revised = replace(revise(settled.run, outcome, statement), evidence=outcome.evidence, problems=problems)
        return self._next_revision(settled, revised)

    def end_outer(self, candidate: Candidate, parent: OpenSpan | None, settled: Settled | None) -> list[Settlement]:
        """A span that ends agent-like above a settled run: its business result is that run's, if it can only be its."""
        gathered = candidate.gathered
        statement = _statement_of(candidate)
        settlements = [] if statement is None else self._revise(settled, statement)
        with self.lock:
            above = nearest_open(parent)
            if above is not None:
                fold_plain(above, gathered, candidate.own)
        is_metered = candidate.own is not None and candidate.own.parts is not None
        if is_metered and (above is None or above.settled_below):
            self._on_problem(ProblemKind.LATE_COST)
        return settlements

    def _revise(self, settled: Settled | None, statement: Statement) -> list[Settlement]:
        if settled is None:
            self._on_problem(ProblemKind.AMBIGUOUS_OUTCOME)
            return []
        revised = revise(settled.run, settled.outcome, statement)
        if not statement.is_reported:
            self._note_all(revised.problems)
            return []
        return self._next_revision(settled, revised)

    def _next_revision(self, settled: Settled, revised: Outcome) -> list[Settlement]:
        # Two spans may end at once; each revision is made once.
        with self.lock:
            previous, revision = settled.outcome, settled.revision + 1
            is_new = previous.state is not State.REPORTED
            if is_new:
                settled.outcome, settled.revision = revised, revision
        if is_new:
            return [Settlement(settled.run, revised, settled.context, revision, previous)]
        if not revised.same_business(previous):
            self._on_problem(ProblemKind.AMBIGUOUS_OUTCOME)
        self._note_all(problem for problem in revised.problems if problem.kind is ProblemKind.LATE_COST)
        return []

    def _note_all(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._on_problem(problem.kind)

    def take_waiting(self, gathered: Gathered | None) -> list[Candidate]:
        """The candidates that waited for a span, which wait no longer; the lock is held."""
        if gathered is None or gathered.waiting is None:
            return []
        waiting, gathered.waiting = gathered.waiting, None
        self.waiting_count -= len(waiting)
        return waiting


def _statement_of(candidate: Candidate) -> Statement | None:
    """What is stated on a span and, by spans that stated it for their run, below it."""
    gathered, span = candidate.gathered, candidate.span
    below, gathered.stated = gathered.stated, None
    if OUTCOME_KEYS.isdisjoint(span.attributes) and OUTCOME_KEYS.isdisjoint(below or ()):
        return None
    statement, differ = read_stated(span, below)
    if differ or gathered.contradicted:
        problems = (*statement.problems, Problem(ProblemKind.CONTRADICTING_OUTCOME))
        statement = replace(statement, problems=problems)
    return statement
