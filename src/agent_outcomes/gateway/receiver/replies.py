# SPDX-License-Identifier: Apache-2.0
"""The bodies of answers, in the encoding of the request: what OTLP prescribes, written by hand as it is so little."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.encoding import length
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.receiver.refusals import RefusedError
    from agent_outcomes.gateway.wire.intake import Taken

SAID_MAX: Final = 1_000
_REJECTED_NAMES: Final[Mapping[OtlpSignal, str]] = {
    OtlpSignal.TRACES: "rejectedSpans",
    OtlpSignal.LOGS: "rejectedLogRecords",
    OtlpSignal.METRICS: "rejectedDataPoints",
}
# Of an `Export...ServiceResponse` and its partial success: the same numbers in each signal.
_PARTIAL_SUCCESS: Final = b"\x0a"
_REJECTED: Final = b"\x08"
_MESSAGE: Final = b"\x12"
_NANOSECONDS: Final = 1_000_000_000


def response(taken: Taken) -> bytes:
    """An encoded `Export...ServiceResponse`, empty where all is well."""
    if not taken.rejected and not taken.message:
        return b""
    text = _shown(taken.message).encode()
    partial = b"".join(
        [
            _REJECTED + length(taken.rejected) if taken.rejected else b"",
            _MESSAGE + length(len(text)) + text if text else b"",
        ]
    )
    return _PARTIAL_SUCCESS + length(len(partial)) + partial


def json_response(taken: Taken, signal: OtlpSignal) -> bytes:
    """The same in JSON."""
    if not taken.rejected and not taken.message:
        return b"{}"
    partial = {_REJECTED_NAMES[signal]: str(taken.rejected)} if taken.rejected else {}
    if taken.message:
        partial["errorMessage"] = _shown(taken.message)
    return json.dumps({"partialSuccess": partial}).encode()


def status(refused: RefusedError) -> bytes:
    """An encoded `google.rpc.Status`, with a `RetryInfo` where the request may be sent again."""
    details: list[AnyMessage] = []
    if refused.retry_after_s is not None:
        seconds, rest = divmod(round(refused.retry_after_s * _NANOSECONDS), _NANOSECONDS)
        detail = AnyMessage()
        detail.Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=rest)))
        details.append(detail)
    encoded: bytes = Status(code=_code(refused), message=_shown(refused.message), details=details).SerializeToString()
    return encoded


def json_status(refused: RefusedError) -> bytes:
    """The same in JSON."""
    whole: dict[str, object] = {"code": _code(refused), "message": _shown(refused.message)}
    if refused.retry_after_s is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        whole["details"] = [{"@type": kind, "retryDelay": f"{refused.retry_after_s:g}s"}]
    return json.dumps(whole).encode()


def _code(refused: RefusedError) -> int:
    return int(refused.statuses.of_grpc.value[0])


def _shown(message: str) -> str:
    return printable(message, SAID_MAX)
