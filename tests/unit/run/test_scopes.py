# SPDX-License-Identifier: Apache-2.0
"""What each framework does in its own way, scope by scope, against answers written out here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.run.conventions import AGENT_NAME_KEYS, OPERATION_ROLES, Role
from agent_outcomes.run.scope_rules import ScopeRules, StopEvent
from agent_outcomes.run.scopes import (
    EXACT_SCOPES,
    LEAVES_FAILED_OPEN,
    NAMED_SCOPES,
    SCOPES,
    SPECIAL_SCOPES,
    rules_of,
    stop_scope,
)
from agent_outcomes.run.writers import MISCOUNTS, WRITING_SCOPES
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LANGCHAIN = "openinference.instrumentation.langchain"
LLAMA_INDEX = "openinference.instrumentation.llama_index"
LOGFIRE = "logfire.openai_agents"
LOGFIRE_OPENAI = "logfire.openai"
LOGFIRE_ANTHROPIC = "logfire.anthropic"
AGENTOPS = "agentops"
AGENTOPS_CREWAI = "agentops.instrumentation.agentic.crewai"
ADK = "gcp.vertex.agent"
ANSWERED = (["gen_ai.request.model"], ["gen_ai.usage.output_tokens"], ["gcp.vertex.agent.llm_response"])
AGNO = "opentelemetry.instrumentation.agno"
AUTOGEN = "openinference.instrumentation.autogen_agentchat"
DSPY = "openinference.instrumentation.dspy"
HAYSTACK = "haystack"
LANGCHAIN_JS = "@arizeai/openinference-instrumentation-langchain"
LANGSMITH = "langsmith"
INSTRUCTOR = "openinference.instrumentation.instructor"
OPENLIT_CREWAI = "openlit.instrumentation.crewai"
OPENLLMETRY_CREWAI = "opentelemetry.instrumentation.crewai"
OPENLIT_LANGCHAIN = "openlit.instrumentation.langchain"
GENAI_LANGCHAIN = "opentelemetry.instrumentation.genai.langchain"
OPENLIT_LANGGRAPH = "openlit.instrumentation.langgraph"
OPENINFERENCE_HAYSTACK = "openinference.instrumentation.haystack"
OPENLLMETRY_LLAMA_INDEX = "opentelemetry.instrumentation.llamaindex"
PYDANTIC_AI = "pydantic-ai"
OPENINFERENCE_CREWAI = "openinference.instrumentation.crewai"
OPENLLMETRY_LANGCHAIN = "opentelemetry.instrumentation.langchain"
SMOLAGENTS = "openinference.instrumentation.smolagents"
STRANDS = "strands.telemetry.tracer"
# As Langfuse has them in Python and in JavaScript, and what only speaks of one.
INTERRUPTS = (
    "(Interrupt(value='Ship it?'),)",
    'GraphInterrupt: [\n  {\n    "value": "Ship it?"\n  }\n]',
    "NodeInterrupt: []",
    "Error: GraphInterrupt: []",
    "GraphInterrupted: by nobody",
)
BEEAI_JS = "@arizeai/openinference-instrumentation-beeai"
TANSTACK = "@arizeai/openinference-tanstack-ai"
MASTRA_1 = "@mastra/otel"
TRACELOOP_LANGCHAIN_JS = "@traceloop/instrumentation-langchain"
VOLTAGENT = "@voltagent/core"
WORKFLOWS_NET = "Microsoft.Agents.AI.Workflows"
AGENTOPS_CREWAI = "agentops.instrumentation.agentic.crewai"
CLAUDE_API = "com.anthropic.claude-platform"
CLAUDE_CODE = "com.anthropic.claude_code.tracing"
GEMINI_CLI = "gemini-cli"
QWEN_CODE = "qwen-code"
OPENINFERENCE_BEDROCK = "openinference.instrumentation.bedrock"
LANGFUSE = "langfuse-sdk"
OPENINFERENCE_AGNO = "openinference.instrumentation.agno"
OPENINFERENCE_ADK = "openinference.instrumentation.google_adk"
OPENLLMETRY_CREWAI = "opentelemetry.instrumentation.crewai"
TRPC = "trpc.agent.go"
DAPR = "dapr_agents.observability.instrumentor"
LAMINAR = "lmnr.tracer"
LIVEKIT = "livekit-agents"
MCP_AGENT = "mcp-agent"

EXPECTED_NAMES = {
    ("qwen-code", "qwen-code.llm_request"): Role.MODEL,
    ("qwen-code", "qwen-code.tool"): Role.TOOL,
    ("logfire.openai_agents", "OpenAI Agents trace: {name}"): Role.AGENT,
    ("logfire.openai_agents", "Agent run: {name!r}"): Role.AGENT,
    ("logfire.openai_agents", "Chat completion with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Responses API"): Role.MODEL,
    ("logfire.openai_agents", "Responses API with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Function: {name}"): Role.TOOL,
    ("gcp.vertex.agent", "call_llm"): Role.MODEL,
    ("livekit-agents", "function_tool"): Role.TOOL,
    ("haystack", "haystack.agent.step.llm"): Role.MODEL,
    ("haystack", "haystack.agent.step.tool"): Role.TOOL,
    ("openinference.instrumentation.instructor", "instructor.create"): Role.MODEL,
    ("openinference.instrumentation.instructor", "instructor.async_create"): Role.MODEL,
    ("pydantic-ai", "running tool"): Role.TOOL,
    ("pydantic-ai", "running output function"): Role.TOOL,
}
# scope and the words of its own: those that say what a span is
EXPECTED_OWN_KINDS = {
    ("langsmith", "langsmith.span.kind", "llm"): Role.MODEL,
    ("langsmith", "langsmith.span.kind", "embedding"): Role.MODEL,
    ("langsmith", "langsmith.span.kind", "tool"): Role.TOOL,
    ("langsmith", "langsmith.span.kind", "prompt"): Role.OTHER,
    ("langsmith", "langsmith.span.kind", "retriever"): Role.OTHER,
    ("logfire.openai", "logfire.span_type", "log"): Role.OTHER,
    ("logfire.anthropic", "logfire.span_type", "log"): Role.OTHER,
    ("@voltagent/core", "span.type", "llm"): Role.MODEL,
    ("@voltagent/core", "span.type", "tool"): Role.TOOL,
    ("com.anthropic.claude_code.tracing", "span.type", "interaction"): Role.AGENT,
    ("com.anthropic.claude_code.tracing", "span.type", "llm_request"): Role.MODEL,
    ("com.anthropic.claude_code.tracing", "span.type", "tool"): Role.TOOL,
    ("dapr_agents.observability.instrumentor", "openinference.span.kind", "AGENT"): Role.AGENT,
    ("dapr_agents.observability.instrumentor", "openinference.span.kind", "LLM"): Role.MODEL,
    ("dapr_agents.observability.instrumentor", "openinference.span.kind", "TOOL"): Role.TOOL,
    ("dapr_agents.observability.instrumentor", "openinference.span.kind", "TASK"): Role.OTHER,
}
OPENINFERENCE_AUTOGEN = "openinference.instrumentation.autogen_agentchat"
OPENINFERENCE_CLAUDE = "openinference.instrumentation.claude_agent_sdk"
AGENTSCOPE = "agentscope-java"
GENAI_AGNO = "opentelemetry.instrumentation.genai.agno"
OPENINFERENCE_LLM = {"openinference.span.kind": "LLM"}
CHAT = {"gen_ai.operation.name": "chat"}
AGENT = {"gen_ai.operation.name": "invoke_agent"}
GRAPH = {"openinference.span.kind": "CHAIN", "metadata": '{"ls_integration": "langgraph"}'}
LANGFUSE_GRAPH = {
    "langfuse.observation.type": "span",
    "langfuse.observation.metadata.ls_integration": "langchain_create_agent",
}
FLAT_GRAPH = {"gen_ai.operation.name": "chain", "langsmith.metadata.ls_integration": "langgraph"}
# What marks its spans at their start need not be waited for.
NOT_WAITED_FOR = {AGENTOPS, AGENTOPS_CREWAI, HAYSTACK, LOGFIRE_ANTHROPIC, LOGFIRE_OPENAI, MASTRA_1, VOLTAGENT}
NOT_WAITED_FOR |= {AGENTSCOPE, TRACELOOP_LANGCHAIN_JS, WORKFLOWS_NET, CLAUDE_CODE, GEMINI_CLI, TRPC}
NOT_WAITED_FOR |= {QWEN_CODE, CLAUDE_API, DAPR, LAMINAR, LIVEKIT, MCP_AGENT}
# scope: names that are roots, names that are none
EXPECTED_ROOTS = {
    "livekit-agents": (["agent_session"], ["agent_turn", "session_start", "job_entrypoint", "agent_session 2"]),
    "mcp-agent": (
        [
            *("OpenAIAugmentedLLM.desk.generate", "MyLLM.order.desk 2.generate_str"),
            *("Orchestrator.x.generate_structured", "FanOut.generate", "FanIn.generate_str"),
        ],
        [
            *("Agent.desk.call_tool", "OpenAIAugmentedLLM.desk.select_model", "AsyncioExecutor.execute", "generate"),
            *("OpenAICompletionTasks.request_completion_task", "desk", "Agent.generate.initialize", "regenerate_str"),
        ],
    ),
    "lmnr.tracer": (
        ["conversation.run"],
        ["conversation", "conversation.send_message", "conversation_run", "desk.run"],
    ),
    "qwen-code": (["qwen-code.interaction"], ["qwen-code.subagent", "qwen-code.tool", "qwen-code.tool.execution"]),
    "Microsoft.Agents.AI.Workflows": (
        ["workflow_invoke", "workflow.run"],
        ["workflow.session", "workflow.build", "executor.process desk", "message.send"],
    ),
    "agentops.instrumentation.agentic.crewai": (["crewai.workflow"], ["Find it.task", "Desk.agent", "gpt-4.1.llm"]),
    "langfuse-sdk": (["LangGraph"], ["langgraph", "LangGraph2", "agent", "RunnableSequence"]),
    "openinference.instrumentation.agno": (
        ["Blog_Post.run", "Blog_Post.arun", "Blog_Post._aexecute", "Blog_Post._aexecute_stream"],
        ["research.execute", "research.aexecute_stream", "loop.execute", "run"],
    ),
    "openinference.instrumentation.langchain": (["LangGraph"], ["langgraph", "LangGraph2", "ChatOpenAI"]),
    "@arizeai/openinference-instrumentation-langchain": (["LangGraph"], ["langgraph", "LangGraph2", "ChatOpenAI"]),
    "langsmith": (["LangGraph"], ["langgraph", "LangGraph2", "ChatOpenAI"]),
    "openinference.instrumentation.llama_index": (
        ["FunctionAgent.run", "ReActAgent.run", "AgentWorkflow.run", "Workflow.run", "TicketFlow.run", "Zeta9.run"],
        ["FunctionAgent.run_step", "OpenAI.chat", "run", ".run", "IngestionPipeline.run", "QueryPipeline.run"],
    ),
    "openinference.instrumentation.autogen_agentchat": (
        ["RoundRobinGroupChat.run_stream", "Swarm.run_stream", "Desk.run_stream"],
        ["triage.on_messages_stream", "OpenAIChatCompletionClient.create", "triage.look up"],
    ),
    "openinference.instrumentation.dspy": (
        ["ReAct.forward", "ReAct.aforward", "CodeAct.forward", "Triage.forward"],
        ["Predict.forward", "Predict(StringSignature).forward", "ChainOfThought.aforward", "LM.__call__"],
    ),
    "openinference.instrumentation.haystack": (
        ["Agent.run", "Agent.run_async"],
        ["Pipeline.run", "OpenAIChatGenerator.run", "ToolInvoker.run", "Agent.warm_up"],
    ),
    "haystack": (["haystack.agent.run"], ["haystack.agent.step", "haystack.pipeline.run"]),
    "pydantic-ai": (["agent run"], ["running tool", "agent runs", "chat gpt-4o"]),
    "openinference.instrumentation.crewai": (
        ["sales_crew.kickoff", "Crew_1.kickoff"],
        [".kickoff", "Task._execute_core"],
    ),
    "crewai": (
        ["execute crew", "execute flow", "execute agent", "execute lite agent"],
        ["execute task", "execute agents", "call llm"],
    ),
    "agent_framework": (["workflow.run"], ["workflow.build", "executor.process"]),
    "gcp.vertex.agent": (["invocation", "agent_run [triage desk]"], ["call_llm", "invocation 2", "agent_run []"]),
}


GEMINI_RUNS = ("user_prompt", "system_prompt", "agent_call")
UNCONFIRMED = '{"error": "This tool call requires confirmation, please approve or reject."}'
ADK_PAUSES = {
    "gen_ai.tool.type": "LongRunningFunctionTool",
    "gcp.vertex.agent.tool_response": UNCONFIRMED,
    "gen_ai.tool.call.result": UNCONFIRMED,
}


# By scope and field, what the row decides: a question about a span of that scope, and its answer.
EXPECTED: dict[tuple[str, str], tuple[Callable[[ScopeRules], object], object]] = {
    (BEEAI_JS, "mismarked"): (
        lambda rules: rules.role_of({"openinference.span.kind": "TOOL"}, "tool.weather.start-3"),
        Role.OTHER,
    ),
    (BEEAI_JS, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "source")),
    (BEEAI_JS, "unnamed_roots"): (lambda rules: rules.agent_name_in("beeai-framework-main"), None),
    (TANSTACK, "unnamed_roots"): (lambda rules: rules.agent_name_in("ai.chat"), None),
    (MASTRA_1, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "agent.id", "workflow.id")),
    (MASTRA_1, "is_genai"): (lambda rules: rules.is_genai, False),
    (TRACELOOP_LANGCHAIN_JS, "mismarked"): (
        lambda rules: rules.role_of({"traceloop.span.kind": "workflow"}, "workflow RunnableSequence"),
        Role.OTHER,
    ),
    (TRACELOOP_LANGCHAIN_JS, "calls_beside"): (lambda rules: rules.calls_beside, True),
    (TRACELOOP_LANGCHAIN_JS, "named_by"): (lambda rules: rules.agent_name_in("workflow LangGraph"), "LangGraph"),
    (TRACELOOP_LANGCHAIN_JS, "is_genai"): (lambda rules: rules.is_genai, False),
    (VOLTAGENT, "root_keys"): (lambda rules: rules.is_root({"agent.state": "completed"}, "Desk"), True),
    (VOLTAGENT, "own_kinds"): (lambda rules: rules.role_of({"span.type": "llm"}, "llm:streamText"), Role.MODEL),
    (VOLTAGENT, "name_keys"): (
        lambda rules: rules.agent_name_keys(),
        (*AGENT_NAME_KEYS, "subagent.name", "entity.name"),
    ),
    (VOLTAGENT, "is_genai"): (lambda rules: rules.is_genai, False),
    (WORKFLOWS_NET, "roots"): (lambda rules: rules.is_root({}, "workflow_invoke"), True),
    (WORKFLOWS_NET, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "workflow.name")),
    (WORKFLOWS_NET, "unnamed_roots"): (lambda rules: rules.agent_name_in("workflow_invoke"), None),
    (WORKFLOWS_NET, "is_genai"): (lambda rules: rules.is_genai, False),
    (AGENTOPS_CREWAI, "roots"): (lambda rules: rules.is_root({}, "crewai.workflow"), True),
    (AGENTOPS_CREWAI, "unnamed_roots"): (lambda rules: rules.agent_name_in("crewai.workflow"), None),
    (AGENTOPS_CREWAI, "is_genai"): (lambda rules: rules.is_genai, False),
    (CLAUDE_CODE, "own_kinds"): (lambda rules: rules.role_of({"span.type": "interaction"}, "i"), Role.AGENT),
    (CLAUDE_CODE, "unnamed_roots"): (lambda rules: rules.agent_name_in("claude_code.interaction"), None),
    (CLAUDE_CODE, "is_genai"): (lambda rules: rules.is_genai, False),
    (GEMINI_CLI, "root_operations"): (
        lambda rules: [rules.is_root({"gen_ai.operation.name": word}, word) for word in GEMINI_RUNS],
        [True, True, True],
    ),
    (GEMINI_CLI, "is_genai"): (lambda rules: rules.is_genai, False),
    (QWEN_CODE, "roots"): (lambda rules: rules.is_root({}, "qwen-code.interaction"), True),
    (QWEN_CODE, "name_roles"): (lambda rules: rules.role_of({}, "qwen-code.tool"), Role.TOOL),
    (QWEN_CODE, "unnamed_roots"): (lambda rules: rules.agent_name_in("qwen-code.interaction"), None),
    (QWEN_CODE, "is_genai"): (lambda rules: rules.is_genai, False),
    (OPENINFERENCE_BEDROCK, "unnamed_roots"): (
        lambda rules: rules.agent_name_in("bedrock_agent.invoke_agent"),
        None,
    ),
    (LANGFUSE, "roots"): (lambda rules: rules.is_root({}, "LangGraph"), True),
    (LANGFUSE, "graph"): (lambda rules: rules.role_of(LANGFUSE_GRAPH, "desk"), Role.AGENT),
    (OPENINFERENCE_AGNO, "roots"): (lambda rules: rules.is_root({}, "Blog_Post._aexecute"), True),
    (OPENINFERENCE_AGNO, "named_by"): (lambda rules: rules.agent_name_in("Blog_Post.arun"), "Blog_Post"),
    (OPENINFERENCE_ADK, "mismarked"): (
        lambda rules: rules.role_of({"openinference.span.kind": "TOOL"}, "execute_tool (merged)"),
        Role.OTHER,
    ),
    (OPENLLMETRY_CREWAI, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "crewai.crew.name")),
    (OPENLLMETRY_CREWAI, "unnamed_roots"): (lambda rules: rules.agent_name_in("crewai.workflow"), None),
    (DAPR, "own_kinds"): (
        lambda rules: rules.role_of({**AGENT, "openinference.span.kind": "TASK"}, "Desk.finalize_workflow"),
        Role.OTHER,
    ),
    (DAPR, "is_genai"): (lambda rules: rules.is_genai, False),
    (LAMINAR, "roots"): (lambda rules: rules.is_root({"lmnr.span.type": "DEFAULT"}, "conversation.run"), True),
    (LAMINAR, "unnamed_roots"): (lambda rules: rules.agent_name_in("conversation.run"), None),
    (LAMINAR, "is_genai"): (lambda rules: rules.is_genai, False),
    (LIVEKIT, "roots"): (lambda rules: rules.is_root({}, "agent_session"), True),
    (LIVEKIT, "name_roles"): (lambda rules: rules.role_of({}, "function_tool"), Role.TOOL),
    (LIVEKIT, "name_keys"): (lambda rules: "lk.agent_label" in rules.agent_name_keys(), True),
    (LIVEKIT, "misnamed_keys"): (lambda rules: "gen_ai.workflow.name" in rules.agent_name_keys(), False),
    (LIVEKIT, "unnamed_roots"): (lambda rules: rules.agent_name_in("agent_session"), None),
    (LIVEKIT, "fails_with_last_agent"): (lambda rules: rules.fails_with_last_agent, True),
    (LIVEKIT, "is_genai"): (lambda rules: rules.is_genai, False),
    (ADK, "mismarked"): (
        lambda rules: rules.role_of({"gen_ai.operation.name": "execute_tool"}, "execute_tool (merged)"),
        Role.OTHER,
    ),
    (TRPC, "mismarked"): (
        lambda rules: rules.role_of({"gen_ai.operation.name": "execute_tool"}, "execute_tool (merged tools)"),
        Role.OTHER,
    ),
    (TRPC, "is_genai"): (lambda rules: rules.is_genai, False),
    ("agent_framework", "records_pauses"): (lambda rules: rules.records_pauses, True),
    ("agentscope-java", "records_failures"): (lambda rules: rules.records_failures, True),
    ("genkit-tracer", "pauses_with_last_agent"): (lambda rules: rules.pauses_with_last_agent, True),
    ("langfuse-sdk", "pause_marks"): (
        lambda rules: [mark.found_in({mark.key: text}) for mark in rules.pause_marks for text in INTERRUPTS],
        ["(Interrupt(value=", "GraphInterrupt", "NodeInterrupt", None, None],
    ),
    (LANGCHAIN_JS, "turns_late"): (lambda rules: rules.turns_late, True),
    (LANGSMITH, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (LANGSMITH, "turns_late"): (lambda rules: rules.turns_late, True),
    (OPENLIT_LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (OPENLIT_LANGGRAPH, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (GENAI_LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (PYDANTIC_AI, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (PYDANTIC_AI, "pause_relays"): (lambda rules: "running tools" in rules.pause_relays, True),
    (STRANDS, "pauses_with_last_agent"): (lambda rules: rules.pauses_with_last_agent, True),
    (LANGCHAIN, "turns_late"): (lambda rules: rules.turns_late, True),
    (LLAMA_INDEX, "turns_late"): (lambda rules: rules.turns_late, True),
    (ADK, "pause_marks"): (
        lambda rules: [mark.key for mark in rules.pause_marks if mark.found_in(ADK_PAUSES)],
        [*ADK_PAUSES],
    ),
    ("agent_framework", "roots"): (lambda rules: rules.is_root({}, "workflow.run"), True),
    ("agent_framework", "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "workflow.name")),
    ("agent_framework", "unnamed_roots"): (lambda rules: rules.agent_name_in("workflow.run"), None),
    ("crewai", "roots"): (lambda rules: rules.is_root({}, "execute crew"), True),
    ("crewai", "mismarked"): (
        lambda rules: rules.role_of({"gen_ai.operation.name": "chat"}, "execute task"),
        Role.OTHER,
    ),
    ("gcp.vertex.agent", "roots"): (lambda rules: rules.is_root({}, "invocation"), True),
    ("gcp.vertex.agent", "unnamed_roots"): (lambda rules: rules.agent_name_in("invocation"), None),
    ("gcp.vertex.agent", "named_below"): (lambda rules: rules.is_named_below("invocation"), True),
    ("genkit-tracer", "unnamed_roots"): (lambda rules: rules.agent_name_in("generate"), None),
    (ADK, "name_roles"): (lambda rules: rules.role_of({}, "call_llm"), Role.MODEL),
    (ADK, "named_by"): (lambda rules: rules.agent_name_in("agent_run [triage desk]"), "triage desk"),
    (AGENTOPS, "is_genai"): (lambda rules: rules.is_genai, False),
    (AGNO, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "agno.team.name")),
    (AGNO, "named_by"): (lambda rules: rules.agent_name_in("desk.team"), "desk"),
    (AUTOGEN, "roots"): (lambda rules: rules.is_root({}, "Swarm.run_stream"), True),
    (AUTOGEN, "named_by"): (lambda rules: rules.agent_name_in("triage.on_messages_stream"), "triage"),
    (DSPY, "roots"): (lambda rules: rules.is_root({}, "Triage.forward"), True),
    (DSPY, "not_roots"): (lambda rules: rules.is_root({}, "Predict.forward"), False),
    (DSPY, "mismarked"): (
        lambda rules: rules.role_of({"openinference.span.kind": "TOOL"}, "finish.acall"),
        Role.OTHER,
    ),
    (DSPY, "named_by"): (lambda rules: rules.agent_name_in("Triage.aforward"), "Triage"),
    (HAYSTACK, "roots"): (lambda rules: rules.is_root({}, "haystack.agent.run"), True),
    (HAYSTACK, "name_roles"): (lambda rules: rules.role_of({}, "haystack.agent.step.tool"), Role.TOOL),
    (HAYSTACK, "unnamed_roots"): (lambda rules: rules.agent_name_in("haystack.agent.run"), None),
    (HAYSTACK, "is_genai"): (lambda rules: rules.is_genai, False),
    (LANGCHAIN_JS, "roots"): (lambda rules: rules.is_root({}, "LangGraph"), True),
    (LANGCHAIN_JS, "graph"): (lambda rules: rules.role_of(GRAPH, "desk"), Role.AGENT),
    (LANGCHAIN_JS, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (LANGSMITH, "roots"): (lambda rules: rules.is_root({}, "LangGraph"), True),
    (LANGSMITH, "own_kinds"): (lambda rules: rules.role_of({**CHAT, "langsmith.span.kind": "prompt"}, "p"), Role.OTHER),
    (LANGSMITH, "graph"): (lambda rules: rules.role_of(FLAT_GRAPH, "desk"), Role.AGENT),
    (LOGFIRE_OPENAI, "replies"): (
        lambda rules: rules.replies is not None and rules.replies.fullmatch("streaming response from 'm'") is not None,
        True,
    ),
    (LOGFIRE_ANTHROPIC, "replies"): (
        lambda rules: rules.replies is not None and rules.replies.fullmatch("streaming response from 'm'") is not None,
        True,
    ),
    (LOGFIRE_OPENAI, "own_kinds"): (lambda rules: rules.role_of({**CHAT, "logfire.span_type": "log"}, "r"), Role.OTHER),
    (LOGFIRE_ANTHROPIC, "own_kinds"): (
        lambda rules: rules.role_of({**CHAT, "logfire.span_type": "log"}, "r"),
        Role.OTHER,
    ),
    (LOGFIRE_OPENAI, "is_genai"): (lambda rules: rules.is_genai, False),
    (LOGFIRE_ANTHROPIC, "is_genai"): (lambda rules: rules.is_genai, False),
    (INSTRUCTOR, "name_roles"): (
        lambda rules: rules.role_of({"openinference.span.kind": "CHAIN"}, "instructor.create"),
        Role.MODEL,
    ),
    (INSTRUCTOR, "mismarked"): (
        lambda rules: rules.role_of({"openinference.span.kind": "TOOL"}, "handle_response_model"),
        Role.OTHER,
    ),
    (OPENLIT_LANGGRAPH, "mismarked"): (
        lambda rules: rules.role_of({"gen_ai.operation.name": "invoke_agent"}, "invoke_agent model"),
        Role.OTHER,
    ),
    (OPENINFERENCE_HAYSTACK, "roots"): (lambda rules: rules.is_root({}, "Agent.run_async"), True),
    (OPENINFERENCE_HAYSTACK, "named_by"): (lambda rules: rules.agent_name_in("Agent.run_async"), "Agent"),
    (OPENLLMETRY_LLAMA_INDEX, "misnamed_keys"): (
        lambda rules: "traceloop.entity.name" in rules.agent_name_keys(),
        False,
    ),
    (PYDANTIC_AI, "roots"): (lambda rules: rules.is_root({}, "agent run"), True),
    (PYDANTIC_AI, "name_roles"): (lambda rules: rules.role_of({}, "running tool"), Role.TOOL),
    (PYDANTIC_AI, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "agent_name")),
    (PYDANTIC_AI, "unnamed_roots"): (lambda rules: rules.agent_name_in("agent run"), None),
    (LANGCHAIN, "graph"): (lambda rules: rules.role_of(GRAPH, "desk"), Role.AGENT),
    (LLAMA_INDEX, "not_roots"): (lambda rules: rules.is_root({}, "IngestionPipeline.run"), False),
    (LOGFIRE, "name_roles"): (lambda rules: rules.role_of({}, "Function: {name}"), Role.TOOL),
    (LOGFIRE, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "name")),
    (LOGFIRE, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (LOGFIRE, "fails_with_last_agent"): (lambda rules: rules.fails_with_last_agent, True),
    (LOGFIRE, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (CLAUDE_API, "unset_is_cancelled"): (lambda rules: rules.unset_is_cancelled, True),
    (CLAUDE_API, "is_genai"): (lambda rules: rules.is_genai, False),
    (CLAUDE_CODE, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (OPENINFERENCE_AUTOGEN, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (OPENINFERENCE_AUTOGEN, "records_failures"): (lambda rules: rules.records_failures, True),
    (AGENTSCOPE, "records_failures"): (lambda rules: rules.records_failures, True),
    (AGENTSCOPE, "is_genai"): (lambda rules: rules.is_genai, False),
    (OPENINFERENCE_CLAUDE, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (AGNO, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (GENAI_AGNO, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (OPENINFERENCE_CREWAI, "roots"): (lambda rules: rules.is_root({}, "sales.kickoff"), True),
    (LANGCHAIN, "roots"): (lambda rules: rules.is_root({}, "LangGraph"), True),
    (LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (LLAMA_INDEX, "roots"): (lambda rules: rules.is_root({}, "FunctionAgent.run"), True),
    (LLAMA_INDEX, "mismarked"): (
        lambda rules: rules.role_of(OPENINFERENCE_LLM, "OpenAI._prepare_chat_with_tools"),
        Role.OTHER,
    ),
    (LLAMA_INDEX, "fails_with_last_step"): (lambda rules: rules.fails_with_last_step, True),
    (MCP_AGENT, "roots"): (lambda rules: rules.is_root({}, "OpenAIAugmentedLLM.desk.generate_str"), True),
    (MCP_AGENT, "fails_with_last_agent"): (lambda rules: rules.fails_with_last_agent, True),
    (MCP_AGENT, "is_genai"): (lambda rules: rules.is_genai, False),
    (LLAMA_INDEX, "stop_event"): (lambda rules: rules.stop_event, StopEvent("span.cancelled", None)),
    (SMOLAGENTS, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (SMOLAGENTS, "records_failures"): (lambda rules: rules.records_failures, True),
    (SMOLAGENTS, "leaves_failed_open"): (lambda rules: rules.leaves_failed_open, True),
    (OPENLLMETRY_LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (STRANDS, "root_operations"): (
        lambda rules: rules.is_root({"gen_ai.operation.name": "invoke_swarm"}, "Swarm"),
        True,
    ),
    (STRANDS, "stop_event"): (lambda rules: rules.stop_event, StopEvent("gen_ai.choice", "finish_reason")),
    ("opentelemetry.instrumentation.ag2", "books"): (
        lambda rules: rules.books is not None and rules.books.fullmatch("record_usage model_call") is not None,
        True,
    ),
    **{
        (scope, "has_lifetime_totals"): (lambda rules: rules.has_lifetime_total(Role.AGENT, "any"), True)
        for scope in (STRANDS, SMOLAGENTS, OPENLIT_CREWAI, OPENLLMETRY_CREWAI, AGENTOPS_CREWAI)
    },
    (ADK, "answered_keys"): (
        lambda rules: [rules.is_unanswered(dict.fromkeys(said, 1), "call_llm") for said in (["session.id"], *ANSWERED)],
        [True, *[False for _ in ANSWERED]],
    ),
    (VOLTAGENT, "sums_own_calls"): (lambda rules: rules.sums_own_calls, True),
    (AGENTOPS_CREWAI, "lifetime_totals"): (lambda rules: rules.has_lifetime_total(Role.OTHER, "atlas-2.llm"), True),
}


def said_by(rules: ScopeRules) -> Iterator[str]:
    """The fields in which a row says something of its own."""
    plain = ScopeRules()
    yield from (name for name in ScopeRules._fields if getattr(rules, name) != getattr(plain, name))


def test_every_row_is_expected() -> None:
    """Each field of each row has an answer written here, and nothing else has."""
    assert {(scope, name) for scope, rules in SCOPES.items() for name in said_by(rules)} == set(EXPECTED)


@pytest.mark.parametrize(("scope", "name"), EXPECTED)
def test_row(scope: str, name: str) -> None:
    """A row gives the answer, and without the field it gives another one."""
    ask, answer = EXPECTED[scope, name]
    assert ask(rules_of(scope)) == answer
    without = rules_of(scope)._replace(**{name: getattr(ScopeRules(), name)})
    assert ask(without) != answer


def test_scopes_asked_for_every_span() -> None:
    """The sets that stand for the table where every span of an application passes."""
    by_name = {"agent_framework", "crewai", ADK, LOGFIRE, OPENINFERENCE_CREWAI, LANGCHAIN, LLAMA_INDEX}
    by_name |= {AUTOGEN, DSPY, HAYSTACK, LANGCHAIN_JS, LANGSMITH, OPENINFERENCE_HAYSTACK, PYDANTIC_AI}
    by_name |= {INSTRUCTOR, OPENLIT_LANGGRAPH, BEEAI_JS, TRACELOOP_LANGCHAIN_JS, WORKFLOWS_NET, AGENTOPS_CREWAI}
    by_name |= {LANGFUSE, OPENINFERENCE_AGNO, OPENINFERENCE_ADK, TRPC, QWEN_CODE}
    by_name |= {LAMINAR, LIVEKIT, MCP_AGENT}
    by_kind = {LOGFIRE_OPENAI, LOGFIRE_ANTHROPIC, VOLTAGENT, CLAUDE_CODE, GEMINI_CLI, DAPR}
    pausing = {OPENLLMETRY_LANGCHAIN, OPENLIT_LANGCHAIN, GENAI_LANGCHAIN}
    assert {SMOLAGENTS} == LEAVES_FAILED_OPEN
    assert {*by_name, *by_kind, *pausing, STRANDS, SCOPE_NAME} == SPECIAL_SCOPES
    assert {*SPECIAL_SCOPES, *WRITING_SCOPES, *MISCOUNTS} == EXACT_SCOPES


@pytest.mark.parametrize(
    ("scope", "records"),
    [
        ("amazon.opentelemetry.distro.instrumentation.langchain", True),
        ("openinference.instrumentation.langgraph", True),
        ("acme-instrumentation-langchain", True),
        ("mlflow.langchain.langchain_tracer", True),
        ("langchain", False),
        ("my.langgraph.app", False),
        ("acme.instrumentation.crewai", False),
    ],
)
def test_every_instrumentation_of_langgraph(scope: str, *, records: bool) -> None:
    """Whoever instruments it is told of its interrupts; an application that is called after it may handle them."""
    assert rules_of(scope).records_pauses is records


def test_strands_by_its_own_word() -> None:
    """In TypeScript its scope is whatever its user calls the service; its event still says why it stopped."""
    assert stop_scope("any service", {"gen_ai.system": "strands-agents"}) == STRANDS
    for attributes in ({}, {"gen_ai.system": "openai"}, {"gen_ai.system": 7}):
        assert stop_scope("any service", attributes) == "any service"


def test_root_operations_are_no_marks() -> None:
    """An operation that gives a role is not one that only an unmarked root has."""
    assert all(rules.root_operations.isdisjoint(OPERATION_ROLES) for rules in SCOPES.values())


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope not in NOT_WAITED_FOR])
def test_rows_are_genai(scope: str) -> None:
    """Whoever has a row is a GenAI instrumentation, and so are its siblings, for which other rules hold."""
    assert rules_of(scope).is_genai
    assert rules_of(f"{scope}.sibling").is_genai
    assert not rules_of(f"my.{scope}").is_genai


@pytest.mark.parametrize(
    ("scope", "is_named"),
    [
        *((scope, True) for scope in sorted(SPECIAL_SCOPES)),
        ("openlit.instrumentation.crewai", True),
        ("opentelemetry.instrumentation.genai.openai", True),
        ("codex_exec", True),
        ("codex-app-server", True),
        ("mlflow.tracing.provider", True),
        ("mlflows", False),
        ("Codex Desktop", True),
        ("my.codex", False),
        ("opentelemetry.instrumentation.fastapi", False),
        ("app", False),
        ("", False),
        (None, False),
    ],
)
def test_scopes_of_which_names_are_looked_at(scope: Any, *, is_named: bool) -> None:
    """Those with a row that goes by names, and every GenAI instrumentation; asked twice it is the same."""
    assert NAMED_SCOPES[scope] is is_named
    assert NAMED_SCOPES[scope] is is_named


def test_scopes_without_number() -> None:
    """Whoever makes up a scope for every span does not fill the memory."""
    scopes = type(NAMED_SCOPES)()
    for number in range(2_000):
        assert not scopes[f"made.up.{number}"]
    assert scopes["openlit.instrumentation.of.the.last"]
    assert len(scopes) <= 1_000


@pytest.mark.parametrize("scope", [None, 7, ("crewai",)])
def test_scope_that_is_no_text(scope: Any) -> None:
    """The SDK takes any object for a scope's name; it has the rules of an application's own code."""
    assert rules_of(scope) == rules_of("app")


def test_expected_roots_and_names() -> None:
    """A root or a name added to a row without spans written here fails."""
    assert {scope for scope, rules in SCOPES.items() if rules.roots is not None} == set(EXPECTED_ROOTS)
    assert {(scope, name) for scope, rules in SCOPES.items() for name in rules.name_roles} == set(EXPECTED_NAMES)
    kinds = {scope: rules.own_kinds for scope, rules in SCOPES.items() if rules.own_kinds is not None}
    words = {(scope, own.key, word) for scope, own in kinds.items() for word in own.roles}
    assert words == set(EXPECTED_OWN_KINDS)
    assert rules_of(STRANDS).root_operations == {"invoke_graph", "invoke_swarm"}


@pytest.mark.parametrize(("span", "role"), EXPECTED_NAMES.items())
def test_name(span: tuple[str, str], role: Role) -> None:
    """A span that carries no mark at all is known by scope and name together; a mark is stronger."""
    scope, name = span
    assert rules_of(scope).role_of({}, name) is role
    assert rules_of("app").role_of({}, name) is Role.OTHER
    assert rules_of(scope).role_of({}, "Turn {turn}") is Role.OTHER
    assert rules_of(scope).role_of({"gen_ai.operation.name": "embeddings"}, name) is Role.MODEL


@pytest.mark.parametrize(("word", "role"), EXPECTED_OWN_KINDS.items())
def test_own_kind(word: tuple[str, str, str], role: Role) -> None:
    """An instrumentation's own word is believed before its marks; a word that is not known leaves them standing."""
    scope, key, kind = word
    assert rules_of(scope).role_of({**CHAT, key: kind}, "any") is role
    assert rules_of(scope).role_of({**CHAT, key: "else"}, "any") is Role.MODEL
    assert rules_of("app").role_of({**CHAT, key: kind}, "any") is Role.MODEL
    assert rules_of(scope).overrules_marks("any")


