# SPDX-License-Identifier: Apache-2.0
"""Every broken way to a receiver: the doctor names the layer, and the change it names mends it.

The command runs as a user runs it. What a message leaves open (YOUR-TOKEN, PORT) is filled in as the user would.
"""

from __future__ import annotations

import gzip
import socket
import textwrap
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import pytest
import yaml
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from agent_outcomes.doctor.findings import EXIT_CODES, NETWORK_LAYERS, Layer
from agent_outcomes.otlp.untraced import untraced
from tests.integration.doctor.doctor_command import apply_fix, examine
from tests.integration.doctor.doctor_servers import (
    SIGNALS,
    TOKEN,
    Certificate,
    Reply,
    collector_config,
    grpc_receiver,
    http_receiver,
    new_certificate,
    running_collector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What it looks for lies outside this process, and is the same whichever SDK there is in it.
pytestmark = pytest.mark.backends

HTTP = "http/protobuf"
OTLP = "OTEL_EXPORTER_OTLP"
# What a process may take on a busy machine to start and to end.
START_MAX_S = 8


@dataclass
class Place:
    """Where a set-up lives: its receiver's addresses, what it may change there, and its files."""

    binary: Path
    folder: Path
    grpc_endpoint: str = ""
    http_endpoint: str = ""
    reply: Reply = field(default_factory=Reply)
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Setup:
    """A broken set-up: its receiver and variables, the layer and variable to be named, and what the user fills in."""

    name: str
    receiver: Callable[[Place], Any]
    environ: Callable[[Place], dict[str, str]]
    layer: Layer
    variable: str
    filled_in: Callable[[Place], str] | None = None
    mend: Callable[[Place], None] | None = None


@contextmanager
def collector(place: Place, **settings: Any) -> Iterator[None]:
    with running_collector(place.binary, place.folder, collector_config(**settings)) as running:
        place.grpc_endpoint = running.grpc_endpoint
        place.http_endpoint = running.http_endpoint
        yield


@contextmanager
def tls_collector(place: Place) -> Iterator[None]:
    place.certificate = new_certificate(place.folder)
    with collector(place, certificate=place.certificate):
        place.grpc_endpoint = place.grpc_endpoint.replace("http://127.0.0.1", "https://localhost")
        place.http_endpoint = place.http_endpoint.replace("http://127.0.0.1", "https://localhost")
        yield


@contextmanager
def http_server(place: Place, reply: Reply | None = None, only: str = "") -> Iterator[None]:
    """Answers every signal, or only one, with the place's reply."""
    place.reply = reply or Reply()
    with http_receiver(lambda path: place.reply if path.endswith(only) else Reply()) as server:
        place.http_endpoint = f"http://127.0.0.1:{server.port}"
        yield


@contextmanager
def grpc_server(place: Place, reply: Reply, only: str = "") -> Iterator[None]:
    place.reply = reply
    with grpc_receiver(lambda signal: place.reply if signal.endswith(only) else Reply()) as server:
        place.grpc_endpoint = f"http://127.0.0.1:{server.port}"
        yield


@contextmanager
def moved_server(place: Place) -> Iterator[None]:
    """One server that sends on to another."""
    with ExitStack() as stack:
        stack.enter_context(http_server(place))
        there = place.http_endpoint
        first = stack.enter_context(http_receiver(lambda path: Reply(307, {"Location": f"{there}{path}"})))
        place.http_endpoint = f"http://127.0.0.1:{first.port}"
        yield


def over_http(place: Place, **further: str) -> dict[str, str]:
    return {f"{OTLP}_PROTOCOL": HTTP, f"{OTLP}_ENDPOINT": place.http_endpoint, **further}


def over_grpc(place: Place, **further: str) -> dict[str, str]:
    return {f"{OTLP}_ENDPOINT": place.grpc_endpoint, **further}


def plain(endpoint: str) -> str:
    return endpoint.replace("https://", "http://")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def right(place: Place) -> None:
    """The receiver has been put right."""
    place.reply = Reply()


BEARER = f"authorization=Bearer {TOKEN}"
HTML = Reply(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>")

SETUPS = [
    Setup(
        "a limit that is no number",
        collector,
        lambda place: over_grpc(place, AGENT_OUTCOMES_LABELS_MAX="many"),
        Layer.SETTINGS,
        "AGENT_OUTCOMES_LABELS_MAX",
    ),
    Setup(
        "a variable that does not exist",
        collector,
        lambda place: over_grpc(place, AGENT_OUTCOMES_HIDE_MESAGE="true"),
        Layer.SETTINGS,
        "AGENT_OUTCOMES_HIDE_MESAGE",
    ),
    Setup(
        "a protocol without an exporter",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"),
        Layer.SETTINGS,
        f"{OTLP}_PROTOCOL",
    ),
    Setup(
        "HTTP endpoint without a scheme",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.http_endpoint.removeprefix("http://")),
        Layer.SETTINGS,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "headers with a colon",
        lambda place: collector(place, needs_token=True),
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_HEADERS=f"authorization: Bearer {TOKEN}"),
        Layer.SETTINGS,
        f"{OTLP}_HEADERS",
        filled_in=lambda _: BEARER,
    ),
    Setup(
        "compression that gRPC does not know",
        collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_COMPRESSION="zstd"),
        Layer.SETTINGS,
        f"{OTLP}_COMPRESSION",
    ),
    Setup(
        "a time limit that is no number",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_LOGS_TIMEOUT="10s"),
        Layer.SETTINGS,
        f"{OTLP}_LOGS_TIMEOUT",
    ),
    Setup(
        "the SDK switched off",
        collector,
        lambda place: over_grpc(place, OTEL_SDK_DISABLED="true"),
        Layer.SETTINGS,
        "OTEL_SDK_DISABLED",
    ),
    Setup(
        "a certificate file that is not there",
        tls_collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_CERTIFICATE="missing.pem"),
        Layer.SETTINGS,
        f"{OTLP}_CERTIFICATE",
        filled_in=lambda place: str(place.certificate and place.certificate.ca_file),
    ),
    Setup(
        "a host that does not resolve",
        collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4317"),
        Layer.DNS,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.grpc_endpoint,
    ),
    Setup(
        "a port on which nothing listens, gRPC",
        collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{closed_port()}"),
        Layer.CONNECT,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.grpc_endpoint,
    ),
    Setup(
        "a port on which nothing listens, one signal over HTTP",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"http://127.0.0.1:{closed_port()}/v1/logs"),
        Layer.CONNECT,
        f"{OTLP}_LOGS_ENDPOINT",
        filled_in=lambda place: f"{place.http_endpoint}/v1/logs",
    ),
    Setup(
        "gRPC on the HTTP port",
        collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.http_endpoint),
        Layer.PROTOCOL,
        f"{OTLP}_PROTOCOL",
    ),
    Setup(
        "HTTP on the gRPC port",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.grpc_endpoint),
        Layer.PROTOCOL,
        f"{OTLP}_PROTOCOL",
    ),
    Setup(
        "gRPC to a plain web server",
        http_server,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.http_endpoint),
        Layer.PROTOCOL,
        f"{OTLP}_PROTOCOL",
    ),
    Setup(
        "plain HTTP against TLS",
        tls_collector,
        lambda place: over_http(
            place,
            OTEL_EXPORTER_OTLP_ENDPOINT=plain(place.http_endpoint),
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(place.certificate and place.certificate.ca_file),
        ),
        Layer.TLS,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "plain gRPC against TLS",
        tls_collector,
        lambda place: over_grpc(
            place,
            OTEL_EXPORTER_OTLP_ENDPOINT=plain(place.grpc_endpoint),
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(place.certificate and place.certificate.ca_file),
        ),
        Layer.TLS,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "TLS against plain gRPC, because the endpoint has no scheme",
        collector,
        lambda place: over_grpc(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.grpc_endpoint.removeprefix("http://")),
        Layer.TLS,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "TLS against plain HTTP",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_ENDPOINT=place.http_endpoint.replace("http://", "https://")),
        Layer.TLS,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "a certificate of one's own, gRPC",
        tls_collector,
        over_grpc,
        Layer.TLS,
        f"{OTLP}_CERTIFICATE",
        filled_in=lambda place: str(place.certificate and place.certificate.ca_file),
    ),
    Setup(
        "a certificate of one's own, HTTP",
        tls_collector,
        over_http,
        Layer.TLS,
        f"{OTLP}_CERTIFICATE",
        filled_in=lambda place: str(place.certificate and place.certificate.ca_file),
    ),
    Setup(
        "a certificate for another name",
        tls_collector,
        lambda place: over_http(
            place,
            OTEL_EXPORTER_OTLP_ENDPOINT=place.http_endpoint.replace("localhost", "127.0.0.1"),
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(place.certificate and place.certificate.ca_file),
        ),
        Layer.TLS,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.http_endpoint,
    ),
    Setup(
        "a redirect",
        moved_server,
        over_http,
        Layer.REDIRECT,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "no token, gRPC",
        lambda place: collector(place, needs_token=True),
        over_grpc,
        Layer.AUTH,
        f"{OTLP}_HEADERS",
        filled_in=lambda _: BEARER,
    ),
    Setup(
        "a wrong token, HTTP",
        lambda place: collector(place, needs_token=True),
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer the-wrong-token"),
        Layer.AUTH,
        f"{OTLP}_HEADERS",
        filled_in=lambda _: BEARER,
    ),
    Setup(
        "403",
        lambda place: http_server(place, Reply(403, {"Content-Type": "text/plain"}, b"not for you")),
        over_http,
        Layer.AUTH,
        f"{OTLP}_HEADERS",
        filled_in=lambda _: BEARER,
        mend=right,
    ),
    Setup(
        "the signal's path twice",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_ENDPOINT=f"{place.http_endpoint}/v1/traces"),
        Layer.PATH,
        f"{OTLP}_ENDPOINT",
    ),
    Setup(
        "one signal's endpoint without its path",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=place.http_endpoint),
        Layer.PATH,
        f"{OTLP}_LOGS_ENDPOINT",
    ),
    Setup(
        "a path that no receiver has",
        collector,
        lambda place: over_http(place, OTEL_EXPORTER_OTLP_ENDPOINT=f"{place.http_endpoint}/otlp"),
        Layer.PATH,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.http_endpoint,
    ),
    Setup(
        "a gRPC server that is no receiver",
        lambda place: grpc_server(
            place, Reply(grpc_code=grpc.StatusCode.UNIMPLEMENTED, grpc_details="unknown service")
        ),
        over_grpc,
        Layer.PATH,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.grpc_endpoint,
        mend=right,
    ),
    Setup(
        "a proxy that is not there",
        collector,
        lambda place: over_http(place, http_proxy=f"http://127.0.0.1:{closed_port()}"),
        Layer.CONNECT,
        "http_proxy",
    ),
    Setup(
        "a web page with status 200",
        lambda place: http_server(place, HTML),
        over_http,
        Layer.PATH,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.http_endpoint,
        mend=right,
    ),
    Setup(
        "a receiver that is not ready",
        lambda place: http_server(place, Reply(503)),
        over_http,
        Layer.ANSWER,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.http_endpoint,
        mend=right,
    ),
    Setup(
        "a receiver out of memory, gRPC",
        lambda place: grpc_server(place, Reply(grpc_code=grpc.StatusCode.UNAVAILABLE, grpc_details="no memory left")),
        over_grpc,
        Layer.ANSWER,
        f"{OTLP}_ENDPOINT",
        filled_in=lambda place: place.grpc_endpoint,
        mend=right,
    ),
    Setup(
        "a clock an hour behind",
        lambda place: http_server(place, Reply(clock_offset_s=3600)),
        over_http,
        Layer.CLOCK,
        "timedatectl set-ntp true",
        filled_in=lambda _: "",
        mend=right,
    ),
    Setup(
        "spans thrown away, gRPC",
        lambda place: grpc_server(place, Reply(rejected=1, message="attribute team is required"), "traces"),
        over_grpc,
        Layer.REJECTED,
        f"{OTLP}_TRACES_ENDPOINT",
        filled_in=lambda place: place.grpc_endpoint,
        mend=right,
    ),
    Setup(
        "events thrown away, HTTP",
        lambda place: http_server(place, Reply(rejected=1, message="entry too far behind"), "logs"),
        over_http,
        Layer.REJECTED,
        f"{OTLP}_LOGS_ENDPOINT",
        filled_in=lambda place: f"{place.http_endpoint}/v1/logs",
        mend=right,
    ),
]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_the_broken_layer_is_named_and_the_fix_mends_it(setup: Setup, otelcol_binary: Path, tmp_path: Path) -> None:
    """Layer, exit code and variable are right; with the change that the message names, all is well."""
    place = Place(otelcol_binary, tmp_path)
    with setup.receiver(place):
        environ = setup.environ(place)
        seen = examine(environ, "--json", folder=tmp_path)
        assert seen.document["broken"] == setup.layer, seen.stdout
        assert seen.exit_code == seen.document["exit_code"] == EXIT_CODES[setup.layer]
        finding = seen.broken
        assert finding["variable"] == setup.variable, finding
        assert setup.variable in finding["fix"]
        if setup.mend is not None:
            setup.mend(place)
        fixed = apply_fix(environ, finding, setup.filled_in(place) if setup.filled_in else None)
        mended = examine(fixed, "--json", folder=tmp_path)
        assert mended.exit_code == 0, mended.stdout


