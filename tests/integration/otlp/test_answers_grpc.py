# SPDX-License-Identifier: Apache-2.0
"""Every status that a gRPC receiver can give, from a real server, and what the client makes of it."""

from __future__ import annotations

import socket
import time
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

from agent_outcomes.otel_variables import GRPC, OtlpSignal
from agent_outcomes.otlp.answers import ASKED_WAIT_MAX_S, GRPC_RULINGS, Reason, Verdict
from agent_outcomes.otlp.client import OtlpClient
from agent_outcomes.otlp.endpoints import target_at
from tests.integration.otlp.payloads import payload
from tests.integration.scripted_receiver import grpc_receiver

DELIVERED, RETRY, REFUSED, MISCONFIGURED = Verdict
CODES = [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def client_of(url: str, **environ: str) -> OtlpClient:
    return OtlpClient(target_at(url, OtlpSignal.LOGS, environ, GRPC))


def retry_info(seconds: int) -> bytes:
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return bytes(Status(code=8, message="slow down", details=[packed]).SerializeToString())


@pytest.mark.parametrize("code", CODES)
def test_code(code: str) -> None:
    """The status means what its row says, and the next call goes through."""

    def script(_: str, number: int, context: Any) -> None:
        if number == 1:
            context.abort(grpc.StatusCode[code], "scripted\nwords")

    with grpc_receiver(script) as receiver:
        client = client_of(receiver.url)
        answer = client.send(payload(2), 5)
        assert (answer.verdict, answer.reason) == GRPC_RULINGS[code]
        assert answer.message == "scripted words"
        assert client.send(payload(2), 5).verdict is DELIVERED
        client.close()
    assert len(receiver.taken.records()) == 2


def test_every_code_has_a_row() -> None:
    """The table knows all codes but OK."""
    assert set(CODES) == set(GRPC_RULINGS)
    assert len(CODES) + 1 == 17


@pytest.mark.parametrize("key", ["grpc-status-details-bin", "google.rpc.retryinfo-bin"])
@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
@pytest.mark.parametrize(("seconds", "expected"), [(7, 7.0), (10**9, ASKED_WAIT_MAX_S), (-5, 0.0)])
def test_retry_info(key: str, code: str, seconds: int, expected: float) -> None:
    """With a RetryInfo the receiver is throttling: its delay is kept to, within bounds."""
    details = retry_info(seconds)
    bare = Status.FromString(details).details[0].value if key.startswith("google") else details

    def script(_: str, __: int, context: Any) -> None:
        context.set_trailing_metadata(((key, bare),))
        context.abort(grpc.StatusCode[code], "slow down")

    with grpc_receiver(script) as receiver:
        answer = client_of(receiver.url).send(payload(1), 5)
    reason = Reason.THROTTLED if code == "RESOURCE_EXHAUSTED" else Reason.UNAVAILABLE
    assert (answer.verdict, answer.reason, answer.retry_after_s) == (RETRY, reason, expected)


@pytest.mark.parametrize(
    ("rejected", "message", "verdict"), [(5, "nope", REFUSED), (0, "a warning", DELIVERED), (0, "", DELIVERED)]
)
def test_partial_success(rejected: int, message: str, verdict: Verdict) -> None:
    """What an OK rejects is refused; a warning is not."""
    success = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    with grpc_receiver(lambda *_: ExportLogsServiceResponse(partial_success=success)) as receiver:
        answer = client_of(receiver.url).send(payload(5), 5)
    assert (answer.verdict, answer.rejected, answer.message) == (verdict, rejected, message)


def test_a_reply_too_large_is_no_confirmation() -> None:
    """Beyond 64 KiB it is not read."""
    success = ExportLogsPartialSuccess(error_message="x" * 100_000)
    with grpc_receiver(lambda *_: ExportLogsServiceResponse(partial_success=success)) as receiver:
        answer = client_of(receiver.url).send(payload(5), 5)
    assert (answer.verdict, answer.reason) == (MISCONFIGURED, Reason.REPLY_TOO_LARGE)


def test_silence_times_out() -> None:
    """Something that accepts connections and says nothing: the deadline holds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        started_s = time.monotonic()
        answer = client_of(f"http://127.0.0.1:{silent.getsockname()[1]}").send(payload(1), 0.4)
        assert time.monotonic() - started_s < 5
    assert (answer.verdict, answer.reason) == (RETRY, Reason.TIMEOUT)
