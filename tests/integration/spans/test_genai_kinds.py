# SPDX-License-Identifier: Apache-2.0
"""Spans that are told by a kind alone, in the words of senders that set no operation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline import GraphInterruptError, Pipeline

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

KEYS = ("gen_ai.span.kind", "fi.span.kind")
USED = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.total_tokens": 120}


class SlowError(TimeoutError):
    """A time limit, of a class of the application's own."""


def call(tracer: Tracer, key: str, kind: str, **attributes: Any) -> None:
    """A span without anything below it."""
    with tracer.start_as_current_span(kind.lower(), attributes={key: kind, **attributes}):
        pass


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("scope", ["traceai_agno", "opentelemetry.instrumentation.agentscope", "my.app"])
def test_a_run(pipeline: Pipeline, scope: str, key: str) -> None:
    """An agent's span is a run with its name, what its models have used and how often it has called what."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("turn", attributes={key: "AGENT", "gen_ai.agent.name": "support"}):
        call(tracer, key, "LLM", **USED)
        call(tracer, key, "TOOL")
        call(tracer, key, "CHAIN")
        call(tracer, key, "LLM", **USED)
    attributes = pipeline.event().attributes
    assert attributes["gen_ai.agent.name"] == "support"
    assert attributes["agent.outcome.status"] == "success"
    assert (attributes["agent.run.input_tokens"], attributes["agent.run.output_tokens"]) == (200, 40)
    assert (attributes["agent.run.model_calls"], attributes["agent.run.tool_calls"]) == (2, 1)


@pytest.mark.parametrize("key", KEYS)
def test_a_run_that_fails(pipeline: Pipeline, key: str) -> None:
    """What escapes from it is how it ended."""
    tracer = pipeline.tracer("traceai_agno")
    with contextlib.suppress(SlowError), tracer.start_as_current_span("turn", attributes={key: "AGENT"}):
        raise SlowError
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable")) == ("timeout", True)


@pytest.mark.parametrize(
    "kind", ["CHAIN", "RETRIEVER", "RERANKER", "TASK", "STEP", "ENTRY", "GUARDRAIL", "LLM", "TOOL", 5]
)
@pytest.mark.parametrize("key", KEYS)
def test_no_run(pipeline: Pipeline, key: str, kind: Any) -> None:
    """Nothing else is a run by its kind."""
    with pipeline.tracer("traceai_agno").start_as_current_span("x", attributes={key: kind}):
        pass
    assert pipeline.events() == []


def test_the_operation_says_more(pipeline: Pipeline) -> None:
    """Alibaba Cloud has the kind of an agent for making one, too."""
    tracer = pipeline.tracer("opentelemetry.instrumentation.agentscope")
    for operation in ("create_agent", "invoke_agent"):
        attributes = {"gen_ai.span.kind": "AGENT", "gen_ai.operation.name": operation}
        with tracer.start_as_current_span(f"{operation} a", attributes=attributes):
            pass
    assert pipeline.event().attributes["gen_ai.agent.name"] == "a"


def test_an_entry_around_the_agent(pipeline: Pipeline) -> None:
    """What the application does before and after is no part of the run."""
    tracer = pipeline.tracer("opentelemetry.instrumentation.agentscope")
    with (
        tracer.start_as_current_span("enter", attributes={"gen_ai.span.kind": "ENTRY"}),
        tracer.start_as_current_span("invoke_agent Friday", attributes={"gen_ai.span.kind": "AGENT"}),
        tracer.start_as_current_span("react step", attributes={"gen_ai.span.kind": "STEP"}),
    ):
        call(tracer, "gen_ai.span.kind", "LLM", **USED)
    attributes = pipeline.event().attributes
    assert (attributes["gen_ai.agent.name"], attributes["agent.run.input_tokens"]) == ("Friday", 100)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("has_calls", [True, False])
def test_crew_of_traceai(pipeline: Pipeline, key: str, *, has_calls: bool) -> None:
    """A crew is one run, whatever its tasks; what its agents have used in all their lives is not what it has used."""
    tracer = pipeline.tracer("traceai_crewai")
    for total in (100, 250):
        with tracer.start_as_current_span("Crew.kickoff", attributes={key: "CHAIN"}) as crew:
            for _ in range(2):
                with tracer.start_as_current_span("Task._execute_core", attributes={key: "AGENT"}):
                    call(tracer, key, "LLM", **(USED if has_calls else {}))
            crew.set_attributes({"gen_ai.usage.input_tokens": total, "gen_ai.usage.output_tokens": total // 10})
    events = pipeline.events()
    assert [event.attributes.get("agent.run.input_tokens") for event in events] == [200 if has_calls else None] * 2
    assert [event.outcome("cost_complete") for event in events] == [False, False]


def test_pause_of_langgraph_under_traceai(pipeline: Pipeline) -> None:
    """The interrupt stands on the step that asked, and the graph ends clean: it has no outcome yet."""
    tracer = pipeline.tracer("traceai_langchain")
    with tracer.start_as_current_span("LangGraph", attributes={"gen_ai.span.kind": "CHAIN"}):
        call(tracer, "gen_ai.span.kind", "LLM", **USED)
        with (
            contextlib.suppress(GraphInterruptError),
            tracer.start_as_current_span("approve", attributes={"gen_ai.span.kind": "CHAIN"}),
        ):
            raise GraphInterruptError
    assert pipeline.events() == []


def test_graph_that_traceai_wraps(pipeline: Pipeline) -> None:
    """Its wrapper's span is the run, and the graph within it is none of its own."""
    tracer = pipeline.tracer("traceai_langchain")
    with tracer.start_as_current_span("langgraph.invoke") as outer:
        outer.set_attribute("gen_ai.span.kind", "LANGGRAPH")
        with tracer.start_as_current_span("LangGraph", attributes={"gen_ai.span.kind": "CHAIN"}):
            call(tracer, "gen_ai.span.kind", "LLM", **USED)
    assert pipeline.event().attributes["agent.run.input_tokens"] == 100


