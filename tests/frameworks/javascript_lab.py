# SPDX-License-Identifier: Apache-2.0
"""The JavaScript programs of `javascript/`, each in a process of Node.js."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.frameworks import programs

if TYPE_CHECKING:
    from tests.frameworks.cast import Cast
    from tests.frameworks.model_server import ModelServer
    from tests.frameworks.programs import Played, SpanReceiver
    from tests.frameworks.scenarios import Beyond, Scenario

PROGRAMS: Final = Path(__file__).parent / "javascript"


def program_folder(made_in: Path, node_modules: Path) -> Path:
    """The programs beside the packages they import."""
    folder = made_in / "programs"
    shutil.copytree(PROGRAMS, folder)
    (folder / "node_modules").symlink_to(node_modules)
    return folder


def play(folder: Path, program: str, scenario: Scenario | Beyond, cast: Cast) -> Played:
    """Run a program, see `programs.play`."""
    command = (shutil.which("node") or "node", f"{program}.js", scenario.value, cast.lead)
    return programs.play(command, folder, scenario, cast, _variables)


def _variables(provider: ModelServer, receiver: SpanReceiver) -> dict[str, str]:
    return {
        "NODE_NO_WARNINGS": "1",
        "OPENAI_BASE_URL": provider.url,
        "OPENAI_API_KEY": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
    }
