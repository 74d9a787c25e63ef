# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.gate`: instructions, as ratios to doing without the package, against committed figures.

Instructions tell reliably whether a change made something dearer, and not by how much in time: see `make bench`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.version import __version__ as sdk_version

from tests.bench import counted
from tests.bench.callgrind import TIMEOUT_S, CountingError, built_helper, count_process, count_segments, require_tools
from tests.bench.figures import read_figures, write_figures
from tests.bench.imports import OURS, SDK, forbidden_imports, run_statement
from tests.bench.report import names_among

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.figures import Figures

ROOT: Final = Path(__file__).resolve().parents[2]
FIGURES: Final = Path(__file__).with_name("instructions.json")
GOALS: Final[Figures] = {"plain": 1.058, "model": 1.113, "trace": 1.244, "emission": 1.390, "import": 1.307}
"""What a prototype that had nothing else to care for reached, on CPython 3.11.7 and SDK 1.45.2."""
TOLERANCE: Final = 0.005
"""Several times what clones in folders of differing names differ by (0.0008)."""
LAYOUTS: Final = 5
"""How many layouts of the heap a case is counted with."""
FOREIGN_TOLERANCE: Final = 0.05
"""What another Python or SDK may make of the same code."""

EXAMPLES: Final = """examples:
  make gate                    measure and compare with tests/bench/instructions.json
  make gate ONLY=plain,model   two cases only
  make gate UPDATE=1           write the figures down for this Python and SDK
"""


class Verdict(Enum):
    """How a figure compares with the one that is committed."""

    HELD = "held"
    BETTER = "better: make gate UPDATE=1 holds it"
    WORSE = "WORSE"
    UNKNOWN = "no figure is committed"


class Judged(NamedTuple):
    """A case's figure, what it was compared with, and the verdict."""

    case: str
    figure: float
    committed: float | None
    verdict: Verdict

    def __str__(self) -> str:
        committed = "-" if self.committed is None else f"{self.committed:.4f}"
        return f"{self.case:10}{self.figure:9.4f}{committed:>11}{GOALS[self.case]:>8.3f}  {self.verdict.value}"


def main() -> int:
    """Measure and judge; 1 if a figure is worse than it may be, 2 if nothing could be measured."""
    options = _parser().parse_args()
    try:
        return _judge_measured(options.only, update=options.update)
    except CountingError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2


def judge(measured: Figures, committed: Figures | None, others: Sequence[Figures], *, strict: bool) -> list[Judged]:
    """Hold figures against the committed ones of this Python and SDK.

    Without those, `strict` holds them against the highest of `others` (else the goal) with a wider tolerance: a new SDK
    fails nothing, a case that has become a lot dearer does.
    """
    judged: list[Judged] = []
    for case, figure in measured.items():
        known = None if committed is None else committed.get(case)
        if known is not None:
            judged.append(Judged(case, figure, known, _verdict(figure, known)))
            continue
        highest = max((other[case] for other in others if case in other), default=GOALS[case])
        is_worse = strict and figure > highest + FOREIGN_TOLERANCE
        judged.append(Judged(case, figure, None, Verdict.WORSE if is_worse else Verdict.UNKNOWN))
    return judged


