# SPDX-License-Identifier: Apache-2.0
"""Whatever the tree of agents, steps and pauses, and whenever somebody looks: each token is counted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode

from tests.pipeline import AGENT, MODEL, OPENINFERENCE_LANGCHAIN, TOOL, Pipeline, usage, use

if TYPE_CHECKING:
    from collections.abc import Iterator

SCOPES = ("app", "pydantic-ai", OPENINFERENCE_LANGCHAIN, "opentelemetry.instrumentation.mcp.instrumentation")


@dataclass(frozen=True)
class Node:
    """A span: what it is, which instrumentation made it, how many tokens a model call uses, and what is below."""

    kind: str
    scope: str
    tokens: int
    below: list[Node] = field(default_factory=list)
    looks: bool = False


def nodes(kinds: list[str], below: st.SearchStrategy[list[Node]]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        kind=st.sampled_from(kinds),
        scope=st.sampled_from(SCOPES),
        tokens=st.integers(0, 1_000_000),
        below=below,
        looks=st.booleans(),
    )


LEAVES = nodes(["model", "tool", "asks", "raises"], st.just([]))
INNER = ["agent", "agent", "step", "tool", "turns", "pauses"]
TREES = st.recursive(LEAVES, lambda below: nodes(INNER, st.lists(below, max_size=4)), max_leaves=20)
ROOTS = st.lists(nodes(["agent", "pauses", "turns", "outer"], st.lists(TREES, max_size=5)), min_size=1, max_size=3)


def make(node: Node, pipeline: Pipeline) -> None:
    """Make the spans of a tree."""
    # Of code of the application's own no span is waited for that is not marked.
    scope = SCOPES[-1] if node.kind == "turns" and node.scope == "app" else node.scope
    marks = {"agent": AGENT, "pauses": AGENT, "model": MODEL, "tool": TOOL, "asks": TOOL, "raises": TOOL}
    with pipeline.tracer(scope).start_as_current_span(node.kind, attributes=marks.get(node.kind)) as span:
        for one in node.below:
            make(one, pipeline)
        if node.kind == "model":
            use(span, node.tokens, 1)
        elif node.kind == "asks":
            span.set_attribute("pydantic_ai.tool.deferral.name", "ApprovalRequired")
        elif node.kind in ("raises", "pauses"):
            span.add_event("exception", {"exception.type": "langgraph.errors.NodeInterrupt"})
            span.set_status(StatusCode.ERROR)
        elif node.kind == "turns":
            span.set_attribute("gen_ai.operation.name", "invoke_agent")
    if node.looks:
        pipeline.spans.force_flush()


def ledger(node: Node, *, in_agent: bool) -> Iterator[int]:
    """What the model calls below agents have used."""
    in_agent = in_agent or node.kind in ("agent", "pauses", "turns")
    if node.kind == "model" and in_agent:
        yield node.tokens
    for one in node.below:
        yield from ledger(one, in_agent=in_agent)


@given(roots=ROOTS, is_patient=st.booleans())
def test_every_token_is_counted_once(roots: list[Node], *, is_patient: bool) -> None:
    """In a run, or when it stopped to ask; every run that was counted has its event; no run waits for ever."""
    pipeline = Pipeline()
    hold_s = 3600.0 if is_patient else 0.0
    names = ("HOLD_MAX_S", "HOLD_LATE_MAX_S", "LOOK_INTERVAL_S")
    holds: dict[str, Any] = dict.fromkeys(names, hold_s)
    with patch.multiple("agent_outcomes.spans.stale", **holds):
        for root in roots:
            make(root, pipeline)
    used = [tokens for root in roots for tokens in ledger(root, in_agent=False)]
    runs, input_tokens, output_tokens, _ = usage(pipeline)
    assert (input_tokens, output_tokens) == (sum(used), len(used))
    assert runs == len(pipeline.events())
    assert pipeline.error_count() == 0
    assert pipeline.open_count() == pipeline.processor._tracker.waiting_count == 0
