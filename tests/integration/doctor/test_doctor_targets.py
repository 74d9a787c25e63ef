# SPDX-License-Identifier: Apache-2.0
"""What the doctor takes from the environment is what the SDK's own exporters take from it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc import exporter as grpc_exporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

from agent_outcomes.otel_variables import GRPC, HTTP, GivenVariable, OtlpSignal
from agent_outcomes.otlp.endpoints import read_target

OTLP = "OTEL_EXPORTER_OTLP"
EXPORTERS: dict[tuple[str, OtlpSignal], Any] = {
    (GRPC, OtlpSignal.TRACES): GrpcSpanExporter,
    (GRPC, OtlpSignal.METRICS): GrpcMetricExporter,
    (GRPC, OtlpSignal.LOGS): GrpcLogExporter,
    (HTTP, OtlpSignal.TRACES): HttpSpanExporter,
    (HTTP, OtlpSignal.METRICS): HttpMetricExporter,
    (HTTP, OtlpSignal.LOGS): HttpLogExporter,
}
ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {f"{OTLP}_ENDPOINT": "http://collector:4999"},
    {f"{OTLP}_ENDPOINT": "http://collector:4999/"},
    {f"{OTLP}_ENDPOINT": "http://collector/otlp"},
    {f"{OTLP}_ENDPOINT": "https://collector:4999"},
    {f"{OTLP}_ENDPOINT": "http://collector:1", f"{OTLP}_LOGS_ENDPOINT": "http://logs:2/x"},
    {f"{OTLP}_ENDPOINT": "http://collector:1", f"{OTLP}_TRACES_ENDPOINT": "http://traces:2"},
    {f"{OTLP}_HEADERS": "A=1,b=two%20words,c=Bearer x=y"},
    {f"{OTLP}_HEADERS": "a=1", f"{OTLP}_METRICS_HEADERS": "m=2"},
]
GRPC_ENVIRONMENTS: list[dict[str, str]] = [
    {f"{OTLP}_ENDPOINT": "collector:4317"},
    {f"{OTLP}_ENDPOINT": "collector:4317", f"{OTLP}_INSECURE": "true"},
    {f"{OTLP}_ENDPOINT": "http://collector:4317", f"{OTLP}_INSECURE": "false"},
    {f"{OTLP}_ENDPOINT": "https://collector:4317", f"{OTLP}_INSECURE": "true"},
    {f"{OTLP}_ENDPOINT": "collector:4317", f"{OTLP}_LOGS_INSECURE": "true"},
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "HEADERS", "INSECURE", "PROTOCOL"):
        for signal in ("", "_TRACES", "_METRICS", "_LOGS"):
            monkeypatch.delenv(f"{OTLP}{signal}_{name}", raising=False)


@pytest.mark.parametrize("signal", OtlpSignal)
@pytest.mark.parametrize(
    ("protocol", "environ"),
    [(protocol, environ) for protocol in (GRPC, HTTP) for environ in ENVIRONMENTS]
    + [(GRPC, environ) for environ in GRPC_ENVIRONMENTS],
    ids=str,
)
def test_the_target_is_the_exporters(
    protocol: str, environ: dict[str, str], signal: OtlpSignal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address, headers and, with gRPC, whether TLS is spoken."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    plain_channels = _watch_plain_channels(monkeypatch)
    target = read_target(signal, environ, GivenVariable(protocol))
    exporter = EXPORTERS[protocol, signal]()
    try:
        assert target.url == exporter._endpoint
        if protocol == GRPC:
            assert target.headers == dict(exporter._headers)
            assert target.is_secure == (not plain_channels)
        else:
            headers = exporter._client._headers if hasattr(exporter, "_client") else exporter._headers
            assert target.headers.items() <= dict(headers).items()
    finally:
        exporter.shutdown()


def _watch_plain_channels(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The channels without TLS that exporters open from now on."""
    opened: list[Any] = []
    original: Any = getattr(grpc_exporter, "insecure_channel")  # noqa: B009 - the module does not declare it

    def opening(*args: Any, **kwargs: Any) -> Any:
        opened.append(original(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(grpc_exporter, "insecure_channel", opening)
    return opened
