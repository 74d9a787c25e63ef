# SPDX-License-Identifier: Apache-2.0
"""How a LangGraph callback's metadata tell graphs and agents from nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.run.conventions import Role
from agent_outcomes.run.graphs import GRAPH_METADATA_LENGTH_MAX, GraphMetadata

JSON = GraphMetadata("metadata")
FLAT = {
    prefix: GraphMetadata(prefix, is_flat=True) for prefix in ("langsmith.metadata.", "langfuse.observation.metadata.")
}
NAMES = st.sampled_from(["desk", "billing", "agent", "model", "tools", "reiseb\u00fcro", "my agent.before_agent"])


def role(metadata: dict[str, Any], name: str, marked: Role | None = None) -> Role | None:
    """What all spellings of the same metadata say."""
    found = JSON.role_of({"metadata": json.dumps(metadata)}, name, marked)
    for prefix, rule in FLAT.items():
        assert rule.role_of({f"{prefix}{key}": value for key, value in metadata.items()}, name, marked) is found
    return found


@given(NAMES, st.sampled_from(["langgraph", "langchain_create_agent", "deepagents"]))
def test_graph_of_any_name(name: str, integration: str) -> None:
    """A graph that is within no node is an agent's run, whatever it is called and marked as."""
    for marked in (None, Role.OTHER, Role.AGENT):
        assert role({"ls_integration": integration}, name, marked) is Role.AGENT


@given(NAMES)
def test_node_of_any_name(name: str) -> None:
    """A node is a step, though it be marked as an agent for its name's sake."""
    for marked in (None, Role.OTHER, Role.AGENT):
        found = role({"ls_integration": "langgraph", "lc_agent_name": "other", "langgraph_node": name}, name, marked)
        assert found is Role.OTHER


@given(NAMES, NAMES)
def test_agent_within_a_node(name: str, node: str) -> None:
    """A graph within a node is an agent if it was made as one by that name; in the node it is named after, too."""
    metadata = {"ls_integration": "langgraph", "lc_agent_name": name, "langgraph_node": node, "checkpoint_ns": "n:1"}
    assert role(metadata, name) is Role.AGENT


@given(NAMES)
def test_agent_named_after_its_own_node(name: str) -> None:
    """The node of an agent that is called as the node is remains a node."""
    metadata = {"ls_integration": "langgraph", "lc_agent_name": name, "langgraph_node": name}
    assert role(metadata, name, Role.AGENT) is Role.OTHER


@pytest.mark.parametrize("marked", [None, Role.AGENT])
def test_what_is_within_a_node(marked: Role | None) -> None:
    """What is neither the node itself nor named as the agent is what its marks say."""
    metadata = {"ls_integration": "langgraph", "lc_agent_name": "desk", "langgraph_node": "model"}
    assert role(metadata, "RunnableLambda", marked) is marked


@pytest.mark.parametrize("integration", ["langchain_chat_model", "else", 7, None])
def test_no_graph(integration: object) -> None:
    """A chain or a model that is called on its own is none."""
    assert role({"ls_integration": integration}, "desk") is None
    assert role({}, "desk") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        7,
        None,
        '{"ls_integration": ["langgraph"]}',
        "[" * 100_000,
        json.dumps({"ls_integration": "langgraph", "more": "x" * GRAPH_METADATA_LENGTH_MAX}),
    ],
)
def test_no_metadata(text: object) -> None:
    """What is no JSON object, or too long, says nothing, and the marks stand."""
    assert JSON.role_of({"metadata": text}, "desk", Role.AGENT) is Role.AGENT
    assert JSON.role_of({"metadata": text}, "desk", None) is None
