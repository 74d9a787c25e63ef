# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is stopped, or hangs, while runs end: they wait for it once, and nothing is lost when it is back."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.soak.issuing import writer_of
from tests.soak.judge import Stored, judge
from tests.soak.processes import Program
from tests.soak.proof import Proof
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgresql import PostgresqlServer

ONCE_MAX_MS: Final = 2100.0
THEN_MAX_MS: Final = 1.0
"""Where no other tests run beside."""
_SLOW_MS: Final = 1000.0
PER_S: Final = 100
FLUSH_S: Final = 60.0


class _Clock:
    """Ends runs at a steady pace, and how long each took."""

    def __init__(self, url: str, seed: int, p99_max_ms: float) -> None:
        self.writer = writer_of(url)
        self.p99_max_ms = p99_max_ms
        self.acknowledged: list[int] = []
        self.count = 0
        self._seed = seed

    def run(self, seconds: float) -> list[float]:
        took_s = []
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            made = acceptance(self._seed, self.count)
            began_s = time.perf_counter()
            is_acknowledged = self.writer.accept(made)
            took_s.append(time.perf_counter() - began_s)
            if is_acknowledged:
                self.acknowledged.append(self.count)
            self.count += 1
            time.sleep(max(0.0, 1 / PER_S - took_s[-1]))
        return took_s


class _Outage(NamedTuple):
    """One way for the server to be away, and to come back."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


def prove(server: PostgresqlServer, *, down_s: float, seed: int, p99_max_ms: float = THEN_MAX_MS) -> Proof:
    """Stop and start the server, then have its processes hang and go on; at last a process ends while it is away."""
    proof = Proof("outage")
    url = server.url(server.new_database())
    clock = _Clock(url, seed, p99_max_ms)
    clock.run(1.0)
    _away(proof, clock, down_s, _Outage("stopped", server.stop, server.start))
    stop, go_on = partial(_signal, server, signal.SIGSTOP), partial(_signal, server, signal.SIGCONT)
    _away(proof, clock, down_s, _Outage("hanging", stop, go_on))
    proof.equal("dropped", sum(clock.writer.figures().dropped.values()), 0)
    stored = judge(proof, url, seed, issued=range(clock.count), acknowledged=clock.acknowledged)
    proof.equal("issued and lost", clock.count - len(stored.numbers), 0)
    clock.writer.shutdown()
    _end_while_away(proof, server, seed)
    return proof


def _away(proof: Proof, clock: _Clock, down_s: float, outage: _Outage) -> None:
    name = outage.name
    outage.begin()
    took_ms = sorted(1e3 * one for one in clock.run(down_s))
    then_ms = [one for one in took_ms if one < _SLOW_MS]
    proof.tell(f"{name}: runs that ended meanwhile", len(took_ms))
    proof.at_most(f"{name}: the longest took, ms", took_ms[-1], ONCE_MAX_MS)
    proof.at_most(f"{name}: runs that waited so long", len(took_ms) - len(then_ms), 1)
    proof.at_most(f"{name}: p99 of the others, ms", then_ms[int(len(then_ms) * 0.99)], clock.p99_max_ms)
    proof.tell(f"{name}: runs that wait in memory", clock.writer.figures().waiting)
    began_s = time.monotonic()
    outage.end()
    clock.run(0.5)
    proof.equal(f"{name}: all committed when it is back", clock.writer.flush(FLUSH_S), promised=True)
    proof.tell(f"{name}: that took, s", time.monotonic() - began_s)
    answers = len(clock.acknowledged)
    clock.run(0.5)
    proof.at_least(f"{name}: acknowledged again", len(clock.acknowledged) - answers, 1)


def _end_while_away(proof: Proof, server: PostgresqlServer, seed: int) -> None:
    url = server.url(server.new_database())
    first = Program.start(url, "--seed", str(seed), "--threads", "2", "--flush", "0")
    first.listen_until_acknowledged(20)
    server.stop()
    first.listen_for(3.0)
    proof.equal("ended while away: exit code", first.stop(), 0)
    server.start()
    issued = set(first.said.begun)
    proof.at_least("ended while away: left for the spool", len(issued) - len(Stored(url, seed).numbers), 1)
    second = writer_of(url)
    deadline_s = time.monotonic() + FLUSH_S
    while len(Stored(url, seed).numbers) < len(issued) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    second.shutdown()
    judge(proof, url, seed, issued=issued, acknowledged=first.said.acknowledged)
    proof.equal("ended while away: lost", len(issued - Stored(url, seed).numbers), 0)


def _signal(server: PostgresqlServer, number: signal.Signals) -> None:
    for pid in (server.pid, *_children(server.pid)):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
