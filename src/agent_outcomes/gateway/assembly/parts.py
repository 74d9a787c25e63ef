# SPDX-License-Identifier: Apache-2.0
"""The parts of a trace that settle by themselves: what hangs together within one process, by the rules of `explain`.

A part is whole when its topmost span has come and is known to be that: it has no parent, or its parent was in another
process. Whatever else is missing then is a leaf that was sent late. Of any other part the parent is still to come, and
an agent in it may be one of a larger run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.processes import processes_of
from agent_outcomes.gateway.assembly.heads import may_be_topmost

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.gateway.assembly.held import HeldSpan, HeldTrace
    from agent_outcomes.gateway.settings import AssemblyLimits

_CALLED: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


@dataclass(frozen=True, slots=True)
class TracePart:
    """Spans of one trace that hang together; `top` is the one that is below none of them.

    `is_whole` says that nothing above `top` is to come. `was_decided` says that these spans were settled together
    before, which a restart has interrupted.
    """

    trace_id: bytes
    spans: tuple[HeldSpan, ...]
    top: HeldSpan
    is_whole: bool
    was_decided: bool = False

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
        ids = {span.id for span in group}
        # In a circle of parents any is as good as another.
        top = next((span for span in group if span.parent_id not in ids), group[0])
        is_whole = _is_topmost(top, top.parent_id in spans) or is_elsewhere(top)
        parts.append(TracePart(trace.trace_id, tuple(group), top, is_whole))
    return parts


def _is_topmost(top: HeldSpan, has_parent_in_another: bool) -> bool:  # noqa: FBT001 - one of two facts
    if top.parent_id is None or has_parent_in_another:
        return True
    return top.parent_place is not ParentPlace.HERE and top.kind in _CALLED


def plain_due_s(trace: HeldTrace, limits: AssemblyLimits) -> float:
    """When a trace that says nothing of an agent is no longer of interest, if nothing more comes.

    All that it may be good for is to say what hangs together, so that what tells that it is over need not be exact.
    """
    is_whole = any(may_be_topmost(frame.encoded) for group in trace.plain for frame in group.frames)
    waits_s = limits.settle_after_s if is_whole else limits.idle_after_s
    return min(trace.last_s + waits_s, trace.first_s + limits.open_max_s)


def due_s(part: TracePart, last_s: float, limits: AssemblyLimits) -> float:
    """When the part is to be settled, if nothing more comes; `last_s` is when the last span of its trace came.

    As long as anything comes, the agent above may still be at work that parts have come of.
    """
    first_s = min(copy.came_s for span in part.spans for copy in span.each_copy())
    waits_until_s = part.top.came_s + limits.settle_after_s if part.is_whole else last_s + limits.idle_after_s
    return min(waits_until_s, first_s + limits.open_max_s)
