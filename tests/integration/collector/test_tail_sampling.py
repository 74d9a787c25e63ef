# SPDX-License-Identifier: Apache-2.0
"""tail-sampling.yaml keeps what is worth a look and a share of the rest, and never touches events or metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest
from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode

from agent_outcomes.otlp.json_codec import from_otlp_json
from agent_outcomes.outcome.finish_reasons import FINISH_WORDS, NO_ENDS
from agent_outcomes.outcome.spellings import STATUS_WORDS, TYPE_WORDS
from agent_outcomes.semconv import OutcomeType, Status
from tests.integration.backend_stack import DEMO_RUNS, run_demo
from tests.integration.backends import wait_until
from tests.integration.forwarding import forwarding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.integration.otelcol import Collector

pytestmark = pytest.mark.backends

MessageT = TypeVar("MessageT", bound=Message)

STATUS_ERROR = 2
HIGH_VALUE = 1000
NOT_KEPT = {Status.SUCCESS, Status.CANCELLED}
ARRIVAL_TIMEOUT_S = 60
LAST = "last"


@dataclass(frozen=True, slots=True)
class Sampled:
    """A collector with tail-sampling.yaml, and the one behind it that takes what is left in files."""

    collector: Collector
    sink: Collector


@pytest.fixture
def sampled(otelcol_binary: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sampled]:
    """The two collectors; the share of the rest to keep, in percent, is the fixture's parameter."""
    env = {"SAMPLED_PERCENT": str(request.param), "ROOT_WAIT": "2s"}
    with forwarding(otelcol_binary, tmp_path, "tail-sampling.yaml", env) as (collector, sink):
        yield Sampled(collector, sink)


@pytest.mark.parametrize("sampled", [5], indirect=True)
def test_all_that_matters_is_kept_and_counters_stay_exact(sampled: Sampled, tmp_path: Path) -> None:
    """The demo at 5 %: each failed, retryable, escalated or high-value run's whole trace is kept, of the rest a few."""
    demo = run_demo(sampled.collector.grpc_endpoint, tmp_path / "demo")
    sent = _spans_by_trace(tmp_path / "demo" / "traces.json")
    events = _events(tmp_path / "demo" / "logs.json")
    wanted = {trace_id for trace_id, event in events.items() if _is_wanted(event)}
    failed = {trace_id for trace_id, event in events.items() if event["agent.outcome.status"] in ("failure", "timeout")}
    rest = {
        trace_id
        for trace_id, spans in sent.items()
        if trace_id not in wanted and all(span.status.code != STATUS_ERROR for span in spans.values())
    }
    wait_until(lambda: wanted <= _kept(sampled.sink).keys(), ARRIVAL_TIMEOUT_S)
    wait_until(lambda: len(sampled.sink.log_records()) == DEMO_RUNS, ARRIVAL_TIMEOUT_S)

    kept = _kept(sampled.sink)
    assert failed <= wanted
    assert {trace_id: set(sent[trace_id]) for trace_id in wanted} == {trace_id: kept[trace_id] for trace_id in wanted}
    assert 0.01 < len(rest & kept.keys()) / len(rest) < 0.1
    printed = next(row for row in demo.table("Runs by status") if row["agent"] == "all")
    wait_until(lambda: sum(_runs_by_status(sampled.sink).values()) == DEMO_RUNS, ARRIVAL_TIMEOUT_S)
    assert _runs_by_status(sampled.sink) == {
        status: int(count) for status, count in printed.items() if status not in ("agent", "runs")
    }


def _is_wanted(event: dict[str, object]) -> bool:
    status = event["agent.outcome.status"]
    return (
        # A status of success or cancelled that the span does not state can only be wanted for another reason.
        status not in NOT_KEPT
        or event.get("agent.outcome.retryable") is True
        or event.get("agent.outcome.type") == OutcomeType.ESCALATED
        or abs(float(str(event.get("agent.outcome.value", 0)))) >= HIGH_VALUE
    )


def _requests(path: Path, message_type: type[MessageT]) -> Iterator[MessageT]:
    return (from_otlp_json(line, message_type) for line in path.read_text().split("\n") if line)


