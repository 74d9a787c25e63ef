# SPDX-License-Identifier: Apache-2.0
"""What a person can choose at the top of a dashboard: data sources and filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models import dashboard

from outcome_dashboards.panels import METRICS
from outcome_dashboards.promql import (
    AGENT,
    COST_CURRENCY,
    CURRENCY,
    ENVIRONMENT,
    JOB_TYPE,
    RUN_COST,
    RUNS,
    STATUS,
    VALUE,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog import builder

    Variable = builder.Builder[dashboard.VariableModel]


def sources() -> list[Variable]:
    """The data sources: the dashboards work with whatever they are called."""
    return [
        DatasourceVariable("metrics").label("Metrics").type("prometheus").multi(multi=False),
        DatasourceVariable("logs").label("Events").type("loki").multi(multi=False),
        DatasourceVariable("traces").label("Traces").type("jaeger").multi(multi=False),
    ]


def filters() -> list[Variable]:
    """Agent, job type, status, environment."""
    return [
        choice("agent", "Agent", RUNS, AGENT),
        choice("job_type", "Job type", RUNS, JOB_TYPE),
        choice("status", "Status", RUNS, STATUS),
        choice("environment", "Environment", RUNS, ENVIRONMENT),
    ]


def choice(name: str, label: str, metric: str, metric_label: str) -> QueryVariable:
    """Any number of a label's values; All lets through what has no such label, too."""
    everything = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        _values(name, label, metric, metric_label)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(everything)
    )


def currencies() -> list[Variable]:
    """One currency each: amounts in two are never added."""
    return [
        _values("currency", "Value in", VALUE[0], CURRENCY).multi(multi=False).include_all(include_all=False),
        _values("cost_currency", "Cost in", RUN_COST, COST_CURRENCY).multi(multi=False).include_all(include_all=False),
    ]


def text(name: str, label: str) -> TextBoxVariable:
    """Free text, empty at first."""
    empty = dashboard.VariableOption(selected=True, text="", value="")
    return TextBoxVariable(name).label(label).default_value("").current(empty)


def _values(name: str, label: str, metric: str, metric_label: str) -> QueryVariable:
    query = f"label_values({metric}, {metric_label})"
    return (
        QueryVariable(name)
        .label(label)
        .datasource(METRICS)
        .query({"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery", "qryType": 1})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