@pytest.mark.parametrize("protocol", ["grpc", HTTP])
@pytest.mark.parametrize("missing", SIGNALS)
def test_a_missing_pipeline_is_named_with_the_lines_that_add_it(
    missing: str, protocol: str, otelcol_binary: Path, tmp_path: Path
) -> None:
    """The YAML in the message, with an exporter's name filled in and merged into the configuration, mends it."""
    config = collector_config([signal for signal in SIGNALS if signal != missing])
    with running_collector(otelcol_binary, tmp_path, config) as running:
        endpoint = running.grpc_endpoint if protocol == "grpc" else running.http_endpoint
        seen = examine({f"{OTLP}_PROTOCOL": protocol, f"{OTLP}_ENDPOINT": endpoint}, "--json")
    assert seen.document["broken"] == Layer.PIPELINE, seen.stdout
    assert seen.exit_code == EXIT_CODES[Layer.PIPELINE]
    assert seen.broken["variable"] == f"service.pipelines.{missing}"
    assert seen.broken["seen"].startswith(f"{missing}: ")
    lines = [line for line in seen.broken["fix"].splitlines() if line.startswith(" ") and "export " not in line]
    added = yaml.safe_load(textwrap.dedent("\n".join(lines)).replace("YOUR-EXPORTER", "debug"))
    with running_collector(otelcol_binary, tmp_path, config, added) as running:
        endpoint = running.grpc_endpoint if protocol == "grpc" else running.http_endpoint
        mended = examine({f"{OTLP}_PROTOCOL": protocol, f"{OTLP}_ENDPOINT": endpoint}, "--json")
    assert mended.exit_code == 0, mended.stdout


