# SPDX-License-Identifier: Apache-2.0
"""OTLP JSON: the specification's example, exact round trips, and malformed input that names its place."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, HistogramDataPoint, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from agent_outcomes.otlp.json_codec import from_otlp_json, to_otlp_json
from agent_outcomes.otlp.json_values import MAX_DEPTH

if TYPE_CHECKING:
    from google.protobuf.message import Message

TRACE_ID = bytes.fromhex("5b8efff798038103d269b633813fc60c")
SPAN_ID = bytes.fromhex("eee19b7ec3c1b174")
PARENT_ID = bytes.fromhex("eee19b7ec3c1b173")
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
UINT32 = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TRACE_IDS = st.binary(min_size=16, max_size=16)
SPAN_IDS = st.binary(min_size=8, max_size=8)


def _array(values: list[AnyValue]) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def _map(values: dict[str, AnyValue]) -> AnyValue:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


SCALARS = st.one_of(
    st.just(AnyValue()),
    TEXT.map(lambda text: AnyValue(string_value=text)),
    st.booleans().map(lambda flag: AnyValue(bool_value=flag)),
    INT64.map(lambda number: AnyValue(int_value=number)),
    st.floats(allow_nan=False).map(lambda number: AnyValue(double_value=number)),
    st.binary(max_size=20).map(lambda data: AnyValue(bytes_value=data)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(_array) | st.dictionaries(TEXT, inner, max_size=3).map(_map),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=4).map(
    lambda values: [KeyValue(key=key, value=value) for key, value in values.items()]
)
LINKS = st.builds(Span.Link, trace_id=TRACE_IDS, span_id=SPAN_IDS, trace_state=TEXT, attributes=ATTRIBUTES)
EVENTS = st.builds(Span.Event, time_unix_nano=UINT64, name=TEXT, attributes=ATTRIBUTES)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=SPAN_IDS,
    name=TEXT,
    kind=st.sampled_from(list(Span.SpanKind.values())),
    start_time_unix_nano=UINT64,
    flags=UINT32,
    attributes=ATTRIBUTES,
    dropped_attributes_count=UINT32,
    events=st.lists(EVENTS, max_size=2),
    links=st.lists(LINKS, max_size=2),
    status=st.builds(Status, message=TEXT, code=st.sampled_from(list(Status.StatusCode.values()))),
)
EXEMPLARS = st.builds(
    Exemplar, trace_id=TRACE_IDS, span_id=SPAN_IDS, as_int=INT64, time_unix_nano=UINT64, filtered_attributes=ATTRIBUTES
)
POINTS = st.builds(
    HistogramDataPoint,
    attributes=ATTRIBUTES,
    count=UINT64,
    sum=st.floats(allow_nan=False),
    bucket_counts=st.lists(UINT64, max_size=4),
    explicit_bounds=st.lists(st.floats(allow_nan=False), max_size=4),
    exemplars=st.lists(EXEMPLARS, max_size=2),
    min=st.just(0.0),
)


def _trace(span: Span) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(span)
    return request


def _fields_of_a_span(text: str) -> dict[str, object]:
    fields = json.loads(text)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert isinstance(fields, dict)
    return fields


def test_ids_are_hex_numbers_are_strings_and_enums_are_integers() -> None:
    """A span is written as the OTLP specification shows it."""
    span = Span(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=PARENT_ID,
        name="invoke_agent",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=1_544_712_660_000_000_000,
        attributes=[KeyValue(key="n", value=AnyValue(int_value=-5))],
        links=[Span.Link(trace_id=TRACE_ID, span_id=PARENT_ID)],
    )
    assert _fields_of_a_span(to_otlp_json(_trace(span))) == {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "eee19b7ec3c1b173",
        "name": "invoke_agent",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "attributes": [{"key": "n", "value": {"intValue": "-5"}}],
        "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b173"}],
    }


def test_zero_values_that_were_set_are_written() -> None:
    """A zero in a oneof or an optional field is not lost, nor is an empty value."""
    message = NumberDataPoint(as_int=0)
    message.attributes.add(key="empty").value.SetInParent()
    message.attributes.add(key="none").value.array_value.values.add()
    assert json.loads(to_otlp_json(message)) == {
        "asInt": "0",
        "attributes": [
            {"key": "empty", "value": {}},
            {"key": "none", "value": {"arrayValue": {"values": [{}]}}},
        ],
    }
    assert from_otlp_json(to_otlp_json(message), NumberDataPoint) == message


def test_bytes_that_are_no_id_stay_base64() -> None:
    """A bytes attribute is base64, plain, URL-safe or unpadded on input."""
    value = AnyValue(bytes_value=b"\xfb\xff\x00")
    assert to_otlp_json(value) == '{"bytesValue":"+/8A"}'
    for text in ("+/8A", "-_8A"):
        assert from_otlp_json(json.dumps({"bytesValue": text}), AnyValue) == value
    assert from_otlp_json('{"bytesValue":"AA"}', AnyValue).bytes_value == b"\x00"


def test_the_text_is_one_line_for_every_reader() -> None:
    """Line separators inside user text do not end the line."""
    value = AnyValue(string_value="a\nb\u2028c\x85d\x1ee")
    text = to_otlp_json(value)
    assert len(text.splitlines()) == 1
    assert from_otlp_json(text, AnyValue) == value


@pytest.mark.parametrize("number", [math.inf, -math.inf, -0.0, 5e-324, 0.1, 1e308])
def test_doubles_keep_every_bit(number: float) -> None:
    """Doubles come back bit for bit, infinities as the strings that protobuf JSON uses."""
    point = NumberDataPoint(as_double=number)
    again = from_otlp_json(to_otlp_json(point), NumberDataPoint)
    assert again.SerializeToString() == point.SerializeToString()


def test_nan_comes_back_as_nan() -> None:
    """NaN is the string NaN."""
    text = to_otlp_json(NumberDataPoint(as_double=math.nan))
    assert text == '{"asDouble":"NaN"}'
    assert math.isnan(from_otlp_json(text, NumberDataPoint).as_double)


@given(SPANS)
def test_any_span_round_trips(span: Span) -> None:
    """Whatever a span holds comes back equal, in a request and in the file format's message."""
    request = _trace(span)
    text = to_otlp_json(request)
    assert from_otlp_json(text, ExportTraceServiceRequest) == request
    assert from_otlp_json(text, TracesData).resource_spans == request.resource_spans
    assert _fields_of_a_span(text)["traceId"] == span.trace_id.hex()


