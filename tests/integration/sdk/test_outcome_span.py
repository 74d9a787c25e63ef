# SPDX-License-Identifier: Apache-2.0
"""The option that shows outcomes in trace viewers: a zero-length child span for every revision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from agent_outcomes import AgentOutcomeSpanProcessor, OutcomeSampler
from tests.integration.backends import Jaeger, wait_until
from tests.pipeline import AGENT, total_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler


class Traced:
    """A tracer provider whose spans are exported, with a processor that adds outcome spans to it."""

    def __init__(self, exporter: SpanExporter, sampler: Sampler | None = None, **settings: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.spans = TracerProvider(
            sampler=sampler, resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False
        )
        self.spans.add_span_processor(SimpleSpanProcessor(exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        processor = AgentOutcomeSpanProcessor(meter_provider=meters, tracer_provider=self.spans, **settings)
        self.spans.add_span_processor(processor)
        self.tracer = self.spans.get_tracer("app")

    def total(self, name: str) -> float | int:
        return total_of(self.reader.get_metrics_data(), name)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def outcome_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == "agent.outcome"]


def ids(span: ReadableSpan) -> str:
    context = span.get_span_context()
    return "" if context is None else f"{context.trace_id:032x}-{context.span_id:016x}"


def test_off_by_default(exporter: InMemorySpanExporter) -> None:
    """Nobody who did not ask for it gets another span in their traces."""
    traced = Traced(exporter)
    with traced.tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        pass
    assert outcome_spans(exporter) == []


def test_an_inferred_outcome_shows_as_a_child_of_its_run(exporter: InMemorySpanExporter) -> None:
    """It has no length, ends with the run, carries what the event carries, and is itself no run."""
    traced = Traced(exporter, outcome_span=True)

    async def run() -> None:
        with traced.tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    (shown,) = outcome_spans(exporter)
    (agent,) = [span for span in exporter.get_finished_spans() if span.name == "invoke_agent a"]
    assert shown.parent == agent.context
    assert shown.start_time == shown.end_time == agent.end_time
    attributes = dict(shown.attributes or {})
    assert attributes["agent.outcome.status"] == "cancelled"
    assert attributes["agent.outcome.source"] == "inferred"
    assert attributes["agent.outcome.id"] == ids(agent)
    assert traced.total("agent.runs") == 1
    assert traced.total("agent_outcomes.processor.errors") == 0


def test_a_later_revision_shows_as_well(exporter: InMemorySpanExporter) -> None:
    """What an outer span states afterwards is a second child of the run, not of the outer span."""
    traced = Traced(exporter, outcome_span=True)
    with traced.tracer.start_as_current_span("POST /", kind=SpanKind.SERVER) as server:
        with traced.tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            pass
        server.set_attribute("agent.outcome.type", "converted")
    (agent,) = [span for span in exporter.get_finished_spans() if span.name == "invoke_agent a"]
    first, second = outcome_spans(exporter)
    assert first.parent == second.parent == agent.context
    assert [(span.attributes or {})["agent.outcome.state"] for span in (first, second)] == ["pending", "reported"]
    assert traced.total("agent.runs") == traced.total("agent.outcomes") == 1


def test_a_dropped_trace_gets_none(exporter: InMemorySpanExporter) -> None:
    """A run that is only counted has no trace to show anything in."""
    traced = Traced(exporter, OutcomeSampler(ALWAYS_OFF), outcome_span=True)
    with traced.tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        pass
    assert exporter.get_finished_spans() == ()
    assert traced.total("agent.runs") == 1


def test_jaeger_finds_an_inferred_outcome_by_its_tag(backend_binary: Callable[[str], Path], tmp_path: Path) -> None:
    """The search that collector-config/README.md gives returns the trace of a run that stated nothing and timed out."""
    with Jaeger(backend_binary("jaeger"), tmp_path) as jaeger:
        otlp = OTLPSpanExporter(f"{jaeger.otlp_endpoint}/v1/traces")
        traced = Traced(otlp, outcome_span=True)
        agent = traced.tracer.start_span("invoke_agent a", attributes=AGENT)
        agent.record_exception(TimeoutError())
        agent.set_status(StatusCode.ERROR)
        agent.end()
        tags = {"agent.outcome.status": "timeout", "agent.outcome.source": "inferred"}
        found = wait_until(lambda: jaeger.search("shop", tags))
        assert list(found) == [f"{agent.get_span_context().trace_id:032x}"]
        otlp.shutdown()  # type: ignore[no-untyped-call]
