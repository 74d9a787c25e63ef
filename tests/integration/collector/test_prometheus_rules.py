# SPDX-License-Identifier: Apache-2.0
"""The shipped Prometheus rules: checked and tested by promtool, then at work in a real Prometheus after the demo."""

from __future__ import annotations

import re
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from agent_outcomes import semconv
from agent_outcomes.semconv import HEALTH_COUNTERS, LEDGER_INSTRUMENTS, OUTCOME_COUNTERS
from tests.integration.backend_stack import DEMO_RUNS, run_demo
from tests.integration.backends import Prometheus, get_json, wait_until
from tests.integration.otelcol import CONFIG_FOLDER, PIPELINE, Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.backend_stack import Demo

pytestmark = pytest.mark.backends

FOLDER: Final = CONFIG_FOLDER / "prometheus"
RULES: Final = FOLDER / "agent-outcomes.rules.yaml"
ALERTS: Final = FOLDER / "agent-outcomes.alerts.yaml"
CASES: Final = sorted((FOLDER / "tests").glob("*.test.yaml"))
PROMTOOL_TIMEOUT_S: Final = 280
WINDOWS: Final = ("1h", "6h", "1d")
SUM_OF_RUNS: Final = "sum(agent_job_type:agent_runs:growth{})"
FAILED: Final = ("failure", "timeout", "invalid_output")
# Labels that others give: Prometheus, a resource, our own label_replace.
FOREIGN_LABELS: Final = {"deployment_environment_name", "job", "instance", "currency"}
OVERLAY: Final = """\
exporters:
  otlp_http/prometheus:
    endpoint: ${env:PROMETHEUS_ENDPOINT}
service:
  pipelines:
    metrics:
      exporters: [file/metrics, otlp_http/prometheus]
"""


