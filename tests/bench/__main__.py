# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench`: what the package costs, as ratios to doing without it, and whether the goals are met."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.version import __version__ as sdk_version

from tests.bench.emission import counters_case, part_cases, prepare_settlement, raw_calls_case, sink_case
from tests.bench.imports import compare_imports, forbidden_imports
from tests.bench.paired import NOISE_MAX, Comparison, compare, cost_us
from tests.bench.pipelines import NoOpProcessor, outcome_processor, tracer_with
from tests.bench.spans import agent_traces, model_calls, plain_children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import SpanProcessor

    from tests.bench.paired import Case
    from tests.bench.spans import Workload

EMISSION_GOAL: Final = 1.15
IMPORT_GOAL: Final = 1.15
IMPORT_RUNS: Final = 21


class SpanBench(NamedTuple):
    """A workload that is run with our processor and with one that does nothing."""

    name: str
    workload: Workload
    goal: float
    iterations: int


SPAN_BENCHES: Final = (
    SpanBench("plain child span", plain_children, 1.10, 400),
    SpanBench("model call with tokens and cost", model_calls, 1.20, 400),
    SpanBench("trace of 20 spans, one outcome", agent_traces, 1.25, 20),
)
GROUPS: Final = ("spans", "emission", "import")


def main() -> int:
    """Measure what the command line asks for; 1 if `--gate` was given and a goal is missed."""
    options = _parser().parse_args()
    print(f"Python {sys.version.split()[0]}, opentelemetry-sdk {sdk_version}, {options.rounds} rounds; CPU time\n")
    print(f"{'':34}{'base':>10}{'ours':>10}   {'ratio (p25 - p75)':22}{'wall':>7}{'A/A':>7}{'goal':>6}")
    missed = [result for result in _results(options.groups, options.rounds) if not result.is_met]
    forbidden = forbidden_imports() if "import" in options.groups else []
    if "import" in options.groups:
        print(f"importing it must not import: {', '.join(forbidden) or 'nothing of that is imported'}")
    return 1 if options.gate and (missed or forbidden) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Paired benchmarks; each ratio is the median over rounds in which base and ours took turns.",
        epilog=f"A/A is the base against itself. Off by more than {NOISE_MAX}, the machine is too busy to tell: the "
        "comparison is repeated, and in the end marked noisy.",
    )
    parser.add_argument("--only", dest="groups", nargs="+", choices=GROUPS, default=GROUPS, help="measure no more")
    parser.add_argument("--rounds", type=int, default=60, help="rounds per comparison (default: %(default)s)")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a goal is missed or cannot be told")
    return parser


def _results(groups: list[str], rounds: int) -> Iterator[Comparison]:
    if "spans" in groups:
        for bench in SPAN_BENCHES:
            yield _shown(_compare_spans(bench, rounds))
    if "emission" in groups:
        yield from map(_shown, _compare_emission(rounds))
    if "import" in groups:
        yield from map(_shown, compare_imports(goal=IMPORT_GOAL, runs=IMPORT_RUNS))


def _compare_spans(bench: SpanBench, rounds: int) -> Comparison:
    def case_of(processor: SpanProcessor) -> Case:
        tracer = tracer_with(processor)
        return lambda count: bench.workload(tracer, count)

    return compare(
        bench.name,
        lambda: case_of(NoOpProcessor()),
        lambda: case_of(outcome_processor()),
        goal=bench.goal,
        iterations=bench.iterations,
        rounds=rounds,
    )


def _compare_emission(rounds: int) -> Iterator[Comparison]:
    settlement = prepare_settlement()
    for name, case in part_cases(settlement).items():
        print(f"  {name:32}{'':10}{cost_us(case, iterations=400, rounds=rounds):8.1f}us", flush=True)
    ours = partial(sink_case, settlement)
    raw = partial(raw_calls_case, settlement)
    yield compare("emission, to the raw SDK calls", raw, ours, goal=EMISSION_GOAL, iterations=200, rounds=rounds)
    counters = partial(counters_case, settlement)
    yield compare("emission, to raw SDK counters too", counters, ours, goal=None, iterations=200, rounds=rounds)


def _shown(result: Comparison) -> Comparison:
    ratio = f"{result.cpu.median:.3f} ({result.cpu.p25:.3f} - {result.cpu.p75:.3f})"
    verdict = "noisy" if result.is_noisy else "" if result.goal is None else "met" if result.is_met else "MISSED"
    goal = f"{result.goal:.2f}" if result.goal is not None else ""
    print(
        f"{result.name:34}{result.base_us:8.1f}us{result.ours_us:8.1f}us   {ratio:22}{result.wall.median:7.3f}"
        f"{result.same.median:7.3f}{goal:>6} {verdict}",
        flush=True,
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
