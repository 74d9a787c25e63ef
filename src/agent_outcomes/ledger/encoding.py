# SPDX-License-Identifier: Apache-2.0
"""Events as encoded OTLP log records, which is how they wait to be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

if TYPE_CHECKING:
    from agent_outcomes.record.record import AttributeValue, Event


def encoded_event(event: Event, observed_ns: int) -> bytes:
    """The event as a serialised `LogRecord`."""
    number, text = event.severity
    return LogRecord(
        time_unix_nano=event.timestamp_ns,
        observed_time_unix_nano=observed_ns,
        severity_number=number,  # type: ignore[arg-type] # the enum's members are ints
        severity_text=text,
        body=AnyValue(string_value=event.body),
        attributes=[KeyValue(key=key, value=_value(value)) for key, value in event.attributes.items()],
        flags=event.trace_flags,
        trace_id=event.trace_id.to_bytes(16, "big"),
        span_id=event.span_id.to_bytes(8, "big"),
        event_name=event.name,
    ).SerializeToString()


def _value(value: AttributeValue) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
