# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs, and that each run's usage is the sum of its leaves: real spans in the shapes of real apps."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind

from tests.pipeline import (
    AGENT,
    OPENINFERENCE_LANGCHAIN,
    TOOL,
    Pipeline,
    call_model,
    run_agent,
    usage,
    use,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def test_an_agent_under_a_server_span_is_the_run(pipeline: Pipeline) -> None:
    """The trace root is an HTTP server span; the agent below it is the run, counted at its own end."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        run_agent(tracer, "support")
        assert pipeline.run_count() == 1
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "support"
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert event.attributes["agent.run.model_calls"] == 2
    assert event.attributes["agent.run.tool_calls"] == 1
    assert pipeline.open_count() == 0


def test_event_carries_the_runs_own_ids_and_times(pipeline: Pipeline) -> None:
    """Trace id, span id and timestamp of the event are those of the agent's span, whatever is current at its end."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        span = tracer.start_span("invoke_agent a", attributes=AGENT, start_time=1_000_000_000)
        span.end(3_500_000_000)
    event, context = pipeline.event(), span.get_span_context()
    assert (event.name, event.trace_id, event.span_id) == ("agent.outcome", context.trace_id, context.span_id)
    assert (event.timestamp, event.attributes["agent.run.duration"]) == (3_500_000_000, 2.5)


def test_agents_below_an_agent_are_handoffs(pipeline: Pipeline) -> None:
    """Three agents, one inside the other, are one run with all their usage, each leaf once."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT) as outer:
        call_model(tracer)
        with tracer.start_as_current_span("invoke_agent middle", attributes=AGENT) as middle:
            run_agent(tracer, "inner")
            use(middle, 20, 10, "0.02")
        use(outer, 30, 15, "0.03")
    assert usage(pipeline) == (1, 30, 15, 0.03)
    assert pipeline.event().attributes["gen_ai.agent.name"] == "outer"
    assert pipeline.event().problems == []


@pytest.mark.parametrize(("stated", "problems"), [(19, []), (20, []), (21, ["usage_mismatch"])])
def test_an_aggregate_of_leaves(pipeline: Pipeline, stated: int, problems: list[str]) -> None:
    """What an agent span repeats of its leaves is not counted; a sum beyond theirs stands and is listed."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        call_model(tracer)
        call_model(tracer)
        agent.set_attribute("gen_ai.usage.input_tokens", stated)
    event = pipeline.event()
    assert event.attributes["agent.run.input_tokens"] == max(20, stated)
    assert event.problems == problems
    assert event.outcome("cost_complete") is not bool(problems)


def test_aggregate_without_leaves_counts(pipeline: Pipeline) -> None:
    """An agent span that reports usage which no span below it does is where the run's usage comes from."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        use(agent, 20, 10, "0.02")
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_agent_called_as_a_tool(pipeline: Pipeline) -> None:
    """A tool call that runs an agent is a tool call beside those that the agent makes."""
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent outer", attributes=AGENT),
        tracer.start_as_current_span("execute_tool ask", attributes=TOOL),
    ):
        run_agent(tracer, "inner")
    assert pipeline.event().attributes["agent.run.tool_calls"] == 2
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_one_tool_call_seen_by_two_instrumentations(pipeline: Pipeline) -> None:
    """A tool span inside a tool span is one call."""
    tracer = pipeline.tracer()
    with (
        tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
        tracer.start_as_current_span("execute_tool t", attributes=TOOL),
        tracer.start_as_current_span("t", attributes={"openinference.span.kind": "TOOL"}),
    ):
        pass
    assert pipeline.event().attributes["agent.run.tool_calls"] == 1


def test_kinds_set_only_at_the_end(pipeline: Pipeline) -> None:
    """OpenInference for LangChain sets the kind as a span ends: the inner agent waits for the outer one to end."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("inner") as inner:
            with tracer.start_as_current_span("ChatModel") as model:
                model.set_attribute("openinference.span.kind", "LLM")
                model.set_attribute("llm.token_count.prompt", 7)
                model.set_attribute("llm.token_count.completion", 3)
            inner.set_attribute("openinference.span.kind", "AGENT")
        assert pipeline.run_count() == 0
        outer.set_attribute("openinference.span.kind", "AGENT")
    assert usage(pipeline)[:3] == (1, 7, 3)
    assert pipeline.event().span_id == outer.get_span_context().span_id


def test_kind_that_never_comes_releases_the_inner_agent(pipeline: Pipeline) -> None:
    """The outer span of a GenAI scope ends as a chain: the agents that waited for it are runs."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("RunnableSequence") as chain:
        for _ in range(2):
            with tracer.start_as_current_span("agent") as inner:
                call_model(tracer)
                inner.set_attribute("openinference.span.kind", "AGENT")
        assert pipeline.run_count() == 0
        chain.set_attribute("openinference.span.kind", "CHAIN")
    assert usage(pipeline) == (2, 20, 10, 0.02)


def test_waiting_agents_move_up_through_chains(pipeline: Pipeline) -> None:
    """An agent three chains deep waits for each in turn and folds into the agent that the outermost turns out to be."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("LangGraph-like") as outermost:
        with tracer.start_as_current_span("chain"), tracer.start_as_current_span("chain"):
            run_agent(tracer)
        assert pipeline.run_count() == 0
        outermost.set_attribute("openinference.span.kind", "AGENT")
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.event().attributes["agent.run.tool_calls"] == 1


@pytest.mark.parametrize(
    ("scope", "name", "attributes"),
    [
        ("app", "x", {"gen_ai.operation.name": "invoke_agent"}),
        ("app", "x", {"gen_ai.operation.name": "invoke_workflow"}),
        ("app", "x", {"openinference.span.kind": "AGENT"}),
        ("app", "x", {"traceloop.span.kind": "workflow"}),
        ("app", "x", {"traceloop.span.kind": "agent"}),
        ("app", "x", {"agent.outcome.success": True}),
        ("app", "x", {"agent.outcome": "resolved"}),
        (OPENINFERENCE_LANGCHAIN, "LangGraph", {}),
        ("openinference.instrumentation.llama_index", "FunctionAgent.run", {}),
        ("openinference.instrumentation.crewai", "crew.kickoff", {}),
        ("agent_framework", "workflow.run", {}),
        ("strands.telemetry.tracer", "x", {"gen_ai.operation.name": "invoke_graph"}),
    ],
)
def test_agent_like(pipeline: Pipeline, scope: str, name: str, attributes: dict[str, Any]) -> None:
    """Every mark of an agent that the design names makes a lone span a run."""
    with pipeline.tracer(scope).start_as_current_span(name, attributes=attributes):
        pass
    assert pipeline.run_count() == 1


@pytest.mark.parametrize(
    ("scope", "name", "attributes"),
    [
        ("app", "LangGraph", {}),
        ("app", "x", {"gen_ai.operation.name": "chat"}),
        ("app", "x", {"gen_ai.operation.name": "create_agent", "openinference.span.kind": "AGENT"}),
        ("app", "x", {"openinference.span.kind": "CHAIN"}),
        ("app", "x", {"traceloop.span.kind": "task"}),
        ("app", "x", {"gen_ai.agent.name": "a", "agent.name": "a"}),
    ],
)
def test_not_agent_like(pipeline: Pipeline, scope: str, name: str, attributes: dict[str, Any]) -> None:
    """What merely resembles an agent is none."""
    with pipeline.tracer(scope).start_as_current_span(name, attributes=attributes):
        pass
    assert pipeline.run_count() == 0
    assert pipeline.events() == []


def test_parallel_tool_calls_in_threads(pipeline: Pipeline) -> None:
    """Sixteen tools on eight threads, each with a model call: one run with the sum of all leaves."""
    tracer = pipeline.tracer()

    def tool() -> None:
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            call_model(tracer, 3, 2, "0.005")

    with (
        tracer.start_as_current_span("invoke_agent a", attributes=AGENT),
        ThreadPoolExecutor(max_workers=8) as pool,
    ):
        done = [pool.submit(contextvars.copy_context().run, tool) for _ in range(16)]
        for future in done:
            future.result()
    assert usage(pipeline) == (1, 48, 32, 0.08)
    assert pipeline.event().attributes["agent.run.tool_calls"] == 16


def test_parallel_tool_calls_in_tasks(pipeline: Pipeline) -> None:
    """Tools as asyncio tasks that interleave, in two runs at once: each run has its own sum."""
    tracer = pipeline.tracer()

    async def tool() -> None:
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            await asyncio.sleep(0)
            call_model(tracer, 3, 2, "0.005")
            await asyncio.sleep(0)

    async def agent(name: str, tools: int) -> None:
        with tracer.start_as_current_span(f"invoke_agent {name}", attributes=AGENT):
            await asyncio.gather(*(tool() for _ in range(tools)))

    async def both() -> None:
        with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
            await asyncio.gather(agent("one", 5), agent("two", 9))

    asyncio.run(both())
    calls = {event.attributes["gen_ai.agent.name"]: event.attributes for event in pipeline.events()}
    assert {name: found["agent.run.tool_calls"] for name, found in calls.items()} == {"one": 5, "two": 9}
    assert {name: found["agent.run.input_tokens"] for name, found in calls.items()} == {"one": 15, "two": 27}
    assert usage(pipeline) == (2, 42, 28, 0.07)


@pytest.mark.parametrize("kind", [SpanKind.CONSUMER, SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.PRODUCER])
def test_agent_inside_a_worker_span_that_stays_open(pipeline: Pipeline, kind: SpanKind) -> None:
    """Runs inside a long-lived worker span are counted while it is open."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("worker", kind=kind):
        for expected in (1, 2, 3):
            run_agent(tracer)
            assert pipeline.run_count() == expected
    assert usage(pipeline) == (3, 60, 30, 0.06)


def test_a_genai_attribute_holds_back_what_is_inside(pipeline: Pipeline) -> None:
    """An open outer span that carries a GenAI attribute may still become the agent, so the inner one waits."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("wrapper", attributes={"gen_ai.conversation.id": "c"}) as wrapper:
        run_agent(tracer)
        assert pipeline.run_count() == 0
        wrapper.set_attribute("gen_ai.operation.name", "invoke_agent")
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_two_agents_in_sequence_are_two_runs(pipeline: Pipeline) -> None:
    """Siblings in one trace are runs of their own."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        run_agent(tracer, "one", calls=1)
        run_agent(tracer, "two", calls=3)
    tokens = {e.attributes["gen_ai.agent.name"]: e.attributes["agent.run.input_tokens"] for e in pipeline.events()}
    assert tokens == {"one": 10, "two": 30}
    assert len({event.trace_id for event in pipeline.events()}) == 1


def test_two_agents_in_sequence_without_anything_above(pipeline: Pipeline) -> None:
    """Two traces of one agent each are two runs."""
    run_agent(pipeline.tracer())
    run_agent(pipeline.tracer())
    assert usage(pipeline) == (2, 40, 20, 0.04)


def test_is_run_true_makes_runs_below_an_agent() -> None:
    """`True` is a run even below an agent: both levels count, and no usage counts twice."""

    def is_run(span: ReadableSpan) -> bool | None:
        return True if span.name.startswith("invoke_agent") else None

    pipeline = Pipeline(is_run=is_run)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer"):
        call_model(tracer)
        run_agent(tracer, "inner")
    assert usage(pipeline) == (2, 30, 15, 0.03)
    assert [event.attributes["agent.run.input_tokens"] for event in pipeline.events()] == [20, 10]


def test_is_run_false_is_never_a_run() -> None:
    """`False` takes a span out, whatever it carries; its usage goes to the agent above."""
    pipeline = Pipeline(is_run=lambda span: False if span.name == "invoke_agent wrapper" else None)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent wrapper", attributes=AGENT):
        run_agent(tracer, "one")
        run_agent(tracer, "two")
    assert usage(pipeline) == (2, 40, 20, 0.04)


def test_is_run_none_leaves_it_to_the_rules() -> None:
    """`None` changes nothing."""
    pipeline = Pipeline(is_run=lambda _: None)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        run_agent(tracer)
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_is_run_that_raises_counts_as_none() -> None:
    """An error in the user's function costs no outcome; it is counted."""

    def is_run(span: ReadableSpan) -> bool | None:
        raise RuntimeError(span.name)

    pipeline = Pipeline(is_run=is_run)
    run_agent(pipeline.tracer())
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.total("agent_outcomes.processor.errors", {"error.type": "RuntimeError"}) >= 1
