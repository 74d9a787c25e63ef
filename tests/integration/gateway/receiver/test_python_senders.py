# SPDX-License-Identifier: Apache-2.0
"""What the SDK's own exporters send is taken, and what they are answered is what they act on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from agent_outcomes.gateway.wire.frames import frame_logs, frame_traces
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Packing
from agent_outcomes.gateway.wire.messages import WireSpan, read_log_record, read_resource, read_scope, read_span
from agent_outcomes.otel_variables import OtlpSignal
from tests.gateway_receiver import Listeners, listening

if TYPE_CHECKING:
    from collections.abc import Callable

grpc = pytest.importorskip("grpc")

RESOURCE = Resource({"service.name": "support", "host.cpus": 4})
NONE, GZIP = Compression.NoCompression, Compression.Gzip


SPAN_EXPORTERS: list[Callable[[Listeners], SpanExporter]] = [
    lambda found: HttpSpanExporter(f"{found.url}/v1/traces", compression=NONE),
    lambda found: HttpSpanExporter(f"{found.url}/v1/traces", compression=GZIP),
    lambda found: GrpcSpanExporter(found.target, insecure=True),
    lambda found: GrpcSpanExporter(found.target, insecure=True, compression=grpc.Compression.Gzip),
    lambda found: GrpcSpanExporter(found.target, insecure=True, compression=grpc.Compression.Deflate),
]


def send_spans(exporter: SpanExporter, count: int) -> None:
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop", "1.2")
    for number in range(count):
        with tracer.start_as_current_span(f"invoke {number}", attributes={"n": number, "parts": ["a", "b"]}) as span:
            span.add_event("done", {"ok": True})
    provider.shutdown()


def spans_in(found: Listeners, since: int) -> list[WireSpan]:
    requests = [one for one in found.intake.requests[since:] if one.signal is OtlpSignal.TRACES]
    scopes = [scope for one in requests for scope in frame_traces(one.body)]
    assert all(read_resource(scope.resource)["service.name"] == "support" for scope in scopes)
    assert {read_scope(scope.scope) for scope in scopes} == {("shop", "1.2")}
    return [read_span(frame.encoded) for scope in scopes for frame in scope.spans]


@pytest.mark.parametrize("number", range(len(SPAN_EXPORTERS)))
def test_spans_come_as_they_were(listeners: Listeners, number: int) -> None:
    """Over HTTP and gRPC, compressed or not."""
    since = len(listeners.intake.requests)
    send_spans(SPAN_EXPORTERS[number](listeners), 700)
    read = spans_in(listeners, since)
    assert [span.name for span in read] == [f"invoke {count}" for count in range(700)]
    assert [span.attributes for span in read] == [{"n": count, "parts": ("a", "b")} for count in range(700)]
    assert all(span.events[0][0::2] == ("done", {"ok": True}) for span in read)
    assert {one.packing for one in listeners.intake.requests[since:]} == {
        Packing.GZIP if number in {1, 3} else Packing.IDENTITY
    }


@pytest.mark.parametrize("is_grpc", [False, True])
def test_log_records_and_metrics_are_taken(listeners: Listeners, *, is_grpc: bool) -> None:
    """An event comes with its name, a metric is a request of its signal."""
    since = len(listeners.intake.requests)
    logs = LoggerProvider(resource=RESOURCE)
    target, url = listeners.target, listeners.url
    logs.add_log_record_processor(
        SimpleLogRecordProcessor(
            GrpcLogExporter(target, insecure=True) if is_grpc else HttpLogExporter(f"{url}/v1/logs")
        )
    )
    logs.get_logger("shop").emit(LogRecord(event_name="agent.outcome", body={"a": 1}, timestamp=time.time_ns()))
    logs.shutdown()
    reader = PeriodicExportingMetricReader(
        GrpcMetricExporter(target, insecure=True) if is_grpc else HttpMetricExporter(f"{url}/v1/metrics")
    )
    metrics = MeterProvider([reader], resource=RESOURCE)
    metrics.get_meter("shop").create_counter("sold").add(3)
    metrics.shutdown()
    logs_request, *others = listeners.intake.requests[since:]
    assert {one.signal for one in others} == {OtlpSignal.METRICS}
    (frames,) = frame_logs(logs_request.body)
    (record,) = map(read_log_record, frames.records)
    assert (record.event_name, record.body) == ("agent.outcome", {"a": 1})


@pytest.mark.parametrize("number", [1, 2])
def test_what_cannot_be_kept_now_is_sent_again(number: int) -> None:
    """The exporter waits as it was told, and what it then sends is taken."""
    with listening() as found:
        exporter = SPAN_EXPORTERS[number](found)
        found.intake.failures.append(IntakeUnavailable(1, "draining"))
        send_spans(exporter, 3)
        assert [span.name for span in spans_in(found, 0)] == ["invoke 0", "invoke 1", "invoke 2"]
        assert found.counts.counts().requests_refused == {"unavailable": 1}
