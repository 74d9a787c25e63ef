# SPDX-License-Identifier: Apache-2.0
"""Every query of every dashboard and alert rule, asked of real backends that the demo filled."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest
import yaml

from tests.dashboards import ALERTS, DASHBOARD_FILES, GRAFANA_FOLDER, Query, defaults, expand, load, queries
from tests.integration.backends import get_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.backend_stack import Demo, Stack

RANGE_S: Final = 3 * 3600
STEP_S: Final = 120
# What Grafana makes of its own variables for this range, in a panel of 90 points and with exports every minute.
GLOBALS: Final = {"__range": f"{RANGE_S}s", "__interval": f"{STEP_S}s", "__rate_interval": "240s"}
CURRENCIES: Final = {"currency": "EUR", "cost_currency": "USD"}
DEMO_AGENTS: Final = "coding|sales|support"
# What the verdicts' dashboard shows comes from a ledger, and `test_verdicts` asks for it.
ALL_QUERIES: Final = [(path, query) for path in DASHBOARD_FILES if path.stem != "verdicts" for query in queries(path)]
TO_THE_CENT: Final = 0.005
FAILED: Final = ("failure", "timeout", "invalid_output")

Keys = tuple[str, ...]
Amounts = dict[Keys, float]
KeyT = TypeVar("KeyT", bound=Keys)
Series = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a panel shows: the labels of each series and its figure, for a query over time the sum of its steps."""

    series: list[Series]

    def by(self, *labels: str) -> Amounts:
        """The figures by labels. Raises AssertionError where these do not tell the series apart."""
        found = {tuple(series["metric"].get(label, "") for label in labels): _figure(series) for series in self.series}
        assert len(found) == len(self.series)
        return found

    def all(self) -> dict[frozenset[tuple[str, str]], float]:
        """The figures by all their labels."""
        return {frozenset(series["metric"].items()): _figure(series) for series in self.series}

    def only(self) -> float:
        """The figure of a panel with one series."""
        (series,) = self.series
        return _figure(series)


def _figure(series: Series) -> float:
    return math.fsum(float(value) for _, value in series.get("values") or [series["value"]])


def _values(path: Path, changes: dict[str, str]) -> dict[str, str]:
    return GLOBALS | CURRENCIES | defaults(load(path)) | changes


def _ask(stack: Stack, query: Query, values: Mapping[str, str], metrics_url: str = "") -> list[Series]:
    """Send a query as Grafana does and return its series, for a query of log lines its streams.

    Metrics come from the Prometheus that takes OTLP unless `metrics_url` names another backend.
    """
    expression = expand(query.expression, values)
    now_s = time.time()
    # A step further than Grafana asks, which leaves out the step that is not over.
    start_s, end_s = (int(edge_s / STEP_S) * STEP_S for edge_s in (now_s - RANGE_S, now_s + STEP_S))
    metrics = f"{metrics_url or stack.prometheus.url}/api/v1"
    base, scale = (metrics, 1) if query.source == "prometheus" else (f"{stack.loki.url}/loki/api/v1", 10**9)
    if query.instant:
        answer = get_json(f"{base}/query", query=expression, time=str(int(now_s * scale)))
    else:
        times = {"start": str(start_s * scale), "end": str(end_s * scale), "step": str(STEP_S)}
        limit = {} if query.source == "prometheus" else {"limit": "500"}
        answer = get_json(f"{base}/query_range", query=expression, **times, **limit)
    result: list[Series] = answer["data"]["result"]
    return result


@pytest.fixture
def shown(stack: Stack, demo: Demo) -> Callable[..., Shown]:
    """What a panel shows of the demo, by dashboard, title and the query's letter; keywords change filters."""
    del demo

    def ask(dashboard: str, title: str, ref: str = "A", **filters: str) -> Shown:
        ((path, query),) = [
            (path, query)
            for path, query in ALL_QUERIES
            if (query.dashboard, query.panel, query.ref) == (dashboard, title, ref)
        ]
        return Shown(_ask(stack, query, _values(path, {"agent": DEMO_AGENTS} | filters)))

    return ask


def _amount(text: str) -> tuple[float, str]:
    amount, currency = text.split()
    return float(amount), currency


def _statuses(demo: Demo) -> dict[str, dict[str, float]]:
    """Runs by agent and status, `all` and `runs` among them."""
    rows = demo.table("Runs by status")
    return {row["agent"]: {name: float(text) for name, text in row.items() if name != "agent"} for row in rows}


def _types(demo: Demo) -> Amounts:
    """Reported outcomes by agent and type."""
    rows = [row for row in demo.table("Outcomes by type") if row["type"] != "(pending)"]
    return {(row["agent"], row["type"]): float(row["outcomes"]) for row in rows}


