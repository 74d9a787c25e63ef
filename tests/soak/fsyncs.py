# SPDX-License-Identifier: Apache-2.0
"""Every acknowledgement comes after an fsync of the log that began when the run had been given to the ledger.

As the kernel sees it: `strace` follows every thread of a real process, which writes a line before it gives a run to the
ledger and one when it has its acknowledgement.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.soak.judge import judge
from tests.soak.processes import Program
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Iterable

SYNC: Final = re.compile(r"^(?P<thread>\d+) +(?P<at>[\d.]+) f(?:data)?sync\(\d+<(?P<path>[^>]*)>(?P<rest>.*)")
WHOLE: Final = re.compile(r".* = 0 <(?P<took>[\d.]+)>")
RESUMED: Final = re.compile(r"^(?P<thread>\d+) +(?P<at>[\d.]+) <\.\.\. f(?:data)?sync resumed>.* = (?P<code>-?\d+)")
LINE: Final = re.compile(r'^\d+ +(?P<at>[\d.]+) write\(1<[^>]*>, "(?P<kind>[ab]) (?P<number>\d+)\\n"')


class Trace:
    """What strace saw: syncs of the log, from when to when, and when each run was begun and acknowledged."""

    def __init__(self, lines: Iterable[str], log: str) -> None:
        self.syncs: list[tuple[float, float]] = []
        self.begun: dict[int, float] = {}
        self.acknowledged: dict[int, float] = {}
        self._log = log
        self._open: dict[str, float] = {}
        for line in lines:
            self._read(line)

    def unsynced(self) -> list[int]:
        """Acknowledged without a whole sync since they were given to the ledger."""
        return [
            number
            for number, until in self.acknowledged.items()
            if not any(self.begun[number] <= start and end <= until for start, end in self.syncs)
        ]

    def _read(self, line: str) -> None:
        if found := LINE.match(line):
            times = self.begun if found["kind"] == "b" else self.acknowledged
            times[int(found["number"])] = float(found["at"])
        elif found := SYNC.match(line):
            self._read_sync(found)
        elif (found := RESUMED.match(line)) and found["thread"] in self._open:
            start = self._open.pop(found["thread"])
            if found["code"] == "0":
                self.syncs.append((start, float(found["at"])))

    def _read_sync(self, found: re.Match[str]) -> None:
        if not found["path"].endswith(self._log):
            return
        start = float(found["at"])
        if whole := WHOLE.fullmatch(found["rest"]):
            self.syncs.append((start, start + float(whole["took"])))
        elif "<unfinished" in found["rest"]:
            self._open[found["thread"]] = start


def prove(url: str, folder: Path, *, outcomes: int, seed: int) -> Proof:
    """Issue so many under strace and look for one that was acknowledged too early."""
    proof, written = Proof("fsyncs"), folder / "strace.txt"
    shown = ("-f", "-y", "-ttt", "-T", "-qq", "-s", "64", "-e", "signal=none")
    strace = ("strace", *shown, "-e", "trace=fsync,fdatasync,write", "-o", str(written))
    options = ("--seed", str(seed), "--count", str(outcomes), "--threads", "4")
    program = Program.start(url, *options, before=strace)
    proof.equal("exit code", program.stop(), 0)
    with written.open(encoding="utf-8", errors="replace") as lines:
        trace = Trace(lines, log=f"{Path(url).name}-wal")
    proof.equal("acknowledged", len(trace.acknowledged), outcomes)
    proof.at_least("fsyncs of the log", len(trace.syncs), 1)
    proof.equal("acknowledged before an fsync", len(trace.unsynced()), 0)
    judge(proof, url, seed, issued=range(outcomes), acknowledged=trace.acknowledged)
    return proof
