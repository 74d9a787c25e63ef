# SPDX-License-Identifier: Apache-2.0
"""Each status that OTLP over gRPC has, with the details that a sender acts on."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.gateway.receiver.authorizing import Refusal
from agent_outcomes.gateway.receiver.grpc_server import SERVICES, start_grpc
from agent_outcomes.gateway.settings import LOOPBACK, Address, ReceiverLimits
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Packing
from agent_outcomes.otel_variables import OtlpSignal
from tests.gateway_receiver import KeepingIntake, Listeners, anybody, listening, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.backends

SMALL = ReceiverLimits(body_max_bytes=20_000, inflated_max_bytes=40_000)
TRACES = SERVICES[OtlpSignal.TRACES]
UNLIMITED = [("grpc.max_send_message_length", -1)]


def request_of(count: int, name: str = "chat", trace_id: bytes = b"0123456789abcdef") -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(1, count + 1):
        scope.spans.append(Span(trace_id=trace_id, span_id=number.to_bytes(8, "big"), name=name))
    return request.SerializeToString()


@contextmanager
def method(found: Listeners, path: str = f"/{TRACES}/Export") -> Iterator[Any]:
    """A method that takes and gives bytes."""
    with grpc.insecure_channel(found.target, UNLIMITED) as channel:
        yield channel.unary_unary(path)


def call(
    found: Listeners,
    body: bytes,
    path: str = f"/{TRACES}/Export",
    compression: grpc.Compression | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    with method(found, path) as export:
        answer: bytes = export(body, timeout=30, compression=compression, metadata=tuple((metadata or {}).items()))
        return answer


def refusal(found: Listeners, body: bytes, **keywords: Any) -> tuple[grpc.StatusCode, str, float | None]:
    """The status, its words and when to send again; the details must say the same."""
    with pytest.raises(grpc.RpcError) as raised:
        call(found, body, **keywords)
    error: Any = raised.value
    trailing = dict(error.trailing_metadata() or ())
    details = trailing.get("grpc-status-details-bin")
    if details is None:
        return error.code(), error.details(), None
    status = Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    wait_s = None
    for one in status.details:
        info = RetryInfo()
        assert one.Unpack(info)
        wait_s = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return error.code(), error.details(), wait_s


@pytest.mark.parametrize("signal", OtlpSignal)
def test_a_request_is_taken(listeners: Listeners, signal: OtlpSignal) -> None:
    """An empty response; also of an empty request."""
    for body in (request_of(3), b""):
        assert call(listeners, body, f"/{SERVICES[signal]}/Export") == b""
        taken = listeners.intake.requests[-1]
        assert (taken.signal, taken.body, taken.packed, taken.packing) == (signal, body, body, Packing.IDENTITY)


@pytest.mark.parametrize("count", [1, 2_000])
def test_a_compressed_request_is_taken(listeners: Listeners, count: int) -> None:
    """Inflated by us, and handed on as it came where it can be kept so."""
    body = request_of(count)
    call(listeners, body, compression=grpc.Compression.Gzip)
    taken = listeners.intake.requests[-1]
    assert taken.body == body
    if taken.packing is Packing.GZIP:  # gRPC sends as it is what compression makes no smaller
        assert gzip.decompress(taken.packed) == body
    assert (taken.packing is Packing.GZIP) == (count > 1)
    call(listeners, body, compression=grpc.Compression.Deflate)
    taken = listeners.intake.requests[-1]
    assert (taken.body, taken.packed, taken.packing) == (body, body, Packing.IDENTITY)


def test_spans_without_ids_are_a_partial_success(listeners: Listeners) -> None:
    """And no error, so that nothing is sent again."""
    partial = ExportTraceServiceResponse.FromString(
        call(listeners, request_of(3, trace_id=bytes(16)) + request_of(2))
    ).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "spans without ids")


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05ab",
        b"\xff",
        b"{}",
        gzip.compress(b"x", mtime=0)[:-2],
        zlib.compress(b"x")[:-2],
        b"\x1f\x8b",
        request_of(2, trace_id=b"short"),
    ],
)
def test_what_cannot_be_read_is_an_invalid_argument(listeners: Listeners, body: bytes) -> None:
    """The sender drops it."""
    code, words, wait_s = refusal(listeners, body)
    assert (code, bool(words), wait_s) == (grpc.StatusCode.INVALID_ARGUMENT, True, None)


@pytest.mark.parametrize(
    "path",
    ["/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", f"/{TRACES}/Import", "/x/y"],
)
def test_another_method_is_not_implemented(listeners: Listeners, path: str) -> None:
    """The sender drops it."""
    assert refusal(listeners, b"", path=path)[0] is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_what_is_too_large_is_not_to_be_sent_again(compression: grpc.Compression | None) -> None:
    """RESOURCE_EXHAUSTED without a `RetryInfo`, before or after inflating; what fits is taken."""
    with listening(SMALL) as found:
        code, _, wait_s = refusal(found, request_of(1, "x" * 45_000), compression=compression)
        assert (code, wait_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
        size = 15_000 if compression is None else 35_000
        call(found, request_of(1, "x" * size), compression=compression)
        assert len(found.intake.requests) == 1
        assert found.counts.counts().bytes_now == 0


def test_too_many_spans_are_not_to_be_sent_again(listeners: Listeners) -> None:
    """RESOURCE_EXHAUSTED without a `RetryInfo`."""
    code, words, wait_s = refusal(listeners, request_of(10_001, ""))
    assert (code, "smaller batches" in words, wait_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True, None)


def test_who_may_not_send_is_told() -> None:
    """By the keys that metadata give, and before the body is looked at."""

    async def authorize(headers: Mapping[str, str], peer_host: str | None) -> Refusal | None:
        assert peer_host == LOOPBACK
        known = {
            "Bearer other": Refusal(403, "bound to another agent"),
            "Bearer busy": Refusal(429, "too many requests", 2.5),
            "Bearer good": None,
        }
        return known.get(headers.get("authorization", ""), Refusal(401, "no such key"))

    with listening(authorize=authorize) as found:
        busy = {"authorization": "Bearer busy"}
        assert refusal(found, b"\xff", metadata=busy) == (grpc.StatusCode.UNAVAILABLE, "too many requests", 2.5)
        assert refusal(found, b"\xff") == (grpc.StatusCode.UNAUTHENTICATED, "no such key", None)
        other = {"authorization": "Bearer other"}
        assert refusal(found, b"\xff", metadata=other)[0] is grpc.StatusCode.PERMISSION_DENIED
        assert call(found, b"", metadata={"authorization": "Bearer good"}) == b""


@pytest.mark.parametrize(
    ("failure", "seconds", "words"),
    [
        (IntakeUnavailable(2.5, "the journal is full\n"), 2.5, "the journal is full\\n"),
        (IntakeUnavailable(600, "draining"), 5, "draining"),
        (RuntimeError("with a secret"), 5, "the gateway failed; see its log"),
    ],
)
def test_what_cannot_be_kept_now_may_be_sent_again(failure: Exception, seconds: float, words: str) -> None:
    """UNAVAILABLE with a `RetryInfo` of at most 5 s."""
    with listening(intake=KeepingIntake(failure=failure)) as found:
        assert refusal(found, b"") == (grpc.StatusCode.UNAVAILABLE, words, seconds)
        found.intake.failure = None
        assert call(found, b"") == b""


def test_requests_beyond_those_under_way_may_be_sent_again() -> None:
    """UNAVAILABLE with a `RetryInfo`, and the next one is taken once there is room; HTTP and gRPC count together."""
    with listening(ReceiverLimits(requests_max=2)) as found, method(found) as export:
        found.intake.gate.clear()
        waiting = [export.future(b"", timeout=30) for _ in range(2)]
        wait_until(lambda: found.intake.waiting == 2)
        code, words, wait_s = refusal(found, b"")
        assert (code, "too many requests" in words, wait_s) == (grpc.StatusCode.UNAVAILABLE, True, 1)
        found.intake.gate.set()
        assert [one.result() for one in waiting] == [b"", b""]
        assert call(found, b"") == b""


def test_a_call_that_its_sender_gives_up_is_let_go() -> None:
    """DEADLINE_EXCEEDED for the sender; nothing is under way afterwards."""
    with listening() as found, method(found) as export:
        found.intake.gate.clear()
        with pytest.raises(grpc.RpcError) as raised:
            export(request_of(9), timeout=0.3)
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: found.counts.requests_now == found.counts.bytes_now == 0)


def test_metadata_beyond_the_limit_are_refused(listeners: Listeners) -> None:
    """RESOURCE_EXHAUSTED, and the next call is served."""
    code, _, wait_s = refusal(listeners, b"", metadata={"x": "y" * 20_000})
    assert (code, wait_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert call(listeners, b"") == b""


def test_a_port_that_is_taken_is_said(listeners: Listeners) -> None:
    """Two gateways on one port would each get a part of a trace."""
    port = int(listeners.target.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen for gRPC on 127.0.0.1:{port}"):
        asyncio.run(start_grpc(Address(LOOPBACK, port), KeepingIntake(), anybody, ReceiverLimits(), listeners.counts))