@pytest.mark.parametrize("kind", ["RETRIEVER", "RERANKER", "GUARDRAIL", "TOOL", "LLM"])
def test_root_name_of_something_else(kind: str) -> None:
    """What OpenInference knows to be something else than a CHAIN is no root, whatever its class is called."""
    assert rules_of(DSPY).is_root({"openinference.span.kind": "CHAIN"}, "Notes.forward")
    assert not rules_of(DSPY).is_root({"openinference.span.kind": kind}, "Notes.forward")


@pytest.mark.parametrize(
    ("scope", "name", "key", "is_root_of"),
    [
        (LANGFUSE, "LangGraph", "langfuse.observation.type", {"span": True, "agent": True, "tool": False}),
        ("mlflow.tracing.provider", "a.kickoff", "mlflow.spanType", {'"CHAIN"': True, '"TOOL"': False}),
        ("mlflow.tracing.provider", "LangGraph", "mlflow.spanType", {'"UNKNOWN"': True, '"RETRIEVER"': False}),
    ],
)
def test_root_name_of_a_tool(scope: str, name: str, key: str, is_root_of: dict[str, bool]) -> None:
    """A tool that its user calls as a framework calls its roots is none."""
    assert {word: rules_of(scope).is_root({key: word}, name) for word in is_root_of} == is_root_of


