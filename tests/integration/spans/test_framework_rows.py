# SPDX-License-Identifier: Apache-2.0
"""Frameworks are known by what they write: each with names, and classes of one's own, that say nothing of agents."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, set_span_in_context

from tests.pipeline import AGENT, MODEL, TOOL, Pipeline, call_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span

LANGCHAIN = "openinference.instrumentation.langchain"
LANGCHAIN_JS = "@arizeai/openinference-instrumentation-langchain"
LANGFUSE = "langfuse.observation.metadata"
NAMES = ("billing desk", "Zürich", "model")
CLASSES = ("TicketFlow", "Zeta9", "Reisebuero")
CHAIN = {"openinference.span.kind": "CHAIN"}
MARKED = {"openinference.span.kind": "AGENT"}
LLM = {"openinference.span.kind": "LLM"}
TOOL_KIND = {"openinference.span.kind": "TOOL"}
TASK_KIND = {"openinference.span.kind": "TASK"}


@dataclass(frozen=True, slots=True)
class Root:
    """A framework's root span; what is set `at_end` is not there before."""

    scope: str
    name: str
    at_start: Mapping[str, Any] = field(default_factory=dict)
    at_end: Mapping[str, Any] = field(default_factory=dict)
    kind: SpanKind = SpanKind.INTERNAL


def metadata(**fields: Any) -> dict[str, Any]:
    """What LangChain's callbacks set at the end."""
    return {"metadata": json.dumps(fields)}


def flat(**fields: Any) -> dict[str, Any]:
    """The same as LangSmith's exporter has it."""
    return {"gen_ai.operation.name": "chain", **{f"langsmith.metadata.{key}": value for key, value in fields.items()}}


