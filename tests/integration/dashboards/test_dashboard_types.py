# SPDX-License-Identifier: Apache-2.0
"""The dashboards' JSON against Grafana's own schema, by the TypeScript compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.dashboards import DASHBOARD_FILES, GRAFANA_FOLDER, load, panels
from tests.integration.npm import TIMEOUT_S, node_modules_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

TYPECHECK: Final = GRAFANA_FOLDER / "typecheck"
SCHEMA: Final = "@grafana/schema/dist/esm/raw/composable"
# Panel type -> (the schema's module, whether it has field options of its own).
PANEL_TYPES: Final = {
    "bargauge": ("bargauge/panelcfg/x/BarGaugePanelCfg_types.gen", False),
    "heatmap": ("heatmap/panelcfg/x/HeatmapPanelCfg_types.gen", True),
    "logs": ("logs/panelcfg/x/LogsPanelCfg_types.gen", False),
    "stat": ("stat/panelcfg/x/StatPanelCfg_types.gen", False),
    "table": ("table/panelcfg/x/TablePanelCfg_types.gen", True),
    "timeseries": ("timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", True),
}


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The pinned schema and compiler."""
    return node_modules_of(TYPECHECK)


def _typescript(dashboard: dict[str, Any]) -> str:
    """The dashboard as literals of the schema's types, each panel's options against its plugin's own."""
    lines = ["import type { DashboardJson, Described, Json, Target } from './json';"]
    lines += [f"import type * as {name} from '{SCHEMA}/{module}';" for name, (module, _) in PANEL_TYPES.items()]
    lines.append(f"export const dashboard: DashboardJson = {json.dumps(dashboard)};")
    for number, panel in enumerate(panels(dashboard)):
        kind = panel["type"]
        described = {key: panel[key] for key in ("title", "description", "datasource")}
        lines.append(f"export const described{number}: Described = {json.dumps(described)};")
        lines.append(f"export const options{number}: Json<Partial<{kind}.Options>> = {json.dumps(panel['options'])};")
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        field_type = f"Json<Partial<{kind}.FieldConfig>>" if PANEL_TYPES[kind][1] else "Record<string, never>"
        lines.append(f"export const fields{number}: {field_type} = {json.dumps(custom)};")
        lines.append(f"export const targets{number}: Target[] = {json.dumps(panel['targets'])};")
    return "\n".join(lines) + "\n"


def _compile(folder: Path, node_modules: Path) -> subprocess.CompletedProcess[str]:
    for name in ("tsconfig.json", "json.ts"):
        shutil.copy(TYPECHECK / name, folder)
    (folder / "node_modules").symlink_to(node_modules)
    command = ("node", "node_modules/typescript/bin/tsc", "--project", ".", "--pretty", "false")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_every_dashboard_is_of_grafanas_own_types(node_modules: Path, tmp_path: Path) -> None:
    """Every key and value of the JSON is one that Grafana's schema knows, the panels' own options included."""
    for path in DASHBOARD_FILES:
        (tmp_path / f"{path.stem}.ts").write_text(_typescript(load(path)), encoding="utf-8")
    done = _compile(tmp_path, node_modules)
    assert done.returncode == 0, done.stdout


def test_the_check_finds_a_wrong_word(node_modules: Path, tmp_path: Path) -> None:
    """A color mode that no panel knows does not compile, so the check above can fail."""
    dashboard = load(DASHBOARD_FILES[0])
    stat = next(panel for panel in panels(dashboard) if panel["type"] == "stat")
    stat["options"]["colorMode"] = "rainbow"
    (tmp_path / "wrong.ts").write_text(_typescript(dashboard), encoding="utf-8")
    done = _compile(tmp_path, node_modules)
    assert done.returncode != 0
    assert "rainbow" in done.stdout
