# SPDX-License-Identifier: Apache-2.0
"""The environments in which agent frameworks are tested, and peers are measured.

Each is made once for its lock file, outside the tree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import nox

FRAMEWORKS: Final = Path("tests/frameworks/environments")
NAMES: Final = ("genai", "adk", "agents", "classic", "sdks", "together", "javascript", "java")
BENCH: Final = Path("tests/bench/environments")
PEERS: Final = ("traceloop", "openinference", "langfuse", "logfire")
# CrewAI or Semantic Kernel and genai-prices agree on no pydantic for Python 3.15, which a universal resolution would
# have to have.
ONE_PYTHON: Final = frozenset({"agents", "classic"})
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-agent-outcomes"

nox.options.default_venv_backend = "none"


@nox.session
@nox.parametrize("environment", NAMES, ids=NAMES)
def frameworks(session: nox.Session, environment: str) -> None:
    """Run the scenarios of every framework of an environment; arguments go to pytest."""
    python = _made(session, FRAMEWORKS / f"{environment}.txt", CACHE / "frameworks")
    variables = {"PYTHONPATH": "src", "FRAMEWORKS_ENVIRONMENT": environment}
    session.run(python, "-m", "pytest", "tests/frameworks", *session.posargs, env=variables, external=True)


@nox.session
@nox.parametrize("peer", PEERS, ids=PEERS)
def peers(session: nox.Session, peer: str) -> None:
    """Measure the span processors of a peer beside ours; arguments go to tests.bench.peers."""
    python = _made(session, BENCH / f"{peer}.txt", CACHE / "peers")
    arguments = ("-m", "tests.bench.peers", peer, *session.posargs)
    session.run(python, *arguments, env={"PYTHONPATH": "src:."}, external=True)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve the environments anew; needs uv and the network."""
    for given in [*(FRAMEWORKS / f"{name}.in" for name in NAMES), *(BENCH / f"{peer}.in" for peer in PEERS)]:
        locked = given.with_suffix(".txt")
        options = ["--python-version", "3.11", "--no-annotate", "--no-header", "--no-emit-index-url"]
        if given.stem not in ONE_PYTHON:
            options.append("--universal")
        arguments = ("--quiet", *options, "pyproject.toml", str(given), "--output-file", str(locked), *session.posargs)
        session.run("uv", "pip", "compile", *arguments, external=True)


def _made(session: nox.Session, locked: Path, cache: Path) -> str:
    """The interpreter of the environment, which is made if it is not there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(locked.read_bytes()).hexdigest()[:12]
    folder = cache / f"{locked.stem}-{version}-{digest}"
    python, complete = str(folder / "bin" / "python"), folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        session.run(sys.executable, "-m", "venv", str(folder), external=True)
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        session.run(*install, "--quiet", "--requirement", str(locked), external=True)
        complete.touch()
    return python
