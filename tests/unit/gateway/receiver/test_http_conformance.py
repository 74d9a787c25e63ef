# SPDX-License-Identifier: Apache-2.0
"""Each status code that OTLP over HTTP has, with the body and the headers that a sender acts on."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import zstandard
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agent_outcomes.gateway.receiver.authorizing import Refusal
from agent_outcomes.gateway.settings import ReceiverLimits
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Packing
from agent_outcomes.otlp.json_codec import to_otlp_json
from tests.gateway_receiver import KeepingIntake, Listeners, listening, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.backends

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
SMALL = ReceiverLimits(body_max_bytes=20_000, inflated_max_bytes=40_000)


@pytest.fixture(scope="module")
def small() -> Iterator[Listeners]:
    with listening(SMALL) as found:
        yield found


def request_of(count: int, name: str = "chat", trace_id: bytes = b"0123456789abcdef") -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(1, count + 1):
        scope.spans.append(Span(trace_id=trace_id, span_id=number.to_bytes(8, "big"), name=name))
    return request


def post(found: Listeners, body: bytes, headers: Mapping[str, str], path: str = "/v1/traces") -> httpx.Response:
    return httpx.post(found.url + path, content=body, headers=dict(headers), timeout=30)


def connected(found: Listeners) -> socket.socket:
    return socket.create_connection(("127.0.0.1", found.port), timeout=30)


def check_refusal(response: httpx.Response, status: int, code: int, words: str) -> Any:
    """The status, and a `google.rpc.Status` in the encoding of the request."""
    assert response.status_code == status, response.content
    kind = response.request.headers.get("content-type")
    if kind == PROTOBUF["content-type"]:
        assert response.headers["content-type"] == kind
        body = Status.FromString(response.content)
        assert (body.code, words in body.message) == (code, True), body
        return body
    assert response.headers["content-type"] == JSON["content-type"]
    members = response.json()
    assert (members["code"], words in members["message"]) == (code, True), members
    return members


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/traces", ExportTraceServiceResponse),
        ("/v1/logs", ExportLogsServiceResponse),
        ("/v1/metrics", ExportMetricsServiceResponse),
    ],
)
@pytest.mark.parametrize("headers", [PROTOBUF, {"content-type": "APPLICATION/X-Protobuf; charset=binary"}])
def test_a_request_is_taken(listeners: Listeners, path: str, kind: Any, headers: Mapping[str, str]) -> None:
    """200, an empty response of the signal in the encoding of the request; also of an empty request."""
    body = request_of(3).SerializeToString()
    for content in (body, b""):
        response = post(listeners, content, headers, path)
        assert response.status_code == 200
        assert response.headers["content-type"] == PROTOBUF["content-type"]
        assert not kind.FromString(response.content).HasField("partial_success")
        assert response.content == b""
        taken = listeners.intake.requests[-1]
        assert (taken.signal.path, taken.body, taken.packed, taken.packing) == (
            path,
            content,
            content,
            Packing.IDENTITY,
        )


PACKS: list[tuple[str, Packing, Callable[[bytes], bytes]]] = [
    ("gzip", Packing.GZIP, gzip.compress),
    ("GZIP", Packing.GZIP, gzip.compress),
    ("x-gzip", Packing.GZIP, gzip.compress),
    ("zstd", Packing.ZSTD, zstandard.ZstdCompressor().compress),
    ("identity", Packing.IDENTITY, bytes),
]


@pytest.mark.parametrize(("encoding", "packing", "pack"), PACKS)
def test_a_compressed_request_is_taken(
    listeners: Listeners, encoding: str, packing: Packing, pack: Callable[[bytes], bytes]
) -> None:
    """It is handed on inflated and as it came."""
    body = request_of(50).SerializeToString()
    packed = pack(body)
    response = post(listeners, packed, PROTOBUF | {"content-encoding": encoding})
    assert response.status_code == 200
    taken = listeners.intake.requests[-1]
    assert (taken.body, taken.packed, taken.packing) == (body, packed, packing)


@pytest.mark.parametrize("count", [1, 500])
@pytest.mark.parametrize("is_packed", [False, True])
def test_json_is_taken(listeners: Listeners, count: int, *, is_packed: bool) -> None:
    """And handed on as Protobuf, whatever its size; the answer is JSON."""
    request = request_of(count)
    text = to_otlp_json(request).encode()
    headers = JSON | ({"content-encoding": "gzip"} if is_packed else {})
    response = post(listeners, gzip.compress(text) if is_packed else text, headers)
    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["content-type"] == JSON["content-type"]
    taken = listeners.intake.requests[-1]
    assert ExportTraceServiceRequest.FromString(taken.body) == request
    assert (taken.packed, taken.packing) == (taken.body, Packing.IDENTITY)


def test_json_is_read_as_senders_write_it(listeners: Listeners) -> None:
    """Ids in hex of any case, integers as text or number, enums by number or name, unknown fields passed over."""
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "name": "run",
        "kind": "SPAN_KIND_INTERNAL",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
        "flags": None,
        "someNewField": [1, {"a": "b"}],
        "attributes": [{"key": "tokens", "value": {"intValue": "7"}}, {"key": "n", "value": {"intValue": 8}}],
    }
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}], "new": {}}], "other": 1})
    assert post(listeners, text.encode(), JSON).status_code == 200
    (read,) = (
        ExportTraceServiceRequest.FromString(listeners.intake.requests[-1].body).resource_spans[0].scope_spans[0].spans
    )
    assert read.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (read.kind, read.start_time_unix_nano, read.end_time_unix_nano) == (
        1,
        1544712660000000000,
        1544712661000000000,
    )
    assert [pair.value.int_value for pair in read.attributes] == [7, 8]


def test_json_names_are_those_of_the_specification(listeners: Listeners) -> None:
    """Names in lowerCamelCase alone: the field names of the schema are unknown ones, here as anywhere."""
    text = to_otlp_json(request_of(1)).replace("resourceSpans", "resource_spans")
    assert post(listeners, text.encode(), JSON).status_code == 200
    assert listeners.intake.requests[-1].body == b""
    text = to_otlp_json(request_of(1)).replace("traceId", "trace_id")
    assert post(listeners, text.encode(), JSON).json()["partialSuccess"]["rejectedSpans"] == "1"


@pytest.mark.parametrize("count", [1, 3])
def test_spans_without_ids_are_a_partial_success(listeners: Listeners, count: int) -> None:
    """200, so that nothing is sent again, and how many were rejected, in either encoding."""
    request = request_of(count, trace_id=bytes(16))
    request.MergeFrom(request_of(2))
    partial = ExportTraceServiceResponse.FromString(
        post(listeners, request.SerializeToString(), PROTOBUF).content
    ).partial_success
    assert (partial.rejected_spans, partial.error_message) == (count, "spans without ids")
    response = post(listeners, to_otlp_json(request).encode(), JSON)
    assert response.status_code == 200
    assert response.json() == {"partialSuccess": {"rejectedSpans": str(count), "errorMessage": "spans without ids"}}


def test_a_warning_rejects_nothing() -> None:
    """200 with a message alone."""
    with listening(intake=KeepingIntake(message="be warned\n")) as found:
        partial = ExportLogsServiceResponse.FromString(post(found, b"", PROTOBUF, "/v1/logs").content).partial_success
        assert (partial.rejected_log_records, partial.error_message) == (0, "be warned\\n")
        assert post(found, b"{}", JSON, "/v1/logs").json() == {"partialSuccess": {"errorMessage": "be warned\\n"}}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\x0a\x05ab", PROTOBUF),
        (b"<html>", PROTOBUF),
        (b"{}", PROTOBUF),
        (gzip.compress(b"x" * 100, mtime=0)[:-9], PROTOBUF | {"content-encoding": "gzip"}),
        (b"plain", PROTOBUF | {"content-encoding": "gzip"}),
        (b"", PROTOBUF | {"content-encoding": "gzip"}),
        (b"plain", PROTOBUF | {"content-encoding": "zstd"}),
        (b"", JSON),
        (b"{", JSON),
        (b"[]", JSON),
        (b"\xff", JSON),
        (b"[" * 100_000, JSON),
        (b'{"resourceSpans": 3}', JSON),
        (b'{"resourceSpans": [], "resourceSpans": []}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', JSON),
        (request_of(2, trace_id=b"short").SerializeToString(), PROTOBUF),
        (to_otlp_json(request_of(2, trace_id=b"x" * 17)).encode(), JSON),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_cannot_be_read_is_refused(listeners: Listeners, body: bytes, headers: Mapping[str, str]) -> None:
    """400: the sender drops it."""
    check_refusal(post(listeners, body, headers), 400, 3, "")


def test_an_error_says_where_and_repeats_nothing(listeners: Listeners) -> None:
    """What a prompt holds is no business of whoever reads the sender's log."""
    text = b'{"resourceSpans": [{"resource": {"attributes": [{"key": {"secret": "sk-1"}}]}}]}'
    words = check_refusal(post(listeners, text, JSON), 400, 3, "resourceSpans[0].resource.attributes[0].key")["message"]
    assert "secret" not in words
    text = b'{"resourceSpans": "sk-secret"}'
    assert "sk-secret" not in post(listeners, text, JSON).text


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/traces/", "/v1/profiles", "/v1development/profiles", "/V1/TRACES"])
@pytest.mark.parametrize("headers", [PROTOBUF, JSON, {}])
def test_another_path_is_not_found(listeners: Listeners, path: str, headers: Mapping[str, str]) -> None:
    """404."""
    check_refusal(post(listeners, b"", headers, path), 404, 12, "/v1/traces")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_not_allowed(listeners: Listeners, method: str) -> None:
    """405, and which one is."""
    response = httpx.request(method, f"{listeners.url}/v1/logs")
    check_refusal(response, 405, 12, "POST")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/protobuf"},
        PROTOBUF | {"content-encoding": "deflate"},
        PROTOBUF | {"content-encoding": "gzip, gzip"},
        JSON | {"content-encoding": "br"},
    ],
    ids=repr,
)
def test_another_encoding_is_not_supported(listeners: Listeners, headers: Mapping[str, str]) -> None:
    """415, and what is."""
    response = post(listeners, b"", headers)
    check_refusal(response, 415, 12, "must be")
    assert response.headers["accept-encoding"] == "gzip, zstd"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
