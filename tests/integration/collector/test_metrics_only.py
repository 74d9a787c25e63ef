# SPDX-License-Identifier: Apache-2.0
"""The collector's metrics-only.yaml says of the same spans what the processor says."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from agent_outcomes import semconv
from agent_outcomes.otlp.json_codec import from_otlp_json
from agent_outcomes.outcome.finish_reasons import FINISH_WORDS, NO_ENDS, FinishReason
from agent_outcomes.outcome.spellings import KIND_WORDS, STATUS_WORDS, TYPE_WORDS
from agent_outcomes.outcome.vendor_codes import TYPE_RULES
from agent_outcomes.run.conventions import AGENT_NAME_KEYS, KEY_ROLES, KIND_ROLES, UNNAMED
from agent_outcomes.run.evidence import pause_of
from agent_outcomes.run.stated_errors import ANSWERED_KEYS
from agent_outcomes.run.usage_keys import REQUEST_MODEL_KEYS
from agent_outcomes.semconv import ErrorCategory
from tests.exported import LOCAL, SERVER, Sent, agent
from tests.integration.backend_stack import DEMO_RUNS, run_demo
from tests.integration.backends import Prometheus, free_port, wait_until
from tests.integration.otelcol import PIPELINE, ROOT, Collector
from tests.pipeline import AGENT, TOOL, Labels, Pipeline
from tests.tools.metrics_only.runs import STEPS_MAX
from tests.white_space import KEPT, TRIMMED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

from tests.integration.collector.metrics_only import (
    AMOUNTS,
    ERROR_NAMES,
    FRAMEWORK_ROOTS,
    GRAPH_SCOPES,
    GRAPHS,
    INSTRUMENTS,
    METRICS_ONLY,
    OPENAI_COST,
    POOLS,
    SPELLINGS,
    Case,
    Totals,
    agree,
    by_collector,
    counted,
    differences,
    random_case,
    record,
    running,
    scalar,
    send,
    stated,
    stop,
)

pytestmark = pytest.mark.backends

GENERATE: Final = (sys.executable, "-m", "tests.tools.generate_metrics_only")
RANDOM_SPANS: Final = 2000


@pytest.mark.parametrize("spell", SPELLINGS)
def test_every_word_of_every_table(otelcol_binary: Path, tmp_path: Path, spell: Any) -> None:
    """Each accepted spelling of a status, type or kind means the same to both, all six statuses among them."""
    cases = [Case(stated(status=spell(word))) for word in STATUS_WORDS]
    cases += [Case(stated(type=spell(word))) for word in TYPE_WORDS]
    cases += [
        Case(stated(status="ok") | {"agent.cost.amount": 2, "agent.cost.kind": spell(word)}) for word in KIND_WORDS
    ]
    totals = agree(otelcol_binary, tmp_path, cases)
    seen = {dict(labels)["agent.outcome.status"] for labels in totals["agent.runs"]}
    assert seen == {one.value for one in semconv.Status}
    assert sum(totals["agent.runs"].values()) == len(cases)


def test_every_row_of_the_error_table(otelcol_binary: Path, tmp_path: Path) -> None:
    """An error gives status, category and retryability, recorded or named, alone and beside each stated status."""
    cases = [Case(AGENT, status=StatusCode.ERROR, exceptions=(name,)) for name in ERROR_NAMES]
    cases += [Case(AGENT | {"error.type": name}, status=StatusCode.ERROR) for name in ERROR_NAMES]
    cases += [Case(AGENT | {"error.type": name}) for name in ERROR_NAMES]
    cases += [
        Case(stated(status=status.value), status=StatusCode.ERROR, exceptions=(name,))
        for status in semconv.Status
        for name in ERROR_NAMES[:: len(semconv.Status)]
    ]
    cases += [Case(AGENT, exceptions=("builtins.TimeoutError",)), Case(AGENT, status=StatusCode.OK)]
    totals = agree(otelcol_binary, tmp_path, cases)
    assert {dict(labels).get("agent.outcome.retryable") for labels in totals["agent.runs"]} == {True, False, None}


def test_every_finish_reason(otelcol_binary: Path, tmp_path: Path) -> None:
    """A finish reason, in known words and unknown ones, on spans of each status."""
    reasons = [*FINISH_WORDS, *NO_ENDS, *STATUS_WORDS, " Task-State-FAILED ", "out of ideas", ""]
    cases = [Case(AGENT | {"gen_ai.agent.finish_reason": one}, status=end) for one in reasons for end in StatusCode]
    totals = agree(otelcol_binary, tmp_path, cases)
    assert {dict(labels)["agent.outcome.status"] for labels in totals["agent.runs"]} == {*semconv.Status}


def test_an_answer_that_is_not_there(otelcol_binary: Path, tmp_path: Path) -> None:
    """The AI SDK says with which finish reason a call of its has ended, if with any."""
    named = AGENT | {"gen_ai.request.model": "m"}
    marks = [(named, "invoke_agent m", "gen_ai"), (named, "invoke_agent m", "app"), (named, "invoke_agent x", "gen_ai")]
    marks += [({"ai.operationId": word}, word, "ai") for word in map(str, KIND_ROLES["ai.operationId"])]
    answers = [{}, *({key: "stop"} for key in sorted(ANSWERED_KEYS)), {"gen_ai.agent.finish_reason": "odd"}]
    answers += [{"gen_ai.agent.finish_reason": "tool_calls"}, {"gen_ai.agent.finish_reason": "max_tokens"}]
    cases = [
        Case(mark | answer, name=name, scope=scope, status=status)
        for mark, name, scope in marks
        for answer in answers
        for status in StatusCode
    ]
    runs = agree(otelcol_binary, tmp_path, cases)["agent.runs"]
    assert "unknown" in {dict(labels).get("agent.outcome.status") for labels in runs}


def test_stated_categories_and_flags(otelcol_binary: Path, tmp_path: Path) -> None:
    """A stated category or flag overrides what the status or the error gives, in the same order for both."""
    categories = [None, *(one.value for one in ErrorCategory), "my_own"]
    cases = [
        Case(stated(status=status, **({"error.category": category} if category else {}), **flag))
        for status in ("failure", "timeout", "rejected", "success", "unknown")
        for category in categories
        for flag in ({}, {"retryable": True}, {"retryable": "false"}, {"source": "inferred"})
    ]
    agree(otelcol_binary, tmp_path, cases)


def test_money_is_taken_or_refused_alike(otelcol_binary: Path, tmp_path: Path) -> None:
    """Every form of amount and every currency: what one carries the other carries, what one refuses the other does."""
    cases = [Case(stated(type="converted", value=amount)) for amount in AMOUNTS]
    cases += [Case(stated(label="x", cost=amount)) for amount in AMOUNTS]
    cases += [Case(AGENT | {"agent.cost.amount": amount, "agent.cost.kind": "human"}) for amount in AMOUNTS]
    cases += [Case(AGENT | {OPENAI_COST: amount}) for amount in AMOUNTS]
    cases += [Case(stated(value=1, currency=currency)) for currency in POOLS["agent.outcome.currency"]]
    cases += [
        Case(AGENT | {"agent.cost.amount": "0.25", "agent.cost.kind": kind, OPENAI_COST: 0.5}) for kind in KIND_WORDS
    ]
    totals = agree(otelcol_binary, tmp_path, cases)
    assert sum(totals["agent.outcome.reversal.value"].values()) == pytest.approx(3 + 0.1 + 1.5)


@pytest.mark.parametrize("is_trimmed", [True, False])
def test_white_space_is_trimmed_alike(otelcol_binary: Path, tmp_path: Path, *, is_trimmed: bool) -> None:
    """Before and behind every word and amount: ASCII's goes, any other is part of it."""
    cases = [
        Case(stated(**{key: f"{before}{word}{behind}"}, **more))
        for space in (TRIMMED if is_trimmed else KEPT)
        for before, behind in ((space, ""), ("", space), (space, space))
        for key, word, more in (
            ("status", "failed", {}),
            ("success", "false", {}),
            ("type", "converted", {}),
            ("retryable", "true", {"status": "failure"}),
            ("value", "5", {"label": "v"}),
            ("value", "-2.50", {"label": "v"}),
            ("cost", "0.25", {"label": "v"}),
            ("currency", "eur", {"value": "5"}),
        )
    ]
    cases += [
        Case(AGENT | {"agent.cost.amount": f"{space}2", "agent.cost.kind": f"human{space}"})
        for space in (TRIMMED if is_trimmed else KEPT)
    ]
    totals = agree(otelcol_binary, tmp_path, cases)
    carried = sum(totals.get("agent.outcome.value", {}).values())
    # What is 5 in one of its forms, and 5 euros in the other.
    assert carried == (len(TRIMMED) * 3 * 10 if is_trimmed else 0)


