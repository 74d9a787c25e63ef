# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs, and that each run's usage is the sum of its leaves: real spans in the shapes of real apps."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from agent_outcomes.processor import AgentOutcomeSpanProcessor
from agent_outcomes.runs import OPEN_SPANS_MAX, WAITING_MAX
from tests.pipeline import AGENT, MODEL, OPENAI_AGENTS, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, call_model, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    """A pipeline in which, whatever a test did, nothing of ours failed."""
    made = Pipeline()
    yield made
    assert made.error_count() == 0


def run_agent(tracer: Tracer, name: str = "a", *, calls: int = 2, **outcome: Any) -> None:
    """An agent marked at its start, with model calls and a tool below it, and `agent.outcome.*` as given."""
    with tracer.start_as_current_span(f"invoke_agent {name}", attributes=AGENT) as span:
        for _ in range(calls):
            call_model(tracer)
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            pass
        for key, value in outcome.items():
            span.set_attribute(f"agent.outcome.{key}", value)


def usage(pipeline: Pipeline) -> tuple[float | int, float | int, float | int, float | int]:
    """Runs, input tokens, output tokens and cost over all runs."""
    tokens = {kind: pipeline.total("agent.run.tokens", {"gen_ai.token.type": kind}) for kind in ("input", "output")}
    return pipeline.run_count(), tokens["input"], tokens["output"], pipeline.total("agent.run.cost")


def child_of(span: Span) -> Any:
    return trace.set_span_in_context(span)


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


def test_child_that_ends_after_the_run(pipeline: Pipeline) -> None:
    """A child still open when the run ends marks its cost incomplete; its late usage belongs to no run."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
        agent = tracer.start_span("invoke_agent a", attributes=AGENT)
        with trace.use_span(agent):
            call_model(tracer)
        late = tracer.start_span("chat late", context=child_of(agent), attributes=MODEL)
        agent.end()
        use(late, 1000, 1000, "9.99")
        late.end()
    assert usage(pipeline) == (1, 10, 5, 0.01)
    assert pipeline.event().outcome("cost_complete") is False
    assert pipeline.open_count() == 0


def test_closed_children_leave_the_cost_complete(pipeline: Pipeline) -> None:
    """With every child ended before the run, and every call priced, the cost is complete."""
    run_agent(pipeline.tracer())
    assert pipeline.event().outcome("cost_complete") is True


def test_agent_that_ends_after_the_run_above_it(pipeline: Pipeline) -> None:
    """A nested agent which outlives the run is still no run of its own."""
    tracer = pipeline.tracer()
    outer = tracer.start_span("invoke_agent outer", attributes=AGENT)
    inner = tracer.start_span("invoke_agent inner", context=child_of(outer), attributes=AGENT)
    tool = tracer.start_span("execute_tool", context=child_of(inner), attributes=TOOL)
    outer.end()
    inner.end()
    tool.set_attribute("agent.outcome.label", "too late")
    tool.end()
    assert pipeline.run_count() == 1
    assert pipeline.event().outcome("label") is None
    assert pipeline.problem_count("no_current_run") == 1
    assert pipeline.open_count() == 0


def test_rolling_chain_of_overlapping_spans_stays_short(pipeline: Pipeline) -> None:
    """A worker whose every span starts the next before it ends keeps neither the spans nor a growing path to them."""
    tracer = pipeline.tracer()
    span = tracer.start_span("step 0")
    for index in range(20_000):
        following = tracer.start_span(f"step {index}", context=child_of(span))
        span.end()
        span = following
    node = pipeline.processor._tracker._open[span.get_span_context().span_id]
    length = 0
    while node.parent is not None:
        node, length = node.parent, length + 1
    assert length <= 2
    with trace.use_span(span, end_on_exit=True):
        run_agent(tracer)
    assert pipeline.run_count() == 1


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


def test_outcome_set_on_the_server_span_at_its_start(pipeline: Pipeline) -> None:
    """A server span that carries an outcome from the start is the run; the agent below it is a handoff."""
    tracer = pipeline.tracer()
    attributes = {"agent.outcome.job_type": "ticket"}
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER, attributes=attributes) as server:
        run_agent(tracer, "support")
        server.set_attribute("agent.outcome.label", "resolved")
    event = pipeline.event()
    assert event.span_id == server.get_span_context().span_id
    assert (event.outcome("label"), event.outcome("job_type")) == ("resolved", "ticket")
    assert event.attributes["gen_ai.agent.name"] == "support"
    assert usage(pipeline) == (1, 20, 10, 0.02)


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
def test_outcome_set_on_an_outer_span_at_its_end(pipeline: Pipeline, kind: SpanKind) -> None:
    """The one run below has been counted; the outer span's business result becomes its revision 1."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle", kind=kind) as outer:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
            call_model(tracer)
        outer.set_attribute("agent.outcome.type", "converted")
        outer.set_attribute("agent.outcome.value", 49.9)
        outer.set_attribute("agent.outcome.status", "failure")
    first, second = pipeline.events()
    context = agent.get_span_context()
    assert (first.outcome("state"), first.outcome("revision")) == ("pending", 0)
    assert (second.outcome("state"), second.outcome("revision")) == ("reported", 1)
    assert (second.trace_id, second.span_id) == (context.trace_id, context.span_id)
    assert second.outcome("id") == first.outcome("id")
    assert second.outcome("supersedes") == first.attributes["log.record.uid"]
    assert (second.outcome("evidence"), second.outcome("status")) == ("ancestor", "success")
    assert second.problems == ["status_conflict:agent.outcome.status"]
    assert (second.outcome("type"), second.outcome("value")) == ("converted", 49.9)
    assert pipeline.run_count() == 1
    assert pipeline.total("agent.outcomes") == 1
    assert pipeline.total("agent.outcome.value") == 49.9
    assert pipeline.total("agent.outcome.reversals") == 0
    assert pipeline.total("agent.run.duration") == 1


