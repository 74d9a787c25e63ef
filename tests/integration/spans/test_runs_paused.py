# SPDX-License-Identifier: Apache-2.0
"""Runs that stop to ask a human, told only by the step that asked: LangGraph's shapes, made here without it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from agent_outcomes.semconv import HEALTH_COUNTERS
from tests.pipeline import (
    AGENT,
    OPENINFERENCE_LANGCHAIN,
    TOOL,
    GraphInterruptError,
    Pipeline,
    call_model,
    run_agent,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer

OPENLLMETRY_LANGCHAIN = "opentelemetry.instrumentation.langchain"
SCOPES = (OPENINFERENCE_LANGCHAIN, OPENLLMETRY_LANGCHAIN)
NODE = {"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "execute_task"}
INTERRUPT = "langgraph.errors.GraphInterrupt"


@pytest.fixture
def pipeline(pipeline: Pipeline) -> Iterator[Pipeline]:
    """A pipeline in which, whatever a test did, no span is left open either."""
    yield pipeline
    assert pipeline.open_count() == 0


def interrupt() -> None:
    raise GraphInterruptError


def node(tracer: Tracer, *, raises: str | None = None, status: StatusCode = StatusCode.OK) -> None:
    """A step of a graph that records what it ends with, and is not always marked as failed by it."""
    with tracer.start_as_current_span("approve", attributes=NODE) as span:
        if raises is not None:
            span.add_event("exception", {"exception.type": raises})
        span.set_status(status)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("status", [StatusCode.OK, StatusCode.UNSET, StatusCode.ERROR])
def test_pause_of_a_step(pipeline: Pipeline, scope: str, status: StatusCode) -> None:
    """The agent's span ends clean over a step that asked: no outcome yet. The resumed run is one."""
    tracer = pipeline.tracer(scope)
    for answer in (INTERRUPT, None):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            node(tracer, raises=answer, status=status if answer else StatusCode.OK)
        assert len(pipeline.events()) == (answer is None)
    assert pipeline.event().outcome("status") == "success"
    assert pipeline.total("agent_outcomes.processor.dropped", {"error.type": "paused"}) > 0


def test_one_agent_seen_twice(pipeline: Pipeline) -> None:
    """OpenLLMetry makes two spans for one agent: the pause of the inner one is that of the outer one."""
    tracer = pipeline.tracer(OPENLLMETRY_LANGCHAIN)
    with (
        tracer.start_as_current_span("invoke_agent a", attributes={**AGENT, "gen_ai.agent.name": "a"}),
        tracer.start_as_current_span("a.workflow", attributes={"traceloop.span.kind": "workflow"}),
    ):
        node(tracer, raises=INTERRUPT, status=StatusCode.ERROR)
    assert pipeline.events() == []


def test_pause_of_an_agent_in_a_tool(pipeline: Pipeline) -> None:
    """An agent called by a tool has stopped to ask; the one that called it goes on and ends."""
    tracer = pipeline.tracer(OPENLLMETRY_LANGCHAIN)
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        with (
            tracer.start_as_current_span("ask", attributes=TOOL),
            tracer.start_as_current_span("invoke_agent inner", attributes=AGENT),
        ):
            node(tracer, raises=INTERRUPT, status=StatusCode.ERROR)
        call_model(tracer)
    assert pipeline.event().outcome("status") == "success"


def test_pause_that_went_no_further(pipeline: Pipeline) -> None:
    """A step that swallowed the interrupt of one inside it has not asked anybody."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with (
        tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
        tracer.start_as_current_span("outer step", attributes=NODE),
    ):
        node(tracer, raises=INTERRUPT)
    assert pipeline.event().outcome("status") == "success"


@pytest.mark.parametrize(("scope", "raised"), [("app", INTERRUPT), (OPENINFERENCE_LANGCHAIN, "ValueError")])
def test_no_pause(pipeline: Pipeline, scope: str, raised: str) -> None:
    """Any other exception of a step, or an interrupt recorded by anyone else, says nothing of the run."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        node(tracer, raises=raised)
    assert pipeline.event().outcome("status") == "success"


