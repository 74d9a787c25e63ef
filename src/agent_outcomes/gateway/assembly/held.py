# SPDX-License-Identifier: Apache-2.0
"""Spans that are held, by trace, and when the next look at each trace is due; times are given by whoever calls.

A trace is looked at when the first that came of it may be due, and again whenever that may be earlier than it was
thought to be: each has its place in one queue, so that holding a hundred thousand costs no more than holding one.
"""

from __future__ import annotations

import heapq
import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource

from agent_outcomes.gateway.assembly.heads import read_head
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.messages import read_resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.trace import SpanKind

    from agent_outcomes.explain.exported import ParentPlace
    from agent_outcomes.gateway.wire.frames import SpanFrame
    from agent_outcomes.gateway.wire.intake import Sender

# The oldest SDKs make text of bytes, and log each that is none.
_KEEPS_BYTES: Final = BoundedAttributes(attributes={"key": b"bytes"})["key"] == b"bytes"
_DOUBTFUL: Final = frozenset({dict, tuple} if _KEEPS_BYTES else {dict, tuple, bytes})
CACHED_RESOURCES_MAX: Final = 1_000
CACHED_RESOURCE_MAX_BYTES: Final = 4_096
SPAN_OVERHEAD_BYTES: Final = 512
"""What a span that is held takes besides its own bytes, as a bound."""


class HeldScope:
    """A scope of a resource, as it came, which all its spans in one request share.

    `may_hold_agents` says that its spans are to be read at all, `sender` who sent them, where there are keys.
    """

    __slots__ = ("_resource", "encoded_resource", "encoded_scope", "may_hold_agents", "sender")

    def __init__(
        self, encoded_resource: bytes, encoded_scope: bytes, *, may_hold_agents: bool, sender: Sender | None = None
    ) -> None:
        self.sender = sender
        self.encoded_resource = encoded_resource
        self.encoded_scope = encoded_scope
        self.may_hold_agents = may_hold_agents
        self._resource: Resource | None = None

    @property
    def resource(self) -> Resource:
        """The resource, read when it is first asked for. Never raises: one that cannot be read says nothing."""
        if self._resource is None:
            is_long = len(self.encoded_resource) > CACHED_RESOURCE_MAX_BYTES
            self._resource = (resource_of if is_long else _cached_resource_of)(self.encoded_resource)
        return self._resource


