# SPDX-License-Identifier: Apache-2.0
"""LangGraph's runs, as LangChain's callbacks tell them: in metadata, by which a graph is told from its nodes.

`ls_integration` names what runs the graph, `langgraph_node` the node within which a callback came, and
`lc_agent_name` the agent that was made by that name, for which its graph is called, too. Names are compared with each
other only: what they are is the user's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.text import map_of_json
from agent_outcomes.run.conventions import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

GRAPH_METADATA_LENGTH_MAX: Final = 65_536
"""Metadata that are longer, in characters, are not read."""

INTEGRATIONS: Final = frozenset({"langgraph", "langchain_create_agent", "deepagents"})
"""What `ls_integration` is called where a graph runs: LangGraph's own, and what is built upon it."""

INTEGRATION: Final = "ls_integration"
NODE: Final = "langgraph_node"
AGENT_NAME: Final = "lc_agent_name"
# Set on what is within a node; the node itself has only `langgraph_checkpoint_ns`.
_WITHIN: Final = "checkpoint_ns"


class GraphMetadata(NamedTuple):
    """Where the metadata stand on a span: a JSON object in attribute `key`, or, flat, attributes that begin with it."""

    key: str
    is_flat: bool = False

    def role_of(self, attributes: Mapping[str, Any], name: str, marked: Role | None) -> Role | None:
        """What a span that is no model call and no tool is: a graph's own is an agent's, that of a node is a step.

        `marked` is what its marks say: OpenInference marks all as agents that have "agent" in their name.
        """
        if self.is_flat:
            metadata = self._flat(attributes)
        else:
            metadata = map_of_json(attributes.get(self.key), GRAPH_METADATA_LENGTH_MAX) or {}
        node = metadata.get(NODE)
        if node is None:
            integration = metadata.get(INTEGRATION)
            return Role.AGENT if isinstance(integration, str) and integration in INTEGRATIONS else marked
        is_named = metadata.get(AGENT_NAME) == name
        if is_named and (node != name or _WITHIN in metadata):
            return Role.AGENT
        return Role.OTHER if node == name else marked

    def _flat(self, attributes: Mapping[str, Any]) -> dict[str, object]:
        found = ((key, f"{self.key}{key}") for key in (INTEGRATION, NODE, AGENT_NAME, _WITHIN))
        return {key: attributes[name] for key, name in found if name in attributes}
