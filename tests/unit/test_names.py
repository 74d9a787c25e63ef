# SPDX-License-Identifier: Apache-2.0
"""A public name means one thing: no two modules of the package define the same."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCES: Final = Path(__file__).parents[2] / "src" / "agent_outcomes"
# Alembic looks for the same few names in each of them.
MIGRATIONS: Final = SOURCES / "ledger" / "migrations" / "versions"


def defined(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that a module binds by itself, and not by an import."""
    for statement in statements:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.If(body=body, orelse=orelse) | ast.Try(body=body, orelse=orelse):
                yield from defined([*body, *orelse])
            case _:
                pass


def test_no_public_name_is_defined_in_two_modules() -> None:
    """Whoever reads or searches for a name finds the one thing that it stands for."""
    places: dict[str, set[str]] = defaultdict(set)
    for path in set(SOURCES.rglob("*.py")).difference(MIGRATIONS.iterdir()):
        for name in defined(ast.parse(path.read_text(encoding="utf-8")).body):
            if not name.startswith("_"):
                places[name].add(str(path.relative_to(SOURCES)))
    assert len(places) > 500
    assert {name: sorted(modules) for name, modules in places.items() if len(modules) > 1} == {}
