# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs, as conditions of the collector's filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes import semconv
from agent_outcomes.run.conventions import KIND_ROLES, OPERATION, OPERATION_ROLES, Role
from agent_outcomes.run.scopes import SCOPES
from tests.tools.metrics_only.ottl import any_of, attribute, is_one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator


def drop_conditions() -> Iterator[tuple[str, str]]:
    """Why and which spans are no runs, for the filter; a span that matches any of them goes."""
    has_outcome = any_of(f"{attribute(key)} != nil" for key in sorted(semconv.READ_ATTRIBUTES))
    # Bit 8 of the flags says that bit 9 is known, bit 9 that the parent is in another process.
    local_parent = "not IsRootSpan() and (span.flags < 768 or span.flags > 1023)"
    marked = any_of([role_of_span({Role.AGENT}), *known_roots()])
    yield (
        "Neither an outcome nor an agent's mark; or an agent that may be part of another one's run.",
        f"not {has_outcome} and ({local_parent} or not {marked})",
    )
    yield (
        "A model call or a tool within a run.",
        f"{has_outcome} and {local_parent} and {role_of_span({Role.MODEL, Role.TOOL})}",
    )


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
