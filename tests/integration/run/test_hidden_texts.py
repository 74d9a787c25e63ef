# SPDX-License-Identifier: Apache-2.0
"""Message and metadata that are hidden leave by no way: no attribute, line, span, metric or report has any of them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes import Outcome, agent_run, doctor
from tests.pipeline import AGENT, TOOL, Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from opentelemetry.sdk.trace import ReadableSpan

    from agent_outcomes.run.pricing import ModelCall

CARD = "4111111111111111"
HIDDEN_TEXTS: list[dict[str, Any]] = [
    {"agent.outcome.message": f"card {CARD}"},
    {"agent.outcome.message": int(CARD)},
    {"agent.outcome.message": [CARD, "x"]},
    {"agent.outcome.message": CARD * 600},
    {"agent.outcome.metadata": json.dumps({"card": CARD})},
    {"agent.outcome.metadata": json.dumps({"card": CARD, "x": "y" * 20_000})},
    {"agent.outcome.metadata": f"no JSON {CARD}"},
    {"agent.outcome.metadata": int(CARD)},
    {"agent.outcome.metadata.card": CARD},
    {"agent.outcome.metadata.card": CARD * 2_000},
    {f"agent.outcome.metadata.{CARD}": "x" * 200},
    {f"agent.outcome.metadata.{number}": CARD for number in range(40)},
]
WAYS = ("run", "tool", "nested", "outer", "api", "whole")


def hiding(limit: int | None) -> tuple[Pipeline, InMemorySpanExporter]:
    """A pipeline that hides both texts and makes everything it can; the exporter has the outcome spans."""
    pipeline = Pipeline(
        hide_message=True,
        hide_metadata=True,
        outcome_span=True,
        handoffs=True,
        evaluation_result=True,
        span_limits=SpanLimits(max_span_attribute_length=limit),
    )
    exporter = InMemorySpanExporter()
    shown = TracerProvider(shutdown_on_exit=False)
    shown.add_span_processor(SimpleSpanProcessor(exporter))
    pipeline.processor._sink._tracer_provider = shown
    return pipeline, exporter


def state(pipeline: Pipeline, way: str, stated: dict[str, Any]) -> None:
    """State this on the run itself, on a span inside or around it, or by the API."""
    tracer = pipeline.tracer()
    if way in ("api", "whole"):
        field = "message" if "agent.outcome.message" in stated else "metadata"
        given: Any = {field: next(iter(stated.values()))}
        with agent_run("bot", tracer_provider=pipeline.spans) as run:
            run.set_outcome(Outcome.success(**given)) if way == "whole" else run.set_outcome(**given)
        return
    with tracer.start_as_current_span("handle") as outer:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
            with tracer.start_as_current_span("execute_tool t", attributes=TOOL) as tool:
                pass_on = {"tool": tool, "run": span}.get(way)
                if pass_on is not None:
                    pass_on.set_attributes({**stated, "agent.outcome.success": True})
            with tracer.start_as_current_span("invoke_agent b", attributes=AGENT) as nested:
                if way == "nested":
                    nested.set_attributes(stated)
        if way == "outer":
            outer.set_attributes({**stated, "agent.outcome.label": "sold"})


def all_that_left(pipeline: Pipeline, spans: Sequence[ReadableSpan], lines: str) -> str:
    events = [f"{event.body} {event.attributes}" for event in pipeline.events()]
    shown = [f"{span.name} {dict(span.attributes or {})}" for span in spans]
    return " ".join([*events, *shown, lines, str(pipeline.collect())])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(HIDDEN_TEXTS), st.sampled_from(WAYS), st.sampled_from([None, 12, 20, 128, 9_000]))
def test_a_hidden_text_leaves_by_no_way(
    caplog: pytest.LogCaptureFixture, stated: dict[str, Any], way: str, limit: int | None
) -> None:
    """Whatever it is, wherever it is stated and however much of it a limit has left."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="agent_outcomes"):
        pipeline, exporter = hiding(limit)
        state(pipeline, way, stated)
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("agent_outcomes"))
    assert pipeline.events()
    assert CARD[:12] not in all_that_left(pipeline, exporter.get_finished_spans(), ours)
    assert pipeline.error_count() == 0


def test_what_was_refused_is_still_named() -> None:
    """The problem stays, without the value; and what is not hidden is kept as text."""
    pipeline = Pipeline(hide_message=True)
    attributes: dict[str, Any] = {**AGENT, "agent.outcome.message": int(CARD), "agent.outcome.value": "ten"}
    pipeline.tracer().start_span("invoke_agent a", attributes=attributes).end()
    event = pipeline.event()
    assert event.problems == ["invalid_amount:agent.outcome.value", "invalid_text:agent.outcome.message"]
    assert event.outcome("refused") == ("agent.outcome.value=ten",)
    assert pipeline.problem_count("invalid_text") == 1


def test_nothing_is_refused_in_silence_where_nothing_is_hidden() -> None:
    """Without the setting the short text of what was refused stands on the event, and metadata's own key."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attribute_length=100))
    attributes: dict[str, Any] = {**AGENT, "agent.outcome.message": int(CARD), "agent.outcome.metadata.note": "x" * 100}
    pipeline.tracer().start_span("invoke_agent a", attributes=attributes).end()
    event = pipeline.event()
    assert event.outcome("refused") == (f"agent.outcome.message={CARD}",)
    assert "text_truncated:agent.outcome.metadata.note" in event.problems


def test_the_doctor_shows_no_hidden_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its report speaks of layers and settings, not of what was stated."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    pipeline, _ = hiding(None)
    for stated in HIDDEN_TEXTS:
        state(pipeline, "run", stated)
    assert CARD not in f"{doctor.check(timeout_s=2)}{capsys.readouterr()}"


def test_no_text_of_an_exception_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A user's function or a provider that raises is named by the class of what it raised."""

    def prices(call: ModelCall) -> object:
        message = f"{CARD} {call}"
        raise ValueError(message)

    def is_run(span: ReadableSpan) -> bool:
        message = f"{CARD} {span}"
        raise KeyError(message)

    pipeline = Pipeline(prices=prices, is_run=is_run)
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 1,
    }
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        pipeline.tracer().start_span("chat", attributes=attributes).end()
    lines = [record.getMessage() for record in caplog.records]
    assert any("raised ValueError" in line for line in lines)
    assert any(line.endswith("KeyError") for line in lines)
    assert CARD not in " ".join(lines)
