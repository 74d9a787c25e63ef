# SPDX-License-Identifier: Apache-2.0
"""Processes are killed by SIGKILL at random moments while they end runs, and the next ones go on from there."""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tests.soak.judge import judge
from tests.soak.processes import forked
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from tests.soak.processes import Speaker

OPEN_MAX_S: Final = 5.0
AT_ONCE_MAX: Final = 3
JITTER_MAX_S: Final = 0.01
# So that none comes to its end before it is killed.
SPARE: Final = 400


class _Killing:
    """Which numbers are still to be acknowledged, those of killed processes first, and what has come of the others."""

    def __init__(self, url: str, seed: int, outcomes: int) -> None:
        self.acknowledged: set[int] = set()
        self.openings_s: list[float] = []
        self.first_commits_s: list[float] = []
        self.killed_count = 0
        self.begun_count = 0
        self._url = url
        self._seed = seed
        self._random = random.Random(seed)
        self._outcomes = outcomes
        self._left = deque(range(outcomes))

    def kill(self, kills: int) -> None:
        """Some processes at a time, killed one after the other, each after a random number of commits."""
        at_once = min(self._random.randrange(1, AT_ONCE_MAX + 1), kills - self.killed_count)
        mean = (self._outcomes - len(self.acknowledged)) // (kills - self.killed_count)
        aims = [self._random.randrange(2 * mean + 1) for _ in range(at_once)]
        started = [self._start(aim + SPARE) for aim in aims]
        for (process, given), aim in zip(started, aims, strict=True):
            process.listen_until_acknowledged(aim)
            time.sleep(self._random.uniform(0, JITTER_MAX_S))
            self.killed_count += process.kill()
            self._take_in(process, given)

    def finish(self) -> int:
        """Issue what is left, undisturbed; the exit code."""
        process, given = self._start(self._outcomes)
        code = process.end()
        self._take_in(process, given)
        return code

    def _start(self, count: int) -> tuple[Speaker, list[int]]:
        given = [self._left.popleft() for _ in range(min(count, len(self._left)))]
        return forked(self._url, self._seed, given, self._random.choice((1, 4, 8))), given

    def _take_in(self, process: Speaker, given: list[int]) -> None:
        said = process.said
        self.acknowledged |= set(said.acknowledged)
        self.begun_count += len(said.begun)
        self._left.extendleft(number for number in reversed(given) if number not in self.acknowledged)
        if said.opening_s is not None:
            self.openings_s.append(said.opening_s)
        if said.first_commit_s is not None:
            self.first_commits_s.append(said.first_commit_s)


def prove(url: str, *, kills: int, outcomes: int, seed: int) -> Proof:
    """Kill so many processes while so many outcomes are issued; those not acknowledged are issued again."""
    proof, killing = Proof("kills"), _Killing(url, seed, outcomes)
    while killing.killed_count < kills:
        killing.kill(kills)
    proof.equal("exit code of the last, undisturbed", killing.finish(), 0)
    proof.equal("killed while at work", killing.killed_count, kills)
    proof.tell("given to the ledger, again ones included", killing.begun_count)
    proof.equal("never acknowledged", outcomes - len(killing.acknowledged), 0)
    judge(proof, url, seed, issued=range(outcomes), acknowledged=killing.acknowledged)
    proof.at_most("longest opening, s", max(killing.openings_s, default=0.0), OPEN_MAX_S)
    # Beside the opening it waits for the other processes' turns.
    proof.tell("longest from there to the first commit, s", max(killing.first_commits_s, default=0.0))
    return proof
