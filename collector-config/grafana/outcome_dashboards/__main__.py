# SPDX-License-Identifier: Apache-2.0
"""Write the dashboards and Grafana's alert rules, or say whether they are up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from outcome_dashboards import alerts, explorer, outcomes, reliability, roi, verdicts
from outcome_dashboards.event_table import EXPLORER_UID
from outcome_dashboards.variables import currencies, filters, sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outcome_dashboards.panels import AnyPanel
    from outcome_dashboards.variables import Variable

FOLDER: Final = Path(__file__).parents[1]
TAG: Final = "agent-outcomes"


def build_all() -> dict[str, str]:
    """The text of every generated file by its path below the folder of this package."""
    return {
        "dashboards/outcomes.json": _build(
            "agent-outcomes",
            "Outcomes: do agents do their job?",
            "Which agents reach their business goal, how, and what one outcome costs.",
            filters(),
            outcomes.panels(),
        ),
        "dashboards/roi.json": _build(
            "agent-outcomes-roi",
            "ROI: what are the agents worth?",
            "What the outcomes are worth and what the runs cost, per currency.",
            [*filters(), *currencies()],
            roi.panels(),
        ),
        "dashboards/reliability.json": _build(
            "agent-outcomes-reliability",
            "Reliability: why do runs fail?",
            "How runs end, what ended them, whether a retry could help, and whether the figures can be trusted.",
            filters(),
            reliability.panels(),
        ),
        "dashboards/verdicts.json": _build(
            "agent-outcomes-verdicts",
            "Verdicts: what came after the run?",
            "Late verdicts, corrections and costs, what still waits for one, and whether the ledger delivers.",
            filters(),
            verdicts.panels(),
        ),
        "dashboards/explorer.json": _build(
            EXPLORER_UID,
            "Run explorer: what happened?",
            "Finds runs by anything their outcome event says, and leads to their traces.",
            [*filters(), *explorer.filters()],
            explorer.panels(),
        ),
        "provisioning/alerting/agent-outcomes.yaml": alerts.provisioning(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns 1 where a file is not what would be written."""
    parser = argparse.ArgumentParser(prog="python -m outcome_dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for name, text in build_all().items():
        path = FOLDER / name
        if check and not (path.exists() and path.read_text(encoding="utf-8") == text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `python -m outcome_dashboards`\n")
    return 1 if stale else 0


def _build(uid: str, title: str, description: str, variables: Sequence[Variable], panels: Sequence[AnyPanel]) -> str:
    links = (
        DashboardLink("Agent outcomes")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
        .as_dropdown(as_dropdown=True)
    )
    built = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-1h", "now")
        .timezone("browser")
        .refresh("1m")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .editable()
        .link(links)
    )
    for variable in (*sources(), *variables):
        built.with_variable(variable)
    for panel in panels:
        built.with_panel(panel)
    found = _without_leftovers(json.loads(JSONEncoder().encode(built.build())))
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _without_leftovers(built: dict[str, Any]) -> dict[str, Any]:
    # What the SDK writes that the schema of today's Grafana does not know.
    for variable in built["templating"]["list"]:
        for name in ("auto", "auto_min", "auto_count", "definition"):
            variable.pop(name, None)
    for panel in built["panels"]:
        panel["options"].pop("footer", None)
    return built


if __name__ == "__main__":
    sys.exit(main())
