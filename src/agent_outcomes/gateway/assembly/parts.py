# SPDX-License-Identifier: Apache-2.0
"""The parts of a trace that settle by themselves: what hangs together within one process, by the rules of `explain`.

A part is whole when its topmost span has come and is known to be that: it has no parent, or its parent was in another
process. Whatever else is missing then is a leaf that was sent late. Of any other part the parent is still to come, and
an agent in it may be one of a larger run. If it does not come, that part and the others of its trace settle together,
as nothing else tells whether it belongs to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.processes import CALLED_KINDS, lacks_parent, may_be_one_process, processes_of, top_of
from agent_outcomes.gateway.assembly.heads import may_be_topmost, read_times
from agent_outcomes.gateway.assembly.journal_records import MarkedPart, SettledMark

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from agent_outcomes.gateway.assembly.held import HeldSpan, HeldTrace
    from agent_outcomes.gateway.settings import AssemblyLimits


@dataclass(frozen=True, slots=True)
class TracePart:
    """Spans of one trace that hang together; `top` is the one that is below none of them.

    `is_whole` says that nothing above `top` is to come, `is_lost` that what is was of the same process, as far as that
    is known. `decided_by` is the mark by which these spans were settled together before, which a restart has
    interrupted.
    """

    trace_id: bytes
    spans: tuple[HeldSpan, ...]
    top: HeldSpan
    is_whole: bool
    decided_by: SettledMark | None = None
    is_lost: bool = False

    @property
    def was_decided(self) -> bool:
        """Whether it is to come to what it came to before a restart."""
        return self.decided_by is not None

    @property
    def may_hold_agents(self) -> bool:
        """Whether any of the spans is to be read."""
        return any(copy.scope.may_hold_agents for span in self.spans for copy in span.each_copy())

    @property
    def span_count(self) -> int:
        """How many spans came, each copy for itself."""
        return sum(1 + len(span.copies) for span in self.spans)

    @property
    def size_bytes(self) -> int:
        """What its spans take."""
        return sum(copy.size_bytes for span in self.spans for copy in span.each_copy())

    def segments(self) -> dict[int, int]:
        """The files of the journal that have its spans, and how many each."""
        counts: dict[int, int] = {}
        for span in self.spans:
            for copy in (span, *span.copies):
                counts[copy.segment] = counts.get(copy.segment, 0) + 1
        return counts


def parts_of(trace: HeldTrace, is_elsewhere: Callable[[HeldSpan], bool]) -> list[TracePart]:
    """The parts of what is held of a trace.

    `is_elsewhere` says whether the parent of a span has settled with another process's.
    """
    spans = trace.spans
    parts = []
    for group in processes_of(list(spans.values())):
        top = top_of(group)
        is_whole = _is_topmost(top, top.parent_id in spans) or is_elsewhere(top)
        is_lost = not is_whole and lacks_parent(top, spans)
        parts.append(TracePart(trace.trace_id, tuple(group), top, is_whole, is_lost=is_lost))
    return parts


def together(parts: Iterable[TracePart]) -> list[tuple[TracePart, ...]]:
    """Those of one trace together that settle as one, as it is not known how they hang together.

    Those that were decided by one mark are again what they were.
    """
    of_trace: dict[tuple[bytes, int], list[TracePart]] = {}
    groups: list[tuple[TracePart, ...]] = []
    for part in parts:
        of_trace.setdefault((part.trace_id, id(part.decided_by)), []).append(part)
    for some in of_trace.values():
        is_one = some[0].was_decided or any(part.is_lost for part in some)
        groups += [tuple(some)] if is_one else [(part,) for part in some]
    return groups


def mark_of(parts: Sequence[TracePart], runs: Collection[bytes]) -> SettledMark:
    """What the journal is to note of parts that settle as one, as the runs with these span ids."""
    return SettledMark(parts[0].trace_id, tuple(_marked(part, runs) for part in parts))


def _marked(part: TracePart, runs: Collection[bytes]) -> MarkedPart:
    ids = tuple(span.id for span in part.spans)
    return MarkedPart(ids, part.is_whole, part.is_lost, any(each in runs for each in ids))


def marked_part(mark: SettledMark, marked: MarkedPart, spans: Sequence[HeldSpan]) -> TracePart:
    """One that was decided, of which these spans, one or more, have been read again."""
    ids = {span.id for span in spans}
    top = next((span for span in spans if span.parent_id not in ids), spans[0])
    is_whole = marked.is_whole and len(spans) == len(marked.span_ids)
    return TracePart(mark.trace_id, tuple(spans), top, is_whole, decided_by=mark, is_lost=marked.is_lost)


def one_part(parts: Sequence[TracePart]) -> TracePart:
    """The parts as one, which begins with what is whole."""
    if len(parts) == 1:
        return parts[0]
    ordered = sorted(parts, key=lambda part: not part.is_whole)
    spans = tuple(span for part in ordered for span in part.spans)
    return replace(ordered[0], spans=spans, is_lost=any(part.is_lost for part in parts))


def callees_first(parts: Sequence[TracePart]) -> list[int]:
    """The numbers of the parts in an order in which each comes after those of its trace that hang below its spans."""
    of_trace: dict[bytes, list[int]] = {}
    for number, part in enumerate(parts):
        of_trace.setdefault(part.trace_id, []).append(number)
    ordered: list[int] = []
    for some in of_trace.values():
        ordered += some if len(some) == 1 else sorted(some, key=_depths(parts, some).__getitem__, reverse=True)
    return ordered


def _depths(parts: Sequence[TracePart], some: Sequence[int]) -> dict[int, int]:
    """How many other parts each of these is below."""
    holders = {span.id: number for number in some for span in parts[number].spans}
    depths: dict[int, int] = {}
    for number in some:
        above: list[int] = []
        at: int | None = number
        # Parents may run in a circle.
        while at is not None and at not in above:
            above.append(at)
            parent_id = parts[at].top.parent_id
            at = holders.get(parent_id) if parent_id is not None else None
        depths[number] = len(above)
    return depths


def _is_topmost(top: HeldSpan, has_parent_in_another: bool) -> bool:  # noqa: FBT001 - one of two facts
    if top.parent_id is None or has_parent_in_another:
        return True
    return top.parent_place is not ParentPlace.HERE and top.kind in CALLED_KINDS


def plain_due_s(trace: HeldTrace, limits: AssemblyLimits) -> float:
    """When a trace that says nothing of an agent is no longer of interest, if nothing more comes.

    All that it may be good for is to say what hangs together, so that what tells that it is over need not be exact.
    """
    is_whole = any(may_be_topmost(frame.encoded) for group in trace.plain for frame in group.frames)
    waits_s = limits.settle_after_s if is_whole else limits.idle_after_s
    return min(trace.last_s + waits_s, trace.first_s + limits.open_max_s)


def dues_s(parts: Sequence[TracePart], last_s: float, limits: AssemblyLimits) -> list[float]:
    """When each of the parts of a trace is to be settled, if nothing more comes; `last_s` is when its last span came.

    As long as anything comes, the agent above may still be at work that parts have come of. A whole part waits, too, as
    long as one may turn out to be its that lacks the span above it; then both settle together.
    """
    dues = [_due_s(part, last_s, limits, is_sure=part.is_whole) for part in parts]
    lost = [number for number, part in enumerate(parts) if part.is_lost and part.may_hold_agents]
    for number, part in enumerate(parts if lost else ()):
        near = [other for other in lost if may_be_its(part, parts[other])] if part.is_whole else []
        if near and part.may_hold_agents:
            due_s = min(_due_s(part, last_s, limits, is_sure=False), *(dues[other] for other in near))
            dues[number] = due_s
            for other in near:
                dues[other] = due_s
    return dues


def may_be_its(part: TracePart, lost: TracePart) -> bool:
    """Whether a part that lacks the span above it started within another, and may be of its process."""
    if not may_be_one_process(part.top.resources, lost.top.resources):
        return False
    start_ns, end_ns = read_times(part.top.encoded)
    return start_ns <= read_times(lost.top.encoded)[0] <= end_ns


def _due_s(part: TracePart, last_s: float, limits: AssemblyLimits, *, is_sure: bool) -> float:
    first_s = min(copy.came_s for span in part.spans for copy in span.each_copy())
    waits_until_s = part.top.came_s + limits.settle_after_s if is_sure else last_s + limits.idle_after_s
    return min(waits_until_s, first_s + limits.open_max_s)
