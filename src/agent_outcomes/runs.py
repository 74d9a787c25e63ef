# SPDX-License-Identifier: Apache-2.0
"""Which ended spans are runs, and what lies below each: the state kept while spans are open.

An agent-like span is settled as a run when it ends and no open ancestor is an agent or can still turn into one.
Otherwise it waits for that ancestor's end, or is folded into the agent above it as a handoff. A span that ends
agent-like after a run below it has settled never becomes a run: people set outcome attributes on the outer span they
hold, and then its business result belongs to the one run below.

One small object per open span, at most `OPEN_SPANS_MAX`; one lock, under which nothing is emitted, no attribute is
read and no user code runs.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan

from agent_outcomes.abandoned import (
    Doubtful,
    end_aftermath,
    failed_before,
    has_failed,
    note_failure,
    place_after,
    snapshot_given_up,
)
from agent_outcomes.conventions import LEAVES_FAILED_OPEN
from agent_outcomes.detection import (
    ROOT_SCOPES,
    SPECIAL_SCOPES,
    WATCHED_KEYS,
    Likeness,
    Standing,
    attributes_of,
    is_outcome_span,
    keys_of,
    name_of,
    own_usage,
    pause_in,
    run_span_of,
    scope_of,
    seen_as,
    snapshot,
    snapshot_open,
    standing_of,
)
from agent_outcomes.leaves import Shapes
from agent_outcomes.open_spans import (
    Candidate,
    Gathered,
    OpenSpan,
    Settlement,
    ancestors,
    close,
    fold_handoff,
    fold_plain,
    gathered_by,
    is_below,
    is_local_parent,
    is_within_settled,
)
from agent_outcomes.placement import Placement
from agent_outcomes.settling import ended_candidate, open_candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

    from agent_outcomes.detection import IsRun, PriceOf
    from agent_outcomes.evidence import Finding
    from agent_outcomes.model import AgentSpan
    from agent_outcomes.semconv import ProblemKind
    from agent_outcomes.usage import Tally

OPEN_SPANS_MAX: Final = 10_000
_AGENTS: Final = frozenset({Standing.RUN, Standing.AGENT})
# References to a span taken out of the open ones: the caller's variable and the argument. Where references are not
# counted like this, every span is treated as if others might know of it.
reference_count = getattr(sys, "getrefcount", lambda _: 0)
_OURS_ALONE: Final = (
    2 if sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)() else -1
)
_NOTHING: Final[list[Settlement]] = []
_MARKED: Final = frozenset({Likeness.BY_MARK, Likeness.FORCED})


class RunTracker:
    """Follows spans from start to end and says which runs have settled.

    `start` and `end` are called on whatever thread starts and ends the span; `end` returns the settlements that it
    caused, for the caller to emit. `on_problem` is told of problems that no event can list, `on_first_wait` once, when
    a run first has to wait for an outer span. With `keeps_handoffs` a settlement has the agents below it;
    with `keeps_ages` runs can be settled that do not end.
    """

    def __init__(
        self,
        *,
        on_problem: Callable[[ProblemKind], None],
        on_first_wait: Callable[[], None],
        on_evicted: Callable[[], None] = lambda: None,
        is_run: IsRun | None = None,
        price_of: PriceOf | None = None,
        keeps_handoffs: bool = False,
        keeps_ages: bool = False,
    ) -> None:
        self._price_of = price_of
        self._shapes = Shapes()
        self._reads_more = price_of is not None or is_run is not None
        self._keeps_handoffs = keeps_handoffs
        self._keeps_ages = keeps_ages
        self._keeps_more = keeps_ages or keeps_handoffs
        self._placement = Placement(on_problem=on_problem, on_first_wait=on_first_wait, is_run=is_run)
        self._is_run = is_run
        self._on_evicted = on_evicted
        self.evicted_count = 0
        self._inherited: frozenset[int] = frozenset()
        self._restart()

    def _restart(self) -> None:
        self._placement.restart()
        self._lock = self._placement.lock
        self._open: dict[int, OpenSpan] = {}
        self._repeats: dict[int, int] = {}
        self._doubtful = Doubtful()
        self._doubted = self._doubtful.open

    def after_fork_in_child(self) -> None:
        """Forget every open span: a run open at the fork belongs to the parent, and the lock may have been held."""
        self._inherited |= frozenset(self._open)
        self._restart()

    @property
    def open_count(self) -> int:
        """How many spans are open."""
        return len(self._open)

    def follows(self, context: SpanContext) -> bool:
        """Whether the span is open here."""
        return context.span_id in self._open

    def holds(self, context: SpanContext) -> bool:
        """Whether the very span that was given this context object is open here."""
        node = self._open.get(context.span_id)
        return node is not None and node.context is context

    def start(self, span: ReadableSpan) -> list[Settlement]:
        """Take note of a started span; settles what an evicted span held back."""
        # For every span that starts: no lock, as each step by itself is safe in between any of another thread's, and no
        # properties of the SDK, which cost more than all that is done with what they give.
        context: SpanContext = span._context  # type: ignore[assignment]  # noqa: SLF001
        parent = span._parent  # noqa: SLF001
        node = OpenSpan()
        node.span = span
        node.context = context
        node.parent = node.below = node.doubt = None
        open_spans = self._open
        if parent is not None:
            above = open_spans.get(parent[1])
            # A local parent is nearly always the very context of the span that is open.
            if above is not None and above.context is parent:
                node.parent = above
            else:
                self._find_parent(node, above, parent)
        error = sys.exception()
        if error is not None:
            node.exception_id = id(error)
        if open_spans.setdefault(context[1], node) is not node:
            self._note_repeat(node)
            return _NOTHING
        scope = span._instrumentation_scope  # noqa: SLF001
        if (
            (scope is None or scope._name not in LEAVES_FAILED_OPEN)
            and not self._doubted
            and not self._keeps_more
            and len(open_spans) <= OPEN_SPANS_MAX
        ):
            return _NOTHING
        return self._start_more(span, node)

    def _find_parent(self, node: OpenSpan, above: OpenSpan | None, parent: SpanContext) -> None:
        if above is None:
            with self._lock:
                above = self._doubtful.above_given_up(parent)
        if above is not None and is_local_parent(above, parent):
            node.parent = above

    def _start_more(self, span: ReadableSpan, node: OpenSpan) -> list[Settlement]:
        """What few spans need when they start: where ages or callers are kept, anything is in doubt, too many are open."""
        if self._keeps_ages:
            node.started_s = time.monotonic()
        parent, above, evicted = span.parent, node.parent, None
        scope = span.instrumentation_scope
        with self._lock:
            if self._keeps_handoffs and parent is not None:
                node.caller = parent if parent.is_remote else (above.caller if above is not None else None)
            if scope is not None and scope.name in LEAVES_FAILED_OPEN:
                self._doubtful.add(node)
            if len(self._open) > OPEN_SPANS_MAX:
                evicted = self._take_oldest()
        settled = self._start_in_doubt(span, node) if self._doubtful.open else _NOTHING
        return [*settled, *self._evict(evicted)] if evicted is not None else settled

    def _note_repeat(self, node: OpenSpan) -> None:
        """A span that starts once more, as it does to a processor that was added twice."""
        span_id = node.context.span_id
        with self._lock:
            known = self._open.get(span_id)
            if known is not None and known.context is node.context:
                self._repeats[span_id] = self._repeats.get(span_id, 0) + 1

    def end(self, span: ReadableSpan) -> list[Settlement]:
        """Take note of an ended span; returns what settled by it."""
        context: SpanContext = span._context  # type: ignore[assignment]  # noqa: SLF001
        if self._repeats and self._is_repeat(context):
            return _NOTHING
        given_up = self._end_in_doubt(span, context) if self._doubted else _NOTHING
        scope = span._instrumentation_scope  # noqa: SLF001
        try:
            # The SDK's property builds a proxy and asks for the length, which costs twice as much as what it is read for.
            keys = span._attributes._dict if type(span) is ReadableSpan else keys_of(span)  # type: ignore[union-attr]  # noqa: SLF001
        except AttributeError:
            keys = keys_of(span)
        if (
            not WATCHED_KEYS.isdisjoint(keys)
            or (scope is not None and scope._name in ROOT_SCOPES)
            or self._is_run is not None
        ):
            if self._inherited and context.span_id in self._inherited and not self.follows(context):
                settled = _NOTHING
            elif type(keys) is dict and not self._reads_more and self._end_leaf(span, context, keys, scope):
                settled = _NOTHING
            else:
                settled = self._end_watched(span, context, attributes_of(span))
            return [*given_up, *settled] if given_up else settled
        open_spans, span_id = self._open, context[1]
        node = open_spans.get(span_id)
        if node is None or node.context is not context:
            return given_up
        if node.below is None and node.doubt is None:
            if open_spans.pop(span_id, None) is None:
                return given_up
            # Nobody can leave anything with a span that only we know of: no span below it is open.
            if reference_count(node) == _OURS_ALONE:
                return given_up
            settled = self._close_taken(node, None, None)
        else:
            settled = self._end_plain(context, None)
        return [*given_up, *settled] if given_up else settled

    def _end_leaf(
        self, span: ReadableSpan, context: SpanContext, attributes: dict[str, Any], scope: InstrumentationScope | None
    ) -> bool:
        """End a model or tool call without anything below it that matters, the short way; whether that was possible."""
        names = tuple(attributes)
        shape = self._shapes.get(names)
        if shape is None:
            self._shapes.note(names)
            return False
        bounded: Any = span._attributes  # noqa: SLF001
        if (
            type(bounded) is not BoundedAttributes
            or bounded.dropped
            or bounded.max_value_len is not None
            or (scope is not None and scope._name in SPECIAL_SCOPES)
        ):
            return False
        word = attributes.get(shape.word_key)
        plan = shape.plans.get(word) if type(word) is str else None
        if plan is None:
            return False
        row = plan.values(attributes)
        span_id = context[1]
        self._lock.acquire()
        try:
            node = self._open.get(span_id)
            if node is None or node.context is not context:
                return False
            parent = node.parent
            if (
                parent is None
                or parent.span is None
                or parent.doubt is not None
                or node.below is not None
                or node.doubt is not None
            ):
                return False
            del self._open[span_id]
            node.span = None
            below = parent.below
            if below is None:
                below = parent.below = Gathered()
            below.add_row(plan, row)
        finally:
            self._lock.release()
        return True

    def flush(self) -> list[Settlement]:
        """Settle every candidate that still waits for an ancestor, because no further end will come."""
        settled = self._give_up_all(self._find_failed(None))
        with self._lock:
            waiting = [one for node in list(self._open.values()) for one in self._placement.take_waiting(node.below)]
        return [*settled, *(settlement for one in waiting for settlement in self._placement.settle(one, None))]

    def settle_stale(self, stale_after_s: float) -> list[Settlement]:
        """Settle the runs whose span has been open for longer, and those that wait for an outer one that has."""
        latest_s = time.monotonic() - stale_after_s
        with self._lock:
            old = [
                node for node in list(self._open.values()) if node.started_s < latest_s and node.settled_early is None
            ]
        return [settlement for node in old for settlement in self._settle_open(node)]

    def find_run_span(self, context: SpanContext) -> ReadableSpan | None:
        """The open span on which an outcome for the current run belongs; `None` if no agent is above.

        The outermost open agent, an agent that can still be a run before one that cannot; else the given span itself
        where an ancestor may still turn out to be one.
        """
        with self._lock:
            nearest = self._open.get(context.span_id) or self._doubtful.above_given_up(context)
            chain = [(node.span, node.settled_below) for node in ancestors(nearest)]
        return run_span_of(chain, self._is_run)

    def _start_in_doubt(self, span: ReadableSpan, node: OpenSpan) -> list[Settlement]:
        """An agent that starts below a failed one, whose end has not come, shows that it will not come."""
        self._placement.expect_exit()
        attributes = attributes_of(span)
        with self._lock:
            place_after(node, attributes)
        failed = failed_before(node)
        if not failed or seen_as(span, attributes, self._is_run)[1] is Likeness.NONE:
            return []
        return self._give_up_all(failed)

    def _end_in_doubt(self, span: ReadableSpan, context: SpanContext) -> list[Settlement]:
        """Give up what has failed below this span and has not ended by now."""
        node = self._open.get(context.span_id)
        if node is None or node.context is not context:
            return []
        note_failure(node)
        with self._lock:
            end_aftermath(node)
        settled = self._give_up_all(self._find_failed(node))
        before = failed_before(node)
        if before:
            # Some spans are marked as agents only as they end.
            waiting = (node.below.waiting if node.below is not None else None) or ()
            _, own = seen_as(span, attributes_of(span), self._is_run)
            if not _MARKED.isdisjoint((own, *(candidate.likeness for candidate in waiting))):
                settled += self._give_up_all(before)
        return settled

    def _find_failed(self, within: OpenSpan | None) -> list[OpenSpan]:
        with self._lock:
            doubtful = self._doubtful.open_below(within)
        return [node for node in doubtful if has_failed(node)]

    def _give_up_all(self, failed: list[OpenSpan]) -> list[Settlement]:
        """Give up these, and before each what has failed in it: not what began below it only after that."""
        within = [[one for one in self._find_failed(node) if node not in failed_before(one)] for node in failed]
        ordered = [one for node, inner in zip(failed, within, strict=True) for one in (*inner, node)]
        return [settlement for node in ordered for settlement in self._give_up(node)]

    def _give_up(self, node: OpenSpan, *, is_open: bool = True) -> list[Settlement]:
        """End an agent's span that its instrumentation has marked failed and will not end; once, whatever follows."""
        span = node.span
        if span is None:
            return []
        attributes = attributes_of(span)
        role, likeness = seen_as(span, attributes, self._is_run)
        if likeness is Likeness.NONE:
            return []
        with self._lock:
            if is_open and self._open.get(node.context.span_id) is not node:
                return []
            self._doubtful.give_up(node)
            self._take(node.context)
        own = own_usage(span, attributes, role, self._price_of)
        return self._end_agent(snapshot_given_up(node, span), node.context, likeness, own, node)

    def _settle_open(self, node: OpenSpan) -> list[Settlement]:
        """Settle what a span holds that has been open for too long: the run that it is, or those that wait for it."""
        span = node.span
        if span is None:
            return []
        if node.doubt is not None and has_failed(node):
            return self._give_up_all([node])
        attributes = attributes_of(span)
        role, likeness = seen_as(span, attributes, self._is_run)
        if likeness is Likeness.NONE:
            with self._lock:
                waiting = self._placement.take_waiting(node.below)
            return [settlement for one in waiting for settlement in self._placement.settle(one, node)]
        is_below = is_within_settled(node) or node.settled_below or self._placement.look_up(node.parent)[0]
        if is_below and likeness is not Likeness.FORCED:
            return []
        own = own_usage(span, attributes, role, self._price_of)
        candidate = open_candidate(node, snapshot_open(span, attributes), likeness, own)
        with self._lock:
            # It may have been settled by now, or be ending; and a run that waits for a human may take its time.
            is_held = self._open.get(node.context.span_id) is node and node.settled_early is None
            if not is_held or candidate.finding.paused:
                return []
            return self._placement.settle_early(candidate, node)

    def _take_oldest(self) -> OpenSpan:
        oldest = next(iter(list(self._open.values())))
        self._take(oldest.context)
        self._repeats.pop(oldest.context.span_id, None)
        self.evicted_count += 1
        return oldest

    def _evict(self, node: OpenSpan) -> list[Settlement]:
        self._on_evicted()
        span = node.span
        if node.doubt is not None and has_failed(node):
            settled = self._give_up_all(self._find_failed(node)) + self._give_up(node, is_open=False)
            if settled:
                return settled
        # An agent's own end will still count it, so that the agents below it are no runs.
        was_agent = span is not None and standing_of(span, self._is_run) in _AGENTS
        with self._lock:
            node.was_agent = was_agent and not node.settled_below
            waiting = self._close_plain(node, None, None)
        return self._placement.place_all(waiting, node) if waiting else []

    def _end_watched(self, span: ReadableSpan, context: SpanContext, attributes: dict[str, Any]) -> list[Settlement]:
        if is_outcome_span(scope_of(span), name_of(span)):
            return self._end_plain(context, None)
        role, likeness = seen_as(span, attributes, self._is_run)
        own = own_usage(span, attributes, role, self._price_of)
        if likeness is Likeness.NONE:
            return self._end_plain(context, own, pause_in(span))
        with self._lock:
            if self._doubtful.has_given_up(context):
                return []
            node = self._take(context)
            has_below = reference_count(node) != _OURS_ALONE
        facts = snapshot(span, attributes, node.exception_id if node is not None else 0)
        return self._end_agent(facts, context, likeness, own, node, has_below=has_below)

    def _open_below(self, node: OpenSpan) -> list[OpenSpan]:
        """What is open below a span; the lock is held."""
        return [one for one in list(self._open.values()) if is_below(one, node)]

    def _end_plain(self, context: SpanContext, own: Tally | None, pause: Finding | None = None) -> list[Settlement]:
        with self._lock:
            node = self._take(context)
        return _NOTHING if node is None else self._close_taken(node, own, pause)

    def _close_taken(self, node: OpenSpan, own: Tally | None, pause: Finding | None) -> list[Settlement]:
        with self._lock:
            waiting = self._close_plain(node, own, pause)
        return self._placement.place_all(waiting, node.parent) if waiting else _NOTHING

    def _is_repeat(self, context: SpanContext) -> bool:
        """Whether this end will come once more, as it does to a processor that was added twice."""
        with self._lock:
            count = self._repeats.pop(context.span_id, 0)
            if count > 1:
                self._repeats[context.span_id] = count - 1
        return count > 0

    def _take(self, context: SpanContext) -> OpenSpan | None:
        """The open span of this very context, no longer open; the lock is held."""
        node = self._open.get(context.span_id)
        if node is None or node.context is not context:
            return None
        del self._open[context.span_id]
        if node.doubt is not None:
            self._doubtful.remove(node)
        return node

    def _close_plain(self, node: OpenSpan, own: Tally | None, pause: Finding | None) -> list[Candidate] | None:
        """Fold what the span leaves into the ancestor above; returns what waited for it. The lock is held."""
        above = close(node)
        if pause is not None and above is not None:
            gathered_by(above).pause = pause
        gathered = node.below
        if gathered is None and own is None:
            return None
        waiting = self._placement.take_waiting(gathered)
        if above is not None:
            fold_plain(above, gathered, own)
        return waiting

    def _end_agent(
        self,
        span: AgentSpan,
        context: SpanContext,
        likeness: Likeness,
        own: Tally | None,
        node: OpenSpan | None,
        *,
        has_below: bool = True,
    ) -> list[Settlement]:
        gathered = Gathered()
        parent = node.parent if node is not None else None
        early = node.settled_early if node is not None else None
        is_open = is_outer = False
        waiting: list[Candidate] = []
        if node is not None:
            with self._lock:
                below_open = self._open_below(node) if has_below else []
            is_open = bool(below_open)
            if is_open and not node.settled_below:
                self._placement.take_from_open(node, below_open)
            with self._lock:
                gathered = node.below or gathered
                is_outer = likeness is not Likeness.FORCED and node.bars(likeness)
                node.was_agent = not is_outer and early is None
                close(node)
                waiting = self._placement.take_waiting(gathered)
                if not is_outer:
                    for below in waiting:
                        fold_handoff(gathered, below)
                elif waiting:
                    node.run_below = None
        handoffs = self._keeps_handoffs
        candidate = ended_candidate(
            node, span, context, likeness, own, gathered=gathered, is_open=is_open, keeps_handoffs=handoffs
        )
        if early is not None:
            return self._placement.place_all(waiting, parent) + self._placement.end_settled(early, candidate)
        if likeness is Likeness.FORCED:
            return self._placement.settle(candidate, parent)
        if is_outer and node is not None:
            placed = self._placement.place_all(waiting, parent)
            return placed + self._placement.end_outer(candidate, parent, node.run_below)
        if node is not None and is_within_settled(node):
            return self._placement.hand_off(candidate, parent)
        return self._placement.place(candidate, parent)
