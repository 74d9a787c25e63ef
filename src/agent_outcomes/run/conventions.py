# SPDX-License-Identifier: Apache-2.0
"""How the conventions mark agent, model and tool spans: attribute keys, operations and kinds, as data.

Read from OpenTelemetry GenAI and MCP, OpenInference, Traceloop, Langfuse, MLflow, AgentOps, the Vercel AI SDK, Spring
AI, Genkit, Mastra, Embabel, NeMo Agent Toolkit, traceAI, the fields that Alibaba Cloud defines for LLM traces, VeADK,
DeepEval, LangWatch and Laminar. What single frameworks do is in `scopes`.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATION: Final = "gen_ai.operation.name"
OPENINFERENCE_KIND: Final = "openinference.span.kind"
ANSWER: Final = "output.value"
TRACELOOP_KIND: Final = "traceloop.span.kind"
LANGFUSE_KIND: Final = "langfuse.observation.type"
AI_SDK_OPERATION: Final = "ai.operationId"
SPRING_AI_KIND: Final = "spring.ai.kind"
EMBABEL_KIND: Final = "embabel.event.type"
MASTRA_KIND: Final = "mastra.span.type"
NAT_KIND: Final = "nat.span.kind"
GENKIT_TYPE: Final = "genkit:type"
GENKIT_SUBTYPE: Final = "genkit:metadata:subtype"
GENAI_KIND: Final = "gen_ai.span.kind"
TRACEAI_KIND: Final = "fi.span.kind"
DEEPEVAL_KIND: Final = "confident.span.type"
LANGWATCH_KIND: Final = "langwatch.span.type"
LAMINAR_KIND: Final = "lmnr.span.type"
MLFLOW_KIND: Final = "mlflow.spanType"
MLFLOW_INPUTS: Final = "mlflow.spanInputs"
MLFLOW_OUTPUTS: Final = "mlflow.spanOutputs"
MLFLOW_FUNCTION: Final = "mlflow.spanFunctionName"
AGENTOPS_KIND: Final = "agentops.span.kind"
MCP_METHOD: Final = "mcp.method.name"
# OpenLLMetry's mark of model calls from before the conventions had operations, and AgentOps' spelling of it.
REQUEST_TYPE: Final = "llm.request.type"
AGENTOPS_REQUEST_TYPE: Final = "gen_ai.request.type"
FINISH_REASON: Final = "gen_ai.agent.finish_reason"

AGENT_NAME_KEYS: Final = (
    # CrewAI puts a hash of the agent's definition into gen_ai.agent.name.
    "crewai.agent.role",
    semconv.GEN_AI_AGENT_NAME,
    "agent.name",
    "gen_ai.workflow.name",
    "traceloop.entity.name",
    "ai.telemetry.functionId",
    # In spans of whatever tracer the application has.
    "embabel.agent.name",
    "spring.ai.alibaba.graph.name",
    "confident.agent.name",
)
# A span that is named as the conventions name agents' spans carries one of them, whoever made it.
CONVENTION_NAME_KEYS: Final = frozenset({semconv.GEN_AI_AGENT_NAME, "gen_ai.workflow.name"})


class Role(Enum):
    """What a span is in a run."""

    AGENT = auto()
    MODEL = auto()
    TOOL = auto()
    OTHER = auto()


OPERATION_ROLES: Final[Mapping[object, Role]] = {
    "invoke_agent": Role.AGENT,
    "invoke_workflow": Role.AGENT,
    "chat": Role.MODEL,
    "generate_content": Role.MODEL,
    "text_completion": Role.MODEL,
    "embeddings": Role.MODEL,
    "execute_tool": Role.TOOL,
    # Gemini CLI has words of its own, of which these two can mean nothing else; ADK for Java has the third.
    "llm_call": Role.MODEL,
    "tool_call": Role.TOOL,
    "call_llm": Role.MODEL,
    # Building an agent is no run of it, whatever other marks the span carries.
    "create_agent": Role.OTHER,
}

CALL_OPERATIONS: Final = frozenset(
    operation for operation, role in OPERATION_ROLES.items() if role in (Role.MODEL, Role.TOOL)
)

# What traceAI has made of OpenInference's kinds. Its wrapper of LangGraph has one of its own for what runs a graph.
_TRACEAI_ROLES: Final[Mapping[object, Role]] = {
    "AGENT": Role.AGENT,
    "LANGGRAPH": Role.AGENT,
    "LLM": Role.MODEL,
    "EMBEDDING": Role.MODEL,
    "TOOL": Role.TOOL,
}

# Of DeepEval and of LangWatch.
_OWN_WORDS: Final[Mapping[object, Role]] = {"agent": Role.AGENT, "llm": Role.MODEL, "tool": Role.TOOL}

_REQUEST_ROLES: Final[Mapping[object, Role]] = {
    "chat": Role.MODEL,
    "completion": Role.MODEL,
    "embedding": Role.MODEL,
    # LiteLLM puts the name of its own function there, and as the operation.
    "acompletion": Role.MODEL,
    "text_completion": Role.MODEL,
    "atext_completion": Role.MODEL,
    "aembedding": Role.MODEL,
    "responses": Role.MODEL,
    "aresponses": Role.MODEL,
    "anthropic_messages": Role.MODEL,
    "generate_content": Role.MODEL,
    "agenerate_content": Role.MODEL,
    "generate_content_stream": Role.MODEL,
    "agenerate_content_stream": Role.MODEL,
}

# Senders that write operations as names of types (`Chat`, `TextCompletion`: the Agent 365 SDKs) or in capitals, and
# those that write the request's type there, mean the same.
_FOLDED_OPERATIONS: Final[Mapping[str, Role]] = {
    str(word).replace("_", ""): role for words in (_REQUEST_ROLES, OPERATION_ROLES) for word, role in words.items()
}
_FOLDED_LENGTH_MAX: Final = 32
_WORD_LENGTH_MAX: Final = 64

# What models do that is billed by characters, seconds, pages or searches, as a part of whatever word senders have for
# it: Pipecat's `tts` and `stt`, OpenLLMetry's `rerank`, OpenLIT's `image`, `audio` and `speech_to_text`, the AI SDK's
# `ai.rerank.doRerank`. LiteLLM puts an `a` before each.
_BILLED_OTHERWISE: Final = Pattern(
    r"(?:.*_)?(?:do_)?a?(?:tts|stt|speech|audio|transcri(?:be|ptions?)|translat(?:e|ions?)|transliterate|"
    r"language_identification|rerank(?:ing)?|images?|videos?|music|ocr)(?:_.*)?",
    re.ASCII,
)
# LiveKit's spans of speech and of transcripts have no operation.
BILLED_OTHERWISE_KEYS: Final = frozenset({"lk.tts.label", "lk.pii.user_transcript", "lk.user_transcript"})
_WORD_BOUNDARY: Final = Pattern(r"(?<=[a-z])(?=[A-Z])|[\W_]+")

KIND_ROLES: Final[Mapping[str, Mapping[object, Role]]] = {
    OPENINFERENCE_KIND: {
        "AGENT": Role.AGENT,
        "LLM": Role.MODEL,
        "EMBEDDING": Role.MODEL,
        "TOOL": Role.TOOL,
    },
    TRACELOOP_KIND: {
        "workflow": Role.AGENT,
        "agent": Role.AGENT,
        "tool": Role.TOOL,
    },
    LANGFUSE_KIND: {
        "agent": Role.AGENT,
        "generation": Role.MODEL,
        "embedding": Role.MODEL,
        "tool": Role.TOOL,
    },
    # The Vercel AI SDK, whatever tracer its user gives it. From version 7 on it calls the same operations invoke_agent.
    AI_SDK_OPERATION: {
        "ai.generateText": Role.AGENT,
        "ai.streamText": Role.AGENT,
        "ai.generateObject": Role.AGENT,
        "ai.streamObject": Role.AGENT,
        "ai.generateText.doGenerate": Role.MODEL,
        "ai.streamText.doStream": Role.MODEL,
        "ai.generateObject.doGenerate": Role.MODEL,
        "ai.streamObject.doStream": Role.MODEL,
        "ai.embed.doEmbed": Role.MODEL,
        "ai.embedMany.doEmbed": Role.MODEL,
        "ai.toolCall": Role.TOOL,
    },
    # Spring's tracer is the application's, too. Its model calls have an operation.
    SPRING_AI_KIND: {
        "chat_client": Role.AGENT,
        "tool_call": Role.TOOL,
    },
    # In spans of the application's tracer, as Spring's. What books a call a second time has no operation.
    EMBABEL_KIND: {"agent_process": Role.AGENT, "tool_call": Role.TOOL},
    # Its exporter of 1.0 had operations of its own: `agent.run`, `tool.execute`. What is a model call has one by the
    # conventions in every version, and what is called a generation may be all of an agent's calls.
    MASTRA_KIND: {
        "agent_run": Role.AGENT,
        "workflow_run": Role.AGENT,
        "tool_call": Role.TOOL,
        "mcp_tool_call": Role.TOOL,
    },
    # Its exporter says CHAIN in OpenInference's words.
    NAT_KIND: {"WORKFLOW": Role.AGENT},
    # What calls models and tools in turn, for a prompt that has a name or without; the root where the application has
    # defined no flow.
    GENKIT_TYPE: {"util": Role.AGENT, "dotprompt": Role.AGENT},
    GENKIT_SUBTYPE: {
        "flow": Role.AGENT,
        "agent": Role.AGENT,
        "model": Role.MODEL,
        "embedder": Role.MODEL,
        "tool": Role.TOOL,
        "tool.v2": Role.TOOL,
    },
    # Of Alibaba Cloud, too, whose operations say more where they are there (loongsuite); what it calls an entry is what
    # the application itself does, and a step a turn of an agent's. In lower case of VeADK, whose workflow is a run.
    GENAI_KIND: {
        **_TRACEAI_ROLES,
        "workflow": Role.AGENT,
        "agent": Role.AGENT,
        "llm": Role.MODEL,
        "embedding": Role.MODEL,
        "tool": Role.TOOL,
    },
    # Of its first versions, and in .NET.
    TRACEAI_KIND: _TRACEAI_ROLES,
    DEEPEVAL_KIND: _OWN_WORDS,
    LANGWATCH_KIND: _OWN_WORDS,
    # Has no word for an agent: what calls these is a span as any other.
    LAMINAR_KIND: {"LLM": Role.MODEL, "TOOL": Role.TOOL},
    # MLflow writes every attribute as JSON, this one, too.
    MLFLOW_KIND: {
        '"AGENT"': Role.AGENT,
        '"LLM"': Role.MODEL,
        '"CHAT_MODEL"': Role.MODEL,
        '"EMBEDDING"': Role.MODEL,
        '"TOOL"': Role.TOOL,
    },
    # A session is what its user does in one sitting, and no agent.
    AGENTOPS_KIND: {
        "workflow": Role.AGENT,
        "agent": Role.AGENT,
        "llm": Role.MODEL,
        "tool": Role.TOOL,
    },
    # Nothing else marks the calls of its own instrumentations.
    MCP_METHOD: {"tools/call": Role.TOOL},
    REQUEST_TYPE: _REQUEST_ROLES,
    AGENTOPS_REQUEST_TYPE: _REQUEST_ROLES,
}

KEY_ROLES: Final[Mapping[str, Role]] = {
    # Haystack's own spans are of whatever scope its user gave it a tracer with.
    "haystack.agent.max_steps": Role.AGENT,
    # Spring AI Alibaba says that a graph's edges are graphs, too, but names them by another key.
    "spring.ai.alibaba.graph.name": Role.AGENT,
}
"""Attributes that only spans of one role have, whatever they say."""

# The class of what interrupted a run whose span is left UNSET.
INTERRUPTION_KEY: Final = "strands.cancellation.type"

# What Mastra puts in the place of an agent's answer that was not given, on spans that end OK.
STOP_OUTPUTS: Final[Mapping[str, Pattern]] = {
    "mastra.agent_run.output": Pattern(r'\{"(?:status":"(aborted|suspended)"|(tripwire)":\{)'),
    # VoltAgent's workflows end OK all the same, and so does every process of Embabel.
    "workflow.state": Pattern(r"(suspended|cancelled)$"),
    "embabel.agent.status": Pattern(r"(FAILED|STUCK|KILLED|TERMINATED|WAITING|PAUSED)$"),
    # Qwen Code's turns, and its agents below one or by themselves, of which those are aborted that nobody has ended.
    "qwen-code.turn_status": Pattern(r"(cancelled)$"),
    "qwen-code.subagent.status": Pattern(r"(cancelled|aborted)$"),
}

GENAI_PREFIXES: Final = ("gen_ai.", "openinference.", "traceloop.", "llm.", "agent.")

# What Agent Framework makes up for an agent or a workflow that nobody named: another one for every object. In .NET it
# is without dashes.
_GENERATED_NAME: Final = Pattern(
    r"(?:WorkflowBuilder-)?(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})", re.IGNORECASE
)
_GENERATED_LENGTHS: Final = (32, 36, 48, 52)
# What Semantic Kernel, and rig, put in the place of a name; and LangChain for Elixir the type of its only chain.
_PLACEHOLDERS: Final = frozenset({"UnnamedAgent", "Unnamed Agent", "llm_chain"})
# What the OpenAI Agents SDK, and OpenLLMetry for it, call every run that its user has not named; the first agent in it
# says more.
DEFAULT_NAMES: Final = frozenset({"Agent workflow", "Agent Workflow"})

# What frameworks call all spans that start a run, whoever's agent it is.
UNNAMED: Final = frozenset({*OPERATION_ROLES, *KIND_ROLES[AI_SDK_OPERATION], "spring_ai chat_client", "<workflow>"})

_AGENT_OPERATIONS: Final = ("invoke_agent", "invoke_workflow")
NAME_PREFIX: Final = Pattern(r"(?:invoke_agent|invoke_workflow)\s+")
NAME_SUFFIX: Final = Pattern(r"\.(?:workflow|agent|run|kickoff)$")

KIND_KEYS: Final = frozenset(KIND_ROLES)
ROLE_KEYS: Final = KIND_KEYS | {OPERATION}
_OPERATION_KEYS: Final = (OPERATION, REQUEST_TYPE, AGENTOPS_REQUEST_TYPE, AI_SDK_OPERATION)
MARK_KEYS: Final = frozenset({*ROLE_KEYS, *KEY_ROLES})


def role_by_marks(attributes: Mapping[str, Any]) -> Role | None:
    """What the marks on a span say it is, `None` if there are none; the operation name is the stronger mark."""
    operation = attributes.get(OPERATION)
    if operation is not None:
        role = role_of_operation(operation)
        if role is not None:
            return role
    for key, roles in KIND_ROLES.items():
        kind = attributes.get(key)
        if kind is not None:
            role = role_of_word(roles, kind)
            if role is not None:
                return role
    return next((role for key, role in KEY_ROLES.items() if key in attributes), None)


def role_of_operation(operation: object) -> Role | None:
    """What an operation stands for, however it is spelled; `None` if it is no text or not known."""
    role = role_of_word(OPERATION_ROLES, operation)
    if role is not None or not isinstance(operation, str) or len(operation) > _FOLDED_LENGTH_MAX:
        return role
    return _FOLDED_OPERATIONS.get(str.__str__(operation).replace("_", "").replace("-", "").lower())


def names_other_billing(attributes: Mapping[str, Any]) -> bool:
    """Whether a span is of something that providers bill by something else than tokens: by its operation, mostly."""
    if not BILLED_OTHERWISE_KEYS.isdisjoint(attributes):
        return True
    words = [attributes.get(key) for key in _OPERATION_KEYS]
    return any(isinstance(word, str) and len(word) <= _WORD_LENGTH_MAX and _is_billed_otherwise(word) for word in words)


def _is_billed_otherwise(word: str) -> bool:
    joined: str = _WORD_BOUNDARY.sub("_", str.__str__(word)).lower()
    return _BILLED_OTHERWISE.fullmatch(joined) is not None


def is_agent_by_name(name: str) -> bool:
    """Whether a span is named as the GenAI conventions name agents' spans: `invoke_agent X`, `invoke_workflow X`."""
    return name.startswith(_AGENT_OPERATIONS) and (name in _AGENT_OPERATIONS or NAME_PREFIX.match(name) is not None)


