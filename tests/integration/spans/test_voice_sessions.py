# SPDX-License-Identifier: Apache-2.0
"""A call that LiveKit Agents answers: its session is one run, whatever its turns are and whoever speaks last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from tests.pipeline import AGENT, MODEL, TOOL, Pipeline

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LIVEKIT = "livekit-agents"
SESSION = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "agent_session"}
PROVIDER = {"gen_ai.provider.name": "somebody", "gen_ai.request.model": "m"}
LABELS = ("desk", "__main__.Zürich", "agent_session_2")
# The words of a turn: how its model call ended.
WELL, INTERRUPTED, REFUSED = "stop", "error", "429"
TALKS = {
    "one": [WELL],
    "two": [WELL, WELL],
    "interrupted": [WELL, INTERRUPTED],
    "refused first": [REFUSED, WELL],
    "refused between": [WELL, REFUSED, WELL],
}
REFUSED_LAST = {"alone": [REFUSED], "last": [WELL, WELL, REFUSED], "twice": [REFUSED, REFUSED]}


def call_model(tracer: Tracer, end: str) -> None:
    """As LiveKit writes it: nothing but the finish reason tells of a user who has begun to speak."""
    with tracer.start_as_current_span("llm_request", attributes={**MODEL, **PROVIDER}) as span:
        with tracer.start_as_current_span("llm_request_run", attributes=PROVIDER):
            pass
        if end == REFUSED:
            span.set_attribute("error.type", end)
            span.set_status(StatusCode.ERROR, "message='Error code: 429 - m', status_code=429, retryable=True")
        else:
            span.set_attributes({"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cost": 0.5})
            span.set_attribute("gen_ai.response.finish_reasons", (end,))


def talk(pipeline: Pipeline, label: str, turns: list[str], *, spoken: dict[str, Any] | None = None) -> None:
    """One session within its job, whose entrypoint is over before it."""
    tracer = pipeline.tracer(LIVEKIT)
    job = tracer.start_span("job_entrypoint", attributes={"lk.job_id": "j"})
    with tracer.start_as_current_span("agent_session", attributes={**SESSION, "lk.agent_label": label}):
        with tracer.start_as_current_span(
            "start_agent_activity", attributes={"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": label}
        ):
            pass
        for end in turns:
            with tracer.start_as_current_span("agent_turn", attributes={**AGENT, "gen_ai.agent.name": label}) as turn:
                call_model(tracer, end)
                with tracer.start_as_current_span("function_tool", attributes={**TOOL, "gen_ai.tool.name": "t"}):
                    pass
                if end == REFUSED:
                    turn.set_attribute("error.type", end)
                    turn.set_status(StatusCode.ERROR)
        if spoken is not None:
            with tracer.start_as_current_span("tts_request", attributes={**PROVIDER, **spoken}):
                pass
        with tracer.start_as_current_span("session_close", attributes={"lk.close_reason": "user_initiated"}):
            pass
    job.end()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("turns", TALKS.values(), ids=TALKS)
def test_a_session_that_went_well(pipeline: Pipeline, label: str, turns: list[str]) -> None:
    """It is one run, by its agent's label, that gets over a turn that failed, and no interruption is a failure."""
    talk(pipeline, label, turns)
    event = pipeline.event()
    assert (event.attributes["gen_ai.agent.name"], event.outcome("status")) == (label, "success")
    assert event.attributes["agent.run.model_calls"] == event.attributes["agent.run.tool_calls"] == len(turns)
    assert event.attributes["agent.run.input_tokens"] == 10 * sum(end != REFUSED for end in turns)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("turns", REFUSED_LAST.values(), ids=REFUSED_LAST)
def test_the_last_word_is_a_failure(pipeline: Pipeline, label: str, turns: list[str]) -> None:
    """The session's span ends clean; nobody has got over its last turn."""
    talk(pipeline, label, turns)
    event = pipeline.event()
    found = tuple(event.outcome(key) for key in ("status", "error.category", "retryable"))
    assert found == ("failure", "rate_limit", True)
    assert event.attributes["error.type"] == REFUSED


@pytest.mark.parametrize("key", ["lk.tts.label", "lk.pii.user_transcript", "lk.user_transcript"])
def test_speech_costs_something(pipeline: Pipeline, key: str) -> None:
    """What no span says the price of is no part of a complete cost."""
    talk(pipeline, "desk", [WELL])
    talk(pipeline, "desk", [WELL], spoken={key: "x"})
    silent, spoken = pipeline.events()
    assert (silent.outcome("cost"), silent.outcome("cost_complete")) == (0.5, True)
    assert (spoken.outcome("cost"), spoken.outcome("cost_complete")) == (0.5, False)
