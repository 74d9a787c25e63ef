# SPDX-License-Identifier: Apache-2.0
"""Attribute limits of the SDK, on spans and on log records: never a wrong amount, and the loss is named."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import SpanLimits

from tests.pipeline import AGENT, PROBLEMS, Pipeline, call_model, lost_on_the_wire, numbers, total_of

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("sdk_warns_of_losses")

EXACT = "12345678.123456789012"
LONG_EXACT = "123456789012345.678901234567"
ONLY_THE_FIRST_FOUR = {
    "agent.outcome.value": "1234.5678",
    "agent.outcome.cost": "9876.54",
    "gen_ai.usage.cost": "5555.55",
}


def run(pipeline: Pipeline, attributes: Mapping[str, Any]) -> None:
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        for key, value in attributes.items():
            span.set_attribute(key, value)


def amounts(pipeline: Pipeline) -> dict[str, float | int]:
    data = pipeline.collect()
    names = ("agent.outcome.value", "agent.run.cost", "agent.outcome.cost", "agent.outcome.reversal.value")
    return {name: total for name in names if (total := total_of(data, name))}


def test_attribute_count_of_spans() -> None:
    """Three attributes a span: the oldest were lost, among them the status; it is inferred and the loss is listed."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attributes=3))
    run(
        pipeline,
        {
            "agent.outcome.status": "failure",
            "agent.outcome.value": 5,
            "agent.outcome.currency": "EUR",
            "agent.outcome.label": "resolved",
        },
    )
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("source")) == ("success", "inferred")
    assert (event.outcome("value"), event.outcome("currency")) == (5.0, "EUR")
    assert event.problems == ["attributes_dropped"]


def test_currency_lost_to_the_count_is_no_amount_in_dollars() -> None:
    """Where attributes were dropped a value without its currency may be in any: it is no amount in US dollars."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attributes=3))
    run(
        pipeline,
        {
            "agent.outcome.currency": "JPY",
            "agent.outcome.value": 5000,
            "agent.outcome.label": "resolved",
            "agent.outcome.type": "converted",
        },
    )
    event = pipeline.event()
    assert "attributes_dropped" in event.problems
    assert event.outcome("value") is None
    assert amounts(pipeline) == {}


def test_text_length_of_spans() -> None:
    """Four characters a text: what may have been cut is refused and named, an amount in text above all."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attribute_length=4))
    run(pipeline, {**ONLY_THE_FIRST_FOUR, "agent.outcome.label": "resolved", "agent.outcome.type": "converted"})
    event = pipeline.event()
    assert amounts(pipeline) == {}
    assert [event.outcome(name) for name in ("value", "cost", "label", "type")] == [None] * 4
    assert sorted(event.problems) == [
        "text_truncated:agent.outcome.cost",
        "text_truncated:agent.outcome.label",
        "text_truncated:agent.outcome.type",
        "text_truncated:agent.outcome.value",
        "text_truncated:gen_ai.usage.cost",
    ]


def test_text_shorter_than_the_limit_is_whole() -> None:
    """A limit of four cannot have cut three characters, and never cuts a double."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attribute_length=4))
    run(pipeline, {"agent.outcome.value": "1.5", "agent.outcome.currency": "EUR", "agent.outcome.cost": 1234.5678})
    assert amounts(pipeline) == {
        "agent.outcome.value": 1.5,
        "agent.run.cost": 1234.5678,
        "agent.outcome.cost": 1234.5678,
    }
    assert pipeline.event().outcome("currency") == "EUR"
    assert pipeline.event().problems == []


def test_cost_texts_of_leaves_cut_by_the_limit() -> None:
    """A leaf's cost in text that may have been cut is refused, and the run's cost is incomplete."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attribute_length=4))
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("agent", attributes={"agent.outcome.value": 1}):
        with tracer.start_as_current_span("chat", attributes={"gen_ai.usage.cost": "1234.56"}):
            pass
        with tracer.start_as_current_span(
            "desk", attributes={"agent.cost.amount": "7777.77", "agent.cost.kind": "tool"}
        ):
            pass
    event = pipeline.event()
    assert amounts(pipeline) == {"agent.outcome.value": 1}
    assert event.outcome("cost_complete") is False
    assert "text_truncated:gen_ai.usage.cost" in event.problems
    assert "text_truncated:agent.cost.amount" in event.problems


def test_leaf_that_lost_its_currency_to_the_count() -> None:
    """A metered cost whose currency was dropped is refused, and the run's cost is incomplete."""
    pipeline = Pipeline(span_limits=SpanLimits(max_span_attributes=2))
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("agent", attributes={"agent.outcome.value": 1}),
        tracer.start_as_current_span("desk") as desk,
    ):
        desk.set_attribute("agent.cost.currency", "JPY")
        desk.set_attribute("agent.cost.kind", "human")
        desk.set_attribute("agent.cost.amount", 900)
    event = pipeline.event()
    assert amounts(pipeline) == {"agent.outcome.value": 1}
    assert event.problems == ["invalid_currency:agent.cost.amount", "attributes_dropped"]
    assert event.outcome("cost_complete") is False


