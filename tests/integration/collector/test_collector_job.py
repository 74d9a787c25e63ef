# SPDX-License-Identifier: Apache-2.0
"""The main job on real input: an instrumented agent, a real collector, and its outcome arriving there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from tests.integration.otelcol import Collector

ROOT = Path(__file__).parents[3]
SCRIPT_TIMEOUT_S = 60

AGENT = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from {exporter} import OTLPSpanExporter

from agent_outcomes import install

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
install()
tracer = trace.get_tracer("shop.agent")
with tracer.start_as_current_span("POST /tickets", kind=trace.SpanKind.SERVER):
    with tracer.start_as_current_span(
        "invoke_agent support-bot",
        attributes={{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support-bot"}},
    ) as span:
        with tracer.start_as_current_span(
            "chat m",
            kind=trace.SpanKind.CLIENT,
            attributes={{
                "gen_ai.operation.name": "chat",
                "gen_ai.usage.input_tokens": 812,
                "gen_ai.usage.output_tokens": 164,
                "gen_ai.usage.cost": 0.0042,
            }},
        ):
            pass
        span.set_attribute("agent.outcome.type", "deflected")
        span.set_attribute("agent.outcome.value", "12345678901.123456789012")
"""
EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}


def run_script(script: str, collector: Collector, protocol: str) -> subprocess.CompletedProcess[str]:
    """Run Python source as an application of its own that exports to the collector."""
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OUTCOMES_"))},
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_SERVICE_NAME": "shop",
        "PYTHONPATH": str(ROOT / "src"),
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        env=variables,
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
        check=False,
    )


def scalar(values: list[KeyValue], key: str) -> object:
    """The value of an attribute, in whichever member it came."""
    for pair in values:
        if pair.key == key:
            member = pair.value.WhichOneof("value")
            return getattr(pair.value, member) if member is not None else None
    return None


@pytest.mark.parametrize("protocol", sorted(EXPORTERS))
def test_one_line_brings_event_metrics_and_trace_together(collector: Collector, protocol: str) -> None:
    """Event, metrics and trace arrive over either protocol and share one trace id; the duration's exemplar has it."""
    done = run_script(AGENT.format(exporter=EXPORTERS[protocol]), collector, protocol)
    assert (done.returncode, done.stderr) == (0, "")

    record = collector.wait_for(lambda it: it.log_records())[0]
    agent_span = collector.wait_for(lambda it: [span for span in it.spans() if span.name.startswith("invoke_agent")])[0]
    histogram = collector.wait_for(lambda it: it.metrics_named("agent.run.duration"))[0].histogram

    assert record.event_name == "agent.outcome"
    assert (record.trace_id, record.span_id) == (agent_span.trace_id, agent_span.span_id)
    exemplars = [exemplar for point in histogram.data_points for exemplar in point.exemplars]
    assert [(one.trace_id, one.span_id) for one in exemplars] == [(agent_span.trace_id, agent_span.span_id)]
    assert_outcome(record)
    (value,) = collector.metrics_named("agent.outcome.value")[0].sum.data_points
    assert value.as_double == 12345678901.123456789012
    (cost,) = collector.metrics_named("agent.run.cost")[0].sum.data_points
    assert cost.as_double == 0.0042


def assert_outcome(record: LogRecord) -> None:
    """The event says what the agent stated, to the last digit."""
    attributes = list(record.attributes)
    assert scalar(attributes, "agent.outcome.value_decimal") == "12345678901.123456789012"
    assert scalar(attributes, "agent.outcome.type") == "deflected"
    assert scalar(attributes, "agent.outcome.cost") == 0.0042
    assert scalar(attributes, "agent.run.input_tokens") == 812
    assert scalar(attributes, "agent.outcome.id") == f"{record.trace_id.hex()}-{record.span_id.hex()}"


def test_what_the_readme_shows_runs_and_arrives(collector: Collector) -> None:
    """Every Python block of the README runs as one program, without a warning, and its outcomes reach a collector."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = run_script("\n".join(blocks), collector, "grpc")
    assert (done.returncode, done.stderr) == (0, "")

    collector.wait_for(lambda it: len(it.log_records()) >= len(README_RUNS))
    records = collector.log_records()
    assert sorted(record.body.string_value.partition(",")[0] for record in records) == README_RUNS


README_RUNS = [
    "cron-bot: success/resolved",
    "lead-qualifier: success/converted/warm-lead",
    "support-bot: success/deflected",
    "support-bot: success/escalated",
]