def test_failure_after_a_pause(pipeline: Pipeline) -> None:
    """A run that ends with an error has failed, whoever was asked before."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with (
        contextlib.suppress(ValueError),
        tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
    ):
        node(tracer, raises=INTERRUPT)
        raise ValueError
    assert pipeline.event().outcome("status") == "failure"


def test_nested_pause_is_no_success_of_the_handoff() -> None:
    """Where handoffs are events, that of an agent which waits for a human does not say that it has done its job."""
    pipeline = Pipeline(handoffs=True)
    tracer = pipeline.tracer(OPENLLMETRY_LANGCHAIN)
    with (
        tracer.start_as_current_span("invoke_agent outer", attributes=AGENT),
        tracer.start_as_current_span("ask", attributes=TOOL),
        tracer.start_as_current_span("invoke_agent inner", attributes=AGENT),
    ):
        node(tracer, raises=INTERRUPT, status=StatusCode.ERROR)
    statuses = {event.name: event.outcome("status") for event in pipeline.events()}
    assert statuses == {"agent.outcome": "success", "agent.handoff": "unknown"}


PYDANTIC = "pydantic-ai"


def deferred(tracer: Tracer, name: str = "ApprovalRequired", *, version: int = 5) -> None:
    """A tool's span of Pydantic AI as the versions of its instrumentation write it; 1 stands for those of 1.x."""
    with tracer.start_as_current_span("execute_tool refund", attributes=TOOL) as span:
        if version > 1:
            span.set_attribute("pydantic_ai.tool.deferral.name", name)
        if version < 5:
            span.add_event("exception", {"exception.type": f"pydantic_ai.exceptions.{name}"})
            span.set_status(StatusCode.ERROR)


@pytest.mark.parametrize("name", ["ApprovalRequired", "CallDeferred"])
@pytest.mark.parametrize("version", [1, 4, 5])
@pytest.mark.parametrize("wrapped", [False, True])
def test_deferred_tool(pipeline: Pipeline, name: str, version: int, *, wrapped: bool) -> None:
    """Pydantic AI ends an agent clean whose tool waits for an approval; each stretch counts what it has used, once."""
    tracer = pipeline.tracer(PYDANTIC)
    for _ in range(4):
        with tracer.start_as_current_span("invoke_agent refunds", attributes=AGENT):
            call_model(tracer)
            with tracer.start_as_current_span("running tools") if wrapped else contextlib.nullcontext():
                deferred(tracer, name, version=version)
                with tracer.start_as_current_span("execute_tool other", attributes=TOOL) as other:
                    other.set_status(StatusCode.ERROR)
    assert (pipeline.events(), usage(pipeline)) == ([], (0, 40, 20, 0.04))
    with tracer.start_as_current_span("invoke_agent refunds", attributes=AGENT):
        call_model(tracer)
    assert usage(pipeline) == (1, 50, 25, 0.05)
    assert pipeline.event().attributes["agent.run.input_tokens"] == 10


def test_deferred_call_that_was_answered_at_once(pipeline: Pipeline) -> None:
    """A handler within the run has approved: the model is called again, and the run comes to its end."""
    tracer = pipeline.tracer(PYDANTIC)
    for _ in range(4):
        with tracer.start_as_current_span("invoke_agent refunds", attributes=AGENT):
            deferred(tracer)
            call_model(tracer)
    assert {event.outcome("status") for event in pipeline.events()} == {"success"}
    assert usage(pipeline) == (4, 40, 20, 0.04)


QUIET: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
UNCONFIRMED = '{"error": "This tool call requires confirmation, please approve or reject."}'
JS_TEXT = '[\n  {\n    "id": "1"\n  }\n]\n\nGraphInterrupt: [\n  {\n    "id": "1"\n  }\n]\n    at approve (file:///app.mjs:3:1)'
MARKED_STEPS = {
    "Agent Framework": ("agent_framework", {"error.type": "UserInputRequiredException"}, (), "ERROR"),
    "OpenTelemetry GenAI": (
        "opentelemetry.instrumentation.genai.langchain",
        {"error.type": "langgraph.errors.GraphInterrupt"},
        (),
        "ERROR",
    ),
    "ADK, long running": ("gcp.vertex.agent", {"gen_ai.tool.type": "LongRunningFunctionTool"}, (), "UNSET"),
    "ADK, confirmation": ("gcp.vertex.agent", {"gcp.vertex.agent.tool_response": UNCONFIRMED}, (), "UNSET"),
    "LangGraph, JavaScript": (
        "@arizeai/openinference-instrumentation-langchain",
        {},
        ({"exception.message": JS_TEXT},),
        "ERROR",
    ),
    "LangSmith": (
        "langsmith",
        {},
        ({"exception.type": "Exception", "exception.message": "NodeInterrupt((Interrupt(value='ok?'),))"},),
        "ERROR",
    ),
    "OpenLIT": (
        "openlit.instrumentation.langchain",
        {"error.type": "GraphInterrupt"},
        ({"exception.type": "langgraph.errors.GraphInterrupt"},),
        "ERROR",
    ),
}


