# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench`: what the package costs in CPU time, as ratios to doing without it."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.bench.cases import SPAN_BENCHES, batch_case, no_op_case, outcome_case
from tests.bench.delivery import compare_delivery
from tests.bench.emission import counters_case, prepare_settlement, raw_calls_case, sink_case
from tests.bench.imports import compare_imports
from tests.bench.ledger import show_groups, show_sizes
from tests.bench.otlp import compare_pipelines
from tests.bench.paired import NOISE_MAX, compare
from tests.bench.report import add_options, print_comparison, print_heading

if TYPE_CHECKING:
    from tests.bench.paired import Comparison

CASES: Final = (*SPAN_BENCHES, "emission", "import", "pipeline", "delivery", "ledger", "sizes")
ROUNDS: Final = 60
# A round of these takes a process each, or thousands of spans.
LONG_ROUNDS: Final = 3
OURS: Final = "agent_outcomes"

EXAMPLES: Final = """examples:
  python -m tests.bench                                    everything; minutes
  python -m tests.bench --rounds 10 --only plain,model     a first look
  python -m tests.bench --only pipeline                    what a user pays
  python -m tests.bench --only ledger,sizes                a ledger; 2 GB in the temporary folder, minutes
"""


def main() -> None:
    """Measure and print what the command line asks for."""
    options = _parser().parse_args()
    print_heading(options.rounds)
    for name in options.only:
        if name in SPAN_BENCHES:
            _show_spans(name, options.rounds)
        else:
            _SHOW[name](options.rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Paired benchmarks: each ratio is the median over rounds in which base and contenders took turns. "
        f"A/A is the base against itself. Off by more than {NOISE_MAX}, the machine is too busy to tell: the "
        "comparison is repeated, and in the end marked noisy. Pipeline, import and delivery take a third of the "
        "rounds. For figures that a busy machine does not change, see `make gate`.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, CASES, rounds=ROUNDS)
    return parser


def _show_spans(name: str, rounds: int) -> None:
    bench = SPAN_BENCHES[name]
    contenders = {"SDK batch processor, null exporter": partial(batch_case, bench), OURS: partial(outcome_case, bench)}
    comparison = compare(partial(no_op_case, bench), contenders, iterations=bench.iterations, rounds=rounds)
    print_comparison(f"{name}: {bench.title}", "no-op processor", comparison)


def _show_emission(rounds: int) -> None:
    settlement = prepare_settlement()
    contenders = {"the same and SDK counters": partial(counters_case, settlement), OURS: partial(sink_case, settlement)}
    comparison = compare(partial(raw_calls_case, settlement), contenders, iterations=200, rounds=rounds)
    print_comparison("emission: one outcome", "raw SDK calls: a log, a histogram", comparison)


def _show_imports(rounds: int) -> None:
    print_comparison("import: in a fresh interpreter", "SDK traces, metrics, logs", compare_imports(_long(rounds)))


def _show_pipeline(rounds: int) -> None:
    comparison: Comparison = compare_pipelines(f"with {OURS}", _long(rounds))
    print_comparison("pipeline: agent traces by OTLP/HTTP", "without; per trace of 20 spans", comparison)


def _show_delivery(rounds: int) -> None:
    comparison = compare_delivery("a ledger's delivery", _long(rounds))
    print_comparison("delivery: one event by OTLP/HTTP", "SDK: encoded and exported", comparison)


def _show_sizes(_: int) -> None:
    show_sizes()


def _long(rounds: int) -> int:
    return max(2, rounds // LONG_ROUNDS)


_SHOW: Final = {
    "emission": _show_emission,
    "import": _show_imports,
    "pipeline": _show_pipeline,
    "delivery": _show_delivery,
    "ledger": show_groups,
    "sizes": _show_sizes,
}

if __name__ == "__main__":
    main()
