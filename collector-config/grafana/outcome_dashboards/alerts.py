# SPDX-License-Identifier: Apache-2.0
"""The alert rules that Grafana evaluates itself, for those who have no Prometheus rules of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import yaml

from outcome_dashboards.promql import (
    AGENT,
    COST_CURRENCY,
    FAILED,
    OUTCOME_COST,
    OUTCOMES,
    RUNS,
    SUCCESS,
    named,
    net,
    or_zero,
    share,
    total,
)
from outcome_dashboards.reliability import DROPPED, LOST
from outcome_dashboards.verdicts import ACCEPTED, DEAD, OLDEST

# Alert rules cannot take their data source from a variable.
METRICS_UID: Final = "prometheus"
RECENT: Final = "6h"
USUAL: Final = "7d"
DAY: Final = "1d"
# Below this many a rate says nothing.
RUNS_MIN: Final = 20
# One `$`: Grafana fills in variables everywhere in a provisioning file but in annotations, where `$$` would stay.
NAME: Final = f"{{{{ $labels.{AGENT} }}}}"
# Prometheus's own label for `service.instance.id`, which is the ledger's id.
LEDGER: Final = "instance"
MET: Final = f'{SUCCESS}="true"'
HEADER: Final = """\
# Alert rules that Grafana evaluates itself. Written by `python -m outcome_dashboards`; edits here are lost.
#
# Who needs it: people with Grafana and no alerting of their own. Where Prometheus has its own rules, leave these out:
#   every alert would come twice. The data source must have the uid `prometheus`: a rule cannot take it from a variable.
# What it costs: nine small queries a minute.
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule: fires where a result of `expression` is beyond `limit` for as long as `held`."""

    uid: str
    title: str
    expression: str
    evaluator: str
    limit: float
    held: str
    summary: str
    dashboard: str


def alerts() -> list[Alert]:
    """Every rule; each expression has a result as soon as there is enough to judge by."""
    return [
        Alert(
            "agent-outcomes-success-rate",
            "Success rate dropped",
            _at_least(f"{_success_rate(RECENT)} / ({_success_rate(USUAL)} > 0)", _reported(RECENT)),
            "lt",
            0.8,
            "15m",
            f"The success rate of {NAME} over 6 h is below 80 % of what it was over 7 days.",
            "agent-outcomes",
        ),
        Alert(
            "agent-outcomes-failures-fast",
            "Most runs fail",
            _failing("1h", "15m", 0.5),
            "gt",
            0.5,
            "2m",
            f"More than half of the runs of {NAME} within 1 h failed, and within the last 15 min, too.",
            "agent-outcomes-reliability",
        ),
        Alert(
            "agent-outcomes-failures-slow",
            "Many runs fail",
            _failing(RECENT, "1h", 0.2),
            "gt",
            0.2,
            "15m",
            f"More than 20 % of the runs of {NAME} within 6 h failed, and within the last hour, too.",
            "agent-outcomes-reliability",
        ),
        Alert(
            "agent-outcomes-cost",
            "Cost per success rose",
            _at_least(f"{_cost_per_success(RECENT)} / ({_cost_per_success(USUAL)} > 0)", _reported(RECENT, MET), 10),
            "gt",
            1.5,
            "15m",
            f"A success of {NAME} cost over 6 h more than 1.5 times what it cost over 7 days.",
            "agent-outcomes-roi",
        ),
        Alert(
            "agent-outcomes-pending",
            "Outcomes are missing",
            f"{_pending(DAY)} and on ({AGENT}) {_reported(USUAL)} > 0",
            "gt",
            0.5,
            "1h",
            f"More than half of the runs of {NAME} within 1 day have no outcome yet, though it has some.",
            "agent-outcomes",
        ),
        Alert(
            "agent-outcomes-dropped",
            "Outcomes are dropped",
            or_zero(total(DROPPED, extra=LOST, window="15m", filters="")),
            "gt",
            0,
            "0s",
            "The outcome processor dropped events or amounts within 15 min, so figures are too low.",
            "agent-outcomes-reliability",
        ),
        Alert(
            "agent-outcomes-ledger-behind",
            "A ledger is behind",
            f"max by ({LEDGER}) ({OLDEST})",
            "gt",
            600,
            "5m",
            f"The oldest event of ledger {{{{ $labels.{LEDGER} }}}} has waited for more than 10 min to be delivered.",
            "agent-outcomes-verdicts",
        ),
        Alert(
            "agent-outcomes-ledger-dead-letters",
            "Outcomes are refused",
            f"sum by ({LEDGER}) ({DEAD})",
            "gt",
            0,
            "0s",
            f"A receiver has refused events of ledger {{{{ $labels.{LEDGER} }}}} for good; agent-outcomes ledger "
            "dead-letters shows its words.",
            "agent-outcomes-verdicts",
        ),
        Alert(
            "agent-outcomes-ledger-silent",
            "Nobody delivers a ledger",
            f"time() - max by ({LEDGER}) (max_over_time(timestamp({ACCEPTED})[2h:1m]))",
            "gt",
            900,
            "5m",
            f"Nothing has been heard of ledger {{{{ $labels.{LEDGER} }}}} for 15 min. What it has accepted is kept.",
            "agent-outcomes-verdicts",
        ),
    ]


def provisioning() -> str:
    """The provisioning file."""
    group = {
        "orgId": 1,
        "name": "agent-outcomes",
        "folder": "Agent outcomes",
        "interval": "1m",
        "rules": [_rule(alert) for alert in alerts()],
    }
    return HEADER + yaml.safe_dump({"apiVersion": 1, "groups": [group]}, sort_keys=False, width=10_000)


def _rule(alert: Alert) -> dict[str, object]:
    query = {"refId": "A", "expr": alert.expression, "instant": True, "range": False}
    condition = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": alert.evaluator, "params": [alert.limit]}}],
    }
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "B",
        "data": [
            {"refId": "A", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": METRICS_UID, "model": query},
            {
                "refId": "B",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "__expr__",
                "model": condition,
            },
        ],
        "for": alert.held,
        "noDataState": "OK",
        "execErrState": "Error",
        "annotations": {"summary": alert.summary, "dashboard": f"/d/{alert.dashboard}"},
        "labels": {"severity": "warning"},
        "isPaused": False,
    }


def _reported(window: str, extra: str = "") -> str:
    return named(net(OUTCOMES, AGENT, extra=extra, window=window, filters=""), AGENT)


def _runs(window: str, extra: str = "") -> str:
    return named(total(RUNS, AGENT, extra=extra, window=window, filters=""), AGENT)


def _pending(window: str) -> str:
    return _at_least(f"1 - {share(_reported(window), _runs(window))}", _runs(window))


def _success_rate(window: str) -> str:
    return share(_reported(window, MET), _reported(window))


def _cost_per_success(window: str) -> str:
    cost = net(OUTCOME_COST, AGENT, COST_CURRENCY, window=window, filters="")
    return f"({named(cost, AGENT)} / on ({AGENT}) group_left () ({_reported(window, MET)} > 0))"


def _failing(window: str, still: str, limit: float) -> str:
    """The share of failed runs where it has not fallen below the limit since; 0 where it has."""
    shares = [share(_runs(length, FAILED), _runs(length)) for length in (window, still)]
    return _at_least(f"({shares[0]}) * on ({AGENT}) (({shares[1]} > bool {limit}) or ({shares[0]}) * 0)", _runs(window))


def _at_least(expression: str, volume: str, least: int = RUNS_MIN) -> str:
    return f"({expression}) and on ({AGENT}) ({volume} >= {least})"
