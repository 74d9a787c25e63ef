# SPDX-License-Identifier: Apache-2.0
"""Spans as nearly all encoders write them, parsed by the Protobuf library in a third of the time.

A span that is long, or written in any way that the library would read otherwise than `messages` does, is not usual, and
is left to that. Whether it is shows by its size: every field that is repeated, unknown, empty or longer than need be
makes a message longer than the library would write it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.gateway.wire.frames import NO_SPAN, NO_TRACE, is_id
from agent_outcomes.gateway.wire.messages import WireEvent, WireLink, WireSpan
from agent_outcomes.gateway.wire.values import ATTRIBUTES_MAX, KEY_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from agent_outcomes.gateway.wire.values import Value, WireAttributes

USUAL_MAX_BYTES: Final = 64 * 2**10
"""No value of a shorter span is cut, nor has it more fields than may be read."""
_CHARACTER_MAX_BYTES: Final = 4
_COMPOSITES: Final = ("array_value", "kvlist_value")


class _UnusualError(Exception):
    """It is to be read field by field."""


def usual_span(encoded: bytes) -> WireSpan | None:
    """The span that these bytes are, just as `read_span` has it; `None` if it is not usual. Never raises."""
    if len(encoded) > USUAL_MAX_BYTES:
        return None
    try:
        message = Span.FromString(encoded)
        message.DiscardUnknownFields()
        return _span(message) if message.ByteSize() == len(encoded) else None
    except (DecodeError, _UnusualError):
        return None


def _span(message: Span) -> WireSpan:
    status = message.status
    return WireSpan(
        trace_id=_id(message.trace_id, NO_TRACE),
        span_id=_id(message.span_id, NO_SPAN),
        parent_id=_id(message.parent_span_id, NO_SPAN) if message.parent_span_id else b"",
        trace_state=message.trace_state,
        flags=message.flags,
        name=message.name,
        kind=message.kind,
        start_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        events=tuple([WireEvent(one.name, one.time_unix_nano, _attributes(one.attributes)) for one in message.events]),
        links=tuple(
            [
                WireLink(_id(one.trace_id, NO_TRACE), _id(one.span_id, NO_SPAN), _attributes(one.attributes))
                for one in message.links
            ]
        ),
        status_code=status.code,
        status_message=status.message,
    )


def _id(given: bytes, none: bytes) -> bytes:
    if not is_id(given, none):
        raise _UnusualError
    return given


def _attributes(pairs: Iterable[KeyValue]) -> WireAttributes:
    read: WireAttributes = {}
    count = 0
    for pair in pairs:
        key, value = pair.key, pair.value
        count += 1
        # Asking for a text first saves the question what it is for most values.
        read[key] = value.string_value or _value(value)
        if len(key) * _CHARACTER_MAX_BYTES > KEY_MAX_BYTES and len(key.encode()) > KEY_MAX_BYTES:
            raise _UnusualError
    if len(read) != count or count > ATTRIBUTES_MAX:
        raise _UnusualError
    return read


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple([_scalar(item, item.WhichOneof("value")) for item in value.array_value.values])
    return _scalar(value, kind)


def _scalar(value: AnyValue, kind: str | None) -> Value:
    if kind is None or kind in _COMPOSITES:
        raise _UnusualError
    read: Value = getattr(value, kind)
    return read
