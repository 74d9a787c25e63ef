# SPDX-License-Identifier: Apache-2.0
"""Rules that every shipped dashboard keeps, and that its JSON is what the builder writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from agent_outcomes import semconv
from tests.dashboards import DASHBOARD_FILES, GRAFANA_FOLDER, expand, load, panels, queries

ROOT: Final = Path(__file__).parents[2]
GRID_WIDTH: Final = 24
# A window of 800 px less the menu and margins at its sides; a panel's own margins and its description's mark; fonts.
NARROW_PX: Final = 712
BESIDE_TITLE_PX: Final = 45
CHARACTER_PX: Final = 7.2
HEADING_CHARACTERS_MAX: Final = 34
CELL_PADDING_PX: Final = 12
SOURCES: Final = {"prometheus": "${metrics}", "loki": "${logs}"}
FILTERS: Final = ("agent", "job_type", "status", "environment")
# What a cell has whose word is none of ours.
NO_COLOR: Final = "transparent"
PALETTE: Final = {"#0072B2", "#009E73", "#999999", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"}
STATUSES: Final = {*semconv.Status}
# Names in queries that are no attribute or metric of ours.
PROMQL_WORDS: Final = {
    *("and", "by", "group_left", "group_right", "histogram_quantile", "increase", "label_replace", "last_over_time"),
    *(
        "label_join",
        "max",
        "offset",
        "on",
        "or",
        "resets",
        "sort_desc",
        "sum",
        "topk",
        "unless",
        "vector",
        "le",
        "side",
    ),
}
LOGQL_WORDS: Final = {
    *("by", "count_over_time", "keep", "label_format", "service_name", "sort_desc", "sum", "sum_over_time", "trace_id"),
    *("quantile_over_time", "unwrap"),
    *("time", "value", "cost", "duration"),  # what the table of events makes to sort by
}
ENVIRONMENT: Final = "deployment_environment_name"
# What Grafana itself fills in.
GLOBALS: Final = {"__range", "__interval", "__rate_interval"}
every_dashboard = pytest.mark.parametrize("path", DASHBOARD_FILES, ids=lambda path: path.stem)


def _names() -> set[str]:
    """Every name of the registry as Prometheus and Loki spell it."""
    constants = [value for name, value in vars(semconv).items() if name.isupper()]
    instruments = [value.name.replace(".", "_") for value in constants if isinstance(value, semconv.Instrument)]
    metrics = {f"{name}{suffix}" for name in instruments for suffix in ("", "_total", "_seconds", "_seconds_bucket")}
    return metrics | {value.replace(".", "_") for value in constants if isinstance(value, str)}


def _identifiers(expression: str) -> set[str]:
    outside_strings = re.sub(r'"(?:[^"\\]|\\.)*"|`[^`]*`', " ", expression)
    outside_variables = re.sub(r"\$\{?\w+(?::\w+)?\}?|\b\d+[smhd]\b", " ", outside_strings)
    return set(re.findall(r"[a-zA-Z_]\w*", outside_variables))


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def _every(found: Any, key: str) -> list[Any]:
    """Every value of a key at any depth."""
    if isinstance(found, dict):
        own = [found[key]] if key in found else []
        return own + [value for part in found.values() for value in _every(part, key)]
    return [value for part in found for value in _every(part, key)] if isinstance(found, list) else []


def _colors(dashboard: dict[str, Any]) -> list[tuple[str, str]]:
    """Every color that a name was given, as overrides of series and as mappings of cells."""
    found: list[tuple[str, str]] = []
    for panel in panels(dashboard):
        for override in panel["fieldConfig"]["overrides"]:
            for changed in override["properties"]:
                if changed["id"] == "color" and changed["value"]["fixedColor"] != NO_COLOR:
                    found.append((override["matcher"]["options"], changed["value"]["fixedColor"]))
                if changed["id"] == "mappings":
                    found += [(word, to["color"]) for word, to in changed["value"][0]["options"].items()]
    return found


def test_the_five_dashboards_are_there() -> None:
    """Outcomes, ROI, reliability, verdicts and the run explorer, each under a stable address of its own."""
    assert {path.stem: load(path)["uid"] for path in DASHBOARD_FILES} == {
        "outcomes": "agent-outcomes",
        "roi": "agent-outcomes-roi",
        "reliability": "agent-outcomes-reliability",
        "verdicts": "agent-outcomes-verdicts",
        "explorer": "agent-outcomes-explorer",
    }


def test_committed_files_are_what_the_builder_writes() -> None:
    """Nobody edited a dashboard or the alert rules by hand, and nobody forgot to build them."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(GRAFANA_FOLDER), str(ROOT / "src")))}
    command = [sys.executable, "-m", "outcome_dashboards", "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@every_dashboard
def test_every_panel_says_what_it_shows(path: Path) -> None:
    """Title, description, unit and a sentence for the empty panel are there, and no title twice."""
    for panel in panels(load(path)):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert defaults["unit"]
        assert defaults["noValue"]
    titles = Counter(panel["title"] for panel in panels(load(path)))
    assert titles.most_common(1)[0][1] == 1


@every_dashboard
def test_data_sources_are_variables(path: Path) -> None:
    """No panel, query or variable names a data source of one installation."""
    dashboard = load(path)
    chosen = {item["name"]: item["query"] for item in dashboard["templating"]["list"] if item["type"] == "datasource"}
    assert chosen == {"metrics": "prometheus", "logs": "loki", "traces": "jaeger"}
    for source in [item for item in _every(dashboard, "datasource") if item is not None]:
        assert source["uid"] == SOURCES[source["type"]]
    for panel in panels(dashboard):
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


@every_dashboard
def test_panels_do_not_overlap(path: Path) -> None:
    """Every panel has its own place within the grid, and its own id."""
    found = list(panels(load(path)))
    assert len({panel["id"] for panel in found}) == len(found)
    for one, other in combinations([panel["gridPos"] for panel in found], 2):
        assert not _overlap(one, other)
    for place in (panel["gridPos"] for panel in found):
        assert place["x"] + place["w"] <= GRID_WIDTH
        assert place["w"] >= 5, "a panel this narrow clips its title in a window of 800 px"


@every_dashboard
def test_titles_fit_a_narrow_window(path: Path) -> None:
    """In a window of 800 px no title is cut off."""
    for panel in panels(load(path)):
        width_px = NARROW_PX * panel["gridPos"]["w"] / GRID_WIDTH
        assert len(panel["title"]) * CHARACTER_PX <= width_px - BESIDE_TITLE_PX, panel["title"]


@every_dashboard
def test_the_dashboards_own_title_fits_a_narrow_window(path: Path) -> None:
    """In a window of 800 px the line at the top holds the folder and the whole question."""
    assert len(load(path)["title"]) <= HEADING_CHARACTERS_MAX


@every_dashboard
def test_columns_fit_their_heads(path: Path) -> None:
    """In a window of 800 px every column of a table is as wide as its name, those without a width by an equal share."""
    for panel in panels(load(path)):
        if panel["type"] != "table":
            continue
        renamed = next(it["options"] for it in panel["transformations"] if it["id"] == "organize")["renameByName"]
        widths = {
            override["matcher"]["options"]: changed["value"]
            for override in panel["fieldConfig"]["overrides"]
            for changed in override["properties"]
            if changed["id"] == "custom.width"
        }
        free = [title for title in renamed.values() if title not in widths]
        rest_px = NARROW_PX * panel["gridPos"]["w"] / GRID_WIDTH - sum(widths.values())
        for title in renamed.values():
            width_px = widths.get(title) or rest_px / len(free)
            assert len(title) * CHARACTER_PX + CELL_PADDING_PX <= width_px, (panel["title"], title)


@every_dashboard
def test_a_single_bar_has_a_name(path: Path) -> None:
    """Where a filter leaves one series Grafana hides its name, unless the panel gives one out of the query's labels."""
    for panel in panels(load(path)):
        if panel["type"] == "bargauge" and len(panel["targets"]) == 1:
            (target,) = panel["targets"]
            named = panel["fieldConfig"]["defaults"]["displayName"]
            label = re.fullmatch(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert label is not None
            assert named == (
                "${__field.name}" if panel["datasource"]["type"] == "loki" else f"${{__field.labels.{label[1]}}}"
            )


@every_dashboard
def test_bars_of_events_are_made_of_rows(path: Path) -> None:
    """Grafana's Loki source answers an instant query with one table, of which each row has to become a bar."""
    for panel in panels(load(path)):
        if panel["type"] == "bargauge" and panel["datasource"]["type"] == "loki":
            kept, turned = panel["transformations"]
            assert (kept["id"], turned["id"]) == ("filterFieldsByName", "rowsToFields")
            pattern = re.compile(kept["options"]["include"]["pattern"].strip("/"))
            label = panel["targets"][0]["legendFormat"].strip("{}")
            assert [name for name in ("Time", label, "Value #A") if pattern.match(name)] == [label, "Value #A"]


@every_dashboard
def test_what_is_converted_is_never_absent(path: Path) -> None:
    """Grafana before 10 fails to convert a column with holes: the query itself gives each of them to every row."""
    for panel in panels(load(path)):
        for change in panel.get("transformations", ()):
            if change["id"] == "convertFieldType":
                made = set(re.findall(r"(\w+)=`", panel["targets"][0]["expr"].partition("label_format")[2]))
                assert {it["targetField"] for it in change["options"]["conversions"]} == made


@every_dashboard
def test_every_row_is_full(path: Path) -> None:
    """No row leaves a hole."""
    rows: Counter[int] = Counter()
    for panel in panels(load(path)):
        rows[panel["gridPos"]["y"]] += panel["gridPos"]["w"]
    assert set(rows.values()) == {GRID_WIDTH}


@every_dashboard
def test_windows_follow_the_time_range(path: Path) -> None:
    """Queries over time use $__rate_interval and totals $__range; only where a difference starts from is fixed."""
    for query in queries(path):
        windows = set(re.findall(r"\[([^\]]+)\](?! offset)", query.expression))
        based = re.findall(r"\[([^\]]+)\] offset (\S+?)[)\s]", query.expression)
        if query.source == "loki":
            assert windows <= {"$__range", "$__interval"}, query
            continue
        window, step = ("$__range", "$__range") if query.instant else ("$__rate_interval", "$__interval")
        assert windows <= {window}, query
        assert set(based) <= {("2h", step)}, query


@every_dashboard
def test_every_filter_reaches_every_query(path: Path) -> None:
    """Agent, job type, status and environment filter all but what the processor, or a ledger, says of itself."""
    dashboard = load(path)
    choices = {item["name"]: item for item in dashboard["templating"]["list"] if item["type"] == "query"}
    for name in FILTERS:
        assert (choices[name]["includeAll"], choices[name]["multi"], choices[name]["allValue"]) == (True, True, ".*")
    for query in queries(path):
        if "agent_outcomes_ledger_" in query.expression:
            continue
        selectors = re.findall(r"agent_\w+\{([^}]*)\}", query.expression) or [query.expression]
        own = "agent_outcomes_processor" in query.expression
        for selector in selectors:
            for name in ("environment",) if own else FILTERS:
                assert f'=~"${name}"' in selector, query


@every_dashboard
def test_only_outcomes_count_as_events(path: Path) -> None:
    """Handoffs and evaluations carry an outcome's id and status, too; only outcome events have a state."""
    found = [query.expression for query in queries(path) if query.source == "loki"]
    assert all('| agent_outcome_state!=""' in expression for expression in found)


@every_dashboard
def test_variables_are_defined_and_used(path: Path) -> None:
    """A query uses no variable that is not there, and no choice is without effect."""
    dashboard = load(path)
    defined = {item["name"] for item in dashboard["templating"]["list"]}
    used: set[str] = set()

    class Noting(dict[str, str]):
        def __missing__(self, key: str) -> str:
            used.add(key)
            return ""

    for query in queries(path):
        expand(query.expression, Noting())
    used -= GLOBALS
    assert used <= defined
    assert defined - used <= {"metrics", "logs", "traces"}


@every_dashboard
def test_queries_use_the_registrys_names(path: Path) -> None:
    """Every metric and label in a query is one that the registry has."""
    known = _names() | {ENVIRONMENT}
    for query in queries(path):
        words = PROMQL_WORDS if query.source == "prometheus" else LOGQL_WORDS
        assert _identifiers(query.expression) <= known | words, query


def test_a_color_means_the_same_everywhere() -> None:
    """The same status, type or verdict has one color on all dashboards, of a palette that everybody can tell apart."""
    found = {pair for path in DASHBOARD_FILES for pair in _colors(load(path))}
    by_name: dict[str, set[str]] = {}
    for name, color in found:
        by_name.setdefault(name, set()).add(color)
    assert {name: colors for name, colors in by_name.items() if len(colors) > 1} == {}
    assert {color for _, color in found} <= PALETTE
    assert set(by_name) >= STATUSES
    assert len({next(iter(by_name[status])) for status in STATUSES}) == len(STATUSES)


@every_dashboard
def test_amounts_keep_their_currency(path: Path) -> None:
    """A query over money is split by currency, or confined to one."""
    for query in queries(path):
        for metric, currency in (
            ("agent_outcome_value_total", "agent_outcome_currency"),
            ("agent_run_cost_total", "agent_outcome_cost_currency"),
            ("agent_outcome_cost_total", "agent_outcome_cost_currency"),
        ):
            if metric in query.expression:
                split = re.search(rf"sum by \([^)]*\b{currency}\b", query.expression)
                assert split or f'{currency}="$' in query.expression, query


def test_an_event_leads_to_its_trace() -> None:
    """The link of a trace id is an Explore address whose query is that trace, in the chosen data source."""
    values = {"traces": "jaeger-1", "__from": "1", "__to": "2"}
    changes = [item for path in DASHBOARD_FILES for found in _every(load(path), "properties") for item in found]
    found = [item["value"] for item in changes if item["id"] == "links"]
    assert len(found) == len(("outcomes", "verdicts", "explorer"))
    for trace, events in found:
        address = expand(trace["url"].replace("${__value.raw}", "ab"), values)
        asked = parse_qs(urlsplit(address).query)
        pane = json.loads(asked["panes"][0])["outcome"]
        assert json.loads(asked["left"][0]) == pane
        assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"] == "jaeger-1"
        assert pane["queries"][0]["query"] == "ab"
        assert events["url"] == "/d/agent-outcomes-explorer?var-trace_id=${__value.raw}&${__url_time_range}"


def test_provisioned_sources_lead_to_each_other() -> None:
    """Exemplar to trace, event to trace, trace to events and to metrics: each names a source that is provisioned."""
    text = (GRAFANA_FOLDER / "provisioning" / "datasources" / "agent-outcomes.yaml").read_text(encoding="utf-8")
    sources = {source["uid"]: source for source in yaml.safe_load(text)["datasources"]}
    assert {uid: source["type"] for uid, source in sources.items()} == {
        "prometheus": "prometheus",
        "loki": "loki",
        "jaeger": "jaeger",
    }
    assert {source["url"] for source in sources.values()} == {"$PROMETHEUS_URL", "$LOKI_URL", "$JAEGER_URL"}
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "jaeger"
    assert sources["loki"]["jsonData"]["derivedFields"][0]["datasourceUid"] == "jaeger"
    assert sources["jaeger"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert sources["jaeger"]["jsonData"]["tracesToMetrics"]["datasourceUid"] == "prometheus"
    # A single `$` before a brace would be filled in from the environment, with nothing.
    assert re.findall(r"(?<!\$)\$(?:\$\$)*[{_]", text) == []


def test_the_compose_file_is_pinned_and_on_loopback() -> None:
    """Every image has a version, every port is bound to loopback, every file it mounts is there."""
    compose = yaml.safe_load((GRAFANA_FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        mounted = [volume.partition(":")[0] for volume in service.get("volumes", ()) if volume.startswith("./")]
        assert all((GRAFANA_FOLDER / name).exists() for name in mounted)
