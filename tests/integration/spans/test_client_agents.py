# SPDX-License-Identifier: Apache-2.0
"""Agents behind a span of kind CLIENT, and parents that are flagged remote although they are open here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context, use_span

from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, call_model, usage, use

if TYPE_CHECKING:
    from opentelemetry.trace import Span

HOSTED = {
    "operation": {**AGENT, "gen_ai.provider.name": "aws.bedrock"},
    "openinference": {"openinference.span.kind": "AGENT"},
    "traceloop": {"traceloop.span.kind": "agent"},
    "langfuse": {"langfuse.observation.type": "agent"},
}


def flagged_remote(span: Span, *, trace_id: int | None = None) -> Any:
    """The span as a parent that came over the wire."""
    context = span.get_span_context()
    ids = (trace_id or context.trace_id, context.span_id)
    return set_span_in_context(NonRecordingSpan(SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(1))))


def remote_flags(pipeline: Pipeline) -> list[object]:
    return [e.attributes["agent.handoff.remote"] for e in pipeline.events() if e.name == "agent.handoff"]


@pytest.mark.parametrize("marks", HOSTED.values(), ids=HOSTED)
def test_what_a_hosted_agent_used_stands_on_the_call_alone(handoff_pipeline: Pipeline, marks: dict[str, str]) -> None:
    """Bedrock Agents or Azure AI Foundry send nothing themselves; as a run of its own and within one."""
    tracer = handoff_pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent kb", kind=SpanKind.CLIENT, attributes=marks) as span:
        use(span, 1000, 30, "0.02")
    assert usage(handoff_pipeline) == (1, 1000, 30, 0.02)
    with tracer.start_as_current_span("invoke_agent boss", attributes=AGENT):
        call_model(tracer, 10, 5, "0.01")
        with tracer.start_as_current_span("invoke_agent kb", kind=SpanKind.CLIENT, attributes=marks) as span:
            use(span, 500, 20, "0.04")
    assert usage(handoff_pipeline) == (2, 1510, 55, 0.07)
    outcomes = [event for event in handoff_pipeline.events() if event.name == "agent.outcome"]
    names = [(event.attributes["gen_ai.agent.name"], event.outcome("cost_complete")) for event in outcomes]
    assert names == [("kb", True), ("boss", True)]


def test_an_agent_behind_a_client_span_whose_calls_are_seen_reports_once(handoff_pipeline: Pipeline) -> None:
    """What reports below stands for it; what the client's span meters is a cost of its own."""
    tracer = handoff_pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent kb", kind=SpanKind.CLIENT, attributes=AGENT) as span:
        call_model(tracer, 700, 20, "0.03")
        call_model(tracer, 300, 10, "0.01")
        use(span, 1000, 30, "0.04")
        span.set_attribute("agent.cost.amount", "0.5")
    assert usage(handoff_pipeline) == (1, 1000, 30, 0.54)
    assert handoff_pipeline.event().problems == []


@pytest.mark.parametrize(("below", "remote"), [(MODEL, False), (TOOL, False), (AGENT, False), ({}, True), (None, True)])
def test_a_handoff_whose_doings_are_seen_is_to_an_agent_of_this_process(
    handoff_pipeline: Pipeline,
    below: dict[str, str] | None,
    remote: bool,  # noqa: FBT001 - a value of the table
) -> None:
    """A model call, a tool or an agent below says so; a request alone does not."""
    tracer = handoff_pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent team", attributes=AGENT),
        tracer.start_as_current_span("invoke_agent writer", kind=SpanKind.CLIENT, attributes=AGENT),
    ):
        if below is not None:
            tracer.start_span("POST", kind=SpanKind.CLIENT, attributes=below).end()
    assert remote_flags(handoff_pipeline)[-1] is remote


@pytest.mark.parametrize("operation", [MODEL, {}])
def test_usage_below_a_parent_that_is_open_here_is_taken_whatever_its_flag(
    handoff_pipeline: Pipeline, operation: dict[str, str]
) -> None:
    """Logfire logs what a streamed call used on a span whose parent's ids it has put together itself."""
    tracer = handoff_pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        tracer.start_span("call", attributes=MODEL).end()
        logged = tracer.start_span("streaming response", flagged_remote(agent), attributes=operation)
        use(logged, 101, 31, "0.25")
        logged.end()
    assert usage(handoff_pipeline) == (1, 101, 31, 0.25)


def test_a_process_that_calls_itself_has_one_run(handoff_pipeline: Pipeline) -> None:
    """Over HTTP and back: the callee is an agent within the run, and what it used is counted once."""
    tracer = handoff_pipeline.tracer()
    carrier: dict[str, str] = {}
    with (
        tracer.start_as_current_span("invoke_agent boss", attributes=AGENT),
        tracer.start_as_current_span("invoke_agent worker", kind=SpanKind.CLIENT, attributes=AGENT) as call,
        tracer.start_as_current_span("POST", kind=SpanKind.CLIENT),
    ):
        inject(carrier)
        server = tracer.start_span("POST /run", extract(carrier), SpanKind.SERVER)
        with use_span(server, end_on_exit=True), tracer.start_as_current_span("invoke_agent worker", attributes=AGENT):
            call_model(tracer, 700, 20, "0.03")
        use(call, 700, 20, "0.03")
    assert usage(handoff_pipeline) == (1, 700, 20, 0.03)
    # The call and the called are one agent of one name.
    assert remote_flags(handoff_pipeline) == [False]
    assert "agent.handoff.caller_id" not in handoff_pipeline.events()[-1].attributes


def test_the_same_span_id_in_another_trace_is_another_span(handoff_pipeline: Pipeline) -> None:
    """Two processes may have given out one span id; below it are a run, and usage, of this process."""
    tracer = handoff_pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        other = flagged_remote(agent, trace_id=agent.get_span_context().trace_id ^ 1)
        with tracer.start_as_current_span("invoke_agent b", context=other, attributes=AGENT):
            call_model(tracer, 10, 5, "0.01")
        call_model(tracer, 100, 50, "0.10")
    tokens = {
        e.attributes["gen_ai.agent.name"]: e.attributes["agent.run.input_tokens"] for e in handoff_pipeline.events()
    }
    assert tokens == {"a": 100, "b": 10}
