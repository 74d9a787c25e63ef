# SPDX-License-Identifier: Apache-2.0
"""How others mark spans: every operation, kind and known root, row by row, against roles written out here."""

from __future__ import annotations

from typing import Any

import pytest

from agent_outcomes.run.conventions import (
    AGENT_NAME_KEYS,
    KIND_ROLES,
    NAME_ROLES,
    OPERATION_ROLES,
    ROOT_NAMES,
    ROOT_OPERATIONS,
    Role,
    agent_name_from_span,
    agent_name_keys,
    ends_clean_on_failure,
    is_genai_scope,
    is_generated_name,
    is_known_root,
    role_of,
)

EXPECTED_NAMES = {
    ("logfire.openai_agents", "OpenAI Agents trace: {name}"): Role.AGENT,
    ("logfire.openai_agents", "Agent run: {name!r}"): Role.AGENT,
    ("logfire.openai_agents", "Chat completion with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Responses API"): Role.MODEL,
    ("logfire.openai_agents", "Responses API with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Function: {name}"): Role.TOOL,
}
EXPECTED_OPERATIONS = {
    "invoke_agent": Role.AGENT,
    "invoke_workflow": Role.AGENT,
    "chat": Role.MODEL,
    "generate_content": Role.MODEL,
    "text_completion": Role.MODEL,
    "embeddings": Role.MODEL,
    "execute_tool": Role.TOOL,
    "create_agent": Role.OTHER,
}
EXPECTED_KINDS = {
    ("openinference.span.kind", "AGENT"): Role.AGENT,
    ("openinference.span.kind", "LLM"): Role.MODEL,
    ("openinference.span.kind", "EMBEDDING"): Role.MODEL,
    ("openinference.span.kind", "TOOL"): Role.TOOL,
    ("traceloop.span.kind", "workflow"): Role.AGENT,
    ("traceloop.span.kind", "agent"): Role.AGENT,
    ("traceloop.span.kind", "tool"): Role.TOOL,
    ("langfuse.observation.type", "agent"): Role.AGENT,
    ("langfuse.observation.type", "generation"): Role.MODEL,
    ("langfuse.observation.type", "embedding"): Role.MODEL,
    ("langfuse.observation.type", "tool"): Role.TOOL,
}
OPENINFERENCE_LLM = {"openinference.span.kind": "LLM"}
# scope: names that are roots, names that are none
EXPECTED_ROOTS = {
    "openinference.instrumentation.langchain": (["LangGraph"], ["langgraph", "LangGraph2", "ChatOpenAI"]),
    "openinference.instrumentation.llama_index": (
        ["FunctionAgent.run", "ReActAgent.run", "AgentWorkflow.run", "Workflow.run"],
        ["FunctionAgent.run_step", "OpenAI.chat", "run"],
    ),
    "openinference.instrumentation.crewai": (
        ["sales_crew.kickoff", "Crew_1.kickoff"],
        [".kickoff", "Task._execute_core"],
    ),
    "crewai": (
        ["execute crew", "execute flow", "execute agent", "execute lite agent"],
        ["execute task", "execute agents", "call llm"],
    ),
    "agent_framework": (["workflow.run"], ["workflow.build", "executor.process"]),
    "gcp.vertex.agent": (["invocation"], ["call_llm", "invocation 2"]),
}


@pytest.mark.parametrize(("operation", "role"), EXPECTED_OPERATIONS.items())
def test_operation(operation: str, role: Role) -> None:
    """Each operation gives its role, whatever kind the span has besides."""
    assert role_of({"gen_ai.operation.name": operation}) is role
    assert role_of({"gen_ai.operation.name": operation, "openinference.span.kind": "AGENT"}) is role


@pytest.mark.parametrize(("mark", "role"), EXPECTED_KINDS.items())
def test_kind(mark: tuple[str, str], role: Role) -> None:
    """Each kind gives its role, where the operation gives none."""
    key, kind = mark
    assert role_of({key: kind}) is role
    assert role_of({key: kind, "gen_ai.operation.name": "plan"}) is role


