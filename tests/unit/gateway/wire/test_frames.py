# SPDX-License-Identifier: Apache-2.0
"""Requests are divided as Protobuf itself divides them, and bytes that are no request raise `WireError` only."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.fields import Budget, fields
from agent_outcomes.gateway.wire.frames import LogFrames, check_request, frame_logs, frame_traces
from tests.otlp_requests import a_log_request, a_trace_request, changed_bytes, field, shuffled

if TYPE_CHECKING:
    from agent_outcomes.gateway.wire.frames import ScopeFrames

pytestmark = pytest.mark.backends

RANDOMS = st.integers(0, 2**64).map(Random)
TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))


def is_sound(span: Span) -> bool:
    return any(span.trace_id) and any(span.span_id)


def has_odd_ids(span: Span) -> bool:
    return len(span.trace_id) not in {0, 16} or len(span.span_id) not in {0, 8}


def check_traces(request: ExportTraceServiceRequest, body: bytes) -> None:
    """The body, which Protobuf reads as that request, is framed so, or refused for an id that is none."""
    parts = [scope for part in request.resource_spans for scope in part.scope_spans]
    if any(has_odd_ids(span) for scope in parts for span in scope.spans):
        with pytest.raises(WireError, match="a trace id has 16"):
            frame_traces(body)
    else:
        check_frames(request, frame_traces(body))


def check_frames(request: ExportTraceServiceRequest, found: list[ScopeFrames]) -> None:
    scopes = [(part, scope) for part in request.resource_spans for scope in part.scope_spans if scope.spans]
    assert len(found) == len(scopes)
    for frames, (part, scope) in zip(found, scopes, strict=True):
        assert Resource.FromString(frames.resource) == part.resource
        assert InstrumentationScope.FromString(frames.scope) == scope.scope
        sound = [span for span in scope.spans if is_sound(span)]
        assert [Span.FromString(span.encoded) for span in frames.spans] == sound
        assert [(one.trace_id, one.span_id) for one in frames.spans] == [(one.trace_id, one.span_id) for one in sound]
        assert frames.rejected == len(scope.spans) - len(sound)


@given(RANDOMS)
def test_spans_are_those_of_the_request(random: Random) -> None:
    """Each scope's spans in order, with resource and scope; those whose ids are none are counted."""
    request = a_trace_request(random)
    check_traces(request, request.SerializeToString())


@given(RANDOMS)
def test_fields_may_stand_in_any_order(random: Random) -> None:
    """A request whose fields were written in another order, with unknown ones between, is the same request."""
    body = shuffled(a_trace_request(random).SerializeToString(), random, depth=4)
    check_traces(ExportTraceServiceRequest.FromString(body), body)


@given(RANDOMS)
def test_log_records_are_those_of_the_request(random: Random) -> None:
    """Each scope's records in order, with resource and scope."""
    request = a_log_request(random)
    assert frame_logs(request.SerializeToString()) == [
        LogFrames(
            part.resource.SerializeToString(),
            scope.scope.SerializeToString(),
            [record.SerializeToString() for record in scope.log_records],
        )
        for part in request.resource_logs
        for scope in part.scope_logs
        if scope.log_records
    ]


@given(RANDOMS)
def test_whatever_is_cut_off_is_refused_or_is_another_whole_request(random: Random) -> None:
    """Never more than Protobuf would read, and never another error."""
    body = a_trace_request(random).SerializeToString()
    cut = body[: random.randint(0, len(body))]
    try:
        expected = ExportTraceServiceRequest.FromString(cut)
    except DecodeError:
        with pytest.raises(WireError):
            frame_traces(cut)
    else:
        check_traces(expected, cut)


@given(RANDOMS)
@settings(max_examples=200)
def test_changed_bytes_raise_wire_errors_only(random: Random) -> None:
    """Bytes put in, taken out or changed anywhere: frames, or `WireError`."""
    changed = changed_bytes(random.choice((a_trace_request, a_log_request))(random).SerializeToString(), random)
    for read in (frame_traces, frame_logs, check_request):
        with suppress(WireError):
            read(changed)


@given(st.binary(max_size=60))
def test_any_bytes_raise_wire_errors_only(body: bytes) -> None:
    """Frames, or `WireError`."""
    for read in (frame_traces, frame_logs, check_request):
        with suppress(WireError):
            read(body)


