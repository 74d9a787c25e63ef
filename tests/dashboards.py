# SPDX-License-Identifier: Apache-2.0
"""The shipped Grafana dashboards as tests need them: their panels, and their queries as Grafana would send them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GRAFANA_FOLDER: Final = Path(__file__).parents[1] / "collector-config" / "grafana"
DASHBOARD_FILES: Final = tuple(sorted((GRAFANA_FOLDER / "dashboards").glob("*.json")))
ALERTS: Final = GRAFANA_FOLDER / "provisioning" / "alerting" / "agent-outcomes.yaml"
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel."""

    dashboard: str
    panel: str
    panel_type: str
    ref: str
    expression: str
    source: str
    instant: bool

    def __str__(self) -> str:
        """Name it as a failing test should."""
        return f"{self.dashboard}: {self.panel} [{self.ref}]"


def load(path: Path) -> dict[str, Any]:
    """Return a dashboard's JSON."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, those inside rows too."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries(path: Path) -> Iterator[Query]:
    """Yield every query of a dashboard."""
    for panel in panels(load(path)):
        for target in panel.get("targets", ()):
            yield Query(
                path.stem,
                panel["title"],
                panel["type"],
                target["refId"],
                target["expr"],
                target["datasource"]["type"],
                target.get("instant") is True or target.get("queryType") == "instant",
            )


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in variables as Grafana does, `$name`, `${name}` and `${name:format}`. Raises KeyError for others."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def defaults(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """Return each variable's value on a dashboard just opened, where it does not come from a data source."""
    found: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable.get("includeAll"):
            found[variable["name"]] = variable["allValue"]
        elif variable["type"] == "textbox":
            found[variable["name"]] = variable["current"]["value"]
    return found