@given(TRACE_IDS, SPAN_IDS, VALUES, ATTRIBUTES, UINT64)
def test_any_log_record_round_trips(
    trace_id: bytes, span_id: bytes, body: AnyValue, attributes: list[KeyValue], time: int
) -> None:
    """Whatever a log record holds comes back equal."""
    record = LogRecord(
        trace_id=trace_id,
        span_id=span_id,
        body=body,
        attributes=attributes,
        time_unix_nano=time,
        severity_number=SEVERITY_NUMBER_INFO,
    )
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.append(record)
    assert from_otlp_json(to_otlp_json(request), ExportLogsServiceRequest) == request
    assert from_otlp_json(to_otlp_json(request), LogsData).resource_logs == request.resource_logs


@given(POINTS)
def test_any_histogram_point_round_trips(point: HistogramDataPoint) -> None:
    """Whatever a histogram point holds comes back equal, exemplar ids in hex."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="agent.run.duration", unit="s")
    metric.histogram.data_points.append(point)
    text = to_otlp_json(request)
    assert from_otlp_json(text, ExportMetricsServiceRequest) == request
    assert all(exemplar.trace_id.hex() in text for exemplar in point.exemplars)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_is_a_message_or_a_value_error(document: object) -> None:
    """No JSON at any place of a request raises anything but ValueError."""
    for text in (
        json.dumps(document),
        json.dumps({"resourceSpans": document}),
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": document, "traceId": document}]}]}]}),
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": document, "flags": document}]}]}]}),
    ):
        try:
            from_otlp_json(text, ExportTraceServiceRequest)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - both ways out are allowed


def test_what_other_writers_send_is_read() -> None:
    """Unknown fields, nulls, upper-case ids, numbers for strings and enum names are taken."""
    text = json.dumps({
        "traceId": TRACE_ID.hex().upper(),
        "startTimeUnixNano": 1_544_712_660_000_000_000,
        "endTimeUnixNano": 1e3,
        "kind": "SPAN_KIND_CLIENT",
        "status": {"code": "2", "later": 1},
        "links": None,
        "trace_state": "snake case is no OTLP key",
        "unheardOf": {"deep": [1, 2]},
    })  # fmt: skip
    assert from_otlp_json(text.encode(), Span) == Span(
        trace_id=TRACE_ID,
        start_time_unix_nano=1_544_712_660_000_000_000,
        end_time_unix_nano=1000,
        kind=Span.SPAN_KIND_CLIENT,
        status=Status(code=Status.STATUS_CODE_ERROR),
    )


@pytest.mark.parametrize(
    ("message_type", "text", "path"),
    [
        (Span, "", "$: not JSON"),
        (Span, b"\xff", "$: not JSON"),
        (Span, "[" * 100_000, "$: JSON nested too deeply"),
        (Span, "[]", "$: expected an object, found list"),
        (Span, "NaN", "$: not JSON: NaN"),
        (Span, '{"name":"a","name":"a"}', "$: name is given twice"),
        (Span, '{"unknown":{"x":1,"\\u0078":2}}', "$: x is given twice"),
        (Span, '{"a b":1,"a b":1}', "$: a name is given twice"),
        (AnyValue, '{"doubleValue":1,"doubleValue":2}', "$: doubleValue is given twice"),
        (Span, '{"traceId":"xyz"}', "traceId: expected an id in hex, found 'xyz'"),
        (Span, '{"traceId":"ab "}', "traceId: expected an id in hex"),
        (Span, '{"traceId":7}', "traceId: expected a string"),
        (Span, '{"name":"\\ud800"}', "name: UnicodeEncodeError"),
        (Span, '{"kind":"SPAN_KIND_NONE"}', "kind: expected an enum's number"),
        (Span, '{"kind":99999999999}', "kind: "),
        (Span, '{"kind":true}', "kind: expected an integer"),
        (Span, '{"flags":-1}', "flags: "),
        (Span, '{"startTimeUnixNano":"1.5"}', "startTimeUnixNano: expected an integer"),
        (Span, '{"startTimeUnixNano":1e30}', "startTimeUnixNano: expected an integer"),
        (Span, '{"startTimeUnixNano":"18446744073709551616"}', "startTimeUnixNano: "),
        (Span, '{"links":{}}', "links: expected an array, found dict"),
        (Span, '{"links":[{},null]}', "links[1]: expected an object, found None"),
        (Span, '{"links":[{"attributes":[{"value":{"boolValue":1}}]}]}', "links[0].attributes[0].value.boolValue: "),
        (AnyValue, '{"stringValue":"a","intValue":"1"}', "intValue: a second member of the oneof"),
        (AnyValue, '{"bytesValue":"*"}', "bytesValue: expected base64"),
        (AnyValue, '{"doubleValue":"1_0"}', "doubleValue: expected a number, found '1_0'"),
        (AnyValue, '{"doubleValue":"nan"}', "doubleValue: expected a number"),
        (AnyValue, '{"doubleValue":1e999}', "doubleValue: expected a number in the range"),
        (AnyValue, '{"doubleValue":' + "9" * 400 + "}", "doubleValue: expected a number in the range"),
        (HistogramDataPoint, '{"bucketCounts":["1","-1"]}', "bucketCounts[1]: "),
    ],
)
def test_malformed_input_names_its_place(message_type: type[Message], text: str | bytes, path: str) -> None:
    """Malformed input raises ValueError that begins with the path of the fault."""
    with pytest.raises(ValueError, match=f"^{re.escape(path)}"):
        from_otlp_json(text, message_type)


def _nested(levels: int) -> AnyValue:
    outermost = AnyValue()
    value = outermost
    for _ in range(levels):
        value = value.array_value.values.add()
    value.string_value = "core"
    return outermost


def test_depth_is_that_of_binary_otlp() -> None:
    """The deepest message that binary OTLP can carry round trips; one level more is refused in both directions."""
    value = _nested(MAX_DEPTH // 2)
    assert AnyValue.FromString(value.SerializeToString()) == value
    text = to_otlp_json(value)
    assert from_otlp_json(text, AnyValue) == value
    with pytest.raises(ValueError, match=r"values\[0\]\.arrayValue: messages nested deeper than 100"):
        from_otlp_json('{"arrayValue":{"values":[' + text + "]}}", AnyValue)
    with pytest.raises(ValueError, match=r"values\.arrayValue: messages nested deeper than 100"):
        to_otlp_json(_nested(MAX_DEPTH // 2 + 1))