def test_all_is_well_with_a_real_collector(otelcol_binary: Path, tmp_path: Path) -> None:
    """Every layer of the way is ok, or skipped with a reason; nothing is printed but the report."""
    with running_collector(otelcol_binary, tmp_path, collector_config()) as running:
        seen = examine({f"{OTLP}_ENDPOINT": running.http_endpoint, f"{OTLP}_PROTOCOL": HTTP}, "--json")
    states = {layer["layer"]: layer["state"] for layer in seen.document["layers"]}
    assert seen.exit_code == 0
    assert {states[layer] for layer in NETWORK_LAYERS} == {"ok"}
    assert seen.stderr == ""


def test_nothing_is_sent_but_one_marked_probe_per_signal() -> None:
    """Three requests, each with one item, all under the doctor's own service and names, compressed as told."""
    with http_receiver(lambda _: Reply()) as server:
        environ = {
            f"{OTLP}_PROTOCOL": HTTP,
            f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}",
            f"{OTLP}_COMPRESSION": "gzip",
            f"{OTLP}_HEADERS": "x-team=blue",
            f"{OTLP}_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }
        assert examine(environ).exit_code == 0
        requests = {path: (headers, gzip.decompress(body)) for path, headers, body in server.received.requests}
        assert len(server.received.requests) == len(requests) == 3
    assert all(headers["x-team"] == "blue" for headers, _ in requests.values())
    [spans] = ExportTraceServiceRequest.FromString(requests["/v1/traces"][1]).resource_spans
    [logs] = ExportLogsServiceRequest.FromString(requests["/v1/logs"][1]).resource_logs
    [metrics] = ExportMetricsServiceRequest.FromString(requests["/v1/metrics"][1]).resource_metrics
    for resource in (spans.resource, logs.resource, metrics.resource):
        assert [attribute.value.string_value for attribute in resource.attributes] == ["agent-outcomes-doctor"]
    [metric] = metrics.scope_metrics[0].metrics
    [span], [record] = spans.scope_spans[0].spans, logs.scope_logs[0].log_records
    assert {span.name, record.event_name, metric.name} == {"agent_outcomes.doctor.probe"}
    assert metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_no_secret_is_printed(arguments: tuple[str, ...]) -> None:
    """Header values and the URL's user information stay unseen, even where the receiver repeats them."""
    said = b"who is hunter2-token? not alice:wonderland-pass"
    with http_receiver(lambda _: Reply(401, {"Content-Type": "text/plain"}, said)) as server:
        environ = {
            f"{OTLP}_PROTOCOL": HTTP,
            f"{OTLP}_ENDPOINT": f"http://alice:wonderland-pass@127.0.0.1:{server.port}?key=query-secret",
            f"{OTLP}_HEADERS": "x-api-key=Token hunter2-token",
        }
        seen = examine(environ, *arguments)
    assert seen.exit_code == EXIT_CODES[Layer.AUTH], seen.stdout
    assert "x-api-key" in seen.stdout
    for secret in ("hunter2", "wonderland", "query-secret", "alice"):
        assert secret not in seen.stdout + seen.stderr


