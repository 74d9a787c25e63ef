# SPDX-License-Identifier: Apache-2.0
"""Each stress program for a few seconds: nothing hangs, and every run is counted once and to the cent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stress.__main__ import told
from tests.stress.watchdog import watch, watch_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stress.watchdog import Verdict

ROOT = Path(__file__).parents[2]
SECONDS = (4, 12, 36)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork and no signals to speak of")

# What must at least have happened for the figures to mean something.
LEAST = {
    "signals": {"signals": 50},
    "collections": {"collections": 1_000, "finalized": 20},
    "exceptions": {"caught_SoftLimit": 5, "caught_HardLimit": 5},
    "threads": {"stale": 1},
    "forks": {"children": 3, "children_runs": 1},
}


@pytest.mark.parametrize("name", list(LEAST))
def test_program(name: str) -> None:
    """It ends, and all of its figures agree; for longer where a busy machine has got nowhere."""
    missing = ["not run"]
    for seconds in SECONDS:
        if missing:
            verdict = watch(name, seconds, seed=3, say=print)
            assert verdict.is_right, "\n".join(told(verdict))
            missing = missing_in(verdict, {"runs": 50, **LEAST[name]})
    assert missing == []


def missing_in(verdict: Verdict, least: Mapping[str, int]) -> list[str]:
    """Of what there was less than that."""
    assert verdict.report is not None
    found = {"runs": int(verdict.report.rows[0].issued), **verdict.report.notes}
    return [figure for figure, count in least.items() if found.get(figure, 0) < count]


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )


def test_shutdown_in_a_signal_handler() -> None:
    """A handler as many have for SIGTERM ends the open span and shuts the provider down, wherever it comes."""
    done = run_script(
        """
        import faulthandler, random, signal
        from opentelemetry.context import Context
        from tests.stress.ledger import Ledger
        from tests.stress.memory import Memory
        from tests.stress.work import Agents

        faulthandler.dump_traceback_later(30, exit=True)
        random_ = random.Random(5)
        def handle(*_):
            global is_terminated
            span.end()
            memory.spans.shutdown()
            is_terminated = True
        signal.signal(signal.SIGALRM, handle)
        for _ in range(60):
            memory = Memory()
            agents = Agents(memory, Ledger(), random_)
            span = agents.start_agent(agents.ledger.open(), Context())
            is_terminated = False
            signal.setitimer(signal.ITIMER_REAL, random_.uniform(0.0005, 0.01))
            while not is_terminated:
                agents.run()
        print("ended")
        """
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_hang_is_seen() -> None:
    """A program that waits for itself is ended after the silence that is allowed, its stacks dumped."""
    script = """
    import faulthandler, signal, threading
    faulthandler.register(signal.SIGUSR1)
    print('beat {"runs": 7}', flush=True)
    lock = threading.Lock()
    def wait_for_myself():
        with lock, lock:
            pass
    wait_for_myself()
    """
    verdict = watch_command("hang", [sys.executable, "-c", textwrap.dedent(script)], print, silence_max_s=2)
    assert verdict.hung
    assert not verdict.is_right
    assert verdict.last == {"runs": 7}
    assert "in wait_for_myself" in verdict.stderr
    assert any("HUNG" in line for line in told(verdict))


def test_death_is_seen() -> None:
    """A program that dies without a report is wrong, and what it said last is told."""
    verdict = watch_command("death", [sys.executable, "-c", "import sys; sys.exit('out of luck')"], print)
    assert (verdict.hung, verdict.exit_code, verdict.is_right) == (False, 1, False)
    assert "out of luck" in "\n".join(told(verdict))


def test_help() -> None:
    """It shows examples and exit codes; a name that is not known is a mistake on the command line."""
    command = [sys.executable, "-m", "tests.stress"]
    help_ = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert "examples:" in help_.stdout
    assert "exit codes:" in help_.stdout
    unknown = subprocess.run([*command, "tornado"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert unknown.returncode == 2