def test_what_names_an_error_is_taken_in_one_order(otelcol_binary: Path, tmp_path: Path) -> None:
    """Recorded before stated, and a vendor's word for many kinds of errors behind all names and statuses."""
    names = [*TYPE_RULES, "API_Error", "TypeError", "ValueError", "openai.RateLimitError", "MyOwnError", "404", "503"]
    names += ["AcmeReadTimeoutError", "acme.AcmeRateLimitExceeded"]
    cases = [
        Case(AGENT | {"error.type": told} | status, status=StatusCode.ERROR, exceptions=(recorded,))
        for told in names
        for recorded in names
        for status in ({}, {"http.response.status_code": 429})
    ]
    cases += [Case(AGENT | {"error.type": told}, status=code) for told in names for code in StatusCode]
    agree(otelcol_binary, tmp_path, cases)


@pytest.mark.parametrize("zero", ["-0", "-0.0", "-.0", "-00.", -0.0])
def test_nothing_below_nothing_is_nothing(otelcol_binary: Path, tmp_path: Path, zero: object) -> None:
    """A zero with a sign is a cost of zero, however it is written."""
    cases = [Case(stated(label="x", cost=zero)), Case(stated(label="x", value=zero))]
    cases += [Case(AGENT | {"agent.cost.amount": zero, "agent.cost.kind": "human"}), Case(AGENT | {OPENAI_COST: zero})]
    totals = agree(otelcol_binary, tmp_path, cases)
    assert set(totals["agent.run.cost"].values()) == {0.0}


