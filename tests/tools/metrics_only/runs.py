# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs: what is noted on each of them, and the conditions of the collector's filter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.run.conventions import (
    CONVENTION_NAME_KEYS,
    KEY_ROLES,
    KIND_ROLES,
    OPERATION,
    OPERATION_ROLES,
    Role,
)
from agent_outcomes.run.graphs import INTEGRATION, INTEGRATIONS, NODE, GraphMetadata
from agent_outcomes.run.scope_rules import GENAI_SCOPE, ROOT_KINDS
from agent_outcomes.run.scopes import FAMILIES, SCOPES
from tests.tools.metrics_only.ottl import any_of, assign, attribute, cache, is_one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.run.scope_rules import ScopeRules

STEPS_MAX: Final = 24
"""How many spans above an agent are looked at."""

_ABOVE: Final = "agent_outcomes.above"
_IS_AGENT: Final = f"{attribute('agent_outcomes.is_agent')} == true"
_IS_OUTERMOST: Final = f"{attribute('agent_outcomes.is_outermost')} == true"
_STATES: Final = f"{attribute('agent_outcomes.states')} == true"
# Bit 8 of the flags says that bit 9 is known, bit 9 that the parent is in another process.
_LOCAL_PARENT: Final = "not IsRootSpan() and (span.flags < 768 or span.flags > 1023)"
# Without flags a server's parent, and a consumer's, is taken for a client in another process.
_ENTRY: Final = "span.flags < 256 and (span.kind == SPAN_KIND_SERVER or span.kind == SPAN_KIND_CONSUMER)"
_AGENT: Final = quoted("agent")
_TOP: Final = quoted("")


def marking_statements() -> Iterator[str]:
    """What is noted of each span, and with its resource for those below it: its parent, nothing, or an agent."""
    has_outcome = any_of(f"{attribute(key)} != nil" for key in sorted(semconv.READ_ATTRIBUTES))
    yield assign(attribute("agent_outcomes.is_agent"), "true", any_of([role_of_span({Role.AGENT}), *known_roots()]))
    # A model call or a tool is no run, whatever it states.
    may_state = f"({_IS_AGENT} or not {role_of_span({Role.MODEL, Role.TOOL})})"
    yield assign(attribute("agent_outcomes.states"), "true", f"{has_outcome} and {may_state}")
    above = _above("span.span_id.string")
    yield assign(above, "span.parent_span_id.string", _LOCAL_PARENT)
    yield assign(above, _TOP, f"not ({_LOCAL_PARENT}) or ({_ENTRY})")
    yield assign(above, _AGENT, f"{_IS_AGENT} or {_STATES}")


def climbing_statements() -> Iterator[str]:
    """From an agent up to the first span of its process; where one on the way is missing, no further."""
    here = cache("above")
    yield assign(here, "span.parent_span_id.string", f"{_IS_AGENT} and {_LOCAL_PARENT}")
    for _ in range(STEPS_MAX):
        yield assign(here, _above(here), f"{here} != nil and {here} != {_TOP} and {here} != {_AGENT}")
    yield assign(attribute("agent_outcomes.is_outermost"), "true", f"{here} == {_TOP}")


def cleaning_statements() -> Iterator[str]:
    """Take away what was noted with the resource."""
    yield f"delete_key(resource.attributes, {quoted(_ABOVE)})"


def plain_conditions() -> Iterator[tuple[str, str]]:
    """Why and which spans are neither agents nor state an outcome, for the first filter."""
    why = "Neither an agent's mark nor an outcome; or a model call or a tool, which is no run whatever it states."
    yield why, f"not ({_IS_AGENT}) and not ({_STATES})"


def drop_conditions() -> Iterator[tuple[str, str]]:
    """Why and which of the others are no runs, for the second filter; a span that matches any of them goes."""
    yield (
        "An agent that is, or may be, part of another one's run, and states no outcome.",
        f"not ({_STATES}) and {_LOCAL_PARENT} and not ({_IS_OUTERMOST})",
    )


def _above(span_id: str) -> str:
    return f"resource.attributes[{quoted(_ABOVE)}][span.trace_id.string][{span_id}]"


def role_of_span(roles: set[Role]) -> str:
    """Whether a span has one of these roles, by its marks or by a name that the conventions give to agents."""
    if Role.AGENT in roles:
        return any_of([_marked(roles), _named_by_conventions(), _written_over()])
    return f"({_marked(roles)} and not {_named_by_conventions()} and not {_written_over()})"


