# SPDX-License-Identifier: Apache-2.0
"""The demo as its users run it, in a process of its own; its figures are counted again here from what it exported."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.otlp.json_codec import from_otlp_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.integration.otelcol import Collector

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "examples" / "demo.py"
DEADLINE_S: Final = 60
POLL_S: Final = 0.05

RUNS: Final = {"sales": 250, "support": 500, "coding": 250}
PERCENT: Final = {
    ("sales", "converted"): 12,
    ("support", "deflected"): 80,
    ("support", "escalated"): 8,
    ("support", "converted"): 12,
    ("coding", "converted"): 72,
    ("coding", "escalated"): 10,
    ("coding", "custom"): 18,
}
AGENT: Final = "gen_ai.agent.name"

MessageT = TypeVar("MessageT", bound=Message)
Done = subprocess.CompletedProcess[str]


def _environment(**more: str) -> dict[str, str]:
    outside = ("OTEL_", "AGENT_OUTCOMES_", "ENDPOINT")
    return {key: value for key, value in os.environ.items() if not key.startswith(outside)} | more


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(DEMO), *arguments]


def _run(*arguments: str, **environment: str) -> Done:
    return subprocess.run(
        _command(*arguments),
        cwd=ROOT,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


class Exported:
    """What the demo wrote to a folder."""

    def __init__(self, done: Done, folder: Path) -> None:
        self.done = done
        self.spans = list(_spans(_read(folder / "traces.json", ExportTraceServiceRequest)))
        self.events = list(_log_records(_read(folder / "logs.json", ExportLogsServiceRequest)))
        metrics = list(_each_metric(_read(folder / "metrics.json", ExportMetricsServiceRequest)))
        self.metrics = _last_of_each(metrics)
        self.duration_points = [
            point for metric in metrics if metric.name == "agent.run.duration" for point in metric.histogram.data_points
        ]

    def roots(self) -> list[Span]:
        return [span for span in self.spans if not span.parent_span_id]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("demo")
    return Exported(_run("--out", str(folder), "--no-progress"), folder)


def _read(path: Path, message_type: type[MessageT]) -> list[MessageT]:
    return [from_otlp_json(line, message_type) for line in path.read_text(encoding="ascii").splitlines()]


def _spans(requests: Iterable[ExportTraceServiceRequest]) -> Iterator[Span]:
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def _log_records(requests: Iterable[ExportLogsServiceRequest]) -> Iterator[LogRecord]:
    for request in requests:
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                yield from scope.log_records


def _each_metric(requests: Iterable[ExportMetricsServiceRequest]) -> Iterator[Metric]:
    for request in requests:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def _last_of_each(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """What counts in the end, as the demo exports cumulative sums."""
    return {metric.name: metric for metric in metrics}


def _value(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "double_value":
            return repr(value.double_value)
        case "int_value":
            return str(value.int_value)
        case _:
            return str(value.bool_value)


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _sums(metric: Metric, *keys: str) -> dict[tuple[str, ...], Decimal]:
    sums: dict[tuple[str, ...], Decimal] = {}
    for point in metric.sum.data_points:
        labels = _attributes(point.attributes)
        key = tuple(labels.get(name, "") for name in keys)
        amount = Decimal(point.as_int) if point.HasField("as_int") else Decimal(repr(point.as_double))
        sums[key] = sums.get(key, Decimal(0)) + amount
    return sums


def _figures(done: Done) -> str:
    return done.stdout.partition("Runs by status")[2].partition("Sample traces")[0]


def _agents_by_trace(spans: Iterable[Span]) -> dict[bytes, str]:
    return {span.trace_id: _attributes(span.attributes)[AGENT] for span in spans if not span.parent_span_id}


def test_it_exits_with_0_and_prints_every_table(exported: Exported) -> None:
    """The demo agrees with its own plan and says so."""
    done = exported.done
    assert (done.returncode, done.stderr) == (0, "")
    for title in (
        "Runs by status",
        "Outcomes by type",
        "Value ratio by job type",
        "Cost per outcome",
        "Retryable failures",
        "Sample traces",
        "Check: events, metrics and traces agree with the plan",
    ):
        assert f"\n{title}" in done.stdout


def test_the_mixes_are_exact(exported: Exported) -> None:
    """Percentages, counted from the metrics and from the events, are those promised, to the run."""
    expected = {(agent, outcome): RUNS[agent] * percent // 100 for (agent, outcome), percent in PERCENT.items()}
    outcomes = _sums(exported.metrics["agent.outcomes"], AGENT, "agent.outcome.type")
    events = Counter(
        (found[AGENT], found.get("agent.outcome.type", "")) for found in map(_event_attributes, exported.events)
    )
    assert {key: outcomes[key] for key in expected} == expected
    assert {key: events[key] for key in expected} == expected


def test_every_run_is_counted_once_in_every_signal(exported: Exported) -> None:
    """1,000 runs in `agent.runs`, in the duration histogram, as events and as root spans, each event with its trace."""
    runs = _sums(exported.metrics["agent.runs"], AGENT)
    assert runs == {(agent,): count for agent, count in RUNS.items()}
    assert sum(point.count for point in exported.metrics["agent.run.duration"].histogram.data_points) == 1000
    events = [(event.trace_id, event.span_id) for event in exported.events]
    assert len(events) == len(set(events)) == 1000
    assert set(events) == {(span.trace_id, span.span_id) for span in exported.roots()}
    assert {event.event_name for event in exported.events} == {"agent.outcome"}


def test_every_status_is_seen_stated_and_inferred(exported: Exported) -> None:
    """Each status occurs, and all that an exception can say were also inferred from one."""
    seen = set(_sums(exported.metrics["agent.runs"], "agent.outcome.status", "agent.outcome.source"))
    inferred = {"success", "failure", "timeout", "cancelled", "invalid_output"}
    assert seen == {(status, "inferred") for status in inferred} | {
        (status, "explicit") for status in (*inferred, "partial")
    }


def test_exemplars_lead_to_traces(exported: Exported) -> None:
    """Every exemplar of the duration carries the ids of an exported run."""
    # Each export has those since the one before, so that the last one may have none.
    exemplars = {
        (exemplar.trace_id, exemplar.span_id) for point in exported.duration_points for exemplar in point.exemplars
    }
    assert exemplars
    assert exemplars <= {(span.trace_id, span.span_id) for span in exported.roots()}


def test_value_is_exact_to_the_cent(exported: Exported) -> None:
    """The value counters equal the sum of what the agents set on their spans."""
    expected: dict[tuple[str, ...], Decimal] = {}
    for span in exported.roots():
        found = _attributes(span.attributes)
        if "agent.outcome.value" in found:
            key = (found[AGENT], found.get("agent.outcome.currency", "USD"))
            expected[key] = expected.get(key, Decimal(0)) + Decimal(found["agent.outcome.value"])
    assert set(expected) == {("sales", "USD"), ("support", "USD"), ("coding", "EUR")}
    assert _sums(exported.metrics["agent.outcome.value"], AGENT, "agent.outcome.currency") == expected


def test_cost_is_exact_to_the_last_digit(exported: Exported) -> None:
    """The cost counters equal the sum over every span below a run: model calls, tools and human time."""
    agents = _agents_by_trace(exported.spans)
    expected: dict[tuple[str, ...], Decimal] = {}
    for span in exported.spans:
        found = _attributes(span.attributes)
        for name, kind in (("gen_ai.usage.cost", "llm"), ("agent.cost.amount", found.get("agent.cost.kind", ""))):
            if name in found:
                key = (agents[span.trace_id], kind)
                expected[key] = expected.get(key, Decimal(0)) + Decimal(found[name])
    assert {kind for _, kind in expected} == {"llm", "tool", "human"}
    assert _sums(exported.metrics["agent.run.cost"], AGENT, "agent.cost.kind") == expected


def test_tokens_equal_the_sum_of_the_leaves(exported: Exported) -> None:
    """The token counters equal the sum over the model calls."""
    agents = _agents_by_trace(exported.spans)
    expected: Counter[tuple[str, ...]] = Counter()
    for span in exported.spans:
        found = _attributes(span.attributes)
        for direction in ("input", "output"):
            expected[agents[span.trace_id], direction] += int(found.get(f"gen_ai.usage.{direction}_tokens", "0"))
    assert _sums(exported.metrics["agent.run.tokens"], AGENT, "gen_ai.token.type") == expected


def test_nothing_is_dropped_or_misunderstood(exported: Exported) -> None:
    """The processor counts no drops, no errors and no problems: model calls that were cut off lack no usage."""
    health = {name for name in exported.metrics if name.startswith("agent_outcomes.processor.")}
    told = [name for name in sorted(health) if exported.metrics[name].sum.data_points]
    assert told == ["agent_outcomes.processor.events"]


def test_the_same_seed_prints_the_same_figures(exported: Exported, tmp_path: Path) -> None:
    """Only the sampled trace ids and the time taken differ between two runs of one seed; another seed changes money."""
    again = _run("--out", str(tmp_path / "again"), "--seed", "7")
    other = _run("--out", str(tmp_path / "other"), "--seed", "8")
    assert _figures(again) == _figures(exported.done) != ""
    assert other.returncode == 0
    assert _figures(other) != _figures(again)
    percent = {line for line in _figures(again).splitlines() if line.endswith(" %")}
    assert percent == {line for line in _figures(other).splitlines() if line.endswith(" %")}


def test_the_readme_shows_what_is_printed(exported: Exported) -> None:
    """The tables in examples/README.md are those of the default seed, figure by figure."""
    assert _figures(exported.done) in (ROOT / "examples" / "README.md").read_text()


def test_a_figure_that_differs_is_named(tmp_path: Path) -> None:
    """With job types folded by a limit the metrics no longer match the plan: exit 1, each difference on a line."""
    done = _run("--out", str(tmp_path), AGENT_OUTCOMES_JOB_TYPES_MAX="1")
    assert done.returncode == 1
    assert "MISMATCH" in done.stdout
    assert "value by agent, job type, currency [sales, inbound_lead, USD]: expected" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--runs-scale", "0"), "not a whole number from 1"),
        (("--for", "soon"), "not a duration"),
        (("--endpoint", "ftp://localhost"), "not an OTLP endpoint"),
        (("--protocol", "udp"), "invalid choice"),
        (("--out", os.devnull), "cannot write to"),
    ],
)
def test_bad_arguments_exit_with_2(arguments: tuple[str, ...], reason: str) -> None:
    """Arguments that cannot be used end the demo before it starts, saying why."""
    done = _run(*arguments)
    assert done.returncode == 2
    assert reason in done.stderr


def test_help_shows_examples() -> None:
    """`--help` names the exit codes and shows commands to copy."""
    done = _run("--help")
    assert done.returncode == 0
    assert "exit codes:" in done.stdout
    assert "python examples/demo.py --endpoint http://localhost:4317" in done.stdout


class _Sink(ThreadingHTTPServer):
    """An OTLP/HTTP receiver that answers every request with one status."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _SinkHandler)
        self.status = status
        self.paths: Counter[str] = Counter()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": POLL_S})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _SinkHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Sink)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths[self.path] += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        pass