def test_marks_of_every_convention(otelcol_binary: Path, tmp_path: Path) -> None:
    """Which root is a run by its marks alone: operations, kinds, pairs of them, and frameworks' unmarked roots."""
    operations = POOLS["gen_ai.operation.name"]
    marks = [{"gen_ai.operation.name": operation} for operation in operations]
    marks += [{key: kind} for key in KIND_ROLES for kind in POOLS[key]]
    marks += [mark | {key: kind} for mark in marks[: len(operations)] for key in KIND_ROLES for kind in POOLS[key]]
    marks += [{key: kind} | {other: "AGENT"} for key in KIND_ROLES for other in KIND_ROLES for kind in POOLS[key]]
    name = semconv.GEN_AI_AGENT_NAME
    cases = [Case(mark, told_by=name) for mark in marks]
    cases += [Case(name=root, scope=scope, told_by=name) for scope, root in FRAMEWORK_ROOTS]
    retriever = {"openinference.span.kind": "RETRIEVER"}
    cases += [Case(retriever, name=root, scope=scope, told_by=name) for scope, root in FRAMEWORK_ROOTS]
    cases += [Case(graph, name="desk", scope=scope, told_by=name) for scope in GRAPH_SCOPES for graph in GRAPHS]
    cases += [Case({key: 10}, name="desk", told_by=name) for key in KEY_ROLES]
    cases += [Case(mark, name="desk", told_by=name) for mark in marks]
    cases += [Case({"gen_ai.operation.name": "invoke_swarm"}, scope="strands.telemetry.tracer", told_by=name)]
    runs = agree(otelcol_binary, tmp_path, cases)["agent.runs"]
    assert 0 < len(runs) < len(cases)


