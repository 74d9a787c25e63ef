# SPDX-License-Identifier: Apache-2.0
"""What an agent's span said of itself when it started, kept while it is open: its attributes may not last.

The SDK evicts a span's oldest attributes beyond its limit (128, unless told otherwise), and marks are set first. Some
libraries write what they know of a model call onto whatever span is current: LiteLLM's callback does, and the
instrumentations of ADK and CrewAI. What was an agent stays one, by the name that it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.fields import NamedTuple
from agent_outcomes.run.conventions import KIND_KEYS, NAME_PREFIX, OPERATION, Role, has_agent_kind, role_by_marks
from agent_outcomes.run.scopes import rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits
    from agent_outcomes.run.model import AgentSpan
    from agent_outcomes.spans.facts import SpanFacts

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_AGENT: Final = Role.AGENT
_ID_KEYS: Final = (semconv.GEN_AI_AGENT_ID, semconv.GEN_AI_CONVERSATION_ID)


class Began(NamedTuple):
    """A span's name and attributes as they were when it started, or was first seen to be an agent's."""

    name: str
    attributes: Mapping[str, Any]


def is_agent(scope: str, began: Began) -> bool:
    """Whether the span was an agent's by its marks."""
    rules = rules_of(scope)
    return rules.role_of(began.attributes, began.name) is Role.AGENT or rules.is_root(began.attributes, began.name)


def role_with_past(span: SpanFacts, attributes: Mapping[str, Any], began: Began | None) -> Role:
    """What a span is in a run, whatever has become of its marks.

    Of one that was not marked at its start an agent's kind tells, or a framework's root, beside a model call's
    operation; and its name, which nothing evicts.
    """
    scope, name, limits = span.scope, span.name, span.limits
    rules = rules_of(scope)
    role = rules.role_of(attributes, name)
    if role is _AGENT:
        return role
    was_agent = began is not None and not _is_as_then(limits, attributes, began) and is_agent(scope, began)
    if role is Role.MODEL:
        return _AGENT if was_agent or has_agent_kind(attributes) or rules.is_root(attributes, name) else role
    if was_agent:
        return role if rules.is_root(attributes, name) else _AGENT
    return _AGENT if limits.has_dropped and NAME_PREFIX.match(name) is not None else role


def as_it_began(span: AgentSpan, began: Began | None) -> AgentSpan:
    """An agent's span by the name that it had at its start, where that was evicted or written over with the marks."""
    if began is None:
        return span
    now, then = span.attributes, began.attributes
    if _is_as_then(span.limits, now, began) or not is_agent(span.scope, began):
        return span
    keys = (*rules_of(span.scope).agent_name_keys(), *_ID_KEYS)
    identity = {key: then[key] for key in keys if key in then}
    if role_by_marks(now) in (None, role_by_marks(then)):
        return span._replace(attributes={**identity, **now})
    return span._replace(name=began.name, attributes={**now, **identity})


def _is_as_then(limits: SpanLimits, now: Mapping[str, Any], began: Began) -> bool:
    """Whether nothing that marked the span has gone or changed, nor an operation been added that says otherwise."""
    then = began.attributes
    if limits.has_dropped or now.get(OPERATION) != then.get(OPERATION):
        return False
    if KIND_KEYS.isdisjoint(then):
        return True
    kinds = KIND_KEYS.intersection(then)
    return [now.get(key) for key in kinds] == [then[key] for key in kinds]
