# SPDX-License-Identifier: Apache-2.0
"""The option `evaluation_result`: outcomes as events of the GenAI conventions, beside our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline import AGENT, Pipeline

if TYPE_CHECKING:
    from tests.pipeline import SeenEvent

EVALUATION = "gen_ai.evaluation.result"
NAME, SCORE, LABEL = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"


def evaluations(pipeline: Pipeline) -> list[SeenEvent]:
    return [event for event in pipeline.events() if event.name == EVALUATION]


def run(pipeline: Pipeline, **outcome: Any) -> None:
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        for key, value in outcome.items():
            span.set_attribute(f"agent.outcome.{key}", value)


def test_off_by_default() -> None:
    """Nobody who did not ask for it gets another event."""
    pipeline = Pipeline()
    run(pipeline, label="x")
    assert [event.name for event in pipeline.events()] == ["agent.outcome"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ({}, [("agent.outcome.status", 1.0, "success")]),
        ({"status": "timeout"}, [("agent.outcome.status", 0.0, "timeout")]),
        (
            {"type": "unsuccessful"},
            [("agent.outcome.status", 1.0, "success"), ("agent.outcome.success", 0.0, "unsuccessful")],
        ),
        (
            {"success": True, "label": "resolved"},
            [("agent.outcome.status", 1.0, "success"), ("agent.outcome.success", 1.0, "resolved")],
        ),
        (
            {"label": "unclear"},
            [("agent.outcome.status", 1.0, "success"), ("agent.outcome.success", None, "unclear")],
        ),
        (
            {"success": False},
            [("agent.outcome.status", 1.0, "success"), ("agent.outcome.success", 0.0, None)],
        ),
    ],
)
def test_execution_and_business_result_are_two_evaluations(outcome: dict[str, Any], expected: list[Any]) -> None:
    """Neither is derived from the other, and a verdict that nobody gave has no score."""
    pipeline = Pipeline(evaluation_result=True)
    run(pipeline, **outcome)
    assert [
        (event.attributes[NAME], event.attributes.get(SCORE), event.attributes.get(LABEL))
        for event in evaluations(pipeline)
    ] == expected


def test_an_evaluation_stands_in_the_run_and_is_counted_nowhere() -> None:
    """Same trace, span and time as the outcome; message as explanation, the error's class; no further outcome."""
    pipeline = Pipeline(evaluation_result=True)
    run(pipeline, status="failure", message="no stock")
    (evaluation,) = evaluations(pipeline)
    outcome = next(event for event in pipeline.events() if event.name == "agent.outcome")
    assert (evaluation.trace_id, evaluation.span_id, evaluation.timestamp) == (
        outcome.trace_id,
        outcome.span_id,
        outcome.timestamp,
    )
    assert evaluation.attributes == {
        NAME: "agent.outcome.status",
        SCORE: 0.0,
        LABEL: "failure",
        "gen_ai.evaluation.explanation": "no stock",
        "gen_ai.agent.name": "a",
        "agent.outcome.id": outcome.attributes["agent.outcome.id"],
    }
    assert pipeline.total("agent_outcomes.processor.events") == 1
    assert pipeline.run_count() == 1


def test_a_hidden_message_is_no_explanation() -> None:
    """What is kept off the outcome is kept off its evaluation."""
    pipeline = Pipeline(evaluation_result=True, hide_message=True)
    run(pipeline, status="failure", message="secret")
    assert all("secret" not in str(event.attributes) for event in pipeline.events())


def test_a_revision_evaluates_the_business_result_again() -> None:
    """The status was evaluated with the run and never changes."""
    pipeline = Pipeline(evaluation_result=True)
    with pipeline.tracer().start_as_current_span("job") as job:
        run(pipeline)
        job.set_attribute("agent.outcome.success", value=True)
    assert [event.attributes[NAME] for event in evaluations(pipeline)] == [
        "agent.outcome.status",
        "agent.outcome.success",
    ]
