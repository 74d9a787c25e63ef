# SPDX-License-Identifier: Apache-2.0
"""Runs a stress program in a process of its own and ends it when it hangs, with all its stacks."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from tests.stress.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).parents[2]
SILENCE_MAX_S: Final = 60.0
"""On a busy machine the thread that tells is one of 32 that change places every microsecond."""
PROGRESS_INTERVAL_S: Final = 10.0
DUMP_S: Final = 2.0
STDERR_LENGTH_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a program: its report unless it hung or died; `last` is its last heartbeat, `stderr` its dump."""

    name: str
    duration_s: float
    report: Report | None
    last: dict[str, int]
    hung: bool
    silent_since_s: float
    exit_code: int | None
    stderr: str

    @property
    def is_right(self) -> bool:
        return self.report is not None and self.report.is_right and self.exit_code == 0


class _Watch:
    """One program under watch."""

    def __init__(self, name: str, say: Callable[[str], object], silence_max_s: float) -> None:
        self.report: Report | None = None
        self.last: dict[str, int] = {}
        self._name = name
        self._say = say
        self._silence_max_s = silence_max_s
        self._began_s = self._heard_at_s = time.monotonic()
        self._says_at_s = self._began_s + PROGRESS_INTERVAL_S
        self._rest = b""

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def heard_after_s(self) -> float:
        return self._heard_at_s - self._began_s

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._heard_at_s > self._silence_max_s

    def hear(self, text: bytes) -> None:
        self._heard_at_s = time.monotonic()
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            kind, _, content = line.decode().partition(" ")
            if kind == "report":
                self.report = Report.from_json(content)
            elif kind == "beat":
                self.last = json.loads(content)
        if time.monotonic() >= self._says_at_s:
            self._says_at_s += PROGRESS_INTERVAL_S
            figures = "  ".join(f"{name} {number:,}" for name, number in self.last.items())
            self._say(f"  {self._name:12}{self.age_s:6.0f} s  {figures}")


def watch(name: str, seconds: float, seed: int, say: Callable[[str], object]) -> Verdict:
    """Run the program for so many seconds; it hangs if it is silent for a minute."""
    program = ["-W", "ignore:This process", "-m", "tests.stress.program", name, str(seconds), str(seed)]
    return watch_command(name, [sys.executable, *program], say)


def watch_command(
    name: str, command: Sequence[str], say: Callable[[str], object], silence_max_s: float = SILENCE_MAX_S
) -> Verdict:
    """Run a command that tells its heartbeat and its report as the programs do."""
    watch_ = _Watch(name, say, silence_max_s)
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, start_new_session=True)
        try:
            hung = _listen(process, watch_)
        finally:
            _end(process)
        return Verdict(
            name,
            watch_.age_s,
            watch_.report,
            watch_.last,
            hung,
            watch_.heard_after_s,
            None if hung else process.returncode,
            _tail(stderr),
        )


def _listen(process: subprocess.Popen[bytes], watch_: _Watch) -> bool:
    """Listen until the program ends; True if it hangs, its stacks dumped by then."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not watch_.is_silent:
            if not selector.select(timeout=0.5):
                continue
            text = os.read(process.stdout.fileno(), 65536)
            if not text:
                process.wait(SILENCE_MAX_S)
                return False
            watch_.hear(text)
    os.kill(process.pid, signal.SIGUSR1)
    with suppress(subprocess.TimeoutExpired):
        process.wait(DUMP_S)
    return True


def _end(process: subprocess.Popen[Any]) -> None:
    """End the program's whole session: forked children may be left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tail(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read().decode(errors="replace")[-STDERR_LENGTH_MAX:]
