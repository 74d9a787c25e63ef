# SPDX-License-Identifier: Apache-2.0
"""That no loop stands right within a `try` or `with` where an application's thread passes.

From 3.12 on CPython's exception table leaves out the jump by which a loop with a condition goes back, and that is where
it raises what another thread or a signal handler wants raised: `finally` would not run, and a lock would stay held.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agent_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(agent_outcomes.__file__).parent
# What runs in commands of its own, and not on an application's threads.
APART = {"doctor", "explain", "gateway", "gateway_command", "otlp", "cli.py", "__main__.py"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in APART)


def _guarded_loops(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and not (node.finalbody or node.handlers):
            continue
        if isinstance(node, ast.Try | ast.With):
            yield from (found.lineno for statement in node.body for found in _loops(statement))


def _loops(node: ast.AST) -> Iterator[ast.For | ast.While]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return
    if isinstance(node, ast.For) or (isinstance(node, ast.While) and not isinstance(node.test, ast.Constant)):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _loops(child)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_loop_stands_right_within_a_guard(path: Path) -> None:
    """Whatever has to be undone is undone around a call of what loops."""
    assert not list(_guarded_loops(ast.parse(path.read_text())))


def test_the_check_finds_what_it_is_for() -> None:
    """A loop in a `with`, and not one in a function that is defined there."""
    assert list(_guarded_loops(ast.parse("with lock:\n    while held:\n        work()"))) == [2]
    assert list(_guarded_loops(ast.parse("try:\n    for one in all:\n        work()\nfinally:\n    undo()"))) == [2]
    assert not list(_guarded_loops(ast.parse("with lock:\n    def work():\n        while held:\n            pass")))
