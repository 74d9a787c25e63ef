# SPDX-License-Identifier: Apache-2.0
"""The dashboard that says whether the agents do their job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outcome_dashboards import palette
from outcome_dashboards.event_table import event_table
from outcome_dashboards.logql import events
from outcome_dashboards.panels import (
    MONEY,
    About,
    Column,
    bars,
    columns_over_time,
    figures,
    instant,
    lines_over_time,
    over_time,
    place,
    rows,
    rows_of,
)
from outcome_dashboards.promql import (
    AGENT,
    COST_CURRENCY,
    LABEL,
    OUTCOME_COST,
    OUTCOMES,
    RUNS,
    SUCCESS,
    TYPE,
    legend,
    named,
    net,
    net_per_step,
    or_zero,
    share,
    spread,
    total,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries

    from outcome_dashboards.panels import AnyPanel

MET: Final = f'{SUCCESS}="true"'
LABELS_MAX: Final = 15
NONE_YET: Final = "No outcome reported in this time range"


def panels() -> list[AnyPanel]:
    """All panels, laid out."""
    return place(
        (
            (5, ((success_rate(), 6), (reported(), 6), (pending(), 6), (cost_per_outcome(), 6))),
            (8, ((success_rate_by_agent(), 8), (success_rate_over_time(), 16))),
            (10, ((by_type(), 8), (by_label(), 16))),
            (9, ((types_over_time(), 14), (pending_by_agent(), 10))),
            (11, ((cost_table(), 24),)),
            (12, ((newest_events(), 24),)),
        )
    )


def success_rate() -> stat.Panel:
    """One figure for everything that the filters let through."""
    about = About(
        "Success rate",
        "Reported outcomes that met their business goal, as a share of all reported outcomes, corrections included. "
        "Pending runs are in neither; an outcome without a verdict counts as not met.",
        "percentunit",
        NONE_YET,
        decimals=1,
    )
    return figures(about, instant(share(net(OUTCOMES, extra=MET), net(OUTCOMES))), color=palette.GREEN)


def reported() -> stat.Panel:
    """How many outcomes the rate stands on."""
    about = About(
        "Outcomes",
        "Runs in this time range whose business result was reported; outcomes that a correction took back are not in.",
        empty=NONE_YET,
    )
    return figures(about, instant(net(OUTCOMES)))


def pending() -> stat.Panel:
    """How many runs have no outcome yet."""
    about = About(
        "Pending runs",
        "Finished runs less reported outcomes: their business result is not known yet. Below zero where more outcomes "
        "of earlier runs were reported in this time range than runs ended without one.",
    )
    expression = f"{total(RUNS)} - ({or_zero(net(OUTCOMES))})"
    return figures(about, instant(expression), color=palette.STATE["pending"])


def cost_per_outcome() -> stat.Panel:
    """What one outcome costs, per currency."""
    about = About(
        "Cost per outcome",
        "Average over reported outcomes: the cost of the runs behind them, divided by their number. One figure per "
        "currency, over the agents that have costs in it; nothing is converted.",
        MONEY,
        NONE_YET,
        decimals=4,
    )
    cost = net(OUTCOME_COST, AGENT, COST_CURRENCY)
    counted = f"sum by ({COST_CURRENCY}) ({spread(net(OUTCOMES, AGENT), cost, AGENT)})"
    expression = f"sum by ({COST_CURRENCY}) ({cost}) / ({counted} > 0)"
    return figures(about, instant(expression, legend(COST_CURRENCY)), named=True)


def success_rate_by_agent() -> bargauge.Panel:
    """Which agents do their job."""
    about = About(
        "Success rate by agent",
        "Reported outcomes that met their business goal, as a share of the agent's reported outcomes.",
        "percentunit",
        NONE_YET,
        decimals=1,
    )
    rate = share(net(OUTCOMES, AGENT, extra=MET), net(OUTCOMES, AGENT))
    return bars(about, instant(f"sort_desc({named(rate, AGENT)})", legend(AGENT)), name=AGENT)


def success_rate_over_time() -> timeseries.Panel:
    """Whether it gets better."""
    about = About(
        "Success rate over time by agent",
        "Each point is the share of the outcomes reported in that step alone; with few outcomes a step it jumps. A "
        "longer time range has longer steps.",
        "percentunit",
        NONE_YET,
    )
    rate = share(net_per_step(OUTCOMES, AGENT, extra=MET), net_per_step(OUTCOMES, AGENT))
    return lines_over_time(about, over_time(named(rate, AGENT), legend(AGENT)))


def by_type() -> bargauge.Panel:
    """What kind of results there are."""
    about = About("Outcomes by type", "Reported outcomes by the kind of their business result.", empty=NONE_YET)
    expression = f"sort_desc({named(net(OUTCOMES, TYPE), TYPE)})"
    return bars(about, instant(expression, legend(TYPE)), name=TYPE, colors=palette.TYPE)


def by_label() -> bargauge.Panel:
    """What people call the results."""
    about = About(
        "Outcomes by label",
        f"The {LABELS_MAX} most frequent labels of reported outcomes.",
        empty="No outcome with a label in this time range",
    )
    labelled = net(OUTCOMES, LABEL, extra=f'{LABEL}!=""')
    return bars(about, instant(f"sort_desc(topk({LABELS_MAX}, {labelled}))", legend(LABEL)), name=LABEL)


def pending_by_agent() -> bargauge.Panel:
    """Whose outcomes are still missing."""
    about = About("Pending runs by agent", "Finished runs less reported outcomes, for each agent.")
    runs = total(RUNS, AGENT)
    missing = f"({runs}) - (({net(OUTCOMES, AGENT)}) or ({runs}) * 0)"
    expression = f"sort_desc({named(missing, AGENT)})"
    return bars(about, instant(expression, legend(AGENT)), name=AGENT)


def types_over_time() -> timeseries.Panel:
    """When the results came."""
    about = About(
        "Outcomes over time by type",
        "Reported outcomes in each step. The steps add up to the totals of this dashboard.",
        empty=NONE_YET,
    )
    return columns_over_time(
        about, over_time(named(net_per_step(OUTCOMES, TYPE), TYPE), legend(TYPE)), colors=palette.TYPE
    )


def cost_table() -> table.Panel:
    """What each type costs each agent."""
    about = About(
        "Cost per outcome by agent and type",
        "Cost of the runs behind the outcomes, their number and the average. An escalated outcome includes the metered "
        "time of people. Outcomes without a known cost are not listed.",
        empty=NONE_YET,
    )
    cost = net(OUTCOME_COST, AGENT, TYPE, COST_CURRENCY)
    counted = spread(net(OUTCOMES, AGENT, TYPE), cost, f"{AGENT}, {TYPE}")
    columns = [
        Column(AGENT, "Agent"),
        Column(TYPE, "Type"),
        Column("Value #A", "Outcomes", decimals=0),
        Column("Value #B", "Cost", unit=MONEY, decimals=2),
        Column(COST_CURRENCY, "Currency"),
        Column("Value #C", "Average", unit=MONEY, decimals=4),
    ]
    return rows(about, columns, rows_of(counted, "A"), rows_of(cost, "B"), rows_of(f"({cost}) / ({counted} > 0)", "C"))


def newest_events() -> table.Panel:
    """The single outcomes behind the figures."""
    about = About(
        "Outcome events",
        "The newest 500 outcome events. Click a trace id to open the run's trace, or to keep its events only.",
        empty="No outcome event in this time range",
    )
    return event_table(about, events())
