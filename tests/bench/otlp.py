# SPDX-License-Identifier: Apache-2.0
"""What a user pays: agent traces through the standard OTLP/HTTP pipeline, with our processor and without it.

Spans, logs and metrics are batched, serialised and sent to another process on loopback, which takes them and does
nothing: what is measured is all CPU time of this process, exporting threads included.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.bench.paired import compare
from tests.bench.pipelines import RESOURCE
from tests.bench.spans import agent_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.paired import Case, Comparison

# Fewer spans than the batch processor's queue holds: none is dropped.
TRACES_PER_FLUSH = 50


def compare_pipelines(contender: str, rounds: int) -> Comparison:
    """The pipeline with our processor against the same without it, all that was recorded having been sent."""
    with loopback_endpoint() as endpoint, ExitStack() as stack:
        return compare(
            lambda: pipeline_case(endpoint, stack, with_outcomes=False),
            {contender: lambda: pipeline_case(endpoint, stack, with_outcomes=True)},
            iterations=TRACES_PER_FLUSH,
            rounds=rounds,
        )


def pipeline_case(endpoint: str, stack: ExitStack, *, with_outcomes: bool) -> Case:
    """A pipeline, which ends with the stack: its threads would go on to send into what is measured next."""
    spans = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    logs = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"))
    metrics = MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False)
    if with_outcomes:
        spans.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=metrics))
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    for provider in (metrics, logs, spans):
        stack.callback(provider.shutdown)
    tracer = spans.get_tracer("bench")

    def case(count: int) -> None:
        agent_traces(tracer, count)
        flushed = [provider.force_flush() for provider in (spans, logs, metrics)]
        if not all(flushed):
            message = f"spans, logs and metrics were flushed: {flushed}"
            raise RuntimeError(message)

    return case


@contextmanager
def loopback_endpoint() -> Iterator[str]:
    """The endpoint of a sink in a process of its own."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    command = [sys.executable, "-m", "tests.bench.loopback_sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(sink.stdout.readline())}"
        finally:
            sink.stdin.close()
