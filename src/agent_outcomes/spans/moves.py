# SPDX-License-Identifier: Apache-2.0
"""The only places where what is known of open spans changes: each move is made as a whole or not at all.

Callbacks run on the application's threads, where anything may come in between: another thread, a signal handler or a
finalizer that starts and ends spans itself, an exception out of nowhere (a time limit, Ctrl-C), a fork. A lock would be
no help: whoever comes in between on the thread that holds it waits for itself, and one left held by an exception is
held for good. So nothing here waits. What a span's end amounts to is worked out first, from what can be seen, and
changes nothing; then one function of this module makes it so, if nothing has changed since, and else says so, and it is
worked out anew.

Why a move is whole: CPython switches threads, runs signal handlers and raises asynchronous exceptions only where a
function begins, where a loop goes back and after a call (its "eval breaker"); since 3.12, garbage is collected there.
A function that calls nothing, loops over nothing and makes no object has no such place once it has begun: it tests,
assigns and deletes, and its last step may be one call of C code (`list.append`), which is done when it returns. What a
move takes out of a table is still held by its caller, so that nothing is freed within it. `test_moves.py` checks the
bytecode of every function here for all that. Where the interpreter runs without its global lock none of this holds; the
processor says so when it is made.

Every move says `DONE` also where it finds its work done, so that an end which was interrupted anywhere can be worked
through again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_outcomes.record.settlement import Settled, Settlement
    from agent_outcomes.spans.gathered import Candidate, Gathered, Item
    from agent_outcomes.spans.open_spans import Board, Doubt, Inbox, OpenSpan

DONE: Final = 0
CHANGED: Final = 1
"""Something was left with the ending span since it was looked at."""
CLOSED: Final = 2
"""The span above that was meant to take something has ended."""


class Ending:
    """Where a candidate comes from, and what was seen of that when it was looked at.

    The end of `node`'s span, with `absorbed` candidates that waited for it and are now in this one; or it has waited
    for the end of `source`. With neither the span's start was never seen.
    """

    __slots__ = ("absorbed", "node", "seen", "source", "span_id")

    def __init__(self, node: OpenSpan | None, seen: int = 0, absorbed: int = 0, source: OpenSpan | None = None) -> None:
        self.node = node
        self.span_id = 0 if node is None else node.own_key or node.context.span_id
        self.seen = seen
        self.absorbed = absorbed
        self.source = source


def end_alone(board: Board, span_id: int, node: OpenSpan, seen: int) -> int:
    """End a span that leaves nothing."""
    if not node.is_open:
        return DONE
    if node.inbox is not None and node.inbox.version != seen:
        return CHANGED
    del board.open[span_id]
    node.is_open = False
    node.span = None
    return DONE


def end_below(
    board: Board, span_id: int, node: OpenSpan, seen: int, above: OpenSpan, inbox: Inbox, item: Gathered | Item
) -> int:
    """End a span that is no agent and leaves something with the one above."""
    if not node.is_open:
        return DONE
    if node.inbox is not None and node.inbox.version != seen:
        return CHANGED
    if not above.is_open:
        return CLOSED
    del board.open[span_id]
    node.is_open = False
    node.span = None
    inbox.version += 1
    inbox.items.append(item)
    return DONE


def leave(above: OpenSpan, inbox: Inbox, item: Gathered) -> int:
    """Leave a note with an open span; a second one like it changes nothing."""
    if not above.is_open:
        return CLOSED
    inbox.version += 1
    inbox.items.append(item)
    return DONE


def count(
    board: Board,
    candidate: Candidate,
    settlement: Settlement,
    settled: Settled | None,
    ending: Ending,
) -> int:
    """Count a candidate as a run."""
    node = ending.node
    source = ending.source
    if candidate.is_placed:
        return DONE
    if node is not None:
        if not node.is_open:
            return DONE
        if node.inbox is not None and node.inbox.version != ending.seen:
            return CHANGED
        del board.open[ending.span_id]
        node.is_open = False
        node.span = None
        node.was_agent = True
        board.waiting_count -= ending.absorbed
    elif source is not None:
        if not source.is_open or source.inbox is None or candidate not in source.inbox.waiting:
            return DONE
        source.inbox.version += 1
        board.waiting_count -= 1
    candidate.is_placed = True
    if settled is not None:
        settled.run = settlement.run
        settled.outcome = settlement.outcome
    board.settled[settlement] = None
    return DONE


def hand_off(
    board: Board,
    candidate: Candidate,
    above: OpenSpan | None,
    inbox: Inbox | None,
    item: Gathered,
    ending: Ending,
) -> int:
    """Fold a candidate into the agent above it, if one is still open."""
    node = ending.node
    source = ending.source
    if candidate.is_placed:
        return DONE
    if above is not None and not above.is_open:
        return CLOSED
    if node is not None:
        if not node.is_open:
            return DONE
        if node.inbox is not None and node.inbox.version != ending.seen:
            return CHANGED
        del board.open[ending.span_id]
        node.is_open = False
        node.span = None
        node.was_agent = True
        board.waiting_count -= ending.absorbed
    elif source is not None:
        if not source.is_open or source.inbox is None or candidate not in source.inbox.waiting:
            return DONE
        source.inbox.version += 1
        board.waiting_count -= 1
    candidate.is_placed = True
    if inbox is not None:
        inbox.version += 1
        inbox.items.append(item)
    return DONE


def wait(
    board: Board,
    candidate: Candidate,
    target: OpenSpan,
    inbox: Inbox,
    ending: Ending,
) -> int:
    """Let a candidate wait for the end of a span above it."""
    node = ending.node
    if candidate.is_placed:
        return DONE
    if not target.is_open:
        return CLOSED
    if node is not None:
        if not node.is_open:
            return DONE
        if node.inbox is not None and node.inbox.version != ending.seen:
            return CHANGED
        del board.open[ending.span_id]
        node.is_open = False
        node.span = None
        node.was_agent = True
        board.waiting_count -= ending.absorbed
    if not candidate.is_waiting:
        candidate.is_waiting = True
        board.waiting_count += 1
    inbox.version += 1
    inbox.waiting[candidate] = None
    return DONE


def pass_on(candidate: Candidate, held: Inbox, target: OpenSpan, inbox: Inbox) -> int:
    """Let a candidate that waited for a span which is about to end wait for another one further up."""
    if candidate.is_placed or candidate not in held.waiting:
        return DONE
    if not target.is_open:
        return CLOSED
    held.version += 1
    inbox.version += 1
    del held.waiting[candidate]
    inbox.waiting[candidate] = None
    return DONE


def end_outer(
    board: Board,
    ending: Ending,
    above: OpenSpan | None,
    inbox: Inbox | None,
    item: Gathered,
    settled: Settled | None,
    revision: Settlement | None,
) -> int:
    """End a span that is agent-like and no run, for one below has been counted: it may revise that one's outcome."""
    node = ending.node
    if node is None or not node.is_open:
        return DONE
    if node.inbox is not None and node.inbox.version != ending.seen:
        return CHANGED
    if above is not None and not above.is_open:
        return CLOSED
    if settled is not None and revision is not None:
        if settled.outcome is not revision.previous:
            return CHANGED
        settled.outcome = revision.outcome
        settled.revision = revision.revision
        board.settled[revision] = None
    del board.open[ending.span_id]
    node.is_open = False
    node.span = None
    board.waiting_count -= ending.absorbed
    if inbox is not None:
        inbox.version += 1
        inbox.items.append(item)
    return DONE


