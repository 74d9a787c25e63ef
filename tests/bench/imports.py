# SPDX-License-Identifier: Apache-2.0
"""What importing the package costs, in fresh interpreters that take turns, and what it must not import."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from tests.bench.paired import ATTEMPTS, Comparison, Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

SDK: Final = "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics, opentelemetry.sdk._logs"
OURS: Final = "import agent_outcomes"
RUNS_MIN: Final = 15
TIMEOUT_S: Final = 60

FORBIDDEN: Final = ("asyncio", "google.protobuf", "grpc", "opentelemetry.exporter", "requests", "urllib3", "yaml")


def compare_imports(*, goal: float, runs: int) -> tuple[Comparison, Comparison]:
    """Importing the package alone, and after the SDK, both against importing the SDK's trace, metrics and logs.

    Ratios of CPU time of the whole process less that of an interpreter which imports nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Everything is compiled once, by the first run of each: what is measured is loading, not compiling.
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = folder
        alone, added = _compare_imports(goal, max(runs, RUNS_MIN), environ)
        for _ in range(ATTEMPTS - 1):
            if not alone.is_noisy:
                break
            alone, added = _compare_imports(goal, max(runs, RUNS_MIN), environ)
    return alone, added


def forbidden_imports() -> list[str]:
    """Modules that importing the package has loaded although it must not."""
    listing = subprocess.run(
        [sys.executable, "-c", f"{OURS}, sys; print(*sys.modules, sep='\\n')"],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    modules = listing.stdout.split()
    return [module for module in modules if any(module == name or module.startswith(f"{name}.") for name in FORBIDDEN)]


def _compare_imports(goal: float, runs: int, environ: Mapping[str, str]) -> tuple[Comparison, Comparison]:
    statements = {"bare": "pass", "sdk": SDK, "sdk again": SDK, "ours": OURS, "sdk, ours": f"{SDK}; {OURS}"}
    names = [*statements]
    for statement in statements.values():
        _cpu_s(statement, environ)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(runs):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            times[name].append(_cpu_s(statements[name], environ))
    bare_s = statistics.median(times["bare"])
    net = {name: [value - bare_s for value in values] for name, values in times.items()}
    alone = _comparison("import agent_outcomes", net["ours"], net, goal)
    return alone, _comparison("import it after the SDK", net["sdk, ours"], net, None)


def _comparison(name: str, ours: list[float], net: dict[str, list[float]], goal: float | None) -> Comparison:
    base_s = statistics.median(net["sdk"])
    # A process is one sample, not many: single ones scatter too much to be divided by each other.
    ratio = Spread.of([value / base_s for value in ours])
    same = Spread.of([value / base_s for value in net["sdk again"]])
    return Comparison(name, goal, base_s * 1e6, statistics.median(ours) * 1e6, ratio, ratio, same)


def _cpu_s(statement: str, environ: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, timeout=TIMEOUT_S, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
