# SPDX-License-Identifier: Apache-2.0
"""ADK's runs in JavaScript: what a model call failed of is an event of its own, and no span of the run has a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from tests.pipeline import Pipeline

ADK = "gcp.vertex.agent"
ANSWERED: dict[str, str | int] = {
    "gen_ai.system": ADK,
    "gen_ai.request.model": "gemini-2.5-flash",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
}


def agent(tracer: Tracer, name: str, calls: tuple[bool, ...], status: StatusCode = StatusCode.UNSET) -> None:
    """An agent that calls its model, of which each call is answered or not."""
    marks = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    with tracer.start_as_current_span(f"invoke_agent {name}", attributes=marks) as span:
        for is_answered in calls:
            with tracer.start_as_current_span("call_llm") as call:
                if is_answered:
                    call.set_attributes(ANSWERED)
        span.set_status(status)


@pytest.mark.parametrize("name", ["clerk", "call_llm", "invocation"])
@pytest.mark.parametrize(
    ("calls", "status"),
    [
        ((True,), "success"),
        ((True, True), "success"),
        ((False,), "unknown"),
        ((True, False), "unknown"),
        # It was asked again, as by a plugin that retries.
        ((False, True), "success"),
        ((), "success"),
    ],
)
def test_by_its_last_call(pipeline: Pipeline, name: str, calls: tuple[bool, ...], status: str) -> None:
    """Why no answer came no span tells, nor whether somebody else gave one: unknown, and no success."""
    tracer = pipeline.tracer(ADK)
    with tracer.start_as_current_span("invocation"):
        agent(tracer, name, calls)
    event = pipeline.event()
    assert event.outcome("status") == status
    assert event.outcome("evidence") == ("no_answer" if status == "unknown" else "span_end")
    assert event.attributes.get("agent.run.input_tokens") == (100 * calls.count(True) or None)


def test_an_agent_after_it(pipeline: Pipeline) -> None:
    """Of several agents in turn the last one tells."""
    tracer = pipeline.tracer(ADK)
    for agents in (((False,), (True,)), ((True,), (False,))):
        with tracer.start_as_current_span("invocation"):
            for number, calls in enumerate(agents):
                agent(tracer, f"agent {number}", calls)
    assert [event.outcome("status") for event in pipeline.events()] == ["success", "unknown"]


def test_who_says_more(pipeline: Pipeline) -> None:
    """A status that somebody has set says how it ended."""
    tracer = pipeline.tracer(ADK)
    agent(tracer, "clerk", (False,), status=StatusCode.OK)
    agent(tracer, "clerk", (False,), status=StatusCode.ERROR)
    assert [event.outcome("status") for event in pipeline.events()] == ["success", "failure"]


@pytest.mark.parametrize("scope", ["my.app", "genkit-tracer", "openinference.instrumentation.google_adk"])
def test_spans_of_others(pipeline: Pipeline, scope: str) -> None:
    """In another scope the name is somebody's own."""
    agent(pipeline.tracer(scope), "clerk", (True, False))
    assert pipeline.event().outcome("status") == "success"
