# SPDX-License-Identifier: Apache-2.0
"""The processor among others: neighbors, failures of exporters and readers, doubles, shutdown."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, Pipeline, call_model, total_of

if TYPE_CHECKING:
    import pytest
    from opentelemetry.context import Context


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("agent_outcomes")]


def run_agent(tracer: trace.Tracer, **outcome: Any) -> None:
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        call_model(tracer)
        for key, value in outcome.items():
            span.set_attribute(f"agent.outcome.{key}", value)


class Neighbor(SpanProcessor):
    """Writes its name down at every call."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        self.calls.append(f"{self.name} start {span.name}")

    def on_end(self, span: ReadableSpan) -> None:
        self.calls.append(f"{self.name} end {span.name}")

    def shutdown(self) -> None:
        self.calls.append(f"{self.name} shutdown")


def test_processors_before_and_after_ours() -> None:
    """Both are called for every span, in order, and the exporter behind us gets the spans as they were."""
    calls: list[str] = []
    exporter = InMemorySpanExporter()
    after = [Neighbor("after", calls), SimpleSpanProcessor(exporter)]
    pipeline = Pipeline(before=[Neighbor("before", calls)], after=after)
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        pass
    pipeline.spans.shutdown()
    name = "invoke_agent a"
    assert calls == [
        *(f"before start {name}", f"after start {name}"),
        *(f"before end {name}", f"after end {name}"),
        *("before shutdown", "after shutdown"),
    ]
    (span,) = exporter.get_finished_spans()
    assert dict(span.attributes or {}) == AGENT
    assert pipeline.run_count() == 1


def _raise(*_: object, **__: object) -> NoReturn:
    message = "exporter is broken"
    raise RuntimeError(message)


class RaisingLogExporter(LogRecordExporter):
    export = shutdown = force_flush = _raise


class RaisingLogProcessor(LogRecordProcessor):
    on_emit = _raise

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True


class RaisingMetricExporter(MetricExporter):
    export = _raise

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


def test_raising_log_exporter() -> None:
    """An exporter that raises costs the application nothing and us no run."""
    pipeline = Pipeline()
    pipeline.logs.add_log_record_processor(SimpleLogRecordProcessor(RaisingLogExporter()))
    run_agent(pipeline.tracer())
    assert pipeline.run_count() == 1
    assert len(pipeline.events()) == 1


def test_raising_log_processor(caplog: pytest.LogCaptureFixture) -> None:
    """A log processor that raises drops the event, which is counted and said; the run's metrics stand."""
    pipeline = Pipeline()
    pipeline.logs.add_log_record_processor(RaisingLogProcessor())
    for _ in range(3):
        run_agent(pipeline.tracer(), value=5)
    assert pipeline.run_count() == 3
    assert pipeline.total("agent.outcome.value") == 15
    dropped = {"error.type": "error", "agent_outcomes.signal": "event"}
    assert pipeline.total("agent_outcomes.processor.dropped", dropped) == 3
    (warning,) = warnings_of(caplog)
    assert "RuntimeError('exporter is broken')" in warning


def test_raising_metric_exporter() -> None:
    """A metric exporter that raises costs nothing; another reader of the same provider sees everything."""
    pipeline = Pipeline()
    reader = PeriodicExportingMetricReader(RaisingMetricExporter(), export_interval_millis=float("inf"))
    meters = MeterProvider([reader, pipeline.reader.__class__()], shutdown_on_exit=False)
    processor = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=meters)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    run_agent(spans.get_tracer("app"))
    meters.force_flush()
    run_agent(spans.get_tracer("app"))
    assert len(pipeline.events()) == 2
    meters.shutdown()


def test_meter_provider_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """Even a provider that cannot be looked up reaches nobody's code but the log."""
    pipeline = Pipeline()
    processor = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=_raise)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    run_agent(spans.get_tracer("app"))
    assert len(pipeline.events()) == 1
    assert any(warning.endswith("RuntimeError") for warning in warnings_of(caplog))


def test_logger_provider_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """The run is counted, its event as dropped, for as long as the function raises."""
    pipeline, failures = Pipeline(), [LookupError("the container is not ready")] * 2

    def find() -> LoggerProvider:
        if failures:
            raise failures.pop()
        return pipeline.logs

    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=find, meter_provider=pipeline.meters))
    for _ in range(3):
        run_agent(spans.get_tracer("app"), value=5)
    assert (pipeline.run_count(), pipeline.total("agent.outcome.value"), len(pipeline.events())) == (3, 15, 1)
    assert pipeline.total("agent_outcomes.processor.dropped", {"agent_outcomes.signal": "event"}) == 2
    assert any("LookupError" in warning for warning in warnings_of(caplog))


def test_second_processor_disables_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Two processors on one tracer provider: nothing counts twice, one warning tells."""
    pipeline = Pipeline()
    second = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters)
    pipeline.spans.add_span_processor(second)
    for _ in range(3):
        run_agent(pipeline.tracer(), value="0.10")
    assert pipeline.run_count() == len(pipeline.events()) == 3
    assert pipeline.total("agent.outcome.value") == 0.3
    assert pipeline.total("agent.run.tokens") == 45
    (warning,) = warnings_of(caplog)
    assert "second AgentOutcomeSpanProcessor" in warning
    assert second.follows(trace.INVALID_SPAN_CONTEXT) is False


def test_second_processor_added_in_the_middle_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    """It has not seen the run's start, and still makes no run of the agents below it."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        second = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters)
        pipeline.spans.add_span_processor(second)
        run_agent(tracer)
    run_agent(tracer)
    assert pipeline.run_count() == len(pipeline.events()) == 2
    assert pipeline.total("agent.run.tokens") == 30
    assert len(warnings_of(caplog)) == 1


