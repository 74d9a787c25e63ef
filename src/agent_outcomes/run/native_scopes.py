# SPDX-License-Identifier: Apache-2.0
"""More rows of `scopes`: frameworks and SDKs that trace themselves, read from what they emit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.conventions import OPENINFERENCE_KIND, Role
from agent_outcomes.run.scope_rules import OwnKinds, ScopeRules

if TYPE_CHECKING:
    from collections.abc import Mapping

NATIVE_SCOPES: Final[Mapping[str, ScopeRules]] = {
    # An agent's attributes are on all that is below it, but for the state; so are a workflow's. A model span is all
    # that the AI SDK has asked for one answer, with the usage of the last step (`recordLLMUsage`); the agent's has that
    # of all of them, and of no subagent's (`setUsage`).
    "@voltagent/core": ScopeRules(
        root_keys=frozenset({"agent.state", "workflow.state"}),
        own_kinds=OwnKinds("span.type", {"llm": Role.MODEL, "tool": Role.TOOL}),
        name_keys=("subagent.name", "entity.name"),
        sums_own_calls=True,
        is_genai=False,
    ),
    # Of Dapr Agents. Gives what is neither a model call nor a tool in a workflow the operation of an agent; such an
    # activity runs wherever the workflow engine has it run, mostly after the agent's span has ended.
    "dapr_agents.observability.instrumentor": ScopeRules(
        own_kinds=OwnKinds(
            OPENINFERENCE_KIND, {"AGENT": Role.AGENT, "LLM": Role.MODEL, "TOOL": Role.TOOL, "TASK": Role.OTHER}
        ),
        is_genai=False,
    ),
    # A session is a call from pick-up to hang-up, and the workflow of its turns, which have the marks of agents from
    # 1.6 on. All sessions have one workflow's name, and the first agent's label. A turn that failed leaves the session
    # going; nobody has got over that if none follows. The entrypoint above may be over before the call is.
    "livekit-agents": ScopeRules(
        roots=Pattern(r"agent_session"),
        name_roles={"function_tool": Role.TOOL},
        name_keys=("lk.agent_label",),
        misnamed_keys=frozenset({"gen_ai.workflow.name"}),
        unnamed_roots=frozenset({"agent_session"}),
        fails_with_last_agent=True,
        is_genai=False,
    ),
    # Laminar's, in the decorators of which OpenHands traces itself: it runs a conversation as often as it is asked to.
    "lmnr.tracer": ScopeRules(
        roots=Pattern(r"conversation\.run"), unnamed_roots=frozenset({"conversation.run"}), is_genai=False
    ),
    # Marks nothing: what asks a model until it is done is called by its class, its own name and how it was asked, and
    # asks itself once more below. A call that failed is told of there, and the answer is then an empty one.
    "mcp-agent": ScopeRules(
        roots=Pattern(r"\w+\.(?:.+\.)?generate(?:_str|_structured)?"),
        fails_with_last_agent=True,
        is_genai=False,
    ),
}
