# SPDX-License-Identifier: Apache-2.0
"""What is encoded here is what the SDK's exporter encodes, for every case of the table and for values of all kinds."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as Message
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from agent_outcomes.otlp.encoding import (
    encoded_event,
    encoded_record,
    encoded_resource,
    encoded_scope,
    length,
    logs_request,
    put_value,
    resource_logs,
)
from agent_outcomes.record.record import Event, record
from agent_outcomes.run.normalize import normalize
from tests.cases import Case, load_cases, pure_input

CASES = [case for case in load_cases() if not case.span.children and case.expected.emits]
OBSERVED_NS = 1_700_000_000_999_999_999
RESOURCE = Resource(
    {"service.name": "support", "host.cpus": 4, "tags": ("a", "b"), "ratio": 0.5, "test": True}, "https://s"
)
SCOPE = InstrumentationScope("agent_outcomes", "1.2", attributes={"unit": "run"})


def sdk_record(event: Event) -> ReadableLogRecord:
    span = NonRecordingSpan(
        SpanContext(event.trace_id, event.span_id, is_remote=False, trace_flags=TraceFlags(event.trace_flags))
    )
    return ReadableLogRecord(
        LogRecord(
            timestamp=event.timestamp_ns,
            observed_timestamp=OBSERVED_NS,
            context=set_span_in_context(span),
            severity_number=SeverityNumber(event.severity[0]),
            severity_text=event.severity[1],
            body=event.body,
            attributes=event.attributes,
            event_name=event.name,
        ),
        RESOURCE,
        SCOPE,
    )


def request(records: list[bytes]) -> ExportLogsServiceRequest:
    resource = encoded_resource(RESOURCE.attributes)
    scope = encoded_scope(SCOPE.name, SCOPE.version, SCOPE.attributes)
    return ExportLogsServiceRequest.FromString(
        logs_request([resource_logs(resource, scope, records, RESOURCE.schema_url)])
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_is_encoded_as_the_sdk_does(case: Case) -> None:
    """The whole request, field by field."""
    event = record(*normalize(*pure_input(case))).event
    assert request([encoded_event(event, OBSERVED_NS)]) == encode_logs([sdk_record(event)])


def test_a_batch_is_encoded_as_the_sdk_does() -> None:
    """Many records of one resource, in order."""
    events = [record(*normalize(*pure_input(case))).event for case in CASES]
    ours = request([encoded_event(event, OBSERVED_NS) for event in events])
    assert ours == encode_logs([sdk_record(event) for event in events])


def test_resources_stay_apart() -> None:
    """Each part has its own resource; an empty request is no bytes."""
    parts = [resource_logs(encoded_resource({"service.name": name}), b"", [b"\x1a\x01x"] * 3) for name in "ab"]
    sent = ExportLogsServiceRequest.FromString(logs_request(parts))
    assert [one.resource.attributes[0].value.string_value for one in sent.resource_logs] == ["a", "b"]
    assert [len(one.scope_logs[0].log_records) for one in sent.resource_logs] == [3, 3]
    assert logs_request([]) == b""


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ("\ud800 x", "string_value", "? x"),
        (2**63, "string_value", str(2**63)),
        (-(2**63), "int_value", -(2**63)),
        (Colour.RED, "string_value", "red"),
        (Level.LOW, "int_value", 1),
        (True, "bool_value", True),
        (b"\xff", "bytes_value", b"\xff"),
        (1 + 2j, "string_value", "(1+2j)"),
        (None, None, None),
    ],
)
def test_a_value_that_the_sdk_refuses_or_changes(value: object, field: str | None, expected: object) -> None:
    """It is written as what comes nearest, and takes no other with it."""
    message = AnyValue()
    put_value(message, value)
    assert message.WhichOneof("value") == field
    assert field is None or getattr(message, field) == expected


def test_a_key_that_utf8_cannot_hold() -> None:
    """It is replaced, and the attributes beside it stay."""
    encoded = encoded_record(
        trace_id=0, span_id=0, trace_flags=0, timestamp_ns=-1, observed_ns=0, severity=(9, "\ud800"), body=None,
        attributes={"a": 1, "\ud800": 2, "c": 3}, name="n",
    )  # fmt: skip
    assert [(one.key, one.value.int_value) for one in Message.FromString(encoded).attributes] == [
        ("a", 1), ("?", 2), ("c", 3),
    ]  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters()), VALUES, max_size=10))
def test_any_value_can_be_encoded_and_read(attributes: dict[str, Any]) -> None:
    """Nothing raises, and each attribute is there."""
    encoded = encoded_record(
        trace_id=1, span_id=1, trace_flags=1, timestamp_ns=1, observed_ns=1, severity=(9, "INFO"), body=attributes,
        attributes=attributes, name="n",
    )  # fmt: skip
    assert len(request([encoded]).resource_logs[0].scope_logs[0].log_records[0].attributes) == len(attributes)


def test_a_value_that_is_nested_without_end() -> None:
    """It ends at a depth that receivers can read."""
    endless: list[Any] = []
    endless.append(endless)
    message = AnyValue()
    put_value(message, endless)
    assert AnyValue.FromString(message.SerializeToString()) == message


@pytest.mark.parametrize(("number", "expected"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_length(number: int, expected: bytes) -> None:
    """As Protobuf's encoding says."""
    assert length(number) == expected