# By instrumentation: the root span of an agent or class of this name.
ROOTS: dict[str, Callable[[str], Root]] = {
    "langgraph": lambda name: Root(LANGCHAIN, name, at_end=CHAIN | metadata(ls_integration="langgraph")),
    "create_agent": lambda name: Root(
        LANGCHAIN, name, at_end=CHAIN | metadata(ls_integration="langchain_create_agent", lc_agent_name=name)
    ),
    "deepagents": lambda name: Root(
        LANGCHAIN, name, at_end=CHAIN | metadata(ls_integration="deepagents", lc_agent_name=name)
    ),
    "langchain.js": lambda name: Root(LANGCHAIN_JS, name, CHAIN, metadata(ls_integration="langgraph")),
    "langsmith": lambda name: Root("langsmith", name, flat(ls_integration="langgraph")),
    "pydantic_ai_1": lambda name: Root("pydantic-ai", "agent run", {"agent_name": name, "model_name": "m"}),
    "openlit": lambda name: Root(
        "openlit.instrumentation.langgraph", f"invoke_workflow {name}", at_end={"error.type": "ToolBroke"}
    ),
    "openlit_nodes": lambda name: Root(
        "openlit.instrumentation.langgraph", f"invoke_workflow {name}", at_end={"gen_ai.workflow.name": name}
    ),
    "openlit_agent": lambda name: Root("openlit.instrumentation.agno", f"invoke_agent {name}"),
    "adk": lambda name: Root(
        "gcp.vertex.agent", f"invoke_agent {name}", AGENT, {"gen_ai.operation.name": "generate_content"}
    ),
    "adk_openinference": lambda name: Root(
        "openinference.instrumentation.google_adk", f"agent_run [{name}]", MARKED | {"agent.name": name}
    ),
    "adk_1": lambda name: Root("gcp.vertex.agent", f"agent_run [{name}]"),
    "litellm": lambda name: Root("app", f"invoke_agent {name}", AGENT | {"gen_ai.agent.name": name}, MODEL),
    "mlflow": lambda name: Root("mlflow.tracing.provider", name, {"mlflow.spanType": '"AGENT"'}),
    "langfuse": lambda name: Root("langfuse-sdk", name, {"langfuse.observation.type": "agent"}),
    "traceloop": lambda name: Root("traceloop.tracer", f"{name}.workflow", {"traceloop.span.kind": "workflow"}),
    "agentops": lambda name: Root("agentops", f"{name}.agent", {"agentops.span.kind": "agent"}),
    "agno_openllmetry": lambda name: Root(
        "opentelemetry.instrumentation.agno",
        f"{name}.team",
        {"traceloop.span.kind": "workflow", "agno.team.name": name},
    ),
    "autogen_openinference": lambda name: Root(
        "openinference.instrumentation.autogen_agentchat", f"{name}.on_messages_stream", MARKED
    ),
    "beeai": lambda name: Root("openinference.instrumentation.beeai", name, MARKED | {"agent.name": name}),
    "langfuse_langgraph": lambda name: Root(
        "langfuse-sdk", name, {"langfuse.observation.type": "chain", f"{LANGFUSE}.ls_integration": "langgraph"}
    ),
    "langfuse_js": lambda name: Root(
        "langfuse-sdk",
        name,
        {"langfuse.observation.type": "span", f"{LANGFUSE}.ls_integration": "deepagents", f"{LANGFUSE}.tags": "x"},
    ),
    "mlflow_langgraph": lambda name: Root(
        "mlflow.langchain.langchain_tracer",
        name,
        {"mlflow.spanType": '"CHAIN"', **metadata(ls_integration="langgraph")},
    ),
    "mlflow_named": lambda name: Root(
        "mlflow.tracing.provider", "x", {"mlflow.spanType": '"AGENT"', "gen_ai.agent.name": json.dumps(name)}
    ),
    "agno_workflow": lambda name: Root("openinference.instrumentation.agno", f"{name}.arun", CHAIN),
    "mastra_1": lambda name: Root(
        "@mastra/otel",
        f"workflow.{name}",
        {"gen_ai.operation.name": "workflow.run", "mastra.span.type": "workflow_run", "workflow.id": name},
        kind=SpanKind.SERVER,
    ),
    "voltagent": lambda name: Root("@voltagent/core", "x", {"entity.name": name, "agent.state": "running"}),
    "spring_ai_alibaba": lambda name: Root(
        "org.springframework.boot", "x", {"spring.ai.alibaba.kind": "graph", "spring.ai.alibaba.graph.name": name}
    ),
    "embabel": lambda name: Root(
        "org.springframework.boot",
        "x",
        {"gen_ai.operation.name": "agent", "embabel.event.type": "agent_process", "embabel.agent.name": name},
    ),
    "agent_framework_net": lambda name: Root(
        "Microsoft.Agents.AI.Workflows", "workflow_invoke", {"workflow.name": name}
    ),
    "livekit": lambda name: Root(
        "livekit-agents",
        "agent_session",
        {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "agent_session",
            "lk.agent_label": name,
        },
    ),
    "mcp_agent": lambda name: Root("mcp-agent", f"MyLLM.{name}.generate_str", {"gen_ai.agent.name": name}),
    "livekit_1": lambda name: Root("livekit-agents", "agent_session", {"lk.agent_label": name}),
    "dapr": lambda name: Root(
        "dapr_agents.observability.instrumentor",
        f"invoke_agent {name}",
        {**AGENT, **MARKED, "gen_ai.agent.name": name, "workflow.name": "AgenticWorkflow"},
    ),
    "crewai_openllmetry": lambda name: Root(
        "opentelemetry.instrumentation.crewai",
        "crewai.workflow",
        {"gen_ai.operation.name": "invoke_agent", "crewai.crew.name": name},
    ),
}
# The same, of what is called after its class.
CLASS_ROOTS: dict[str, Callable[[str], Root]] = {
    "llama_index": lambda name: Root("openinference.instrumentation.llama_index", f"{name}.run", at_end=CHAIN),
    "llama_index_openllmetry": lambda name: Root(
        "opentelemetry.instrumentation.llamaindex",
        f"{name}.workflow",
        {"traceloop.span.kind": "workflow", "traceloop.entity.name": f"{name}.workflow"},
    ),
    "dspy": lambda name: Root("openinference.instrumentation.dspy", f"{name}.forward", CHAIN),
    "dspy_async": lambda name: Root("openinference.instrumentation.dspy", f"{name}.aforward", CHAIN),
    "autogen_team": lambda name: Root(
        "openinference.instrumentation.autogen_agentchat", f"{name}.run_stream", CHAIN | {"team_id": "1"}
    ),
}


# Those without a mark by any convention.
KNOWN_BY_SCOPE = (
    *("langgraph", "create_agent", "deepagents", "langchain.js", "langsmith", "pydantic_ai_1", "openlit"),
    *("openlit_agent", "adk_1", "llama_index", "dspy", "dspy_async", "autogen_team"),
    *("langfuse_langgraph", "langfuse_js", "mlflow_langgraph", "agno_workflow", "voltagent", "agent_framework_net"),
    *("livekit_1", "mcp_agent"),
)