@pytest.mark.parametrize("operation", ["invoke_agent", "invoke_workflow"])
@pytest.mark.parametrize("scope", ["openlit.instrumentation.agno", "openlit.instrumentation.crewai", ADK])
def test_agent_by_the_name_of_its_span(scope: str, operation: str) -> None:
    """A GenAI instrumentation's span that is named as the conventions say is an agent's, unless it says otherwise."""
    name = f"{operation} triage desk"
    assert rules_of(scope).role_of({}, name) is Role.AGENT
    assert rules_of(scope).role_of({"gen_ai.operation.name": "generate_content"}, name) is Role.AGENT
    assert rules_of(scope).role_of({"gen_ai.operation.name": "execute_tool"}, name) is Role.TOOL
    assert rules_of(scope).role_of({"gen_ai.operation.name": "create_agent"}, name) is Role.OTHER


def test_name_alone_in_a_scope_of_an_application() -> None:
    """There it takes an attribute by which the conventions name agents, too."""
    assert rules_of("app").role_of({}, "invoke_agent desk") is Role.OTHER
    for key in ("gen_ai.agent.name", "gen_ai.workflow.name"):
        assert rules_of("app").role_of({key: "desk"}, "invoke_agent desk") is Role.AGENT
        assert rules_of("app").role_of({key: "desk", **CHAT}, "invoke_agent desk") is Role.AGENT
        assert rules_of("app").role_of({key: "desk", **CHAT}, "chat gpt-4o") is Role.MODEL