def _spans_by_trace(path: Path) -> dict[str, dict[str, Span]]:
    found: defaultdict[str, dict[str, Span]] = defaultdict(dict)
    for request in _requests(path, ExportTraceServiceRequest):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    found[span.trace_id.hex()][span.span_id.hex()] = span
    return found


def _events(path: Path) -> dict[str, dict[str, object]]:
    return {
        record.trace_id.hex(): {pair.key: _scalar(pair) for pair in record.attributes}
        for request in _requests(path, ExportLogsServiceRequest)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    }


def _scalar(pair: KeyValue) -> object:
    member = pair.value.WhichOneof("value")
    return getattr(pair.value, member) if member is not None else None


def _kept(sink: Collector) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for span in sink.spans():
        found[span.trace_id.hex()].add(span.span_id.hex())
    return dict(found)


def _runs_by_status(sink: Collector) -> dict[str, int]:
    points = [point for metric in sink.metrics_named("agent.runs") for point in metric.sum.data_points]
    newest_ns = max((point.time_unix_nano for point in points), default=0)
    counted: Counter[str] = Counter()
    for point in points:
        if point.time_unix_nano == newest_ns:
            status = next(str(_scalar(pair)) for pair in point.attributes if pair.key == "agent.outcome.status")
            counted[status] += int(point.as_double or point.as_int)
    return dict(counted)


def _reasons() -> Iterator[tuple[str, object, bool]]:
    key = "gen_ai.agent.finish_reason"
    for reason, rule in FINISH_WORDS.items():
        for spelling in (reason, f" {reason.upper()} ", reason.replace("_", "-"), f"TASK_STATE_{reason.upper()}"):
            yield key, spelling, rule.status not in NOT_KEPT
    yield from ((key, reason, False) for reason in (*NO_ENDS, ""))
    yield key, "out of ideas", True


def _cases() -> Iterator[tuple[str, object, bool]]:
    """Attribute, value, and whether a trace whose only span has it must be kept."""
    for word, meaning in STATUS_WORDS.items():
        for spelling in (word, f" {word.upper()} ", word.replace("_", "-"), f"TASK_STATE_{word.upper()}"):
            yield "agent.outcome.status", spelling, meaning.status not in NOT_KEPT
    yield "agent.outcome.status", "sucess", True
    yield "agent.outcome.status", True, False
    yield "agent.outcome.status", False, True
    for word, outcome_type in TYPE_WORDS.items():
        for spelling in (word, word.upper(), word.replace("_", " ")):
            yield "agent.outcome.type", spelling, outcome_type is OutcomeType.ESCALATED
    yield from _reasons()
    for retryable in (True, "true", "True", False, "false"):
        yield "agent.outcome.retryable", retryable, str(retryable).lower() == "true"
    for value in (1000, 1000.0, "1000.00", -1000.5, "-2e3", 10**9):
        yield "agent.outcome.value", value, True
    for value in (999.99, "999.99", -5, "much", True):
        yield "agent.outcome.value", value, False


@pytest.mark.parametrize("sampled", [0], indirect=True)
def test_every_spelling_is_judged_as_the_package_does(sampled: Sampled) -> None:
    """One trace per word of the package's tables, and per value at the limit; no share of the rest: kept or not."""
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{sampled.collector.http_endpoint}/v1/traces")))
    tracer = provider.get_tracer("cases")
    cases = list(_cases())
    for number, (attribute, value, _) in enumerate(cases):
        tracer.start_span(str(number), attributes={attribute: value}).end()  # type: ignore[dict-item] # scalars only
    provider.force_flush()
    # Decided last, as it came last.
    with tracer.start_as_current_span(LAST) as span:
        span.set_status(SpanStatus(StatusCode.ERROR))
    provider.shutdown()
    wait_until(lambda: LAST in {span.name for span in sampled.sink.spans()}, ARRIVAL_TIMEOUT_S)
    assert sampled.collector.stop() == 0
    kept = {span.name for span in sampled.sink.spans()} - {LAST}
    assert {case: str(number) in kept for number, case in enumerate(cases)} == {case: case[2] for case in cases}
