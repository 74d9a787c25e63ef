# SPDX-License-Identifier: Apache-2.0
"""What each framework does in its own way, scope by scope, against answers written out here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.run.conventions import AGENT_NAME_KEYS, OPERATION_ROLES, Role
from agent_outcomes.run.parts import COPYING_SCOPES
from agent_outcomes.run.scopes import LEAVES_FAILED_OPEN, SCOPES, SPECIAL_SCOPES, ScopeRules, StopEvent, rules_of
from agent_outcomes.semconv import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LANGCHAIN = "openinference.instrumentation.langchain"
LLAMA_INDEX = "openinference.instrumentation.llama_index"
LOGFIRE = "logfire.openai_agents"
OPENINFERENCE_CREWAI = "openinference.instrumentation.crewai"
OPENLLMETRY_LANGCHAIN = "opentelemetry.instrumentation.langchain"
SMOLAGENTS = "openinference.instrumentation.smolagents"
STRANDS = "strands.telemetry.tracer"

EXPECTED_NAMES = {
    ("logfire.openai_agents", "OpenAI Agents trace: {name}"): Role.AGENT,
    ("logfire.openai_agents", "Agent run: {name!r}"): Role.AGENT,
    ("logfire.openai_agents", "Chat completion with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Responses API"): Role.MODEL,
    ("logfire.openai_agents", "Responses API with {gen_ai.request.model!r}"): Role.MODEL,
    ("logfire.openai_agents", "Function: {name}"): Role.TOOL,
}
OPENINFERENCE_AUTOGEN = "openinference.instrumentation.autogen_agentchat"
OPENINFERENCE_CLAUDE = "openinference.instrumentation.claude_agent_sdk"
OPENLLMETRY_AGNO = "opentelemetry.instrumentation.agno"
GENAI_AGNO = "opentelemetry.instrumentation.genai.agno"
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


# By scope and field, what the row decides: a question about a span of that scope, and its answer.
EXPECTED: dict[tuple[str, str], tuple[Callable[[ScopeRules], object], object]] = {
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
    (LOGFIRE, "name_roles"): (lambda rules: rules.role_of({}, "Function: {name}"), Role.TOOL),
    (LOGFIRE, "name_keys"): (lambda rules: rules.agent_name_keys(), (*AGENT_NAME_KEYS, "name")),
    (LOGFIRE, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (LOGFIRE, "fails_with_last_agent"): (lambda rules: rules.fails_with_last_agent, True),
    (LOGFIRE, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (OPENINFERENCE_AUTOGEN, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (OPENINFERENCE_AUTOGEN, "records_failures"): (lambda rules: rules.records_failures, True),
    (OPENINFERENCE_CLAUDE, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (OPENLLMETRY_AGNO, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (GENAI_AGNO, "fails_with_last_call"): (lambda rules: rules.fails_with_last_call, True),
    (OPENINFERENCE_CREWAI, "roots"): (lambda rules: rules.is_root({}, "sales.kickoff"), True),
    (LANGCHAIN, "roots"): (lambda rules: rules.is_root({}, "LangGraph"), True),
    (LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (LLAMA_INDEX, "roots"): (lambda rules: rules.is_root({}, "FunctionAgent.run"), True),
    (LLAMA_INDEX, "mismarked"): (
        lambda rules: rules.role_of(OPENINFERENCE_LLM, "OpenAI._prepare_chat_with_tools"),
        Role.OTHER,
    ),
    (LLAMA_INDEX, "stop_event"): (lambda rules: rules.stop_event, StopEvent("span.cancelled", None)),
    (SMOLAGENTS, "ends_clean"): (lambda rules: rules.ends_clean, True),
    (SMOLAGENTS, "leaves_failed_open"): (lambda rules: rules.leaves_failed_open, True),
    (OPENLLMETRY_LANGCHAIN, "records_pauses"): (lambda rules: rules.records_pauses, True),
    (STRANDS, "root_operations"): (
        lambda rules: rules.is_root({"gen_ai.operation.name": "invoke_swarm"}, "Swarm"),
        True,
    ),
    (STRANDS, "stop_event"): (lambda rules: rules.stop_event, StopEvent("gen_ai.choice", "finish_reason")),
    (STRANDS, "has_lifetime_totals"): (lambda rules: rules.has_lifetime_totals, True),
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
    by_name = {"agent_framework", "crewai", "gcp.vertex.agent", LOGFIRE, OPENINFERENCE_CREWAI, LANGCHAIN, LLAMA_INDEX}
    assert {SMOLAGENTS} == LEAVES_FAILED_OPEN
    assert {*by_name, STRANDS, OPENLLMETRY_LANGCHAIN, SCOPE_NAME, *COPYING_SCOPES} == SPECIAL_SCOPES


def test_root_operations_are_no_marks() -> None:
    """An operation that gives a role is not one that only an unmarked root has."""
    assert all(rules.root_operations.isdisjoint(OPERATION_ROLES) for rules in SCOPES.values())


@pytest.mark.parametrize("scope", SCOPES)
def test_rows_are_genai(scope: str) -> None:
    """Whoever has a row is a GenAI instrumentation, and so are its siblings, for which other rules hold."""
    assert rules_of(scope).is_genai
    assert rules_of(f"{scope}.sibling").is_genai
    assert not rules_of(f"my.{scope}").is_genai


@pytest.mark.parametrize("scope", [None, 7, ("crewai",)])
def test_scope_that_is_no_text(scope: Any) -> None:
    """The SDK takes any object for a scope's name; it has the rules of an application's own code."""
    assert rules_of(scope) == rules_of("app")


def test_expected_roots_and_names() -> None:
    """A root or a name added to a row without spans written here fails."""
    assert {scope for scope, rules in SCOPES.items() if rules.roots is not None} == set(EXPECTED_ROOTS)
    assert {(scope, name) for scope, rules in SCOPES.items() for name in rules.name_roles} == set(EXPECTED_NAMES)
    assert rules_of(STRANDS).root_operations == {"invoke_graph", "invoke_swarm"}


@pytest.mark.parametrize(("span", "role"), EXPECTED_NAMES.items())
def test_name(span: tuple[str, str], role: Role) -> None:
    """A span that carries no mark at all is known by scope and name together; a mark is stronger."""
    scope, name = span
    assert rules_of(scope).role_of({}, name) is role
    assert rules_of("app").role_of({}, name) is Role.OTHER
    assert rules_of(scope).role_of({}, "Turn {turn}") is Role.OTHER
    assert rules_of(scope).role_of({"gen_ai.operation.name": "embeddings"}, name) is Role.MODEL


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
