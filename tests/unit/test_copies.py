# SPDX-License-Identifier: Apache-2.0
"""Fixtures and other definitions that tests share stand in one place, and no module is too long to be read."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import agent_outcomes

TESTS = Path(__file__).parents[1]
SOURCES = Path(agent_outcomes.__file__).parent
LINES_MAX = 400
# Each is a program as a framework's user writes it, read on its own.
STANDALONE = TESTS / "frameworks" / "adapters"
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def code_of(definition: Definition) -> str:
    """What it does: names of arguments, decorators and body, whatever its docstring says."""
    if ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:] or [ast.Pass()]
    return ast.dump(definition)


def test_nothing_is_defined_twice() -> None:
    """No fixture, function or class of one test module stands again, to the letter, in another."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("*.py")):
        if path.is_relative_to(STANDALONE):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, Definition):
                places[code_of(node)].append(f"{path.relative_to(TESTS)}: {node.name}")
    assert [copies for copies in places.values() if len(copies) > 1] == []


def test_modules_are_short() -> None:
    """One that has grown too long is to be split by meaning; of the generated vocabulary nobody has to read a part."""
    lengths = {
        str(path.relative_to(SOURCES)): path.read_text(encoding="utf-8").count("\n")
        for path in sorted(SOURCES.rglob("*.py"))
    }
    assert len(lengths) > 1
    assert [name for name, lines in lengths.items() if lines > LINES_MAX and name != "semconv.py"] == []
