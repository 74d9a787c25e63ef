# SPDX-License-Identifier: Apache-2.0
"""OTLP in JSON, as JavaScript sends it, made into the Protobuf that everything behind reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.json_encoding import encoded_from_otlp_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

_REQUESTS: Final[Mapping[OtlpSignal, type[Message]]] = {
    OtlpSignal.TRACES: ExportTraceServiceRequest,
    OtlpSignal.METRICS: ExportMetricsServiceRequest,
    OtlpSignal.LOGS: ExportLogsServiceRequest,
}


def protobuf_of(text: bytes, signal: OtlpSignal) -> bytes:
    """An encoded `Export...ServiceRequest` of its JSON.

    Raises `WireError` naming the first place that is malformed, but not what stands there.
    """
    try:
        return encoded_from_otlp_json(text, _REQUESTS[signal])
    except ValueError as error:
        message = str(error).partition(", found ")[0]
    # Not from within: a traceback would keep alive all that was read.
    raise WireError(message)
