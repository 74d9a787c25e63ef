# SPDX-License-Identifier: Apache-2.0
"""What of an encoded span says how it hangs together with others: its parent, its kind, where its parent was.

Encoders write a span's fields in their order, so that these stand at its two ends. Of others all fields are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.explain.exported import ParentPlace, parent_place, span_kind
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.fields import BLOCK, FIXED32, FIXED64, VARINT, Budget, fields

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind

NO_PARENT: Final = b""
_IDS_END: Final = 28
_MORE: Final = 0x80
_ID_BYTES: Final = 8
_NO_SPAN: Final = bytes(_ID_BYTES)
_TRACE_STATE: Final = 3 << 3 | BLOCK
_PARENT: Final = 4 << 3 | BLOCK
_NAME: Final = 5 << 3 | BLOCK
_KIND: Final = 6 << 3 | VARINT
_START: Final = 7 << 3 | FIXED64
_END: Final = 8 << 3 | FIXED64
_FLAGS: Final = 16 << 3 | FIXED32
_PARENT_TAG: Final = bytes((_PARENT,))
_NO_PARENT_FIELD: Final = bytes((_PARENT, _ID_BYTES)) + _NO_SPAN
_PARENT_END: Final = _IDS_END + len(_NO_PARENT_FIELD)
_FLAGS_TAG: Final = b"\x85\x01"
_FLAGS_BYTES: Final = 6
_FIELDS_MAX: Final = 4096


class SpanHead(NamedTuple):
    """How a span hangs together with others; `parent_id` is empty where it has none."""

    parent_id: bytes
    kind: SpanKind
    parent_place: ParentPlace


def read_head(encoded: bytes) -> SpanHead:
    """The head of a span whose ids have been found. Never raises: what cannot be read is not said."""
    try:
        parent_id, kind = _usual_head(encoded)
    except (IndexError, _UnusualError):
        return _any_head(encoded)
    tail = encoded[-_FLAGS_BYTES:]
    flags = int.from_bytes(tail[2:], "little") if tail.startswith(_FLAGS_TAG) else 0
    return _head(parent_id, kind, flags)


def may_be_topmost(encoded: bytes) -> bool:
    """Whether a span may be the first of its process in its trace: it has no parent, or one elsewhere."""
    if encoded[_IDS_END : _IDS_END + 1] != _PARENT_TAG or _NO_PARENT_FIELD in encoded[_IDS_END:_PARENT_END]:
        return not read_head(encoded).parent_id
    tail = encoded[-_FLAGS_BYTES:]
    return tail.startswith(_FLAGS_TAG) and parent_place(int.from_bytes(tail[2:], "little")) is ParentPlace.ELSEWHERE


def read_times(encoded: bytes) -> tuple[int, int]:
    """When a span started and ended, in nanoseconds. Never raises: what cannot be read is 0."""
    start_ns = end_ns = 0
    try:
        for tag, start, end in fields(encoded, 0, len(encoded), Budget(_FIELDS_MAX)):
            if tag == _START:
                start_ns = int.from_bytes(encoded[start:end], "little")
            elif tag == _END:
                end_ns = int.from_bytes(encoded[start:end], "little")
    except WireError:
        return 0, 0
    return start_ns, end_ns


class _UnusualError(Exception):
    """The fields stand in another order than usual, or some are missing."""


def _usual_head(encoded: bytes) -> tuple[bytes, int]:
    place, parent_id = _IDS_END, NO_PARENT
    if encoded[place] == _TRACE_STATE:
        place = _after_block(encoded, place)
    if encoded[place] == _PARENT and encoded[place + 1] == _ID_BYTES:
        parent_id = encoded[place + 2 : place + 2 + _ID_BYTES]
        place += 2 + _ID_BYTES
    if encoded[place] != _NAME:
        raise _UnusualError
    place = _after_block(encoded, place)
    return parent_id, encoded[place + 1] if encoded[place] == _KIND else 0


def _after_block(encoded: bytes, place: int) -> int:
    length = encoded[place + 1]
    if length < _MORE:
        return place + 2 + length
    high = encoded[place + 2]
    if high >= _MORE:
        raise _UnusualError
    return place + 3 + length - _MORE + high * _MORE


def _any_head(encoded: bytes) -> SpanHead:
    parent_id, kind, flags = NO_PARENT, 0, 0
    try:
        for tag, start, end in fields(encoded, 0, len(encoded), Budget(_FIELDS_MAX)):
            if tag == _PARENT and end - start == _ID_BYTES:
                parent_id = encoded[start:end]
            elif tag == _KIND:
                kind = start
            elif tag == _FLAGS:
                flags = int.from_bytes(encoded[start:end], "little")
    except WireError:
        return _head(NO_PARENT, 0, 0)
    return _head(parent_id, kind, flags)


def _head(parent_id: bytes, kind: int, flags: int) -> SpanHead:
    # Some encoders write a parent that is none.
    parent_id = NO_PARENT if parent_id == _NO_SPAN else parent_id
    return SpanHead(parent_id, span_kind(kind), parent_place(flags))
