# SPDX-License-Identifier: Apache-2.0
"""One span, one event and one metric point, marked as the doctor's, and what the receiver answers to each.

The SDK's exporters take a partial success for a success and show no answer; hence a client that reads it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from agent_outcomes._version import __version__
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest

SERVICE_NAME: Final = "agent-outcomes-doctor"
# Of its own name: as an `agent.outcome` event it would be counted among the outcomes.
PROBE_NAME: Final = "agent_outcomes.doctor.probe"
_TEXT: Final = "Sent by `agent-outcomes doctor`; it means nothing else."


def request_of(signal: OtlpSignal, temporality: str = "") -> Request:
    """The probe of one signal; `temporality` is the SDK's preference for metrics."""
    now_ns = time.time_ns()
    if signal is OtlpSignal.TRACES:
        return _traces(now_ns)
    return _logs(now_ns) if signal is OtlpSignal.LOGS else _metrics(now_ns, temporality)


def _traces(now_ns: int) -> ExportTraceServiceRequest:
    span = Span(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        name=PROBE_NAME,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=now_ns,
        end_time_unix_nano=now_ns,
        attributes=[_attribute("note", _TEXT)],
    )
    scope_spans = ScopeSpans(scope=_scope(), spans=[span])
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=_resource(), scope_spans=[scope_spans])])


def _logs(now_ns: int) -> ExportLogsServiceRequest:
    record = LogRecord(
        time_unix_nano=now_ns,
        observed_time_unix_nano=now_ns,
        severity_number=SEVERITY_NUMBER_INFO,
        severity_text="INFO",
        event_name=PROBE_NAME,
        body=AnyValue(string_value=_TEXT),
    )
    scope_logs = ScopeLogs(scope=_scope(), log_records=[record])
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=_resource(), scope_logs=[scope_logs])])


def _metrics(now_ns: int, temporality: str) -> ExportMetricsServiceRequest:
    # What the SDK would export a counter as: some receivers take only one of the two.
    is_delta = temporality.strip().lower() in {"delta", "lowmemory"}
    point = NumberDataPoint(start_time_unix_nano=now_ns, time_unix_nano=now_ns, as_int=1)
    metric = Metric(
        name=PROBE_NAME,
        description=_TEXT,
        unit="{probe}",
        sum=Sum(
            data_points=[point],
            aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA if is_delta else AGGREGATION_TEMPORALITY_CUMULATIVE,
            is_monotonic=True,
        ),
    )
    scope_metrics = ScopeMetrics(scope=_scope(), metrics=[metric])
    resource_metrics = ResourceMetrics(resource=_resource(), scope_metrics=[scope_metrics])
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics])


def _resource() -> Resource:
    return Resource(attributes=[_attribute("service.name", SERVICE_NAME)])


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=f"{SCOPE_NAME}.doctor", version=__version__)


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
