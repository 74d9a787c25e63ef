# SPDX-License-Identifier: Apache-2.0
"""An outcome that is stated on a tool or a model call is that of the run above; without one it is counted as lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, set_span_in_context

from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, call_model, use

if TYPE_CHECKING:
    from opentelemetry.trace import Span

LLAMA_INDEX = "openinference.instrumentation.llama_index"
LABEL = {"agent.outcome.label": "resolved"}
STEPS: list[dict[str, Any]] = [
    TOOL,
    MODEL,
    {"gen_ai.operation.name": "embeddings"},
    {"openinference.span.kind": "TOOL"},
    {"openinference.span.kind": "LLM"},
    {"traceloop.span.kind": "tool"},
    {"langfuse.observation.type": "tool"},
    {"langfuse.observation.type": "generation"},
    {"mlflow.spanType": '"TOOL"'},
    {"mlflow.spanType": '"CHAT_MODEL"'},
    {"agentops.span.kind": "tool"},
    {"agentops.span.kind": "llm"},
    {"lmnr.span.type": "TOOL"},
    {"lmnr.span.type": "LLM"},
    {"mcp.method.name": "tools/call"},
    {"llm.request.type": "chat"},
]


def lost(pipeline: Pipeline) -> float | int:
    """How many statements found no run."""
    return pipeline.problem_count("no_current_run")


@pytest.mark.parametrize("mark", STEPS)
@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT])
def test_alone(pipeline: Pipeline, mark: dict[str, Any], kind: SpanKind) -> None:
    """With nothing around it there is no run, and one statement is lost, which is counted."""
    with pipeline.tracer().start_as_current_span("final", attributes=mark | LABEL, kind=kind):
        pass
    assert (pipeline.run_count(), lost(pipeline)) == (0, 1)


@pytest.mark.parametrize("mark", STEPS)
@pytest.mark.parametrize("outer", [{}, {"langfuse.observation.type": "span"}, {"openinference.span.kind": "CHAIN"}])
def test_below_no_agent(pipeline: Pipeline, mark: dict[str, Any], outer: dict[str, Any]) -> None:
    """Chains and plain spans around it make no run of it, however many there are."""
    tracer = pipeline.tracer("langfuse-sdk")
    with tracer.start_as_current_span("answer ticket", attributes=outer):
        with tracer.start_as_current_span("step"), tracer.start_as_current_span("final", attributes=mark) as step:
            step.set_attributes(LABEL)
        call_model(tracer)
    assert (pipeline.run_count(), lost(pipeline)) == (0, 1)
    assert pipeline.open_count() == 0


@pytest.mark.parametrize("mark", STEPS)
def test_below_an_agent(pipeline: Pipeline, mark: dict[str, Any]) -> None:
    """It states the outcome of the run, and is still the call that it is."""
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent desk", attributes=AGENT),
        tracer.start_as_current_span("step"),
        tracer.start_as_current_span("final", attributes=mark | LABEL),
    ):
        pass
    event = pipeline.event()
    assert event.outcome("label") == "resolved"
    assert event.outcome("evidence") == "descendant"
    assert {"agent.run.model_calls", "agent.run.tool_calls"} & event.attributes.keys()
    assert lost(pipeline) == 0


def test_below_what_turns_out_to_be_an_agent(pipeline: Pipeline) -> None:
    """The mark may come at the end of the span above."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("desk") as root:
        with tracer.start_as_current_span("final", attributes=TOOL | LABEL):
            pass
        root.set_attributes(AGENT)
    assert pipeline.event().outcome("label") == "resolved"
    assert lost(pipeline) == 0


def test_below_what_states_an_outcome(pipeline: Pipeline) -> None:
    """A plain span that states an outcome is a run by it, with what is stated below."""
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("handle", attributes={"agent.outcome.status": "partial"}),
        tracer.start_as_current_span("final", attributes=TOOL | LABEL),
    ):
        pass
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("label")) == ("partial", "resolved")


def test_above_a_run(pipeline: Pipeline) -> None:
    """A tool that a server offers may run an agent; what is stated on the tool is that run's."""
    tracer = pipeline.tracer()
    call = {"mcp.method.name": "tools/call"}
    for kind in (SpanKind.SERVER, SpanKind.INTERNAL):
        with tracer.start_as_current_span("tools/call ask", attributes=call, kind=kind) as tool:
            with tracer.start_as_current_span("invoke_agent desk", attributes=AGENT):
                call_model(tracer)
            tool.set_attributes(LABEL)
    events = pipeline.events()
    labels = [(event.outcome("revision"), event.outcome("label")) for event in events]
    assert labels == [(0, None), (1, "resolved")] * 2
    assert (pipeline.run_count(), lost(pipeline)) == (2, 0)


def test_agent_below_an_open_tool_that_states(pipeline: Pipeline) -> None:
    """A tool is no agent to those below it, though an outcome is on it already."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("ask", attributes=TOOL | LABEL):
        with tracer.start_as_current_span("invoke_agent desk", attributes=AGENT):
            pass
        assert pipeline.run_count() == 1
    assert pipeline.events()[-1].outcome("label") == "resolved"
    assert (pipeline.run_count(), lost(pipeline)) == (1, 0)


def test_user_s_word(pipeline: Pipeline) -> None:
    """Whoever says that a tool is a run has one."""
    pipeline = Pipeline(is_run=lambda span: span.name == "final" or None)
    with pipeline.tracer().start_as_current_span("final", attributes=TOOL | LABEL):
        pass
    assert pipeline.event().outcome("label") == "resolved"


@pytest.mark.parametrize("mark", [TOOL, MODEL])
def test_marked_at_its_end(pipeline: Pipeline, mark: dict[str, Any]) -> None:
    """The statement may come before the mark."""
    with pipeline.tracer(LLAMA_INDEX).start_as_current_span("final", attributes=LABEL) as step:
        step.set_attributes(mark)
    assert (pipeline.run_count(), lost(pipeline)) == (0, 1)


def test_outlives_what_is_around_it(pipeline: Pipeline) -> None:
    """A tool that ends after all above it has nobody to tell, and says so."""
    tracer = pipeline.tracer()
    outer: Span = tracer.start_span("handle")
    tool = tracer.start_span("final", set_span_in_context(outer), attributes=TOOL | LABEL)
    outer.end()
    tool.end()
    assert (pipeline.run_count(), lost(pipeline)) == (0, 1)
    assert pipeline.open_count() == 0


def test_two_statements_that_nobody_heard(pipeline: Pipeline) -> None:
    """They come to the outermost span as one, and are lost as one."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle"):
        for label in ("open", "resolved"):
            with tracer.start_as_current_span("t", attributes=TOOL | {"agent.outcome.label": label}):
                pass
    assert (pipeline.run_count(), lost(pipeline)) == (0, 1)


@pytest.mark.parametrize("kind", list(SpanKind))
def test_usage_still_counts(pipeline: Pipeline, kind: SpanKind) -> None:
    """A model call that states an outcome has used what it has used."""
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent desk", attributes=AGENT),
        tracer.start_as_current_span("chat m", attributes=MODEL | LABEL, kind=kind) as step,
    ):
        use(step, 7, 2)
    event = pipeline.event()
    assert (event.attributes["agent.run.input_tokens"], event.attributes["agent.run.model_calls"]) == (7, 1)
