# SPDX-License-Identifier: Apache-2.0
"""Durations reach the SDK's histogram on the reader's thread, in the same collection as the counters, all of them."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.sdk import run_durations
from tests.pipeline import AGENT, Pipeline, delta_reader, run_agent, total_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import Attributes

DURATION = "agent.run.duration"
DROPPED = "agent_outcomes.processor.dropped"
DEADLINE_S = 20.0


class Reservoir:
    """What the SDK offers each measurement of a histogram to, under its locks."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.entered = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.error: Exception | None = None

    def offer(self, value: float, time_unix_nano: int, attributes: Attributes, context: Context) -> None:  # noqa: ARG002
        self.threads.append(threading.get_ident())
        self.entered.set()
        assert self.goes_on.wait(DEADLINE_S)
        if self.error is not None:
            raise self.error

    def collect(self, point_attributes: Attributes) -> list[Exemplar]:  # noqa: ARG002 - the SDK's signature
        return []

    def view(self) -> View:
        return View(instrument_name=DURATION, exemplar_reservoir_factory=lambda _: lambda **_: self)  # type: ignore[arg-type,return-value]


class Memory(MetricExporter):
    """Keeps what is exported."""

    def __init__(self, temporality: AggregationTemporality) -> None:
        super().__init__(preferred_temporality={Histogram: temporality})
        self.exported: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, *_: object, **__: object) -> MetricExportResult:
        self.exported.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is open."""


def tracer_with(meters: MeterProvider) -> Tracer:
    spans, logs = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    spans.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters))
    return spans.get_tracer("app")


def points(data: MetricsData | None) -> Iterator[HistogramDataPoint]:
    for resource in data.resource_metrics if data is not None else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in metric.data.data_points if metric.name == DURATION else ():
                assert isinstance(point, HistogramDataPoint)
                yield point


def run_for(tracer: Tracer, seconds: float, name: str = "a") -> tuple[int, int]:
    """A run of that duration; the ids of its trace and span."""
    span = tracer.start_span(f"invoke_agent {name}", attributes=AGENT, start_time=1_000_000_000)
    span.end(1_000_000_000 + round(seconds * 1e9))
    context = span.get_span_context()
    return context.trace_id, context.span_id


def test_an_ending_run_does_not_wait_for_the_histogram() -> None:
    """While a reader is held up within the SDK's locks, runs end; their durations come with the next collection."""
    reservoir, reader = Reservoir(), InMemoryMetricReader()
    tracer = tracer_with(MeterProvider([reader], views=[reservoir.view()], shutdown_on_exit=False))
    run_agent(tracer)
    reservoir.goes_on.clear()
    collected: list[MetricsData | None] = []
    collecting = threading.Thread(target=lambda: collected.append(reader.get_metrics_data()))
    collecting.start()
    assert reservoir.entered.wait(DEADLINE_S)
    ending = threading.Thread(target=run_agent, args=(tracer,))
    ending.start()
    ending.join(DEADLINE_S)
    assert not ending.is_alive()
    reservoir.goes_on.set()
    collecting.join(DEADLINE_S)
    assert [point.count for point in points(collected[0])] == [1]
    assert [point.count for point in points(reader.get_metrics_data())] == [2]
    assert reservoir.threads == [collecting.ident, threading.get_ident()]


