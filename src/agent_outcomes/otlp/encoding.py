# SPDX-License-Identifier: Apache-2.0
"""Events, resources and scopes as OTLP's bytes, and whole requests put together from such bytes.

A record is encoded once, by itself: one that cannot be is known as such and takes no other with it, and a batch of what
was encoded before is a matter of lengths. Nothing here raises on what a value holds: text that UTF-8 cannot hold is
replaced, an integer beyond 64 bits is written as text, a value of an unknown kind as its own text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

    from agent_outcomes.record.record import Event

NESTING_MAX: Final = 32
_INT64: Final = range(-(2**63), 2**63)
_NANOSECONDS: Final = range(2**64)
_SPAN_ID_BYTES: Final = 8
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80
# Field numbers of the collector's request and its parts, each with wire type 2 (a length and so many bytes).
_RESOURCE_LOGS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_LOGS: Final = b"\x12"
_SCOPE: Final = b"\x0a"
_LOG_RECORD: Final = b"\x12"
_SCHEMA_URL: Final = b"\x1a"


def encoded_event(event: Event, observed_ns: int) -> bytes:
    """An event as a serialised `LogRecord`, observed at that Unix time in nanoseconds. Never raises."""
    return encoded_record(
        trace_id=event.trace_id,
        span_id=event.span_id,
        trace_flags=event.trace_flags,
        timestamp_ns=event.timestamp_ns,
        observed_ns=observed_ns,
        severity=event.severity,
        body=event.body,
        attributes=event.attributes,
        name=event.name,
    )


def encoded_record(  # noqa: PLR0913 - a log record's fields
    *,
    trace_id: int,
    span_id: int,
    trace_flags: int,
    timestamp_ns: int,
    observed_ns: int,
    severity: tuple[int, str],
    body: object,
    attributes: Mapping[str, Any],
    name: str,
    dropped_attributes: int = 0,
) -> bytes:
    """A serialised `LogRecord`, as the SDK's exporters encode it. Never raises."""
    record = LogRecord(
        time_unix_nano=_within_nanoseconds(timestamp_ns),
        observed_time_unix_nano=_within_nanoseconds(observed_ns),
        severity_number=severity[0],  # type: ignore[arg-type] # an enum's number
        severity_text=_utf8(severity[1]),
        trace_id=trace_id.to_bytes(16, "big") if trace_id else b"",
        span_id=span_id.to_bytes(8, "big") if span_id else b"",
        flags=trace_flags,
        event_name=_utf8(name),
        dropped_attributes_count=dropped_attributes,
    )
    if body is not None:
        put_value(record.body, body)
    put_attributes(record.attributes, attributes)
    return record.SerializeToString()


def encoded_span(event: Event) -> bytes:
    """An event as a serialised zero-length `Span`, a child of its own, whose id is always the same. Never raises."""
    whole = "/".join(str(event.attributes.get(key)) for key in (semconv.LOG_RECORD_UID, semconv.AGENT_OUTCOME_ID))
    span_id = hashlib.sha256(f"{event.name}/{whole}".encode(errors="replace")).digest()[:_SPAN_ID_BYTES]
    span = Span(
        trace_id=event.trace_id.to_bytes(16, "big"),
        span_id=span_id,
        parent_span_id=event.span_id.to_bytes(8, "big"),
        flags=event.trace_flags,
        name=_utf8(event.name),
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_within_nanoseconds(event.timestamp_ns),
        end_time_unix_nano=_within_nanoseconds(event.timestamp_ns),
    )
    put_attributes(span.attributes, event.attributes)
    return span.SerializeToString()


def encoded_resource(attributes: Mapping[str, Any]) -> bytes:
    """A serialised `Resource`. Never raises."""
    resource = Resource()
    put_attributes(resource.attributes, attributes)
    return resource.SerializeToString()


def encoded_scope(name: str, version: str | None, attributes: Mapping[str, Any] | None = None) -> bytes:
    """A serialised `InstrumentationScope`. Never raises."""
    scope = InstrumentationScope(name=_utf8(name), version=_utf8(version or ""))
    put_attributes(scope.attributes, attributes or {})
    return scope.SerializeToString()


def resource_logs(resource: bytes, scope: bytes, records: Iterable[bytes], schema_url: str = "") -> bytes:
    """One resource's part of a request, from what was serialised before: records of one scope.

    Of spans it is the part of a request of theirs, whose fields have the same numbers.
    """
    parts = [_SCOPE, length(len(scope)), scope]
    for record in records:
        parts += (_LOG_RECORD, length(len(record)), record)
    scope_logs = b"".join(parts)
    url = schema_url.encode(errors="replace")
    whole = [_RESOURCE, length(len(resource)), resource, _SCOPE_LOGS, length(len(scope_logs)), scope_logs]
    return b"".join([*whole, _SCHEMA_URL, length(len(url)), url] if url else whole)


def logs_request(parts: Iterable[bytes]) -> bytes:
    """A serialised `ExportLogsServiceRequest` of the parts that `resource_logs` made."""
    whole: list[bytes] = []
    for part in parts:
        whole += (_RESOURCE_LOGS, length(len(part)), part)
    return b"".join(whole)


def put_attributes(target: RepeatedCompositeFieldContainer[KeyValue], attributes: Mapping[str, Any]) -> None:
    """Add attributes to a message's. Never raises."""
    add = target.add
    for key, value in attributes.items():
        try:
            put_value(add(key=key).value, value)
        except ValueError:  # of the key; whether it has any is not asked, as that costs more than all the rest
            put_value(add(key=_utf8(key)).value, value)


def put_value(target: AnyValue, value: object, depth: int = 0) -> None:  # noqa: C901, PLR0912 - one branch a kind
    """Write a value into an `AnyValue`; `None` leaves it empty. Never raises."""
    kind = type(value)
    if kind is str:
        _put_text(target, value)  # type: ignore[arg-type] # told by its type
    elif kind is bool:
        target.bool_value = value  # type: ignore[assignment]
    elif kind is int:
        _put_integer(target, value)  # type: ignore[arg-type]
    elif kind is float:
        target.double_value = value  # type: ignore[assignment]
    elif value is None:
        return
    elif depth > NESTING_MAX:
        target.string_value = "..."
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, bool | str | int | float):
        put_value(target, _plain(value), depth)
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for key, one in value.items():
            put_value(target.kvlist_value.values.add(key=_utf8(str(key))).value, one, depth + 1)
    elif isinstance(value, Sequence):
        target.array_value.SetInParent()
        for one in value:
            put_value(target.array_value.values.add(), one, depth + 1)
    else:
        target.string_value = _utf8(str(value))


def length(number: int) -> bytes:
    """A length as Protobuf writes it."""
    if number <= _SEVEN_BITS:
        return bytes((number,))
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)


def _plain(value: str | float) -> str | float:
    """A value of a subclass, such as an enum's, as one of the class itself."""
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _put_text(target: AnyValue, text: str) -> None:
    try:
        target.string_value = text
    except ValueError:
        target.string_value = _utf8(text)


def _put_integer(target: AnyValue, number: int) -> None:
    if number in _INT64:
        target.int_value = number
    else:
        target.string_value = str(number)


def _utf8(text: str) -> str:
    """The text with what UTF-8 cannot hold, lone surrogates, replaced."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _within_nanoseconds(time_ns: int) -> int:
    return time_ns if time_ns in _NANOSECONDS else 0
