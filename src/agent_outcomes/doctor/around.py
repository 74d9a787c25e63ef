# SPDX-License-Identifier: Apache-2.0
"""Runs a program with a watch inside each of its Python processes, and reads what these have written."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes.doctor import injected
from agent_outcomes.doctor.findings import APP_LAYERS, INSTALL_ZERO_CODE, Layer, LayerState, failed, ok, skipped
from agent_outcomes.doctor.program import ProgramState, from_json
from agent_outcomes.doctor.program_verdicts import judge_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_outcomes.doctor.findings import LayerFinding

# The share of the time that is kept for an interrupted program to end by itself, and once more after it was killed.
STOP_SHARE: Final = 0.15

_MODULE: Final = "_agent_outcomes_doctor"
# `opentelemetry-instrument` puts a sitecustomize of its own before ours, but calls this entry point.
_ENTRY_POINTS: Final = f"[opentelemetry_pre_instrument]\n{_MODULE} = {_MODULE}:start\n"
_METADATA: Final = f"Metadata-Version: 2.1\nName: {_MODULE.strip('_')}\nVersion: 0\n"
_SITECUSTOMIZE: Final = f"""\
import os
import {_MODULE}
{_MODULE}.start()
{_MODULE}.run_shadowed("sitecustomize", os.path.dirname(os.path.abspath(__file__)))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, or by us at the time limit; `error` where it could not be started."""

    exit_code: int | None
    duration_s: float
    error: str = ""


def check_program(
    command: Sequence[str], environ: Mapping[str, str], limit_s: float, *, output_to_stderr: bool
) -> list[LayerFinding]:
    """Run the command, done with it after `limit_s`, and say of each layer of the program what was seen."""
    with tempfile.TemporaryDirectory(prefix="agent-outcomes-doctor-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        path, states_folder = folder / "path", folder / "states"
        _prepare(path, states_folder)
        inner = {
            **environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(path), environ.get("PYTHONPATH", "")))),
            injected.FOLDER_VARIABLE: str(states_folder),
        }
        ended = _run(command, inner, limit_s, output_to_stderr=output_to_stderr)
        states = _read(states_folder)
    first = _judge_command(command, ended, states)
    if first.state is LayerState.FAIL:
        return [first, *(skipped(layer, "because command is broken") for layer in APP_LAYERS[1:])]
    return [first, *judge_program(_main_state(states), environ)]


def _prepare(path: Path, states_folder: Path) -> None:
    info = path / f"{_MODULE.strip('_')}-0.dist-info"
    info.mkdir(parents=True)
    states_folder.mkdir()
    shutil.copy(injected.__file__, path / f"{_MODULE}.py")
    (path / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    (info / "METADATA").write_text(_METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="utf-8")


def _run(command: Sequence[str], environ: Mapping[str, str], limit_s: float, *, output_to_stderr: bool) -> Ended:
    started_s = time.monotonic()
    # With --json our stdout is for the findings alone.
    stdout = sys.stderr.fileno() if output_to_stderr else None
    try:
        process = subprocess.Popen(command, env=dict(environ), stdout=stdout, start_new_session=True)  # noqa: S603 - the user's own command
    except OSError as error:
        return Ended(None, 0.0, error=f"{command[0]}: {error.strerror}")
    status: int | None = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        try:
            status = process.wait(limit_s * (1 - 2 * STOP_SHARE))
        finally:
            if status is None:
                _stop(process, limit_s * STOP_SHARE)
    return Ended(status, time.monotonic() - started_s)


def _stop(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Interrupt the program and all it has started, as Ctrl-C would; then end them."""
    for end in (_interrupt, _kill):
        with contextlib.suppress(OSError):  # all have gone by themselves
            end(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
            return


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGINT)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def _read(folder: Path) -> list[ProgramState]:
    states: list[ProgramState] = []
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(ValueError, TypeError, OSError):  # the process was killed while it wrote
            states.append(from_json(file.read_text(encoding="utf-8"), int(file.stem)))
    return states


def _main_state(states: Sequence[ProgramState]) -> ProgramState:
    """The process in which most has happened."""
    return max(states, key=lambda state: (state.events, state.agents_ended, state.spans_started, len(state.providers)))


def _not_started(command: Sequence[str], error: str) -> LayerFinding:
    is_uninstalled = Path(command[0]).name == "opentelemetry-instrument"
    return failed(
        Layer.COMMAND,
        f"the program could not be started: {error}",
        why="Nothing can be seen of a program that does not run.",
        fix=f"Install it beside your program:\n  {INSTALL_ZERO_CODE}"
        if is_uninstalled
        else "Write it as you would without the doctor:\n  agent-outcomes doctor -- python YOUR-PROGRAM.py",
        variable="--",
    )


def _judge_command(command: Sequence[str], ended: Ended, states: Sequence[ProgramState]) -> LayerFinding:
    if ended.error:
        return _not_started(command, ended.error)
    error = next((state.error for state in states if state.error), "")
    if error or not states:
        return failed(
            Layer.COMMAND,
            error or f"no Python process was seen in `{Path(command[0]).name}`",
            why="The doctor looks at the program from its inside, as a module of its Python.",
            fix="Install otel-agent-outcomes into the Python that runs the program, and run it without -I, -E, -S:\n"
            "  pip install otel-agent-outcomes",
            variable="otel-agent-outcomes",
        )
    if ended.exit_code and not any(state.spans_started for state in states):
        return failed(
            Layer.COMMAND,
            f"the program ended with exit code {ended.exit_code} before its first span",
            why="It failed before it came to the agent.",
            fix="Its own output, above, says why; run it until it works by itself:\n  python YOUR-PROGRAM.py",
            variable="YOUR-PROGRAM",
        )
    how = f"ended with exit code {ended.exit_code}" if ended.exit_code is not None else "stopped at the time limit"
    return ok(Layer.COMMAND, f"{how} after {ended.duration_s:.1f} s")
