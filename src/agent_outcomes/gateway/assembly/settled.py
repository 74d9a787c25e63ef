# SPDX-License-Identifier: Apache-2.0
"""The parts of traces that have settled, remembered so that what comes late for them changes nothing.

Only parts that may have been runs are remembered, of the latest traces. What is kept of a span is its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.processes import is_one_process
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
_ID_BYTES: Final = 8
_CALLED: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a span that says in which process it was (`Placed`)."""

    id: bytes
    kind: SpanKind
    resources: tuple[Resource, ...]
    parent_id: bytes | None = None
    parent_place: ParentPlace = ParentPlace.UNSAID


@dataclass(slots=True)
class SettledPart:
    """A part that has settled: the ids of its spans, one behind the other, and whose they are.

    `top` is what is known of its topmost span if it has waited for the parent of that in vain.
    """

    ids: bytes
    top: _Known | None
    resources: tuple[Resource, ...]

    def lacks(self, span: HeldSpan) -> bool:
        """Whether the span is the one that it has waited for."""
        return self.top is not None and self.top.parent_id == span.id and is_one_process(self.top, span)

    def holds(self, span_id: bytes) -> bool:
        """Whether a span of this id was in it."""
        place = self.ids.find(span_id)
        while place >= 0 and place % _ID_BYTES:
            place = self.ids.find(span_id, place + 1)
        return place >= 0


class SettledTraces:
    """Remembers the parts that have settled of the latest traces."""

    def __init__(self, traces_max: int = REMEMBERED_TRACES_MAX, spans_max: int = REMEMBERED_SPANS_MAX) -> None:
        self._traces_max = traces_max
        self._spans_max = spans_max
        self._traces: dict[bytes, list[SettledPart]] = {}
        self._span_count = 0

    def __len__(self) -> int:
        """How many traces are remembered."""
        return len(self._traces)

    def __contains__(self, trace_id: object) -> bool:
        """Whether a part of that trace is remembered."""
        return trace_id in self._traces

    def add(self, part: TracePart) -> SettledPart:
        """Remember a part; what to give to `discard` if it turns out to be no run."""
        resources = _distinct([span.scope.resource for span in part.spans])
        top = None if part.is_whole else _known(part.top)
        settled = SettledPart(b"".join(span.id for span in part.spans), top, resources)
        parts = self._traces.setdefault(part.trace_id, [])
        parts.append(settled)
        if len(parts) > PARTS_MAX:
            parts[:2] = [_together(*parts[:2])]
        self._span_count += len(part.spans)
        while len(self._traces) > self._traces_max or self._span_count > self._spans_max:
            self._forget_oldest()
        return settled

    def add_ids(self, trace_id: bytes, span_ids: Iterable[bytes]) -> None:
        """Remember a part of which only the ids are known any more."""
        settled = SettledPart(b"".join(span_ids), None, ())
        self._traces.setdefault(trace_id, []).append(settled)
        self._span_count += len(settled.ids) // _ID_BYTES

    def discard(self, trace_id: bytes, settled: SettledPart) -> None:
        """Forget a part that was no run: whatever comes for it still may be one."""
        parts = self._traces.get(trace_id, [])
        # By identity, as two parts may look alike.
        kept = [each for each in parts if each is not settled]
        if len(kept) < len(parts):
            self._span_count -= len(settled.ids) // _ID_BYTES
        if kept:
            self._traces[trace_id] = kept
        else:
            self._traces.pop(trace_id, None)

    def take_late(self, trace_id: bytes, span: HeldSpan) -> bool:
        """Whether the span belongs to a part that has settled; then what is below it does, too."""
        for settled in self._traces.get(trace_id, ()):
            if settled.lacks(span):
                # What is above it now comes too late, too.
                settled.top = _known(span)
                self._add_id(settled, span)
                return True
            if settled.holds(span.id):
                return True
            if self._is_below(span, settled):
                self._add_id(settled, span)
                return True
        return False

    def is_called_from(self, trace_id: bytes, span: HeldSpan) -> bool:
        """Whether the span's parent has settled in another process, so that nothing above it is to come."""
        parent_id = span.parent_id
        return parent_id is not None and any(
            settled.holds(parent_id) and not self._is_below(span, settled) for settled in self._traces.get(trace_id, ())
        )

    def has_above(self, part: TracePart) -> bool:
        """Whether what is above a part has settled, or came too late itself."""
        return any(self._is_below(part.top, settled) for settled in self._traces.get(part.trace_id, ()))

    def _add_id(self, settled: SettledPart, span: HeldSpan) -> None:
        settled.ids += span.id
        self._span_count += 1

    def _is_below(self, span: HeldSpan, settled: SettledPart) -> bool:
        parent_id = span.parent_id
        if parent_id is None or not settled.holds(parent_id):
            return False
        if span.parent_place is ParentPlace.HERE:
            return True
        # What is not known of a part that was restored is taken to be usual.
        parent = _Known(parent_id, _kind_above(span), settled.resources or span.resources)
        return is_one_process(span, parent)

    def _forget_oldest(self) -> None:
        parts = self._traces.pop(oldest_key(self._traces) or b"", [])
        self._span_count -= sum(len(settled.ids) for settled in parts) // _ID_BYTES


def _together(one: SettledPart, other: SettledPart) -> SettledPart:
    return SettledPart(one.ids + other.ids, other.top, _distinct((*one.resources, *other.resources)))


def _distinct(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each that differs from the others, once. Nearly all are one object; to hash one is to write it as JSON."""
    found = list({id(each): each for each in resources}.values())
    return tuple(found if len(found) == 1 else dict.fromkeys(found))


def _known(span: HeldSpan) -> _Known:
    return _Known(span.id, span.kind, span.resources, span.parent_id, span.parent_place)


def _kind_above(span: HeldSpan) -> SpanKind:
    """What the parent of a span is taken to be that calls or is called, where it is not remembered."""
    return SpanKind.CLIENT if span.kind in _CALLED else SpanKind.INTERNAL
