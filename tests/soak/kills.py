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


class _Left:
    """The numbers that are still to be acknowledged, those of killed processes first."""

    def __init__(self, count: int) -> None:
        self._numbers = deque(range(count))

    def take(self, count: int) -> list[int]:
        return [self._numbers.popleft() for _ in range(min(count, len(self._numbers)))]

    def give_back(self, numbers: list[int]) -> None:
        self._numbers.extendleft(reversed(numbers))

    def __len__(self) -> int:
        return len(self._numbers)


def prove(url: str, *, kills: int, outcomes: int, seed: int) -> Proof:
    """Kill so many processes while so many outcomes are issued; those not acknowledged are issued again."""
    proof, random_, left = Proof("kills"), random.Random(seed), _Left(outcomes)
    acknowledged: set[int] = set()
    openings_s: list[float] = []
    killed = again = 0
    while killed < kills:
        at_once = min(random_.randrange(1, AT_ONCE_MAX + 1), kills - killed)
        mean = (outcomes - len(acknowledged)) // (kills - killed)
        for process, given in _round(url, seed, random_, left, at_once, mean):
            killed += process.status == -9
            acknowledged |= set(process.said.acknowledged)
            again += len(process.said.begun)
            left.give_back([number for number in given if number not in acknowledged])
            if process.said.opening_s is not None:
                openings_s.append(process.said.opening_s)
    last = forked(url, seed, rest := left.take(outcomes), threads=4)
    proof.equal("exit code of the last", last.end(), 0)
    acknowledged |= set(last.said.acknowledged)
    proof.at_least("killed while at work", killed, kills)
    proof.tell("left for the last", len(rest))
    proof.tell("given to the ledger, again ones included", again + len(last.said.begun))
    proof.equal("never acknowledged", outcomes - len(acknowledged), 0)
    judge(proof, url, seed, issued=range(outcomes), acknowledged=acknowledged)
    proof.at_most("longest from opening to the first commit, s", max(openings_s, default=0.0), OPEN_MAX_S)
    return proof


def _round(
    url: str, seed: int, random_: random.Random, left: _Left, at_once: int, mean: int
) -> list[tuple[Speaker, list[int]]]:
    """Some processes at a time, killed one after the other, each after a random number of commits."""
    aims = [random_.randrange(2 * mean + 1) for _ in range(at_once)]
    given = [left.take(aim + SPARE) for aim in aims]
    processes = [forked(url, seed, numbers, random_.choice((1, 4, 8))) for numbers in given]
    for process, aim in zip(processes, aims, strict=True):
        process.listen_until_acknowledged(aim)
        time.sleep(random_.uniform(0, JITTER_MAX_S))
        process.kill()
    return list(zip(processes, given, strict=True))