def _summed(amounts: Amounts, *kept: int) -> Amounts:
    sums: Counter[Keys] = Counter()
    for key, amount in amounts.items():
        sums[tuple(key[at] for at in kept)] += amount  # type: ignore[assignment]  # Counter is typed for ints
    return dict(sums)


def _money(demo: Demo, column: str) -> Amounts:
    """Value or cost by agent, job type and currency."""
    found: Amounts = {}
    for row in demo.table("Value ratio by job type"):
        amount, currency = _amount(row[column])
        found[(row["agent"], row["job type"], currency)] = amount
    return found


def _same(found: Amounts, printed: Mapping[KeyT, float], tolerance: float = 1e-9) -> None:
    """Compare; a sum of amounts that were printed to the cent may be off by as many half cents."""
    assert found.keys() == printed.keys()
    for key, amount in printed.items():
        assert found[key] == pytest.approx(amount, abs=tolerance), key


@pytest.mark.parametrize(("path", "query"), ALL_QUERIES, ids=[str(query) for _, query in ALL_QUERIES])
def test_every_query_is_answered(path: Path, query: Query, stack: Stack, demo: Demo) -> None:
    """With every filter at All, no query of any panel fails or returns nothing."""
    assert demo.printed
    series = _ask(stack, query, _values(path, {}))
    assert series
    assert not any(value in ("NaN", "+Inf") for it in series for _, value in it.get("values") or [it["value"]])


@pytest.mark.parametrize("other", ["scraping", "victoria_metrics"])
def test_totals_are_the_same_elsewhere(other: str, stack: Stack, demo: Demo) -> None:
    """A Prometheus that scrapes the collector and VictoriaMetrics answer every query for totals as OTLP's does."""
    assert demo.printed
    url = getattr(stack, other).url
    totals = [(path, query) for path, query in ALL_QUERIES if query.source == "prometheus" and query.instant]
    assert totals
    for path, query in totals:
        values = _values(path, {"agent": DEMO_AGENTS})
        here, there = (Shown(_ask(stack, query, values, base)).all() for base in ("", url))
        assert there == pytest.approx(here), query


def test_every_alert_rule_has_something_to_judge(stack: Stack, demo: Demo) -> None:
    """Each of Grafana's own rules evaluates to figures, and none of them is beyond the rule's limit after the demo."""
    assert demo.printed
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        if "-ledger-" in rule["uid"]:
            continue  # `test_verdicts` has a ledger
        query, condition = (part["model"] for part in rule["data"])
        evaluator = condition["conditions"][0]["evaluator"]
        series = stack.prometheus.query(query["expr"])
        assert series, rule["title"]
        for figure in (float(it["value"][1]) for it in series):
            limit = evaluator["params"][0]
            assert not (figure < limit if evaluator["type"] == "lt" else figure > limit), rule["title"]


def test_outcomes_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """Reported, pending, success rates and types are what the demo printed."""
    runs = _statuses(demo)
    types = _types(demo)
    reported = sum(types.values())
    agents = _summed(types, 0)
    met = _summed({key: count for key, count in types.items() if key[1] in ("converted", "deflected")}, 0)
    assert shown("outcomes", "Outcomes").only() == reported
    assert shown("outcomes", "Pending runs").only() == runs["all"]["runs"] - reported
    assert shown("outcomes", "Success rate").only() == pytest.approx(sum(met.values()) / reported)
    rates = {agent: met[agent] / count for agent, count in agents.items()}
    _same(shown("outcomes", "Success rate by agent").by("gen_ai_agent_name"), rates)
    _same(shown("outcomes", "Outcomes by type").by("agent_outcome_type"), _summed(types, 1))
    _same(shown("outcomes", "Outcomes over time by type").by("agent_outcome_type"), _summed(types, 1))
    pending = {(agent,): runs[agent]["runs"] - agents[(agent,)] for (agent,) in agents}
    _same(shown("outcomes", "Pending runs by agent").by("gen_ai_agent_name"), pending)
    assert sum(shown("outcomes", "Outcomes by label").by("agent_outcome_label").values()) == reported


def test_cost_per_outcome_is_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """The three columns of the table, and the average over everything."""
    rows = demo.table("Cost per outcome")
    keys = ("gen_ai_agent_name", "agent_outcome_type", "agent_outcome_cost_currency")
    title = "Cost per outcome by agent and type"
    for ref, column, tolerance in (("B", "cost", TO_THE_CENT), ("C", "per outcome", TO_THE_CENT / 100)):
        printed = {(row["agent"], row["type"], _amount(row[column])[1]): _amount(row[column])[0] for row in rows}
        _same(shown("outcomes", title, ref).by(*keys), printed, tolerance)
    counts = {(row["agent"], row["type"], "USD"): float(row["outcomes"]) for row in rows}
    _same(shown("outcomes", title, "A").by(*keys), counts)
    average = sum(_amount(row["cost"])[0] for row in rows) / sum(counts.values())
    found = shown("outcomes", "Cost per outcome").by("agent_outcome_cost_currency")
    _same(found, {("USD",): average}, TO_THE_CENT)