def run(pipeline: Pipeline, root: Root) -> None:
    """One run with a model call below it."""
    tracer = pipeline.tracer(root.scope)
    with tracer.start_as_current_span(root.name, attributes=dict(root.at_start), kind=root.kind) as span:
        with tracer.start_as_current_span("a step") as step:
            call_model(tracer)
            step.set_attributes(CHAIN)
        span.set_attributes(dict(root.at_end))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("framework", ROOTS)
def test_agent_of_any_name(pipeline: Pipeline, framework: str, name: str) -> None:
    """It is one run, of that name, with what its model call used."""
    run(pipeline, ROOTS[framework](name))
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == name
    assert event.attributes["agent.run.model_calls"] == 1
    assert event.attributes["agent.run.input_tokens"] == 10


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("framework", CLASS_ROOTS)
def test_class_of_any_name(pipeline: Pipeline, framework: str, name: str) -> None:
    """Own subclasses are runs as the framework's own are."""
    run(pipeline, CLASS_ROOTS[framework](name))
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == name
    assert event.attributes["agent.run.model_calls"] == 1


@pytest.mark.parametrize("framework", KNOWN_BY_SCOPE)
def test_only_in_its_own_scope(pipeline: Pipeline, framework: str) -> None:
    """What a row knows by name or metadata alone is nothing in the scope of an application."""
    root = {**ROOTS, **CLASS_ROOTS}[framework]("Zeta9")
    run(pipeline, Root("app", root.name, root.at_start, root.at_end))
    assert pipeline.run_count() == 0


@pytest.mark.parametrize(
    ("scope", "name", "attributes"),
    [
        (LANGCHAIN, "RunnableSequence", CHAIN),
        (LANGCHAIN, "RunnableSequence", CHAIN | metadata(ls_integration="langchain_chat_model")),
        (LANGCHAIN_JS, "RunnableLambda", CHAIN | {"metadata": "{}"}),
        ("langsmith", "prompt", {"gen_ai.operation.name": "chat", "langsmith.span.kind": "prompt"}),
        ("openinference.instrumentation.llama_index", "IngestionPipeline.run", CHAIN),
        ("openinference.instrumentation.llama_index", "TicketFlow.go", CHAIN),
        ("openinference.instrumentation.dspy", "Predict.forward", CHAIN),
        ("openinference.instrumentation.dspy", "ChainOfThought.aforward", CHAIN),
        ("openinference.instrumentation.dspy", "Notes.forward", {"openinference.span.kind": "RETRIEVER"}),
        ("openinference.instrumentation.haystack", "Pipeline.run", CHAIN),
        ("haystack", "haystack.pipeline.run", {}),
        ("agentops", "sitting.session", {"agentops.span.kind": "session"}),
        ("mlflow.tracing.provider", "plain", {"mlflow.spanType": '"UNKNOWN"'}),
        ("langfuse-sdk", "outer", {"langfuse.observation.type": "span"}),
        ("openinference.instrumentation.instructor", "instructor.create", CHAIN),
        ("opentelemetry.instrumentation.agno", "create_agent a", {"gen_ai.operation.name": "create_agent"}),
        ("mcp-python-sdk", "tools/call weather", {"mcp.method.name": "tools/call"}),
        ("mcp-python-sdk", "tools/list", {"mcp.method.name": "tools/list"}),
        ("dapr_agents.observability.instrumentor", "Desk.finalize_workflow", {**AGENT, **TASK_KIND}),
        ("lmnr.tracer", "conversation", {"lmnr.span.type": "DEFAULT"}),
        ("lmnr.tracer", "desk", {"lmnr.span.type": "DEFAULT"}),
        ("livekit-agents", "job_entrypoint", {"lk.job_id": "j"}),
        ("livekit-agents", "start_agent_activity", {"gen_ai.operation.name": "create_agent"}),
    ],
)
def test_no_agent(pipeline: Pipeline, scope: str, name: str, attributes: dict[str, Any]) -> None:
    """Chains, sessions, single calls and steps are no runs."""
    run(pipeline, Root(scope, name, at_end=attributes))
    run(pipeline, Root(scope, name, at_start=attributes))
    assert pipeline.run_count() == 0


