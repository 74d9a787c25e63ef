# SPDX-License-Identifier: Apache-2.0
"""Real processes that issue runs, and what they say while they live."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.soak.issuing import Issuer, say_to, writer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).parents[2]
DEADLINE_S: Final = 120.0


class Said:
    """What a process has said so far, line by line."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.unacknowledged: list[int] = []
        self.begun: list[int] = []
        self.opening_s: float | None = None
        self.first_commit_s: float | None = None
        self.is_ready = False
        self.is_flushed: bool | None = None
        self._rest = b""

    def hear(self, text: bytes) -> None:
        """Take in what has come."""
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            kind, _, value = line.decode().partition(" ")
            match kind:
                case "b":
                    self.begun.append(int(value))
                case "a":
                    self.acknowledged.append(int(value))
                case "w":
                    self.unacknowledged.append(int(value))
                case "o":
                    self.opening_s = float(value)
                case "c":
                    self.first_commit_s = float(value)
                case "r":
                    self.is_ready = True
                case "f":
                    self.is_flushed = value == "1"


class Speaker:
    """A process with a pipe to us."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.said = Said()
        self.status: int | None = None
        self._descriptor = descriptor
        self._is_silent = False

    def listen(self, timeout_s: float) -> bool:
        """Hear what comes within the time; False once there is nothing more to come."""
        if self._is_silent:
            return False
        if select.select([self._descriptor], [], [], timeout_s)[0]:
            text = os.read(self._descriptor, 65536)
            self._is_silent = not text
            self.said.hear(text)
        return not self._is_silent

    def listen_until_acknowledged(self, count: int) -> bool:
        """Whether so many were acknowledged before it ended or the deadline came."""
        deadline_s = time.monotonic() + DEADLINE_S
        while len(self.said.acknowledged) < count and time.monotonic() < deadline_s:
            if not self.listen(0.2):
                return False
        return len(self.said.acknowledged) >= count

    def listen_for(self, seconds: float) -> None:
        """Hear all that comes in that time."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and self.listen(left_s):
            pass

    def kill(self) -> bool:
        """SIGKILL; whether it was alive. Whatever it had said is heard."""
        os.kill(self.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end; how it ended. Past the deadline it is killed."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.listen(0.2):
            if time.monotonic() > deadline_s:
                os.kill(self.pid, signal.SIGKILL)
        self.status = self._wait()
        return self.status

    def _wait(self) -> int:
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Program(Speaker):
    """`tests.soak.issuing` started by itself; more runs are issued until `stop`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        super().__init__(process.pid, process.stdout.fileno())
        self._process = process
        self._input = process.stdin

    @classmethod
    def start(cls, url: str, *options: str, before: Sequence[str] = ()) -> Self:
        """Start it, behind the words of another command where there are any, and wait until it is ready."""
        command = [*before, sys.executable, "-m", "tests.soak.issuing", url, *options]
        pipe = subprocess.PIPE
        made = cls(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env={**os.environ, "PYTHONPATH": path()})
        )
        deadline_s = time.monotonic() + DEADLINE_S
        while not made.said.is_ready and made.listen(0.2) and time.monotonic() < deadline_s:
            pass
        return made

    def stop(self) -> int:
        """Have it issue no more, flush and end."""
        with suppress(BrokenPipeError):
            self._input.write(b"\n")
            self._input.close()
        return self.end()

    def _wait(self) -> int:
        with self._process:  # closes both pipes
            return self._process.wait()


def path() -> str:
    """Where a process finds the package and the tests."""
    return os.pathsep.join([str(ROOT), *filter(None, sys.path)])


def forked(url: str, seed: int, numbers: Iterable[int], threads: int) -> Speaker:
    """A child of ours that issues these; everything is imported by now, and the ledger is opened in the child."""
    reader, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _issue(url, seed, numbers, threads, writing)
    os.close(writing)
    return Speaker(pid, reader)


def _issue(url: str, seed: int, numbers: Iterable[int], threads: int, descriptor: int) -> None:
    """Never returns."""
    try:
        say = say_to(descriptor)
        Issuer(writer_of(url), seed, numbers, say).run(threads)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a forked child goes no further, whatever it was
        traceback.print_exc()
        os._exit(1)