def test_outer_span_repeats_what_the_run_reported(pipeline: Pipeline) -> None:
    """The same business result on both is one outcome, no revision and no problem."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, label="resolved")
        outer.set_attribute("agent.outcome.label", "resolved")
    assert pipeline.event().outcome("label") == "resolved"
    assert pipeline.total("agent_outcomes.processor.problems") == 0


def test_outer_span_contradicts_what_the_run_reported(pipeline: Pipeline) -> None:
    """A run that has reported stands; the different result on the outer span is counted as ambiguous."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, label="resolved")
        outer.set_attribute("agent.outcome.label", "escalated")
    assert pipeline.event().outcome("label") == "resolved"
    assert pipeline.problem_count("ambiguous_outcome") == 1
    assert pipeline.total("agent.outcomes") == 1


def test_outer_span_above_two_runs_is_ambiguous(pipeline: Pipeline) -> None:
    """With two runs below, an outer span's outcome is given to neither, and counted as a problem."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, "one")
        run_agent(tracer, "two")
        outer.set_attribute("agent.outcome.success", True)
    assert [event.outcome("state") for event in pipeline.events()] == ["pending", "pending"]
    assert pipeline.problem_count("ambiguous_outcome") == 1
    assert pipeline.total("agent.outcomes") == 0
    assert usage(pipeline) == (2, 40, 20, 0.04)


def test_outer_span_marked_as_an_agent_late_never_becomes_a_run(pipeline: Pipeline) -> None:
    """A run below has settled already, so that the late mark above it counts nothing twice."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer)
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        use(outer, 20, 10, "0.02")
    assert usage(pipeline) == (1, 20, 10, 0.02)


