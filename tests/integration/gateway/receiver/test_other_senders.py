# SPDX-License-Identifier: Apache-2.0
"""What a collector, the JavaScript SDK and curl send is taken as it was."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.gateway.wire.frames import frame_traces
from agent_outcomes.gateway.wire.intake import IntakeUnavailable
from agent_outcomes.gateway.wire.messages import read_resource, read_span
from agent_outcomes.otel_variables import OtlpSignal
from tests.gateway_receiver import Listeners, listening, wait_until
from tests.integration.npm import node_modules_of
from tests.integration.otelcol import ROOT, Collector

if TYPE_CHECKING:
    from pathlib import Path

    from agent_outcomes.gateway.wire.messages import WireSpan

pytestmark = pytest.mark.backends

JAVASCRIPT = """
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const exporter = new OTLPTraceExporter({ compression: process.env.COMPRESSION });
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "triage" }),
  spanProcessors: [new BatchSpanProcessor({ exporter })],
});
const tracer = provider.getTracer("shop.triage");
for (let number = 0; number < 600; number++) {
  const span = tracer.startSpan(`triage ${number}`, { attributes: { number, ratio: 0.5, tags: ["a", "\\u00e9"] } });
  span.addEvent("done", { ok: true });
  span.end();
}
await provider.shutdown();
"""


def spans_in(found: Listeners, service: str) -> list[WireSpan]:
    return [
        read_span(frame.encoded)
        for request in found.intake.requests
        if request.signal is OtlpSignal.TRACES
        for scope in frame_traces(request.body)
        if read_resource(scope.resource).get("service.name") == service
        for frame in scope.spans
    ]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_spans_of_the_javascript_sdk(tmp_path: Path, compression: str) -> None:
    """JSON with ids in hex, in batches of 512 that come in any order."""
    (tmp_path / "node_modules").symlink_to(node_modules_of(ROOT / "examples" / "other_language"))
    (tmp_path / "main.mjs").write_text(JAVASCRIPT, encoding="utf-8")
    with listening() as found:
        environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, "COMPRESSION": compression}
        command = [shutil.which("node") or "node", "main.mjs"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        read = sorted(spans_in(found, "triage"), key=lambda span: int(span.name.split()[1]))
    assert [span.name for span in read] == [f"triage {number}" for number in range(600)]
    assert [span.attributes for span in read] == [
        {"number": number, "ratio": 0.5, "tags": ("a", "\u00e9")} for number in range(600)
    ]
    assert all(span.events[0].attributes == {"ok": True} and span.end_ns >= span.start_ns > 0 for span in read)


EXPORTERS: dict[str, dict[str, Any]] = {
    "http_gzip": {"compression": "gzip"},
    "http_zstd": {"compression": "zstd"},
    "http_plain": {"compression": "none"},
    "http_json": {"compression": "gzip", "encoding": "json"},
    "grpc_gzip": {"compression": "gzip"},
    "grpc_plain": {"compression": "none"},
}


@pytest.mark.parametrize("name", EXPORTERS)
def test_spans_of_a_collector(otelcol_binary: Path, tmp_path: Path, name: str) -> None:
    """By its exporters, compressed in each way; what cannot be kept now it sends again."""
    with listening() as found:
        found.intake.failures.append(IntakeUnavailable(1, "draining"))
        is_grpc = name.startswith("grpc")
        where = {"endpoint": found.target, "tls": {"insecure": True}} if is_grpc else {"endpoint": found.url}
        exporter = ("otlp" if is_grpc else "otlphttp") + "/gateway"
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:0"}}}},
            "exporters": {exporter: where | EXPORTERS[name] | {"retry_on_failure": {"initial_interval": "100ms"}}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": [exporter]}},
            },
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        with Collector(otelcol_binary, tmp_path, (tmp_path / "config.yaml",)) as collector:
            body = request_body(300)
            url = f"{collector.http_endpoint}/v1/traces"
            command = ["curl", "-sS", "--data-binary", "@-", "-H", "Content-Type: application/x-protobuf", url]
            subprocess.run(command, input=body, capture_output=True, timeout=30, check=True)
            wait_until(lambda: len(spans_in(found, "sold")) == 300)
        assert [span.name for span in spans_in(found, "sold")] == [f"sell {number}" for number in range(300)]
        assert found.counts.counts().requests_refused == {"unavailable": 1}


def request_body(count: int) -> bytes:
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.add(key="service.name").value.string_value = "sold"
    spans = part.scope_spans.add().spans
    for number in range(count):
        spans.add(trace_id=b"0123456789abcdef", span_id=(number + 1).to_bytes(8, "big"), name=f"sell {number}")
    return request.SerializeToString()


def curl(found: Listeners, *arguments: str, body: bytes) -> tuple[int, str]:
    """The status that curl was answered, and the body."""
    command = ["curl", "-sS", "-w", "\n%{http_code}", "--data-binary", "@-", *arguments, f"{found.url}/v1/traces"]
    done = subprocess.run(command, input=body, capture_output=True, timeout=30, check=True)
    answer, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status), answer


def test_requests_of_curl(listeners: Listeners) -> None:
    """JSON by hand, a large body for which it asks first, gzip, and what is wrong is said."""
    as_json = ("-H", "Content-Type: application/json")
    span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "EEE19B7EC3C1B174", "name": "by hand"}
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    assert curl(listeners, *as_json, body=text) == (200, "{}")
    assert curl(listeners, *as_json, "-H", "Content-Encoding: gzip", body=gzip.compress(text)) == (200, "{}")
    protobuf = ("-H", "Content-Type: application/x-protobuf")
    assert curl(listeners, *protobuf, body=request_body(10_000)) == (200, "")
    assert curl(listeners, *protobuf, "-H", "Transfer-Encoding: chunked", body=request_body(10_000)) == (200, "")
    status, answer = curl(listeners, *as_json, body=b"{")
    assert (status, "not JSON" in json.loads(answer)["message"]) == (400, True)
    assert curl(listeners, body=text)[0] == 415
    assert curl(listeners, *protobuf, body=bytes(6_000_000))[0] == 413
    assert curl(listeners, *protobuf, "-H", "Transfer-Encoding: chunked", body=bytes(6_000_000))[0] == 413
