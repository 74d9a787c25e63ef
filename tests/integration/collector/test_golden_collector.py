# SPDX-License-Identifier: Apache-2.0
"""Every case of the table through a real collector, compared with golden OTLP JSON.

`golden/<topic>/logs.json` and `metrics.json` hold what the collector's file exporter wrote, sorted, with the times of
observation and collection taken out; ids and the spans' own times are fixed. AGENT_OUTCOMES_REGENERATE=1 rewrites
them, and that run fails, so that nobody approves what they have not looked at.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from agent_outcomes import AgentOutcomeSpanProcessor
from agent_outcomes.otlp.json_codec import to_otlp_json
from tests.cases import Case, check_event, load_cases, make_spans
from tests.integration.otelcol import Collector
from tests.otlp_values import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.message import Message

GOLDEN_FOLDER: Final = Path(__file__).parents[2] / "golden"
REGENERATE: Final = os.environ.get("AGENT_OUTCOMES_REGENERATE") == "1"
CASES: Final = load_cases()
EMITTING: Final = [case for case in CASES if case.expected.emits]
TOPICS: Final = sorted({case.topic for case in CASES})
SIGNALS: Final = ("logs", "metrics")
MOMENTS: Final = frozenset({"observedTimeUnixNano", "startTimeUnixNano"})

Json = dict[str, Any]


class CountingIds(IdGenerator):
    """Trace and span ids that count up, so that each run of the tests makes the same ones."""

    def __init__(self) -> None:
        self._last_trace = 0
        self._last_span = 0

    def generate_trace_id(self) -> int:
        self._last_trace += 1
        return self._last_trace

    def generate_span_id(self) -> int:
        self._last_span += 1
        return self._last_span


class Application:
    """One topic's cases, each an agent of its own, exported through the SDK's own OTLP exporters."""

    def __init__(self, topic: str, collector: Collector) -> None:
        self._resource = Resource({"service.name": topic})
        self._ids = CountingIds()
        url = collector.http_endpoint
        self._spans = SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"))
        self._logger_provider = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
        logs = SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/v1/logs"))
        self._logger_provider.add_log_record_processor(logs)
        metrics = OTLPMetricExporter(endpoint=f"{url}/v1/metrics")
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)
        self._meter_provider = MeterProvider([reader], resource=self._resource, shutdown_on_exit=False)

    def run(self, cases: Iterable[Case]) -> None:
        """Make every case's spans, then export the metrics once."""
        for case in cases:
            limits = SpanLimits(max_span_attribute_length=case.limits.text, max_span_attributes=case.limits.attributes)
            provider = TracerProvider(
                span_limits=limits, resource=self._resource, id_generator=self._ids, shutdown_on_exit=False
            )
            processor = AgentOutcomeSpanProcessor(
                logger_provider=self._logger_provider, meter_provider=self._meter_provider
            )
            provider.add_span_processor(processor)
            provider.add_span_processor(self._spans)
            make_spans(case, provider)
            processor.shutdown()
        self._spans.shutdown()
        self._logger_provider.shutdown()
        self._meter_provider.shutdown()


@pytest.fixture(scope="module")
def exported(otelcol_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that all topics have been sent through."""
    with Collector(otelcol_binary, tmp_path_factory.mktemp("collector")) as collector:
        for topic in TOPICS:
            Application(topic, collector).run(case for case in CASES if case.topic == topic)
        yield collector


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("topic", TOPICS)
def test_golden(exported: Collector, topic: str, signal: str) -> None:
    """What the collector wrote is what was approved."""
    requests = exported.logs() if signal == "logs" else exported.metrics()
    found = comparable(requests, topic)
    path = GOLDEN_FOLDER / topic / f"{signal}.json"
    if REGENERATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One record a line, so that a difference shows whole records.
        path.write_text("[\n" + ",\n".join(_order(item) for item in found) + "\n]\n")
        pytest.fail(f"{path.name} of {topic} is rewritten: look at the difference, then run without regenerating")
    assert path.exists(), "no golden file yet: run with AGENT_OUTCOMES_REGENERATE=1 and look at what it wrote"
    assert found == json.loads(path.read_text())


@pytest.mark.parametrize("case", EMITTING, ids=str)
def test_event_arrives_as_expected(exported: Collector, case: Case) -> None:
    """What the collector wrote of a case is what the case expects, whatever the golden files say."""
    arrived = [
        record
        for request in exported.logs()
        for resource in request.resource_logs
        if resource.resource.attributes[0].value.string_value == case.topic
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    of_topic = [other for other in EMITTING if other.topic == case.topic]
    assert len(arrived) == len(of_topic)
    found = arrived[of_topic.index(case)]
    attributes = {attribute.key: value_of(attribute.value) for attribute in found.attributes}
    check_event(case, found.severity_text, attributes, found.body.string_value)


def test_no_golden_of_a_topic_that_is_gone() -> None:
    """Every golden folder is that of a topic, but for the ledger of the first schema."""
    assert {path.name for path in GOLDEN_FOLDER.iterdir()} <= {*TOPICS, "ledger"}


def test_every_event_is_linked_to_its_run(exported: Collector) -> None:
    """Each event carries the ids of a span that arrived, and each exemplar those of an event."""
    spans = {(span.trace_id, span.span_id) for span in exported.spans()}
    records = [record for record in exported.log_records() if record.event_name == "agent.outcome"]
    assert len(records) == len(EMITTING)
    events = {(record.trace_id, record.span_id) for record in records}
    assert events <= spans
    exemplars = [
        (exemplar.trace_id, exemplar.span_id)
        for metric in exported.metrics_named("agent.run.duration")
        for point in metric.histogram.data_points
        for exemplar in point.exemplars
    ]
    assert exemplars
    assert set(exemplars) <= events


def comparable(requests: Iterable[Message], topic: str) -> list[Json]:
    """The topic's log records or metrics as JSON that only depends on what was said, not when."""
    resources = [
        resource
        for request in requests
        for resource in _stripped(json.loads(to_otlp_json(request))).get(_RESOURCES[type(request).__name__], [])
        if resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": topic}}]
    ]
    items: list[Json] = []
    for resource in resources:
        for scope in resource.get("scopeLogs", []):
            items += [{"scope": scope["scope"], **record} for record in scope["logRecords"]]
        for scope in resource.get("scopeMetrics", []):
            items += [{"scope": scope["scope"], **metric} for metric in scope["metrics"]]
    return sorted(items, key=_order)


_RESOURCES: Final = {
    "ExportLogsServiceRequest": "resourceLogs",
    "ExportMetricsServiceRequest": "resourceMetrics",
}


def _stripped(value: Any) -> Any:
    """The value without moments and versions, its attributes and points in one order."""
    if isinstance(value, list):
        items = [_stripped(item) for item in value]
        keyed = all(isinstance(item, dict) and ("key" in item or "attributes" in item) for item in items)
        return sorted(items, key=_order) if keyed else items
    if not isinstance(value, dict):
        return value
    # A data point's time is that of its collection, a log record's that of the run's end.
    moments = MOMENTS if "logRecords" in value or "body" in value else {*MOMENTS, "timeUnixNano"}
    return {key: _stripped(item) for key, item in value.items() if key not in moments and key != "version"}


def _order(item: Any) -> str:
    return json.dumps(item, sort_keys=True)
