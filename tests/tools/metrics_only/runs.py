# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs: what is noted on each of them, and the conditions of the collector's filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.run.conventions import KIND_ROLES, OPERATION, OPERATION_ROLES, Role
from agent_outcomes.run.scopes import SCOPES
from tests.tools.metrics_only.ottl import any_of, assign, attribute, cache, is_one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    yield assign(attribute("agent_outcomes.states"), "true", has_outcome)
    yield assign(attribute("agent_outcomes.is_agent"), "true", any_of([role_of_span({Role.AGENT}), *known_roots()]))
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
    yield "Neither an agent's mark nor an outcome.", f"not ({_IS_AGENT}) and not ({_STATES})"


def drop_conditions() -> Iterator[tuple[str, str]]:
    """Why and which of the others are no runs, for the second filter; a span that matches any of them goes."""
    yield (
        "An agent that is, or may be, part of another one's run, and states no outcome.",
        f"not ({_STATES}) and {_LOCAL_PARENT} and not ({_IS_OUTERMOST})",
    )
    yield (
        "A model call or a tool within a run.",
        f"{_STATES} and {_LOCAL_PARENT} and {role_of_span({Role.MODEL, Role.TOOL})}",
    )


def _above(span_id: str) -> str:
    return f"resource.attributes[{quoted(_ABOVE)}][span.trace_id.string][{span_id}]"


def role_of_span(roles: set[Role]) -> str:
    """Whether a span has one of these roles; the operation name is the strongest mark, then the kinds in order."""
    condition = "false"
    for key, table in reversed(list(KIND_ROLES.items())):
        found = [str(word) for word, role in table.items() if role in roles]
        known = [str(word) for word in table]
        condition = _or_unless_known(found, known, attribute(key), condition)
    operations = [str(word) for word, role in OPERATION_ROLES.items() if role in roles]
    return f"({_or_unless_known(operations, [str(word) for word in OPERATION_ROLES], attribute(OPERATION), condition)})"


def _or_unless_known(found: list[str], known: list[str], path: str, weaker: str) -> str:
    if weaker == "false":
        return is_one_of(found, path)
    return f"{is_one_of(found, path)} or (not {is_one_of(known, path)} and ({weaker}))"


def known_roots() -> Iterator[str]:
    """Conditions for the frameworks' roots that carry no agent mark."""
    for scope, rules in SCOPES.items():
        if rules.roots is not None:
            yield f"(scope.name == {quoted(scope)} and IsMatch(span.name, {quoted(f'^(?:{rules.roots.pattern})$')}))"
        if rules.root_operations:
            operations = is_one_of(sorted(rules.root_operations), attribute(OPERATION))
            yield f"(scope.name == {quoted(scope)} and {operations})"
