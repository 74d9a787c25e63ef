# SPDX-License-Identifier: Apache-2.0
"""The demo with a ledger: late verdicts, corrections and people's time, and figures that agree with the plan."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.overview import OverviewFilter, overview
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.semconv import State
from tests.integration.ledger.receiver import Receiver
from tests.integration.test_demo import DEMO, ROOT
from tests.ledger_overviews import figures_from_totals, figures_of
from tests.ledger_pipeline import store_at, total_in, url_of

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S: Final = 240
FIRST_LINE: Final = "1000 runs, then 70 late verdicts, 20 corrections, 10 people's times."


def demo(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    outside = ("OTEL_", "AGENT_OUTCOMES_", "ENDPOINT", "LEDGER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    command = [sys.executable, "-W", "error", str(DEMO), "--no-progress", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def test_what_becomes_known_late_is_in_the_ledger_and_delivered(tmp_path: Path) -> None:
    """Twice into one ledger: each time its own figures agree with the plan, and the receiver has each revision once."""
    url = url_of(tmp_path / "demo.db")
    with Receiver() as receiver:
        endpoint = receiver.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        for number, ledger in enumerate((("--ledger", url), ()), start=1):
            seed = ("--seed", str(number))
            protocol = ("--endpoint", endpoint, "--protocol", "http/protobuf")
            done = demo(*ledger, *seed, *protocol, **({} if ledger else {"LEDGER": url}))
            assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:]
            assert done.stdout.startswith(FIRST_LINE)
            assert "agree with the plan, money to the last digit" in done.stdout
            assert "confirmed by" in done.stdout
        uids = receiver.seen.uids()
        assert set(uids.values()) == {1}
        revisions = Counter(uid.rpartition("-")[2] for uid in uids)
        assert revisions == {"0": 2000, "1": 200}
        store = store_at(url)
        assert receiver.seen.total("agent.runs") == total_in(store, "agent.runs") == 2000
        assert list(store.runs(RunFilter(state=State.PENDING))) == []
        assert store.status().delivered == 2200
        # The totals that it is held against have just been held against the plan.
        found = overview(store, OverviewFilter(0, time.time_ns()))
        assert found.runs == 2000
        assert figures_of(found) == figures_from_totals(store)


def test_a_ledger_that_is_none_is_a_bad_argument(tmp_path: Path) -> None:
    """It names what would do, and shows no traceback."""
    done = demo("--ledger", "mysql://u:hunter2@h/d", "--out", str(tmp_path))
    assert done.returncode == 2
    assert re.match(r"demo: .*sqlite:///", done.stderr)
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