def test_an_endpoint_gets_all_three_signals_and_no_file_is_written() -> None:
    """Over HTTP to `ENDPOINT`, with the same check and tables, made from what was kept in memory."""
    sink = _Sink(200)
    try:
        before = {path.name for path in ROOT.iterdir()}
        done = _run("--protocol", "http/protobuf", ENDPOINT=sink.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert set(sink.paths) == {"/v1/traces", "/v1/logs", "/v1/metrics"}
        assert "Check: events, metrics and traces agree with the plan" in done.stdout
        assert "demo-out" not in {path.name for path in ROOT.iterdir()} - before
    finally:
        sink.stop()


def test_a_failed_export_exits_with_3() -> None:
    """An endpoint that refuses what it gets is named, and no table pretends that all went well."""
    sink = _Sink(400)
    try:
        done = _run("--endpoint", sink.url, "--protocol", "http/protobuf")
    finally:
        sink.stop()
    assert done.returncode == 3
    assert f"export to {sink.url} failed" in done.stderr
    assert done.stdout == ""


def test_a_real_collector_gets_the_same_figures(collector: Collector) -> None:
    """Over gRPC into a real collector: what its file exporter wrote has the 1,000 runs and their exact mix."""
    done = _run("--endpoint", collector.grpc_endpoint, "--protocol", "grpc")
    assert (done.returncode, done.stderr) == (0, "")
    collector.wait_for(lambda running: len(list(_log_records(running.logs()))) == 1000)
    metrics = _last_of_each(_each_metric(collector.metrics()))
    outcomes = _sums(metrics["agent.outcomes"], AGENT, "agent.outcome.type")
    assert sum(_sums(metrics["agent.runs"]).values()) == 1000
    assert all(outcomes[key] == RUNS[key[0]] * percent // 100 for key, percent in PERCENT.items())
    roots = {span.trace_id for span in _spans(collector.traces()) if not span.parent_span_id}
    assert {record.trace_id for record in _log_records(collector.logs())} == roots


def test_an_interrupt_ends_it_with_the_figures_so_far(tmp_path: Path) -> None:
    """SIGINT in the middle of `--for` finishes the run at hand; what was done is exported, checked and printed."""
    with subprocess.Popen(
        _command("--out", str(tmp_path), "--for", "10m"),
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            _wait_for_text(tmp_path / "logs.json")
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=DEADLINE_S)
        finally:
            running.kill()
    assert (running.returncode, err) == (0, "")
    assert "Check: events, metrics and traces agree with the plan" in out
    assert 0 < len(list(_log_records(_read(tmp_path / "logs.json", ExportLogsServiceRequest)))) < 10_000


def test_the_agents_know_only_opentelemetry() -> None:
    """The example agents import OpenTelemetry's API and the standard library, nothing of this project."""
    allowed = sys.stdlib_module_names | {"opentelemetry"}
    for path in (ROOT / "examples" / "agents").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            for module in modules:
                assert module.partition(".")[0] in allowed, f"{path.name} imports {module}"
                assert not module.startswith("opentelemetry.sdk"), f"{path.name} imports {module}"


def _event_attributes(event: LogRecord) -> dict[str, str]:
    return _attributes(event.attributes)


def _wait_for_text(path: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        if path.exists() and path.stat().st_size:
            return
        time.sleep(POLL_S)
    pytest.fail(f"nothing was written to {path}")
