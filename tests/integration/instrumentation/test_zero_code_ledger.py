# SPDX-License-Identifier: Apache-2.0
"""A program that knows nothing of this package, under `opentelemetry-instrument` with a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_outcomes import report_outcome
from agent_outcomes.ledger.rows import RunFilter
from tests.integration.zero_code import Application, agents, run_counts, span_names
from tests.ledger_pipeline import store_at, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.otelcol import Collector


@pytest.mark.parametrize("way", ["variable", "relative path", "bad"])
def test_the_variable_alone_makes_it_keep_its_runs(collector: Collector, tmp_path: Path, way: str) -> None:
    """Its runs are in the ledger, and delivered at its end; with a bad one they go as without, and it is said."""
    app = Application.made_in(tmp_path, collector)
    path = tmp_path / "outcomes.db"
    url = {"variable": url_of(path), "relative path": "sqlite:///outcomes.db", "bad": "mysql://u:hunter2@h/d"}[way]
    done = app.run("python", "app.py", AGENT_OUTCOMES_LEDGER=url)
    assert done.returncode == 0
    assert (agents(collector), run_counts(collector), span_names(collector)) == (["bot"], [1], ["invoke_agent bot"])
    if way == "bad":
        (said,) = done.stderr.splitlines()
        assert said.startswith("agent outcomes: AGENT_OUTCOMES_LEDGER=mysql:... is not usable")
        assert "hunter2" not in said
        return
    assert done.stderr == ""
    (row,) = store_at(url_of(path)).runs(RunFilter())
    assert report_outcome(outcome_id=row.outcome_id, type="deflected", ledger=url_of(path)).state == "unchanged"
    assert store_at(url_of(path)).status().delivered == 1


def test_without_one_nothing_of_it_is_loaded(collector: Collector, tmp_path: Path) -> None:
    """Neither the ledger nor what it needs."""
    app = Application.made_in(tmp_path, collector)
    script = "import app, sys; app.run(); print([name for name in sys.modules if name in ('sqlalchemy', 'alembic')])"
    done = app.python(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