@pytest.mark.parametrize(
    ("scope", "name", "mark"),
    [
        ("crewai", "execute crew", {"gen_ai.operation.name": "chat"}),
        ("crewai", "execute agent", {"gen_ai.operation.name": "chat"}),
        ("crewai", "execute task", {"gen_ai.operation.name": "chat"}),
        ("crewai", "tool failure", {"gen_ai.operation.name": "execute_tool"}),
        ("openinference.instrumentation.llama_index", "OpenAI._prepare_chat_with_tools", OPENINFERENCE_LLM),
    ],
)
def test_mismarked(scope: str, name: str, mark: dict[str, Any]) -> None:
    """A span that its instrumentation is known to mark wrongly has no role; with another scope or name it has."""
    assert rules_of(scope).role_of(mark, name) is Role.OTHER
    assert rules_of("app").role_of(mark, name) is not Role.OTHER
    assert rules_of(scope).role_of(mark, "call llm") is not Role.OTHER


@pytest.mark.parametrize("name", ["agent.toolCalling.start-1", "agent.react.success-12", "agent.desk.error-2"])
def test_beeai_in_javascript_agents_events(name: str) -> None:
    """What an agent tells of itself is no agent within it."""
    assert rules_of(BEEAI_JS).role_of({"openinference.span.kind": "AGENT"}, name) is Role.OTHER