def test_second_processor_that_began_on_another_provider(caplog: pytest.LogCaptureFixture) -> None:
    """A processor that was first alone, and then meets another on a second provider, counts nothing twice there."""
    pipeline = Pipeline()
    other = TracerProvider(shutdown_on_exit=False)
    second = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters)
    other.add_span_processor(second)
    run_agent(other.get_tracer("app"))
    pipeline.spans.add_span_processor(second)
    run_agent(pipeline.tracer())
    run_agent(pipeline.tracer())
    assert pipeline.run_count() == len(pipeline.events()) == 3
    assert len(warnings_of(caplog)) == 1


def test_problems_count_once_with_two_processors() -> None:
    """Problems that no event can list are not counted by the second processor, either."""
    pipeline = Pipeline()
    second = AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters)
    pipeline.spans.add_span_processor(second)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, label="one")
        run_agent(tracer, label="two")
        outer.set_attribute("agent.outcome.label", "whose?")
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_two_tracer_providers_sharing_a_meter_provider() -> None:
    """Each with a processor of its own: both count, and the totals add up."""
    pipeline = Pipeline()
    other = TracerProvider(shutdown_on_exit=False)
    other.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=pipeline.logs, meter_provider=pipeline.meters))
    for _ in range(2):
        run_agent(pipeline.tracer(), value=1)
        run_agent(other.get_tracer("app"), value="0.5")
    assert pipeline.run_count() == len(pipeline.events()) == 4
    assert pipeline.total("agent.outcome.value") == 3
    assert pipeline.total("agent.run.cost") == 0.04
    # One set of points: two instruments of one name would export each total twice.
    assert total_of(pipeline.delta.get_metrics_data(), "agent.runs") == 4


def test_spans_that_end_after_shutdown_are_counted_as_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is emitted after shutdown, and nothing vanishes in silence."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    late = tracer.start_span("invoke_agent late", attributes={**AGENT, "agent.outcome.value": 1})
    run_agent(tracer)
    pipeline.spans.shutdown()
    late.end()
    assert pipeline.run_count() == len(pipeline.events()) == 1
    shutdown = {"error.type": "shutdown"}
    events = pipeline.total("agent_outcomes.processor.dropped", {**shutdown, "agent_outcomes.signal": "event"})
    postings = pipeline.total("agent_outcomes.processor.dropped", {**shutdown, "agent_outcomes.signal": "metric"})
    assert (events, postings) == (1, 3)
    assert "after its AgentOutcomeSpanProcessor was shut down" in "".join(warnings_of(caplog))


def test_shutdown_twice_and_force_flush() -> None:
    """Both may be called at any time."""
    pipeline = Pipeline()
    assert pipeline.spans.force_flush()
    run_agent(pipeline.tracer())
    assert pipeline.spans.force_flush()
    pipeline.spans.shutdown()
    pipeline.spans.shutdown()
    assert pipeline.processor.force_flush()
    assert pipeline.run_count() == 1


def test_exit_settles_what_still_waits() -> None:
    """What runs at interpreter exit settles a run which waits for an outer span that never ends."""
    pipeline = Pipeline()
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    outer = tracer.start_span("chain")
    with trace.use_span(outer):
        run_agent(tracer, label="resolved")
    assert pipeline.run_count() == 0
    pipeline.processor.settle_waiting()
    assert pipeline.run_count() == 1
    outer.end()
    assert pipeline.run_count() == 1


def test_health_counts_what_was_handed_over() -> None:
    """Issued events equal those delivered."""
    pipeline = Pipeline()
    for _ in range(5):
        run_agent(pipeline.tracer(), status="no such word", value="one")
    assert pipeline.total("agent_outcomes.processor.events") == len(pipeline.events()) == 5
    assert pipeline.problem_count("unknown_status") == pipeline.problem_count("invalid_amount") == 5
    words = {"agent_outcomes.field": "agent.outcome.status"}
    assert pipeline.total("agent_outcomes.processor.unknown_words", words) == 5


def test_what_is_stated_wrongly_is_said_once_a_minute_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt name and an amount that is none: where and why, one line each, never the value."""
    pipeline = Pipeline()
    for _ in range(3):
        run_agent(pipeline.tracer(), value="12,50", sucess=True)
    wrong = "an outcome of agent 'a' was not taken as stated: "
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"{wrong}'invalid_amount:agent.outcome.value'. An amount is no decimal within the limits.",
        f"{wrong}'unknown_attribute:agent.outcome.sucess'. The vocabulary has no attribute of this name.",
    ]
    assert pipeline.problem_count("invalid_amount") == 3


def test_logging_that_raises_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logging filter of the application that raises does not escape through our warnings."""
    logger = logging.getLogger("agent_outcomes.sdk.emitter")
    monkeypatch.setattr(logger, "filters", [_raise])
    processor = AgentOutcomeSpanProcessor(logger_provider=lambda: None, meter_provider=lambda: None)
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    run_agent(spans.get_tracer("app"))


def test_logger_provider_with_limits_of_its_own() -> None:
    """A given provider is used as it is."""
    logs = LoggerProvider(shutdown_on_exit=False)
    pipeline = Pipeline(logger_provider=logs)
    run_agent(pipeline.tracer())
    assert len(pipeline.events()) == 1


def test_without_the_global_lock_it_warns(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What holds open spans together is no lock of ours; the line says what to set."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    Pipeline()
    (warning,) = warnings_of(caplog)
    assert "PYTHON_GIL=1" in warning