def test_a_large_body_is_refused(small: Listeners, path: str, *, is_chunked: bool) -> None:
    """413, also where the sender does not say how large it is; what fits is taken."""
    fits = request_of(1, "x" * (SMALL.body_max_bytes - 60)).SerializeToString()
    assert len(fits) <= SMALL.body_max_bytes
    for size in (SMALL.body_max_bytes + 1, 5_000_000):
        body = bytes(size)
        content = iter([body[start : start + 7_000] for start in range(0, size, 7_000)]) if is_chunked else body
        response = httpx.post(small.url + path, content=content, headers=PROTOBUF, timeout=30)
        check_refusal(response, 413, 8, "larger than 20000 bytes")
        assert "retry-after" not in response.headers
    assert post(small, fits, PROTOBUF).status_code == 200


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
def test_what_inflates_too_large_is_refused(
    small: Listeners, encoding: str, pack: Callable[[bytes], bytes], headers: Mapping[str, str]
) -> None:
    """413, whatever is in it."""
    response = post(small, pack(bytes(SMALL.inflated_max_bytes + 1)), dict(headers) | {"content-encoding": encoding})
    check_refusal(response, 413, 8, "inflates to more than 40000 bytes")


def test_json_may_not_inflate_beyond_a_body(small: Listeners) -> None:
    """What is read of it takes many times its size."""
    text = to_otlp_json(request_of(300)).encode()
    assert SMALL.body_max_bytes < len(text) <= SMALL.inflated_max_bytes
    check_refusal(post(small, gzip.compress(text), JSON | {"content-encoding": "gzip"}), 413, 8, "send Protobuf")


