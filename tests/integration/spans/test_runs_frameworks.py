# SPDX-License-Identifier: Apache-2.0
"""What known instrumentations get wrong or tell in their own way, on the shapes of their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.pipeline import AGENT, MODEL, OPENAI_AGENTS, TOOL, Pipeline, use

if TYPE_CHECKING:
    from opentelemetry.trace import Span

CREWAI = "crewai"
LLAMA_INDEX = "openinference.instrumentation.llama_index"
STRANDS = "strands.telemetry.tracer"
CHAIN = {"openinference.span.kind": "CHAIN"}
LLM = {"openinference.span.kind": "LLM"}


def fail(span: Span, text: str) -> None:
    """Mark a failed span as CrewAI does, which takes its operation away."""
    span.set_attributes({**MODEL, "error.type": "_OTHER"})
    span.set_status(StatusCode.ERROR, text)


def test_crewai_overwrites_the_operation_of_what_failed(pipeline: Pipeline) -> None:
    """Failed agents and tasks are no model calls, a failed crew is still a run, and the message names the error."""
    tracer = pipeline.tracer(CREWAI)
    text = "Error code: 429 - {'error': {}}"
    with tracer.start_as_current_span("execute crew", attributes={"gen_ai.workflow.name": "research"}) as crew:
        with tracer.start_as_current_span("execute task") as task:
            with tracer.start_as_current_span("execute agent", attributes=AGENT) as agent:
                fail(agent, text)
            fail(task, text)
        fail(crew, text)
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("error.category")) == ("failure", "rate_limit")
    assert (event.outcome("retryable"), event.outcome("evidence")) == (True, "status_text:429")
    assert event.attributes["gen_ai.agent.name"] == "research"
    assert "agent.run.model_calls" not in event.attributes
    assert event.outcome("cost_complete") is None


def test_crewai_agent_is_named_by_its_role(pipeline: Pipeline) -> None:
    """A lone agent is named by its role and not by the hash beside it."""
    name = {"gen_ai.agent.name": "95e3f153", "crewai.agent.role": "Researcher"}
    tracer = pipeline.tracer(CREWAI)
    with tracer.start_as_current_span("execute lite agent", kind=SpanKind.CLIENT, attributes={**AGENT, **name}):
        pass
    assert pipeline.event().attributes["gen_ai.agent.name"] == "Researcher"


def test_crewai_tool_that_failed_is_called_once(pipeline: Pipeline) -> None:
    """The second span that a tool's failure gets is no second call."""
    tracer = pipeline.tracer(CREWAI)
    with tracer.start_as_current_span("execute crew", attributes={"gen_ai.operation.name": "invoke_workflow"}):
        for name in ("call tool", "tool failure"):
            with tracer.start_as_current_span(name, attributes=TOOL):
                pass
    assert pipeline.event().attributes["agent.run.tool_calls"] == 1


def test_llama_index_prepares_before_it_calls(pipeline: Pipeline) -> None:
    """Of the LLM spans around one model call one counts."""
    tracer = pipeline.tracer(LLAMA_INDEX)
    with tracer.start_as_current_span("FunctionAgent.run", attributes=CHAIN):
        with tracer.start_as_current_span("OpenAI._prepare_chat_with_tools", attributes=LLM):
            pass
        with (
            tracer.start_as_current_span("OpenAI.achat", attributes=LLM),
            tracer.start_as_current_span("OpenAI.achat", attributes=LLM) as leaf,
        ):
            use(leaf, 10, 5, "0.01")
    event = pipeline.event()
    assert event.attributes["agent.run.model_calls"] == 1
    assert event.outcome("cost_complete") is True
    assert event.attributes["gen_ai.agent.name"] == "FunctionAgent"


