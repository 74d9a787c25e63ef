# SPDX-License-Identifier: Apache-2.0
"""The table of outcome events, each row a way into its trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard

from agent_outcomes import semconv
from outcome_dashboards import palette
from outcome_dashboards.logql import STATE
from outcome_dashboards.panels import MONEY, PROPERTY, About, Column, log_query, rows
from outcome_dashboards.promql import (
    AGENT,
    CATEGORY,
    COST_CURRENCY,
    CURRENCY,
    JOB_TYPE,
    LABEL,
    RETRYABLE,
    STATUS,
    SUCCESS,
    TYPE,
    label,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES_MAX: Final = 500
TRACE_ID: Final = "trace_id"
VALUE: Final = label(semconv.AGENT_OUTCOME_VALUE)
COST: Final = label(semconv.AGENT_OUTCOME_COST)
DURATION: Final = label(semconv.AGENT_RUN_DURATION)
EXPLORER_UID: Final = "agent-outcomes-explorer"
# Loki keeps every attribute as text; as numbers they sort and take units.
_NUMBERS: Final = (VALUE, COST, DURATION)


def explore(data_source: str, query: str) -> str:
    """The address of a query in Grafana's Explore, over the dashboard's range; `${...}` is filled in by Grafana."""
    pane = (
        f'{{"outcome":{{"datasource":"{data_source}","queries":[{query}],'
        '"range":{"from":"${__from}","to":"${__to}"}}}'
    )
    # What Grafana fills in must stay as it is.
    parts = re.split(r"(\$\{[^}]+\})", pane)
    encoded = "".join(part if part.startswith("${") else quote(part, safe="") for part in parts)
    return f"/explore?schemaVersion=1&orgId=1&panes={encoded}"


def open_trace() -> dict[str, object]:
    """The link from a trace id to its trace."""
    query = '{"refId":"A","datasource":{"type":"jaeger","uid":"${traces}"},"query":"${__value.raw}"}'
    return {"title": "Open the trace", "url": explore("${traces}", query), "targetBlank": False}


def open_events() -> dict[str, object]:
    """The link from a trace id to the run explorer with this trace only."""
    url = f"/d/{EXPLORER_UID}?var-trace_id=${{__value.raw}}&from=${{__from}}&to=${{__to}}"
    return {"title": "Only this trace's events", "url": url, "targetBlank": False}


def event_table(about: About, stream: str, further: Sequence[Column] = ()) -> table.Panel:
    """The newest events of a stream, newest first."""
    panel = rows(about, [*_columns(), *further], log_query(stream, lines_max=LINES_MAX))
    extract = dashboard.DataTransformerConfig(
        id_val="extractFields", options={"source": "labels", "format": "auto", "replace": False, "keepTime": False}
    )
    numbers = dashboard.DataTransformerConfig(
        id_val="convertFieldType",
        options={"conversions": [{"targetField": name, "destinationType": "number"} for name in _NUMBERS]},
    )
    shown = [change for change in panel.build().transformations or [] if change.id_val != "merge"]
    panel.transformations([extract, numbers, *shown])
    return panel.sort_by([common.TableSortByFieldState().display_name("Time").desc(desc=True)])


def _columns() -> list[Column]:
    links = [PROPERTY(id_val="links", value=[open_trace(), open_events()])]
    return [
        Column("Time", "Time", width=170),
        Column("timestamp", "Time", width=170),  # what newer versions of Grafana's Loki source call it
        Column(TRACE_ID, "Trace", width=280, properties=links),
        Column(AGENT, "Agent", width=110),
        Column(JOB_TYPE, "Job type", width=150),
        Column(STATUS, "Status", width=120, properties=_words(palette.STATUS)),
        Column(STATE, "State", width=100, properties=_words(palette.STATE)),
        Column(TYPE, "Type", width=120, properties=_words(palette.TYPE)),
        Column(SUCCESS, "Goal met", width=90, properties=_words(palette.VERDICT)),
        Column(LABEL, "Label", width=190),
        Column(VALUE, "Value", unit=MONEY, decimals=2, width=100),
        Column(CURRENCY, "Currency", width=90),
        Column(COST, "Cost", unit=MONEY, decimals=4, width=90),
        Column(COST_CURRENCY, "Cost in", width=80),
        Column(DURATION, "Duration", unit="s", width=100),
        Column(CATEGORY, "Error category", width=130),
        Column(RETRYABLE, "Retryable", width=90),
    ]


def _words(colors: dict[str, str]) -> list[dashboard.DynamicConfigValue]:
    cell = {"type": common_models.TableCellDisplayMode.COLOR_BACKGROUND, "mode": "basic"}
    return [
        PROPERTY(id_val="mappings", value=[palette.mapping(colors)]),
        PROPERTY(id_val="custom.cellOptions", value=cell),
    ]
