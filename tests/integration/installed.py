# SPDX-License-Identifier: Apache-2.0
"""Scripts in processes of their own in which `install()` has been imported, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_outcomes
from tests.integration.otlp_sink import GRPC, HTTP

if TYPE_CHECKING:
    from tests.integration.otlp_sink import OtlpSink

DEADLINE_S = 120
IMPORTED_FROM = Path(agent_outcomes.__file__).parent.parent
ROOT = Path(__file__).parents[2]

PRELUDE = """
import json, os, sys
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace import sampling
import agent_outcomes
from agent_outcomes import OutcomeSampler, SettingsError, agent_run, install
from tests.pipeline import EventMemory, total_of

events, reader, set_up = EventMemory(), InMemoryMetricReader(), set()

def tracer_provider(**given):
    return TracerProvider(resource=Resource({"service.name": "shop"}), **given)

def set_logs_and_metrics():
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(events))
    _logs.set_logger_provider(logs)
    metrics.set_meter_provider(MeterProvider([reader]))
    set_up.add("reader")

def run(agent="bot", tracer=None):
    tracer = tracer or trace.get_tracer("app")
    with tracer.start_as_current_span(f"invoke_agent {agent}") as span:
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
        span.set_attribute("agent.outcome.type", "deflected")
    return format(span.get_span_context().trace_id, "032x")

def start_waiting(agent):
    # An instrumentation that says late what its spans are holds the agent below it back.
    outer = trace.get_tracer("openinference.instrumentation.langchain").start_span("chain")
    with trace.use_span(outer):
        run(agent)
    return outer

def report(**more):
    data = reader.get_metrics_data() if "reader" in set_up else None
    names = ("grpc", "requests", "opentelemetry.exporter.otlp.proto.grpc", "opentelemetry.exporter.otlp.proto.http")
    found = {
        "agents": [event.attributes.get("gen_ai.agent.name") for event in events.seen()],
        "runs": total_of(data, "agent.runs"),
        "exporters": [name for name in names if name in sys.modules],
    }
    print(json.dumps({**found, **more}))
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a script left behind, and when (Unix time); its own report is the last line that it printed."""

    code: int
    out: str
    err: str
    at_s: float

    @property
    def report(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def environ_of(**environ: str) -> dict[str, str]:
    """The environment of a script's process: with these variables of OpenTelemetry's and ours, and no others."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "AGENT_OUTCOMES_"))}
    return {**inherited, "PYTHONPATH": os.pathsep.join([str(IMPORTED_FROM), str(ROOT)]), **environ}


def python(script: str, **environ: str) -> Done:
    """Run a script after the prelude in a fresh interpreter in which warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + script],
        env=environ_of(**environ),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, time.time())


def otlp_environ(logs: OtlpSink, metrics: OtlpSink, logs_protocol: str, metrics_protocol: str) -> dict[str, str]:
    if logs is metrics:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": logs.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": logs_protocol}
    paths = {GRPC: "", HTTP: "/v1/"}
    return {
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": logs.endpoint + (paths[logs_protocol] and "/v1/logs"),
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics.endpoint + (paths[metrics_protocol] and "/v1/metrics"),
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": logs_protocol,
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": metrics_protocol,
    }