def test_value_and_cost_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """Value, cost and their ratio per job type are what the demo printed, to the cent, each in its currency."""
    value, cost = _money(demo, "value"), _money(demo, "cost")
    keys = ("gen_ai_agent_name", "agent_outcome_job_type", "agent_outcome_currency")
    title = "Value ratio by job type"
    _same(shown("roi", title, "A").by(*keys), value, TO_THE_CENT)
    spent = {key[:2]: amount for key, amount in cost.items()}
    _same(shown("roi", title, "B").by(*keys[:2]), spent, TO_THE_CENT)
    ratios = {(row["agent"], row["job type"]): float(row["value / cost"].split()[0]) for row in demo.table(title)}
    _same(shown("roi", title, "C").by(*keys[:2]), ratios, 0.05)
    _same(shown("roi", "Value").by("agent_outcome_currency"), _summed(value, 2), TO_THE_CENT)
    _same(shown("roi", "Cost").by("agent_outcome_cost_currency"), _summed(cost, 2), TO_THE_CENT * len(cost))


def test_sums_per_agent_and_currency_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """The ratios per agent and in total divide sums of one currency by sums of one currency."""
    value, cost = _summed(_money(demo, "value"), 0, 2), _summed(_money(demo, "cost"), 0)
    title = "Value ratio by agent"
    _same(shown("roi", title, "A").by("gen_ai_agent_name", "agent_outcome_currency"), value, TO_THE_CENT)
    ratios = {key: amount / cost[key[:1]] for key, amount in value.items()}
    _same(shown("roi", title, "C").by("gen_ai_agent_name", "agent_outcome_currency"), ratios, 0.05)
    dollars = value[("sales", "USD")] + value[("support", "USD")]
    printed = {("USD",): dollars / (cost[("sales",)] + cost[("support",)]), ("EUR",): ratios[("coding", "EUR")]}
    _same(shown("roi", "Value ratio").by("agent_outcome_currency"), printed, 0.05)
    over_time = shown("roi", "Value over time by agent").by("gen_ai_agent_name")
    _same(over_time, {("coding",): value[("coding", "EUR")]}, TO_THE_CENT)


def test_funnels_and_escalations_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """From all runs to those that met their goal, converted or were deflected; and what people's time cost."""
    types = _summed(_types(demo), 1)
    met = types[("converted",)] + types[("deflected",)]
    for title, last in (("Conversion funnel", "converted"), ("Cost-avoidance funnel", "deflected")):
        steps = [shown("roi", title, ref).only() for ref in "ABC"]
        assert steps == [_statuses(demo)["all"]["runs"], met, types[(last,)]]
    escalated = {(agent,): count for (agent, kind), count in _types(demo).items() if kind == "escalated"}
    _same(shown("roi", "Escalations and human cost", "A").by("gen_ai_agent_name"), escalated)
    human = shown("roi", "Escalations and human cost", "B").by("gen_ai_agent_name")
    kinds = shown("roi", "Cost over time by kind").by("agent_cost_kind")
    assert sum(human.values()) == pytest.approx(kinds[("human",)]) == pytest.approx(shown("roi", "Human cost").only())
    assert sum(kinds.values()) == pytest.approx(shown("roi", "Cost").only())


def test_statuses_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """Statuses, in total and over time, from metrics and from events, and the shares made of them."""
    agents = _statuses(demo)
    everything = agents.pop("all")
    runs = everything.pop("runs")
    printed = {(status,): count for status, count in everything.items()}
    for dashboard, title in (
        ("reliability", "Runs by status"),
        ("reliability", "Runs over time by status"),
        ("explorer", "Events by status"),
        ("explorer", "Events over time"),
    ):
        _same(shown(dashboard, title).by("agent_outcome_status"), printed)
    assert shown("explorer", "Events found").only() == runs
    failed = {
        agent: sum(found[it] for it in ("failure", "timeout", "invalid_output")) for agent, found in agents.items()
    }
    assert shown("reliability", "Failed runs").only() == pytest.approx(sum(failed.values()) / runs)
    shares = {(agent,): count / agents[agent]["runs"] for agent, count in failed.items()}
    _same(shown("reliability", "Failed runs by agent").by("gen_ai_agent_name"), shares)
    assert shown("reliability", "Timeouts").only() == everything["timeout"]
    timeouts = {(agent,): found["timeout"] for agent, found in agents.items()}
    _same(shown("reliability", "Timeouts over time by agent").by("gen_ai_agent_name"), timeouts)


