# SPDX-License-Identifier: Apache-2.0
"""A real SDK pipeline in memory: tracer, logger and meter provider around one processor, and what came out of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
    from opentelemetry.trace import Span, Tracer

    from agent_outcomes.sdk.span_reader import IsRun

Labels = frozenset[tuple[str, Any]]

AGENT = {"gen_ai.operation.name": "invoke_agent"}
MODEL = {"gen_ai.operation.name": "chat"}
TOOL = {"gen_ai.operation.name": "execute_tool"}
OPENINFERENCE_LANGCHAIN = "openinference.instrumentation.langchain"
OPENAI_AGENTS = "openinference.instrumentation.openai_agents"
PROBLEMS = "agent.outcome.problems"


class GraphInterruptError(Exception):
    """LangGraph's, by name: a graph stops to ask a human."""


GraphInterruptError.__module__, GraphInterruptError.__qualname__ = "langgraph.errors", "GraphInterrupt"


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An emitted outcome event; `trace_id` and `span_id` are those of its context, `timestamp` Unix nanoseconds."""

    name: str | None
    body: Any
    severity: str | None
    trace_id: int | None
    span_id: int | None
    timestamp: int | None
    attributes: dict[str, Any]

    @property
    def problems(self) -> list[str]:
        return list(self.attributes.get(PROBLEMS, ()))

    def outcome(self, name: str) -> Any:
        return self.attributes.get(f"agent.outcome.{name}")


def seen(record: ReadableLogRecord) -> SeenEvent:
    log_record = record.log_record
    return SeenEvent(
        name=log_record.event_name,
        body=log_record.body,
        severity=log_record.severity_text,
        trace_id=log_record.trace_id,
        span_id=log_record.span_id,
        timestamp=log_record.timestamp,
        attributes=dict(log_record.attributes or {}),
    )


class EventMemory(InMemoryLogRecordExporter):
    """The exporter in memory, read as events."""

    def seen(self) -> list[SeenEvent]:
        return [seen(record) for record in self.get_finished_logs()]


def delta_reader() -> InMemoryMetricReader:
    delta = AggregationTemporality.DELTA
    return InMemoryMetricReader({ObservableCounter: delta, Histogram: delta})


def numbers(data: MetricsData | None, name: str) -> Iterator[tuple[Labels, float | int]]:
    """Every data point of a metric, over all scopes; a histogram's is its count."""
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name != name:
                    continue
                for point in metric.data.data_points:
                    labels = frozenset((point.attributes or {}).items())
                    if isinstance(point, NumberDataPoint):
                        yield labels, point.value
                    elif isinstance(point, HistogramDataPoint):
                        yield labels, point.count


def sets_of(data: MetricsData | None, name: str) -> dict[Labels, float | int]:
    """The sums of a metric by attribute set."""
    sums: Counter[Labels] = Counter()
    for labels, number in numbers(data, name):
        sums[labels] += number  # type: ignore[assignment]
    return dict(sums)


def total_of(data: MetricsData | None, name: str, labels: Mapping[str, Any] | None = None) -> float | int:
    """The sum over the attribute sets that have these labels."""
    wanted = set((labels or {}).items())
    return sum(number for found, number in numbers(data, name) if wanted <= found)