def test_outcome_on_an_outer_span_two_levels_up(pipeline: Pipeline) -> None:
    """Plain spans between the run and the span that states its outcome do not matter."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST", kind=SpanKind.SERVER) as server:
        with tracer.start_as_current_span("handler"), tracer.start_as_current_span("inner handler"):
            run_agent(tracer)
        server.set_attribute("agent.outcome.success", False)
    assert [event.outcome("success") for event in pipeline.events()] == [None, False]


def test_agent_that_outlives_a_late_stating_outer_span_is_a_run(pipeline: Pipeline) -> None:
    """The outer span stated an outcome for the run before it; another run that goes on in the background counts."""
    tracer = pipeline.tracer()
    server = tracer.start_span("POST", kind=SpanKind.SERVER)
    with trace.use_span(server):
        run_agent(tracer, "one")
        background = tracer.start_span("invoke_agent two", attributes=AGENT)
    server.set_attribute("agent.outcome.label", "resolved")
    server.end()
    background.end()
    assert pipeline.run_count() == 2


def test_agents_below_an_outer_span_that_turns_agent_like_late_are_runs(pipeline: Pipeline) -> None:
    """An outer span that turns agent-like above a settled run is none itself, so what follows below it is no handoff."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("handle") as outer:
        run_agent(tracer, "one")
        outer.set_attribute("gen_ai.conversation.id", "c")
        run_agent(tracer, "two")
        outer.set_attribute("agent.outcome.label", "resolved")
    assert usage(pipeline) == (2, 40, 20, 0.04)
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_agents_after_the_outer_span_has_been_given_an_outcome_are_runs(pipeline: Pipeline) -> None:
    """A loop that runs an agent and sets the outcome on the span around the loop: each turn is a run of its own."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("loop") as outer:
        for turn in range(3):
            with tracer.start_as_current_span("turn"):
                run_agent(tracer)
            outer.set_attribute("agent.outcome.label", f"turn {turn}")
            assert pipeline.run_count() == turn + 1
    assert usage(pipeline) == (3, 60, 30, 0.06)
    assert pipeline.problem_count("ambiguous_outcome") == 1


def test_outcome_set_on_a_tool_span_is_the_runs(pipeline: Pipeline) -> None:
    """`get_current_span()` inside a tool is the tool's span; what is set there is the run's, not a second run's."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        call_model(tracer)
        with tracer.start_as_current_span("execute_tool t", attributes=TOOL):
            trace.get_current_span().set_attribute("agent.outcome.type", "deflected")
            trace.get_current_span().set_attribute("agent.outcome.value", "12.50")
    event = pipeline.event()
    assert event.span_id == agent.get_span_context().span_id
    assert (event.outcome("type"), event.outcome("value"), event.outcome("evidence")) == (
        "deflected",
        12.5,
        "descendant",
    )
    assert event.attributes["agent.run.tool_calls"] == 1
    assert event.problems == []
    assert usage(pipeline) == (1, 10, 5, 0.01)


def test_the_runs_own_statement_wins_over_a_tools(pipeline: Pipeline) -> None:
    """Fields fold up only where the run states none itself."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT) as agent:
        with tracer.start_as_current_span("execute_tool t") as tool:
            tool.set_attribute("agent.outcome.label", "from the tool")
            tool.set_attribute("agent.outcome.type", "deflected")
        agent.set_attribute("agent.outcome.label", "from the run")
    event = pipeline.event()
    assert (event.outcome("label"), event.outcome("type")) == ("from the run", "deflected")


def test_contradicting_tool_spans(pipeline: Pipeline) -> None:
    """The last tool that ended wins, and the contradiction is listed."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        for label in ("first", "second"):
            with tracer.start_as_current_span("execute_tool t") as tool:
                tool.set_attribute("agent.outcome.label", label)
    assert pipeline.event().outcome("label") == "second"
    assert pipeline.event().problems == ["contradicting_outcome"]
    assert pipeline.run_count() == 1


def test_a_nested_agents_outcome_stays_its_own(pipeline: Pipeline) -> None:
    """A real agent below the run keeps what it states."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
        run_agent(tracer, "inner", label="inner label", status="failure")
    event = pipeline.event()
    assert (event.outcome("label"), event.outcome("status"), event.outcome("state")) == (None, "success", "pending")


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


def test_usage_on_a_client_call_of_a_remote_agent_is_not_counted(pipeline: Pipeline) -> None:
    """The callee, another process, reports what it used; the call itself is a run of this process."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent remote", kind=SpanKind.CLIENT, attributes=AGENT) as span:
        use(span, 1000, 500, "1.00")
    assert usage(pipeline) == (1, 0, 0, 0)
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer)
        with tracer.start_as_current_span("invoke_agent remote", kind=SpanKind.CLIENT, attributes=AGENT) as span:
            use(span, 1000, 500, "1.00")
    assert usage(pipeline) == (2, 10, 5, 0.01)