def test_retryable_failures_are_the_demos(shown: Callable[..., Shown], demo: Demo) -> None:
    """The table row by row, its share of all failures, and the remedies that the events name."""
    rows = demo.table("Retryable failures")
    printed = {(row["agent"], row["status"], row["error category"]): float(row["runs"]) for row in rows}
    keys = ("gen_ai_agent_name", "agent_outcome_status", "agent_outcome_error_category")
    _same(shown("reliability", "Retryable failures").by(*keys), printed)
    everything = _statuses(demo)["all"]
    failed = sum(everything[it] for it in FAILED)
    share = shown("reliability", "Retryable share").only()
    assert share == pytest.approx(sum(printed.values()) / failed)
    remedies = shown("reliability", "Remedies").by("agent_outcome_remedy")
    assert remedies[("retry",)] + remedies[("retry_later",)] == sum(printed.values())


def test_durations_and_the_processors_own_figures(shown: Callable[..., Shown], demo: Demo) -> None:
    """The heatmap holds every run once, and the processor reports no loss."""
    runs = _statuses(demo)["all"]["runs"]
    assert shown("reliability", "Duration of runs").by("le")[("+Inf",)] == runs
    assert [shown("reliability", "Processor health", ref).only() for ref in "BCDE"] == [0, 0, 0, 0]
    assert shown("reliability", "Processor health", "A").only() >= runs
    assert shown("reliability", "Items dropped").only() == 0


def test_filters_confine_what_is_shown(shown: Callable[..., Shown], demo: Demo) -> None:
    """One agent and two statuses chosen: metrics and events show these alone."""
    chosen = {"agent": "sales", "status": "failure|timeout"}
    printed = {(status,): _statuses(demo)["sales"][status] for status in ("failure", "timeout")}
    _same(shown("reliability", "Runs by status", **chosen).by("agent_outcome_status"), printed)
    _same(shown("explorer", "Events by status", **chosen).by("agent_outcome_status"), printed)
    assert shown("outcomes", "Outcomes by type", job_type="no_such_job").series == []


def test_a_row_leads_to_its_trace_and_back(shown: Callable[..., Shown], stack: Stack, demo: Demo) -> None:
    """The explorer finds the demo's sample traces by id; Jaeger has them; the trace's own log query finds the event."""
    text = (GRAFANA_FOLDER / "provisioning" / "datasources" / "agent-outcomes.yaml").read_text(encoding="utf-8")
    sources = {source["uid"]: source["jsonData"] for source in yaml.safe_load(text)["datasources"]}
    back = sources["jaeger"]["tracesToLogsV2"]["query"].replace("$${__trace.traceId}", "{}")
    for row in demo.table("Sample traces"):
        (stream,) = shown("explorer", "Runs", trace_id=row["trace id"]).series
        assert stream["stream"]["agent_outcome_status"] == row["status"]
        assert stack.jaeger.trace(stream["stream"]["trace_id"])
        assert len(stack.loki.records(back.replace("{}", row["trace id"]), since_s=RANGE_S)) == 1


def test_an_exemplar_of_the_heatmap_leads_to_a_trace(stack: Stack, demo: Demo) -> None:
    """The exemplars that Prometheus gives for the heatmap's own query bear ids of traces that Jaeger has."""
    assert demo.printed
    ((path, query),) = [(path, query) for path, query in ALL_QUERIES if query.panel == "Duration of runs"]
    expression = expand(query.expression, _values(path, {"agent": DEMO_AGENTS}))
    now_s = time.time()
    times = {"start": str(now_s - RANGE_S), "end": str(now_s)}
    answer = get_json(f"{stack.prometheus.url}/api/v1/query_exemplars", query=expression, **times)
    ids = {exemplar["labels"]["trace_id"] for series in answer["data"] for exemplar in series["exemplars"]}
    assert ids
    for trace_id in sorted(ids)[:5]:
        assert stack.jaeger.trace(trace_id)


def test_the_table_shows_at_most_its_lines(shown: Callable[..., Shown]) -> None:
    """The events table gets as many events as it asks for, each with the trace, time and figures that it shows."""
    streams = shown("outcomes", "Outcome events").series
    assert sum(len(stream["values"]) for stream in streams) == 500
    for event, ((time_ns, _), *_) in ((stream["stream"], stream["values"]) for stream in streams):
        assert event["trace_id"]
        assert datetime.fromisoformat(event["time"]).timestamp() == pytest.approx(int(time_ns) / 1e9, abs=0.002)
        assert event["value"] == event.get("agent_outcome_value", "-")
        assert event["cost"] == event.get("agent_outcome_cost", "-")
        assert event["duration"] == event["agent_run_duration"]
