# SPDX-License-Identifier: Apache-2.0
"""After the demo every backend says what the demo printed, and a number leads to its trace."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agent_outcomes import semconv
from agent_outcomes.otlp.json_codec import from_otlp_json
from tests.integration.backend_stack import DEMO_RUNS, DEMO_SERVICE
from tests.integration.otelcol import CONFIG_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.integration.backend_stack import Demo, Stack
    from tests.integration.backends import Prometheus, PromQL

METRIC_BACKENDS = ("prometheus", "scraping", "victoria_metrics")
STREAM = f'{{service_name="{DEMO_SERVICE}"}}'
BY_AGENT_AND_TYPE = "gen_ai_agent_name, agent_outcome_type"
CENT = Decimal("0.01")

Money = dict[tuple[str, ...], Decimal]


@pytest.fixture(params=METRIC_BACKENDS)
def metrics(request: pytest.FixtureRequest, stack: Stack) -> PromQL:
    """Each backend that holds the metrics, in turn."""
    found: PromQL = getattr(stack, request.param)
    return found


def test_runs_by_agent_and_status(metrics: PromQL, demo: Demo) -> None:
    """1,000 runs; each agent's, by status, as printed."""
    printed = {
        (row["agent"], status): float(count)
        for row in demo.table("Runs by status")
        for status, count in row.items()
        if row["agent"] != "all" and status not in ("agent", "runs") and count != "0"
    }
    by_status = metrics.values("sum by (agent_outcome_status, gen_ai_agent_name) (agent_runs_total)")
    assert {(agent, status): count for (status, agent), count in by_status.items()} == printed
    assert metrics.value("sum(agent_runs_total)") == DEMO_RUNS == sum(printed.values())
    assert metrics.value("sum(agent_run_duration_seconds_count)") == DEMO_RUNS


def test_retryable_runs(metrics: PromQL, demo: Demo) -> None:
    """Retryable runs by agent, status and error category, as printed."""
    found = metrics.values(
        "sum by (gen_ai_agent_name, agent_outcome_status, agent_outcome_error_category)"
        ' (agent_runs_total{agent_outcome_retryable="true"})'
    )
    assert {(agent, status, category): count for (category, status, agent), count in found.items()} == {
        (row["agent"], row["status"], row["error category"]): float(row["runs"])
        for row in demo.table("Retryable failures")
    }


def test_outcomes_by_agent_and_type(metrics: PromQL, demo: Demo) -> None:
    """Outcomes less reversals, by type; what is left of the runs is pending: as printed."""
    printed = {(row["agent"], row["type"]): float(row["outcomes"]) for row in demo.table("Outcomes by type")}
    found = {(agent, kind): count for (kind, agent), count in metrics.values(_net("agent_outcomes_total")).items()}
    pending = metrics.values(
        "sum by (gen_ai_agent_name) (agent_runs_total) - sum by (gen_ai_agent_name) (agent_outcomes_total) > 0"
    )
    assert found | {(agent, "(pending)"): count for (agent,), count in pending.items()} == printed


def _net(counter: str, by: str = BY_AGENT_AND_TYPE) -> str:
    return f"sum by ({by}) ({counter})"


def test_value_and_cost_to_the_cent(metrics: PromQL, demo: Demo) -> None:
    """Value and cost per agent, job type and currency, and cost per outcome type, to the cent as printed."""
    ratios = demo.table("Value ratio by job type")
    by_job = "agent_outcome_job_type, gen_ai_agent_name"
    value = _money(metrics.values(_net("agent_outcome_value_total", f"agent_outcome_currency, {by_job}")))
    assert value == _printed(ratios, "value", "job type")
    cost = _money(metrics.values(_net("agent_run_cost_total", f"agent_outcome_cost_currency, {by_job}")))
    assert cost == _printed(ratios, "cost", "job type")
    of_outcomes = _money(
        metrics.values(_net("agent_outcome_cost_total", f"agent_outcome_cost_currency, {BY_AGENT_AND_TYPE}"))
    )
    assert of_outcomes == _printed(demo.table("Cost per outcome"), "cost", "type")


def _money(found: Mapping[tuple[str, ...], float]) -> Money:
    return {key: Decimal(repr(amount)).quantize(CENT) for key, amount in found.items()}


def _printed(rows: Iterable[Mapping[str, str]], column: str, kind: str) -> Money:
    """Printed amounts by label values in the order of the labels' names."""
    amounts: Money = {}
    for row in rows:
        amount, currency = row[column].split()
        key = (currency, row[kind], row["agent"])
        amounts[key] = Decimal(amount)
    return amounts


def test_exemplar_leads_to_a_trace(stack: Stack, demo: Demo) -> None:
    """An exemplar of the duration histogram, by OTLP and by scrape, names a trace in Jaeger, and in it the run."""
    assert demo.printed
    for prometheus in (stack.prometheus, stack.scraping):
        for agent, trace_id, span_id in _exemplars(prometheus):
            (span,) = [span for span in stack.jaeger.trace(trace_id) if span["spanID"] == span_id]
            assert span["operationName"] == f"invoke_agent {agent}"


def _exemplars(prometheus: Prometheus) -> list[tuple[str, str, str]]:
    found = [
        (series["seriesLabels"]["gen_ai_agent_name"], one["labels"]["trace_id"], one["labels"]["span_id"])
        for series in prometheus.exemplars("agent_run_duration_seconds_bucket")
        for one in series["exemplars"]
    ]
    assert {agent for agent, _, _ in found} == {"coding", "sales", "support"}
    return found


