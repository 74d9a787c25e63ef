# SPDX-License-Identifier: Apache-2.0
"""redaction.yaml lets no message, metadata, secret or e-mail address through, and changes nothing else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.integration.collector.test_collector_job import scalar
from tests.integration.forwarding import forwarding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.otelcol import Collector

pytestmark = pytest.mark.backends

# Each is one word without quotes, so that a search in the written JSON finds it.
MARK = "LEAKED"
SECRETS = (
    "leaked.person+tag@mail.example.co.uk",
    "sk-proj-LEAKED0123456789abcdef",
    "sk-ant-api03-LEAKED0123456789abcdef",
    "sk_live_LEAKED0123456789abcdef",
    "ghp_LEAKED0123456789abcdefghij",
    "github_pat_LEAKED0123456789abcdefghij",
    "glpat-LEAKED0123456789abc",
    "xoxb-1234567890-LEAKED",
    "AKIALEAKED0123456789",
    "AIzaLEAKED0123456789abcdefghijklmnopqrs",
    "hf_LEAKED0123456789abcdefghij",
    "npm_LEAKED0123456789abcdefghij",
    "eyJhbGciLEAKED.eyJzdWIiLEAKED.LEAKEDsignature",
    "-----BEGIN RSA PRIVATE KEY-----\nLEAKED\nLEAKED\n-----END RSA PRIVATE KEY-----",
    "Authorization: Bearer LEAKED0123456789",
    "Authorization: Basic TEVBS0VELEAKED==",
    "postgres://user:LEAKED@db.internal/prod",
    "password=LEAKED",
    "api_key: 'LEAKED'",
    '{"client_secret": "LEAKED"}',
    "access-token=LEAKED&x=1",
)
REMOVED = (
    "agent.outcome.message",
    "agent.outcome.metadata",
    "agent.outcome.metadata.customer",
    "agent.outcome.raw_status",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.content",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.content",
    "llm.prompts",
    "traceloop.entity.input",
    "traceloop.entity.output",
)
KEPT: dict[str, str | int | float | bool] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "support-bot",
    "gen_ai.agent.id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "gen_ai.conversation.id": "support-0-00377",
    "gen_ai.request.model": "gpt-4.1-mini",
    "gen_ai.usage.input_tokens": 4341,
    "agent.outcome.type": "converted",
    "agent.outcome.label": "sent_by_mail",
    "agent.outcome.job_type": "refund_request",
    "agent.outcome.run_id": "ticket/2026-11-21#4711",
    "agent.outcome.value": "12345678901.123456789012",
    "agent.outcome.currency": "EUR",
    "agent.outcome.success": True,
    "url.full": "https://shop.example/orders/17?sort=asc",
    "code.function.name": "shop.agents:token_count",
}


@pytest.fixture
def redacting(otelcol_binary: Path, tmp_path: Path) -> Iterator[tuple[Collector, Collector]]:
    """A collector with redaction.yaml, and the one behind it that takes what is left in files."""
    with forwarding(otelcol_binary, tmp_path, "redaction.yaml") as both:
        yield both


class _App:
    """An application that sends everything to a collector at once, outcomes among it."""

    def __init__(self, endpoint: str, resource: Resource) -> None:
        self.logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{endpoint}/v1/metrics"), export_interval_millis=3_600_000
        )
        self.meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self.tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.tracers.add_span_processor(
            AgentOutcomeSpanProcessor(logger_provider=self.logs, meter_provider=self.meters)
        )
        self.tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))

    def shutdown(self) -> None:
        """Send what is left."""
        for provider in (self.tracers, self.logs, self.meters):
            provider.shutdown()


def test_nothing_secret_leaves(redacting: tuple[Collector, Collector]) -> None:
    """Secrets of every known shape in every place a text can stand: none is in what was sent on."""
    collector, sink = redacting
    app = _App(collector.http_endpoint, Resource({"service.name": "test", "owner": SECRETS[0]}))
    tracer = app.tracers.get_tracer("test", attributes={"owner": SECRETS[0]})
    for secret in SECRETS:
        with tracer.start_as_current_span(f"invoke_agent {secret}", attributes=KEPT) as span:
            span.set_attributes({"note": f"before {secret} after", "notes": ["first", secret]})
            span.set_attributes(dict.fromkeys(REMOVED, f"private {MARK} {secret}"))
            span.set_attribute("agent.outcome.label", secret)
            span.set_attribute("agent.outcome.value", f"worth {secret}")
            span.add_event("step", {"note": secret, "exception.message": f"{MARK} {secret}"})
            span.record_exception(ValueError(f"{MARK} {secret}"))
            span.set_status(Status(StatusCode.ERROR, f"{MARK} {secret}"))
        app.logs.get_logger("test").emit(body=f"it said {secret}", attributes={"note": secret})
        app.logs.get_logger("test").emit(body={"said": [secret, {"deeper": secret}]}, event_name="test.event")
    app.shutdown()
    written = _written(sink, spans=len(SECRETS), records=3 * len(SECRETS))
    for leak in (MARK, "leaked.person", *SECRETS):
        assert _around(leak, written) == []
        assert _around(json.dumps(leak)[1:-1], written) == []


def _around(leak: str, written: str) -> list[str]:
    """Where it leaked, with what stands before it."""
    return [written[max(0, found.start() - 80) : found.end()] for found in re.finditer(re.escape(leak), written)][:5]


def _written(sink: Collector, spans: int, records: int) -> str:
    """All that the collector behind received, as JSON text, once it is all there."""
    sink.wait_for(lambda it: len(it.spans()) == spans)
    sink.wait_for(lambda it: len(it.log_records()) == records)
    sink.wait_for(lambda it: it.metrics_named("agent.runs"))
    folder = sink.stderr_path.with_name("otel-out")
    return "".join((folder / f"{signal}.json").read_text() for signal in ("traces", "logs", "metrics"))


def test_everything_else_stays(redacting: tuple[Collector, Collector]) -> None:
    """Figures, ids, labels and ordinary words arrive as they were, in the span, the event and the metrics."""
    collector, sink = redacting
    app = _App(collector.http_endpoint, Resource({"service.name": "test"}))
    with app.tracers.get_tracer("test").start_as_current_span("invoke_agent support-bot", attributes=KEPT):
        pass
    app.shutdown()
    _written(sink, spans=1, records=1)
    (span,) = sink.spans()
    assert span.name == "invoke_agent support-bot"
    assert {pair.key: scalar([pair], pair.key) for pair in span.attributes} == KEPT
    (event,) = sink.log_records()
    assert (event.event_name, event.trace_id, event.span_id) == ("agent.outcome", span.trace_id, span.span_id)
    assert event.body.string_value.startswith("support-bot: success/converted/sent_by_mail, worth 12345678901.12345")
    found = {pair.key: scalar([pair], pair.key) for pair in event.attributes}
    assert found["agent.outcome.value_decimal"] == KEPT["agent.outcome.value"]
    assert found["agent.outcome.id"] == f"{span.trace_id.hex()}-{span.span_id.hex()}"
    assert not [name for name in found if name.startswith("redaction.")]
    (point,) = sink.metrics_named("agent.outcome.value")[0].sum.data_points
    assert scalar(list(point.attributes), "agent.outcome.label") == "sent_by_mail"
    assert point.as_double == 12345678901.123456789012


def test_two_addresses_in_a_label_stay_two_series(redacting: tuple[Collector, Collector]) -> None:
    """A masked label would make one series of two, and their sums wrong; a hash keeps them apart."""
    collector, sink = redacting
    app = _App(collector.http_endpoint, Resource({"service.name": "test"}))
    names = ("bot-of-one@mail.example", "bot-of-two@mail.example")
    for name in (*names, names[0]):
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with app.tracers.get_tracer("test").start_as_current_span("invoke_agent", attributes=attributes):
            pass
    app.shutdown()
    written = _written(sink, spans=3, records=3)
    assert "mail.example" not in written
    points = sink.metrics_named("agent.runs")[0].sum.data_points
    assert sorted(int(point.as_double or point.as_int) for point in points) == [1, 2]