def test_agents_are_named_alike(otelcol_binary: Path, tmp_path: Path) -> None:
    """From the attributes in their order, else from the name of an internal span; a callee's usage is its own."""
    kinds = list(SpanKind)
    cases = [Case(AGENT | {"gen_ai.usage.input_tokens": 5, OPENAI_COST: 2}, kind=kind) for kind in kinds]
    cases += [Case(name=name, kind=kind) for kind in kinds for name in ("a b.workflow", ".workflow")]
    cases += [Case(AGENT | {key: f"by {key}"}) for key in AGENT_NAME_KEYS]
    cases += [Case(AGENT, name=name, scope=scope) for name in sorted(map(str, UNNAMED)) for scope in ("app", "crewai")]
    cases += [
        Case(AGENT, name=name, scope=scope)
        for name in ("generate", "invocation", "workflow.run", "menu")
        for scope in ("app", "genkit-tracer", "gcp.vertex.agent", "agent_framework")
    ]
    cases += [
        Case(AGENT | {key: model}, name=name)
        for key in REQUEST_MODEL_KEYS
        for model in ("m", 5)
        for name in ("invoke_agent m", "m", "invoke_agent 5")
    ]
    cases += [
        Case(AGENT | dict.fromkeys(AGENT_NAME_KEYS[:2], value) | {key: "x"})
        for key in AGENT_NAME_KEYS[2:]
        for value in ("", 5)
    ]
    names = ("invoke_agent", "invoke_agent  x ", "chat", "x.kickoff", "", "y" * 300)
    agree(otelcol_binary, tmp_path, [*cases, *(Case(AGENT, name=name) for name in names)])


def names_and_statuses(found: Totals) -> dict[tuple[object, object], float | int]:
    """The runs by their agent and status."""
    return {
        (dict(labels).get("gen_ai.agent.name"), dict(labels)["agent.outcome.status"]): count
        for labels, count in found["agent.runs"].items()
    }


def test_an_agent_below_another_span(otelcol_binary: Path, tmp_path: Path) -> None:
    """Below a web server's span the outermost agent counts, and what is nested in it does not."""
    pipeline = Pipeline(after=[SimpleSpanProcessor(kept := InMemorySpanExporter())])
    tracer = pipeline.tracer()
    caller = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    remote = trace.set_span_in_context(NonRecordingSpan(caller))
    with tracer.start_as_current_span("invoke_agent callee", remote, attributes=AGENT):
        pass
    server, span = partial(tracer.start_as_current_span, kind=SpanKind.SERVER), tracer.start_as_current_span
    for parent in (None, remote):
        with (
            server("POST /", parent),
            span("executing route"),
            span("invoke_agent silent", attributes=AGENT),
            span("search", attributes=TOOL),
            span("invoke_agent helper", attributes=AGENT),
        ):
            pass
        with server("POST /", parent), span("invoke_agent telling", attributes=stated(status="timeout")):
            with span("invoke_agent handoff", attributes=AGENT):
                pass
            with span("search", attributes=TOOL | {"agent.outcome.label": "lost"}):
                pass
    with server("POST /", attributes={"agent.outcome.status": "partial"}), span("invoke_agent x", attributes=AGENT):
        pass
    found, _ = by_collector(otelcol_binary, tmp_path, kept.get_finished_spans())
    assert names_and_statuses(found) == {
        ("callee", "success"): 1,
        ("silent", "success"): 2,
        ("telling", "timeout"): 2,
        (None, "partial"): 1,
    }
    assert found["agent.outcomes"] == {}


def test_an_agent_of_which_what_is_above_has_not_come(otelcol_binary: Path, tmp_path: Path) -> None:
    """It may be nested in one that is still open, so that it is not counted unless it states an outcome."""
    pipeline = Pipeline(after=[SimpleSpanProcessor(kept := InMemorySpanExporter())])
    tracer = pipeline.tracer()
    start = tracer.start_as_current_span
    with start("invoke_agent outer", attributes=AGENT), start("search", attributes=TOOL):
        with start("invoke_agent inner", attributes=AGENT):
            pass
        with start("invoke_agent told", attributes=stated(job_type="j")):
            pass
        early = kept.get_finished_spans()
        kept.clear()
    with running(otelcol_binary, tmp_path) as collector:
        send(collector, early)
        send(collector, kept.get_finished_spans())
        stop(collector, tmp_path)
    assert names_and_statuses(counted(tmp_path / "outcomes.json")) == {("told", "success"): 1, ("outer", "success"): 1}


