# SPDX-License-Identifier: Apache-2.0
"""What a run is called whose root says nothing of the agent, and its usage: real spans in the shapes of frameworks."""

from __future__ import annotations

import pytest

from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, usage, use

ADK = "gcp.vertex.agent"
AGENT_FRAMEWORK = "agent_framework"
MADE_UP = "db51cf82-d1b7-4412-820e-a6d361fba1ef"


def invoke_first_schema(pipeline: Pipeline, agent: str, *, nested: str | None = None) -> None:
    """An agent of ADK's first schema: a root without marks, and every model call as two spans with the same tokens."""
    tracer = pipeline.tracer(ADK)
    named = {"gen_ai.agent.name": agent}
    with (
        tracer.start_as_current_span("invocation"),
        tracer.start_as_current_span(f"invoke_agent {agent}", attributes={**AGENT, **named}),
    ):
        with tracer.start_as_current_span("call_llm") as outer:
            use(outer, 10, 5)
            with tracer.start_as_current_span("generate_content m", attributes={**MODEL, **named}) as inner:
                use(inner, 10, 5)
        if nested is not None:
            with tracer.start_as_current_span(f"execute_tool {nested}", attributes={**TOOL, **named}):
                invoke_first_schema(pipeline, nested)


@pytest.mark.parametrize("nested", [None, "specialist"])
def test_adk_first_schema(pipeline: Pipeline, nested: str | None) -> None:
    """The run has the name of its agent, whatever agents that one calls, and every model call counts once."""
    invoke_first_schema(pipeline, "support", nested=nested)
    event = pipeline.event()
    calls = 1 if nested is None else 2
    assert event.attributes["gen_ai.agent.name"] == "support"
    assert event.attributes["agent.run.model_calls"] == calls
    assert usage(pipeline) == (1, 10 * calls, 5 * calls, 0)


@pytest.mark.parametrize(("given", "name"), [("triage", "triage"), (f"WorkflowBuilder-{MADE_UP}", None)])
def test_agent_framework_workflow(pipeline: Pipeline, given: str, name: str | None) -> None:
    """A workflow's run has the workflow's name; one that nobody named has none, and not that of one of its agents."""
    tracer = pipeline.tracer(AGENT_FRAMEWORK)
    with (
        tracer.start_as_current_span("workflow.run", attributes={"workflow.name": given}),
        tracer.start_as_current_span("invoke_agent one", attributes={**AGENT, "gen_ai.agent.name": "one"}),
    ):
        pass
    assert pipeline.event().attributes.get("gen_ai.agent.name") == name


def test_agent_framework_agent_without_a_name(pipeline: Pipeline) -> None:
    """An id that is made for every agent object stays an id: as a name it would use up the label's values."""
    identity = {"gen_ai.agent.id": MADE_UP, "gen_ai.agent.name": MADE_UP}
    with pipeline.tracer(AGENT_FRAMEWORK).start_as_current_span(
        f"invoke_agent {MADE_UP}", attributes={**AGENT, **identity}
    ):
        pass
    event = pipeline.event()
    assert "gen_ai.agent.name" not in event.attributes
    assert event.attributes["gen_ai.agent.id"] == MADE_UP
