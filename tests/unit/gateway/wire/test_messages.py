# SPDX-License-Identifier: Apache-2.0
"""Spans, log records, resources and scopes are read as Protobuf reads them, within bounds."""

from __future__ import annotations

import math
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agent_outcomes.gateway.wire.errors import TooMuchError, WireError
from agent_outcomes.gateway.wire.fields import Budget
from agent_outcomes.gateway.wire.messages import (
    WireEvent,
    WireLink,
    WireLogRecord,
    WireSpan,
    read_log_record,
    read_resource,
    read_scope,
    read_span,
)
from agent_outcomes.gateway.wire.values import (
    ATTRIBUTES_MAX,
    KEY_MAX_BYTES,
    TOO_DEEP,
    VALUE_MAX_BYTES,
    WireAttributes,
    read_value,
)
from tests.otlp_requests import (
    UNKNOWN,
    a_log_record,
    a_resource,
    a_scope,
    a_span,
    a_value,
    changed_bytes,
    field,
    shuffled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
pytestmark = pytest.mark.backends

RANDOMS = st.integers(0, 2**64).map(Random)
FIELDS = 100_000


def value_of(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(value_of(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    last = {pair.key: pair.value for pair in pairs}
    return {key: value_of(value) for key, value in last.items() if value.WhichOneof("value") is not None}


def as_read(message: Span) -> WireSpan:
    return WireSpan(
        message.trace_id,
        message.span_id,
        message.parent_span_id,
        message.trace_state,
        message.flags,
        message.name,
        message.kind,
        message.start_time_unix_nano,
        message.end_time_unix_nano,
        attributes_of(message.attributes),
        message.dropped_attributes_count,
        tuple(WireEvent(one.name, one.time_unix_nano, attributes_of(one.attributes)) for one in message.events),
        tuple(WireLink(one.trace_id, one.span_id, attributes_of(one.attributes)) for one in message.links),
        message.status.code,
        message.status.message,
    )


def same(one: object, other: object) -> bool:
    """Equal, and of the same types: `1`, `1.0` and `True` are three values."""
    return repr(one) == repr(other)


@given(RANDOMS)
def test_a_span_is_read_whole(random: Random) -> None:
    """Every field, every kind of value."""
    message = a_span(random)
    assert sorted_repr(read_span(message.SerializeToString())) == sorted_repr(as_read(message))


def sorted_repr(span: WireSpan) -> str:
    """By their keys, as a key that comes twice may stand in either place."""
    return repr(span._replace(attributes={}, events=(), links=())) + repr(
        [
            sorted(map(repr, one.items()))
            for one in (
                span.attributes,
                *(e.attributes for e in span.events),
                *(each.attributes for each in span.links),
            )
        ]
    )


@given(RANDOMS)
def test_a_span_in_any_order_of_fields_is_the_same(random: Random) -> None:
    """And what no one knows is passed over."""
    encoded = a_span(random).SerializeToString()
    assert read_span(shuffled(encoded, random, depth=1)) == read_span(encoded)


@given(RANDOMS)
def test_a_field_that_comes_again_replaces_or_joins(random: Random) -> None:
    """As Protobuf merges two messages written one behind the other; only ids may not come again."""
    one, other = a_span(random), a_span(random)
    other.ClearField("trace_id")
    other.ClearField("span_id")
    other.ClearField("parent_span_id")
    both = one.SerializeToString() + other.SerializeToString()
    assert sorted_repr(read_span(both)) == sorted_repr(as_read(Span.FromString(both)))


@given(RANDOMS)
def test_a_log_record_is_read_whole(random: Random) -> None:
    """Every field, every kind of body."""
    message = a_log_record(random)
    expected = WireLogRecord(
        message.event_name,
        message.time_unix_nano,
        message.observed_time_unix_nano,
        message.trace_id,
        message.span_id,
        message.flags,
        value_of(message.body),
        attributes_of(message.attributes),
        message.dropped_attributes_count,
    )
    assert read_log_record(message.SerializeToString()) == expected


@given(RANDOMS)
def test_resource_and_scope_are_read(random: Random) -> None:
    """WireAttributes of the one, name and version of the other."""
    resource, scope = a_resource(random), a_scope(random)
    assert read_resource(resource.SerializeToString()) == attributes_of(resource.attributes)
    assert read_scope(scope.SerializeToString()) == (scope.name, scope.version)
    assert read_resource(b"") == {}
    assert read_scope(b"") == ("", "")


@given(RANDOMS)
def test_a_value_keeps_its_type(random: Random) -> None:
    """Also within arrays and maps."""
    message = a_value(random)
    assert same(read_value(message.SerializeToString(), Budget(FIELDS)), value_of(message))


def test_a_value_that_is_not_a_number_is_read() -> None:
    """As it is."""
    value = read_value(AnyValue(double_value=math.nan).SerializeToString(), Budget(9))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_of_several_values_the_last_counts() -> None:
    """And arrays are joined only where nothing else came between, as in Protobuf."""
    one, other = AnyValue(), AnyValue()
    one.array_value.values.add(int_value=1)
    other.array_value.values.add(int_value=2)
    first, second = one.SerializeToString(), other.SerializeToString()
    text = AnyValue(string_value="x").SerializeToString()
    for written in (first + second, first + text + second, first + text, text + first):
        assert read_value(written, Budget(99)) == value_of(AnyValue.FromString(written))


@given(RANDOMS)
@settings(max_examples=200)
def test_changed_bytes_raise_wire_errors_only(random: Random) -> None:
    """A message, or `WireError`, and nothing else."""
    encoded = random.choice((a_span, a_log_record, a_resource, a_scope, a_value))(random).SerializeToString()
    changed = changed_bytes(encoded, random)
    for read in (read_span, read_log_record, read_resource, read_scope):
        with suppress(WireError):
            read(changed)
    with suppress(WireError):
        read_value(changed, Budget(FIELDS))


@given(st.binary(max_size=80))
def test_any_bytes_raise_wire_errors_only(encoded: bytes) -> None:
    """A message, or `WireError`, and nothing else."""
    for read in (read_span, read_log_record, read_resource, read_scope):
        with suppress(WireError):
            read(encoded)


def span_with(*pairs: tuple[str, AnyValue], dropped: int = 0) -> bytes:
    return Span(
        trace_id=bytes(15) + b"t",
        span_id=bytes(7) + b"s",
        attributes=[KeyValue(key=key, value=value) for key, value in pairs],
        dropped_attributes_count=dropped,
    ).SerializeToString()


def read_with(*pairs: tuple[str, AnyValue], dropped: int = 0) -> tuple[WireAttributes, int]:
    span = read_span(span_with(*pairs, dropped=dropped))
    return span.attributes, span.dropped_attributes


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u4e2d", "\U0001f600"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_text_is_cut_between_characters(character: str, shift: int) -> None:
    """And counted as dropped, besides those that its process dropped."""
    text = "x" * shift + character * VALUE_MAX_BYTES
    read, dropped = read_with(("long", AnyValue(string_value=text)), ("short", AnyValue(int_value=1)), dropped=7)
    cut = read["long"]
    assert isinstance(cut, str)
    assert text.startswith(cut)
    assert VALUE_MAX_BYTES - 4 < len(cut.encode()) <= VALUE_MAX_BYTES
    assert read["short"] == 1
    assert dropped == 8


def test_long_bytes_and_arrays_are_cut() -> None:
    """An array to the items that are whole within the bound."""
    array, deep = AnyValue(), AnyValue()
    for number in range(100):
        array.array_value.values.add(string_value=f"{number}" * 5_000)
    deep.array_value.values.add().CopyFrom(array)
    deep.array_value.values.add(string_value="last")
    read, dropped = read_with(
        ("bytes", AnyValue(bytes_value=bytes(2 * VALUE_MAX_BYTES))), ("array", array), ("deep", deep)
    )
    items = read["array"]
    assert isinstance(items, tuple)
    assert 10 < len(items) < 30
    assert all(item == f"{number}" * 5_000 for number, item in enumerate(items))
    assert read["bytes"] == bytes(VALUE_MAX_BYTES)
    assert read["deep"] == ()
    assert dropped == 3


def test_of_too_many_attributes_the_last_are_kept() -> None:
    """As by the SDK, as what says how it ended is set at the end."""
    pairs = [(f"k{number}", AnyValue(int_value=number)) for number in range(ATTRIBUTES_MAX + 5)]
    read, dropped = read_with(*pairs)
    assert read == {f"k{number}": number for number in range(5, ATTRIBUTES_MAX + 5)}
    assert dropped == 5


def test_a_long_key_is_left_out() -> None:
    """With its value, and counted."""
    pairs = [("k" * KEY_MAX_BYTES, AnyValue(int_value=1)), ("k" * (KEY_MAX_BYTES + 1), AnyValue(int_value=2))]
    assert read_with(*pairs) == ({"k" * KEY_MAX_BYTES: 1}, 1)


def test_what_is_nested_too_deep_is_left_out() -> None:
    """However deep it is, the rest of the span is read."""
    encoded = AnyValue(int_value=1).SerializeToString()
    for _ in range(3_000):
        encoded = field(5, field(1, encoded))
    span = span_with(("after", AnyValue(int_value=2))) + field(9, field(1, b"deep") + field(2, encoded))
    value = read_span(span).attributes["deep"]
    depth = 0
    while isinstance(value, tuple):
        (value,) = value
        depth += 1
    assert (value, depth) == (TOO_DEEP, 33)


def test_text_that_is_no_utf8_is_replaced() -> None:
    """An SDK that cuts text between bytes loses no span."""
    span = span_with() + field(5, b"na\xffme\xe4\xb8")
    assert read_span(span).name == "na\ufffdme\ufffd"


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2])
def test_ids_of_another_length_or_twice_are_no_span(number: int, count: int) -> None:
    """A frame's ids are then not those of the span."""
    wrong = field(number, b"1234567" if count == 1 else b"12345678") * count
    ids = [field(1, b"t" * 16), field(2, b"s" * 8), field(4, b"p" * 8)]
    ids[{1: 0, 2: 1, 4: 2}[number]] = wrong
    with pytest.raises(WireError, match="id of other than"):
        read_span(b"".join(ids))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_span_without_ids_is_none(missing: int) -> None:
    """Whether an id is missing or zero."""
    for none in (b"", bytes(16 if missing == 1 else 8)):
        ids = {1: b"t" * 16, 2: b"s" * 8, missing: none}
        with pytest.raises(WireError, match="without ids"):
            read_span(b"".join(field(number, one) for number, one in ids.items()))


def test_a_parent_of_zeros_is_none_and_a_link_of_zeros_leads_nowhere() -> None:
    """As some SDKs write what they have not."""
    link = Span.Link(trace_id=bytes(16), span_id=b"12345678")
    span = read_span(span_with() + field(4, bytes(8)) + field(13, link.SerializeToString()))
    assert (span.parent_id, span.links) == (b"", ())


@pytest.mark.parametrize("tiny", [field(11, b""), field(9, b""), field(9, field(2, field(5, b""))), *UNKNOWN])
def test_a_span_of_many_tiny_parts_is_too_much(tiny: bytes) -> None:
    """Each part costs memory, however few bytes it takes."""
    with pytest.raises(TooMuchError):
        read_span(span_with() + tiny * 300_000)


def test_status_and_scope_default_to_nothing() -> None:
    """A span of ids alone."""
    assert read_span(span_with()) == WireSpan(bytes(15) + b"t", bytes(7) + b"s")
    status = Status(code=Status.STATUS_CODE_ERROR, message="no").SerializeToString()
    span = read_span(span_with() + field(15, status))
    assert (span.status_code, span.status_message) == (2, "no")
    assert read_scope(InstrumentationScope(name="n").SerializeToString()) == ("n", "")
    assert read_resource(Resource(dropped_attributes_count=3).SerializeToString()) == {}


def test_a_log_record_with_a_wrong_id_is_none() -> None:
    """An id may be missing, but not be of another length."""
    with pytest.raises(WireError):
        read_log_record(LogRecord(trace_id=b"short").SerializeToString())