def groups(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rules of a file by group."""
    return {group["name"]: group["rules"] for group in yaml.safe_load(path.read_text())["groups"]}


def promtool(binary: Callable[[str], Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in the rules' folder."""
    command = [str(binary("promtool")), *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=PROMTOOL_TIMEOUT_S, check=False)


@pytest.mark.parametrize("path", [RULES, ALERTS], ids=lambda path: path.name)
def test_rules_are_valid(backend_binary: Callable[[str], Path], path: Path) -> None:
    """Promtool takes the file, and finds no duplicates in it."""
    done = promtool(backend_binary, "check", "rules", "--lint-fatal", path.name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(PROMTOOL_TIMEOUT_S, func_only=True)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_rules_do_what_their_cases_say(backend_binary: Callable[[str], Path], path: Path) -> None:
    """Each case of promtool's own unit tests holds."""
    done = promtool(backend_binary, "test", "rules", str(path.relative_to(FOLDER)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_can_fail(backend_binary: Callable[[str], Path], tmp_path: Path) -> None:
    """The check above can fail: a case that expects too much is refused."""
    text = (FOLDER / "tests" / "recorded.test.yaml").read_text().replace("../", f"{FOLDER}/")
    text = text.replace("value: 0.75", "value: 0.76")
    (tmp_path / "wrong.test.yaml").write_text(text)
    assert promtool(backend_binary, "test", "rules", str(tmp_path / "wrong.test.yaml")).returncode != 0


def test_every_rule_has_a_case_and_a_quiet_one() -> None:
    """Each recorded series is expected with a value, each alert both firing and silent; nothing at all without data."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    queries = [query for case in cases for query in case.get("promql_expr_test", ())]
    samples = [sample["labels"] for query in queries for sample in query["exp_samples"]]
    valued = {labels.partition("{")[0] for labels in samples}
    assert valued >= {rule["record"] for rules in groups(RULES).values() for rule in rules}
    alerts = [alert for case in cases for alert in case.get("alert_rule_test", ())]
    names = {rule["alert"] for rules in groups(ALERTS).values() for rule in rules}
    assert {alert["alertname"] for alert in alerts if alert["exp_alerts"]} == names
    assert {alert["alertname"] for alert in alerts if not alert["exp_alerts"]} == names
    without_data = [case for case in cases if not case["input_series"]]
    assert {alert["alertname"] for case in without_data for alert in case.get("alert_rule_test", ())} == names
    assert any(not query["exp_samples"] for case in without_data for query in case.get("promql_expr_test", ()))


def test_cases_evaluate_the_groups_in_their_order() -> None:
    """Without the order promtool would evaluate groups in any, and a rule would miss what it reads."""
    for path in CASES:
        case = yaml.safe_load(path.read_text())
        files = [(path.parent / name).resolve() for name in case["rule_files"]]
        assert case["group_eval_order"] == [name for file in files for name in groups(file)]


def test_the_windows_have_the_same_rules() -> None:
    """What 1h records 6h and 1d record, too, letter for letter."""
    by_group = groups(RULES)
    texts = {window: str(by_group[f"agent-outcomes-{window}"]) for window in ("15m", "1h", "6h", "1d")}
    hour = texts["1h"]
    assert texts["6h"] == hour.replace("1h", "6h")
    assert texts["1d"] == hour.replace("1h", "1d")
    assert hour.replace("1h", "15m").startswith(texts["15m"].removesuffix("]"))


def test_metrics_and_labels_are_those_of_the_registry() -> None:
    """Each metric and label that a rule names is one that the package sends, as Prometheus spells it."""
    counters = (*OUTCOME_COUNTERS, *HEALTH_COUNTERS, *LEDGER_INSTRUMENTS)
    instruments = {one.name.replace(".", "_") + "_total": one for one in counters}
    labels = {key.replace(".", "_") for one in instruments.values() for key in one.attributes}
    for path in (RULES, ALERTS):
        for rule in (rule for rules in groups(path).values() for rule in rules):
            text = re.sub(r"\b\w+(?::\w+){2}\b", "", rule["expr"])
            used = set(re.findall(r"\b\w+_total\b", text))
            assert used <= instruments.keys()
            grouped = re.findall(r"(?:by|without|ignoring) \(([^)]*)\)", text)
            named = {name.strip() for names in grouped for name in names.split(",")}
            named |= set(re.findall(r"(\w+)(?:=~|!=|=)\"", text)) | set(re.findall(r'"\$1", "(\w+)"', text))
            assert named <= labels | FOREIGN_LABELS, rule
            for name in used:
                own = {key.replace(".", "_") for key in instruments[name].attributes}
                if path is RULES:
                    assert named <= own | FOREIGN_LABELS, rule


@pytest.fixture(scope="module")
def evaluated(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Prometheus, Demo]]:
    """A Prometheus with the rules, once it has evaluated them over the demo's 1,000 runs, and what the demo printed."""
    folder = tmp_path_factory.mktemp("rules")
    for path in (RULES, ALERTS):
        (folder / path.name).write_text(re.sub(r"interval: \dm", "interval: 1s", path.read_text()))
    (folder / "overlay.yaml").write_text(OVERLAY)
    (folder / "prometheus").mkdir()
    rules = [folder / RULES.name, folder / ALERTS.name]
    server = Prometheus(backend_binary("prometheus"), folder / "prometheus", rules=rules)
    with server:
        env = {"PROMETHEUS_ENDPOINT": server.otlp_endpoint}
        with Collector(otelcol_binary, folder, (PIPELINE, folder / "overlay.yaml"), env) as collector:
            demo = run_demo(collector.grpc_endpoint, folder / "demo")
            wait_until(lambda: all(server.value(SUM_OF_RUNS.format(window)) == DEMO_RUNS for window in WINDOWS), 60)
        yield server, demo


@pytest.mark.parametrize("window", WINDOWS)
def test_counts_are_those_the_demo_printed(evaluated: tuple[Prometheus, Demo], window: str) -> None:
    """Runs, failed and retryable ones, outcomes, pending: per agent, right after one burst of a new process."""
    server, demo = evaluated
    failed = {row["agent"]: sum(int(row[status]) for status in FAILED) for row in demo.table("Runs by status")}
    assert failed.pop("all") == server.value(f"sum(agent_job_type:agent_runs_failed:growth{window})")
    assert per_agent(server, f"agent_job_type:agent_runs_failed:growth{window}") == failed
    retryable = [int(row["runs"]) for row in demo.table("Retryable failures")]
    assert server.value(f"sum(agent_job_type:agent_runs_retryable:growth{window})") == sum(retryable)
    by_type = demo.table("Outcomes by type")
    pending = sum(int(row["outcomes"]) for row in by_type if row["type"] == "(pending)")
    met = sum(int(row["outcomes"]) for row in by_type if row["type"] in ("converted", "deflected"))
    assert server.value(f"sum(agent_job_type:agent_outcomes:pending{window})") == pending
    assert server.value(f"sum(agent_job_type:agent_outcomes_net:growth{window})") == DEMO_RUNS - pending
    assert server.value(f"sum(agent_job_type:agent_outcomes_met:growth{window})") == met


def per_agent(server: Prometheus, series: str) -> dict[str, float]:
    """A series summed per agent."""
    label = semconv.GEN_AI_AGENT_NAME.replace(".", "_")
    return {one["metric"][label]: float(one["value"][1]) for one in server.query(f"sum by ({label}) ({series})")}


def test_money_is_what_the_demo_printed(evaluated: tuple[Prometheus, Demo]) -> None:
    """Value, cost and their ratio per job type, to the cent, a ratio only within one currency."""
    server, demo = evaluated
    for row in demo.table("Value ratio by job type"):
        matcher = f'gen_ai_agent_name="{row["agent"]}", agent_outcome_job_type="{row["job type"]}"'
        for series, column in (("agent_outcome_value_net", "value"), ("agent_run_cost", "cost")):
            amount, currency = row[column].split()
            name = f"agent_job_type_currency:{series}:growth1d"
            found = server.value(f'sum({name}{{{matcher}, currency="{currency}"}})')
            assert f"{Decimal(repr(found)):.2f}" == amount
        ratio = server.query(f"agent_job_type_currency:agent_outcomes:value_ratio1d{{{matcher}}}")
        in_one_currency = "/" not in row["value / cost"]
        assert [f"{float(one['value'][1]):.1f}" for one in ratio] == ([row["value / cost"]] if in_one_currency else [])


def test_no_rule_fails_and_nothing_is_dropped(evaluated: tuple[Prometheus, Demo]) -> None:
    """Prometheus itself finds every rule healthy over real data; the alert on drops is silent."""
    server, _ = evaluated
    answer = get_json(f"{server.url}/api/v1/rules")
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert len(rules) == sum(len(rules) for path in (RULES, ALERTS) for rules in groups(path).values())
    assert {(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"} == set()
    assert server.query('ALERTS{alertname="AgentOutcomesDropped"}') == []
