# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.stress.program NAME SECONDS SEED`: one program in a process of its own, started by the watchdog.

Tells its heartbeat and its report on standard output, and dumps all stacks on SIGUSR1.
"""

from __future__ import annotations

import faulthandler
import importlib
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from tests.stress.stage import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.stress.report import Report

MODULES: Final[Mapping[str, str]] = {
    "signals": "signals",
    "collections": "finalizers",
    "exceptions": "async_exceptions",
    "threads": "threads",
    "forks": "forks",
}


def main() -> int:
    """Run the program that the command line names; 1 if its figures are wrong."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    name, seconds, seed = sys.argv[1:]
    run: Callable[[float, int], Report] = importlib.import_module(f"tests.stress.{MODULES[name]}").run
    report = run(float(seconds), int(seed))
    tell("report", asdict(report))
    return 0 if report.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