@pytest.mark.parametrize("is_delta", [False, True])
def test_each_collection_has_what_ended_before_it(is_delta: bool) -> None:  # noqa: FBT001 - a parameter
    """Counts, sums and exemplars, cumulative and delta."""
    reader = delta_reader() if is_delta else InMemoryMetricReader()
    tracer = tracer_with(MeterProvider([reader], shutdown_on_exit=False))
    sums = 0.0
    for round_ in range(3):
        ids = {run_for(tracer, seconds) for seconds in (0.3 + round_, 5.0 + round_)}
        sums = 5.3 + 2 * round_ + (0.0 if is_delta else sums)
        (point,) = points(reader.get_metrics_data())
        assert point.count == (2 if is_delta else 2 * (round_ + 1))
        assert point.sum == pytest.approx(sums)
        assert {(exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars} == ids
        assert all(exemplar.time_unix_nano <= point.time_unix_nano for exemplar in point.exemplars)
        assert dict(point.attributes or {}) == {"gen_ai.agent.name": "a", "agent.outcome.status": "success"}


def test_every_reader_has_every_duration() -> None:
    """Whichever of several readers collects first."""
    pipeline = Pipeline()
    run_agent(pipeline.tracer())
    assert total_of(pipeline.delta.get_metrics_data(), DURATION) == 1
    run_agent(pipeline.tracer())
    assert pipeline.total(DURATION) == 2
    assert total_of(pipeline.delta.get_metrics_data(), DURATION) == 1


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
@pytest.mark.parametrize("end", ["force_flush", "shutdown"])
def test_the_last_collection_has_them(temporality: AggregationTemporality, end: str) -> None:
    """A provider that is flushed or shut down exports the durations of all runs that have ended by then."""
    memory = Memory(temporality)
    reader = PeriodicExportingMetricReader(memory, export_interval_millis=math.inf if end == "force_flush" else 3.6e6)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tracer = tracer_with(meters)
    for _ in range(3):
        run_agent(tracer)
    getattr(meters, end)()
    assert [sum(point.count for point in points(data)) for data in memory.exported] == [3]
    if end == "force_flush":
        meters.shutdown()


def test_a_view_that_drops_a_counter_drops_no_duration() -> None:
    """Their collection hangs on no counter that is exported."""
    reader = InMemoryMetricReader()
    views = [View(instrument_name="agent*s", aggregation=DropAggregation())]
    run_agent(tracer_with(MeterProvider([reader], views=views, shutdown_on_exit=False)))
    data = reader.get_metrics_data()
    assert total_of(data, "agent.runs") == 0
    assert total_of(data, DURATION) == 1


def test_a_meter_that_raises_costs_only_what_it_raises_at() -> None:
    """Counted as dropped in the very collection that has failed to record it; the others are recorded."""
    reservoir, reader = Reservoir(), InMemoryMetricReader()
    tracer = tracer_with(MeterProvider([reader], views=[reservoir.view()], shutdown_on_exit=False))
    reservoir.error = ValueError("a reservoir of the application's own")
    run_agent(tracer)
    data = reader.get_metrics_data()
    assert total_of(data, DROPPED, {"error.type": "error", "agent_outcomes.signal": "metric"}) == 1
    reservoir.error = None
    run_agent(tracer)
    data = reader.get_metrics_data()
    assert total_of(data, DROPPED, {"agent_outcomes.signal": "metric"}) == 1
    assert total_of(data, "agent.runs") == 2


def test_what_no_reader_collects_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reader that does not collect as with none at all; what was kept is recorded when one does."""
    monkeypatch.setattr(run_durations, "UNREAD_MAX", 10)
    monkeypatch.setattr(run_durations, "PENDING_MAX", 25)
    reader = InMemoryMetricReader()
    tracer = tracer_with(MeterProvider([reader], shutdown_on_exit=False))
    for _ in range(30):
        run_for(tracer, 1.0)
    data = reader.get_metrics_data()
    assert total_of(data, DURATION) == 25
    assert total_of(data, DROPPED, {"error.type": "limit", "agent_outcomes.signal": "metric"}) == 5
    run_for(tracer, 1.0)
    assert total_of(reader.get_metrics_data(), DURATION) == 26


def test_a_provider_without_readers_keeps_few(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As nobody will ask for them; nobody is told to collect, either."""
    monkeypatch.setattr(run_durations, "UNREAD_MAX", 10)
    meters = MeterProvider(shutdown_on_exit=False)
    tracer = tracer_with(meters)
    for _ in range(30):
        run_for(tracer, 1.0)
    if not hasattr(meters, "add_metric_reader"):  # came with 1.43
        return
    reader = InMemoryMetricReader()
    meters.add_metric_reader(reader)
    data = reader.get_metrics_data()
    assert total_of(data, DURATION) == 10
    assert total_of(data, DROPPED, {"error.type": "limit"}) == 20
    assert not [line for line in caplog.messages if "duration" in line]
