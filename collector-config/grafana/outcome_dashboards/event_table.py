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
# Loki keeps every attribute as text; as numbers and times they sort and take units. Under names of their own, and never
# absent: Grafana before 10 fails to convert a column with holes. What is no number becomes an empty cell.
_NUMBERS: Final = {"value": VALUE, "cost": COST, "duration": DURATION}
_TIME: Final = "time"
_READY: Final = ", ".join(
    [
        f'{_TIME}=`{{{{ __timestamp__ | date "2006-01-02T15:04:05.000Z07:00" }}}}`',
        *(f'{name}=`{{{{ or .{attribute} "-" }}}}`' for name, attribute in _NUMBERS.items()),
    ]
)


def explore(data_source: str, query: str) -> str:
    """The address of a query in Grafana's Explore, over the dashboard's range; `${...}` is filled in by Grafana."""
    pane = f'{{"datasource":"{data_source}","queries":[{query}],"range":{{"from":"${{__from}}","to":"${{__to}}"}}}}'
    panes = _encoded(f'{{"outcome":{pane}}}')
    # Grafana before 10 reads `left`; later ones do not, as there is a schema's version.
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}&left={_encoded(pane)}"


def _encoded(text: str) -> str:
    # What Grafana fills in must stay as it is.
    parts = re.split(r"(\$\{[^}]+\})", text)
    return "".join(part if part.startswith("${") else quote(part, safe="") for part in parts)


def open_trace() -> dict[str, object]:
    """The link from a trace id to its trace."""
    query = '{"refId":"A","datasource":{"type":"jaeger","uid":"${traces}"},"query":"${__value.raw}"}'
    return {"title": "Open the trace", "url": explore("${traces}", query), "targetBlank": False}


def open_events() -> dict[str, object]:
    """The link from a trace id to the run explorer with this trace only."""
    # The range as it was chosen, "now" and all: the newest rows may be later than the time that the range ended at.
    url = f"/d/{EXPLORER_UID}?var-trace_id=${{__value.raw}}&${{__url_time_range}}"
    return {"title": "Only this trace's events", "url": url, "targetBlank": False}


def event_table(
    about: About, stream: str, further: Sequence[Column] = (), *, beside_agent: Sequence[Column] = ()
) -> table.Panel:
    """The newest events of a stream, newest first; columns stand `beside_agent`, or as `further` ones at the end."""
    query = log_query(f"{stream} | label_format {_READY}", lines_max=LINES_MAX)
    columns = _columns()
    agent = next(number for number, column in enumerate(columns, 1) if column.source == AGENT)
    panel = rows(about, [*columns[:agent], *beside_agent, *columns[agent:], *further], query)
    # In place of what is there: a data source may have a field of the same name made of the line, its derived fields.
    extract = dashboard.DataTransformerConfig(
        id_val="extractFields", options={"source": "labels", "format": "auto", "replace": True}
    )
    wanted = dict.fromkeys(_NUMBERS, "number") | {_TIME: "time"}
    convert = dashboard.DataTransformerConfig(
        id_val="convertFieldType",
        options={"conversions": [{"targetField": name, "destinationType": to} for name, to in wanted.items()]},
    )
    shown = [change for change in panel.build().transformations or [] if change.id_val != "merge"]
    panel.transformations([extract, convert, *shown])
    return panel.sort_by([common.TableSortByFieldState().display_name("Time").desc(desc=True)])


def _columns() -> list[Column]:
    links = [PROPERTY(id_val="links", value=[open_trace(), open_events()])]
    return [
        Column(_TIME, "Time", unit="dateTimeAsIso", width=172),
        Column(TRACE_ID, "Trace", width=307, properties=links),
        Column(AGENT, "Agent", width=95),
        Column(STATUS, "Status", width=120, properties=_words(palette.STATUS)),
        Column(TYPE, "Type", width=120, properties=_words(palette.TYPE)),
        Column(SUCCESS, "Goal met", width=90, properties=_words(palette.VERDICT)),
        Column(LABEL, "Label", width=204),
        Column("value", "Value", unit=MONEY, decimals=2, width=100),
        Column(CURRENCY, "Currency", width=86),
        Column("cost", "Cost", unit=MONEY, decimals=4, width=100),
        Column(COST_CURRENCY, "Cost in", width=80),
        Column("duration", "Duration", unit="s", width=100),
        Column(JOB_TYPE, "Job type", width=170),
        Column(STATE, "State", width=100, properties=_words(palette.STATE)),
        Column(CATEGORY, "Error category", width=130),
        Column(RETRYABLE, "Retryable", width=90),
    ]


def _words(colors: dict[str, str]) -> list[dashboard.DynamicConfigValue]:
    cell = {"type": common_models.TableCellDisplayMode.COLOR_BACKGROUND, "mode": "basic"}
    return [
        PROPERTY(id_val="mappings", value=[palette.mapping(colors)]),
        PROPERTY(id_val="custom.cellOptions", value=cell),
        palette.fixed(palette.NO_COLOR),  # of an empty cell, which would be green
    ]