@pytest.mark.parametrize("event", ["start", "finish", "retry", "newToken", "partialUpdate", "success", "error"])
@pytest.mark.parametrize(
    ("kind", "path"), [("TOOL", "tool.look.up"), ("LLM", "backend.groq.chat"), ("TOOL", "tool.a-1")]
)
def test_beeai_in_javascript_calls(kind: str, path: str, event: str) -> None:
    """Of the events of one call it is the one that ends it which is counted."""
    role = rules_of(BEEAI_JS).role_of({"openinference.span.kind": kind}, f"{path}.{event}-7")
    is_end = event in {"success", "error"}
    assert role is (Role.OTHER if not is_end else Role.TOOL if kind == "TOOL" else Role.MODEL)


@pytest.mark.parametrize("word", ["workflow", "invoke_agent"])
@pytest.mark.parametrize(
    ("chain", "is_run"),
    [
        ("LangGraph", True),
        ("AgentExecutor", True),
        ("billing desk", True),
        ("Branch office", True),
        ("RunnableLambda", False),
        ("ChannelWrite<messages>", False),
        ("Branch<agent>", False),
        ("__start__", False),
        ("agent", False),
        ("StringOutputParser", False),
        ("ChatPromptTemplate", False),
    ],
)
def test_langchain_in_javascript_under_traceloop(word: str, chain: str, *, is_run: bool) -> None:
    """What LangChain and its prebuilt agents call their own steps is no agent; what users name may be one."""
    marks = {"gen_ai.operation.name": word, "traceloop.span.kind": "workflow"}
    assert rules_of(TRACELOOP_LANGCHAIN_JS).role_of(marks, f"{word} {chain}") is (Role.AGENT if is_run else Role.OTHER)


