# SPDX-License-Identifier: Apache-2.0
"""Failed agent spans that their instrumentation neither ends nor takes off the context.

Such a span stays the current one, so that whatever its thread does next, other runs too, starts below it. It is given
up, that is treated as ended when it was marked failed, as soon as something shows that nothing of its run follows:
an agent that starts below it, the end of a span around it, or shutdown. A step that starts right below it shows the
opposite. The span of an interrupted run (Ctrl-C) is not even marked; what was in flight at its step's end tells.

This holds for the instrumentations that `SCOPES` says it of alone. Nothing on the spans tells such a leak from code
that marks the current agent's span as failed and then calls another agent on purpose. The price: with an unlisted
instrumentation that does the same, later runs of the thread count as handoffs of the failed one; `agent_run` around
the call keeps them apart. And where nothing follows, a failed run is counted only at shutdown.

Given-up spans are remembered, as what they leave current goes on to be used and
their end may come after all: at most `ABANDONED_MAX`, the oldest are forgotten.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.classification import is_interruption, is_silent
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.scopes import rules_of
from agent_outcomes.spans import moves
from agent_outcomes.spans.leaving import passed_on
from agent_outcomes.spans.open_spans import (
    Doubt,
    OpenSpan,
    ancestors,
    gathered_by,
    inbox_of,
    is_local_parent,
    nearest_open,
    shorten,
    version_of,
)
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.facts import FactsOf, SpanFacts, SpanIds

ABANDONED_MAX: Final = 1_000


class Doubtful:
    """The open spans that may never end, and those that have been given up.

    `open` are the former by span id; every span that starts or ends asks whether there is one.
    """

    def __init__(self) -> None:
        self.open: dict[int, OpenSpan] = {}
        self._given_up: dict[int, OpenSpan] = {}

    def clear(self) -> None:
        """Forget all of them."""
        self.open.clear()
        self._given_up.clear()

    def add(self, node: OpenSpan) -> None:
        """Take note of a started span of such an instrumentation."""
        node.doubt = Doubt()
        self.open[node.context.span_id] = node

    def remove(self, node: OpenSpan) -> None:
        """Take note that the span has ended, or is no longer followed."""
        self.open.pop(node.context.span_id, None)

    def open_below(self, within: OpenSpan | None) -> list[OpenSpan]:
        """Those still open, innermost first; only those below `within` if that is given."""
        return [
            node
            for node in reversed(list(self.open.values()))
            if within is None or any(above is within for above in ancestors(node.parent))
        ]

    def give_up(self, node: OpenSpan) -> None:
        """Whatever started below the span after it had failed hangs from what is above it from now on."""
        self._given_up[node.context.span_id] = node
        if len(self._given_up) > ABANDONED_MAX:
            self._given_up.pop(oldest_key(self._given_up) or 0, None)
        doubt = node.doubt
        if doubt is not None and doubt.aftermath is not None:
            doubt.aftermath.parent = node.parent
            end_aftermath(node)

    def has_given_up(self, context: SpanIds) -> bool:
        """Whether the very span that was given this context object has been given up."""
        node = self._given_up.get(context.span_id)
        return node is not None and node.context is context

    def above_given_up(self, context: SpanIds) -> OpenSpan | None:
        """The nearest open span above one that has been given up; `None` if it has not or nothing is above."""
        node = self._given_up.get(context.span_id)
        return nearest_open(node.parent) if node is not None and is_local_parent(node, context) else None


def has_failed(node: OpenSpan, facts_of: FactsOf) -> bool:
    """Whether an open span has the status ERROR, or was left by an interruption, of which nothing is marked."""
    span, doubt = node.span, node.doubt
    if span is None or doubt is None:
        return False
    failure = doubt.failure
    return facts_of(span).has_failed or (failure is not None and _ends_the_run(failure))


def place_after(node: OpenSpan, facts: SpanFacts, attributes: Mapping[str, Any], facts_of: FactsOf) -> None:
    """Put a span that has just started below a failed one behind it, unless it shows that that one goes on."""
    above = node.parent
    if above is None or above.doubt is None or above.span is None:
        return
    if node.doubt is not None and rules_of(facts.scope).role_of(attributes, facts.name) is Role.OTHER:
        above.doubt.failure = None
    elif has_failed(above, facts_of):
        aftermath = OpenSpan()
        aftermath.span, aftermath.context = None, above.context
        aftermath.parent = aftermath.after = above
        moves.hang_behind(node, above, aftermath)


def end_aftermath(node: OpenSpan) -> None:
    """Fold what came after the failure into what it hangs from: the span itself, or what is above it."""
    doubt = node.doubt
    aftermath = doubt.aftermath if doubt is not None else None
    if doubt is None or aftermath is None:
        return
    moved = moves.CHANGED
    while moved is not moves.DONE:
        seen = version_of(aftermath)
        item = passed_on(gathered_by(aftermath, []), None)
        above = None if item.is_empty else nearest_open(aftermath.parent)
        inbox = None if above is None else inbox_of(above)
        moved = moves.end_behind(doubt, aftermath, seen, above, inbox, item)
    shorten(aftermath)


def failed_before(node: OpenSpan) -> list[OpenSpan]:
    """All failed spans that this one began below and that are still open, innermost first."""
    return [one.after for one in ancestors(node.parent) if one.after is not None and one.after.span is not None]


def note_failure(node: OpenSpan, error: BaseException | None) -> None:
    """Keep for the span above what is in flight at the end of this one, as its own end will not show it."""
    above = node.parent
    if error is None or id(error) == node.exception_id or above is None or above.doubt is None:
        return
    facts = facts_from_exception(error)
    if _ends_the_run(facts) or not is_silent(facts):
        above.doubt.failure, above.doubt.failed_at_ns = facts, time.time_ns()


def snapshot_given_up(node: OpenSpan, span: SpanFacts, attributes: dict[str, Any]) -> AgentSpan:
    """A span that will not end as plain data: it ended when its error was recorded, by what its last step failed of."""
    facts = span.snapshot(attributes, None)
    doubt = node.doubt or Doubt()
    failure = doubt.failure
    if failure is not None and not _ends_the_run(failure) and failure.name not in facts.exception_types:
        failure = None
    end_ns = span.failed_at_ns() or doubt.failed_at_ns or time.time_ns()
    return facts._replace(start_ns=span.start_ns or end_ns, end_ns=end_ns, in_flight=failure)


def _ends_the_run(failure: ErrorFacts) -> bool:
    # A program that ends well says nothing of how the run went, but that nothing follows.
    return is_interruption(failure) or failure.is_clean_exit