def test_remote_parent_makes_the_callee_a_run(pipeline: Pipeline) -> None:
    """A span with a remote parent is local root: its agent is a run, even if the caller is in this very process."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent caller", attributes=AGENT) as caller:
        context = caller.get_span_context()
        remote = SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=TraceFlags(1))
        above = trace.set_span_in_context(NonRecordingSpan(remote))
        with tracer.start_as_current_span("invoke_agent callee", context=above, attributes=AGENT):
            call_model(tracer)
    tokens = [event.attributes.get("agent.run.input_tokens") for event in pipeline.events()]
    assert tokens == [10, None]


def test_spans_that_never_end_are_bounded_and_counted(pipeline: Pipeline) -> None:
    """Past the limit the oldest open span is forgotten; runs go on being counted."""
    tracer = pipeline.tracer()
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX + 500)]
    assert pipeline.open_count() == OPEN_SPANS_MAX
    assert pipeline.total("agent_outcomes.processor.spans_evicted") == 500
    run_agent(tracer)
    assert usage(pipeline) == (1, 20, 10, 0.02)
    for span in leaked:
        span.end()
    assert pipeline.open_count() == 0
    assert pipeline.run_count() == 1


def test_eviction_settles_what_waited_for_the_evicted_span(pipeline: Pipeline) -> None:
    """An agent that waits for an outer span which is never ended is a run when that span is forgotten."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    outer = tracer.start_span("chain that leaks")
    with trace.use_span(outer):
        run_agent(tracer, "waits", label="resolved")
    assert pipeline.run_count() == 0
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX)]
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.event().outcome("label") == "resolved"
    assert len(leaked) == OPEN_SPANS_MAX


def test_evicted_agent_is_still_one_run(pipeline: Pipeline) -> None:
    """Forgetting an open agent makes neither its handoffs runs nor itself uncounted; its cost is incomplete."""
    tracer = pipeline.tracer()
    agent = tracer.start_span("invoke_agent long", attributes=AGENT)
    early = tracer.start_span("invoke_agent helper", context=child_of(agent), attributes=AGENT)
    leaked = [tracer.start_span("leaked") for _ in range(OPEN_SPANS_MAX - 1)]
    early.end()
    assert pipeline.run_count() == 0
    agent.end()
    assert pipeline.run_count() == 1
    assert pipeline.event().problems == ["start_not_seen"]
    assert pipeline.event().outcome("cost_complete") is False
    assert len(leaked) == OPEN_SPANS_MAX - 1


