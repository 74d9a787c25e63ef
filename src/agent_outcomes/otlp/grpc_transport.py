# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: one call, one deadline, a reply of bounded size. Importing this module imports grpc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from agent_outcomes._version import __version__
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.answers import (
    REPLY_MAX_BYTES,
    Answer,
    Failure,
    accepted,
    answered,
    of_grpc_code,
    without_answer,
)
from agent_outcomes.otlp.endpoints import redacted
from agent_outcomes.otlp.replies import RESPONSES, rejected_by, retry_info_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.endpoints import Target

METHODS: Final[Mapping[OtlpSignal, str]] = {
    OtlpSignal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    OtlpSignal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    OtlpSignal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RECONNECT_MAX_MS: Final = 2_000
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", REPLY_MAX_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", REPLY_MAX_BYTES),
    ("grpc.primary_user_agent", f"otel-agent-outcomes/{__version__}"),
    # By default a channel that found nobody looks again after up to two minutes, and shares that wait with others.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", _RECONNECT_MAX_MS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MAX_MS),
    ("grpc.enable_retries", 0),
)
# What the library itself says where there was no answer; a status has no room for it.
_WORDS: Final[tuple[tuple[str, Failure], ...]] = (
    ("CERTIFICATE_VERIFY_FAILED", Failure.TLS),
    ("SSL_ERROR_SSL", Failure.TLS),
    ("Ssl handshake failed", Failure.TLS),
    ("DNS resolution failed", Failure.NOT_RESOLVED),
    ("Domain name not found", Failure.NOT_RESOLVED),
    ("Connection refused", Failure.CONNECTION_REFUSED),
    ("Connection reset", Failure.CONNECTION_LOST),
    ("Socket closed", Failure.CONNECTION_LOST),
)
_TOO_LARGE: Final = ("CLIENT: Received message larger than max", "CLIENT: Decompressed message larger than max")


class GrpcTransport:
    """Sends requests to one target over one channel. Not to be shared by a forked child.

    Raises `OSError` where a certificate file cannot be read.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._is_closed = False
        self._credentials = _credentials(target) if target.is_secure else None
        self._channel = self._dial()
        self._compression = grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression

    def send(self, payload: bytes, timeout_s: float) -> Answer:
        """The receiver's answer to a serialised request. Raises what grpc raises but for `RpcError`."""
        export = self._channel.unary_unary(METHODS[self._target.signal])
        try:
            # Blocking: a future would have grpc start a thread for every call.
            reply = export(
                payload,
                timeout=timeout_s,
                metadata=tuple(self._target.headers.items()),
                compression=self._compression,
            )
        except grpc.RpcError as error:
            return self._error_answer(error)
        try:
            rejected, words = rejected_by(RESPONSES[self._target.signal].FromString(reply))
        except DecodeError as error:
            return without_answer(Failure.REPLY_CUT, f"an answer that cannot be read: {error}")
        return accepted(rejected, redacted(words, self._target.secrets))

    def answer_to(self, error: Exception) -> Answer:
        """What an exception of `send` means. Never raises."""
        return without_answer(Failure.CANNOT_SEND, redacted(f"{type(error).__name__}: {error}", self._target.secrets))

    def close(self) -> None:
        """End what is under way, from whatever thread. Never raises."""
        self._is_closed = True
        self._channel.close()

    def _dial(self) -> Any:
        if self._credentials is None:
            return grpc.insecure_channel(self._target.url, _OPTIONS)
        return grpc.secure_channel(self._target.url, self._credentials, _OPTIONS)

    def _error_answer(self, error: Any) -> Answer:
        code, words = error.code().name, redacted(str(error.details() or ""), self._target.secrets)
        if self._is_closed:
            return without_answer(Failure.CLOSED, words)
        if code == "RESOURCE_EXHAUSTED" and any(part in words for part in _TOO_LARGE):
            return without_answer(Failure.REPLY_TOO_LARGE, words)
        trailing = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, bytes)}
        if code == "UNAVAILABLE" and not trailing:
            for part, failure in _WORDS:
                if part in words:
                    return without_answer(failure, words)
        wait_s = retry_info_s(trailing)
        return answered(of_grpc_code(code, wait_s), words, wait_s)


def _credentials(target: Target) -> Any:
    return grpc.ssl_channel_credentials(
        _content(target.ca_file.value), _content(target.client_key_file), _content(target.client_certificate_file)
    )


def _content(path: str) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - the variable holds a text
        return file.read()