def has_agent_kind(attributes: Mapping[str, Any]) -> bool:
    """Whether one of the kinds on a span is an agent's, whatever its operation is."""
    if KIND_KEYS.isdisjoint(attributes):
        return False
    return Role.AGENT in [role_of_word(roles, attributes.get(key)) for key, roles in KIND_ROLES.items()]


def has_call_kind(attributes: Mapping[str, Any]) -> bool:
    """Whether one of the kinds on a span is a model call's, whatever its operation is."""
    return Role.MODEL in [role_of_word(roles, attributes.get(key)) for key, roles in KIND_ROLES.items()]


def adds_up_calls(attributes: Mapping[str, Any]) -> bool:
    """Whether the calls right below a span with these attributes report what those before them have used, too."""
    return SPRING_AI_KIND in attributes


def is_generated_name(name: str) -> bool:
    """Whether the name was made up by a framework, so that as a label it would only crowd out real ones."""
    if name in _PLACEHOLDERS:
        return True
    return len(name) in _GENERATED_LENGTHS and _GENERATED_NAME.fullmatch(name) is not None


def text_of_json(text: str) -> str | None:
    """What a text of MLflow's says, which writes every attribute as JSON; one that is no JSON stands for itself."""
    if text == "null":
        return None
    try:
        value = json.loads(text) if text.startswith('"') else text
    except (ValueError, RecursionError):
        return text.strip('"') or None
    return value or None if isinstance(value, str) else text


def role_of_word(roles: Mapping[object, Role], key: object) -> Role | None:
    """What a word stands for, `None` if it is no text or not known."""
    # Attribute values may be unhashable (a nested map on newer SDKs); only text can be a mark.
    return roles.get(str.__str__(key)) if isinstance(key, str) else None