@pytest.mark.parametrize("case", MARKED_STEPS)
def test_step_that_asked(pipeline: Pipeline, case: str) -> None:
    """As each framework writes it, several times over, as spans of one shape are read in a shorter way."""
    scope, attributes, events, status = MARKED_STEPS[case]
    tracer = pipeline.tracer(scope)
    for _ in range(4):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            call_model(tracer)
            with tracer.start_as_current_span("execute_tool ask", attributes={**TOOL, **attributes}) as span:
                for event in events:
                    span.add_event("exception", event)
                span.set_status(StatusCode[status])
    assert (pipeline.events(), usage(pipeline)) == ([], (0, 40, 20, 0.04))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mastra.workflow_run.status", "suspended"),
        ("workflow.status", "suspended"),
        ("crewai.event_name", "flow_paused"),
        ("agentscope.agent.hitl_pending_tools", '["send mail"]'),
        ("agentscope.agent.external_execution_pending_tools", '["book"]'),
    ],
)
def test_run_that_says_so_itself(pipeline: Pipeline, key: str, value: str) -> None:
    """A workflow's own span tells how it stopped; any other word is none for a pause."""
    tracer = pipeline.tracer("some exporter")
    for said in (value, "success"):
        with tracer.start_as_current_span("invoke_workflow w", attributes=AGENT) as span:
            call_model(tracer)
            span.set_attribute(key, said)
    assert pipeline.event().outcome("status") == "success"
    assert usage(pipeline) == (1, 20, 10, 0.02)


@pytest.mark.parametrize("status", [StatusCode.UNSET, StatusCode.OK])
def test_interrupt_in_flight(pipeline: Pipeline, status: StatusCode) -> None:
    """An agent whose span records nothing ends while an interrupt passes through it; one handled before is none."""
    tracer = pipeline.tracer()
    try:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT, **QUIET) as span:
            span.set_status(status)
            interrupt()
    except GraphInterruptError:
        run_agent(tracer, "b")
    assert pipeline.event().attributes["gen_ai.agent.name"] == "b"


def test_interrupt_in_flight_at_a_step(pipeline: Pipeline) -> None:
    """A step that records nothing is left by an interrupt, which the agent takes."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    for _ in range(4):
        with (
            tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
            contextlib.suppress(GraphInterruptError),
            tracer.start_as_current_span("ask", attributes=TOOL, **QUIET),
        ):
            interrupt()
    assert pipeline.events() == []


@pytest.mark.parametrize("operation", ["invoke_graph", "invoke_swarm"])
def test_graph_of_which_an_agent_asked(pipeline: Pipeline, operation: str) -> None:
    """Strands ends a graph or swarm clean whose last agent was interrupted; an agent that called one goes on."""
    tracer = pipeline.tracer("strands.telemetry.tracer")
    for outer in (operation, "invoke_agent"):
        with (
            tracer.start_as_current_span(outer, attributes={"gen_ai.operation.name": outer}),
            tracer.start_as_current_span("invoke_agent node", attributes=AGENT) as node_span,
        ):
            call_model(tracer)
            node_span.add_event("gen_ai.choice", {"finish_reason": "interrupt"})
    assert usage(pipeline) == (1, 20, 10, 0.02)


@pytest.mark.parametrize("first", ["asks", "fails"])
def test_steps_at_once(pipeline: Pipeline, first: str) -> None:
    """Of several steps one asks and one fails: the agent's own span decides."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    raises = [INTERRUPT, "builtins.ValueError"] if first == "asks" else ["builtins.ValueError", INTERRUPT]
    for failed in (False, True):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
            for name in raises:
                node(tracer, raises=name, status=StatusCode.ERROR)
            if failed:
                span.add_event("exception", {"exception.type": "ValueError"})
                span.set_status(StatusCode.ERROR)
    event = pipeline.event()
    assert (event.outcome("status"), event.attributes["error.type"]) == ("failure", "ValueError")


def test_failure_in_flight_beside_a_pause(pipeline: Pipeline) -> None:
    """Where an instrumentation ends a failed run clean, what was raised out of it decides over a step that asked."""
    tracer = pipeline.tracer("openinference.instrumentation.smolagents")
    with contextlib.suppress(ValueError), tracer.start_as_current_span("invoke_agent a", attributes=AGENT, **QUIET):
        deferred(tracer)
        raise ValueError
    assert pipeline.event().outcome("status") == "failure"