@pytest.mark.parametrize("scope", [ADK, OPENINFERENCE_ADK, TRPC])
@pytest.mark.parametrize("tool", ["merged", "merge tools", "(merge)", "merged tools"])
def test_tool_that_merges(scope: str, tool: str) -> None:
    """A tool of which only the name is like what ADK calls all answers together is one."""
    assert rules_of(scope).role_of({"gen_ai.operation.name": "execute_tool"}, f"execute_tool {tool}") is Role.TOOL


@pytest.mark.parametrize("scope", ["codex", "codex_cli_rs", "codex-app-server", "Codex Desktop"])
def test_codex(scope: str) -> None:
    """Whatever program it is part of, a turn and a review are runs, of no name."""
    rules = rules_of(scope)
    assert all(rules.is_root({}, f"session_task.{task}") for task in ("turn", "review"))
    assert not any(rules.is_root({}, name) for name in ("session_task.compact", "run_turn", "turn/start"))
    assert rules.agent_name_in("session_task.turn") is None


@pytest.mark.parametrize(
    "scope", ["mlflow.tracing.provider", "mlflow.langchain.langchain_tracer", "mlflow.tracing.fluent"]
)
def test_mlflow(scope: str) -> None:
    """The roots of LangGraph and of CrewAI, and which roots say nothing of the agent; all of its modules alike."""
    rules = rules_of(scope)
    assert all(
        rules.is_root({}, name) for name in ("LangGraph", "Crew.kickoff", "Desk.akickoff", "TicketFlow.kickoff_async")
    )
    assert not any(
        rules.is_root({}, name) for name in ("Task.execute_sync", "Crew.kickoff_for_each", "kickoff", "agent")
    )
    assert rules.role_of({"mlflow.spanType": '"CHAIN"', "metadata": GRAPH["metadata"]}, "desk") is Role.AGENT
    assert all(rules.is_named_below(name) for name in ("AgentRunner.run", "AgentRunner.run_streamed"))
    assert rules.agent_name_in("Crew.kickoff") is rules.agent_name_in("AgentRunner.run_streamed") is None
    assert rules.agent_name_in("TicketFlow.kickoff_async") == "TicketFlow"


