# SPDX-License-Identifier: Apache-2.0
"""The dashboard that finds a run by anything its event says, and leads to its trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import logs
from grafana_foundation_sdk.models import common as common_models

from agent_outcomes import semconv
from outcome_dashboards import palette
from outcome_dashboards.event_table import TRACE_ID, event_table
from outcome_dashboards.logql import REMEDY, REVISION, count, events
from outcome_dashboards.panels import (
    LOGS,
    About,
    Column,
    bars_of_events,
    columns_over_time,
    figures,
    log_query,
    place,
)
from outcome_dashboards.promql import CATEGORY, LABEL, OUTCOMES, RUNS, STATUS, TYPE, label, legend
from outcome_dashboards.variables import choice, text

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries

    from outcome_dashboards.panels import AnyPanel
    from outcome_dashboards.variables import Variable

NOT_FOUND: Final = "No outcome event matches: widen the time range or clear a filter"
CONVERSATION: Final = label(semconv.GEN_AI_CONVERSATION_ID)
EVIDENCE: Final = label(semconv.AGENT_OUTCOME_EVIDENCE)
MESSAGE: Final = label(semconv.AGENT_OUTCOME_MESSAGE)
RUN_ID: Final = label(semconv.AGENT_OUTCOME_RUN_ID)
PROBLEMS: Final = label(semconv.AGENT_OUTCOME_PROBLEMS)


def filters() -> list[Variable]:
    """The filters that only this dashboard has."""
    return [
        choice("type", "Type", OUTCOMES[0], TYPE),
        choice("label", "Label", OUTCOMES[0], LABEL),
        choice("category", "Error category", RUNS, CATEGORY),
        text("trace_id", "Trace id"),
        text("conversation", "Conversation"),
        text("search", "Search text"),
    ]


def found() -> str:
    """The stream of events that all filters let through; an empty text filter lets through everything."""
    stream = events(
        f'{TYPE}=~"$type"',
        f'{LABEL}=~"$label"',
        f'{CATEGORY}=~"$category"',
        f"{TRACE_ID}=~`.*${{trace_id:raw}}.*`",
        f"{CONVERSATION}=~`.*${{conversation:raw}}.*`",
    )
    return f"{stream} |~ `(?i)${{search:raw}}`"


def panels() -> list[AnyPanel]:
    """All panels, laid out."""
    return place(
        (
            (7, ((matches(), 5), (matches_over_time(), 7), (matches_by_status(), 12))),
            (14, ((runs(), 24),)),
            (12, ((details(), 24),)),
        )
    )


def matches() -> stat.Panel:
    """How many there are."""
    about = About("Events found", "Outcome events that match; a corrected outcome has one per revision.", empty="0")
    return figures(about, log_query(count(found(), "$__range"), "instant"))


def matches_over_time() -> timeseries.Panel:
    """When they were."""
    about = About("Events over time", "Outcome events that match, per step.", empty=NOT_FOUND)
    query = log_query(count(found(), "$__interval", STATUS), legend=legend(STATUS))
    return columns_over_time(about, query, colors=palette.STATUS, legend=False)


def matches_by_status() -> bargauge.Panel:
    """How they ended."""
    about = About("Events by status", "Outcome events that match, by how the run ended technically.", empty=NOT_FOUND)
    query = log_query(f"sort_desc({count(found(), '$__range', STATUS)})", "instant", legend(STATUS))
    return bars_of_events(about, query, STATUS, colors=palette.STATUS)


def runs() -> table.Panel:
    """The events, one row each."""
    about = About(
        "Runs",
        "The newest 500 events that match the filters and text fields above. Click a trace id to open the run's trace; "
        "the trace's link to its logs leads back to the event.",
        empty=NOT_FOUND,
    )
    further = [
        Column(REMEDY, "Remedy", width=110),
        Column(EVIDENCE, "Decided by", width=190),
        Column(MESSAGE, "Message", width=220),
        Column(PROBLEMS, "Problems", width=160),
        Column(CONVERSATION, "Conversation", width=150),
        Column(RUN_ID, "Run id", width=120),
        Column(REVISION, "Revision", width=90),
    ]
    return event_table(about, found(), further)


def details() -> logs.Panel:
    """The events with everything they hold."""
    about = About(
        "Events in full",
        "The same events as one readable line each; open a line for all its attributes and the link to its trace.",
        empty=NOT_FOUND,
    )
    panel = (
        logs.Panel()
        .show_time(show_time=True)
        .show_labels(show_labels=False)
        .show_common_labels(show_common_labels=False)
        .wrap_log_message(wrap_log_message=True)
        .prettify_log_message(prettify_log_message=False)
        .enable_log_details(enable_log_details=True)
        .sort_order(common_models.LogsSortOrder.DESCENDING)
        .dedup_strategy(common_models.LogsDedupStrategy.NONE)
    )
    panel.title(about.title).description(about.description).unit(about.unit).no_value(about.empty).datasource(LOGS)
    return panel.with_target(log_query(found(), lines_max=100))