@pytest.mark.parametrize("stated", [{"value": 12.5}, {"success": True}, {"type": "escalated", "label": "waiting"}])
def test_outcome_stated_on_a_pause(pipeline: Pipeline, stated: dict[str, Any]) -> None:
    """A business result stated on a run that waits is not counted, as it may be stated again, and said to be lost."""
    tracer = pipeline.tracer(PYDANTIC)
    for asks in (True, False):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
            span.set_attributes({f"agent.outcome.{key}": value for key, value in stated.items()})
            if asks:
                deferred(tracer)
    assert pipeline.problem_count("outcome_of_pause") == 1
    assert pipeline.total("agent.outcomes") == pipeline.run_count() == 1
    assert pipeline.total("agent.outcome.value") == stated.get("value", 0)


def test_cost_and_job_type_stated_on_a_pause(pipeline: Pipeline) -> None:
    """A stated cost is what the stretch has cost; the metric says for which job."""
    tracer = pipeline.tracer(PYDANTIC)
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        call_model(tracer)
        span.set_attributes({"agent.outcome.cost": "2.5", "agent.outcome.job_type": "refund"})
        deferred(tracer)
    labels = {"agent.outcome.job_type": "refund", "agent.outcome.status": "unknown"}
    assert (pipeline.total("agent.run.cost", labels), pipeline.total("agent.run.cost")) == (2.5, 2.5)


def test_what_is_dropped_of_a_pause(pipeline: Pipeline) -> None:
    """Its event and the postings that were not made: the run, the outcome and its value."""
    tracer = pipeline.tracer(PYDANTIC)
    with tracer.start_as_current_span("invoke_agent a", attributes={**AGENT, "agent.outcome.value": 3}):
        call_model(tracer)
        deferred(tracer)
    dropped = {
        signal: pipeline.total(
            "agent_outcomes.processor.dropped", {"error.type": "paused", "agent_outcomes.signal": signal}
        )
        for signal in ("event", "metric")
    }
    # agent.runs, agent.outcomes, agent.outcome.value, agent.outcome.cost
    assert dropped == {"event": 1, "metric": 4}
    assert pipeline.total("agent.run.duration") == 0


def test_handoffs_of_a_pause() -> None:
    """Agents that have done their part by then are events at once: the run that goes on knows nothing of them."""
    pipeline = Pipeline(handoffs=True)
    tracer = pipeline.tracer(PYDANTIC)
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        run_agent(tracer, "inner")
        deferred(tracer)
    (event,) = pipeline.events()
    assert (event.name, event.outcome("status")) == ("agent.handoff", "success")
    assert pipeline.run_count() == 0


def test_pause_of_an_unrecorded_provider() -> None:
    """Without a meter provider what it used is counted as dropped."""
    pipeline = Pipeline()
    tracer = pipeline.tracer(PYDANTIC)
    pipeline.meters.shutdown()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer)
        deferred(tracer)
    dropped = pipeline.processor.sink.health_totals().all_of(HEALTH_COUNTERS)
    assert ("shutdown", "metric", 3) in [(*labels, amount) for _, labels, amount in dropped.postings]


@pytest.mark.parametrize("level", ["ERROR", "DEFAULT", None])
@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("(Interrupt(value='Ship it?', id='x'),)", True),
        ('GraphInterrupt: [\n  {\n    "value": "Ship it?"\n  }\n]', True),
        ("Error: GraphInterrupt: no", False),
    ],
)
def test_interrupt_under_langfuse(pipeline: Pipeline, said: str, level: str | None, *, waits: bool) -> None:
    """In Python the message of no error, in JavaScript that of one; the graph's own span ends clean."""
    tracer = pipeline.tracer("langfuse-sdk")
    graph = {"langfuse.observation.type": "chain", "langfuse.observation.metadata.ls_integration": "langgraph"}
    with tracer.start_as_current_span("LangGraph", attributes=graph):
        call_model(tracer)
        with tracer.start_as_current_span("approve", attributes={"langfuse.observation.type": "chain"}) as step:
            step.set_attribute("langfuse.observation.status_message", said)
            if level is not None:
                step.set_attribute("langfuse.observation.level", level)
    assert len(pipeline.events()) == (0 if waits else 1)
