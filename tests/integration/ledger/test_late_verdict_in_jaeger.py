# SPDX-License-Identifier: Apache-2.0
"""A verdict that comes after its trace has been exported, in a real Jaeger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from agent_outcomes import report_outcome
from tests.integration.backends import Jaeger, Series, wait_until
from tests.ledger_pipeline import LedgerPipeline
from tests.pipeline import run_agent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_late_verdict_is_beside_the_first_in_the_trace(
    backend_binary: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two spans `agent.outcome` below the run's: revision 0 from the application's exporter, 1 from the ledger."""
    with Jaeger(backend_binary("jaeger"), tmp_path / "jaeger") as jaeger:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{jaeger.otlp_endpoint}/v1/traces")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        pipeline = LedgerPipeline(tmp_path / "o.db", outcome_span=True, ledger_deliver=True)
        pipeline.spans.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
        pipeline.sink._tracer_provider = pipeline.spans
        run_agent(pipeline.tracer(), "support", calls=0, run_id="ticket-4711")
        report = report_outcome(run_id="ticket-4711", success=True, label="stayed_closed", ledger=pipeline.url)
        assert pipeline.processor.force_flush(20_000)
        trace_id, _, span_id = str(report.outcome_id).partition("-")

        def made() -> list[Series]:
            return [span for span in jaeger.trace(trace_id) if span["operationName"] == "agent.outcome"]

        wait_until(lambda: len(made()) > 1)
        revisions = {}
        for span in made():
            assert [reference["spanID"] for reference in span["references"]] == [span_id]
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            revisions[tags["agent.outcome.revision"]] = tags.get("agent.outcome.label")
        assert revisions == {0: None, 1: "stayed_closed"}
        pipeline.processor.shutdown()
