# SPDX-License-Identifier: Apache-2.0
"""JSON encoded at once is what the message it describes encodes to, and the same texts are refused."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.otlp.json_codec import from_otlp_json, to_otlp_json
from agent_outcomes.otlp.json_encoding import encoded_from_otlp_json
from agent_outcomes.otlp.json_values import MAX_DEPTH
from tests.otlp_requests import a_log_request, a_trace_request, a_value

if TYPE_CHECKING:
    from google.protobuf.message import Message

RANDOMS = st.integers(0, 2**64).map(Random)


def again(message: Message) -> Message:
    kind = type(message)
    return kind.FromString(encoded_from_otlp_json(to_otlp_json(message), kind))


@given(RANDOMS)
@settings(max_examples=60)
def test_every_request_is_encoded(random: Random) -> None:
    """Whatever kinds of values it has."""
    for message in (a_trace_request(random), a_log_request(random), a_value(random)):
        assert again(message) == message


def test_metrics_are_encoded() -> None:
    """With numbers of every kind: packed, zigzag, fixed, signed."""
    number = NumberDataPoint(as_int=-5, time_unix_nano=2**64 - 1, flags=2**32 - 1)
    histogram = HistogramDataPoint(count=2**63, sum=-0.5, bucket_counts=[0, 1, 2**40], explicit_bounds=[0.1, -1e300])
    exponential = ExponentialHistogramDataPoint(scale=-20, zero_count=3)
    exponential.positive.offset = -(2**31)
    exponential.positive.bucket_counts.extend([0, 5, 2**64 - 1])
    exponential.negative.offset = 2**31 - 1
    metric = Metric(name="m")
    metric.sum.data_points.append(number)
    metric.sum.aggregation_temporality = 2  # type: ignore[assignment] # an enum's number
    metric.sum.is_monotonic = True
    other = Metric(name="h")
    other.histogram.data_points.append(histogram)
    third = Metric(name="e")
    third.exponential_histogram.data_points.append(exponential)
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend([metric, other, third])
    assert again(request) == request


MALFORMED: list[tuple[type[Message], Any]] = [
    (Span, {"traceId": "0"}),
    (Span, {"traceId": "xy"}),
    (Span, {"traceId": 5}),
    (Span, {"name": 5}),
    (Span, {"kind": "NO_SUCH_KIND"}),
    (Span, {"kind": 2**31}),
    (Span, {"kind": -(2**31) - 1}),
    (Span, {"flags": -1}),
    (Span, {"flags": 2**32}),
    (Span, {"startTimeUnixNano": -1}),
    (Span, {"startTimeUnixNano": str(2**64)}),
    (Span, {"startTimeUnixNano": "1e9"}),
    (Span, {"startTimeUnixNano": 1.5}),
    (Span, {"attributes": {}}),
    (Span, {"attributes": [5]}),
    (Span, {"attributes": [{}, {"value": {"intValue": True}}]}),
    (Span, {"status": []}),
    (AnyValue, {"stringValue": "a", "intValue": 1}),
    (AnyValue, {"intValue": str(2**63)}),
    (AnyValue, {"doubleValue": "nan"}),
    (AnyValue, {"bytesValue": "%%%"}),
    (AnyValue, {"boolValue": 1}),
    (ExportTraceServiceRequest, []),
    (ExportTraceServiceRequest, {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": []}]}]}]}),
    (ExportLogsServiceRequest, 5),
]


@pytest.mark.parametrize(("kind", "value"), MALFORMED, ids=lambda value: str(value)[:60])
def test_the_same_texts_are_refused_at_the_same_place(kind: type[Message], value: Any) -> None:
    """As by the reading that makes messages."""
    text = json.dumps(value)
    with pytest.raises(ValueError, match=r".") as expected:
        from_otlp_json(text, kind)
    with pytest.raises(ValueError, match=r".") as raised:
        encoded_from_otlp_json(text, kind)
    assert str(raised.value).partition(":")[0] == str(expected.value).partition(":")[0]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match="JSON"):
        encoded_from_otlp_json(text, ExportTraceServiceRequest)


def test_what_is_nested_too_deep_is_refused() -> None:
    """As it could not be read again."""
    deep: Any = {"intValue": 1}
    for _ in range(MAX_DEPTH):
        deep = {"arrayValue": {"values": [deep]}}
    with pytest.raises(ValueError, match="nested deeper"):
        encoded_from_otlp_json(json.dumps(deep), AnyValue)


@pytest.mark.parametrize("value", [{}, {"kind": "SPAN_KIND_SERVER", "name": None}, {"kind": "2", "other": [1, {}]}])
def test_what_others_write_is_taken(value: Any) -> None:
    """Enums by name, `null`, fields that are not known."""
    text = json.dumps(value)
    assert Span.FromString(encoded_from_otlp_json(text, Span)) == from_otlp_json(text, Span)


def test_a_fault_is_found_in_a_long_list() -> None:
    """At its own place."""
    values: list[Any] = [{"intValue": number} for number in range(9_000)]
    text = json.dumps({"arrayValue": {"values": values}})
    assert AnyValue.FromString(encoded_from_otlp_json(text, AnyValue)) == from_otlp_json(text, AnyValue)
    values[8_500] = 5
    with pytest.raises(ValueError, match=r"values\[8500\]"):
        encoded_from_otlp_json(json.dumps({"arrayValue": {"values": values}}), AnyValue)


def test_text_that_was_cut_within_a_character_is_taken() -> None:
    """JavaScript cuts between the halves of one, which JSON can say and UTF-8 cannot."""
    assert Span.FromString(encoded_from_otlp_json('{"name": "a\\ud83d"}', Span)).name == "a?"
