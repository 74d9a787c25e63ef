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
    from collections.abc import Callable, Iterator, Mapping

    Case = Callable[[int], None]
    MakeCase = Callable[[], Case]

NOISE_MAX: Final = 0.02
ATTEMPTS: Final = 3
WARM_UP_ROUNDS: Final = 2

BASE: Final = "base"
AGAIN: Final = "base again"


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
class Contender:
    """What one contender costs: `cost_us` is the median CPU time of an operation (all threads of the process).

    `cpu` and `wall` are its ratios to the base.
    """

    cost_us: float
    cpu: Spread
    wall: Spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders by name against one base; `same` is the A/A pair's ratio."""

    base_us: float
    same: Spread
    contenders: Mapping[str, Contender]

    @property
    def noise(self) -> float:
        """How far the A/A pair is off."""
        return abs(self.same.median - 1)

    @property
    def is_noisy(self) -> bool:
        """Whether the machine was too busy to tell."""
        return self.noise > NOISE_MAX


@dataclass(frozen=True, slots=True)
class Times:
    """What each round of one case took, per operation."""

    cpu_ns: list[float]
    wall_ns: list[float]


def compare(base: MakeCase, contenders: Mapping[str, MakeCase], *, iterations: int, rounds: int) -> Comparison:
    """Measure the contenders against the base, anew while the A/A pair is off; the least noisy attempt counts.

    The arguments make a fresh case each: a function that does the given number of operations.
    """
    cases = {BASE: base(), AGAIN: base(), **{name: make() for name, make in contenders.items()}}
    return least_noisy(lambda: comparison_of(_measure(cases, iterations, rounds)))


def least_noisy(measure: Callable[[], Comparison]) -> Comparison:
    """Measure until the A/A pair is fine, at most `ATTEMPTS` times."""
    return min(_attempts(measure), key=lambda comparison: comparison.noise)


def comparison_of(times: Mapping[str, Times]) -> Comparison:
    """What the times of the rounds say."""
    base = times[BASE]
    return Comparison(
        base_us=statistics.median(base.cpu_ns) / 1000,
        same=_ratio(times[AGAIN].cpu_ns, base.cpu_ns),
        contenders={
            name: Contender(
                statistics.median(mine.cpu_ns) / 1000,
                cpu=_ratio(mine.cpu_ns, base.cpu_ns),
                wall=_ratio(mine.wall_ns, base.wall_ns),
            )
            for name, mine in times.items()
            if name not in {BASE, AGAIN}
        },
    )


def _attempts(measure: Callable[[], Comparison]) -> Iterator[Comparison]:
    for _ in range(ATTEMPTS):
        comparison = measure()
        yield comparison
        if not comparison.is_noisy:
            return


def _measure(cases: Mapping[str, Case], iterations: int, rounds: int) -> dict[str, Times]:
    for case in [*cases.values()] * WARM_UP_ROUNDS:
        case(iterations)
    gc.collect()
    gc.freeze()
    times = {name: Times([], []) for name in cases}
    order = random.Random(rounds)
    try:
        for _ in range(rounds):
            for name in order.sample([*cases], len(cases)):
                _sample(cases[name], iterations, times[name])
    finally:
        gc.unfreeze()
    return times


def _sample(case: Case, iterations: int, times: Times) -> None:
    # The garbage of one case must not be collected at the cost of the next.
    gc.collect()
    cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
    case(iterations)
    wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    times.cpu_ns.append(cpu_ns / iterations)
    times.wall_ns.append(wall_ns / iterations)


def _ratio(ours: list[float], base: list[float]) -> Spread:
    return Spread.of([mine / other for mine, other in zip(ours, base, strict=True)])
