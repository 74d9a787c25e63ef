# SPDX-License-Identifier: Apache-2.0
"""Runs that stop to ask a human, told only by the step that asked: LangGraph's shapes, made here without it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import StatusCode

from tests.pipeline import AGENT, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, call_model

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
