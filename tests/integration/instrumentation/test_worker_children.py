# SPDX-License-Identifier: Apache-2.0
"""Processes that multiprocessing starts: however they come to the application's module, what they counted leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.installed import IMPORTED_FROM, ROOT, otlp_environ
from tests.integration.instrumentation.test_exit import agents, run_count
from tests.integration.otlp_sink import HTTP, OtlpSink

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

WORKERS = 2
RUNS = 3
DEADLINE_S = 120

SET_UP = """
import os
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from agent_outcomes import agent_run, install
# Older SDKs tell one process from the other by nothing.
trace.set_tracer_provider(TracerProvider(resource=Resource({"service.instance.id": str(os.getpid())})))
install()
"""
WORK = f"""
def work(number):
    for _ in range({RUNS}):
        with agent_run(f"worker-{{number}}"):
            pass
"""
MAIN = f"""
import multiprocessing, sys
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[2] == "pool":
        with context.Pool({WORKERS}, maxtasksperchild=1) as pool:
            pool.map(work, range({WORKERS}), chunksize=1)
            pool.close()
            pool.join()
    else:
        workers = [context.Process(target=work, args=(number,)) for number in range({WORKERS})]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        assert not any(worker.exitcode for worker in workers)
"""
PLACES = {
    "in the main module": {"main_app": SET_UP + WORK + MAIN},
    "in a module of the work": {"work_app": SET_UP + WORK, "main_app": "from work_app import work" + MAIN},
    "in a module beside it": {
        "set_app": SET_UP,
        "main_app": "import set_app\nfrom set_app import agent_run" + WORK + MAIN,
    },
}
EXPECTED = sorted(f"worker-{number}" for number in range(WORKERS) for _ in range(RUNS))


def start(folder: Path, place: str, started_as: str, *arguments: str, **environ: str) -> str:
    """Run it; what was said on standard error."""
    for name, text in PLACES[place].items():
        (folder / f"{name}.py").write_text(text)
    command = ["-m", "main_app"] if started_as == "module" else [str(folder / "main_app.py")]
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        env={"PYTHONPATH": os.pathsep.join([str(IMPORTED_FROM), str(ROOT), str(folder)]), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("method", "started_as", "place", "workers"),
    [
        ("forkserver", "module", "in the main module", "pool"),
        ("forkserver", "module", "in a module of the work", "process"),
        ("forkserver", "file", "in the main module", "pool"),
        ("forkserver", "file", "in a module beside it", "process"),
        ("spawn", "module", "in the main module", "pool"),
        ("fork", "file", "in a module of the work", "process"),
    ],
)
def test_install_at_import(tmp_path: Path, method: str, started_as: str, place: str, workers: str) -> None:
    """A fork server's child imports the main module before it is a child, or is forked from one that had."""
    with OtlpSink(HTTP) as sink:
        assert start(tmp_path, place, started_as, method, workers, **otlp_environ(sink, sink, HTTP, HTTP)) == ""
        assert sorted(agents(sink)) == EXPECTED
        assert run_count(sink) == len(EXPECTED)


@pytest.mark.parametrize(
    ("method", "started_as"), [("forkserver", "module"), ("forkserver", "file"), ("spawn", "file"), ("fork", "module")]
)
def test_a_ledger_that_is_away(tmp_path: Path, method: str, started_as: str) -> None:
    """What a child could not commit is in a spool file when it has ended."""
    state = tmp_path / "state"
    environ = {
        "AGENT_OUTCOMES_LEDGER": "postgresql://nobody@127.0.0.1:1/nowhere",
        "AGENT_OUTCOMES_LEDGER_DELIVER": "false",
        "XDG_STATE_HOME": str(state),
    }
    assert "outcomes wait for it and are kept" in start(
        tmp_path, "in the main module", started_as, method, "pool", **environ
    )
    lines = [line for path in state.rglob("*") if path.is_file() for line in path.read_bytes().splitlines()]
    kept = sorted(name for name in EXPECTED for line in lines if name.encode() in line)
    assert len(lines) >= len(EXPECTED)
    assert len(kept) >= len(EXPECTED)
