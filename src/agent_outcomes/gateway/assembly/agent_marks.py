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
from agent_outcomes.run.usage_keys import USAGE_KEYS
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


def _trie_of(keys: Iterable[str]) -> str:
    """A pattern of any of the keys that looks at what several have in common once."""
    tails: dict[str, list[str]] = {}
    for key in sorted(keys):
        if key:
            tails.setdefault(key[0], []).append(key[1:])
    if not tails or "" in keys:
        # Whatever may follow, one of them is there.
        return ""
    ways = [re.escape(first) + _trie_of(rest) for first, rest in tails.items()]
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


_LENGTHS: Final = bytes((min(map(len, AGENT_KEYS)), max(map(len, AGENT_KEYS))))
# The tag in front is one byte that is always the same, which is searched for at the speed of memory.
_has_agent_key: Final = re.compile(
    b"\n[" + re.escape(_LENGTHS[:1]) + b"-" + re.escape(_LENGTHS[1:]) + b"]" + _trie_of(AGENT_KEYS).encode()
).search
_has_usage_key: Final = re.compile(b"\n[\x01-\x7f]" + _trie_of(USAGE_KEYS).encode()).search
_has_evaluation: Final = re.compile(rb"\n[\x0c-\x7f](?:trace\.)?(?:annotations|evaluations)\.").search


def may_hold_agents(encoded: bytes) -> bool:
    """Whether a span, or any span of a request, may have an attribute by which an agent is known.

    One that is known by its name alone is so by its scope, too.
    """
    return _has_agent_key(encoded) is not None


def may_hold_usage(encoded: bytes) -> bool:
    """Whether a span may count for a run: as a call of a model or a tool, or by an amount of tokens or of money."""
    return may_hold_agents(encoded) or _has_usage_key(encoded) is not None


def may_hold_evaluations(encoded: bytes) -> bool:
    """Whether a span, or any span of a request, has an attribute of an evaluation."""
    return _has_evaluation(encoded) is not None


def is_agents_scope(name: str) -> bool:
    """Whether spans of this scope may be agents by their names alone."""
    return NAMED_SCOPES[name]