def test_too_many_spans_are_refused(listeners: Listeners) -> None:
    """413, in a body that would have fitted."""
    response = post(listeners, request_of(10_001, "").SerializeToString(), PROTOBUF)
    check_refusal(response, 413, 8, "smaller batches")
    assert post(listeners, request_of(10_000, "").SerializeToString(), PROTOBUF).status_code == 200


def test_who_may_not_send_is_told_before_anything_else() -> None:
    """401 and 403, whatever else is wrong with the request, and the keys are asked for as headers give them."""
    asked: list[tuple[str | None, str | None]] = []

    async def authorize(headers: Mapping[str, str], peer_host: str | None) -> Refusal | None:
        asked.append((headers.get("authorization"), peer_host))
        known = {"Bearer other": Refusal(403, "bound to another agent"), "Bearer good": None}
        return known.get(headers.get("authorization", ""), Refusal(401, "no such key; make one with keys create"))

    with listening(authorize=authorize) as found:
        for path, headers in (("/v1/traces", PROTOBUF), ("/nowhere", JSON), ("/v1/logs", {"content-type": "x/y"})):
            response = post(found, b"\xff", headers, path)
            check_refusal(response, 401, 16, "no such key")
            assert response.headers["www-authenticate"] == "Bearer"
            keyed = dict(headers) | {"Authorization": "Bearer other"}
            check_refusal(post(found, b"\xff", keyed, path), 403, 7, "another agent")
        assert post(found, b"", PROTOBUF | {"AUTHORIZATION": "Bearer good"}).status_code == 200
        assert set(asked) == {(None, "127.0.0.1"), ("Bearer other", "127.0.0.1"), ("Bearer good", "127.0.0.1")}
        assert found.counts.counts().requests_refused == {"unauthenticated": 3, "forbidden": 3}
        assert len(found.intake.requests) == 1


@pytest.mark.parametrize(("wait_s", "told_s"), [(0.004, 1), (2.5, 3), (600, 5)])
def test_who_sends_too_much_is_told_when_to_come_again(wait_s: float, told_s: int) -> None:
    """429, after which every exporter sends the same batch again, and the body is not looked at."""

    async def authorize(_: Mapping[str, str], __: str | None) -> Refusal | None:
        return Refusal(429, "this key has sent too many requests", wait_s)

    with listening(authorize=authorize) as found:
        for headers in (PROTOBUF, JSON):
            response = post(found, b"\xff", headers)
            check_refusal(response, 429, 14, "too many requests")
            assert response.headers["retry-after"] == str(told_s)
        assert found.counts.counts().requests_refused == {"rate_limited": 2}
        assert found.intake.requests == []