def environment_key() -> str:
    """What instruction counts depend on besides our code: the interpreter as it was built, and the SDK."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = f"{platform.python_compiler()}{', PGO' if optimised else ''}"
    python = f"{platform.python_implementation()} {platform.python_version()} ({build}, {platform.machine()})"
    return f"{python}, opentelemetry-sdk {sdk_version}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.gate",
        description="Instruction counts, as ratios to a processor that does nothing (emission: to the raw SDK calls, "
        f"import: to importing the SDK). Over {TOLERANCE} more than what is committed for this Python and SDK fails. "
        "Where nothing is committed, the figures are printed; with CI=true a figure then fails that is over "
        f"{FOREIGN_TOLERANCE} more than any that is committed. The import's base depends on what else is installed: it "
        "is comparable in environments made by make only.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cases = [*GOALS]
    parser.add_argument("--only", type=names_among(cases), default=cases, metavar="CASES", help=",".join(cases))
    parser.add_argument("--update", action="store_true", help="write the figures down instead of failing")
    return parser


def _judge_measured(cases: Sequence[str], *, update: bool) -> int:
    require_tools()
    key, known = environment_key(), read_figures(FIGURES)
    print(f"{key}\n\n{'':10}{'figure':>9}{'committed':>11}{'goal':>8}", flush=True)
    measured = _measure(cases)
    others = [figures for other, figures in known.items() if other != key]
    judged = judge(measured, known.get(key), others, strict=os.environ.get("CI") == "true")
    for one in judged:
        print(one, flush=True)
    if update:
        known[key] = {**known.get(key, {}), **measured}
        write_figures(FIGURES, known)
        print(f"\nwritten to {FIGURES.relative_to(ROOT)}")
        return 0
    return _exit_code(judged, key)


def _exit_code(judged: Sequence[Judged], key: str) -> int:
    forbidden = forbidden_imports(_fixed(os.environ, str(ROOT / "src")))
    for one in judged:
        if one.verdict is Verdict.WORSE:
            print(f"gate: {_complaint(one)}", file=sys.stderr)
    if forbidden:
        print(f"gate: importing agent_outcomes also imports {', '.join(forbidden)}", file=sys.stderr)
    if any(one.committed is None for one in judged):
        print(f"\nFor some cases no figure is committed for {key}; make gate UPDATE=1 writes them down.")
    return int(bool(forbidden) or any(one.verdict is Verdict.WORSE for one in judged))


def _complaint(worse: Judged) -> str:
    against = (
        f"{worse.committed:.4f} is committed, and {TOLERANCE} more is let pass"
        if worse.committed is not None
        else f"no figure of any Python and SDK is within {FOREIGN_TOLERANCE} of it"
    )
    return (
        f"{worse.case} takes {worse.figure:.4f} times the instructions of its base; {against}; "
        f"the goal is {GOALS[worse.case]:.3f}"
    )


def _verdict(figure: float, committed: float) -> Verdict:
    difference = round(figure - committed, 4)
    if difference > TOLERANCE:
        return Verdict.WORSE
    return Verdict.BETTER if difference < -TOLERANCE else Verdict.HELD


def _measure(cases: Sequence[str]) -> Figures:
    within = [case for case in cases if case in counted.ITERATIONS]
    figures = {case: round(ratio, 4) for case, ratio in _measure_within(within)} if within else {}
    if "import" in cases:
        figures["import"] = round(_measure_import(), 4)
    return figures


def _measure_within(cases: Sequence[str]) -> Iterator[tuple[str, float]]:
    """The fewest instructions over several layouts of the heap.

    The interpreter caches attributes of types by the addresses of their names, and where two meet in a place, every
    look-up takes hundreds of instructions more. Addresses depend on whatever is on the heap, down to the length of
    this folder's path.
    """
    command = [sys.executable, "-m", "tests.bench.counted", built_helper()]
    environ = _fixed(os.environ, f"{ROOT / 'src'}:{ROOT}")
    # A process that has compiled modules takes other instructions. Uncounted:
    subprocess.run([*command, *cases], check=True, timeout=TIMEOUT_S, env=environ)

    def count(case_and_layout: tuple[str, int]) -> dict[str, int]:
        case, layout = case_and_layout
        # A process each, so that a figure does not depend on which others are asked for.
        return count_segments([*command, case], environ | _ballast(layout))

    with ThreadPoolExecutor(os.cpu_count()) as processes:
        counts = [*processes.map(count, product(cases, range(LAYOUTS)))]
    for case in cases:
        yield case, _fewest(counts, f"{case}:{counted.OURS}") / _fewest(counts, f"{case}:{counted.BASE}")


def _fewest(counts: Sequence[Mapping[str, int]], segment: str) -> int:
    return min(segments[segment] for segments in counts if segment in segments)


def _ballast(layout: int) -> dict[str, str]:
    """Variables nobody reads: they lie on the heap before anything else, in the sizes that names have."""
    return {f"BALLAST_{number}_{size}": "." * size for number in range(layout) for size in (10, 26, 42, 58)}


def _measure_import() -> float:
    """Holds for `make`'s environment: the SDK looks through all installed distributions for entry points.

    With 19 of them instead of 135 the base is smaller, and the ratio 0.035 higher.
    """
    environ = _fixed(os.environ, str(ROOT / "src"))

    def count(statement: str) -> int:
        run_statement(statement, environ)
        return count_process([sys.executable, "-c", statement], environ)

    with ThreadPoolExecutor(os.cpu_count()) as processes:
        # With the SDK's logs and metrics, which the package itself imports when it is installed.
        bare, base, ours = processes.map(count, ("pass", SDK, f"{SDK}; {OURS}"))
    return (ours - bare) / (base - bare)


def _fixed(environ: Mapping[str, str], path: str) -> dict[str, str]:
    """An environment without anything that changes what is executed: settings of the SDK and of Python, hash seeds."""
    kept = {key: environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in environ}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONPATH": path}


if __name__ == "__main__":
    sys.exit(main())