@pytest.mark.parametrize("scope", [LANGCHAIN, LANGCHAIN_JS])
@pytest.mark.parametrize("hook", ["PatchToolCallsMiddleware.before_agent", "agent", "my_agent"])
def test_node_that_is_called_an_agent(pipeline: Pipeline, scope: str, hook: str) -> None:
    """A node or a middleware's hook is marked as an agent for its name's sake; the graph is the run, and it alone."""
    tracer = pipeline.tracer(scope)
    with tracer.start_as_current_span("desk") as root:
        for _ in range(2):
            with tracer.start_as_current_span(hook) as node:
                call_model(tracer)
                node.set_attributes(MARKED | metadata(ls_integration="deepagents", langgraph_node=hook))
        root.set_attributes(CHAIN | metadata(ls_integration="deepagents", lc_agent_name="desk"))
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "desk"
    assert event.attributes["agent.run.model_calls"] == 2


def test_agent_that_a_tool_calls(pipeline: Pipeline) -> None:
    """It is known by the name it was made with, so that the tool that calls it and its own tool both count."""
    tracer = pipeline.tracer(LANGCHAIN)
    names = {"ls_integration": "langchain_create_agent", "langgraph_node": "tools"}
    spans = [
        ("desk", CHAIN | metadata(ls_integration="langchain_create_agent", lc_agent_name="desk")),
        ("tools", CHAIN | metadata(**names, lc_agent_name="desk")),
        ("ask", TOOL_KIND | metadata(**names, lc_agent_name="desk")),
        ("billing", CHAIN | metadata(**names, lc_agent_name="billing", checkpoint_ns="tools:1")),
        ("tools", CHAIN | metadata(**names, lc_agent_name="billing", checkpoint_ns="tools:1")),
        ("look up", TOOL_KIND | metadata(**names, lc_agent_name="billing", checkpoint_ns="tools:1")),
    ]
    open_spans: list[Span] = []
    with ExitStack() as stack:
        for name, attributes in spans:
            span = stack.enter_context(tracer.start_as_current_span(name))
            stack.callback(span.set_attributes, attributes)
            open_spans.append(span)
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "desk"
    assert event.attributes["agent.run.tool_calls"] == 2


def test_team_of_agents_is_one_run(pipeline: Pipeline) -> None:
    """Its agents answer messages, each below a consumer's span, and are the team's."""
    tracer = pipeline.tracer("openinference.instrumentation.autogen_agentchat")
    runtime, core = pipeline.tracer("autogen SingleThreadedAgentRuntime"), pipeline.tracer("autogen-core")
    with tracer.start_as_current_span("SelectorGroupChat.run_stream") as team:
        for name in ("billing", "travel"):
            with (
                runtime.start_as_current_span(f"autogen process {name}", kind=SpanKind.CONSUMER),
                core.start_as_current_span(f"invoke_agent {name}", kind=SpanKind.CLIENT, attributes=AGENT),
                tracer.start_as_current_span(f"{name}.on_messages_stream", attributes=MARKED),
            ):
                call_model(tracer)
        team.set_attributes(CHAIN)
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "SelectorGroupChat"
    assert event.attributes["agent.run.model_calls"] == 2


def test_haystack_with_a_tracer_of_any_name(pipeline: Pipeline) -> None:
    """Its own spans are of the scope that the user has named; an attribute tells its agents' in any."""
    for scope in ("haystack", "my_application", "warehouse"):
        tracer = pipeline.tracer(scope)
        with (
            tracer.start_as_current_span("haystack.pipeline.run"),
            tracer.start_as_current_span("haystack.agent.run", attributes={"haystack.agent.max_steps": 100}),
        ):
            call_model(tracer)
    assert pipeline.run_count() == 3


@pytest.mark.parametrize(
    ("attributes", "calls"),
    [
        ({"llm.request.type": "chat"}, 1),
        ({"llm.request.type": "completion"}, 1),
        ({"gen_ai.request.type": "chat"}, 1),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, 1),
        ({"agentops.span.kind": "llm"}, 1),
        ({"lmnr.span.type": "LLM"}, 1),
        ({"llm.request.type": "rerank"}, None),
    ],
)
def test_model_call_without_an_operation(pipeline: Pipeline, attributes: dict[str, Any], calls: int | None) -> None:
    """What marks a request to a model marks a call, below one another it is one."""
    tracer = pipeline.tracer("opentelemetry.instrumentation.openai.v1")
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        for _ in range(2):
            with (
                tracer.start_as_current_span("openai.chat", attributes=attributes) as outer,
                tracer.start_as_current_span("openai.chat", attributes=attributes),
            ):
                outer.set_attributes({"gen_ai.usage.input_tokens": 7})
    attributes_of_run = pipeline.event().attributes
    assert attributes_of_run.get("agent.run.model_calls") == (calls and calls * 2)
    assert attributes_of_run["agent.run.input_tokens"] == 14


