# SPDX-License-Identifier: Apache-2.0
"""The command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agent_outcomes import __version__
from agent_outcomes.doctor.findings import EXIT_CODES, Layer


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent_outcomes", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_says_its_version_and_shows_examples() -> None:
    """--version and --help are answered, with exit code 0."""
    assert _run("--version").stdout == f"agent-outcomes {__version__}\n"
    shown = _run("--help")
    assert shown.returncode == 0
    assert "agent-outcomes doctor" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("cure",), ("doctor", "--timeout", "0"), ("doctor", "--timeout", "nan"), ("doctor", "--timeout", "soon")],
)
def test_arguments_that_cannot_be_understood_end_with_2(arguments: tuple[str, ...]) -> None:
    """A wrong command line is no layer: exit code 2, and the usage on stderr."""
    done = _run(*arguments)
    assert done.returncode == 2
    assert "usage: agent-outcomes" in done.stderr


def test_the_help_lists_every_layer_with_its_exit_code() -> None:
    """Exit codes are documented where they are needed."""
    shown = _run("doctor", "--help").stdout
    for layer in Layer:
        assert f"{EXIT_CODES[layer]}  {layer} " in shown
    assert len(set(EXIT_CODES.values())) == len(Layer)


@pytest.mark.parametrize("arguments", [("doctor",), ("doctor", "--json", "--timeout", "1")])
def test_a_reader_that_has_had_enough_ends_it_quietly(arguments: tuple[str, ...]) -> None:
    """`agent-outcomes ... | head`: no traceback, and the exit code that shells give for it."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "agent_outcomes", *arguments]
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")