class HeldSpan:
    """A span that is held, with how it hangs together with others (`Placed`).

    `segment` is the file of the journal that has it.
    """

    __slots__ = ("came_s", "copies", "encoded", "id", "kind", "parent_id", "parent_place", "scope", "segment")

    id: bytes
    kind: SpanKind
    parent_id: bytes | None
    parent_place: ParentPlace

    def __init__(self, frame: SpanFrame, scope: HeldScope, segment: int, came_s: float) -> None:
        self.id = frame.span_id
        self.encoded = frame.encoded
        self.scope = scope
        self.segment = segment
        self.came_s = came_s
        self.copies: tuple[HeldSpan, ...] = ()
        parent_id, self.kind, self.parent_place = read_head(frame.encoded)
        self.parent_id = parent_id or None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources of all its copies."""
        return (self.scope.resource, *(copy.scope.resource for copy in self.copies))

    @property
    def size_bytes(self) -> int:
        """What it takes, without its copies."""
        return len(self.encoded) + SPAN_OVERHEAD_BYTES

    def each_copy(self) -> Iterator[HeldSpan]:
        """Itself and its copies."""
        yield self
        yield from self.copies

    def is_copied_by(self, other: HeldSpan) -> bool:
        """Whether it, or a copy of it, came just like the other, from one sender."""
        return any(
            copy.encoded == other.encoded
            and copy.scope.encoded_resource == other.scope.encoded_resource
            and copy.scope.sender == other.scope.sender
            for copy in self.each_copy()
        )


class PlainSpans:
    """Spans of one scope and trace that came together, none of which says anything of an agent.

    They are held as they came: nearly all of the world's spans are never looked at.
    """

    __slots__ = ("came_s", "frames", "scope", "segment", "size_bytes")

    def __init__(self, frames: list[SpanFrame], scope: HeldScope, segment: int, came_s: float) -> None:
        self.frames = frames
        self.scope = scope
        self.segment = segment
        self.came_s = came_s
        self.size_bytes = sum([len(frame.encoded) for frame in frames]) + SPAN_OVERHEAD_BYTES * len(frames)


class HeldTrace:
    """What is held of one trace, by span id, and `plain` what says nothing of an agent so far.

    `first_s` and `last_s` are when the first and the last of them came, `look_s` when it is to be looked at next.
    """

    __slots__ = ("first_s", "is_promising", "last_s", "look_s", "plain", "spans", "trace_id")

    def __init__(self, trace_id: bytes, now_s: float) -> None:
        self.trace_id = trace_id
        self.first_s = self.last_s = now_s
        self.look_s = float("inf")
        self.spans: dict[bytes, HeldSpan] = {}
        self.plain: list[PlainSpans] = []
        self.is_promising = False


class HeldTraces:
    """All traces of which spans are held, the oldest first."""

    def __init__(self) -> None:
        self._traces: dict[bytes, HeldTrace] = {}
        self._plain: dict[bytes, HeldTrace] = {}
        self._looks: list[tuple[float, int, bytes]] = []
        self._counter = itertools.count()
        self.span_count = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """How many traces there are."""
        return len(self._traces)

    def add(self, trace_id: bytes, span: HeldSpan) -> bool:
        """Hold a span that may say something of an agent; whether it is not held already, just as it is."""
        trace = self._trace_at(trace_id, span.came_s)
        trace.is_promising = True
        self._plain.pop(trace_id, None)
        return self._add_to(trace, span)

    def add_plain(self, trace_id: bytes, spans: PlainSpans) -> None:
        """Hold spans that say nothing of an agent."""
        trace = self._trace_at(trace_id, spans.came_s)
        trace.plain.append(spans)
        self.span_count += len(spans.frames)
        self.size_bytes += spans.size_bytes

    def spread(self, trace: HeldTrace) -> dict[int, int]:
        """Hold the plain spans of a trace as any others; of those that were held already how many each file has."""
        repeated: dict[int, int] = {}
        for group in trace.plain:
            self.span_count -= len(group.frames)
            self.size_bytes -= group.size_bytes
            for frame in group.frames:
                if not self._add_to(trace, HeldSpan(frame, group.scope, group.segment, group.came_s)):
                    repeated[group.segment] = repeated.get(group.segment, 0) + 1
        trace.plain = []
        return repeated

    def take_plain(self, trace: HeldTrace) -> dict[int, int]:
        """Hold a trace no longer that has only plain spans; how many of them each file has."""
        counts: dict[int, int] = {}
        for group in trace.plain:
            self.span_count -= len(group.frames)
            self.size_bytes -= group.size_bytes
            counts[group.segment] = counts.get(group.segment, 0) + len(group.frames)
        self._traces.pop(trace.trace_id, None)
        self._plain.pop(trace.trace_id, None)
        return counts

    def _trace_at(self, trace_id: bytes, now_s: float) -> HeldTrace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = self._plain[trace_id] = HeldTrace(trace_id, now_s)
        trace.last_s = now_s
        return trace

    def _add_to(self, trace: HeldTrace, span: HeldSpan) -> bool:
        known = trace.spans.get(span.id)
        if known is None:
            trace.spans[span.id] = span
        elif known.is_copied_by(span):
            return False
        else:
            known.copies = (*known.copies, span)
        self.span_count += 1
        self.size_bytes += span.size_bytes
        return True

    def look_at(self, trace_id: bytes, at_s: float) -> None:
        """Have the trace looked at by then, unless it is to be earlier anyway."""
        trace = self._traces.get(trace_id)
        if trace is not None and at_s < trace.look_s:
            trace.look_s = at_s
            heapq.heappush(self._looks, (at_s, next(self._counter), trace_id))

    def next_look_s(self) -> float | None:
        """When the next trace is to be looked at."""
        self._drop_old_looks()
        return self._looks[0][0] if self._looks else None

    def take_looks(self, now_s: float) -> Iterator[HeldTrace]:
        """The traces that are to be looked at by now, each once: whoever gets one says when to look again."""
        while (next_s := self.next_look_s()) is not None and next_s <= now_s:
            _, _, trace_id = heapq.heappop(self._looks)
            trace = self._traces[trace_id]
            trace.look_s = float("inf")
            yield trace

    def oldest(self) -> HeldTrace | None:
        """The trace that is held for longest, of those without any agent so far if there are any."""
        return next(iter(self._plain.values()), None) or next(iter(self._traces.values()), None)

    def trace(self, trace_id: bytes) -> HeldTrace | None:
        """What is held of that trace."""
        return self._traces.get(trace_id)

    def take(self, trace: HeldTrace, spans: Iterable[HeldSpan]) -> None:
        """Hold these spans of the trace no longer."""
        for span in spans:
            if trace.spans.pop(span.id, None) is not None:
                for copy in span.each_copy():
                    self.span_count -= 1
                    self.size_bytes -= copy.size_bytes
        if not trace.spans and not trace.plain:
            self._traces.pop(trace.trace_id, None)

    def in_segment(self, segment: int) -> Iterator[HeldSpan | PlainSpans]:
        """What is held that a file of the journal has."""
        for trace in self._traces.values():
            for span in trace.spans.values():
                yield from (copy for copy in span.each_copy() if copy.segment == segment)
            yield from (group for group in trace.plain if group.segment == segment)

    def _drop_old_looks(self) -> None:
        """Leave out what the trace was to be looked at for, and no longer is."""
        looks = self._looks
        while looks:
            at_s, _, trace_id = looks[0]
            trace = self._traces.get(trace_id)
            if trace is not None and trace.look_s == at_s:
                return
            heapq.heappop(looks)


def resource_of(encoded: bytes) -> Resource:
    """The resource that these bytes are; one that cannot be read says nothing. Never raises."""
    try:
        return Resource(plain_attributes(read_resource(encoded)))
    except WireError:
        return Resource({})


_cached_resource_of: Final = lru_cache(maxsize=CACHED_RESOURCES_MAX)(resource_of)


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as the SDK takes them: no maps, no lists of several types, and none without a key.

    It would write a line of log for each, by which whoever sends them could fill a disk.
    """
    if "" not in attributes and _DOUBTFUL.isdisjoint(map(type, attributes.values())):
        return dict(attributes)
    return {key: value for key, value in attributes.items() if key and _is_plain(value)}


def _is_plain(value: object) -> bool:
    if not isinstance(value, tuple):
        return not isinstance(value, dict) and _is_kept(value)
    types = {type(each) for each in value}
    return len(types) <= 1 and types.isdisjoint((dict, tuple)) and all(map(_is_kept, value))


def _is_kept(value: object) -> bool:
    if _KEEPS_BYTES or not isinstance(value, bytes):
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
