# SPDX-License-Identifier: Apache-2.0
"""Whole requests divided into spans and log records, which stay encoded: all that is read of a span is its ids.

What stands within a span besides its ids is not looked at here; `messages` reads it of those that matter.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.fields import BLOCK, MORE, Budget, fields, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_TRACE: Final = bytes(16)
NO_SPAN: Final = bytes(8)
ITEMS_MAX: Final = 10_000
# Tags of the request and its parts, which are the same in each signal.
_RESOURCE_PART: Final = 1 << 3 | BLOCK
_RESOURCE: Final = 1 << 3 | BLOCK
_SCOPE_PART: Final = 2 << 3 | BLOCK
_SCOPE: Final = 1 << 3 | BLOCK
_ITEM: Final = 2 << 3 | BLOCK
_TRACE_ID: Final = 1 << 3 | BLOCK
_SPAN_ID: Final = 2 << 3 | BLOCK
# How a span begins by every encoder that writes fields in order: the ids, each behind its tag and its length.
_USUAL: Final = struct.Struct(f"2s{len(NO_TRACE)}s2s{len(NO_SPAN)}s")
_usual_ids: Final = _USUAL.unpack_from
_TRACE_ID_HEAD: Final = bytes((_TRACE_ID, len(NO_TRACE)))
_SPAN_ID_HEAD: Final = bytes((_SPAN_ID, len(NO_SPAN)))
_TRACE_ID_LENGTHS: Final = (0, len(NO_TRACE))
_SPAN_ID_LENGTHS: Final = (0, len(NO_SPAN))
_KNOWN_BLOCKS: Final = (_ITEM, _SCOPE)
_HEAD_BYTES: Final = 3
# Of a request around its items, and of an item whose ids do not stand in front.
_FIELDS_PER_ITEM: Final = 16
# A named tuple's own `__new__` takes twice as long.
_new: Final = tuple.__new__


class SpanFrame(NamedTuple):
    """A span as it came, and its ids."""

    trace_id: bytes
    span_id: bytes
    encoded: bytes


class ScopeFrames(NamedTuple):
    """The spans of one scope of one resource; `rejected` are those whose ids are none.

    `resource` and `scope` are encoded. Scopes of one resource share the very same bytes of it.
    """

    resource: bytes
    scope: bytes
    spans: list[SpanFrame]
    rejected: int = 0


class LogFrames(NamedTuple):
    """The log records of one scope of one resource, all encoded."""

    resource: bytes
    scope: bytes
    records: list[bytes]


def frame_traces(body: bytes, spans_max: int = ITEMS_MAX) -> list[ScopeFrames]:
    """The spans of an encoded `ExportTraceServiceRequest`, in order.

    Raises `WireError` where the body is none, `TooMuchError` where it has more than `spans_max` spans.
    """
    budget = Budget(spans_max * _FIELDS_PER_ITEM)
    found: list[ScopeFrames] = []
    for resource, scope, encoded in _divided(body, spans_max, budget):
        spans = _span_frames(encoded, budget)
        found.append(ScopeFrames(resource, scope, spans, len(encoded) - len(spans)))
    return found


def frame_logs(body: bytes, records_max: int = ITEMS_MAX) -> list[LogFrames]:
    """The records of an encoded `ExportLogsServiceRequest`, in order.

    Raises `WireError` where the body is none, `TooMuchError` where it has more than `records_max` records.
    """
    return [LogFrames(*one) for one in _divided(body, records_max, Budget(records_max * _FIELDS_PER_ITEM))]


def check_request(body: bytes) -> None:
    """Look whether a body can be a request of any signal, down to what its scopes hold.

    Raises as `frame_logs` does.
    """
    frame_logs(body)


def _divided(body: bytes, items_max: int, budget: Budget) -> Iterator[tuple[bytes, bytes, list[bytes]]]:
    """The resource, scope and encoded spans or records of each scope's part that has any."""
    for part, part_start, part_end in fields(body, 0, len(body), budget):
        if part != _RESOURCE_PART:
            continue
        resource = joined(body, _RESOURCE, part_start, part_end, budget)
        for tag, start, end in fields(body, part_start, part_end, budget):
            if tag != _SCOPE_PART:
                continue
            scope, items = _scope_part(body, start, end, items_max, budget)
            items_max -= len(items)
            if items:
                yield resource, scope, items


def _scope_part(body: bytes, start: int, end: int, items_max: int, budget: Budget) -> tuple[bytes, list[bytes]]:
    """The scope of a scope's part, and its encoded spans or records.

    Written out, as all that is ever received passes here: what encoders write is one byte of a tag, one or two of a
    size, and the item. From whatever else there may be on, `fields` reads.
    """
    scopes: list[bytes] = []
    items: list[bytes] = []
    while start + _HEAD_BYTES <= end and len(items) <= items_max:
        tag, size, high = body[start : start + _HEAD_BYTES]
        if size < MORE:
            item_start = start + 2
        elif high < MORE:
            size += (high - 1) * MORE
            item_start = start + 3
        else:
            break
        item_end = item_start + size
        if item_end > end or tag not in _KNOWN_BLOCKS:
            break
        (items if tag == _ITEM else scopes).append(body[item_start:item_end])
        start = item_end
    for tag, item_start, item_end in fields(body, start, end, budget):
        if len(items) > items_max:
            break
        if tag in _KNOWN_BLOCKS:
            (items if tag == _ITEM else scopes).append(body[item_start:item_end])
    if len(items) > items_max:
        message = "the request holds too many spans or records; send smaller batches"
        raise TooMuchError(message)
    return b"".join(scopes), items


def _span_frames(items: list[bytes], budget: Budget) -> list[SpanFrame]:
    """Spans with their ids, without those whose ids are none. Raises `WireError`, also for ids of another length.

    Whoever writes such an id has a fault that concerns all its spans; a collector refuses the request, too.
    """
    frames: list[SpanFrame] = []
    for encoded in items:
        if len(encoded) >= _USUAL.size:
            trace_head, trace_id, span_head, span_id = _usual_ids(encoded)
            if trace_head == _TRACE_ID_HEAD and span_head == _SPAN_ID_HEAD:
                if trace_id != NO_TRACE and span_id != NO_SPAN:
                    frames.append(_new(SpanFrame, (trace_id, span_id, encoded)))
                continue
        trace_id, span_id = _ids(encoded, budget)
        if len(trace_id) not in _TRACE_ID_LENGTHS or len(span_id) not in _SPAN_ID_LENGTHS:
            message = f"a span's ids have {len(trace_id)} and {len(span_id)} bytes; a trace id has 16, a span id 8"
            raise WireError(message)
        if is_id(trace_id, NO_TRACE) and is_id(span_id, NO_SPAN):
            frames.append(SpanFrame(trace_id, span_id, encoded))
    return frames


def is_id(given: bytes, none: bytes) -> bool:
    """Whether bytes are an id: as long as `none`, the one that stands for no id, and not that."""
    return len(given) == len(none) and given != none


def _ids(encoded: bytes, budget: Budget) -> tuple[bytes, bytes]:
    """Both ids of a span whose fields stand in any order, empty if missing. Raises `WireError`."""
    trace_id = span_id = b""
    for tag, start, end in fields(encoded, 0, len(encoded), budget):
        if tag == _TRACE_ID:
            trace_id = encoded[start:end]
        elif tag == _SPAN_ID:
            span_id = encoded[start:end]
        if trace_id and span_id:
            break
    return trace_id, span_id