def test_veadk(pipeline: Pipeline) -> None:
    """Its kinds are in lower case, and its operation for a run names none that is known."""
    tracer = pipeline.tracer("veadk")
    root = {"gen_ai.span.kind": "workflow", "gen_ai.operation.name": "chain", "agent.name": "python_coder"}
    with (
        tracer.start_as_current_span("invocation", attributes=root),
        tracer.start_as_current_span("agent_run [python_coder]", attributes={"gen_ai.span.kind": "agent"}),
    ):
        call(tracer, "gen_ai.span.kind", "llm", **USED)
        call(tracer, "gen_ai.span.kind", "tool")
    attributes = pipeline.event().attributes
    assert attributes["gen_ai.agent.name"] == "python_coder"
    assert (attributes["agent.run.input_tokens"], attributes["agent.run.tool_calls"]) == (100, 1)


@pytest.mark.parametrize(
    ("key", "name_key", "used"),
    [
        (
            "confident.span.type",
            "confident.agent.name",
            {
                "confident.llm.input_token_count": 100,
                "confident.llm.output_token_count": 20,
                "confident.llm.model": "m",
            },
        ),
        (
            "langwatch.span.type",
            "gen_ai.agent.name",
            {"gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20},
        ),
    ],
)
def test_deepeval_and_langwatch(pipeline: Pipeline, key: str, name_key: str, used: dict[str, Any]) -> None:
    """Both have words of their own for the three, in any tracer."""
    tracer = pipeline.tracer("my.app")
    with tracer.start_as_current_span("turn", attributes={key: "agent", name_key: "support"}):
        call(tracer, key, "llm", **used)
        call(tracer, key, "tool")
        call(tracer, key, "retriever")
        call(tracer, key, "llm", **used)
    with tracer.start_as_current_span("turn", attributes={key: "chain"}):
        call(tracer, key, "llm", **used)
    attributes = pipeline.event().attributes
    assert attributes["gen_ai.agent.name"] == "support"
    assert (attributes["agent.run.input_tokens"], attributes["agent.run.output_tokens"]) == (200, 40)
    assert (attributes["agent.run.model_calls"], attributes["agent.run.tool_calls"]) == (2, 1)


def test_laminar(pipeline: Pipeline) -> None:
    """It knows no agents: what it calls so says whoever runs it."""
    tracer = pipeline.tracer("lmnr.tracer")
    with tracer.start_as_current_span("support", attributes={"lmnr.span.type": "DEFAULT", "agent.outcome.label": "x"}):
        call(tracer, "lmnr.span.type", "LLM", **USED)
        call(tracer, "lmnr.span.type", "TOOL")
    attributes = pipeline.event().attributes
    assert (attributes["agent.run.model_calls"], attributes["agent.run.tool_calls"]) == (1, 1)
    with tracer.start_as_current_span("support", attributes={"lmnr.span.type": "DEFAULT"}):
        call(tracer, "lmnr.span.type", "LLM", **USED)
    assert len(pipeline.events()) == 1