def test_only_so_many_runs_wait(pipeline: Pipeline) -> None:
    """Past the limit a run does not wait for the outer span: all are counted, memory stays bounded."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    with tracer.start_as_current_span("endless stream"):
        for _ in range(WAITING_MAX + 50):
            with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
                pass
        assert pipeline.run_count() == 50
    assert pipeline.run_count() == WAITING_MAX + 50


def test_shutdown_settles_what_waits(pipeline: Pipeline) -> None:
    """A run that waits for an outer span is counted when the provider is shut down."""
    tracer = pipeline.tracer(OPENINFERENCE_LANGCHAIN)
    outer = tracer.start_span("chain")
    with trace.use_span(outer):
        run_agent(tracer, label="resolved")
    assert pipeline.run_count() == 0
    pipeline.spans.shutdown()
    assert usage(pipeline) == (1, 20, 10, 0.02)
    assert pipeline.event().outcome("label") == "resolved"


def test_run_whose_start_was_not_seen() -> None:
    """A processor added in the middle of a run counts it once, says so, and calls its cost incomplete."""
    pipeline = Pipeline()
    late = Pipeline()
    tracer = pipeline.tracer()
    pipeline.processor._disabled = True
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer)
        pipeline.spans.add_span_processor(late.processor)
        call_model(tracer)
    event = late.event()
    assert event.problems == ["start_not_seen"]
    assert event.outcome("cost_complete") is False
    assert late.run_count() == 1


def test_processor_added_later_sees_whole_runs_afterwards() -> None:
    """After one run with its start not seen, the next is whole."""
    pipeline = Pipeline()
    pipeline.processor._disabled = True
    late = Pipeline()
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        pipeline.spans.add_span_processor(late.processor)
    run_agent(tracer)
    assert [event.problems for event in late.events()] == [["start_not_seen"], []]


def boom() -> None:
    message = "no"
    raise ValueError(message)


def test_run_inside_an_except_block_succeeds(pipeline: Pipeline) -> None:
    """An exception that was being handled before the run began says nothing about the run."""
    tracer = pipeline.tracer()
    try:
        boom()
    except ValueError:
        run_agent(tracer)
    assert pipeline.event().outcome("status") == "success"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_run_inside_the_handler_of_an_interruption_succeeds(
    pipeline: Pipeline, scope: str, error: type[BaseException]
) -> None:
    """So too where the exception is one that would count, and for scopes that end failed runs clean."""
    tracer = pipeline.tracer(scope)
    try:
        raise error
    except error:
        run_agent(tracer)
    assert pipeline.event().outcome("status") == "success"


def test_handled_recorded_exception_is_no_failure(pipeline: Pipeline) -> None:
    """`record_exception` and going on is a success."""
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT) as span:
        try:
            boom()
        except ValueError as error:
            span.record_exception(error)
    assert pipeline.event().outcome("status") == "success"
    assert pipeline.event().attributes.get("error.type") is None


@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_recovered_failed_sub_agent_is_a_success(pipeline: Pipeline, scope: str) -> None:
    """A sub-agent fails, its error is handled and another one does the job: the run is a success."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("Agent workflow", attributes=AGENT):
        try:
            with tracer.start_as_current_span("first", attributes=AGENT):
                boom()
        except ValueError:
            pass
        run_agent(tracer, "second")
    assert pipeline.event().outcome("status") == "success"


def test_failed_last_agent_fails_a_run_that_its_scope_ends_clean(pipeline: Pipeline) -> None:
    """openai-agents ends its root clean: where the last agent failed and nothing came after it, the run failed."""
    tracer = pipeline.tracer(OPENAI_AGENTS)
    root = tracer.start_span("Agent workflow", attributes=AGENT)
    with pytest.raises(ValueError, match="no"), trace.use_span(root):  # noqa: SIM117 - the agent is inside the root
        with tracer.start_as_current_span("first", attributes=AGENT):
            boom()
    root.set_status(trace.StatusCode.OK)
    root.end()
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("evidence")) == ("failure", "nested_agent:ValueError")


def test_escaping_exception_fails_the_run(pipeline: Pipeline) -> None:
    """What `start_as_current_span` records as it leaves is what failed."""
    tracer = pipeline.tracer()
    with pytest.raises(ConnectionError), tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        raise ConnectionError
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable")) == ("failure", True)
    assert event.attributes["error.type"] == "ConnectionError"


async def cancelled(agent: Callable[[], Any]) -> None:
    task = asyncio.create_task(agent())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out_by_wait_for(agent: Callable[[], Any]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(agent(), 0.01)


async def timed_out_by_timeout(agent: Callable[[], Any]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await agent()


@pytest.mark.parametrize("how", [cancelled, timed_out_by_wait_for, timed_out_by_timeout])
def test_cancelled_from_outside(pipeline: Pipeline, how: Callable[..., Any]) -> None:
    """Task cancellation and a time limit around the run look the same from inside: cancelled, not retryable."""
    tracer = pipeline.tracer()

    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            await asyncio.Event().wait()

    asyncio.run(how(agent))
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("source")) == ("cancelled", "inferred")
    assert event.outcome("evidence") == "exception:asyncio.exceptions.CancelledError"
    assert (event.outcome("retryable"), event.severity) == (False, "INFO")


def test_time_limit_inside_the_run(pipeline: Pipeline) -> None:
    """`asyncio.timeout` inside the span raises TimeoutError through it: a timeout, retryable."""
    tracer = pipeline.tracer()

    async def agent() -> None:
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(agent())
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable")) == ("timeout", True)


@pytest.mark.parametrize(
    ("error", "status", "category"),
    [
        (KeyboardInterrupt, "cancelled", "terminated"),
        (SystemExit, "cancelled", "terminated"),
        (GeneratorExit, "success", None),
    ],
)
def test_interruptions(pipeline: Pipeline, error: type[BaseException], status: str, category: str | None) -> None:
    """The process being stopped cancels the run; a generator being closed says nothing."""
    with pytest.raises(error), pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        raise error
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("error.category")) == (status, category)