def test_loki_holds_every_event(stack: Stack, demo: Demo) -> None:
    """1,000 events, found by event name; by status as printed; each has its run's trace id."""
    records = stack.loki.records(f'{STREAM} | event_name="{semconv.EVENT_NAME}"')
    assert len(records) == DEMO_RUNS
    assert {record["trace_id"] for record in records} == _exported_trace_ids(demo)
    printed = next(row for row in demo.table("Runs by status") if row["agent"] == "all")
    assert Counter(record["agent_outcome_status"] for record in records) == {
        status: int(count) for status, count in printed.items() if status not in ("agent", "runs")
    }
    for status in ("failure", "timeout"):
        found = stack.loki.records(f'{STREAM} | agent_outcome_status="{status}"')
        assert len(found) == int(printed[status])


def _exported_trace_ids(demo: Demo) -> set[str]:
    lines = (demo.folder / "logs.json").read_text().split("\n")
    return {
        record.trace_id.hex()
        for line in lines
        if line
        for resource in from_otlp_json(line, ExportLogsServiceRequest).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    }


def test_loki_finds_an_event_by_trace_id(stack: Stack, demo: Demo) -> None:
    """Each printed sample is one event under its trace id, with the printed status, type and evidence."""
    for sample in demo.table("Sample traces"):
        (record,) = stack.loki.records(f'{STREAM} | trace_id="{sample["trace id"]}"')
        assert record["agent_outcome_status"] == sample["status"]
        assert record["agent_outcome_type"] == sample["type"]
        assert record["agent_outcome_evidence"] == sample["decided by"]


def test_loki_adds_up_values(stack: Stack, demo: Demo) -> None:
    """The events' values, summed by Loki per agent and currency, are what was printed."""
    printed: dict[tuple[str, str], Decimal] = {}
    for row in demo.table("Value ratio by job type"):
        amount, currency = row["value"].split()
        printed[row["agent"], currency] = printed.get((row["agent"], currency), Decimal(0)) + Decimal(amount)
    found = stack.loki.query_range(
        "sum by (gen_ai_agent_name, agent_outcome_currency) (sum_over_time("
        f'{STREAM} | event_name="{semconv.EVENT_NAME}" | agent_outcome_value!="" | unwrap agent_outcome_value [1h]))'
    )
    assert {
        (it["metric"]["gen_ai_agent_name"], it["metric"]["agent_outcome_currency"]): Decimal(
            it["values"][-1][1]
        ).quantize(CENT)
        for it in found
    } == printed


def test_jaeger_finds_samples_by_outcome_tag(stack: Stack, demo: Demo) -> None:
    """A search by outcome tags returns each printed sample's trace."""
    for sample in demo.table("Sample traces"):
        found = stack.jaeger.search(DEMO_SERVICE, {semconv.AGENT_OUTCOME_TYPE: sample["type"]})
        tags = [tag for span in found[sample["trace id"]] for tag in span["tags"]]
        assert {"key": semconv.AGENT_OUTCOME_TYPE, "type": "string", "value": sample["type"]} in tags


def test_jaeger_holds_every_trace(stack: Stack, demo: Demo) -> None:
    """All 1,000 traces are there, with the outcome types as printed."""
    printed: Counter[str] = Counter()
    for row in demo.table("Outcomes by type"):
        printed[row["type"]] += int(row["outcomes"])
    del printed["(pending)"]
    for outcome_type, count in printed.items():
        assert len(stack.jaeger.search(DEMO_SERVICE, {semconv.AGENT_OUTCOME_TYPE: outcome_type})) == count
    assert len(stack.jaeger.search(DEMO_SERVICE, {"gen_ai.operation.name": "invoke_agent"})) == DEMO_RUNS


def test_names_in_the_scrape_are_those_of_otlp(stack: Stack, demo: Demo) -> None:
    """Both ways into Prometheus give the same metric names, so that one dashboard fits both."""
    assert demo.printed
    names = '{__name__=~"agent_[a-z_]+"}'
    by_otlp, by_scrape = (
        {series["metric"]["__name__"] for series in prometheus.query(f"count by (__name__) ({names})")}
        for prometheus in (stack.prometheus, stack.scraping)
    )
    assert by_otlp == by_scrape
    assert all(re.fullmatch(r"agent_\w+_(total|bucket|sum|count)", name) for name in by_otlp)


def test_every_question_of_the_readme_is_answered(stack: Stack, demo: Demo) -> None:
    """What collector-config/README.md says one can ask, asked as it stands there, has an answer."""
    assert demo.printed
    text = (CONFIG_FOLDER / "README.md").read_text()
    rows = [row.replace("\\|", "|") for row in re.findall(r"^\| .+\? \| (.+) \|$", text, re.MULTILINE)]
    trace_id = demo.table("Sample traces")[0]["trace id"]
    for row in rows:
        backend, _, question = row.partition(" | ")
        (asked, *_) = re.findall(r"`(.+?)`", question)
        if backend == "Loki":
            assert stack.loki.records(asked.replace("...", trace_id)), asked
        elif backend == "Jaeger":
            (tag,) = re.findall(r"tags `(\S+)=(\S+)`", question)
            assert stack.jaeger.search(asked, dict([tag])), question
        elif "exemplars" in question:
            assert stack.prometheus.exemplars(asked), asked
        else:
            assert stack.prometheus.query(asked), asked
            assert stack.victoria_metrics.query(asked), asked
    assert len(rows) == 6
