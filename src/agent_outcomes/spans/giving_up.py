# SPDX-License-Identifier: Apache-2.0
"""When spans that may never end are given up: what starts and ends around them shows that they will not.

See `never_ended` for which these are, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.spans.began import as_it_began
from agent_outcomes.spans.marks import NO_AGENT, Likeness, own_usage, seen_as
from agent_outcomes.spans.never_ended import (
    Doubtful,
    end_aftermath,
    failed_before,
    has_failed,
    note_failure,
    place_after,
    snapshot_given_up,
)
from agent_outcomes.spans.open_spans import OpenSpan, waiting_in

if TYPE_CHECKING:
    from agent_outcomes.spans.ends import SpanEnds
    from agent_outcomes.spans.facts import SpanFacts
    from agent_outcomes.spans.marks import Reading
    from agent_outcomes.spans.placement import Placement

_MARKED: Final = frozenset({Likeness.BY_MARK, Likeness.FORCED})


class GivingUp:
    """Ends the spans in doubt of which something has shown that they will not end."""

    def __init__(self, reading: Reading, placement: Placement, doubtful: Doubtful, ends: SpanEnds) -> None:
        self._reading = reading
        self._placement = placement
        self._doubtful = doubtful
        self._ends = ends

    def start_in_doubt(self, node: OpenSpan) -> None:
        """An agent that starts below a failed one, whose end has not come, shows that it will not come."""
        self._placement.expect_exit()
        facts = self._reading.facts_of(node.span)
        attributes = facts.attributes()
        place_after(node, facts, attributes, self._reading.facts_of)
        failed = failed_before(node)
        if failed and seen_as(facts, attributes, self._reading.verdict_of)[1] not in NO_AGENT:
            self.give_up_all(failed)

    def end_in_doubt(
        self, node: OpenSpan, facts: SpanFacts, attributes: dict[str, Any], error: BaseException | None
    ) -> None:
        """Give up what has failed below this span and has not ended by now."""
        note_failure(node, error)
        end_aftermath(node)
        self.give_up_all(self.find_failed(node))
        before = failed_before(node)
        if before:
            # Some spans are marked as agents only as they end.
            _, own = seen_as(facts, attributes, self._reading.verdict_of, node.began)
            if not _MARKED.isdisjoint((own, *(candidate.likeness for candidate in waiting_in(node)))):
                self.give_up_all(before)

    def find_failed(self, within: OpenSpan | None) -> list[OpenSpan]:
        """Those below `within`, or all, that have failed."""
        return [node for node in self._doubtful.open_below(within) if has_failed(node, self._reading.facts_of)]

    def give_up_all(self, failed: list[OpenSpan]) -> None:
        """Give up these, and before each what has failed in it: not what began below it only after that."""
        within = [[one for one in self.find_failed(node) if node not in failed_before(one)] for node in failed]
        for node, inner in zip(failed, within, strict=True):
            for one in (*inner, node):
                self.give_up(one)

    def give_up(self, node: OpenSpan) -> bool:
        """End an agent's span that its instrumentation has marked failed and will not end; once, whatever follows."""
        span = node.span
        if span is None or not node.is_open:
            return False
        facts = self._reading.facts_of(span)
        attributes = facts.attributes()
        role, likeness = seen_as(facts, attributes, self._reading.verdict_of, node.began)
        if likeness in NO_AGENT:
            return False
        self._doubtful.give_up(node)
        own = own_usage(facts, attributes, role, self._reading.price_of)
        given_up = as_it_began(snapshot_given_up(node, facts, attributes), node.began)
        self._ends.end_agent(given_up, node.context, likeness, own, node)
        return True
