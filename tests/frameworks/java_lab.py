# SPDX-License-Identifier: Apache-2.0
"""The Java programs of `java/`, each in a process of its own: their jars by Maven, once, into the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.frameworks import programs

if TYPE_CHECKING:
    from tests.frameworks.cast import Cast
    from tests.frameworks.model_server import ModelServer
    from tests.frameworks.programs import Played, SpanReceiver
    from tests.frameworks.scenarios import Beyond, Scenario

PROGRAMS: Final = Path(__file__).parent / "java"
TOOLS: Final = ("mvn", "javac", "java")
TIMEOUT_S: Final = 600
POM: Final = PROGRAMS / "pom.xml"


def jars() -> Path:
    """The folder with all that the programs need; raises `AssertionError` with Maven's words if it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-agent-outcomes" / "maven"
    folder = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename: nobody sees half of them.
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as work:
            fetched = Path(work) / "jars"
            shutil.copy(POM, work)
            _run(("mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"), Path(work))
            if not folder.exists():
                fetched.rename(folder)
    return folder


def compiled(made_in: Path, jars_folder: Path) -> str:
    """The class path of the programs, compiled into a folder; their parameters keep their names, as Spring has it."""
    classes = made_in / "classes"
    sources = map(str, sorted(PROGRAMS.glob("*.java")))
    class_path = f"{jars_folder}{os.sep}*"
    _run(("javac", "-parameters", "-proc:none", "-cp", class_path, "-d", str(classes), *sources), made_in)
    return f"{classes}{os.pathsep}{class_path}"


def play(class_path: str, program: str, scenario: Scenario | Beyond, cast: Cast, folder: Path) -> Played:
    """Run a program, see `programs.play`."""
    command = ("java", "-cp", class_path, f"lab.{program}", scenario.value)
    return programs.play(command, folder, scenario, cast, _variables)


def _variables(provider: ModelServer, receiver: SpanReceiver) -> dict[str, str]:
    return {
        "SPRING_AI_OPENAI_BASE_URL": provider.address,
        "SPRING_AI_OPENAI_API_KEY": "none",
        "MANAGEMENT_OTLP_TRACING_ENDPOINT": f"{receiver.url}/v1/traces",
    }


def _run(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