class Pipeline:
    """All three providers with one processor between `before` and `after`; nothing global is touched."""

    def __init__(
        self,
        *,
        is_run: IsRun | None = None,
        span_limits: SpanLimits | None = None,
        before: Sequence[SpanProcessor] = (),
        after: Sequence[SpanProcessor] = (),
        logger_provider: LoggerProvider | None = None,
        **settings: Any,
    ) -> None:
        self.memory = EventMemory()  # type: ignore[no-untyped-call]
        self.logs = logger_provider if logger_provider is not None else LoggerProvider(shutdown_on_exit=False)
        self.logs.add_log_record_processor(SimpleLogRecordProcessor(self.memory))
        self.reader = InMemoryMetricReader()
        self.delta = delta_reader()
        self.meters = MeterProvider([self.reader, self.delta], shutdown_on_exit=False)
        self.processor = AgentOutcomeSpanProcessor(
            logger_provider=self.logs, meter_provider=self.meters, is_run=is_run, **settings
        )
        self.spans = TracerProvider(span_limits=span_limits, shutdown_on_exit=False)
        for processor in (*before, self.processor, *after):
            self.spans.add_span_processor(processor)

    def tracer(self, scope: str = "app") -> Tracer:
        return self.spans.get_tracer(scope)

    def events(self) -> list[SeenEvent]:
        return self.memory.seen()

    def event(self) -> SeenEvent:
        """The only event."""
        (event,) = self.events()
        return event

    def collect(self) -> MetricsData | None:
        return self.reader.get_metrics_data()

    def total(self, name: str, labels: Mapping[str, Any] | None = None) -> float | int:
        return total_of(self.collect(), name, labels)

    def run_count(self) -> float | int:
        return self.total("agent.runs")

    def problem_count(self, kind: str) -> float | int:
        return self.total("agent_outcomes.processor.problems", {"agent_outcomes.problem": kind})

    def error_count(self) -> float | int:
        """Errors of the processor itself, and items it dropped for one."""
        data = self.collect()
        dropped = total_of(data, "agent_outcomes.processor.dropped", {"error.type": "error"})
        return total_of(data, "agent_outcomes.processor.errors") + dropped

    def open_count(self) -> int:
        return self.processor._tracker.open_count


def use(span: Span, input_tokens: int, output_tokens: int, cost: str | None = None) -> None:
    """Set a model call's usage."""
    span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", output_tokens)
    if cost is not None:
        span.set_attribute("gen_ai.usage.cost", cost)


def call_model(tracer: Tracer, input_tokens: int = 10, output_tokens: int = 5, cost: str | None = "0.01") -> None:
    """One leaf: a model call with tokens and a reported cost, under the current span."""
    with tracer.start_as_current_span("chat m", attributes=MODEL) as span:
        use(span, input_tokens, output_tokens, cost)


def run_agent(tracer: Tracer, name: str = "a", *, calls: int = 2, **outcome: Any) -> None:
    """An agent marked at its start, with model calls and a tool below it, and `agent.outcome.*` as given."""
    with tracer.start_as_current_span(f"invoke_agent {name}", attributes=AGENT) as span:
        for _ in range(calls):
            call_model(tracer)
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            pass
        for key, value in outcome.items():
            span.set_attribute(f"agent.outcome.{key}", value)


def usage(pipeline: Pipeline) -> tuple[float | int, float | int, float | int, float | int]:
    """Runs, input tokens, output tokens and cost over all runs."""
    tokens = {kind: pipeline.total("agent.run.tokens", {"gen_ai.token.type": kind}) for kind in ("input", "output")}
    return pipeline.run_count(), tokens["input"], tokens["output"], pipeline.total("agent.run.cost")


def child_of(span: Span) -> Any:
    return set_span_in_context(span)


def lost_on_the_wire(events: Sequence[ReadableLogRecord], data: MetricsData | None) -> list[str]:
    """Encode to OTLP and name every attribute that is not there any more."""
    lost: list[str] = []
    if events:
        encoded = encode_logs(events)
        records = [r for res in encoded.resource_logs for scope in res.scope_logs for r in scope.log_records]
        assert len(records) == len(events)
        for event, record in zip(events, records, strict=True):
            kept = {pair.key for pair in record.attributes if pair.value.WhichOneof("value") is not None}
            lost += sorted(set(event.log_record.attributes or {}) - kept)
        encoded.SerializeToString()
    if data is not None:
        lost += _lost_labels(data)
    return lost


def _lost_labels(data: MetricsData) -> list[str]:
    given: Counter[tuple[str, str]] = Counter()
    for resource in data.resource_metrics:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.data.data_points:
                given.update((metric.name, key) for key in (point.attributes or {}))
    kept: Counter[tuple[str, str]] = Counter()
    encoded = encode_metrics(data)
    for sent in (m for r in encoded.resource_metrics for scope in r.scope_metrics for m in scope.metrics):
        pairs = [pair for point in sent.sum.data_points for pair in point.attributes]
        pairs += [pair for histogram in sent.histogram.data_points for pair in histogram.attributes]
        kept.update((sent.name, pair.key) for pair in pairs if pair.value.WhichOneof("value"))
    encoded.SerializeToString()
    return [f"{name}:{key}" for name, key in given - kept]
