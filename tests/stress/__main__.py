# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.stress`: nothing hangs and every run is counted once, under all that Python can do to it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from tests.stress.program import MODULES
from tests.stress.report import table
from tests.stress.watchdog import watch

if TYPE_CHECKING:
    from tests.stress.watchdog import Verdict

EPILOG: Final = """\
programs:
  signals      a signal handler makes and ends spans and whole runs, up to 500 times a second
  collections  garbage collection at threshold 5 runs finalizers that end spans and whole runs
  exceptions   exceptions set from another thread land at any point of the work; none may be swallowed
  threads      32 threads at a switch interval of a microsecond, nine kinds of ends, stale runs
  forks        forks under load; the children run agents and report their figures by a pipe
  all          each of them, one after the other

examples:
  python -m tests.stress signals --seconds 60
  python -m tests.stress all --seconds 600 --seed 7
  make stress STRESS=threads SECONDS=600 PYTHON=python3.13 VENV=.venv313

exit codes: 0 nothing hung and every figure is right, 1 a hang, a death or a wrong figure (told on standard output),
2 the command line cannot be understood, 130 interrupted.
"""


def main() -> int:
    """Run the programs that the command line names."""
    options = _parser().parse_args()
    names = list(MODULES) if options.name == "all" else [options.name]
    try:
        verdicts = [_run(name, options.seconds, options.seed) for name in names]
    except KeyboardInterrupt:
        return 130
    return 0 if all(verdict.is_right for verdict in verdicts) else 1


def _run(name: str, seconds: float, seed: int) -> Verdict:
    print(f"{name}: {seconds:g} s, seed {seed}, Python {sys.version.split()[0]}", flush=True)
    verdict = watch(name, seconds, seed, lambda line: print(line, flush=True))
    for line in told(verdict):
        print(line, flush=True)
    return verdict


def told(verdict: Verdict) -> list[str]:
    """The verdict as lines for people."""
    lines = list(table(verdict.report)) if verdict.report is not None else []
    if verdict.hung:
        lines.append(
            f"  HUNG: silent since {verdict.silent_since_s:.1f} s after its start; last heard of: {verdict.last}"
        )
    elif verdict.exit_code != 0 and verdict.report is None:
        lines.append(f"  DIED with {verdict.exit_code} after {verdict.duration_s:.0f} s")
    if not verdict.is_right and verdict.stderr:
        lines.append(verdict.stderr)
    lines.append(f"{verdict.name}: {'right' if verdict.is_right else 'WRONG'} in {verdict.duration_s:.0f} s")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.stress",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=[*MODULES, "all"], help="which program; see below")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="for how long, each (default: 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random choices (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