@pytest.mark.parametrize(("span", "role"), EXPECTED_NAMES.items())
def test_name(span: tuple[str, str], role: Role) -> None:
    """A span that carries no mark at all is known by scope and name together; a mark is stronger."""
    scope, name = span
    assert role_of({}, scope, name) is role
    assert role_of({}, "app", name) is Role.OTHER
    assert role_of({}, scope, "Turn {turn}") is Role.OTHER
    assert role_of({"gen_ai.operation.name": "embeddings"}, scope, name) is Role.MODEL


def test_every_operation_and_kind_is_expected() -> None:
    """A row added to a table without a role written here fails."""
    assert set(OPERATION_ROLES) == set(EXPECTED_OPERATIONS)
    assert {(key, kind) for key, kinds in KIND_ROLES.items() for kind in kinds} == set(EXPECTED_KINDS)
    assert set(ROOT_NAMES) == set(EXPECTED_ROOTS)
    assert {(scope, name) for scope, names in NAME_ROLES.items() for name in names} == set(EXPECTED_NAMES)
    assert {"strands.telemetry.tracer": frozenset({"invoke_graph", "invoke_swarm"})} == ROOT_OPERATIONS


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"gen_ai.operation.name": "INVOKE_AGENT"},
        {"gen_ai.operation.name": "plan"},
        {"gen_ai.operation.name": None},
        {"gen_ai.operation.name": ["invoke_agent"]},
        {"gen_ai.operation.name": {"invoke_agent": 1}},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "agent"},
        {"traceloop.span.kind": "task"},
        {"traceloop.span.kind": 1},
    ],
)
def test_no_role(attributes: dict[str, Any]) -> None:
    """What is in no table is no mark."""
    assert role_of(attributes) is Role.OTHER


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
    assert role_of(mark, scope, name) is Role.OTHER
    assert role_of(mark, "app", name) is not Role.OTHER
    assert role_of(mark, scope, "call llm") is not Role.OTHER


@pytest.mark.parametrize("scope", EXPECTED_ROOTS)
def test_known_root(scope: str) -> None:
    """A framework's unmarked root is known by scope and name together."""
    roots, others = EXPECTED_ROOTS[scope]
    assert all(is_known_root(scope, name, {}) for name in roots)
    assert not any(is_known_root(scope, name, {}) for name in others)
    assert not any(is_known_root("app", name, {}) for name in roots)


@pytest.mark.parametrize(
    ("operation", "known"),
    [("invoke_graph", True), ("invoke_swarm", True), ("chat", False), (None, False), (["a"], False)],
)
def test_known_root_operation(operation: object, *, known: bool) -> None:
    """Strands' graphs and swarms are known by scope and operation."""
    attributes = {"gen_ai.operation.name": operation}
    assert is_known_root("strands.telemetry.tracer", "any", attributes) is known
    assert not is_known_root("app", "any", attributes)


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
    assert is_genai_scope(scope)


@pytest.mark.parametrize(
    "scope", ["", "app", "opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.celery", "my.crewai"]
)
def test_no_genai_scope(scope: str) -> None:
    """Any other scope's span will not."""
    assert not is_genai_scope(scope)


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
    assert ends_clean_on_failure(scope) is clean


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
        ("invoke_agent 200de2a4-7673-4f52-94d6-6da03526816c", None),
    ],
)
def test_agent_name_from_span(name: str, agent: str | None) -> None:
    """A span's name without what only says that it is a run is the agent's."""
    assert agent_name_from_span(name) == agent


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
    assert agent_name_from_span(name, scope) == agent


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("200de2a4-7673-4f52-94d6-6da03526816c", True),
        ("WorkflowBuilder-db51cf82-d1b7-4412-820e-a6d361fba1ef", True),
        ("support-200de2a4-7673-4f52-94d6-6da03526816c", False),
        ("support", False),
        ("", False),
    ],
)
def test_generated_names(name: str, *, generated: bool) -> None:
    """What stands in for a name that nobody gave is no name; a name with an id in it is one."""
    assert is_generated_name(name) is generated


def test_name_keys_of_a_scope() -> None:
    """A scope's own key comes after those of the conventions."""
    assert agent_name_keys("agent_framework") == (*AGENT_NAME_KEYS, "workflow.name")
    assert agent_name_keys("logfire.openai_agents") == (*AGENT_NAME_KEYS, "name")
    assert agent_name_keys("app") == AGENT_NAME_KEYS
