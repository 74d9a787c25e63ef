# SPDX-License-Identifier: Apache-2.0
"""The dashboard of verdicts and the alerts on ledgers, asked of real backends that the demo filled through a ledger."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.dashboards import ALERTS, GRAFANA_FOLDER, defaults, expand, load, queries
from tests.integration.backend_stack import run_demo, running_stack
from tests.integration.backends import get_json, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent_outcomes.ledger.rows import LedgerStatus
    from tests.integration.backend_stack import Stack

pytestmark = pytest.mark.backends

PATH: Final = GRAFANA_FOLDER / "dashboards" / "verdicts.json"
QUERIES: Final = {(query.panel, query.ref): query for query in queries(PATH)}
GLOBALS: Final = {"__range": "10800s", "__interval": "120s", "__rate_interval": "240s"}
LATE: Final = 70
CORRECTED: Final = 20
BILLED: Final = 10
Filled = tuple["Stack", "LedgerStatus"]


@pytest.fixture(scope="module")
def filled(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """All backends, once they hold what the demo has told them through its ledger, and what the ledger says of it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/demo.db"
    with running_stack(backend_binary, otelcol_binary, tmp_path_factory.mktemp("stack")) as stack:
        run_demo(stack.collector.grpc_endpoint, tmp_path_factory.mktemp("demo"), "--ledger", url)
        store = Store.open(read_location(url), create=False)
        status = store.status()
        store.close()
        wait_until(
            lambda: _sum(_ask(stack, "Late verdicts, corrections and costs over time")) == LATE + CORRECTED + BILLED, 60
        )
        wait_until(lambda: _sum(_ask(stack, "Accounting of events")) == status.accepted, 60)
        yield stack, status


def _ask(stack: Stack, panel: str, ref: str = "A") -> list[dict[str, Any]]:
    query = QUERIES[panel, ref]
    values: Mapping[str, str] = GLOBALS | defaults(load(PATH))
    expression = expand(query.expression, values)
    now_s = math.ceil(time.time() / 120) * 120
    is_loki = query.source == "loki"
    base = f"{stack.loki.url}/loki/api/v1" if is_loki else f"{stack.prometheus.url}/api/v1"
    scale = 10**9 if is_loki else 1
    if query.instant:
        answer = get_json(f"{base}/query", query=expression, time=str(now_s * scale if is_loki else int(time.time())))
    else:
        times = {"start": str((now_s - 7200) * scale), "end": str(now_s * scale), "step": "120"}
        answer = get_json(f"{base}/query_range", query=expression, **times, **({"limit": "500"} if is_loki else {}))
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def _has_series(stack: Stack, expression: str) -> bool:
    return bool(stack.prometheus.query(expression))


def _sum(series: list[dict[str, Any]]) -> float:
    return math.fsum(float(value) for one in series for _, value in one.get("values") or [one["value"]])


@pytest.mark.parametrize(("panel", "ref"), QUERIES)
def test_every_query_is_answered(filled: Filled, panel: str, ref: str) -> None:
    """No panel is empty but the one that shows what was refused."""
    series = _ask(filled[0], panel, ref)
    assert series
    assert not any(value in ("NaN", "+Inf") for one in series for _, value in one.get("values") or [one["value"]])


def test_figures_are_the_ledgers(filled: Filled) -> None:
    """Pending runs, corrections, and every event accounted for."""
    stack, status = filled
    assert status.dead == ()
    assert _sum(_ask(stack, "Pending runs")) == status.pending
    assert sum(_sum(_ask(stack, "Pending runs by age", ref)) for ref in "ABCDE") == status.pending
    assert _sum(_ask(stack, "Corrections")) == CORRECTED
    assert _sum(_ask(stack, "Corrections by agent")) == CORRECTED
    assert [_sum(_ask(stack, "Accounting of events", ref)) for ref in "ABCDE"] == [status.accepted] * 2 + [0, 0, 0]


def test_late_costs_are_summed_by_kind(filled: Filled) -> None:
    """What ten people's time cost, over time as in all."""
    stack, _ = filled
    by_kind = _ask(stack, "Late cost by kind")
    assert [one["metric"]["agent_cost_kind"] for one in by_kind] == ["human"]
    assert _sum(by_kind) > 0
    assert _sum(_ask(stack, "Late cost over time")) == pytest.approx(_sum(by_kind))


def test_the_alerts_on_ledgers_judge_this_one_and_are_silent(filled: Filled) -> None:
    """Each of Grafana's rules on ledgers evaluates to figures, none of them beyond the rule's limit."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules = [rule for rule in group["rules"] if "-ledger-" in rule["uid"]]
    assert len(rules) == len(("behind", "dead letters", "silent"))
    for rule in rules:
        query, condition = (part["model"] for part in rule["data"])
        # The rule that looks back does so in steps of a minute.
        wait_until(partial(_has_series, filled[0], query["expr"]), 90)
        series = filled[0].prometheus.query(query["expr"])
        limit = condition["conditions"][0]["evaluator"]["params"][0]
        assert all(float(one["value"][1]) <= limit for one in series), rule["title"]