@pytest.mark.parametrize("scope", EXPECTED_ROOTS)
def test_known_root(scope: str) -> None:
    """A framework's unmarked root is known by scope and name together."""
    roots, others = EXPECTED_ROOTS[scope]
    assert all(rules_of(scope).is_root({}, name) for name in roots)
    assert not any(rules_of(scope).is_root({}, name) for name in others)
    assert not any(rules_of("app").is_root({}, name) for name in roots)


@pytest.mark.parametrize(
    ("operation", "known"),
    [("invoke_graph", True), ("invoke_swarm", True), ("chat", False), (None, False), (["a"], False)],
)
def test_known_root_operation(operation: object, *, known: bool) -> None:
    """Strands' graphs and swarms are known by scope and operation."""
    attributes = {"gen_ai.operation.name": operation}
    assert rules_of("strands.telemetry.tracer").is_root(attributes, "any") is known
    assert not rules_of("app").is_root(attributes, "any")


@pytest.mark.parametrize(
    "scope",
    [
        "openinference.instrumentation.langchain",
        "traceloop.sdk",
        "opentelemetry.util.genai.handler",
        "opentelemetry.instrumentation.genai.openai_agents",
        "opentelemetry.instrumentation.openai_agents",
        "opentelemetry.instrumentation.langchain",
        "pydantic-ai",
        "pydantic_ai",
        "strands.telemetry.tracer",
        "gcp.vertex.agent",
        "agent_framework",
        "autogen-core",
        "crewai.telemetry",
        "semantic_kernel.functions",
    ],
)
def test_genai_scope(scope: str) -> None:
    """A GenAI instrumentation's span may still be marked as an agent before it ends."""
    assert rules_of(scope).is_genai


