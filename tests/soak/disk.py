# SPDX-License-Identifier: Apache-2.0
"""The disk is full, or every N-th write and sync on it fails.

Nothing is acknowledged that is not there, and when the disk is right again so is the ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.soak.judge import judge
from tests.soak.processes import ROOT, Program, path
from tests.soak.proof import Figure, Proof

if TYPE_CHECKING:
    from collections.abc import Iterable

_ALONE: Final = ("unshare", "-m", sys.executable, "-m", "tests.soak.disk")
AGAIN_MAX_S: Final = 5.0
STEP_MIB: Final = 3
FULL_S: Final = 2.5
FAILING_S: Final = 3.0
EVERY: Final = (1, 2, 3, 5, 7, 13, 31)


def prove_full_apart(folder: Path, *, cycles: int, seed: int) -> Proof:
    """`prove_full` in a mount namespace of its own. Raises `CalledProcessError` where there can be none."""
    command = [*_ALONE, str(folder), str(cycles), str(seed)]
    environment = {**os.environ, "PYTHONPATH": path()}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    return Proof("full", [Figure(*figure) for figure in json.loads(done.stdout)])


def prove_full(folder: Path, *, cycles: int, seed: int) -> Proof:
    """Let the ledger fill its file system, then make room; so many times.

    `folder` becomes the mount point of a small one, so that this must run as root, in a mount namespace of its own.
    """
    proof = Proof("full")
    _mount(folder, "tmpfs", STEP_MIB)
    url = f"sqlite:///{folder}/l.db"
    program = Program.start(url, "--seed", str(seed))
    again_s = []
    for cycle in range(1, cycles + 1):
        _listen_until_refused(program)
        program.listen_for(FULL_S)
        _mount(folder, "remount", STEP_MIB * (cycle + 1))
        again_s.append(_until_acknowledged(program))
    return _close(proof, program, url, seed, again_s)


def prove_errors(url: str, folder: Path, *, every: Iterable[int] = EVERY, seed: int) -> Proof:
    """Have every N-th write and sync fail, for each N in turn."""
    proof = Proof("errors")
    program = Program.start(url, "--seed", str(seed))
    program.listen_until_acknowledged(50)
    again_s = []
    injected = 0
    for number in every:
        written = folder / f"strace-{number}.txt"
        with _failing(program.pid, number, written) as strace:
            program.listen_for(FAILING_S)
            strace.send_signal(signal.SIGINT)  # it leaves the process and lets it live
            strace.wait(AGAIN_MAX_S)
        injected += written.read_text(errors="replace").count("(INJECTED)")
        again_s.append(_until_acknowledged(program))
    proof.at_least("calls that failed", injected, 1)
    return _close(proof, program, url, seed, again_s)


def _close(proof: Proof, program: Program, url: str, seed: int, again_s: list[float]) -> Proof:
    proof.equal("exit code", program.stop(), 0)
    said = program.said
    proof.equal("all committed at the end", said.is_flushed, promised=True)
    proof.at_least("not acknowledged at first", len(said.unacknowledged), 1)
    stored = judge(proof, url, seed, issued=said.begun, acknowledged=said.acknowledged)
    proof.equal("issued and lost", len(set(said.begun) - stored.numbers), 0)
    proof.tell("times", len(again_s))
    proof.at_most("longest from repair to the next acknowledgement, s", max(again_s), AGAIN_MAX_S)
    return proof


def _mount(folder: Path, how: str, mib: int) -> None:
    words = ["-t", "tmpfs", "-o", f"size={mib}m", "tmpfs"] if how == "tmpfs" else ["-o", f"remount,size={mib}m"]
    subprocess.run(["mount", *words, str(folder)], check=True)  # noqa: S607 - the system's


def _failing(pid: int, number: int, written: Path) -> subprocess.Popen[bytes]:
    inject = f"inject=pwrite64,fdatasync,fsync,ftruncate:error=EIO:when={number}+{number}"
    command = ["strace", "-f", "-qq", "-p", str(pid), "-e", "trace=pwrite64,fdatasync,fsync,ftruncate", "-e", inject]
    return subprocess.Popen([*command, "-o", str(written)])


def _listen_until_refused(program: Program) -> None:
    refused = len(program.said.unacknowledged)
    while len(program.said.unacknowledged) == refused:
        assert program.listen(60.0), "the disk is not full, or the process has ended"


def _until_acknowledged(program: Program) -> float:
    """How long it takes from now, in seconds."""
    began_s = time.monotonic()
    program.listen(0.0)
    program.listen_until_acknowledged(len(program.said.acknowledged) + 1)
    return time.monotonic() - began_s


def _main() -> None:
    folder, cycles, seed = sys.argv[1:]
    proof = prove_full(Path(folder), cycles=int(cycles), seed=int(seed))
    print(json.dumps([astuple(figure) for figure in proof.figures]))


if __name__ == "__main__":
    _main()