@pytest.mark.parametrize("activities", [("record_initial_entry", "finalize_workflow"), ("sauber_machen",)])
@pytest.mark.parametrize("is_waited_for", [True, False])
def test_activities_of_dapr(pipeline: Pipeline, activities: tuple[str, ...], is_waited_for: bool) -> None:  # noqa: FBT001 - a parameter
    """A step of a workflow has the operation of an agent, and may run when the agent's own span is over."""
    tracer = pipeline.tracer("dapr_agents.observability.instrumentor")
    root = tracer.start_span("invoke_agent Desk", attributes={**AGENT, **MARKED, "gen_ai.agent.name": "Desk"})
    if not is_waited_for:
        root.end()
    here = root.get_span_context()
    remote = SpanContext(here.trace_id, here.span_id, is_remote=True, trace_flags=here.trace_flags)
    for above in (root, NonRecordingSpan(remote)):
        for name in activities:
            task = {**AGENT, **TASK_KIND, "agent.name": "Desk"}
            with tracer.start_as_current_span(f"Desk.{name}", set_span_in_context(above), attributes=task):
                pass
    root.end()
    assert pipeline.event().attributes["gen_ai.agent.name"] == "Desk"


def test_runs_of_a_conversation_of_openhands(pipeline: Pipeline) -> None:
    """A conversation is asked to run several times, and each of these is one run; so is one that no span is around."""
    tracer = pipeline.tracer("lmnr.tracer")
    default = {"lmnr.span.type": "DEFAULT"}
    for above in ("conversation", "a ticket"):
        with tracer.start_as_current_span(above, attributes=default):
            for tools in (1, 3):
                with tracer.start_as_current_span("conversation.send_message", attributes=default):
                    pass
                with (
                    tracer.start_as_current_span("conversation.run", attributes=default),
                    tracer.start_as_current_span("agent.step", attributes=default),
                ):
                    for _ in range(tools):
                        with tracer.start_as_current_span("terminal", attributes={"lmnr.span.type": "TOOL"}):
                            pass
                    model: dict[str, Any] = {"lmnr.span.type": "LLM", "gen_ai.usage.input_tokens": 7}
                    with tracer.start_as_current_span("litellm.completion", attributes=model):
                        pass
    runs = [event.attributes for event in pipeline.events()]
    assert [one["agent.run.tool_calls"] for one in runs] == [1, 3, 1, 3]
    assert all((one["agent.run.model_calls"], one["agent.run.input_tokens"]) == (1, 7) for one in runs)
    assert not any("gen_ai.agent.name" in one for one in runs)


def test_adk_1_calls_its_model(pipeline: Pipeline) -> None:
    """`call_llm` has tokens and no operation; with the SDK's own span within it is still one call."""
    tracer = pipeline.tracer("gcp.vertex.agent")
    with tracer.start_as_current_span("invocation"):
        with tracer.start_as_current_span("call_llm", attributes={"gen_ai.usage.input_tokens": 7}):
            pass
        with tracer.start_as_current_span("call_llm", attributes={"gen_ai.usage.input_tokens": 7}):
            call_model(tracer, 7)
    attributes = pipeline.event().attributes
    assert (attributes["agent.run.model_calls"], attributes["agent.run.input_tokens"]) == (2, 14)


def test_logfire_logs_a_streamed_reply(pipeline: Pipeline) -> None:
    """The log has the call's marks and its usage: it is no second call, and its usage counts."""
    tracer = pipeline.tracer("logfire.openai")
    with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
        with tracer.start_as_current_span("Chat Completion with {request_data[model]!r}", attributes=MODEL):
            pass
        log: dict[str, Any] = MODEL | {"logfire.span_type": "log", "gen_ai.usage.input_tokens": 7}
        with tracer.start_as_current_span("streaming response from {request_data[model]!r}", attributes=log):
            pass
    attributes = pipeline.event().attributes
    assert (attributes["agent.run.model_calls"], attributes["agent.run.input_tokens"]) == (1, 7)