@pytest.mark.parametrize(("depth", "count"), [(0, 1), (STEPS_MAX - 1, 1), (STEPS_MAX, 0)])
def test_how_far_above_is_looked(otelcol_binary: Path, tmp_path: Path, depth: int, count: int) -> None:
    """Web frameworks' middleware makes spans, too; a chain longer than any known is not followed to its end."""
    pipeline = Pipeline(after=[SimpleSpanProcessor(kept := InMemorySpanExporter())])
    with ExitStack() as stack:
        start = pipeline.tracer().start_as_current_span
        stack.enter_context(start("POST /", kind=SpanKind.SERVER))
        for _ in range(depth):
            stack.enter_context(start("middleware"))
        stack.enter_context(start("invoke_agent a", attributes=AGENT))
    with start("invoke_agent b", attributes=AGENT):
        pass
    found, _ = by_collector(otelcol_binary, tmp_path, kept.get_finished_spans())
    assert names_and_statuses(found).get(("a", "success"), 0) == count
    assert names_and_statuses(found)["b", "success"] == 1


def test_a_server_span_without_flags_begins_a_process(otelcol_binary: Path, tmp_path: Path) -> None:
    """As SDKs send it that set no flags; any other parent that has not come may be an agent's."""
    spans = [
        Sent(id=2, parent=1, kind=SERVER, name="POST /"),
        Sent(id=3, parent=2, attributes=agent("below"), name="invoke_agent below"),
        Sent(id=4, parent=9, attributes=agent("orphan"), name="invoke_agent orphan"),
        Sent(id=5, parent=8, kind=SERVER, flags=LOCAL, name="POST /inner"),
        Sent(id=6, parent=5, attributes=agent("inner"), name="invoke_agent inner"),
    ]
    scope_spans = {"scope": {"name": "app"}, "spans": [span.to_json() for span in spans]}
    body = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [scope_spans]}]})
    with running(otelcol_binary, tmp_path) as collector:
        connection = http.client.HTTPConnection(collector.http_endpoint.removeprefix("http://"), timeout=10)
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        stop(collector, tmp_path)
    assert names_and_statuses(counted(tmp_path / "outcomes.json")) == {("below", "success"): 1}


def test_random_spans(otelcol_binary: Path, tmp_path: Path) -> None:
    """Attributes drawn at random from all words, amounts and nonsense: not one sum differs.

    What a run has used that stops to ask a human the collector alone does not count.
    """
    dice = random.Random(20261121)
    cases = [random_case(dice) for _ in range(RANDOM_SPANS)]
    agree(otelcol_binary, tmp_path, [case for case in cases if not is_paused(case)])


def is_paused(case: Case) -> bool:
    named = [*case.exceptions, str(case.attributes.get("error.type", ""))]
    ended = case.attributes.get("gen_ai.agent.finish_reason")
    rule = FinishReason(ended).rule if isinstance(ended, str) else None
    return (rule is not None and rule.paused) or any(pause_of(name) is not None for name in named)


def test_totals_of_the_demo(otelcol_binary: Path, tmp_path: Path) -> None:
    """The demo's 1,000 runs, counted by the processor in the demo and by the collector from the traces it was sent.

    What differs is what the file says it cannot do: a cancelled task whose span says nothing of it, and what lies on
    the spans below.
    """
    with running(otelcol_binary, tmp_path, PIPELINE) as collector:
        demo = run_demo(collector.grpc_endpoint, tmp_path / "demo")
        stop(collector, tmp_path)
    expected, found = counted(demo.folder / "metrics.json"), counted(tmp_path / "outcomes.json")
    unseen = unseen_by_the_collector(collector)
    assert len(unseen) == DEMO_CANCELLED_UNSEEN
    for attributes in unseen:
        for name in ("agent.runs", "agent.run.duration", "agent.outcomes"):
            move(expected[name], labels_of(name, attributes), labels_of(name, attributes | ENDED_CLEAN))
    for name in BELOW_THE_RUN:
        assert expected.pop(name)
        assert not found.pop(name)
    assert sum(found["agent.runs"].values()) == DEMO_RUNS
    assert sum(found["agent.outcomes"].values()) == DEMO_OUTCOMES
    assert differences({name: expected[name] for name in found}, found) == []


