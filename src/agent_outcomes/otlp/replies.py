# SPDX-License-Identifier: Apache-2.0
"""Reading a receiver's reply: how many items it rejected, its words, and what it was before its compression. Pure."""

from __future__ import annotations

import contextlib
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.answers import MESSAGE_MAX, REPLY_MAX_BYTES, bounded_wait_s

if TYPE_CHECKING:
    from collections.abc import Mapping

Response = ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
RESPONSES: Final[Mapping[OtlpSignal, type[Response]]] = {
    OtlpSignal.TRACES: ExportTraceServiceResponse,
    OtlpSignal.METRICS: ExportMetricsServiceResponse,
    OtlpSignal.LOGS: ExportLogsServiceResponse,
}
_COUNTS: Final = ("rejected_spans", "rejected_data_points", "rejected_log_records")
_JSON_COUNTS: Final = ("rejectedSpans", "rejectedDataPoints", "rejectedLogRecords")
# What zlib takes for gzip or zlib by the first bytes; and a deflate stream without either's header.
_WINDOWS: Final[Mapping[str, tuple[int, ...]]] = {
    "gzip": (zlib.MAX_WBITS | 32,),
    "x-gzip": (zlib.MAX_WBITS | 32,),
    "deflate": (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS),
}


def inflated(content: bytes, encoding: str) -> bytes:
    """The body before its compression, `REPLY_MAX_BYTES` of it and one more; as it came where that cannot be told."""
    for window in _WINDOWS.get(encoding.strip().lower(), ()):
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(window).decompress(content, REPLY_MAX_BYTES + 1)
    return content


def rejected_by(response: Response) -> tuple[int, str]:
    """How many items a reply rejected, and its words."""
    partial = response.partial_success
    return max(getattr(partial, name, 0) for name in _COUNTS), partial.error_message


def partial_success(signal: OtlpSignal, kind: str, content: bytes) -> tuple[int, str]:
    """Rejected items and words of a successful reply, in either encoding. Raises `ValueError` where it is no OTLP."""
    if not content.strip():
        return 0, ""
    try:
        if kind == JSON:
            partial: dict[str, Any] = json.loads(content).get("partialSuccess") or {}
            return max(int(partial.get(name, 0)) for name in _JSON_COUNTS), str(partial.get("errorMessage", ""))
        if kind not in {"", PROTOBUF, "application/octet-stream"}:
            _refuse(kind)
        return rejected_by(RESPONSES[signal].FromString(content))
    except (TypeError, AttributeError, OverflowError, RecursionError, DecodeError) as error:
        raise ValueError(str(error)) from error


def _refuse(kind: str) -> None:
    message = f"a {kind} is no OTLP answer"
    raise ValueError(message)


def words_of(kind: str, content: bytes) -> str:
    """The words in a body: those of a `google.rpc.Status`, as OTLP prescribes, or whatever text it is. Never raises."""
    if kind == PROTOBUF:
        try:
            return str(Status.FromString(content).message)
        except DecodeError:
            return ""
    return content[: MESSAGE_MAX * 4].decode(errors="replace")


def media_type(content_type: str) -> str:
    """The media type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def retry_info_s(details: Mapping[str, bytes]) -> float | None:
    """The delay of a `RetryInfo` in a call's trailing metadata, `None` where there is none. Never raises."""
    with contextlib.suppress(DecodeError, ValueError, OverflowError):
        status = Status.FromString(details.get("grpc-status-details-bin", b""))
        infos = [bytes(one.value) for one in status.details if one.type_url.endswith("/google.rpc.RetryInfo")]
        infos += [details[key] for key in ("google.rpc.retryinfo-bin",) if key in details]
        if infos:
            delay = RetryInfo.FromString(infos[0]).retry_delay
            return bounded_wait_s(delay.seconds + delay.nanos / 1e9)
    return None