def test_a_pydantic_ai_1_agent_in_another(pipeline: Pipeline) -> None:
    """Neither agents nor tools are marked; the outer one is the run, and both tools count."""
    tracer = pipeline.tracer("pydantic-ai")
    with (
        tracer.start_as_current_span("agent run", attributes={"agent_name": "desk"}),
        tracer.start_as_current_span("running tools"),
        tracer.start_as_current_span("running tool", attributes={"gen_ai.tool.name": "ask"}),
        tracer.start_as_current_span("agent run", attributes={"agent_name": "billing"}),
        tracer.start_as_current_span("running tool", attributes={"gen_ai.tool.name": "look up"}),
    ):
        pass
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "desk"
    assert event.attributes["agent.run.tool_calls"] == 2


def test_openlit_graph_that_failed(pipeline: Pipeline) -> None:
    """The root of a failed run has no operation, and is the run all the same; a node is no agent of its own."""
    tracer = pipeline.tracer("openlit.instrumentation.langgraph")
    with tracer.start_as_current_span("invoke_workflow desk") as root:
        with tracer.start_as_current_span("invoke_agent model", attributes=AGENT) as node:
            node.set_attribute("agent.outcome.label", "by the node")
        root.record_exception(TimeoutError())
        root.set_status(StatusCode.ERROR)
    event = pipeline.event()
    assert event.attributes["gen_ai.agent.name"] == "desk"
    assert (event.outcome("status"), event.outcome("label")) == ("timeout", "by the node")


def test_dspy_finishes_by_a_tool_of_its_own(pipeline: Pipeline) -> None:
    """The tool by which ReAct ends its loop is none of the user's."""
    tracer = pipeline.tracer("openinference.instrumentation.dspy")
    with tracer.start_as_current_span("ReAct.forward", attributes=CHAIN):
        for tool in ("weather", "finish"):
            with tracer.start_as_current_span(f"{tool}.__call__", attributes=TOOL_KIND):
                pass
    assert pipeline.event().attributes["agent.run.tool_calls"] == 1


def test_instructor_calls_a_model_and_no_tool(pipeline: Pipeline) -> None:
    """What it marks as tools is its own business; its call of the model is one, with the client's span within."""
    tracer = pipeline.tracer("openinference.instrumentation.instructor")
    client = pipeline.tracer("openinference.instrumentation.openai")
    with pipeline.tracer().start_as_current_span("invoke_agent a", attributes=AGENT):
        with tracer.start_as_current_span("instructor.create", attributes=CHAIN):
            with tracer.start_as_current_span("handle_response_model", attributes=TOOL_KIND):
                pass
            with client.start_as_current_span("ChatCompletion", attributes=LLM | {"llm.token_count.prompt": 7}):
                pass
        with tracer.start_as_current_span("instructor.async_create", attributes=CHAIN):
            pass
    attributes = pipeline.event().attributes
    assert (attributes["agent.run.model_calls"], attributes["agent.run.input_tokens"]) == (2, 7)
    assert "agent.run.tool_calls" not in attributes


@pytest.mark.parametrize("usage", [{"gen_ai.usage.cost": 0.5}, {}])
@pytest.mark.parametrize("tools", [0, 1])
def test_call_written_over_the_agents_span(pipeline: Pipeline, usage: dict[str, Any], tools: int) -> None:
    """Its figures are those of the last call alone: they stand for want of others, and the cost is incomplete."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent desk", attributes=AGENT | {"gen_ai.agent.name": "desk"}) as root:
        for _ in range(tools):
            with tracer.start_as_current_span("t", attributes=TOOL):
                pass
        for tokens in (7, 9):
            root.set_attributes(MODEL | {"gen_ai.usage.input_tokens": tokens} | usage)
    event = pipeline.event()
    assert event.attributes["agent.run.input_tokens"] == 9
    assert (event.outcome("cost"), event.outcome("cost_complete")) == (usage.get("gen_ai.usage.cost"), False)


def test_call_written_over_the_agents_span_above_its_calls(pipeline: Pipeline) -> None:
    """Where the calls have spans of their own, these stand, and nothing is amiss."""
    tracer = pipeline.tracer()
    with tracer.start_as_current_span("invoke_agent desk", attributes=AGENT | {"gen_ai.agent.name": "desk"}) as root:
        for _ in range(2):
            call_model(tracer)
        root.set_attributes(MODEL | {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cost": 0.01})
    event = pipeline.event()
    assert (event.attributes["agent.run.input_tokens"], event.outcome("cost")) == (20, 0.02)
    assert (event.outcome("cost_complete"), event.problems) == (True, [])