def test_closed_generator_is_a_success(pipeline: Pipeline) -> None:
    """A streaming agent whose reader has had enough is closed while it yields: not a failure."""

    def stream() -> Iterator[int]:
        with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
            yield 1
            yield 2

    chunks = stream()
    assert next(chunks) == 1
    chunks.close()  # type: ignore[attr-defined]
    assert pipeline.event().outcome("status") == "success"


@pytest.mark.parametrize("scope", ["app", OPENAI_AGENTS])
def test_stop_async_iteration_in_flight_says_nothing(pipeline: Pipeline, scope: str) -> None:
    """The end of a stream is in flight when many a streaming wrapper ends its span: a success."""
    span = pipeline.tracer(scope).start_span("invoke_agent a", attributes=AGENT)
    try:
        raise StopAsyncIteration
    except StopAsyncIteration:
        span.end()
    assert pipeline.event().outcome("status") == "success"


def test_ordinary_exception_in_flight_on_a_clean_span_says_nothing(pipeline: Pipeline) -> None:
    """A span ended without an error inside a handler was ended by someone who had handled it."""
    span = pipeline.tracer().start_span("invoke_agent a", attributes=AGENT)
    try:
        boom()
    except ValueError:
        span.end()
    assert pipeline.event().outcome("status") == "success"


def test_human_in_the_loop_pause_is_no_outcome(pipeline: Pipeline) -> None:
    """A run that waits for a person has not ended: nothing is counted, nothing emitted, usage does not leak."""
    graph_interrupt = type("GraphInterrupt", (Exception,), {"__module__": "langgraph.errors"})
    tracer = pipeline.tracer()
    with pytest.raises(graph_interrupt), tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        call_model(tracer)
        raise graph_interrupt
    assert usage(pipeline) == (0, 0, 0, 0)
    assert pipeline.events() == []


def test_runs_end_on_other_threads_than_they_began(pipeline: Pipeline) -> None:
    """Start and end on different threads are one run."""
    tracer = pipeline.tracer()
    agent = tracer.start_span("invoke_agent a", attributes=AGENT)
    with trace.use_span(agent):
        call_model(tracer)
    thread = threading.Thread(target=agent.end)
    thread.start()
    thread.join()
    assert usage(pipeline) == (1, 10, 5, 0.01)


def test_the_same_processor_added_twice_counts_once(pipeline: Pipeline) -> None:
    """Every callback comes twice; runs, handoffs and usage count once."""
    pipeline.spans.add_span_processor(pipeline.processor)
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("POST", kind=SpanKind.SERVER):
        with tracer.start_as_current_span("invoke_agent outer", attributes=AGENT):
            call_model(tracer)
            run_agent(tracer, "inner")
    assert usage(pipeline) == (1, 30, 15, 0.03)
    assert len(pipeline.events()) == 1
    assert pipeline.event().problems == []
    assert pipeline.open_count() == 0


def test_the_same_processor_on_two_providers(pipeline: Pipeline) -> None:
    """One processor may serve two tracer providers."""
    other = Pipeline()
    other.spans.add_span_processor(pipeline.processor)
    other.processor._disabled = True
    run_agent(pipeline.tracer())
    run_agent(other.tracer())
    assert usage(pipeline) == (2, 40, 20, 0.04)
    assert isinstance(pipeline.processor, AgentOutcomeSpanProcessor)
