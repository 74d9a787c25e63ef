# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: every subcommand is found, and asks for no more than it needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.backends

SUBCOMMANDS = ("doctor", "explain", "ledger", "serve", "keys")
HEAVY = ("grpc", "requests", "urllib3", "sqlalchemy", "rich", "starlette")
LOADED = f"""
import json, sys
from agent_outcomes.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print(json.dumps([ended.code, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


def _loaded(*arguments: str) -> tuple[int, list[str], str, str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    *said, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    return code, modules, "\n".join(said), done.stderr


@pytest.mark.parametrize("name", SUBCOMMANDS[2:])
def test_help_needs_no_exporter_and_no_database(name: str) -> None:
    """What is asked about a ledger or a gateway is told at once."""
    code, modules, said, _ = _loaded(name, "--help")
    assert (code, modules) == (0, [])
    assert "examples:" in said


def test_all_are_listed() -> None:
    """By --help."""
    code, _, said, _ = _loaded("--help")
    assert code == 0
    assert all(f"    {name} " in said for name in SUBCOMMANDS)


def test_none_is_named() -> None:
    """It is said that one is needed."""
    code, _, _, complaint = _loaded()
    assert code == 2
    assert "required: SUBCOMMAND" in complaint


@pytest.mark.parametrize("arguments", [["nonsense"], ["ledgers", "--help"]])
def test_what_is_none_is_told_which_there_are(arguments: list[str]) -> None:
    """With the exit code of a command line that cannot be understood."""
    code, _, _, complaint = _loaded(*arguments)
    assert code == 2
    assert complaint.startswith("usage: agent-outcomes ")
    assert all(f"'{name}'" in complaint for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_is_found_by_its_name(name: str) -> None:
    """And shows itself under the command's name."""
    code, _, said, _ = _loaded(name, "--help")
    assert code == 0
    assert said.startswith(f"usage: agent-outcomes {name}")
