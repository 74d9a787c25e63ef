# SPDX-License-Identifier: Apache-2.0
"""Runs that are settled before their end, as their span has been open for too long, or before that of an outer span."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.run.scopes import rules_of
from agent_outcomes.spans import moves
from agent_outcomes.spans.began import as_it_began
from agent_outcomes.spans.candidates import open_candidate
from agent_outcomes.spans.marks import NO_AGENT, Likeness, own_usage, seen_as
from agent_outcomes.spans.moves import DONE, Ending
from agent_outcomes.spans.never_ended import has_failed
from agent_outcomes.spans.open_spans import (
    Board,
    OpenSpan,
    gathered_by,
    inbox_of,
    is_within_settled,
    version_of,
    waiting_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.facts import SpanFacts
    from agent_outcomes.spans.giving_up import GivingUp
    from agent_outcomes.spans.marks import Reading
    from agent_outcomes.spans.placement import Placement


HOLD_MAX_S: Final = 5.0
"""How long a run is held back for a span around it that may yet be marked as an agent.

An instrumentation that does so after the start does it when the framework has told it what has started, which takes
milliseconds; those that do it only as the span ends have rows (`ScopeRules.turns_late`). So a span that is not marked
by now is a session, a server's loop or a task, which may stay open for days, and a crash would lose what it holds back.
"""
HOLD_LATE_MAX_S: Final = 600.0
"""The same where spans are marked only as they end: for as long as an agent commonly works."""
LOOK_INTERVAL_S: Final = 0.5


class StaleRuns:
    """Settles what has been open, or has waited, for too long."""

    def __init__(self, board: Board, reading: Reading, placement: Placement, giving_up: GivingUp) -> None:
        self._board = board
        self._reading = reading
        self._placement = placement
        self._giving_up = giving_up
        self._looked_s = -LOOK_INTERVAL_S

    def settle_held(self) -> None:
        """Settle the runs that have been held back for too long; looks at most every `LOOK_INTERVAL_S`.

        They are runs apart from the span that they have waited for: if that turns out to be an agent after all, it is
        one, too, and counts what it has used beside them, so that nothing is lost and nothing counted twice.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_INTERVAL_S:
            return
        self._looked_s = now_s
        for node in list(self._board.open.values()):
            if node.inbox is not None and node.inbox.waiting:
                self._place_held(node, now_s)

    def _place_held(self, node: OpenSpan, now_s: float) -> None:
        """Place what waits for the span by what those above it are by now, or because it has waited for too long."""
        agent_above, target = self._placement.look_up(node)
        latest_s = None if target is None else now_s - _hold_s(target, self._reading)
        for candidate in waiting_in(node):
            if agent_above:
                self._placement.hand_off(self._board, candidate, node, Ending(None, source=node))
                inbox_of(node).waiting.pop(candidate, None)
            elif latest_s is not None and candidate.waits_since_s <= latest_s:
                candidate.is_apart = True
        if not agent_above:
            self._settle_waiting(node, latest_s)

    def settle(self, stale_after_s: float, on_settled: Callable[[], None]) -> None:
        """Settle the runs whose span has been open for longer, and those that wait for an outer one that has.

        `on_settled` is called after each, so that no other thread comes upon all of them at once.
        """
        now_s = time.monotonic()
        latest_s = now_s - stale_after_s
        # Whatever is told of as stale sooner: it is no less likely to end, and to have them, than any other span is.
        held_s = min(latest_s, now_s - HOLD_MAX_S)
        for node in list(self._board.open.values()):
            if node.started_s >= latest_s:
                continue
            if node.early is None:
                self._settle_open(node)
            elif node.early.early_s < held_s:
                self._settle_waiting(node, held_s)
            if self._board.settled:
                on_settled()

    def _settle_open(self, node: OpenSpan) -> None:
        """Settle what a span holds that has been open for too long: the run that it is, or those that wait for it."""
        span = node.span
        if span is None:
            return
        if node.doubt is not None and has_failed(node, self._reading.facts_of):
            self._giving_up.give_up_all([node])
            return
        facts = self._reading.facts_of(span)
        attributes = facts.attributes()
        role, likeness = seen_as(facts, attributes, self._reading.verdict_of, node.began)
        if likeness in NO_AGENT:
            self._settle_waiting(node, None)
            return
        is_below = is_within_settled(node) or node.settled_below or self._placement.look_up(node.parent)[0]
        if is_below and likeness is not Likeness.FORCED:
            return
        own = own_usage(facts, attributes, role, self._reading.price_of)
        open_span = as_it_began(snapshot_open(facts, attributes), node.began)
        moved = moves.CHANGED
        while moved is not DONE:
            seen, waiting = version_of(node), waiting_in(node)
            candidate = open_candidate(node, open_span, likeness, own, gathered_by(node, waiting))
            # A run that waits for a human may take its time.
            if candidate.finding.paused:
                return
            moved = self._placement.settle_early(self._board, candidate, Ending(node, seen, len(waiting)))

    def _settle_waiting(self, node: OpenSpan, latest_s: float | None) -> None:
        """Settle what waits for the span, all or what has waited for too long."""
        for candidate in waiting_in(node):
            if latest_s is None or candidate.waits_since_s <= latest_s:
                self._placement.settle(self._board, candidate, node, Ending(None, source=node))
                inbox_of(node).waiting.pop(candidate, None)


def _hold_s(target: OpenSpan, reading: Reading) -> float:
    """How long a run waits for this span."""
    span = target.span
    turns_late = span is not None and rules_of(reading.facts_of(span).scope).turns_late
    return HOLD_LATE_MAX_S if turns_late else HOLD_MAX_S


def snapshot_open(facts: SpanFacts, attributes: dict[str, Any]) -> AgentSpan:
    """A span that is still open as if it ended now; no exception in flight here is its own."""
    now_ns = time.time_ns()
    start_ns = facts.start_ns
    ended = facts.snapshot(attributes, None)
    return ended._replace(start_ns=now_ns + 1 if start_ns is None else start_ns, end_ns=now_ns)