def count_early(
    board: Board,
    settlement: Settlement,
    settled: Settled,
    ending: Ending,
    fresh: list[Gathered | Item],
    none_waiting: dict[Candidate, None],
) -> int:
    """Count a span as a run before its end, with all that it has gathered; what is left with it later is not its."""
    node = ending.node
    if node is None or not node.is_open or node.early is not None:
        return DONE
    if node.inbox is not None:
        if node.inbox.version != ending.seen:
            return CHANGED
        node.inbox.version += 1
        node.inbox.folded = None
        node.inbox.items = fresh
        node.inbox.waiting = none_waiting
    node.early = settled
    settled.run = settlement.run
    settled.outcome = settlement.outcome
    board.waiting_count -= ending.absorbed
    board.settled[settlement] = None
    return DONE


def tell(settled: Settled, node: OpenSpan, apart: int) -> None:
    """Tell one span above of a run that is being counted; of several runs only their number is kept."""
    if settled.untold is not node:
        return
    if node.is_open:
        node.runs_below += 1
        node.apart_below += apart
        node.run_below = settled if node.runs_below == 1 else None
    settled.untold = node.parent


def take_over(
    node: OpenSpan, inbox: Inbox, below: OpenSpan, taken: Inbox, seen: int, item: Gathered, fresh: list[Gathered | Item]
) -> int:
    """Let an agent that is about to end have what a descendant that is still open has gathered so far."""
    if not below.is_open or not node.is_open:
        return DONE
    if taken.version != seen:
        return CHANGED
    taken.version += 1
    taken.folded = None
    taken.items = fresh
    inbox.version += 1
    inbox.items.append(item)
    return DONE


def compact(inbox: Inbox, folded: Gathered | None, items: list[Gathered | Item], cut: slice, whole: Gathered) -> int:
    """Put the sum of the first items in their place."""
    if inbox.folded is not folded or inbox.items is not items:
        return CHANGED
    inbox.version += 1
    inbox.folded = whole
    del items[cut]
    return DONE


def hang_behind(node: OpenSpan, above: OpenSpan, fresh: OpenSpan) -> None:
    """Put a span that has just started below a failed one behind it."""
    if above.doubt is None or node.parent is not above:
        return
    if above.doubt.aftermath is None:
        above.doubt.aftermath = fresh
    node.parent = above.doubt.aftermath


def end_behind(
    doubt: Doubt, aftermath: OpenSpan, seen: int, above: OpenSpan | None, inbox: Inbox | None, item: Gathered
) -> int:
    """Leave what came after a failure with what it hangs from."""
    if doubt.aftermath is not aftermath:
        return DONE
    if aftermath.inbox is not None and aftermath.inbox.version != seen:
        return CHANGED
    if above is not None and not above.is_open:
        return CLOSED
    doubt.aftermath = None
    aftermath.is_open = False
    if inbox is not None:
        inbox.version += 1
        inbox.items.append(item)
    return DONE
