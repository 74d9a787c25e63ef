# SPDX-License-Identifier: Apache-2.0
"""The parts of traces that have settled, remembered so that what comes late for them changes nothing.

Only parts that may have been runs are remembered, of the latest traces. What is kept of a span is its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.processes import CALLED_KINDS, is_one_process
from agent_outcomes.gateway.assembly.missed import KnownSpan, MissedSpans, known_span
from agent_outcomes.tables import oldest_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.resources import Resource

    from agent_outcomes.gateway.assembly.held import HeldSpan
    from agent_outcomes.gateway.assembly.parts import TracePart

REMEMBERED_TRACES_MAX: Final = 100_000
REMEMBERED_SPANS_MAX: Final = 2_000_000
"""How many ids of spans are remembered of all traces together."""
PARTS_MAX: Final = 256
"""How many parts of one trace are told apart."""
SPAN_ID_BYTES: Final = 8


class Lateness(Enum):
    """Whether a span comes too late: not, for a part that has settled, or once more for it."""

    NONE = auto()
    LATE = auto()
    KNOWN = auto()


class StandsAlone(Protocol):
    """Whether a span makes something of its own that no settled part has to change for."""

    def __call__(self, span: HeldSpan, *, is_above: bool) -> bool:
        """With `is_above` it is the one that a settled part has waited for."""
        ...


@dataclass(slots=True)
class SettledPart:
    """A part that has settled: the ids of its spans, one behind the other, and whose they are.

    `top` is what is known of its topmost span if it has waited for the parent of that in vain. `called_from` is the
    span of another process that it hangs below, and `has_used` says that a run in it has reported usage. Right below
    those that are `counted` another process may report what was counted here, with the call of it. Of its spans `runs`
    are runs, and `outside` are neither runs nor below one; `None` as long as that is not known. Of one that
    `was_restored` after a restart it is not known what came late for it before that.
    """

    ids: bytes
    top: KnownSpan | None
    resources: tuple[Resource, ...]
    called_from: bytes | None = None
    has_used: bool = False
    runs: bytes = b""
    outside: bytes | None = None
    counted: bytes = b""
    was_restored: bool = False

    def lacks(self, span: HeldSpan) -> bool:
        """Whether the span is the one that it has waited for."""
        return self.top is not None and self.top.parent_id == span.id and is_one_process(self.top, span)

    def holds(self, span_id: bytes) -> bool:
        """Whether a span of this id was in it."""
        return _has(self.ids, span_id)

    def judge(self, runs: Iterable[bytes], outside: Iterable[bytes], counted: Iterable[bytes] = ()) -> None:
        """Note which of its spans have turned out to be runs, neither runs nor below one, and `counted`."""
        self.runs = b"".join(span_id for span_id in runs if self.holds(span_id))
        self.outside = b"".join(span_id for span_id in outside if self.holds(span_id))
        self.counted = b"".join(span_id for span_id in counted if self.holds(span_id))

    def has_outside(self, span_id: bytes) -> bool:
        """Whether that span of it is known to be no run and below none."""
        return self.outside is not None and _has(self.outside, span_id)

    def add(self, span_id: bytes, *, is_outside: bool) -> None:
        """Take one more for its own, which came too late."""
        self.ids += span_id
        if is_outside and self.outside is not None:
            self.outside += span_id


class SettledTraces:
    """Remembers the parts that have settled of the latest traces."""

    def __init__(self, traces_max: int = REMEMBERED_TRACES_MAX, spans_max: int = REMEMBERED_SPANS_MAX) -> None:
        self._traces_max = traces_max
        self._spans_max = spans_max
        self._traces: dict[bytes, list[SettledPart]] = {}
        self._span_count = 0
        self.missed = MissedSpans()

    def __len__(self) -> int:
        """How many traces are remembered."""
        return len(self._traces)

    def __contains__(self, trace_id: object) -> bool:
        """Whether a part of that trace is remembered."""
        return trace_id in self._traces

    def add(self, part: TracePart) -> SettledPart:
        """Remember a part; what to give to `discard` if it turns out to be no run."""
        resources = _distinct([span.scope.resource for span in part.spans])
        top = None if part.is_whole else known_span(part.top)
        called_from = part.top.parent_id if part.is_whole else None
        settled = SettledPart(b"".join(span.id for span in part.spans), top, resources, called_from)
        parts = self._traces.setdefault(part.trace_id, [])
        parts.append(settled)
        if len(parts) > PARTS_MAX:
            parts[:2] = [_together(*parts[:2])]
        self._span_count += len(part.spans)
        self._forget_excess()
        return settled

    def add_ids(self, trace_id: bytes, span_ids: Iterable[bytes]) -> None:
        """Remember a part of which only the ids are known any more, unless more is."""
        settled = SettledPart(b"".join(span_ids), None, ())
        if not any(each.ids.startswith(settled.ids) for each in self._traces.get(trace_id, ())):
            self._traces.setdefault(trace_id, []).append(settled)
            self._span_count += len(settled.ids) // SPAN_ID_BYTES

    def restore(self, trace_id: bytes, settled: SettledPart) -> None:
        """Remember a part again that was kept; what is known of it already is replaced."""
        parts = self._traces.pop(trace_id, [])
        others = [each for each in parts if each.ids != settled.ids]
        if len(others) == len(parts):
            self._span_count += len(settled.ids) // SPAN_ID_BYTES
        # What was kept last is of the latest trace.
        self._traces[trace_id] = [*others, settled]
        self._forget_excess()

    def is_sure_of(self, trace_id: bytes) -> bool:
        """Whether all that has settled of a trace, and all that came late for it, is remembered."""
        parts = self._traces.get(trace_id, ())
        return bool(parts) and not any(each.was_restored for each in parts)

    def discard(self, trace_id: bytes, settled: SettledPart) -> None:
        """Forget a part that was no run: whatever comes for it still may be one."""
        parts = self._traces.get(trace_id, [])
        # By identity, as two parts may look alike.
        kept = [each for each in parts if each is not settled]
        if len(kept) < len(parts):
            self._span_count -= len(settled.ids) // SPAN_ID_BYTES
        if kept:
            self._traces[trace_id] = kept
        else:
            self._traces.pop(trace_id, None)

    def take_late(self, trace_id: bytes, span: HeldSpan, stands_alone: StandsAlone) -> Lateness:
        """Whether the span belongs to a part that has settled; then what is below it does, too.

        One that `stands_alone` does not where it is above the part, or may be below none of its runs.
        """
        parts = self._traces.get(trace_id, ())
        if any(settled.holds(span.id) for settled in parts):
            return Lateness.KNOWN
        for settled in parts:
            if settled.lacks(span):
                if stands_alone(span, is_above=True):
                    return Lateness.NONE
                # What is above it now comes too late, too.
                settled.top = known_span(span)
                settled.add(span.id, is_outside=True)
                self._span_count += 1
                self.missed.add(trace_id, known_span(span), self.missed.said_of(trace_id, span))
                return Lateness.LATE
            if self._is_below(span, settled):
                is_outside = span.parent_id is not None and settled.has_outside(span.parent_id)
                if (is_outside or settled.outside is None) and stands_alone(span, is_above=False):
                    return Lateness.NONE
                settled.add(span.id, is_outside=is_outside)
                self._span_count += 1
                return Lateness.LATE
        return Lateness.NONE

    def is_topmost(self, trace_id: bytes, span: HeldSpan) -> bool:
        """Whether the span's parent has settled in another process, or below no run: nothing above it is to come."""
        parent_id = span.parent_id
        return parent_id is not None and any(
            settled.has_outside(parent_id) or (settled.holds(parent_id) and not self._is_below(span, settled))
            for settled in self._traces.get(trace_id, ())
        )

    def has_run(self, trace_id: bytes, span_id: bytes) -> bool:
        """Whether that span has settled as a run."""
        return any(_has(settled.runs, span_id) for settled in self._traces.get(trace_id, ()))

    def restored(self, part: TracePart) -> SettledPart | None:
        """What is remembered of a part that was decided before a restart."""
        ids = b"".join(span.id for span in part.spans)
        return next((each for each in self._traces.get(part.trace_id, ()) if each.ids.startswith(ids)), None)

    def called(self, trace_id: bytes) -> set[bytes]:
        """The spans of other parts that a part of the trace hangs below of which a run has reported usage."""
        parts = self._traces.get(trace_id, ())
        return {each.called_from for each in parts if each.has_used and each.called_from is not None}

    def counted(self, part: TracePart) -> set[bytes]:
        """The spans that a part hangs below which have counted what it reports."""
        above = {span.parent_id for span in part.spans if span.parent_id is not None}
        parts = self._traces.get(part.trace_id, ())
        return {each for each in above for settled in parts if settled.counted and _has(settled.counted, each)}

    def has_above(self, part: TracePart) -> bool:
        """Whether what is above a part has settled, or came too late itself."""
        return any(self._is_below(part.top, settled) for settled in self._traces.get(part.trace_id, ()))

    def _is_below(self, span: HeldSpan, settled: SettledPart) -> bool:
        parent_id = span.parent_id
        if parent_id is None or not settled.holds(parent_id):
            return False
        if span.parent_place is ParentPlace.HERE:
            return True
        # What is not known of a part that was restored is taken to be usual.
        parent = KnownSpan(parent_id, _kind_above(span), settled.resources or span.resources)
        return is_one_process(span, parent)

    def _forget_excess(self) -> None:
        while len(self._traces) > self._traces_max or self._span_count > self._spans_max:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        parts = self._traces.pop(oldest_key(self._traces) or b"", [])
        self._span_count -= sum(len(settled.ids) for settled in parts) // SPAN_ID_BYTES


def _together(one: SettledPart, other: SettledPart) -> SettledPart:
    outside = None if one.outside is None or other.outside is None else one.outside + other.outside
    resources = _distinct((*one.resources, *other.resources))
    ids, runs, counted = one.ids + other.ids, one.runs + other.runs, one.counted + other.counted
    return SettledPart(ids, other.top, resources, runs=runs, outside=outside, counted=counted)


def _has(ids: bytes, span_id: bytes) -> bool:
    """Whether that id is one of those that stand one behind the other."""
    place = ids.find(span_id)
    while place >= 0 and place % SPAN_ID_BYTES:
        place = ids.find(span_id, place + 1)
    return place >= 0


def _distinct(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each that differs from the others, once. Nearly all are one object; to hash one is to write it as JSON."""
    found = list({id(each): each for each in resources}.values())
    return tuple(found if len(found) == 1 else dict.fromkeys(found))


def _kind_above(span: HeldSpan) -> SpanKind:
    """What the parent of a span is taken to be that calls or is called, where it is not remembered."""
    return SpanKind.CLIENT if span.kind in CALLED_KINDS else SpanKind.INTERNAL
