# SPDX-License-Identifier: Apache-2.0
"""How others mark agent, model and tool spans: attribute keys, operations, scopes and span names, as data.

Read from the conventions (OpenTelemetry GenAI, OpenInference, Traceloop) and from what the frameworks emit.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATION: Final = "gen_ai.operation.name"
OPENINFERENCE_KIND: Final = "openinference.span.kind"
TRACELOOP_KIND: Final = "traceloop.span.kind"
LANGFUSE_KIND: Final = "langfuse.observation.type"
FINISH_REASON: Final = "gen_ai.agent.finish_reason"

AGENT_NAME_KEYS: Final = (
    # CrewAI puts a hash of the agent's definition into gen_ai.agent.name.
    "crewai.agent.role",
    semconv.GEN_AI_AGENT_NAME,
    "agent.name",
    "gen_ai.workflow.name",
    "traceloop.entity.name",
)


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
    # Building an agent is no run of it, whatever other marks the span carries.
    "create_agent": Role.OTHER,
}

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
}

# Roots that carry no agent mark of their own: (scope, span name). OpenInference calls a LangGraph graph without
# "agent" in its name a CHAIN, LlamaIndex has no agent span, ADK's first schema and Agent Framework set no operation,
# and CrewAI overwrites the operation of a failed agent with that of the model call that failed.
ROOT_NAMES: Final[Mapping[str, Pattern]] = {
    "openinference.instrumentation.langchain": Pattern(r"LangGraph"),
    "openinference.instrumentation.llama_index": Pattern(r"\w*(?:Agent|Workflow)\.run"),
    "openinference.instrumentation.crewai": Pattern(r".+\.kickoff"),
    "agent_framework": Pattern(r"workflow\.run"),
    "crewai": Pattern(r"execute (?:crew|flow|agent|lite agent)"),
    "gcp.vertex.agent": Pattern(r"invocation"),
}
ROOT_OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "strands.telemetry.tracer": frozenset({"invoke_graph", "invoke_swarm"}),
}

# Spans that carry no mark at all: by scope, what each name stands for. Logfire names spans by the template of its
# message.
NAME_ROLES: Final[Mapping[str, Mapping[str, Role]]] = {
    "logfire.openai_agents": {
        "OpenAI Agents trace: {name}": Role.AGENT,
        "Agent run: {name!r}": Role.AGENT,
        "Chat completion with {gen_ai.request.model!r}": Role.MODEL,
        "Responses API": Role.MODEL,
        "Responses API with {gen_ai.request.model!r}": Role.MODEL,
        "Function: {name}": Role.TOOL,
    },
}

# Spans whose marks are not to be believed: CrewAI's failed agents and tasks (as above), the second span that it makes
# for a tool that failed, and what LlamaIndex does before it calls the model.
MISMARKED_NAMES: Final[Mapping[str, Pattern]] = {
    "crewai": Pattern(r"execute .+|tool failure"),
    "openinference.instrumentation.llama_index": Pattern(r".+\._prepare_chat_with_tools"),
}

# Instrumentations whose agent spans report the tokens of the agent object's whole life, earlier runs included.
LIFETIME_TOTALS_SCOPES: Final = frozenset({"strands.telemetry.tracer"})

# Where an instrumentation says why the run stopped, on an event of its span: (event name, attribute with the reason;
# `None` where the event's name says it all).
STOP_EVENTS: Final[Mapping[str, tuple[str, str | None]]] = {
    "openinference.instrumentation.llama_index": ("span.cancelled", None),
    "strands.telemetry.tracer": ("gen_ai.choice", "finish_reason"),
}
# The class of what interrupted a run whose span is left UNSET.
INTERRUPTION_KEY: Final = "strands.cancellation.type"

_GENAI_SCOPE: Final = Pattern(
    r"""(?:
      openinference\.
    | traceloop
    | opentelemetry\.(?:util|instrumentation)\.genai
    | opentelemetry\.instrumentation\.(?:
        agno|alephalpha|anthropic|bedrock|cohere|crewai|google_genai|google_generativeai|groq|haystack|langchain
      | llamaindex|mcp|mistralai|ollama|openai|replicate|sagemaker|smolagents|together|transformers|vertexai|watsonx
      | writer|claude)
    | pydantic[-_]ai
    | strands\.
    | gcp\.vertex\.agent
    | agent_framework
    | autogen
    | crewai
    | semantic_kernel
    | langfuse
    | logfire\.openai_agents
    | haystack
    | smolagents
    )""",
    re.VERBOSE,
)
GENAI_PREFIXES: Final = ("gen_ai.", "openinference.", "traceloop.", "llm.", "agent.")

# Instrumentations that end the run's root clean (UNSET or forced to OK) although the run failed, which smolagents' one
# does when it streams; and those of them where the last agent's failure is the run's, as nothing gets over it.
_CLEAN_END_SCOPE: Final = Pattern(r".*openai[_.-]agents|openinference\.instrumentation\.smolagents")
_LAST_AGENT_SCOPE: Final = Pattern(r".*openai[_.-]agents")

# Instrumentations that record a pause for a human on the step that asked, and end the agent's span clean.
PAUSE_SCOPES: Final = frozenset({"openinference.instrumentation.langchain", "opentelemetry.instrumentation.langchain"})

# Instrumentations that mark the span of a failed run ERROR and then neither end it nor take it off the context.
LEAVES_FAILED_OPEN: Final = frozenset({"openinference.instrumentation.smolagents"})

# Roots whose span name says nothing of the agent. ADK's first schema names it on the agent span below only.
_UNNAMED_ROOTS: Final = frozenset({("agent_framework", "workflow.run"), ("gcp.vertex.agent", "invocation")})
_NAMED_BELOW: Final = frozenset({("gcp.vertex.agent", "invocation")})
_SCOPE_NAME_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent_framework": ("workflow.name",),
    "logfire.openai_agents": ("name",),
}
# What Agent Framework makes up for an agent or a workflow that nobody named: another one for every object.
_GENERATED_NAME: Final = Pattern(r"(?:WorkflowBuilder-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENERATED_LENGTHS: Final = (36, 52)
# What the OpenAI Agents SDK calls every run that its user has not named; the first agent in it says more.
DEFAULT_NAMES: Final = frozenset({"Agent workflow"})

_NAME_PREFIX: Final = Pattern(r"(?:invoke_agent|invoke_workflow)\s+")
_NAME_SUFFIX: Final = Pattern(r"\.(?:workflow|agent|run|kickoff)$")

ROLE_KEYS: Final = frozenset({OPERATION, OPENINFERENCE_KIND, TRACELOOP_KIND, LANGFUSE_KIND})


def role_of(attributes: Mapping[str, Any], scope: str = "", name: str = "") -> Role:
    """What the span's own marks say it is; the operation name is the stronger mark.

    Scope and name tell the spans that an instrumentation is known to mark wrongly, or not at all.
    """
    mismarked = MISMARKED_NAMES.get(scope)
    if mismarked is not None and mismarked.fullmatch(name):
        return Role.OTHER
    operation = attributes.get(OPERATION)
    if operation is not None:
        role = _lookup(OPERATION_ROLES, operation)
        if role is not None:
            return role
    for key, roles in KIND_ROLES.items():
        kind = attributes.get(key)
        if kind is not None:
            role = _lookup(roles, kind)
            if role is not None:
                return role
    named = NAME_ROLES.get(scope)
    return named.get(name, Role.OTHER) if named is not None else Role.OTHER


def is_known_root(scope: str, name: str, attributes: Mapping[str, Any]) -> bool:
    """Whether scope and span name (or operation) are those of a framework's unmarked root."""
    pattern = ROOT_NAMES.get(scope)
    if pattern is not None and pattern.fullmatch(name):
        return True
    operations = ROOT_OPERATIONS.get(scope)
    operation = attributes.get(OPERATION)
    return operations is not None and isinstance(operation, str) and operation in operations


