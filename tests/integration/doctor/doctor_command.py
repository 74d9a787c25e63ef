# SPDX-License-Identifier: Apache-2.0
"""The doctor as a process of its own, with no OTEL_* variable but those of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.otelcol import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROCESS_TIMEOUT_S = 90
_FOREIGN = (
    "OTEL_",
    "AGENT_OUTCOMES_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@dataclass(frozen=True)
class Examined:
    """What the command said and how it ended."""

    exit_code: int
    stdout: str
    stderr: str
    duration_s: float

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def broken(self) -> dict[str, Any]:
        """The finding of the first broken layer."""
        layers: list[dict[str, Any]] = self.document["layers"]
        return next(layer for layer in layers if layer["state"] == "fail")


def examine(
    environ: Mapping[str, str], *arguments: str, command: Sequence[str] = (), folder: Path | None = None
) -> Examined:
    """Run `agent-outcomes doctor` with these variables, around a command if one is given."""
    line = [sys.executable, "-m", "agent_outcomes", "doctor", *arguments, *(["--", *command] if command else [])]
    started_s = time.monotonic()
    done = _run(line, environ, folder)
    return Examined(done.returncode, done.stdout, done.stderr, time.monotonic() - started_s)


def run_python(program: Path, environ: Mapping[str, str]) -> str:
    """What a program prints that is run with these variables."""
    return _run([sys.executable, str(program)], environ, program.parent).stdout


def _run(line: Sequence[str], environ: Mapping[str, str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    return subprocess.run(
        line,
        env={**inherited, "PYTHONPATH": str(ROOT / "src"), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PROCESS_TIMEOUT_S,
    )


def apply_fix(environ: Mapping[str, str], finding: Mapping[str, Any], filled_in: str | None) -> dict[str, str]:
    """The variables after the change that the finding names; `filled_in` stands for what only the user knows."""
    value = finding["value"] if finding["value"] is not None else filled_in
    assert value is not None, f"the message does not say what to write: {finding['fix']}"
    rest = {name: text for name, text in environ.items() if name != finding["variable"]}
    return {**rest, finding["variable"]: value} if value else rest