DEMO_OUTCOMES: Final = 930
DEMO_CANCELLED_UNSEEN: Final = 18
BELOW_THE_RUN: Final = ("agent.run.cost", "agent.run.tokens", "agent.outcome.cost")
# `None` takes a label away.
ENDED_CLEAN: Final = {semconv.AGENT_OUTCOME_STATUS: "success", semconv.AGENT_OUTCOME_ERROR_CATEGORY: None}


def unseen_by_the_collector(collector: Collector) -> list[dict[str, Any]]:
    """The events of runs whose status came from an exception that their span shows no trace of."""
    unset = {span.span_id for span in collector.spans() if span.status.code == span.status.STATUS_CODE_UNSET}
    records = [one for one in collector.log_records() if one.span_id in unset]
    events = [{pair.key: scalar(pair.value) for pair in one.attributes} for one in records]
    return [event for event in events if str(event[semconv.AGENT_OUTCOME_EVIDENCE]).startswith("exception:")]


def test_a_pipeline_beside_keeps_the_spans_as_they_are(otelcol_binary: Path, tmp_path: Path) -> None:
    """What another pipeline of the same receiver writes is what was sent: this one changes a copy."""
    _, spans = record([Case(stated(status="OK", value="2.50"))])
    with running(otelcol_binary, tmp_path, PIPELINE) as collector:
        send(collector, spans)
        stop(collector, tmp_path)
        assert collector.traces() == [encode_spans(spans)]
    assert sum(counted(tmp_path / "outcomes.json")["agent.outcome.value"].values()) == 2.5


def labels_of(name: str, attributes: Mapping[str, Any]) -> Labels:
    """An instrument's labels out of an event's attributes."""
    (instrument,) = (one for one in INSTRUMENTS if one.name == name)
    return frozenset((key, attributes[key]) for key in instrument.attributes if attributes.get(key) is not None)


def move(sums: dict[Labels, float | int], source: Labels, target: Labels) -> None:
    """Count one under other labels."""
    sums[source] -= 1
    sums[target] = sums.get(target, 0) + 1
    if not sums[source]:
        del sums[source]


def test_names_units_and_kinds_are_the_packages(otelcol_binary: Path, tmp_path: Path) -> None:
    """Each metric has the registry's unit, description and buckets, is cumulative and only grows; its scope apart."""
    _, spans = record(
        [Case(stated(type="converted", value=value, cost=1) | USAGE, told_by="gen_ai.agent.name") for value in (1, -1)]
    )
    with running(otelcol_binary, tmp_path) as collector:
        send(collector, spans)
        stop(collector, tmp_path)
    (line,) = (tmp_path / "outcomes.json").read_text().splitlines()
    (resource,) = from_otlp_json(line, ExportMetricsServiceRequest).resource_metrics
    metrics = {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
    absent = {semconv.AGENT_OUTCOME_REVERSALS.name, semconv.AGENT_OUTCOME_REVERSAL_COST.name}
    assert metrics.keys() == {instrument.name for instrument in INSTRUMENTS} - absent
    for instrument in INSTRUMENTS:
        if instrument.name in metrics:
            metric = metrics[instrument.name]
            data = metric.histogram if metric.HasField("histogram") else metric.sum
            assert (metric.unit, metric.description) == (instrument.unit, instrument.description)
            assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
            assert metric.HasField("histogram") or metric.sum.is_monotonic
            bounds = {tuple(point.explicit_bounds) for point in metric.histogram.data_points}
            assert bounds in ({instrument.buckets}, set())


USAGE: Final = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}