@pytest.mark.parametrize(
    "scope", ["", "app", "opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.celery", "my.crewai"]
)
def test_no_genai_scope(scope: str) -> None:
    """Any other scope's span will not."""
    assert not rules_of(scope).is_genai


@pytest.mark.parametrize(
    ("scope", "clean"),
    [
        ("openinference.instrumentation.openai_agents", True),
        ("opentelemetry.instrumentation.openai_agents", True),
        ("opentelemetry.instrumentation.openai-agents", True),
        ("opentelemetry.instrumentation.genai.openai_agents", True),
        ("openinference.instrumentation.smolagents", True),
        ("openinference.instrumentation.openai", False),
        ("app", False),
        ("", False),
    ],
)
def test_clean_end(scope: str, *, clean: bool) -> None:
    """The instrumentations of the OpenAI Agents SDK end their roots clean, others do not."""
    assert rules_of(scope).ends_clean is clean


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        ("invoke_agent support", "support"),
        ("invoke_workflow  crew", "crew"),
        ("support.workflow", "support"),
        ("support.agent", "support"),
        ("FunctionAgent.run", "FunctionAgent"),
        ("sales.kickoff", "sales"),
        ("LangGraph", "LangGraph"),
        ("invoke_agent", None),
        ("invoke_workflow", None),
        (".workflow", None),
        ("", None),
        ("  ", None),
        ("ai.generateText", None),
        ("spring_ai chat_client", None),
        ("invoke_agent 200de2a4-7673-4f52-94d6-6da03526816c", None),
    ],
)
def test_agent_name_from_span(name: str, agent: str | None) -> None:
    """A span's name without what only says that it is a run is the agent's."""
    assert rules_of("app").agent_name_in(name) == agent


@pytest.mark.parametrize(
    ("scope", "name", "agent"),
    [
        ("agent_framework", "workflow.run", None),
        ("gcp.vertex.agent", "invocation", None),
        ("app", "workflow.run", "workflow"),
        ("app", "invocation", "invocation"),
        ("gcp.vertex.agent", "invoke_workflow support", "support"),
    ],
)
def test_roots_that_name_no_agent(scope: str, name: str, agent: str | None) -> None:
    """The root's name is the framework's own word for it, but only in its own scope."""
    assert rules_of(scope).agent_name_in(name) == agent


@pytest.mark.parametrize("scope", [*SCOPES, "any.scope"])
def test_stopped_by_a_status(scope: str) -> None:
    """Only that none was set says so, and only where the others are set without fail."""
    is_told = scope == CLAUDE_API
    assert rules_of(scope).stopped_by("unset") == ("cancelled" if is_told else None)
    assert [rules_of(scope).stopped_by(status) for status in ("ok", "error", "")] == [None, None, None]
