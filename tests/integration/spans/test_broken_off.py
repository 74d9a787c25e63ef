# SPDX-License-Identifier: Apache-2.0
"""Runs that somebody has stopped and whose spans end as if all had gone well: the AI SDK's, Copilot's in VS Code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import StatusCode

from tests.pipeline import Pipeline

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

MODEL = "gpt-4o-mini"
AI_SDK = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "openai", "gen_ai.request.model": MODEL}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL}
USED = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
COPILOT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "GitHub Copilot Chat",
    "copilot_chat.session_id": "s",
}


def ai_sdk_7(tracer: Tracer, *, answered: bool, **more: Any) -> None:
    """A stream of two steps, of which the second is broken off, as the SDK then ends all spans."""
    with tracer.start_as_current_span(f"invoke_agent {MODEL}", attributes={**AI_SDK, **more}) as root:
        for number in (1, 2):
            with (
                tracer.start_as_current_span(f"step {number}", attributes={"gen_ai.operation.name": "agent_step"}),
                tracer.start_as_current_span(f"chat {MODEL}", attributes=CHAT) as chat,
            ):
                if answered or number == 1:
                    chat.set_attributes({"gen_ai.response.finish_reasons": ["stop"], **USED})
        if answered:
            root.set_attributes({"gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.input_tokens": 200})


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("more", [{}, {"gen_ai.agent.name": "support"}, {"gen_ai.input.messages": "[]"}])
def test_ai_sdk_7(pipeline: Pipeline, more: dict[str, Any], *, answered: bool) -> None:
    """Whether its user or a time limit has stopped it no span tells; that it came to no answer is no success."""
    ai_sdk_7(pipeline.tracer("gen_ai"), answered=answered, **more)
    event = pipeline.event()
    if answered:
        assert (event.outcome("status"), event.outcome("evidence")) == ("success", "span_end")
    else:
        assert (event.outcome("status"), event.outcome("evidence")) == ("unknown", "no_answer")
        assert event.outcome("retryable") is None
        assert event.attributes["agent.run.input_tokens"] == 100
        assert event.outcome("cost_complete") is False


@pytest.mark.parametrize("operation", ["ai.streamText", "ai.generateText", "ai.streamObject", "ai.generateObject"])
@pytest.mark.parametrize("scope", ["ai", "my.app"])
def test_ai_sdk_with_its_own_words(pipeline: Pipeline, scope: str, operation: str) -> None:
    """Of whatever version and tracer, a root that came to its end has a finish reason."""
    tracer = pipeline.tracer(scope)
    for answer in ({}, {"ai.response.finishReason": "stop"}, {"ai.finishReason": "stop"}, {"ai.usage.inputTokens": 1}):
        with tracer.start_as_current_span(operation, attributes={"ai.operationId": operation}) as root:
            root.set_attributes(answer)
    assert [event.outcome("status") for event in pipeline.events()] == ["unknown", *["success"] * 3]


@pytest.mark.parametrize("reason", ["unknown", "other", "tool-calls", "stop"])
@pytest.mark.parametrize("usage", [{}, {"ai.usage.inputTokens": 200, "ai.usage.outputTokens": 40}])
@pytest.mark.parametrize("operation", ["ai.streamText", "ai.generateText"])
def test_ai_sdk_stopped_after_a_step(pipeline: Pipeline, operation: str, usage: dict[str, int], reason: str) -> None:
    """A stream that was left has had no last part, which has usage and a reason: 4 to 6 make one up."""
    tracer = pipeline.tracer("ai")
    with tracer.start_as_current_span(operation, attributes={"ai.operationId": operation}) as root:
        with tracer.start_as_current_span(
            f"{operation}.do", attributes={"ai.operationId": f"{operation}.doStream"}
        ) as step:
            step.set_attributes({"ai.usage.inputTokens": 100, "ai.usage.outputTokens": 20})
        root.set_attributes({"ai.response.finishReason": reason, "ai.response.text": "", **usage})
    is_left = operation == "ai.streamText" and not usage and reason in ("unknown", "other")
    assert pipeline.event().outcome("status") == ("unknown" if is_left else "success")


@pytest.mark.parametrize(
    ("scope", "name", "attributes"),
    [
        ("gen_ai", "invoke_agent support", {**AI_SDK, "gen_ai.agent.name": "support"}),
        ("gen_ai", "invoke_agent", AI_SDK),
        ("my.app", f"invoke_agent {MODEL}", AI_SDK),
        ("gen_ai", f"invoke_agent {MODEL}", {"gen_ai.operation.name": "invoke_agent"}),
        ("gen_ai", "support", {"gen_ai.operation.name": "invoke_workflow"}),
    ],
)
def test_agents_of_others(pipeline: Pipeline, scope: str, name: str, attributes: dict[str, str]) -> None:
    """By the conventions nobody has to say with which finish reason an agent has ended."""
    with pipeline.tracer(scope).start_as_current_span(name, attributes=attributes):
        pass
    assert pipeline.event().outcome("status") == "success"


def test_set_to_ok() -> None:
    """Whoever knows better has said so, and what a limit took away may have been the answer."""
    pipeline = Pipeline()
    with pipeline.tracer("gen_ai").start_as_current_span(f"invoke_agent {MODEL}", attributes=AI_SDK) as span:
        span.set_status(StatusCode.OK)
    assert pipeline.event().outcome("status") == "success"
    limited = Pipeline(span_limits=SpanLimits(max_span_attributes=3))
    with limited.tracer("gen_ai").start_as_current_span(f"invoke_agent {MODEL}", attributes={"a": 1, **AI_SDK}):
        pass
    assert limited.event().outcome("status") == "success"


def copilot_chat(tracer: Tracer, *, stopped: bool) -> None:
    """A request to the model, which its user may stop."""
    with tracer.start_as_current_span(f"chat {MODEL}", attributes=CHAT) as chat:
        if stopped:
            chat.set_attributes({"gen_ai.response.finish_reasons": ["cancelled"], "copilot_chat.canceled": True})
        else:
            chat.set_attributes({"gen_ai.response.finish_reasons": ["stop"], **USED})


@pytest.mark.parametrize("scope", ["copilot-chat", "my-service"])
@pytest.mark.parametrize(
    ("requests", "status"),
    [
        ((False, False), "success"),
        ((False, True), "cancelled"),
        ((True,), "cancelled"),
        # It was asked again, and the last one went well.
        ((True, False), "success"),
    ],
)
def test_copilot_in_vs_code(pipeline: Pipeline, scope: str, requests: tuple[bool, ...], status: str) -> None:
    """The agent's span ends OK, whatever has become of the last request."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("invoke_agent GitHub Copilot Chat", attributes=COPILOT) as root:
        for stopped in requests:
            copilot_chat(tracer, stopped=stopped)
        root.set_status(StatusCode.OK)
    event = pipeline.event()
    assert event.outcome("status") == status
    if status == "cancelled":
        assert (event.outcome("retryable"), event.outcome("error.category")) == (False, "cancelled")


@pytest.mark.parametrize("error_type", ["CancellationError", "Vt", "Canceled"])
def test_copilot_between_two_requests(pipeline: Pipeline, error_type: str) -> None:
    """Its own error of a build whose classes have lost their names says so in its message."""
    tracer = pipeline.tracer("copilot-chat")
    with tracer.start_as_current_span("invoke_agent GitHub Copilot Chat", attributes=COPILOT) as root:
        copilot_chat(tracer, stopped=False)
        root.set_attribute("error.type", error_type)
        root.set_status(StatusCode.ERROR, "Canceled")
    assert pipeline.event().outcome("status") == "cancelled"


def test_a_failure_called_so_by_others(pipeline: Pipeline) -> None:
    """An error with a name may be about an order that was canceled."""
    with pipeline.tracer("my.app").start_as_current_span("invoke_agent a", attributes=AI_SDK) as root:
        root.set_attribute("error.type", "OrderError")
        root.set_status(StatusCode.ERROR, "Canceled")
    assert pipeline.event().outcome("status") == "failure"