def is_genai_scope(scope: str) -> bool:
    """Whether a GenAI instrumentation made the span, so that it may still be marked as an agent before it ends."""
    return _GENAI_SCOPE.match(scope) is not None


def ends_clean_on_failure(scope: str) -> bool:
    """Whether the scope's root spans say nothing of a failure inside."""
    return _CLEAN_END_SCOPE.match(scope) is not None


def fails_with_last_agent(scope: str) -> bool:
    """Whether a run of this scope that ended clean has failed if the last agent in it has."""
    return _LAST_AGENT_SCOPE.match(scope) is not None


def agent_name_keys(scope: str) -> tuple[str, ...]:
    """The attributes that name the agent on spans of this scope, best first."""
    return (*AGENT_NAME_KEYS, *_SCOPE_NAME_KEYS[scope]) if scope in _SCOPE_NAME_KEYS else AGENT_NAME_KEYS


def is_generated_name(name: str) -> bool:
    """Whether the name was made up by a framework, so that as a label it would only crowd out real ones."""
    return len(name) in _GENERATED_LENGTHS and _GENERATED_NAME.fullmatch(name) is not None


def is_named_below(scope: str, name: str) -> bool:
    """Whether the agent that the root runs is named on the agent span below it and nowhere else."""
    return (scope, name) in _NAMED_BELOW or agent_name_from_span(name, scope) in DEFAULT_NAMES


def agent_name_from_span(name: str, scope: str = "") -> str | None:
    """The agent's name within a span name such as `invoke_agent X` or `X.workflow`; `None` if nothing is left."""
    if name in OPERATION_ROLES or name in ROOT_OPERATIONS.get(scope, ()) or (scope, name) in _UNNAMED_ROOTS:
        return None
    rest = _NAME_SUFFIX.sub("", _NAME_PREFIX.sub("", name, count=1)).strip()
    return None if not rest or is_generated_name(rest) else rest


def _lookup(roles: Mapping[object, Role], key: object) -> Role | None:
    # Attribute values may be unhashable (a nested map on newer SDKs); only text can be a mark.
    return roles.get(str.__str__(key)) if isinstance(key, str) else None
