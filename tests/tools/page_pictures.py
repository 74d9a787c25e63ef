# SPDX-License-Identifier: Apache-2.0
"""The pictures of the gateway's page in `collector-config/gateway`: the demo's runs, as if they had ended over a week.

    python -m tests.tools.page_pictures [FOLDER]

Some runs are left without a verdict, so that there is something to judge.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from tests.acceptances import NS, acceptance_of
from tests.integration.gateway.page.chromium import browser, page_of
from tests.integration.gateway.page.site import site

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.content import Content
    from tests.integration.gateway.page.chromium import Theme

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "collector-config" / "gateway"
DAY_NS: Final = 86_400 * NS
LEFT_PENDING: Final = 0.05
PICTURE_MAX_BYTES: Final = 300_000


def main() -> int:
    """Take the pictures; the exit code."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    with tempfile.TemporaryDirectory() as made:
        store = Store.open(read_location(f"sqlite:///{made}/week.db"))
        now_ns = time.time_ns()
        _fill(store, _demo_contents(Path(made)), now_ns)
        corrected = _correct_one(store, now_ns)
        with site(store, now_ns, trace_url="http://localhost:16686/trace/{trace_id}") as url:
            _take(url, folder, (("totals", "/", "light"), ("judge", "/judge", "light"), ("run", corrected, "dark")))
        store.close()
    return 0


def _demo_contents(folder: Path) -> list[Content]:
    """Every run of the demo as it stands in the end."""
    url = f"sqlite:///{folder}/demo.db"
    demo = [sys.executable, str(ROOT / "examples" / "demo.py"), "--ledger", url, "--out", str(folder), "--no-progress"]
    subprocess.run(demo, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    store = Store.open(read_location(url))
    contents = [row.standing.content for row in store.runs(RunFilter()) if row.standing.content is not None]
    store.close()
    return sorted(contents, key=lambda content: content.run.conversation_id or "")


def _fill(store: Store, contents: list[Content], now_ns: int) -> None:
    random = Random(4)
    made = []
    for content in contents:
        run, outcome = content.run, content.outcome
        run.trace_id, run.span_id = random.getrandbits(128), random.getrandbits(64)
        run.end_ns = now_ns - int(random.triangular(0.001, 6.6, 1) * DAY_NS)
        run.duration_s = random.lognormvariate(2.5, 1)
        if random.random() < LEFT_PENDING:
            outcome = replace(outcome, type=None, business_success=None, label=None, value=None)
        made.append(acceptance_of(run, outcome))
    store.accept(made)


def _correct_one(store: Store, now_ns: int) -> str:
    """The address of a run on which three people had something to say."""
    found = next(row for row in store.runs(RunFilter(agent="support")) if row.standing.revision == 0)
    outcome_id = found.outcome_id
    hours = 3600 * NS
    reopened = read_report(
        Reporter("helpdesk", may_correct=True),
        outcome_id=outcome_id,
        type="escalated",
        label="reopened",
        reason="the customer wrote again the next day",
    )
    store.report(reopened, now_ns=now_ns - 5 * hours)
    minutes = read_cost(
        Reporter("helpdesk"), outcome_id=outcome_id, amount="12.50", kind="human", reason="20 minutes of a person"
    )
    store.add_cost(minutes, now_ns=now_ns - 4 * hours)
    settled = read_report(
        Reporter("ann", may_correct=True),
        outcome_id=outcome_id,
        type="deflected",
        label="resolved_without_a_person",
        value="6.50",
        reason="it was another question; the first one stayed closed",
    )
    store.report(settled, now_ns=now_ns - hours)
    return f"/runs/{outcome_id}"


def _take(url: str, folder: Path, pictures: tuple[tuple[str, str, Theme], ...]) -> None:
    with browser() as started:
        for name, path, theme in pictures:
            with page_of(started, url, theme=theme) as page:
                page.goto(path)
                page.screenshot(path=folder / f"{name}.png")
                size = (folder / f"{name}.png").stat().st_size
                assert size < PICTURE_MAX_BYTES, (name, size)
                print(f"{name}.png {size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
