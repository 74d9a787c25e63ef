# SPDX-License-Identifier: Apache-2.0
"""How the conventions mark spans: every operation and kind, row by row, against roles written out here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.run.call_reading import kind_of
from agent_outcomes.run.calls import CallKind
from agent_outcomes.run.conventions import (
    KEY_ROLES,
    KIND_ROLES,
    OPERATION_ROLES,
    Role,
    is_agent_by_name,
    is_generated_name,
    role_by_marks,
    text_of_json,
)

if TYPE_CHECKING:
    from random import Random

EXPECTED_OPERATIONS = {
    "invoke_agent": Role.AGENT,
    "invoke_workflow": Role.AGENT,
    "chat": Role.MODEL,
    "generate_content": Role.MODEL,
    "text_completion": Role.MODEL,
    "embeddings": Role.MODEL,
    "execute_tool": Role.TOOL,
    "llm_call": Role.MODEL,
    "tool_call": Role.TOOL,
    "call_llm": Role.MODEL,
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
    ("ai.operationId", "ai.generateText"): Role.AGENT,
    ("ai.operationId", "ai.streamText"): Role.AGENT,
    ("ai.operationId", "ai.generateObject"): Role.AGENT,
    ("ai.operationId", "ai.streamObject"): Role.AGENT,
    ("ai.operationId", "ai.generateText.doGenerate"): Role.MODEL,
    ("ai.operationId", "ai.streamText.doStream"): Role.MODEL,
    ("ai.operationId", "ai.generateObject.doGenerate"): Role.MODEL,
    ("ai.operationId", "ai.streamObject.doStream"): Role.MODEL,
    ("ai.operationId", "ai.embed.doEmbed"): Role.MODEL,
    ("ai.operationId", "ai.embedMany.doEmbed"): Role.MODEL,
    ("ai.operationId", "ai.toolCall"): Role.TOOL,
    ("spring.ai.kind", "chat_client"): Role.AGENT,
    ("spring.ai.kind", "tool_call"): Role.TOOL,
    ("embabel.event.type", "agent_process"): Role.AGENT,
    ("embabel.event.type", "tool_call"): Role.TOOL,
    ("mastra.span.type", "agent_run"): Role.AGENT,
    ("mastra.span.type", "workflow_run"): Role.AGENT,
    ("mastra.span.type", "tool_call"): Role.TOOL,
    ("mastra.span.type", "mcp_tool_call"): Role.TOOL,
    ("nat.span.kind", "WORKFLOW"): Role.AGENT,
    ("genkit:type", "util"): Role.AGENT,
    ("genkit:type", "dotprompt"): Role.AGENT,
    ("genkit:metadata:subtype", "flow"): Role.AGENT,
    ("genkit:metadata:subtype", "agent"): Role.AGENT,
    ("genkit:metadata:subtype", "model"): Role.MODEL,
    ("genkit:metadata:subtype", "embedder"): Role.MODEL,
    ("genkit:metadata:subtype", "tool"): Role.TOOL,
    ("genkit:metadata:subtype", "tool.v2"): Role.TOOL,
    ("mlflow.spanType", '"AGENT"'): Role.AGENT,
    ("mlflow.spanType", '"LLM"'): Role.MODEL,
    ("mlflow.spanType", '"CHAT_MODEL"'): Role.MODEL,
    ("mlflow.spanType", '"EMBEDDING"'): Role.MODEL,
    ("mlflow.spanType", '"TOOL"'): Role.TOOL,
    ("agentops.span.kind", "workflow"): Role.AGENT,
    ("agentops.span.kind", "agent"): Role.AGENT,
    ("agentops.span.kind", "llm"): Role.MODEL,
    ("agentops.span.kind", "tool"): Role.TOOL,
    ("lmnr.span.type", "LLM"): Role.MODEL,
    ("lmnr.span.type", "TOOL"): Role.TOOL,
    ("mcp.method.name", "tools/call"): Role.TOOL,
    ("llm.request.type", "chat"): Role.MODEL,
    ("llm.request.type", "completion"): Role.MODEL,
    ("llm.request.type", "embedding"): Role.MODEL,
    ("gen_ai.request.type", "chat"): Role.MODEL,
    ("gen_ai.request.type", "completion"): Role.MODEL,
    ("gen_ai.request.type", "embedding"): Role.MODEL,
}
# traceAI, in its first versions and since, and Alibaba Cloud; VeADK in lower case.
EXPECTED_KINDS |= {
    (key, word): role
    for key in ("gen_ai.span.kind", "fi.span.kind")
    for word, role in {
        "AGENT": Role.AGENT,
        "LANGGRAPH": Role.AGENT,
        "LLM": Role.MODEL,
        "EMBEDDING": Role.MODEL,
        "TOOL": Role.TOOL,
    }.items()
}
EXPECTED_KINDS |= {
    ("gen_ai.span.kind", "workflow"): Role.AGENT,
    ("gen_ai.span.kind", "agent"): Role.AGENT,
    ("gen_ai.span.kind", "llm"): Role.MODEL,
    ("gen_ai.span.kind", "embedding"): Role.MODEL,
    ("gen_ai.span.kind", "tool"): Role.TOOL,
}
# DeepEval, LangWatch, Laminar.
EXPECTED_KINDS |= {
    (key, word): role
    for key in ("confident.span.type", "langwatch.span.type")
    for word, role in (("agent", Role.AGENT), ("llm", Role.MODEL), ("tool", Role.TOOL))
}
EXPECTED_KINDS |= {("lmnr.span.type", "LLM"): Role.MODEL, ("lmnr.span.type", "TOOL"): Role.TOOL}
# LiteLLM has the names of its own functions there.
EXPECTED_KINDS |= {
    (key, word): Role.MODEL
    for key in ("llm.request.type", "gen_ai.request.type")
    for word in (
        *("acompletion", "text_completion", "atext_completion", "aembedding", "responses", "aresponses"),
        *("anthropic_messages", "generate_content", "agenerate_content"),
        *("generate_content_stream", "agenerate_content_stream"),
    )
}
EXPECTED_KEYS = {"haystack.agent.max_steps": Role.AGENT, "spring.ai.alibaba.graph.name": Role.AGENT}


@pytest.mark.parametrize(("operation", "role"), EXPECTED_OPERATIONS.items())
def test_operation(operation: str, role: Role) -> None:
    """Each operation gives its role, whatever kind the span has besides."""
    assert role_by_marks({"gen_ai.operation.name": operation}) is role
    assert role_by_marks({"gen_ai.operation.name": operation, "openinference.span.kind": "AGENT"}) is role


@given(st.sampled_from(sorted(EXPECTED_OPERATIONS)), st.randoms())
def test_operation_however_it_is_spelled(operation: str, random: Random) -> None:
    """Neither case nor what divides its words matters: `Chat`, `TextCompletion`, `EXECUTE_TOOL`, `invoke-agent`."""
    divider = random.choice(["_", "", "-"])
    words = divider.join(random.choice([word, word.upper(), word.title()]) for word in operation.split("_"))
    assert role_by_marks({"gen_ai.operation.name": words}) is EXPECTED_OPERATIONS[operation]


@pytest.mark.parametrize("word", ["completion", "acompletion", "responses", "embedding", "Completion"])
def test_type_of_a_request_as_operation(word: str) -> None:
    """The words for the type of a request say the same where an operation should stand."""
    assert role_by_marks({"gen_ai.operation.name": word}) is Role.MODEL


@given(st.text(min_size=1))
def test_text_of_json(text: str) -> None:
    """What MLflow has written as JSON reads as what it was; one that is none stands for itself."""
    assert text_of_json(json.dumps(text)) == text
    assert text_of_json(f"desk {text}") == f"desk {text}"


@pytest.mark.parametrize(("text", "plain"), [("null", None), ('""', None), ('"cut of', "cut of"), ("7", "7")])
def test_text_that_is_no_json_text(text: str, plain: str | None) -> None:
    """No name is none, and what has been cut is read as far as it goes."""
    assert text_of_json(text) == plain


@pytest.mark.parametrize(("mark", "role"), EXPECTED_KINDS.items())
def test_calls_that_embed(mark: tuple[str, str], role: Role) -> None:
    """The words for calls that embed say so themselves; all other model calls are chats."""
    key, kind = mark
    found = kind_of(role, {key: kind})
    is_embedding = "embed" in kind.lower()
    assert found is (None if role in {Role.AGENT, Role.TOOL} else CallKind.EMBEDDING if is_embedding else CallKind.CHAT)


@pytest.mark.parametrize(("mark", "role"), EXPECTED_KINDS.items())
def test_kind(mark: tuple[str, str], role: Role) -> None:
    """Each kind gives its role, where the operation gives none."""
    key, kind = mark
    assert role_by_marks({key: kind}) is role
    assert role_by_marks({key: kind, "gen_ai.operation.name": "plan"}) is role


@pytest.mark.parametrize(("key", "role"), EXPECTED_KEYS.items())
def test_key(key: str, role: Role) -> None:
    """An attribute that only such spans have gives its role whatever it says, where nothing else does."""
    assert role_by_marks({key: 7}) is role
    assert role_by_marks({key: None, "gen_ai.operation.name": "execute_tool"}) is Role.TOOL


@pytest.mark.parametrize(
    ("name", "is_agent"),
    [
        ("invoke_agent", True),
        ("invoke_agent travel desk", True),
        ("invoke_workflow ticket", True),
        ("invoke_agents a", False),
        ("invoke_agent_a", False),
        ("Invoke_agent a", False),
        ("create_agent a", False),
        (" invoke_agent a", False),
        ("", False),
    ],
)
def test_named_by_the_conventions(name: str, *, is_agent: bool) -> None:
    """The conventions begin a span's name with its operation."""
    assert is_agent_by_name(name) is is_agent


