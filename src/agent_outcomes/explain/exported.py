# SPDX-License-Identifier: Apache-2.0
"""A span that was exported, whatever it was read from, and what its flags say of where its parent was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
_TRACE_FLAGS: Final = 0xFF
# OTLP numbers span kinds from 1, 0 being unspecified; the API from 0.
_KINDS: Final = {kind.value + 1: kind for kind in SpanKind}
_CLEAN: Final = frozenset({bool, float, int, str})
"""Types of which the SDK keeps any value as it is."""
_STATUSES: Final = {0: StatusCode.UNSET, 1: StatusCode.OK, 2: StatusCode.ERROR}

SpanId = tuple[int, int]


class ParentPlace(Enum):
    """Where a span's parent was, by the span's own flags (OTLP, `SpanFlags`); older SDKs set none."""

    HERE = "in the span's process"
    ELSEWHERE = "in another process"
    UNSAID = "not said"


@dataclass(frozen=True, slots=True)
class ExportedSpan:
    """A span as exported, with trace and span id of itself and its parent; `resources` are those of all its copies."""

    span: ReadableSpan
    id: SpanId
    parent_id: SpanId | None
    parent_place: ParentPlace
    resources: tuple[Resource, ...]

    @property
    def kind(self) -> SpanKind:
        """What the span is to other processes."""
        return self.span.kind


class EventParts(NamedTuple):
    """An event of a span as OTLP has it."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any]


class SpanParts(NamedTuple):
    """A span as OTLP has it: numbers for kind and status, no resource and no scope; `parent_id` may be empty."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    flags: int
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    dropped_attributes: int
    events: Sequence[EventParts]
    status_code: int
    status_message: str


def exported_span(parts: SpanParts, resource: Resource, scope: InstrumentationScope) -> ExportedSpan:
    """The span as the SDK would have handed it to an exporter. Never raises."""
    trace_id = int.from_bytes(parts.trace_id, "big")
    span_id = int.from_bytes(parts.span_id, "big")
    place = parent_place(parts.flags)
    parent: SpanContext | None = None
    if parts.parent_id:
        parent = SpanContext(trace_id, int.from_bytes(parts.parent_id, "big"), place is ParentPlace.ELSEWHERE)
    flags = TraceFlags(parts.flags & _TRACE_FLAGS)
    span = ReadableSpan(
        name=parts.name,
        context=SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags),
        parent=parent,
        resource=resource,
        attributes=_bounded(parts.attributes, parts.dropped_attributes),
        events=[Event(event.name, event.attributes, event.time_ns) for event in parts.events],
        kind=span_kind(parts.kind),
        instrumentation_scope=scope,
        status=_status(parts.status_code, parts.status_message),
        start_time=parts.start_ns,
        end_time=parts.end_ns,
    )
    return ExportedSpan(span, (trace_id, span_id), parent_id_of(span), place, (resource,))


def _bounded(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    """The attributes of an ended span, as the SDK holds them."""
    bounded = BoundedAttributes()
    held: Any = bounded
    # To clean what is clean takes the SDK longer than all else that is done to make a span.
    if type(getattr(held, "_dict", None)) is dict and "" not in attributes and _is_clean(attributes.values()):
        held._dict = dict(attributes)  # noqa: SLF001 - as said
    else:
        bounded = BoundedAttributes(attributes=attributes)
    bounded.dropped = dropped
    return bounded


def _is_clean(values: Collection[object]) -> bool:
    """Whether the SDK would keep all of them as they are."""
    others = [value for value in values if type(value) not in _CLEAN]
    return all(type(value) is tuple and _CLEAN.issuperset(map(type, value)) for value in others)


def later_copy(known: ExportedSpan, other: ExportedSpan) -> ExportedSpan:
    """Of two copies of a span the one that ended last, as a copy sent while it was open says less.

    All copies were made by one process, whatever was added to its resource on the way.
    """
    kept, lost = (known, other) if _completeness(known.span) > _completeness(other.span) else (other, known)
    place = lost.parent_place if kept.parent_place is ParentPlace.UNSAID else kept.parent_place
    resources = tuple(dict.fromkeys((*kept.resources, *lost.resources)))
    return replace(kept, parent_place=place, resources=resources)


def parent_place(flags: int) -> ParentPlace:
    """What a span's flags say of its parent."""
    if not flags & _HAS_IS_REMOTE:
        return ParentPlace.UNSAID
    return ParentPlace.ELSEWHERE if flags & _IS_REMOTE else ParentPlace.HERE


def span_kind(number: int) -> SpanKind:
    """The kind by OTLP's number; one that is not known is what a span is by default."""
    return _KINDS.get(number, SpanKind.INTERNAL)


def id_of(span: ReadableSpan) -> SpanId:
    """Trace and span id."""
    context = span.get_span_context()
    return (context.trace_id, context.span_id) if context is not None else (0, 0)


def parent_id_of(span: ReadableSpan) -> SpanId | None:
    """Trace and span id of the parent."""
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def _completeness(span: ReadableSpan) -> tuple[int, int, int]:
    return (span.end_time or 0, len(span.attributes or ()), len(span.events))


def _status(number: int, message: str) -> Status:
    code = _STATUSES.get(number, StatusCode.UNSET)
    # The SDK takes a description for errors only, and warns of any other.
    return Status(code, message or None) if code is StatusCode.ERROR else Status(code)
