# SPDX-License-Identifier: Apache-2.0
"""OTLP requests of all shapes, made by chance, and their bytes written as no usual encoder writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.fields import BLOCK, Budget, fields
from agent_outcomes.otlp.encoding import length

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

FEW = 3
UNKNOWN = (b"\xfa\x07\x03abc", b"\xf8\x07\x96\x01", b"\xfd\x07\x01\x02\x03\x04")
"""Fields numbered 127, which no message of OTLP has."""


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return length(number << 3 | BLOCK) + length(len(content)) + content


def a_text(random: Random) -> str:
    """Text, also beyond ASCII."""
    return "".join(random.choice("ab.z\0\n\u00e9\u4e2d\U0001f600") for _ in range(random.randint(0, 9)))


def a_number(random: Random, bits: int) -> int:
    """A whole number of up to so many bits: as often short as long."""
    return random.getrandbits(random.randint(1, bits))


_PLAIN: dict[str, Callable[[Random], object]] = {
    "string_value": a_text,
    "bool_value": lambda random: random.random() < 0.5,
    "int_value": lambda random: random.choice((1, -1)) * a_number(random, 63),
    "double_value": lambda random: random.choice((random.gauss(0, 1e9), float("inf"), -0.0, 1e-300)),
    "bytes_value": lambda random: random.randbytes(random.randint(0, 9)),
}
_PLAIN_KINDS = (*_PLAIN, None)
_KINDS = (*_PLAIN_KINDS, "string_value", "array_value", "kvlist_value")


def a_value(random: Random, depth: int = 0) -> AnyValue:
    """An attribute's value of some kind, nested a few times."""
    value = AnyValue()
    kind = random.choice(_KINDS if depth < FEW else _PLAIN_KINDS)
    if kind == "array_value":
        value.array_value.SetInParent()
        value.array_value.values.extend(a_value(random, depth + 1) for _ in range(random.randint(0, FEW)))
    elif kind == "kvlist_value":
        value.kvlist_value.SetInParent()
        value.kvlist_value.values.extend(some_pairs(random, depth + 1))
    elif kind is not None:
        setattr(value, kind, _PLAIN[kind](random))
    return value


def some_pairs(random: Random, depth: int = 0) -> list[KeyValue]:
    """Attributes, whose keys may come twice."""
    return [KeyValue(key=a_text(random), value=a_value(random, depth)) for _ in range(random.randint(0, 4))]


def an_id(random: Random, size: int) -> bytes:
    """An id."""
    return random.randbytes(size - 1) + b"\1"


def perhaps_an_id(random: Random, size: int) -> bytes:
    """An id, or something that is none."""
    none = (b"", bytes(size), random.randbytes(size - 1), random.randbytes(size + 1))
    return random.choice(none) if random.random() < 0.2 else an_id(random, size)


def a_span(random: Random) -> Span:
    """A span with any of its fields."""
    status = Status(message=a_text(random), code=random.randint(0, 3))  # type: ignore[arg-type] # an open enum
    return Span(
        trace_id=an_id(random, 16),
        span_id=an_id(random, 8),
        parent_span_id=random.choice((b"", an_id(random, 8))),
        trace_state=a_text(random),
        flags=a_number(random, 32),
        name=a_text(random),
        kind=random.randint(-2, 7),  # type: ignore[arg-type] # an open enum
        start_time_unix_nano=a_number(random, 64),
        end_time_unix_nano=a_number(random, 64),
        attributes=some_pairs(random),
        dropped_attributes_count=a_number(random, 31),
        events=[
            Span.Event(time_unix_nano=a_number(random, 64), name=a_text(random), attributes=some_pairs(random))
            for _ in range(random.randint(0, 2))
        ],
        links=[
            Span.Link(trace_id=an_id(random, 16), span_id=an_id(random, 8), attributes=some_pairs(random))
            for _ in range(random.randint(0, 2))
        ],
        status=random.choice((None, status)),
    )


def a_log_record(random: Random) -> LogRecord:
    """A log record with any of its fields."""
    return LogRecord(
        time_unix_nano=a_number(random, 64),
        observed_time_unix_nano=a_number(random, 64),
        severity_number=random.randint(0, 24),  # type: ignore[arg-type] # an open enum
        severity_text=a_text(random),
        trace_id=random.choice((b"", an_id(random, 16))),
        span_id=random.choice((b"", an_id(random, 8))),
        flags=a_number(random, 32),
        event_name=a_text(random),
        body=random.choice((None, a_value(random))),
        attributes=some_pairs(random),
        dropped_attributes_count=a_number(random, 31),
    )


def a_resource(random: Random) -> Resource:
    """A resource."""
    return Resource(attributes=some_pairs(random))


def a_scope(random: Random) -> InstrumentationScope:
    """A scope."""
    return InstrumentationScope(name=a_text(random), version=a_text(random), attributes=some_pairs(random))


def a_trace_request(random: Random) -> ExportTraceServiceRequest:
    """A request of spans, some of them without ids."""
    request = ExportTraceServiceRequest()
    for _ in range(random.randint(0, 3)):
        part = request.resource_spans.add(resource=a_resource(random), schema_url=a_text(random))
        for _ in range(random.randint(0, 2)):
            scope = part.scope_spans.add(scope=a_scope(random), schema_url=a_text(random))
            for _ in range(random.randint(0, 4)):
                span = a_span(random)
                span.trace_id, span.span_id = perhaps_an_id(random, 16), perhaps_an_id(random, 8)
                scope.spans.append(span)
    return request


def a_log_request(random: Random) -> ExportLogsServiceRequest:
    """A request of log records."""
    request = ExportLogsServiceRequest()
    for _ in range(random.randint(0, 3)):
        part = request.resource_logs.add(resource=a_resource(random))
        for _ in range(random.randint(0, 2)):
            records = [a_log_record(random) for _ in range(random.randint(0, 4))]
            part.scope_logs.add(scope=a_scope(random), log_records=records)
    return request


def shuffled(encoded: bytes, random: Random, depth: int) -> bytes:
    """A message with the fields of each number in their order, but the numbers mixed, and with unknown ones between.

    So are the messages within, to that depth; bytes that happen to read as a message are left as they are by Protobuf.
    """
    by_tag: dict[int, list[bytes]] = {}
    for tag, start, end in fields(encoded, 0, len(encoded), Budget(100_000)):
        written = length(tag) + (length(start) if end == 0 else b"")
        if tag & 7 == BLOCK:
            content = encoded[start:end]
            if depth > 1 and tag in {10, 18}:
                content = _tried(content, random, depth)
            written += length(len(content)) + content
        elif end:
            written += encoded[start:end]
        by_tag.setdefault(tag, []).append(written)
    order = [tag for tag, values in by_tag.items() for _ in values]
    random.shuffle(order)
    mixed = [by_tag[tag].pop(0) for tag in order]
    for one in UNKNOWN:
        mixed.insert(random.randint(0, len(mixed)), one)
    return b"".join(mixed)


def _tried(content: bytes, random: Random, depth: int) -> bytes:
    try:
        return shuffled(content, random, depth - 1)
    except WireError:
        return content


def changed_bytes(body: bytes, random: Random) -> bytes:
    """The bytes with some put in, taken out or changed anywhere."""
    changed = bytearray(body)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(changed))
        changed[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 3))
    return bytes(changed)
