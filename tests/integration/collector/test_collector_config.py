# SPDX-License-Identifier: Apache-2.0
"""The shipped collector configurations are valid, the first pipeline really runs, and the build tool is careful."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integration.otelcol import CONFIG_FOLDER, PIPELINE, ROOT, Collector
from tests.tools.build_otelcol import BUILDER_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

pytestmark = pytest.mark.backends

MANIFEST = CONFIG_FOLDER / "builder-config.yaml"
SHIPPED = sorted(path for path in CONFIG_FOLDER.glob("*.yaml") if path != MANIFEST)
OWNER_ONLY = 0o700
BEYOND_DOUBLE = 2**53 + 1
LISTEN_STATE = "0A"
LOOPBACK = {"tcp": "0100007F", "tcp6": "00000000000000000000000001000000"}
BUILD_TOOL = (sys.executable, "-m", "tests.tools.build_otelcol")
TOOL_TIMEOUT_S = 60
START_ATTEMPTS = 3

FAKE_GO = """\
#!/bin/sh
case "$1" in
env) printf '%s\\nlinux\\namd64\\n' "$FAKE_GO_VERSION" ;;
install) mkdir -p "$GOBIN" && cp "$FAKE_BUILDER" "$GOBIN/builder" ;;
*) exit 9 ;;
esac
"""
# Ends only after another process has said that it waits, so that the two really meet.
FAKE_BUILDER = """\
#!/bin/sh
[ "$1" = version ] && exit 0
echo built >> "$FAKE_COUNT"
[ -n "$FAKE_BROKEN" ] && { echo "no such module: boom"; exit 1; }
if [ -n "$FAKE_PARTNERS" ]; then
  tries=0
  until grep -q waiting "$FAKE_PARTNERS"/*.err; do
    tries=$((tries + 1)); [ $tries -gt 500 ] && exit 8
    sleep 0.02
  done
fi
mkdir otelcol-agent-outcomes
printf '#!/bin/sh\\nexit 0\\n' > otelcol-agent-outcomes/otelcol-agent-outcomes
chmod +x otelcol-agent-outcomes/otelcol-agent-outcomes
"""


@dataclass(frozen=True, slots=True)
class Sender:
    """An application's three signals, sent by the SDK's own exporters; `spans` keeps a copy of what was sent."""

    tracer_provider: TracerProvider
    logger_provider: LoggerProvider
    meter_provider: MeterProvider
    spans: InMemorySpanExporter

    def send_one_run(self) -> None:
        """Send one span, within it a log record with an event name, a counter and a histogram."""
        meter = self.meter_provider.get_meter("test")
        runs = meter.create_counter("test.runs", unit="{run}")
        duration = meter.create_histogram("test.duration", unit="s")
        with self.tracer_provider.get_tracer("test").start_as_current_span("run") as span:
            span.set_attributes({"text": "line\u2028separator", "big": BEYOND_DOUBLE, "list": [0.1, 0.2]})
            span.add_event("step", {"done": True})
            self.logger_provider.get_logger("test").emit(
                event_name="test.outcome", severity_number=SeverityNumber.WARN, attributes={"amount": 49.9}
            )
            runs.add(3, {"agent": "a"})
            duration.record(0.25, {"agent": "a"})
        self.meter_provider.force_flush()


@contextmanager
def _sender(protocol: str, collector: Collector) -> Iterator[Sender]:
    resource = Resource({"service.name": "test"})
    copy = InMemorySpanExporter()
    tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(copy))
    logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    metric_exporter: MetricExporter
    span_exporter: SpanExporter
    if protocol == "grpc":
        url = collector.grpc_endpoint
        span_exporter = GrpcSpanExporter(endpoint=url, insecure=True)
        log_exporter: GrpcLogExporter | HttpLogExporter = GrpcLogExporter(endpoint=url, insecure=True)
        metric_exporter = GrpcMetricExporter(endpoint=url, insecure=True)
    else:
        url = collector.http_endpoint
        span_exporter = HttpSpanExporter(endpoint=f"{url}/v1/traces")
        log_exporter = HttpLogExporter(endpoint=f"{url}/v1/logs")
        metric_exporter = HttpMetricExporter(endpoint=f"{url}/v1/metrics")
    tracer_provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3_600_000)
    meter_provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    try:
        yield Sender(tracer_provider, logger_provider, meter_provider, copy)
    finally:
        for provider in (tracer_provider, logger_provider, meter_provider):
            provider.shutdown()


def _validate(binary: Path, *configs: Path) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "validate", *(f"--config={config}" for config in configs)]
    return subprocess.run(command, env={}, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: str(path.relative_to(CONFIG_FOLDER)))
def test_shipped_pipeline_is_valid(otelcol_binary: Path, config: Path) -> None:
    """Every configuration passes the collector's own check with no environment variable set."""
    done = _validate(otelcol_binary, config)
    assert done.returncode == 0, done.stderr


def test_validate_refuses_a_wrong_pipeline(otelcol_binary: Path, tmp_path: Path) -> None:
    """The check above can fail: a misspelled exporter is refused by name."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("service: {pipelines: {traces: {exporters: [file/trace]}}}")
    done = _validate(otelcol_binary, PIPELINE, wrong)
    assert done.returncode != 0
    assert "file/trace" in done.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_pipeline_writes_all_three_signals(collector: Collector, protocol: str) -> None:
    """What the SDK sent is in the files the moment it was answered: no wait, nothing added, nothing lost."""
    with _sender(protocol, collector) as sender:
        sender.send_one_run()
        assert collector.traces() == [encode_spans(sender.spans.get_finished_spans())]
    (span,) = collector.spans()
    assert {attribute.key: attribute.value for attribute in span.attributes}["big"].int_value == BEYOND_DOUBLE
    (record,) = collector.log_records()
    assert (record.event_name, record.trace_id, record.span_id) == ("test.outcome", span.trace_id, span.span_id)
    assert record.severity_number == SeverityNumber.WARN.value
    assert [(attribute.key, attribute.value.double_value) for attribute in record.attributes] == [("amount", 49.9)]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_pipeline_keeps_metrics_and_their_exemplars(collector: Collector, protocol: str) -> None:
    """A counter keeps value, unit and temporality, a histogram its exemplar with the ids of the span."""
    with _sender(protocol, collector) as sender:
        sender.send_one_run()
    (span,) = collector.spans()
    counter = collector.metrics_named("test.runs")[0]
    assert (counter.unit, counter.sum.is_monotonic, counter.sum.data_points[0].as_int) == ("{run}", True, 3)
    assert counter.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = collector.metrics_named("test.duration")[0].histogram.data_points
    assert (point.count, point.sum, sum(point.bucket_counts)) == (1, 0.25, 1)
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id, exemplar.as_double) == (span.trace_id, span.span_id, 0.25)


def test_killed_collector_loses_nothing_it_accepted(otelcol_binary: Path, tmp_path: Path) -> None:
    """After SIGKILL the accepted spans are in the file, and the next start appends to it."""
    with Collector(otelcol_binary, tmp_path) as first:
        with _sender("http", first) as sender:
            sender.send_one_run()
        os.kill(first.pid, signal.SIGKILL)
        assert first.stop() == -signal.SIGKILL
    with Collector(otelcol_binary, tmp_path) as second, _sender("http", second) as sender:
        assert len(second.spans()) == 1
        sender.send_one_run()
        assert len(second.spans()) == 2


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listening sockets are read from /proc (Linux)")
def test_pipeline_is_private(collector: Collector) -> None:
    """Nothing listens beyond loopback, and only the owner can enter the folder of the files."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{collector.pid}/fd").iterdir()]
    inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    rows = [(kind, row.split()) for kind in LOOPBACK for row in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    listening = [(kind, row[1].split(":")[0]) for kind, row in rows if row[3] == LISTEN_STATE and row[9] in inodes]
    assert len(listening) == len(("grpc", "http", "health", "metrics"))
    assert {address == LOOPBACK[kind] for kind, address in listening} == {True}
    folder = collector.stderr_path.with_name("otel-out")
    assert stat.S_IMODE(folder.stat().st_mode) == OWNER_ONLY


def test_health_and_own_metrics_answer(otelcol_binary: Path, tmp_path: Path) -> None:
    """The two addresses in the README's "Nothing shows up" answer, with the metric names it gives."""
    with ExitStack() as stack:
        collector, health, metrics = _start_on_known_ports(otelcol_binary, tmp_path, stack)
        stack.enter_context(_sender("grpc", collector)).send_one_run()
        assert "Server available" in _get(health)
        own = _get(f"{metrics}/metrics")
    named = set(re.findall(r"\botelcol_\w+", (CONFIG_FOLDER / "README.md").read_text()))
    assert named
    assert named <= set(re.findall(r"^otelcol_\w+", own, re.MULTILINE))


def _start_on_known_ports(binary: Path, folder: Path, stack: ExitStack) -> tuple[Collector, str, str]:
    """Start with two ports that were free a moment ago; again, should another process have taken one since."""
    for attempt in range(1, START_ATTEMPTS + 1):
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            health, metrics = one.getsockname()[1], two.getsockname()[1]
        env = {"HEALTH_ENDPOINT": f"127.0.0.1:{health}", "SELF_METRICS_PORT": str(metrics)}
        try:
            collector = stack.enter_context(Collector(binary, folder, env=env))
        except RuntimeError:
            if attempt == START_ATTEMPTS:
                raise
        else:
            return collector, f"http://127.0.0.1:{health}", f"http://127.0.0.1:{metrics}"
    raise AssertionError


def _get(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=TOOL_TIMEOUT_S) as answer:
        return str(answer.read().decode())


def test_readme_overlay_adds_a_backend(otelcol_binary: Path, tmp_path: Path) -> None:
    """The README's overlay sends every signal on, and the files are still written."""
    (snippet,) = re.findall(r"```yaml\n(.*?)```", (CONFIG_FOLDER / "README.md").read_text(), re.DOTALL)
    folders = [tmp_path / "backend", tmp_path / "front"]
    for folder in folders:
        folder.mkdir()
    overlay = tmp_path / "backend.yaml"
    overlay.write_text(snippet)
    with Collector(otelcol_binary, folders[0]) as backend:
        env = {"BACKEND_ENDPOINT": backend.http_endpoint}
        with Collector(otelcol_binary, folders[1], (PIPELINE, overlay), env) as front, _sender("grpc", front) as sender:
            sender.send_one_run()
            backend.wait_for(lambda seen: seen.traces() and seen.logs() and seen.metrics())
        assert backend.traces() == front.traces()
        assert backend.logs() == front.logs()
        assert backend.metrics() == front.metrics()


def test_collector_that_cannot_start_says_why(otelcol_binary: Path, tmp_path: Path) -> None:
    """A taken port ends the start with the collector's own message."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{taken.getsockname()[1]}"}
        failing = Collector(otelcol_binary, tmp_path, env=env)
        with pytest.raises(RuntimeError, match="address already in use"), failing:
            pass
    assert failing.stop() != 0


def test_manifest_and_build_tool_agree_on_the_version() -> None:
    """One version for all components and the builder, one for the providers."""
    modules = re.findall(r"gomod: (\S+) (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    components = {version for module, version in modules if "/confmap/provider/" not in module}
    providers = {version for module, version in modules if "/confmap/provider/" in module}
    assert (len(components), len(providers)) == (1, 1)
    assert components == {BUILDER_VERSION}


@pytest.fixture
def tool_env(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and a stand-in for `go`, to see what the tool does around it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("go", FAKE_GO), ("builder", FAKE_BUILDER)):
        (programs / name).write_text(text)
        (programs / name).chmod(OWNER_ONLY)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "FAKE_GO_VERSION": "go1.26.0",
        "FAKE_BUILDER": str(programs / "builder"),
        "FAKE_COUNT": str(tmp_path / "count"),
    }


def _run_tool(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BUILD_TOOL, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )


def test_build_tool_builds_once_for_all_who_ask(tool_env: dict[str, str], tmp_path: Path) -> None:
    """Three at once: one builds, the others wait, all print the same path, no scrap stays; later, no Go is needed."""
    env = tool_env | {"FAKE_PARTNERS": str(tmp_path)}
    with ExitStack() as stack:
        logs = [stack.enter_context((tmp_path / f"{number}.err").open("w")) for number in range(3)]
        running = [
            subprocess.Popen(BUILD_TOOL, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
            for log in logs
        ]
        printed = {process.communicate(timeout=TOOL_TIMEOUT_S)[0] for process in running}
    assert (tmp_path / "count").read_text() == "built\n"
    (path,) = printed
    assert os.access(path.strip(), os.X_OK)
    assert not list((tmp_path / "cache").rglob("building-*"))
    assert _run_tool(env | {"PATH": "/nonexistent"}).stdout == path


@pytest.mark.parametrize(
    ("change", "exit_code", "said"),
    [
        ({"PATH": "/nonexistent"}, 3, "no working `go` on PATH"),
        ({"FAKE_GO_VERSION": "go1.24.9"}, 3, "go1.24.9"),
        ({"FAKE_BROKEN": "yes"}, 1, "no such module: boom"),
        ({"OTELCOL_BIN": "/nonexistent/otelcol"}, 1, "OTELCOL_BIN=/nonexistent/otelcol does not run"),
    ],
    ids=["no-go", "old-go", "failed-build", "wrong-otelcol-bin"],
)
def test_build_tool_says_what_is_wrong(
    tool_env: dict[str, str], tmp_path: Path, change: dict[str, str], exit_code: int, said: str
) -> None:
    """Each failure has its exit code and reason; a missing Go names the way out; nothing is cached."""
    done = _run_tool(tool_env | change)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert exit_code != 3 or "set OTELCOL_BIN" in done.stderr
    assert not list((tmp_path / "cache").rglob("otelcol-agent-outcomes"))


def test_build_tool_takes_otelcol_bin_first(tool_env: dict[str, str], tmp_path: Path) -> None:
    """A given binary is printed as it is, and nothing is built."""
    done = _run_tool(tool_env | {"OTELCOL_BIN": "/bin/true"})
    assert (done.returncode, done.stdout) == (0, "/bin/true\n")
    assert not (tmp_path / "count").exists()


def test_build_tool_help_shows_an_example(tool_env: dict[str, str]) -> None:
    """`--help` names the environment variable and a command to copy."""
    done = _run_tool(tool_env, "--help")
    assert done.returncode == 0
    assert "python -m tests.tools.build_otelcol" in done.stdout
    assert "OTELCOL_BIN" in done.stdout
