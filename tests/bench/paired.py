# SPDX-License-Identifier: Apache-2.0
"""Paired measuring: cases take turns within one process, and only the ratios of one round are compared.

Absolute times double on a busy machine, ratios within a round do not. An A/A pair (the base case twice) shows how far
the figures can be trusted; a comparison whose A/A pair is off is measured again.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Case = Callable[[int], None]

NOISE_MAX: Final = 0.02
ATTEMPTS: Final = 4
WARM_UP_ROUNDS: Final = 2

BASE: Final = "base"
AGAIN: Final = "base again"
OURS: Final = "ours"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of the round-by-round ratios, and their quartiles."""

    median: float
    p25: float
    p75: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of these values."""
        p25, median, p75 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, p25, p75)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case against its base: `cpu` (all threads of the process) is what a goal is held against.

    `base_us` and `ours_us` are median CPU times per operation; `same` is the A/A pair's ratio.
    """

    name: str
    goal: float | None
    base_us: float
    ours_us: float
    cpu: Spread
    wall: Spread
    same: Spread

    @property
    def is_noisy(self) -> bool:
        """Whether the machine was too busy to tell."""
        return abs(self.same.median - 1) > NOISE_MAX

    @property
    def is_met(self) -> bool:
        """Whether the goal, if there is one, is met by a figure that can be trusted."""
        return self.goal is None or (not self.is_noisy and self.cpu.median <= self.goal)


@dataclass(frozen=True, slots=True)
class _Times:
    cpu_ns: list[float]
    wall_ns: list[float]


def compare(
    name: str, base: Callable[[], Case], ours: Callable[[], Case], *, goal: float | None, iterations: int, rounds: int
) -> Comparison:
    """Measure `ours` against `base`, anew while the A/A pair is off (at most `ATTEMPTS` times).

    Both arguments make a fresh case: a function that does the given number of operations.
    """
    cases = {BASE: base(), AGAIN: base(), OURS: ours()}
    result = _compare(name, cases, goal, iterations, rounds)
    for _ in range(ATTEMPTS - 1):
        if not result.is_noisy:
            break
        result = _compare(name, cases, goal, iterations, rounds)
    return result


def cost_us(case: Case, *, iterations: int, rounds: int) -> float:
    """Median CPU time of one operation in microseconds."""
    return statistics.median(_measure({OURS: case}, iterations, rounds)[OURS].cpu_ns) / 1000


def _compare(name: str, cases: Mapping[str, Case], goal: float | None, iterations: int, rounds: int) -> Comparison:
    times = _measure(cases, iterations, rounds)
    base, again, ours = times[BASE], times[AGAIN], times[OURS]
    return Comparison(
        name=name,
        goal=goal,
        base_us=statistics.median(base.cpu_ns) / 1000,
        ours_us=statistics.median(ours.cpu_ns) / 1000,
        cpu=_ratio(ours.cpu_ns, base.cpu_ns),
        wall=_ratio(ours.wall_ns, base.wall_ns),
        same=_ratio(again.cpu_ns, base.cpu_ns),
    )


def _measure(cases: Mapping[str, Case], iterations: int, rounds: int) -> dict[str, _Times]:
    for case in [*cases.values()] * WARM_UP_ROUNDS:
        case(iterations)
    gc.collect()
    gc.freeze()
    times = {name: _Times([], []) for name in cases}
    order = random.Random(rounds)
    try:
        for _ in range(rounds):
            for name in order.sample([*cases], len(cases)):
                _sample(cases[name], iterations, times[name])
    finally:
        gc.unfreeze()
    return times


def _sample(case: Case, iterations: int, times: _Times) -> None:
    # The garbage of one case must not be collected at the cost of the next.
    gc.collect()
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    case(iterations)
    wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    times.cpu_ns.append(cpu_ns / iterations)
    times.wall_ns.append(wall_ns / iterations)


def _ratio(ours: list[float], base: list[float]) -> Spread:
    return Spread.of([mine / other for mine, other in zip(ours, base, strict=True)])
