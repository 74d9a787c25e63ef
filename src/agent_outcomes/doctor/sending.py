# SPDX-License-Identifier: Apache-2.0
"""Sends a probe as the SDK's exporter would, once, and reads everything the receiver has to say to it."""

from __future__ import annotations

import gzip
import time
import zlib
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]
import requests
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from agent_outcomes.doctor.reach import within
from agent_outcomes.otel_variables import HTTP, OtlpSignal
from agent_outcomes.otlp.answers import REPLY_MAX_BYTES
from agent_outcomes.otlp.endpoints import redacted, shown_url
from agent_outcomes.otlp.replies import PROTOBUF, inflated, media_type, partial_success, rejected_by, words_of
from agent_outcomes.otlp.untraced import untraced
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agent_outcomes.doctor.probe import Request
    from agent_outcomes.otlp.endpoints import Target

TEXT_MAX: Final = 300
# An authentication scheme is a word such as Basic, Bearer or Negotiate.
_SCHEME_MAX: Final = 20
_SUCCESSES: Final = range(200, 300)
# A body that is compressed nevertheless is read as far as it has a bound.
_HTTP_HEADERS: Final[Mapping[str, str]] = {
    "content-type": PROTOBUF,
    "user-agent": "agent-outcomes-doctor",
    "accept-encoding": "identity",
}
_STUBS: Final[Mapping[OtlpSignal, Any]] = {
    OtlpSignal.TRACES: TraceServiceStub,
    OtlpSignal.METRICS: MetricsServiceStub,
    OtlpSignal.LOGS: LogsServiceStub,
}


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came back; neither status where nothing did, and then `text` says why.

    `clock_offset_s` is how far the receiver's clock is ahead of ours, `None` where the answer has no date.
    """

    text: str = ""
    http_status: int | None = None
    grpc_code: str | None = None
    is_otlp: bool = True
    location: str = ""
    challenge: str = ""
    clock_offset_s: float | None = None
    rejected: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver took the request, though it may have thrown away what is in it."""
        return self.is_otlp and (self.grpc_code == "OK" or self.http_status in _SUCCESSES)


def send(target: Target, request: Request, limit_s: float) -> ProbeAnswer:
    """Send the probe, once, following no redirect. Never raises."""
    try:
        ask = _send_http if target.protocol == HTTP else _send_grpc
        answer = within(limit_s, lambda: untraced(lambda: ask(target, request, limit_s)))
    except Exception as error:  # noqa: BLE001 - clients raise a dozen classes, and each means: no answer
        answer = ProbeAnswer(text=_words(error))
    return cleaned(answer, target)


def _send_http(target: Target, request: Request, limit_s: float) -> ProbeAnswer:
    headers = {**_HTTP_HEADERS, **target.headers}
    body = request.SerializeToString()
    if target.compression in {"gzip", "deflate"}:
        headers["content-encoding"] = target.compression
        body = gzip.compress(body) if target.compression == "gzip" else zlib.compress(body)
    certificate: tuple[str, str] | str | None = target.client_certificate_file or None
    if certificate and target.client_key_file:
        certificate = (target.client_certificate_file, target.client_key_file)
    with requests.Session() as session:
        sent_at_s = time.time()
        response = session.post(
            target.url,
            data=body,
            headers=headers,
            timeout=limit_s,
            verify=target.ca_file.value or True,
            cert=certificate,
            allow_redirects=False,
            stream=True,
        )
        middle_s = (sent_at_s + time.time()) / 2
        # Not decoded there: before urllib3 2 what is bounded is the compressed body, and not what it becomes.
        content = response.raw.read(REPLY_MAX_BYTES, decode_content=False)
    content = inflated(content, response.headers.get("content-encoding", ""))
    return _http_answer(target.signal, response, content, middle_s)


def _http_answer(signal: OtlpSignal, response: requests.Response, content: bytes, middle_s: float) -> ProbeAnswer:
    kind = media_type(response.headers.get("content-type", ""))
    answer = ProbeAnswer(
        text=words_of(kind, content),
        http_status=response.status_code,
        location=response.headers.get("location", ""),
        challenge=response.headers.get("www-authenticate", ""),
        clock_offset_s=_offset_s(response.headers.get("date", ""), middle_s),
    )
    if response.status_code not in _SUCCESSES:
        return answer
    try:
        rejected, words = partial_success(signal, kind, content)
    except ValueError:
        return replace(answer, is_otlp=False)
    return replace(answer, text=words, rejected=rejected)


def _send_grpc(target: Target, request: Request, limit_s: float) -> ProbeAnswer:
    compression = grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression
    with _channel(target) as channel:
        sent_at_s = time.time()
        try:
            response, call = _STUBS[target.signal](channel).Export.with_call(
                request, timeout=limit_s, metadata=tuple(target.headers.items()), compression=compression
            )
        except grpc.RpcError as error:
            return ProbeAnswer(
                text=str(error.details() or ""),
                grpc_code=error.code().name,
                clock_offset_s=_grpc_offset_s(error, (sent_at_s + time.time()) / 2),
            )
        offset_s = _grpc_offset_s(call, (sent_at_s + time.time()) / 2)
    rejected, words = rejected_by(response)
    return ProbeAnswer(words, grpc_code="OK", clock_offset_s=offset_s, rejected=rejected)


def _channel(target: Target) -> grpc.Channel:
    if not target.is_secure:
        return grpc.insecure_channel(target.url)
    credentials = grpc.ssl_channel_credentials(
        _content(target.ca_file.value), _content(target.client_key_file), _content(target.client_certificate_file)
    )
    return grpc.secure_channel(target.url, credentials)


def _grpc_offset_s(call: Any, middle_s: float) -> float | None:
    """From a `date` that a proxy may have added: gRPC itself has none."""
    metadata: Iterable[tuple[str, str | bytes]] = call.initial_metadata() or ()
    return next((_offset_s(str(value), middle_s) for key, value in metadata if key == "date"), None)


def _content(path: str | Path) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - the variable holds a text
        return file.read()


def _offset_s(date: str, middle_s: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - middle_s
    except (ValueError, TypeError, OverflowError):
        return None


def _words(error: BaseException) -> str:
    """The innermost reason: what wraps it repeats the URL and object addresses."""
    seen: list[BaseException] = [error]
    while (inner := seen[-1].__cause__ or seen[-1].__context__) is not None and inner not in seen:
        seen.append(inner)
    inmost = seen[-1]
    return f"{type(inmost).__name__}: {inmost}"


def cleaned(answer: ProbeAnswer, target: Target) -> ProbeAnswer:
    """Texts of one line and bounded length each, without anything that we had sent as a secret."""
    return replace(
        answer,
        text=printable(" ".join(redacted(answer.text, target.secrets).split()), TEXT_MAX),
        location=printable(shown_url(redacted(answer.location, target.secrets)), TEXT_MAX),
        challenge=printable(answer.challenge.partition(" ")[0], _SCHEME_MAX),
    )