def test_a_header_that_cannot_be_read_is_not_printed() -> None:
    """A colon for the equals sign: the SDK's own warning about it holds the secret and stays unseen."""
    seen = examine({f"{OTLP}_HEADERS": "authorization: Bearer hunter2-token"})
    assert seen.exit_code == EXIT_CODES[Layer.SETTINGS], seen.stdout
    assert "entry 1 of 1 is not of the form name=value" in seen.stdout
    assert "hunter2" not in seen.stdout + seen.stderr


@pytest.mark.parametrize("protocol", ["grpc", HTTP])
def test_a_receiver_that_hangs_is_not_waited_for(protocol: str) -> None:
    """Everything together ends near the time limit, and the layer without an answer is named."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        environ = {f"{OTLP}_PROTOCOL": protocol, f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        seen = examine(environ, "--json", "--timeout", "3")
    assert seen.document["broken"] == Layer.ANSWER, seen.stdout
    assert seen.duration_s < 3 + START_MAX_S


def test_the_text_ends_with_what_to_do(tmp_path: Path) -> None:
    """Every layer, those skipped for one reason on one line; then what was seen, why that matters, the line to copy."""
    seen = examine({f"{OTLP}_PROTOCOL": "http"}, folder=tmp_path)
    lines = seen.stdout.splitlines()
    layers = ["settings", "command to outcomes", "ledger", "gateway", "dns to rejected", ""]
    assert [line.split("  ")[0] for line in lines[:6]] == layers
    assert lines[6] == "Broken: settings (exit code 10)"
    assert "          export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in lines


def test_signals_that_are_not_sent_are_not_probed(otelcol_binary: Path, tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=none is a choice: the missing pipeline for traces is none of our business."""
    with running_collector(otelcol_binary, tmp_path, collector_config(["metrics", "logs"])) as running:
        environ = {f"{OTLP}_ENDPOINT": running.grpc_endpoint, "OTEL_TRACES_EXPORTER": "none"}
        seen = examine(environ, "--json")
    assert seen.exit_code == 0, seen.stdout
    assert "traces: not sent (OTEL_TRACES_EXPORTER=none)" in seen.stdout


def test_a_sampler_in_the_environment_is_seen_without_the_program() -> None:
    """A ratio below 1 without the wrapper drops runs; the wrapper's own name does not."""
    with http_receiver(lambda _: Reply()) as server:
        environ = {
            f"{OTLP}_PROTOCOL": HTTP,
            f"{OTLP}_ENDPOINT": f"http://127.0.0.1:{server.port}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
        }
        seen = examine(environ, "--json")
        assert seen.exit_code == EXIT_CODES[Layer.SAMPLING], seen.stdout
        assert seen.broken["value"] == "outcome_parentbased_traceidratio"
        assert examine(apply_fix(environ, seen.broken, None), "--json").exit_code == 0
        assert examine({**environ, "OTEL_TRACES_SAMPLER_ARG": "1"}, "--json").exit_code == 0


def test_instrumentations_of_the_program_make_no_span_of_a_probe() -> None:
    """`check()` runs within programs whose HTTP and gRPC clients may be instrumented."""
    assert untraced(is_instrumentation_enabled) is False
    assert is_instrumentation_enabled() is True