def test_every_operation_and_kind_is_expected() -> None:
    """A row added to a table without a role written here fails."""
    assert set(OPERATION_ROLES) == set(EXPECTED_OPERATIONS)
    assert {(key, kind) for key, kinds in KIND_ROLES.items() for kind in kinds} == set(EXPECTED_KINDS)
    assert set(KEY_ROLES) == set(EXPECTED_KEYS)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"gen_ai.operation.name": "invoke agent"},
        {"gen_ai.operation.name": "chatter"},
        {"gen_ai.operation.name": "_" * 100_000 + "chat"},
        {"gen_ai.operation.name": "plan"},
        {"gen_ai.operation.name": None},
        {"gen_ai.operation.name": ["invoke_agent"]},
        {"gen_ai.operation.name": {"invoke_agent": 1}},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "agent"},
        {"traceloop.span.kind": "task"},
        {"traceloop.span.kind": 1},
        {"mlflow.spanType": "AGENT"},
        {"mlflow.spanType": '"CHAIN"'},
        {"agentops.span.kind": "session"},
        {"agentops.span.kind": "task"},
        {"mastra.span.type": "model_generation"},
        {"mastra.span.type": "workflow_step"},
        {"embabel.event.type": "llm_invocation"},
        {"spring.ai.alibaba.kind": "graph"},
        {"nat.span.kind": "FUNCTION"},
        {"langfuse.observation.type": "chain"},
        {"mcp.method.name": "tools/list"},
        {"llm.request.type": "rerank"},
        {"llm.request.type": ["chat"]},
    ],
)
def test_no_role(attributes: dict[str, Any]) -> None:
    """What is in no table is no mark."""
    assert role_by_marks(attributes) is None


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("200de2a4-7673-4f52-94d6-6da03526816c", True),
        ("WorkflowBuilder-db51cf82-d1b7-4412-820e-a6d361fba1ef", True),
        ("9F04C6D27B1E4A53B8C0D1E2F3A4B5C6", True),
        ("9f04c6d27b1e4a53b8c0d1e2f3a4b5c6", True),
        ("UnnamedAgent", True),
        ("llm_chain", True),
        ("my_llm_chain", False),
        ("Unnamed Agent", True),
        ("unnamed agent desk", False),
        ("support-200de2a4-7673-4f52-94d6-6da03526816c", False),
        ("support desk 9f04c6d27b1e4a53b8c0", False),
        ("9f04c6d27b1e4a53b8c0d1e2f3a4b5c", False),
        ("z" * 32, False),
        ("support", False),
        ("", False),
    ],
)
def test_generated_names(name: str, *, generated: bool) -> None:
    """What stands in for a name that nobody gave is no name; a name with an id in it is one."""
    assert is_generated_name(name) is generated
