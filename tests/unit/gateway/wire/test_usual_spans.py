# SPDX-License-Identifier: Apache-2.0
"""What is read the short way is what would be read field by field; what the senders write is read the short way."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.messages import WireSpan, read_span
from agent_outcomes.gateway.wire.usual_spans import USUAL_MAX_BYTES, usual_span
from agent_outcomes.gateway.wire.values import ATTRIBUTES_MAX, KEY_MAX_BYTES
from tests.otlp_requests import UNKNOWN, a_span, changed_bytes, field, shuffled

pytestmark = pytest.mark.backends

RANDOMS = st.integers(0, 2**64).map(Random)
IDS = field(1, bytes(15) + b"t") + field(2, bytes(7) + b"s")


def agrees(encoded: bytes) -> bool:
    """Whether it was read the short way. Whatever was is as `read_span` has it: the same types in the same order."""
    found = usual_span(encoded)
    if found is None:
        return False
    assert repr(found) == repr(read_span(encoded))
    return True


@given(RANDOMS)
def test_any_span_is_read_alike(random: Random) -> None:
    """As the library writes it, in any order of fields, with unknown ones, and behind another one."""
    message = a_span(random)
    encoded = message.SerializeToString()
    agrees(encoded)
    agrees(shuffled(encoded, random, depth=1))
    agrees(encoded + a_span(random).SerializeToString())
    agrees(encoded + random.choice(UNKNOWN))


@given(RANDOMS)
@settings(max_examples=300)
def test_changed_spans_are_read_alike(random: Random) -> None:
    """What `read_span` refuses is never read the short way."""
    agrees(changed_bytes(a_span(random).SerializeToString(), random))


@given(st.binary(max_size=60), st.sampled_from((b"", IDS)))
@example(field(9, b"\x0b\x0c"), IDS)
@example(field(99, b"") + b"\x0b\x0c", IDS)
@example(field(4, b"short"), IDS)
@example(field(13, field(1, bytes(16))), IDS)
@example(field(9, field(1, b"k")), IDS)
@example(field(9, field(1, b"k") + field(2, field(1, b"\xff"))), IDS)
@example(field(5, b"\xed\xa0\x80"), IDS)
def test_any_bytes_are_read_alike(rest: bytes, ids: bytes) -> None:
    """Groups, ids of other lengths, links to nowhere, values without any, text that is none."""
    agrees(ids + rest)


KEY_VALUE = KeyValue(key="key", value=AnyValue(string_value="value"))


@pytest.mark.parametrize(
    "rest",
    [
        field(9, KEY_VALUE.SerializeToString()) * 2,
        field(9, KeyValue(key="key").SerializeToString()),
        field(9, KeyValue(key="k" * (KEY_MAX_BYTES + 1), value=AnyValue(int_value=1)).SerializeToString()),
        field(9, KeyValue(key="\u00fc" * (KEY_MAX_BYTES // 2 + 1), value=AnyValue(int_value=1)).SerializeToString()),
        b"".join(
            field(9, KeyValue(key=f"k{n}", value=AnyValue(int_value=n)).SerializeToString())
            for n in range(ATTRIBUTES_MAX + 1)
        ),
        field(5, b"n" * USUAL_MAX_BYTES),
        field(5, b"one") + field(5, b"two"),
        b"\x30\x00",
        b"\x30\x81\x00",
        b"".join(UNKNOWN),
    ],
    ids=[
        "key twice",
        "no value",
        "long key",
        "long key in UTF-8",
        "many",
        "long",
        "field twice",
        "zero",
        "padded",
        "?",
    ],
)
def test_what_is_bounded_or_ambiguous_is_left_to_the_long_way(rest: bytes) -> None:
    """Each of these the library would read otherwise, or without our limits."""
    assert usual_span(IDS + rest) is None
    assert isinstance(read_span(IDS + rest), WireSpan)


def test_what_the_sdk_sends_is_read_the_short_way() -> None:
    """Every type that the SDK takes for an attribute, events, links, a parent and a status."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("any")
    with (
        tracer.start_as_current_span("above", kind=SpanKind.SERVER) as above,
        tracer.start_as_current_span("below") as span,
    ):
        span.set_attributes({"text": "\u00fc", "flag": False, "count": -3, "part": 0.5, "none": ""})
        span.set_attribute("several", ("a", "b"))
        span.add_link(above.get_span_context(), {"why": "so"})
        span.record_exception(ValueError("no such thing"))
        span.set_status(StatusCode.ERROR, "failed")
    provider.shutdown()
    request = encode_spans(exporter.get_finished_spans())
    spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    assert [agrees(span.SerializeToString()) for span in spans] == [True, True]
    assert usual_span(spans[0].SerializeToString()) is not None


def test_nested_values_are_left_to_the_long_way() -> None:
    """Their depth is bounded there."""
    value = AnyValue(array_value=ArrayValue(values=[AnyValue(array_value=ArrayValue())]))
    span = Span(
        trace_id=bytes(15) + b"t", span_id=bytes(7) + b"s", attributes=[KeyValue(key="deep", value=value)]
    ).SerializeToString()
    assert usual_span(span) is None
    assert read_span(span).attributes == {"deep": ((),)}


@pytest.mark.parametrize("number", [1, 2], ids=["trace", "span"])
def test_a_span_without_an_id_is_not_usual(number: int) -> None:
    """And `read_span` says what is the matter."""
    encoded = field(number, b"\x01" * (16 if number == 1 else 8))
    assert usual_span(encoded) is None
    with pytest.raises(WireError):
        read_span(encoded)
