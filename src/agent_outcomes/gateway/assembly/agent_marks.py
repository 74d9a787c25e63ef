# SPDX-License-Identifier: Apache-2.0
"""Whether encoded spans may hold an agent at all, told by a search for the keys that the rules know agents by.

Nearly all spans of the world are no agent's, so that this is all that is ever read of what stands in them. The keys
are those of the rule tables, each as it is encoded: behind the tag of an attribute's key and its length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.run.conventions import CONVENTION_NAME_KEYS, KEY_ROLES, KIND_ROLES, OPERATION, Role
from agent_outcomes.run.scopes import NAMED_SCOPES
from agent_outcomes.spans.marks import OUTCOME_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

AGENT_KEYS: Final = frozenset(
    {
        OPERATION,
        *(key for key, roles in KIND_ROLES.items() if Role.AGENT in roles.values()),
        *KEY_ROLES,
        *CONVENTION_NAME_KEYS,
        *OUTCOME_KEYS,
    }
)
"""What a span has one of that is an agent's by its attributes, or that states an outcome."""
_KEY_TAG: Final = rb"\n"


def _pattern_of(keys: Iterable[str]) -> re.Pattern[bytes]:
    # The tag in front is one byte that is always the same, which is what is searched for at the speed of memory.
    ways = [re.escape(bytes((len(key),)) + key.encode()) for key in sorted(keys)]
    return re.compile(_KEY_TAG + b"(?:" + b"|".join(ways) + b")", re.DOTALL)


_has_agent_key: Final = _pattern_of(AGENT_KEYS).search
# The name of a span, its field 5, as the conventions have it of agents.
_has_agent_name: Final = re.compile(rb"\*(?:[\x0c-\x7f]|[\x80-\xff][\x01-\x7f])invoke_(?:agent|workflow)").search
_has_evaluation: Final = re.compile(rb"\n[\x0c-\x7f](?:trace\.)?(?:annotations|evaluations)\.").search


def may_hold_agents(encoded: bytes) -> bool:
    """Whether a span, or any span of a request, has an attribute or the name by which an agent may be known."""
    return _has_agent_key(encoded) is not None or _has_agent_name(encoded) is not None


def may_hold_evaluations(encoded: bytes) -> bool:
    """Whether a span, or any span of a request, has an attribute of an evaluation."""
    return _has_evaluation(encoded) is not None


def is_agents_scope(name: str) -> bool:
    """Whether spans of this scope may be agents by their names alone."""
    return NAMED_SCOPES[name]
