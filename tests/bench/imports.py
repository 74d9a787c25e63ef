# SPDX-License-Identifier: Apache-2.0
"""What importing the package costs, in fresh interpreters that take turns, and what it must not import."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.bench.paired import AGAIN, BASE, Times, comparison_of, least_noisy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.paired import Comparison

SDK: Final = "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics, opentelemetry.sdk._logs"
OURS: Final = "import agent_outcomes"
BARE: Final = "bare"
ALONE: Final = "import agent_outcomes"
STATEMENTS: Final = {BARE: "pass", BASE: SDK, AGAIN: SDK, ALONE: OURS, "the SDK and then it": f"{SDK}; {OURS}"}
TIMEOUT_S: Final = 60

FORBIDDEN: Final = ("asyncio", "google.protobuf", "grpc", "opentelemetry.exporter", "requests", "urllib3", "yaml")


def compare_imports(rounds: int) -> Comparison:
    """Importing the package alone, and it and the SDK, both against importing the SDK's trace, metrics and logs.

    CPU time of the whole process less that of an interpreter which imports nothing.
    """
    with _compiled_once() as environ:
        for statement in STATEMENTS.values():
            run_statement(statement, environ)
        return least_noisy(lambda: _compare_imports(rounds, environ))


@contextmanager
def _compiled_once() -> Iterator[Mapping[str, str]]:
    """An environment in which the first run compiles every module: what the others measure is loading only."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        yield environ | {"PYTHONPYCACHEPREFIX": folder}


def run_statement(statement: str, environ: Mapping[str, str]) -> None:
    """Run an interpreter for one statement. Raises RuntimeError, with what was printed, if that fails."""
    done = subprocess.run(
        [sys.executable, "-c", statement], capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environ
    )
    if done.returncode:
        message = f"{statement!r} failed: {done.stderr[-2000:]}"
        raise RuntimeError(message)


def forbidden_imports(environ: Mapping[str, str]) -> list[str]:
    """Modules that importing the package has loaded although it must not."""
    listing = subprocess.run(
        [sys.executable, "-c", f"{OURS}, sys; print(*sys.modules, sep='\\n')"],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environ,
    )
    modules = listing.stdout.split()
    return [module for module in modules if any(module == name or module.startswith(f"{name}.") for name in FORBIDDEN)]


def _compare_imports(rounds: int, environ: Mapping[str, str]) -> Comparison:
    names = [*STATEMENTS]
    cpu_ns: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            cpu_ns[name].append(_cpu_ns(STATEMENTS[name], environ))
    bare_ns = statistics.median(cpu_ns.pop(BARE))
    # A process is one sample, not many: single ones scatter too much to be divided by each other.
    net = {name: [value - bare_ns for value in values] for name, values in cpu_ns.items()}
    typical_ns = statistics.median(net[BASE])
    base = Times([typical_ns] * rounds, [typical_ns] * rounds)
    return comparison_of({name: Times(values, values) for name, values in net.items()} | {BASE: base})


def _cpu_ns(statement: str, environ: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_statement(statement, environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e9