@pytest.mark.parametrize("length", range(1, 40))
def test_any_text_length_on_spans_and_log_records(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """With the variable that limits spans and log records alike, every amount is either exact or absent and named."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    pipeline = Pipeline()
    run(
        pipeline,
        {"agent.outcome.value": EXACT, "agent.outcome.currency": "EUR", "agent.outcome.cost": "123456789.123456789"},
    )
    event = pipeline.event()
    for name, given in (("value", EXACT), ("cost", "123456789.123456789")):
        seen = event.outcome(name)
        text = event.outcome(f"{name}_decimal")
        assert seen in (None, float(given))
        assert text in (None, given)
        if text is None:
            assert event.problems
    total = amounts(pipeline).get("agent.outcome.value", 0)
    assert total in (0, float(EXACT))
    if length > len(EXACT):
        assert total == float(EXACT)
    assert lost_on_the_wire(pipeline.memory.get_finished_logs(), pipeline.collect()) == []


def test_exact_text_that_the_log_record_would_cut_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value given exactly on the span, whose text does not fit into the log record: it is left out and named."""
    whole = Pipeline()
    run(whole, {"agent.outcome.value": LONG_EXACT})
    assert whole.event().outcome("value_decimal") == LONG_EXACT
    assert whole.event().problems == []
    # A limit on spans of their own, so that only log records are cut at twelve.
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "12")
    cut = Pipeline(span_limits=SpanLimits(max_span_attribute_length=999))
    run(cut, {"agent.outcome.value": LONG_EXACT})
    assert cut.event().outcome("value") == float(LONG_EXACT)
    assert cut.event().outcome("value_decimal") is None
    assert cut.event().problems
    assert cut.problem_count("text_truncated") >= 1


def test_cut_cost_breakdown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm 0.25 USD` cut short would be another amount."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8")
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("agent", attributes={"agent.outcome.value": 1}):
        call_model(tracer, cost="0.25")
        with tracer.start_as_current_span("desk", attributes={"agent.cost.amount": 3.5}):
            pass
    event = pipeline.event()
    assert event.outcome("cost_breakdown") is None
    assert event.outcome("cost") == 3.75


@pytest.mark.parametrize("variable", ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
@pytest.mark.parametrize("limit", [4, 12])
def test_further_events_of_a_run_over_a_limit(monkeypatch: pytest.MonkeyPatch, variable: str, limit: int) -> None:
    """Handoffs and evaluations have other attributes than outcomes; none is lost, nothing fails and no id is cut."""
    monkeypatch.setenv(variable, str(limit))
    pipeline = Pipeline(handoffs=True, evaluation_result=True, span_limits=SpanLimits(99, max_attribute_length=999))
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent boss", attributes=AGENT),
        tracer.start_as_current_span("invoke_agent worker-of-a-long-name", attributes=AGENT),
    ):
        pass
    events = pipeline.events()
    assert [event.name for event in events] == ["agent.outcome", "agent.handoff", "gen_ai.evaluation.result"]
    kept = ("log.record.uid", "agent.handoff.id", "gen_ai.evaluation.name")
    is_kept = "COUNT" in variable
    assert all((key in event.attributes) is is_kept for event, key in zip(events, kept, strict=True))
    assert (pipeline.error_count(), pipeline.run_count()) == (0, 1)


@pytest.mark.parametrize("count", range(1, 30))
def test_any_attribute_count_on_spans_and_log_records(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """With the variable that limits both, no amount is wrong and none stands without its currency."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", str(count))
    pipeline = Pipeline()
    run(
        pipeline,
        {
            "agent.outcome.status": "success",
            "agent.outcome.label": "resolved",
            "agent.outcome.value": "0.100000000001",
            "agent.outcome.currency": "JPY",
            "agent.outcome.cost": 2.5,
            "agent.outcome.cost_currency": "CHF",
        },
    )
    event = pipeline.event()
    for name, currency_name, given, currency in (
        ("value", "currency", 0.100000000001, "JPY"),
        ("cost", "cost_currency", 2.5, "CHF"),
    ):
        if event.outcome(name) is not None:
            assert (event.outcome(name), event.outcome(currency_name)) == (given, currency)
    if count >= 3:
        assert event.outcome("status") == "success"
        assert event.attributes["log.record.uid"].endswith("-0")
    if 3 <= count < 18:
        assert "attributes_dropped" in event.attributes[PROBLEMS]
    for labels, number in _values(pipeline):
        assert (Decimal(repr(number)), labels) == (Decimal("0.100000000001"), "JPY")


def _values(pipeline: Pipeline) -> list[tuple[Any, float | int]]:
    found = numbers(pipeline.collect(), "agent.outcome.value")
    return [(dict(labels).get("agent.outcome.currency"), number) for labels, number in found]


@pytest.mark.parametrize("further", [127, 128, 200, 1000])
@pytest.mark.parametrize("label", [None, "served"])
@pytest.mark.parametrize("word", ["invoke_agent", "invoke_workflow"])
def test_an_agent_whose_marks_are_evicted_stays_one(word: str, label: str | None, further: int) -> None:
    """The oldest attributes go first, and marks are set first: the span's name tells, and what is left is believed."""
    pipeline = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span(f"{word} waiter", attributes={"gen_ai.operation.name": word}) as span:
        call_model(tracer)
        for number in range(further):
            span.set_attribute(f"app.{number}", number)
        if label is not None:
            span.set_attribute("agent.outcome.label", label)
    event = pipeline.event()
    assert (pipeline.run_count(), event.outcome("label")) == (1, label)
    assert pipeline.total("agent.run.tokens") == 15


def test_a_span_that_lost_attributes_and_was_never_seen_as_an_agent_is_none() -> None:
    """Nothing is guessed."""
    pipeline = Pipeline()
    with pipeline.tracer().start_as_current_span("handle") as span:
        span.set_attributes(AGENT)
        for number in range(200):
            span.set_attribute(f"app.{number}", number)
    assert (pipeline.run_count(), pipeline.open_count()) == (0, 0)