def _written_over() -> str:
    """Whether the marks of a model call stand beside an agent's kind: something else has written them there."""
    agents = {key: [str(word) for word in table if table[word] is Role.AGENT] for key, table in KIND_ROLES.items()}
    kinds = any_of([is_one_of(words, attribute(key)) for key, words in agents.items() if words])
    return f"({kinds} and {_marked({Role.MODEL})})"


def _marked(roles: set[Role]) -> str:
    """Whether its marks say so: the operation name is the strongest one, then the kinds in order, then mere keys."""
    keys = [f"{attribute(key)} != nil" for key, role in KEY_ROLES.items() if role in roles]
    condition = any_of(keys) if keys else "false"
    for key, table in reversed(list(KIND_ROLES.items())):
        found = [str(word) for word, role in table.items() if role in roles]
        known = [str(word) for word in table]
        condition = _or_unless_known(found, known, attribute(key), condition)
    operations = [str(word) for word, role in OPERATION_ROLES.items() if role in roles]
    return f"({_or_unless_known(operations, [str(word) for word in OPERATION_ROLES], attribute(OPERATION), condition)})"


def _or_unless_known(found: list[str], known: list[str], path: str, weaker: str) -> str:
    if weaker == "false":
        return is_one_of(found, path) if found else weaker
    unless = f"(not {is_one_of(known, path)} and ({weaker}))"
    return f"{is_one_of(found, path)} or {unless}" if found else unless


def _named_by_conventions() -> str:
    """Whether a span is named as the conventions name agents', and is no tool by its marks."""
    named = f"IsMatch(span.name, {quoted('^invoke_(?:agent|workflow)(?:[[:space:]]|$)')})"
    keys = [f"{attribute(key)} != nil" for key in sorted(CONVENTION_NAME_KEYS)]
    families = re.sub(r"\s+", "", GENAI_SCOPE.pattern)
    known = any_of([*keys, f"IsMatch(scope.name, {quoted(f'^{families}')})"])
    return f"({named} and {known} and not {_marked({Role.TOOL, Role.OTHER})})"


def known_roots() -> Iterator[str]:
    """Conditions for the frameworks' roots that carry no agent mark."""
    for scope, rules in all_scopes():
        conditions = [
            *_known_names(rules),
            *_known_operations(rules),
            *_known_keys(rules),
            *_known_graphs(rules.graph),
        ]
        if conditions:
            yield f"({scope} and {any_of(conditions)})"


def all_scopes() -> Iterator[tuple[str, ScopeRules]]:
    """Every row of the tables of scopes with the condition that a span is of one."""
    for scope, rules in SCOPES.items():
        yield f"scope.name == {quoted(scope)}", rules
    for pattern, rules in FAMILIES:
        yield f"IsMatch(scope.name, {quoted(f'^{pattern.pattern}')})", rules


def _known_names(rules: ScopeRules) -> Iterator[str]:
    if rules.roots is None:
        return
    found = f"IsMatch(span.name, {quoted(f'^(?:{rules.roots.pattern})$')})"
    if rules.not_roots is not None:
        found += f" and not IsMatch(span.name, {quoted(f'^(?:{rules.not_roots.pattern})$')})"
    kinds = [(attribute(key), words) for key, words in ROOT_KINDS.items()]
    may_be = " and ".join(f"({kind} == nil or {is_one_of(list(words), kind)})" for kind, words in kinds)
    yield f"({found} and {may_be})"


def _known_operations(rules: ScopeRules) -> Iterator[str]:
    if rules.root_operations:
        yield is_one_of(sorted(rules.root_operations), attribute(OPERATION))


def _known_keys(rules: ScopeRules) -> Iterator[str]:
    """Whether a span has a mark of its instrumentation's own for agents."""
    yield from (f"{attribute(key)} != nil" for key in sorted(rules.root_keys))
    if rules.own_kinds is not None:
        agents = [str(word) for word, role in rules.own_kinds.roles.items() if role is Role.AGENT]
        if agents:
            yield is_one_of(agents, attribute(rules.own_kinds.key))


def _known_graphs(graph: GraphMetadata | None) -> Iterator[str]:
    """Whether a LangGraph callback's metadata are those of a graph within no node."""
    if graph is None:
        return
    if graph.is_flat:
        found = is_one_of(sorted(INTEGRATIONS), attribute(f"{graph.key}{INTEGRATION}"))
        yield f"({found} and {attribute(f'{graph.key}{NODE}')} == nil)"
        return
    metadata = attribute(graph.key)
    integration = rf'"{INTEGRATION}"\s*:\s*"(?:{"|".join(sorted(INTEGRATIONS))})"'
    node = quoted(f'"{NODE}"')
    yield f"({metadata} != nil and IsMatch({metadata}, {quoted(integration)}) and not IsMatch({metadata}, {node}))"