def test_requests_at_once_are_all_counted(otelcol_binary: Path, tmp_path: Path) -> None:
    """Eight senders at once: every span is counted. Without the batch processor deltatocumulative drops some."""
    _, spans = record([Case(AGENT)])
    with running(otelcol_binary, tmp_path) as collector:
        with ThreadPoolExecutor(SENDERS) as pool:
            for sent in [pool.submit(send_often, collector, spans) for _ in range(SENDERS)]:
                sent.result()
        stop(collector, tmp_path)
    assert sum(counted(tmp_path / "outcomes.json")["agent.runs"].values()) == SENDERS * REQUESTS


SENDERS: Final = 8
REQUESTS: Final = 50


def send_often(collector: Collector, spans: Sequence[ReadableSpan]) -> None:
    """One request after the other."""
    exporter = OTLPSpanExporter(endpoint=f"{collector.http_endpoint}/v1/traces")
    for _ in range(REQUESTS):
        assert exporter.export(spans) is SpanExportResult.SUCCESS


@pytest.mark.parametrize("way", ["fetched", "sent"])
def test_prometheus_has_the_totals(
    otelcol_binary: Path, backend_binary: Callable[[str], Path], tmp_path: Path, way: str
) -> None:
    """A Prometheus that fetches them and one that is sent them see the sums over several batches, under one name."""
    _, spans = record([Case(stated(type="converted", value="2.5", currency="EUR"), told_by="gen_ai.agent.name")])
    address = f"127.0.0.1:{free_port()}"
    scrapes = [address] if way == "fetched" else []
    with Prometheus(backend_binary("prometheus"), tmp_path / "prometheus", scrapes=scrapes) as server:
        exporters = "[prometheus]" if way == "fetched" else "[otlp_http/prometheus]"
        variables = {
            "SCRAPE_ENDPOINT": address,
            "METRICS_EXPORTERS": exporters,
            "PROMETHEUS_ENDPOINT": server.otlp_endpoint,
        }
        with running(otelcol_binary, tmp_path, **variables) as collector:
            for count in range(1, 4):
                send(collector, spans)
                sums = {"agent_runs_total": count, "agent_outcome_value_total": 2.5 * count}
                wait_until(partial(holds, server, sums), 30)
        (series,) = server.query("agent_runs_total")
        assert server.value("sum(agent_run_duration_seconds_count)") == 3
    labels = series["metric"]
    assert labels.pop("job")
    # Where it is told to promote scopes, as backends.yaml says.
    labels.pop("otel_scope_name", None)
    assert labels == {
        "__name__": "agent_runs_total",
        "agent_outcome_retryable": "false",
        "agent_outcome_source": "inferred",
        "agent_outcome_status": "success",
        "gen_ai_agent_name": "case 00000",
        **({"instance": address} if way == "fetched" else {}),
    }


def holds(server: Prometheus, sums: Mapping[str, float]) -> bool:
    """Whether the sums over all series of these metrics are these."""
    return {name: server.value(f"sum({name})") for name in sums} == sums


def test_one_unreadable_span_loses_only_itself(otelcol_binary: Path, tmp_path: Path) -> None:
    """Not a number among amounts: the run is counted without it, and so are all others of the batch."""
    _, spans = record([Case(stated(value=float("nan"))), Case(stated(value=1)), Case(stated(value="1e400"))])
    found, _ = by_collector(otelcol_binary, tmp_path, spans)
    assert sum(found["agent.runs"].values()) == 3
    assert sum(found["agent.outcome.value"].values()) == 1


def test_file_is_what_the_tables_say() -> None:
    """The committed file is the generated one."""
    done = subprocess.run([*GENERATE, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_generator_notices_drift_and_mends_it(tmp_path: Path) -> None:
    """A changed file is named and the exit code is 1; written anew it is the committed one."""
    (tmp_path / "collector-config").mkdir()
    copy = tmp_path / "collector-config" / METRICS_ONLY.name
    copy.write_text(METRICS_ONLY.read_text().replace('"ok": "success", ', ""))
    command = [*GENERATE, "--root", str(tmp_path)]
    checked = subprocess.run([*command, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, "metrics-only.yaml has drifted" in checked.stdout) == (1, True)
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert copy.read_text() == METRICS_ONLY.read_text()
