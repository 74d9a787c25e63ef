# SPDX-License-Identifier: Apache-2.0
"""What is kept for every open span, and the ways up from it.

Links between open spans are object references, so that a span which outlives its parent still finds its way up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_outcomes.spans.began import Began, is_agent
from agent_outcomes.spans.leaving import fold
from agent_outcomes.spans.marks import Likeness, Standing

if TYPE_CHECKING:
    from collections.abc import Hashable

    from agent_outcomes.outcome.classification import ErrorFacts
    from agent_outcomes.record.settlement import Settled, Settlement
    from agent_outcomes.spans.facts import FactsOf, SpanIds
    from agent_outcomes.spans.gathered import Candidate, Gathered, Item


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


class Inbox:
    """What ended spans have left with an open one: `items` in order, after what has been `folded` already.

    `waiting` are the candidates that wait for its end. `version` tells whether anything has changed since it was read.
    """

    __slots__ = ("folded", "items", "version", "waiting")

    def __init__(self) -> None:
        self.version = 1
        self.folded: Gathered | None = None
        self.items: list[Gathered | Item] = []
        self.waiting: dict[Candidate, None] = {}


class OpenSpan:
    """An open span, or one that has ended and still links one to what is above.

    `span` is what the tracker was given, let go at the end. `inbox` is made when something below has ended that
    matters. `runs_below` counts the runs below that have been counted while this span was no agent, `apart_below` those
    of them that are runs by the user's word, or could be held back no longer, and `run_below` is the only one: with any
    other it can be no run any more. `caller` is the span of another process that this one is below. `doubt` is set on
    spans that may never end; a node without a span of its own stands `after` a failed one. `started_s` is on the
    monotonic clock, if ages are kept.
    `early` is the run that the span has been counted as before its end, `settled` the one that it is about to become.
    `stood` is what it was to the agents below it when it looked like this. `is_orphan` says that its parent was one of
    this process that had ended, and of which nothing is known but its id, `lost_id`; `is_within`
    that an agent was open when it started of which it may be part. `began` is how it was at its start, if it was
    marked then, or when something was first left with it, if it was marked as an agent by then. `own_key` is what it is
    kept under on the board where another span with its id is open: an id of zero is no span's, and none is below that.
    """

    # No __init__ and no slots: one is made for every span that starts, and what holds for nearly all of them is read
    # from the class, where it costs nothing to set.
    span: Any
    context: SpanIds
    parent: OpenSpan | None = None
    inbox: Inbox | None = None
    doubt: Doubt | None = None
    is_open = True
    exception_id = 0
    run_below: Settled | None = None
    runs_below = 0
    apart_below = 0
    was_agent = False
    caller: SpanIds | None = None
    after: OpenSpan | None = None
    started_s = 0.0
    early: Settled | None = None
    settled: Settled | None = None
    stood: tuple[Hashable, Standing] | None = None
    is_orphan = False
    lost_id = 0
    is_within = False
    began: Began | None = None
    own_key = 0

    @property
    def settled_below(self) -> bool:
        """Whether a run below has been counted that is none apart from it, or the span itself before its end."""
        return self.early is not None or self.runs_below > self.apart_below

    def bars(self, likeness: Likeness) -> bool:
        """Whether the runs counted below keep the span from becoming one; those that are runs apart from it do not."""
        return self.settled_below or (likeness is Likeness.BY_OUTCOME and self.runs_below > 0)


class Board:
    """What spans are open, what has settled and is yet to be emitted (in order), and how many candidates wait."""

    __slots__ = ("open", "settled", "waiting_count")

    def __init__(self) -> None:
        self.open: dict[int, OpenSpan] = {}
        self.settled: dict[Settlement, None] = {}
        self.waiting_count = 0

    def clear(self) -> None:
        """Forget all of it."""
        self.open.clear()
        self.settled.clear()
        self.waiting_count = 0


def ancestors(node: OpenSpan | None) -> list[OpenSpan]:
    """The node itself and everything above it, ended spans included."""
    # No generator: what is raised in one that is being closed goes nowhere.
    chain: list[OpenSpan] = []
    while node is not None:
        chain.append(node)
        node = node.parent
    return chain


def nearest_open(node: OpenSpan | None) -> OpenSpan | None:
    """The first of these that is still open."""
    while node is not None and not node.is_open:
        node = node.parent
    return node


def is_local_parent(above: OpenSpan, parent: SpanIds) -> bool:
    """Whether this span is the parent meant, and not another process's with the same span id.

    Trace and span id tell, and not the flag: it says how the parent's ids came here, which for a process that calls
    itself, or a framework that puts a span together from ids, is not over a network.
    """
    return above.context is parent or above.context.trace_id == parent.trace_id


def caller_id_of(node: OpenSpan | None) -> str | None:
    """The span of another process above this one, as trace and span id in hex joined by a dash."""
    caller = node.caller if node is not None else None
    return None if caller is None else f"{caller.trace_id:032x}-{caller.span_id:016x}"


def shorten(node: OpenSpan) -> None:
    """Link to the next node above that still says something: spans which overlap in a chain must not pile up."""
    above = node.parent
    while above is not None and not above.is_open and _says_nothing(above, node):
        above = above.parent
    node.parent = above


def is_below(node: OpenSpan, above: OpenSpan) -> bool:
    """Whether the one span is a descendant of the other."""
    one = node.parent
    while one is not None:
        if one is above:
            return True
        one = one.parent
    return False


def is_within_settled(node: OpenSpan) -> bool:
    """Whether the span was open below one when that was counted before its end."""
    for one in ancestors(node.parent):  # noqa: SIM110 - no generator, as above
        if one.early is not None and node.started_s <= one.early.early_s:
            return True
    return False


def inbox_of(node: OpenSpan) -> Inbox:
    """What the span has been left, made when first needed."""
    if node.inbox is None:
        fresh = Inbox()
        # Another thread may have made one by now; from this test on nothing comes in between.
        if node.inbox is None:
            node.inbox = fresh
    return node.inbox


def first_inbox_of(node: OpenSpan, facts_of: FactsOf) -> Inbox:
    """The same, made before anything has been left; an agent that was marked after its start is remembered as one."""
    if node.began is None and node.span is not None:
        facts = facts_of(node.span)
        began = Began(facts.name, facts.attributes())
        node.began = began if is_agent(facts.scope, began) else None
    return inbox_of(node)


def version_of(node: OpenSpan) -> int:
    """What `moves` compare to see that nothing has been left since."""
    return 0 if node.inbox is None else node.inbox.version


def waiting_in(node: OpenSpan) -> list[Candidate]:
    """The candidates that wait for the span."""
    inbox = node.inbox
    return [] if inbox is None else [one for one in list(inbox.waiting) if not one.is_placed]


def contents_of(node: OpenSpan) -> tuple[Gathered | None, list[Gathered | Item]]:
    """What the span has been left; read `version_of` before."""
    inbox = node.inbox
    return (None, []) if inbox is None else (inbox.folded, inbox.items[:])


def gathered_by(node: OpenSpan, waiting: list[Candidate], *, sums: bool = False) -> Gathered:
    """What the span has gathered, with these candidates as agents that it called; read `version_of` before.

    `sums` says that the calls right below it report what those before them have used, too.
    """
    folded, items = contents_of(node)
    if sums:
        # Imported where it is needed: such spans are Java's, which are read from files.
        from agent_outcomes.spans.cumulative import each_by_itself  # noqa: PLC0415 - as said

        items = each_by_itself(folded, items)
    return fold(folded, items, waiting)


def _says_nothing(above: OpenSpan, node: OpenSpan) -> bool:
    return above.early is None and not above.is_orphan and (node.was_agent or not above.was_agent)