def test_llama_index_says_by_an_event_that_it_was_cancelled(pipeline: Pipeline) -> None:
    """The root is OK and carries the event; with another scope the event says nothing."""
    for scope in (LLAMA_INDEX, "app"):
        with pipeline.tracer(scope).start_as_current_span("FunctionAgent.run", attributes=AGENT) as root:
            root.add_event("span.cancelled")
            root.set_status(StatusCode.OK)
    assert [event.outcome("status") for event in pipeline.events()] == ["cancelled", "success"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", ("success", None)),
        ("limit_turns", ("failure", "budget_exhausted")),
        ("cancelled", ("cancelled", "cancelled")),
        (7, ("success", None)),
    ],
)
def test_strands_says_by_an_event_why_it_stopped(pipeline: Pipeline, reason: Any, expected: tuple[str, str]) -> None:
    """The last choice on the agent's span tells, not an earlier one."""
    with pipeline.tracer(STRANDS).start_as_current_span("invoke_agent a", attributes=AGENT) as root:
        root.add_event("gen_ai.choice", {"finish_reason": "max_tokens"})
        root.add_event("gen_ai.choice", {"finish_reason": reason})
        root.set_status(StatusCode.OK)
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("error.category")) == expected


def test_strands_agent_that_is_used_again(pipeline: Pipeline) -> None:
    """Its span tells the tokens of all its runs so far: those of this run's model calls count, and nothing is amiss."""
    tracer = pipeline.tracer(STRANDS)
    for total in (10, 20):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
            with tracer.start_as_current_span("chat", attributes=MODEL) as leaf:
                use(leaf, 10, 5, "0.01")
            use(agent, total, total // 2)
            agent.set_attribute("agent.cost.amount", "0.5")
    events = pipeline.events()
    assert [event.attributes["agent.run.input_tokens"] for event in events] == [10, 10]
    assert [(event.outcome("cost"), event.outcome("cost_complete")) for event in events] == [(0.51, True)] * 2
    assert [event.problems for event in events] == [[], []]


def test_client_spans_name_no_agent(pipeline: Pipeline) -> None:
    """A Strands graph is named by its operation alone, and another CLIENT span by its endpoint."""
    graph = {"gen_ai.operation.name": "invoke_graph"}
    with pipeline.tracer(STRANDS).start_as_current_span("invoke_graph", kind=SpanKind.CLIENT, attributes=graph):
        pass
    with pipeline.tracer().start_as_current_span("POST /agent", kind=SpanKind.CLIENT, attributes=AGENT):
        pass
    assert [event.attributes.get("gen_ai.agent.name") for event in pipeline.events()] == [None, None]


@pytest.mark.parametrize("marks", [{"openinference.span.kind": "AGENT"}, {"gen_ai.workflow.name": "Agent workflow"}])
def test_run_that_nobody_has_named_is_named_by_its_first_agent(pipeline: Pipeline, marks: dict[str, str]) -> None:
    """The OpenAI Agents SDK calls every run `Agent workflow` unless told otherwise; the first agent says more."""
    tracer = pipeline.tracer(OPENAI_AGENTS)
    with tracer.start_as_current_span(
        "Agent workflow", attributes={"gen_ai.operation.name": "invoke_workflow"} | marks
    ):
        with (
            tracer.start_as_current_span("invoke_agent Triage", attributes=AGENT),
            tracer.start_as_current_span("Agent workflow", attributes=AGENT),
            tracer.start_as_current_span("invoke_agent Tool", attributes=AGENT),
        ):
            pass
        with tracer.start_as_current_span("invoke_agent Specialist", attributes=AGENT):
            pass
    assert pipeline.event().attributes["gen_ai.agent.name"] == "Triage"


def test_workflow_that_its_user_has_named_keeps_its_name(pipeline: Pipeline) -> None:
    """A name of the user's own stands, and the default one is better than none."""
    tracer = pipeline.tracer(OPENAI_AGENTS)
    for name in ("support desk", "Agent workflow"):
        marks = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
        with tracer.start_as_current_span(f"invoke_workflow {name}", attributes=marks):
            if name == "support desk":
                tracer.start_span("invoke_agent Triage", attributes=AGENT).end()
    names = [event.attributes["gen_ai.agent.name"] for event in pipeline.events()]
    assert names == ["support desk", "Agent workflow"]
