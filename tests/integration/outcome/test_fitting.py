# SPDX-License-Identifier: Apache-2.0
"""Limits on events and outcome spans: what must not be cut is left out, and every cut is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.record.fitting import fit
from tests.pipeline import AGENT, PROBLEMS, Pipeline, call_model

pytestmark = pytest.mark.usefixtures("sdk_warns_of_losses")

LONG_EXACT = "123456789012345.678901234567"
STATED: dict[str, Any] = {
    "agent.outcome.value": LONG_EXACT,
    "agent.outcome.currency": "EUR",
    "agent.outcome.cost": "0.123456789012",
    "agent.outcome.cost_currency": "JPY",
    "agent.outcome.type": "converted",
    "agent.outcome.label": "a label of some length",
    "agent.outcome.run_id": "ticket/2026-11-21#4711",
    "agent.outcome.job_type": "refund_request",
    "agent.outcome.message": "it was sold to the customer",
    "gen_ai.conversation.id": "support-0-00377",
    "agent.outcome.retryable": "9999999999999999.25 as given",
}
MAY_BE_CUT = {"agent.outcome.label", "agent.outcome.message", "agent.outcome.job_type", "gen_ai.agent.name"}
MAY_BE_CUT |= {"agent.outcome.evidence", "agent.outcome.metadata", "error.type"}


def make_run(pipeline: Pipeline) -> None:
    """A run, its revision by the span around it, a handoff, and costs of two kinds."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        attributes = {**AGENT, "gen_ai.agent.name": "support agent", "gen_ai.conversation.id": "support-0-00377"}
        with tracer.start_as_current_span("invoke_agent a", attributes=attributes):
            call_model(tracer, cost="0.000012345678")
            with tracer.start_as_current_span("desk", attributes={"agent.cost.amount": "123.456"}):
                pass
            with tracer.start_as_current_span("invoke_agent b", attributes=AGENT):
                pass
        outer.set_attributes(STATED)
    with tracer.start_as_current_span("invoke_agent c", attributes={**AGENT, **STATED}):
        pass


def whole_events() -> list[dict[str, Any]]:
    pipeline = Pipeline(handoffs=True, evaluation_result=True)
    make_run(pipeline)
    return [event.attributes for event in pipeline.events()]


@pytest.mark.parametrize("length", [*range(36), 48, 49, 50, 51, 60])
def test_every_cut_is_named_and_no_id_or_amount_is_cut(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """At any limit on text an attribute is whole, or left out, or one that may be cut and is named."""
    whole = whole_events()
    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    pipeline = Pipeline(handoffs=True, evaluation_result=True, span_limits=SpanLimits(max_span_attribute_length=9999))
    make_run(pipeline)
    events = [event.attributes for event in pipeline.events()]
    assert len(events) == len(whole)
    for event, before in zip(events, whole, strict=True):
        same_ids = {key: value for key, value in before.items() if not key.endswith((".id", ".uid", "supersedes"))}
        for key, value in event.items():
            if key in (PROBLEMS, "agent.outcome.refused"):
                continue
            if isinstance(value, str) and key in same_ids and value != same_ids[key]:
                assert key in MAY_BE_CUT | {"gen_ai.evaluation.explanation", "gen_ai.evaluation.score.label"}
                assert any(text.startswith("text_truncated") for text in event[PROBLEMS])
            if key.endswith((".id", ".uid", "supersedes")):
                assert len(value) == len(before[key])
        for amount, currency in (("value", "currency"), ("cost", "cost_currency")):
            if f"agent.outcome.{amount}" in event:
                assert event[f"agent.outcome.{currency}"] in CURRENCIES
        assert all(
            len(text) <= length or text == "text_truncated"[:length] for text in event.get(PROBLEMS, ()) if length
        )
        assert set(before) == set(event) or event[PROBLEMS]


def outcome_span(settings: dict[str, Any], span_limits: SpanLimits) -> dict[str, Any]:
    """The attributes of the outcome span of a run with that exact value."""
    exporter = InMemorySpanExporter()
    pipeline = Pipeline(outcome_span=True, **settings)
    shown = TracerProvider(span_limits=span_limits, shutdown_on_exit=False)
    shown.add_span_processor(SimpleSpanProcessor(exporter))
    pipeline.processor._sink._tracer_provider = shown
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes={**AGENT, **STATED}):
        pass
    (span,) = exporter.get_finished_spans()
    return dict(span.attributes or {})


def test_limits_of_events_take_nothing_from_the_outcome_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the limits of its own provider."""
    before = outcome_span({}, SpanLimits(999, max_span_attribute_length=999))
    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20")
    after = outcome_span({}, SpanLimits(999, max_span_attribute_length=999))
    assert before["agent.outcome.value_decimal"] == after["agent.outcome.value_decimal"] == LONG_EXACT
    assert before.keys() == after.keys()
    assert before[PROBLEMS] == after[PROBLEMS]


@pytest.mark.parametrize("length", [2, 3, 16, 20, 40])
def test_limits_of_spans_leave_ids_and_amounts_out_of_the_outcome_span(length: int) -> None:
    """The outcome span has no cut id and no cut amount either."""
    shown = outcome_span({}, SpanLimits(999, max_span_attribute_length=length))
    for key in ("agent.outcome.id", "log.record.uid", "agent.outcome.value_decimal", "agent.outcome.run_id"):
        assert len(shown.get(key, "")) in (0, 22, 28, 49, 51)
    assert shown.get("agent.outcome.currency", "EUR") == "EUR"
    assert any(text.startswith("text_truncated"[:length]) for text in shown[PROBLEMS])


TEXTS = st.text("ab:=", max_size=60)
KEYS = st.sampled_from([*STATED, "agent.outcome.id", "log.record.uid", "agent.outcome.refused", PROBLEMS, "x"])
VALUES = TEXTS | st.lists(TEXTS, max_size=4).map(tuple) | st.integers() | st.booleans()


@given(st.dictionaries(KEYS, VALUES), st.none() | st.integers(0, 60), st.none() | st.integers(0, 12))
def test_what_is_given_is_not_changed(given: dict[str, Any], length: int | None, count: int | None) -> None:
    """Whatever is taken away, it is taken from a copy; and without problems nothing is."""
    before = dict(given)
    fitted, problems = fit(given, length, count)
    assert given == before
    assert list(given) == list(before)
    if not problems:
        assert {key: value for key, value in fitted.items() if key != PROBLEMS} == {
            key: value for key, value in before.items() if key != PROBLEMS
        }
