# SPDX-License-Identifier: Apache-2.0
"""Global providers set late, never or switched off: each in a process of its own, as they can be set only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

PRELUDE = """
import json, logging
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from tests.pipeline import AGENT, EventMemory, call_model, total_of

lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append((record.levelname, record.getMessage()))
logging.getLogger().addHandler(Lines())

memory, reader = EventMemory(), InMemoryMetricReader()
def set_logs():
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
    set_logger_provider(logs)
def set_meters():
    metrics.set_meter_provider(MeterProvider([reader]))
def set_spans():
    spans = TracerProvider()
    spans.add_span_processor(AgentOutcomeSpanProcessor())
    trace.set_tracer_provider(spans)
def run_agents(count):
    tracer = trace.get_tracer("app")
    for _ in range(count):
        with tracer.start_as_current_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": 1}):
            call_model(tracer)
"""
REPORT = """
data = reader.get_metrics_data()
def dropped(signal):
    return total_of(data, "agent_outcomes.processor.dropped",
                    {"error.type": "no_provider", "agent_outcomes.signal": signal})
print(json.dumps({
    "lines": lines, "events": len(memory.seen()), "runs": total_of(data, "agent.runs"),
    "value": total_of(data, "agent.outcome.value"), "handed_over": total_of(data, "agent_outcomes.processor.events"),
    "dropped_events": dropped("event"), "dropped_postings": dropped("metric"),
    "durations": total_of(data, "agent.run.duration"),
}))
"""


def report_of(script: str, **environ: str) -> dict[str, Any]:
    """Run the script with these variables; it must succeed with nothing on stderr."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script) + REPORT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_providers_set_before() -> None:
    """The ordinary case: nothing dropped, nothing logged."""
    report = report_of("set_logs(); set_meters(); set_spans(); run_agents(3)")
    assert report == {
        "lines": [],
        "events": 3,
        "runs": 3,
        "value": 3,
        "handed_over": 3,
        "dropped_events": 0,
        "dropped_postings": 0,
        "durations": 3,
    }


def test_logger_provider_set_last() -> None:
    """Events before it are dropped, counted and told of once with the fix; later ones arrive; metrics are whole."""
    report = report_of("set_meters(); set_spans(); run_agents(3); set_logs(); run_agents(2)")
    ((level, message),) = report.pop("lines")
    assert level == "WARNING"
    assert "no logger provider is set" in message
    assert "set_logger_provider" in message
    assert report == {
        "events": 2,
        "runs": 5,
        "value": 5,
        "handed_over": 2,
        "dropped_events": 3,
        "dropped_postings": 0,
        "durations": 5,
    }


def test_everything_set_last() -> None:
    """Drops from before there was a meter provider are in its health counters once there is one."""
    report = report_of("set_spans(); run_agents(3); set_logs(); set_meters(); run_agents(2)")
    levels, messages = zip(*report.pop("lines"), strict=True)
    assert levels == ("WARNING", "WARNING")
    assert [("no logger provider" in m, "no meter provider" in m) for m in messages] == [(True, False), (False, True)]
    assert report == {
        "events": 2,
        "runs": 2,
        "value": 2,
        "handed_over": 2,
        "dropped_events": 3,
        "dropped_postings": 21,
        "durations": 2,
    }


def test_meter_provider_set_between() -> None:
    """Events go out while there is no meter provider, and are counted as handed over once there is."""
    report = report_of("set_logs(); set_spans(); run_agents(3); set_meters(); run_agents(2)")
    assert len(report.pop("lines")) == 1
    assert report == {
        "events": 5,
        "runs": 2,
        "value": 2,
        "handed_over": 5,
        "dropped_events": 0,
        "dropped_postings": 21,
        "durations": 2,
    }


def test_no_provider_ever() -> None:
    """Without logs and metrics the application runs, with one warning a signal however many runs there are."""
    report = report_of("set_spans(); run_agents(50)")
    ours = [message for _, message in report["lines"] if "MetricReader" not in message]
    assert len(ours) == 2
    assert all("install()" in message for message in ours)


def test_processor_added_before_any_provider_is_global() -> None:
    """The tracer provider itself may become global last."""
    report = report_of(
        """
        spans = TracerProvider()
        spans.add_span_processor(AgentOutcomeSpanProcessor())
        set_logs(); set_meters()
        trace.set_tracer_provider(spans)
        run_agents(2)
        """
    )
    assert (report["events"], report["runs"], report["lines"]) == (2, 2, [])


@pytest.mark.parametrize("value", ["true", "TRUE"])
def test_sdk_disabled(value: str) -> None:
    """With OTEL_SDK_DISABLED nothing is recorded, nothing is said and nothing breaks."""
    report = report_of("set_logs(); set_meters(); set_spans(); run_agents(3)", OTEL_SDK_DISABLED=value)
    assert (report["events"], report["runs"]) == (0, 0)
    assert [line for line in report["lines"] if "agent" in line[1]] == []


def test_runs_waiting_at_exit_are_counted() -> None:
    """A run that waits for an outer span when the interpreter exits is settled before the providers shut down."""
    script = """
        import atexit
        @atexit.register
        def last():
            print(json.dumps({"events": len(memory.seen())}))
        # Providers shut down in the reverse of the order in which they were made: the tracer provider last.
        set_spans(); set_logs(); set_meters()
        outer = trace.get_tracer("openinference.instrumentation.langchain").start_span("chain that is never ended")
        with trace.use_span(outer):
            run_agents(1)
        assert memory.seen() == []
        import sys; sys.exit(0)
        """
    assert report_of(script) == {"events": 1}