def test_where_nobody_can_say_who_may_send_nobody_does() -> None:
    """503: it may be sent again."""

    async def authorize(_: Mapping[str, str], __: str | None) -> Refusal | None:
        raise OSError

    with listening(authorize=authorize) as found:
        check_refusal(post(found, b"", PROTOBUF), 503, 14, "failed")
        assert found.intake.requests == []


@pytest.mark.parametrize(
    ("failure", "seconds", "words"),
    [
        (IntakeUnavailable(2, "the journal is full"), "2", "journal is full"),
        (IntakeUnavailable(0.2, "starting"), "1", "starting"),
        (IntakeUnavailable(600, "draining"), "5", "draining"),
        (RuntimeError("with a secret"), "5", "see its log"),
    ],
)
@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
def test_what_cannot_be_kept_now_may_be_sent_again(
    failure: Exception, seconds: str, words: str, headers: Mapping[str, str]
) -> None:
    """503 with `Retry-After` of at most 5 s, beyond which senders give up; an error of our own likewise."""
    with listening(intake=KeepingIntake(failure=failure)) as found:
        response = post(found, b"" if headers == PROTOBUF else b"{}", headers)
        body = check_refusal(response, 503, 14, words)
        assert response.headers["retry-after"] == seconds
        if headers == PROTOBUF:
            info = RetryInfo()
            assert body.details[0].Unpack(info)
            assert info.retry_delay.seconds == int(seconds)
        else:
            assert body["details"][0]["retryDelay"] == f"{seconds}s"
        assert "secret" not in response.text
        found.intake.failure = None
        assert post(found, b"" if headers == PROTOBUF else b"{}", headers).status_code == 200


def test_requests_beyond_those_under_way_may_be_sent_again() -> None:
    """503, and the next one is taken once there is room."""
    with (
        listening(ReceiverLimits(requests_max=1)) as found,
        socket.create_connection(("127.0.0.1", found.port)) as slow,
    ):
        head = (
            "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 2\r\n\r\n"
        )
        slow.sendall(head.encode() + b"\x0a")
        wait_until(lambda: found.counts.requests_now == 1)
        response = post(found, b"", PROTOBUF)
        check_refusal(response, 503, 14, "too many requests")
        assert response.headers["retry-after"] == "1"
        slow.sendall(b"\x00")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        assert post(found, b"", PROTOBUF).status_code == 200
        assert found.counts.counts().requests_now == 0


def test_bytes_beyond_those_under_way_may_be_sent_again() -> None:
    """503 for what would be too much, inflated, too; afterwards nothing is under way."""
    body = request_of(1, "x" * 30_000).SerializeToString()
    with listening(ReceiverLimits(in_flight_max_bytes=20_000)) as found:
        for content, headers in ((body, PROTOBUF), (gzip.compress(body), PROTOBUF | {"content-encoding": "gzip"})):
            check_refusal(post(found, content, headers), 503, 14, "too many bytes")
        assert post(found, body[:0], PROTOBUF).status_code == 200
        assert found.counts.counts().bytes_now == 0


def test_a_sender_that_goes_is_counted() -> None:
    """And what was held of its request is let go."""
    with listening() as found:
        with socket.create_connection(("127.0.0.1", found.port)) as going:
            head = (
                "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 99\r\n"
            )
            going.sendall(head.encode() + b"\r\n" + b"\x0a" * 50)
            wait_until(lambda: found.counts.bytes_now == 50)
        wait_until(lambda: found.counts.broken_off == 1)
        assert (found.counts.bytes_now, found.counts.requests_now, found.counts.taken) == (0, 0, 0)


def test_who_waits_to_be_asked_for_a_large_body_is_not_asked() -> None:
    """As curl does with bodies beyond a mebibyte."""
    with listening() as found, connected(found) as asking:
        asking.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert asking.recv(4096).startswith(b"HTTP/1.1 413")


def test_figures_say_what_came() -> None:
    """Requests, bytes before and after inflating, rejected items."""
    body = request_of(2, trace_id=bytes(16)).SerializeToString()
    with listening() as found:
        packed = gzip.compress(body)
        post(found, packed, PROTOBUF | {"content-encoding": "gzip"})
        post(found, body, PROTOBUF)
        post(found, b"\xff", PROTOBUF)
        figures = found.counts.counts()
    assert (figures.requests_taken, figures.items_rejected, figures.requests_refused) == (2, 4, {"unreadable": 1})
    assert (figures.received_bytes, figures.inflated_bytes) == (len(packed) + len(body) + 1, len(body))
