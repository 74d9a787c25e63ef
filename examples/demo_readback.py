# SPDX-License-Identifier: Apache-2.0
"""From exported OTLP back to figures: from the metrics and, on their own, from the events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from demo_ledger import (
    CALLS,
    COST_BY_KIND,
    DURATIONS,
    OUTCOME_COST,
    OUTCOMES,
    RETRYABLE,
    RUN_COST,
    RUNS,
    SOURCES,
    STATES,
    TOKENS,
    VALUE,
    VERDICTS,
    Figures,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

EVENT_NAME: Final = "agent.outcome"
AGENT: Final = "gen_ai.agent.name"
JOB: Final = "agent.outcome.job_type"
STATUS: Final = "agent.outcome.status"
TYPE: Final = "agent.outcome.type"
SUCCESS: Final = "agent.outcome.success"
RETRYABLE_FLAG: Final = "agent.outcome.retryable"
CATEGORY: Final = "agent.outcome.error.category"
SOURCE: Final = "agent.outcome.source"
CURRENCY: Final = "agent.outcome.currency"
COST_CURRENCY: Final = "agent.outcome.cost_currency"

Attributes = dict[str, str]
SpanKey = tuple[str, str]

# Metric name -> (figure, the attributes that make its key, sign): reversals take back what was counted.
_METRICS: Final[dict[str, tuple[tuple[str, tuple[str, ...], int], ...]]] = {
    "agent.runs": ((RUNS, (AGENT, STATUS), 1), (SOURCES, (AGENT, SOURCE), 1)),
    "agent.run.cost": (
        (RUN_COST, (AGENT, JOB, COST_CURRENCY), 1),
        (COST_BY_KIND, (AGENT, "agent.cost.kind", COST_CURRENCY), 1),
    ),
    "agent.run.tokens": ((TOKENS, (AGENT, "gen_ai.token.type"), 1),),
    "agent.run.duration": ((DURATIONS, (AGENT, STATUS), 1),),
    "agent.outcomes": ((OUTCOMES, (AGENT, TYPE), 1), (VERDICTS, (AGENT, SUCCESS), 1)),
    "agent.outcome.value": ((VALUE, (AGENT, JOB, CURRENCY), 1),),
    "agent.outcome.cost": ((OUTCOME_COST, (AGENT, TYPE, COST_CURRENCY), 1),),
    "agent.outcome.reversals": ((OUTCOMES, (AGENT, TYPE), -1), (VERDICTS, (AGENT, SUCCESS), -1)),
    "agent.outcome.reversal.value": ((VALUE, (AGENT, JOB, CURRENCY), -1),),
    "agent.outcome.reversal.cost": ((OUTCOME_COST, (AGENT, TYPE, COST_CURRENCY), -1),),
}
METRIC_FIGURES: Final = (
    RUNS,
    RETRYABLE,
    SOURCES,
    OUTCOMES,
    VERDICTS,
    VALUE,
    RUN_COST,
    COST_BY_KIND,
    OUTCOME_COST,
    TOKENS,
    DURATIONS,
)
EVENT_FIGURES: Final = (
    RUNS,
    RETRYABLE,
    SOURCES,
    STATES,
    OUTCOMES,
    VERDICTS,
    VALUE,
    RUN_COST,
    OUTCOME_COST,
    TOKENS,
    CALLS,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The outcome of one run, with the ids that lead to its trace."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(slots=True)
class Events:
    """What the events say: figures, which spans they belong to, and the first event of each kind looked for."""

    figures: Figures = field(default_factory=Figures)
    count: int = 0
    spans: set[SpanKey] = field(default_factory=set)
    samples: dict[str, Sample] = field(default_factory=dict)


_SAMPLES: Final[dict[str, Callable[[Attributes], bool]]] = {
    "deflected without a person": lambda found: (found.get(STATUS), found.get(TYPE)) == ("success", "deflected"),
    "failed and escalated": lambda found: (found.get(STATUS), found.get(TYPE)) == ("failure", "escalated"),
    "timed out": lambda found: found.get(STATUS) == "timeout",
}


Points = dict[tuple[str, tuple[tuple[str, str], ...]], Decimal]
"""Amounts by metric and by its attributes, sorted."""


def read_metrics(requests: Iterable[ExportMetricsServiceRequest]) -> Figures:
    """The figures of all metric requests together, in the order of their export.

    A cumulative point replaces the one before it, a delta point is added.
    """
    points: Points = {}
    for request in requests:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    _read_points(metric, points)
    return figures_of(points)


def figures_of(points: Points) -> Figures:
    """The figures that the points of all metrics add up to."""
    figures = Figures()
    for (name, labels), amount in points.items():
        attributes = dict(labels)
        for figure, keys, sign in _METRICS[name]:
            figures.add(figure, _key(attributes, keys), sign * amount)
        if name == "agent.runs" and attributes.get(RETRYABLE_FLAG) == "true":
            figures.add(RETRYABLE, _key(attributes, (AGENT, STATUS, CATEGORY)), amount)
    return figures


def read_events(requests: Iterable[ExportLogsServiceRequest]) -> Events:
    """What the outcome events of all log requests say together."""
    events = Events()
    for request in requests:
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    if record.event_name == EVENT_NAME:
                        add_event(record, events)
    return events


def read_spans(requests: Iterable[ExportTraceServiceRequest]) -> set[SpanKey]:
    """The trace and span ids, in hex, of all spans that have no parent."""
    return {
        (span.trace_id.hex(), span.span_id.hex())
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if not span.parent_span_id
    }


def _read_points(metric: Metric, points: Points) -> None:
    if metric.name not in _METRICS:
        return
    data = metric.histogram if metric.HasField("histogram") else metric.sum
    cumulative = data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    amounts = (
        [(point.attributes, Decimal(point.count)) for point in metric.histogram.data_points]
        if metric.HasField("histogram")
        else [
            (point.attributes, Decimal(point.as_int) if point.HasField("as_int") else exact(point.as_double))
            for point in metric.sum.data_points
        ]
    )
    for attributes, amount in amounts:
        key = (metric.name, tuple(sorted(_attributes(attributes).items())))
        points[key] = amount if cumulative else points.get(key, Decimal(0)) + amount


def add_event(record: LogRecord, events: Events) -> None:
    """Add what one outcome event says."""
    found = _attributes(record.attributes)
    ids = (record.trace_id.hex(), record.span_id.hex())
    events.count += 1
    events.spans.add(ids)
    for name, matches in _SAMPLES.items():
        if name not in events.samples and matches(found):
            events.samples[name] = Sample(*ids, found)
    add, agent = events.figures.add, found.get(AGENT, "none")
    add(RUNS, _key(found, (AGENT, STATUS)))
    add(SOURCES, _key(found, (AGENT, SOURCE)))
    add(STATES, _key(found, (AGENT, "agent.outcome.state")))
    if found.get(RETRYABLE_FLAG) == "true":
        add(RETRYABLE, _key(found, (AGENT, STATUS, CATEGORY)))
    for direction in ("input", "output"):
        add(TOKENS, (agent, direction), int(found.get(f"agent.run.{direction}_tokens", "0")))
    for kind in ("model", "tool"):
        add(CALLS, (agent, kind), int(found.get(f"agent.run.{kind}_calls", "0")))
    _read_money(found, events.figures)


def _read_money(found: Attributes, figures: Figures) -> None:
    cost = _money(found, "agent.outcome.cost")
    figures.add(RUN_COST, _key(found, (AGENT, JOB, COST_CURRENCY)), cost)
    if found.get("agent.outcome.state") == "pending":
        return
    figures.add(OUTCOMES, _key(found, (AGENT, TYPE)))
    figures.add(VERDICTS, _key(found, (AGENT, SUCCESS)))
    figures.add(VALUE, _key(found, (AGENT, JOB, CURRENCY)), _money(found, "agent.outcome.value"))
    figures.add(OUTCOME_COST, _key(found, (AGENT, TYPE, COST_CURRENCY)), cost)


def _money(found: Attributes, name: str) -> Decimal:
    return Decimal(found.get(f"{name}_decimal") or found.get(name, "0"))


def exact(amount: float) -> Decimal:
    """A double as the decimal that its shortest repr is."""
    return Decimal(repr(amount))


def _key(attributes: Attributes, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(attributes.get(name, "none") for name in names)


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _text(pair.value) for pair in pairs}


def _text(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return f"{exact(value.double_value):f}"
        case "array_value":
            return "; ".join(_text(item) for item in value.array_value.values)
        case _:
            return ""
