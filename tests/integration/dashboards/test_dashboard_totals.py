# SPDX-License-Identifier: Apache-2.0
"""How the dashboards count, over histories that the demo does not have: Prometheus' own evaluator on made-up series."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.dashboards import ALERTS, DASHBOARD_FILES, defaults, expand, load, queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TIMEOUT_S: Final = 60
# A sample a minute; three hours of history, of which a dashboard shows the last one.
EVALUATED: Final = "3h"
GLOBALS: Final = {"__range": "1h", "__interval": "2m", "__rate_interval": "4m"}
ENTRY: Final = 'agent_outcomes_total{gen_ai_agent_name="bot", agent_outcome_type="converted", agent_outcome_success='
REVERSAL: Final = ENTRY.replace("agent_outcomes_total", "agent_outcome_reversals_total")
BEFORE: Final = 120  # samples before the range

Check = dict[str, object]


def _expression(dashboard: str, title: str) -> str:
    ((path, query),) = [
        (path, query)
        for path in DASHBOARD_FILES
        for query in queries(path)
        if (query.dashboard, query.panel) == (dashboard, title)
    ]
    return expand(query.expression, GLOBALS | {"cost_currency": "USD"} | defaults(load(path)))


def _check(expression: str, value: float | None, labels: str = "{}", at: str = EVALUATED) -> Check:
    samples = [] if value is None else [{"labels": labels, "value": value}]
    return {"expr": expression, "eval_time": at, "exp_samples": samples}


@pytest.fixture
def evaluate(backend_binary: Callable[[str], Path], tmp_path: Path) -> Callable[..., None]:
    """Compare expressions with what they must be over the given series, by `promtool test rules`."""
    promtool = backend_binary("promtool")

    def run(series: Mapping[str, str], *checks: Check) -> None:
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": "1m", "input_series": inputs, "promql_expr_test": list(checks)}
        file = tmp_path / "history.yaml"
        file.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
        command = (str(promtool), "test", "rules", str(file))
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_a_first_sample_counts(evaluate: Callable[..., None]) -> None:
    """A process whose runs all fall into its first export is counted whole, where increase() would say 0."""
    series = {f'{ENTRY}"true", instance="one"}}': "_x150 7x5"}
    evaluate(
        series,
        _check(_expression("outcomes", "Outcomes"), 7),
        _check(_expression("outcomes", "Success rate"), 1),
    )


def test_what_was_there_before_does_not_count(evaluate: Callable[..., None]) -> None:
    """Of a counter that stood at 5 when the range began and stands at 8, three count, exactly; of an idle one, none."""
    series = {
        f'{ENTRY}"true", instance="grows"}}': f"5x{BEFORE + 10} 8x50",
        f'{ENTRY}"true", instance="idle"}}': "40x180",
    }
    evaluate(series, _check(_expression("outcomes", "Outcomes"), 3))


def test_a_counter_that_starts_again_counts_on(evaluate: Callable[..., None]) -> None:
    """A process restarted under the same identity: what it counted since then is in, its old total is not taken off."""
    series = {f'{ENTRY}"true"}}': f"20x{BEFORE + 9} 3x50"}
    evaluate(series, _check(f"round({_expression('outcomes', 'Outcomes')})", 3))


def test_a_counter_that_starts_again_before_the_range_counts(evaluate: Callable[..., None]) -> None:
    """A process restarted since its last sample before the range counts by what it has now, exactly."""
    series = {f'{ENTRY}"true"}}': f"20x{BEFORE - 10} _x40 1 2 3 _x20"}
    evaluate(series, _check(_expression("outcomes", "Outcomes"), 3))


def test_a_correction_moves_an_outcome(evaluate: Callable[..., None]) -> None:
    """One of four successes is corrected to a miss: four outcomes stay, three of them successes."""
    series = {
        f'{ENTRY}"true"}}': "_x130 4x50",
        f'{REVERSAL}"true"}}': "_x150 1x30",
        f'{ENTRY}"false"}}': "_x150 1x30",
    }
    evaluate(
        series,
        _check(_expression("outcomes", "Outcomes"), 4),
        _check(_expression("outcomes", "Success rate"), 0.75),
    )


def test_a_correction_of_an_older_outcome_is_seen(evaluate: Callable[..., None]) -> None:
    """A success from before the range is taken back within it: the range has one success less, not none."""
    series = {
        f'{ENTRY}"true", instance="one"}}': f"9x{BEFORE + 19} 11x40",
        f'{REVERSAL}"true", instance="one"}}': "_x150 1x30",
        f'{ENTRY}"false", instance="one"}}': "_x150 1x30",
    }
    evaluate(
        series,
        _check(_expression("outcomes", "Outcomes"), 2),
        _check(_expression("outcomes", "Success rate"), 0.5),
    )


def test_nothing_is_empty_not_zero(evaluate: Callable[..., None]) -> None:
    """Without an outcome a rate is absent, so that the panel says so; with misses alone it is 0."""
    evaluate({}, _check(_expression("outcomes", "Success rate"), None))
    evaluate({f'{ENTRY}"false"}}': "_x150 2x30"}, _check(_expression("outcomes", "Success rate"), 0))


def test_steps_add_up(evaluate: Callable[..., None]) -> None:
    """Each increment falls into exactly one step, that of its sample; a process that has ended adds no more."""
    expression = _expression("outcomes", "Outcomes over time by type")
    labels = '{agent_outcome_type="converted"}'
    series = {
        f'{ENTRY}"true", instance="one"}}': "_x141 7x1",
        f'{ENTRY}"true", instance="two"}}': "1x150 3x30",
    }
    steps = {"2h20m": 0, "2h22m": 7, "2h24m": 0, "2h26m": 0, "2h30m": 0, "2h32m": 2, "2h34m": 0, "2h50m": 0}
    evaluate(series, *(_check(expression, value, labels, at) for at, value in steps.items()))


def test_currencies_stay_apart(evaluate: Callable[..., None]) -> None:
    """An agent that earns in two currencies has two sums, and no ratio adds them."""
    value = 'agent_outcome_value_total{gen_ai_agent_name="bot", agent_outcome_currency='
    cost = 'agent_run_cost_total{gen_ai_agent_name="bot", agent_outcome_cost_currency='
    series = {
        f'{value}"EUR"}}': "_x150 12.5x30",
        f'{value}"USD"}}': "_x150 30x30",
        f'{cost}"USD"}}': "_x150 5x30",
        f'{cost}"EUR"}}': "_x150 1x30",
    }
    values = [
        {"labels": f'{{agent_outcome_currency="{name}"}}', "value": earned}
        for name, earned in (("EUR", 12.5), ("USD", 30))
    ]
    ratios = [
        {"labels": f'{{agent_outcome_currency="{name}", agent_outcome_cost_currency="USD"}}', "value": ratio}
        for name, ratio in (("EUR", 2.5), ("USD", 6))
    ]
    value_ratio = _expression("roi", "Value ratio")
    evaluate(
        series,
        _check(_expression("roi", "Value"), None) | {"exp_samples": values},
        _check(value_ratio, None) | {"exp_samples": ratios},
    )


def test_the_environment_filter_takes_the_resource_attribute(evaluate: Callable[..., None]) -> None:
    """One environment chosen shows its series alone; All shows those without an environment, too."""
    series = {
        f'{ENTRY}"true", deployment_environment_name="prod"}}': "_x150 5x30",
        f'{ENTRY}"true", deployment_environment_name="test"}}': "_x150 3x30",
        f'{ENTRY}"true"}}': "_x150 1x30",
    }
    everything = _expression("outcomes", "Outcomes")
    prod = everything.replace('deployment_environment_name=~".*"', 'deployment_environment_name=~"prod"')
    evaluate(series, _check(everything, 9), _check(prod, 5))


RUNS: Final = 'agent_runs_total{gen_ai_agent_name="bot", agent_outcome_status='
BOT: Final = '{gen_ai_agent_name="bot"}'


@pytest.mark.parametrize(
    ("title", "series", "value"),
    [
        ("Success rate dropped", {f'{ENTRY}"true"}}': "0x20 90x160", f'{ENTRY}"false"}}': "0x150 30x30"}, 1),
        ("Most runs fail", {f'{RUNS}"failure"}}': "_x150 30x30", f'{RUNS}"success"}}': "_x150 10x30"}, 0),
        ("Most runs fail", {f'{RUNS}"failure"}}': "_x170 30x10", f'{RUNS}"success"}}': "_x170 10x10"}, 0.75),
        ("Many runs fail", {f'{RUNS}"timeout"}}': "_x150 30x30", f'{RUNS}"success"}}': "_x150 70x30"}, 0.3),
        ("Many runs fail", {f'{RUNS}"timeout"}}': "_x150 3x30", f'{RUNS}"success"}}': "_x150 7x30"}, None),
        ("Outcomes are missing", {f'{RUNS}"success"}}': "_x150 40x30", f'{ENTRY}"true"}}': "_x150 4x30"}, 0.9),
        ("Outcomes are missing", {f'{RUNS}"success"}}': "_x150 40x30"}, None),
    ],
)
def test_an_alert_rule_judges(
    title: str, series: dict[str, str], value: float | None, evaluate: Callable[..., None]
) -> None:
    """A rule's figure over a history: trouble, trouble that is over, too few runs, an agent that never reports."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    (expression,) = [rule["data"][0]["model"]["expr"] for rule in group["rules"] if rule["title"] == title]
    evaluate(series, _check(expression, value, BOT))