def test_a_resource_that_comes_twice_is_merged() -> None:
    """As Protobuf merges a message field that is repeated."""
    one, other = Resource(), Resource()
    one.attributes.add(key="a").value.int_value = 1
    other.attributes.add(key="b").value.int_value = 2
    span = Span(trace_id=TRACE_ID, span_id=SPAN_ID).SerializeToString()
    part = field(1, one.SerializeToString()) + field(2, field(2, span)) + field(1, other.SerializeToString())
    (frames,) = frame_traces(field(1, part))
    assert [pair.key for pair in Resource.FromString(frames.resource).attributes] == ["a", "b"]


@pytest.mark.parametrize(
    ("trace_id", "span_id", "is_taken"),
    [
        (TRACE_ID, SPAN_ID, True),
        (b"", SPAN_ID, False),
        (TRACE_ID, b"", False),
        (bytes(16), SPAN_ID, False),
        (TRACE_ID, bytes(8), False),
    ],
)
@pytest.mark.parametrize("is_usual", [True, False])
def test_a_span_without_ids_is_rejected_by_itself(
    trace_id: bytes, span_id: bytes, *, is_taken: bool, is_usual: bool
) -> None:
    """The request's other spans are taken, wherever the ids stand."""
    ids = [field(1, trace_id), field(2, span_id)]
    name = field(5, b"name")
    encoded = b"".join([*ids, name] if is_usual else [name, *reversed(ids)])
    sound = Span(trace_id=TRACE_ID, span_id=b"87654321").SerializeToString()
    (frames,) = frame_traces(field(1, field(2, field(2, encoded) + field(2, sound))))
    assert [one.span_id for one in frames.spans] == [SPAN_ID, b"87654321"][not is_taken :]
    assert frames.rejected == (not is_taken)


@pytest.mark.parametrize("length", [1, 7, 9, 15, 17, 32, 200])
@pytest.mark.parametrize("is_trace_id", [True, False])
@pytest.mark.parametrize("is_usual", [True, False])
def test_an_id_of_another_length_is_no_request(length: int, *, is_trace_id: bool, is_usual: bool) -> None:
    """As the table of status codes has it, wherever the ids stand; the message holds nothing of them."""
    odd = b"\x42" * length
    ids = [field(1, odd if is_trace_id else TRACE_ID), field(2, SPAN_ID if is_trace_id else odd)]
    encoded = b"".join([*ids, field(5, b"name")] if is_usual else [field(5, b"name"), *reversed(ids)])
    with pytest.raises(WireError, match=rf"{length}.* bytes; a trace id has 16, a span id 8") as refused:
        frame_traces(field(1, field(2, field(2, encoded))))
    assert "BB" not in str(refused.value)


def test_more_spans_than_one_request_may_hold_are_too_many() -> None:
    """Over all scopes together, and also where nothing is in them."""
    part = field(2, field(2, b"") * 6)
    frame_traces(field(1, part) * 2, spans_max=12)
    with pytest.raises(TooMuchError, match="smaller batches"):
        frame_traces(field(1, part) * 2, spans_max=11)


@pytest.mark.parametrize("empty", [field(1, b""), field(1, field(2, b"")), field(7, b"")])
def test_empty_fields_without_number_are_too_many(empty: bytes) -> None:
    """Each costs time, however few bytes it takes."""
    with pytest.raises(TooMuchError, match="too many fields"):
        frame_traces(empty * 2_000_000)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b\x0c",
        b"\x02\x00",
        b"\x00\x00",
        b"\x0e",
        b"\x0f\x00",
        b"\x82\x80\x80\x80\x80\x01\x00",
        b"\x80",
        b"\x08\x80",
        b"\x09\x00",
        b"<html><body>hello</body></html>",
        b'{"resourceSpans": []}',
    ],
    ids=repr,
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    """Truncated, groups, no number, an unknown wire type, an overlong integer, another format."""
    for read in (frame_traces, frame_logs, check_request):
        with pytest.raises(WireError):
            read(body)


def test_nothing_is_an_empty_request() -> None:
    """As the specification asks for an empty request to be accepted."""
    assert frame_traces(b"") == []
    assert frame_logs(b"") == []


def test_a_field_of_another_wire_type_is_an_unknown_one() -> None:
    """As in Protobuf."""
    assert frame_traces(b"\x08\x01\x0d\x00\x00\x00\x00") == []
    assert list(fields(b"\x08\x96\x01", 0, 3, Budget(1))) == [(8, 150, 0)]
