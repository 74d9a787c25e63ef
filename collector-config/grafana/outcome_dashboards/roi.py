# SPDX-License-Identifier: Apache-2.0
"""The dashboard that says what the agents are worth. Amounts in two currencies are never added or converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common

from outcome_dashboards import palette
from outcome_dashboards.panels import (
    MONEY,
    PROPERTY,
    About,
    Column,
    bars,
    columns_over_time,
    figures,
    instant,
    over_time,
    place,
    rows,
    rows_of,
)
from outcome_dashboards.promql import (
    AGENT,
    COST_CURRENCY,
    COST_KIND,
    CURRENCY,
    JOB_TYPE,
    OUTCOMES,
    RUN_COST,
    RUNS,
    SUCCESS,
    TYPE,
    VALUE,
    legend,
    named,
    net,
    net_per_step,
    or_zero,
    per_step,
    spread,
    total,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries

    from outcome_dashboards.panels import AnyPanel

IN_CURRENCY: Final = f'{COST_CURRENCY}="$cost_currency"'
HUMAN: Final = f'{COST_KIND}="human"'
NO_VALUE: Final = "No outcome with a value in this time range"
NO_COST: Final = "No run with a known cost in this time range"
PAIR: Final = "pair"
IN_COLOR: Final = {"type": "color-text"}


def panels() -> list[AnyPanel]:
    """All panels, laid out."""
    return place(
        (
            (6, ((value_ratio(), 6), (value(), 6), (cost(), 6), (human_cost(), 6))),
            (6, ((ratio_by_agent(), 24),)),
            (13, ((ratio_by_job_type(), 24),)),
            (8, ((conversion_funnel(), 12), (avoidance_funnel(), 12))),
            (9, ((value_over_time(), 12), (cost_over_time(), 12))),
            (6, ((escalations(), 24),)),
        )
    )


def value_ratio() -> stat.Panel:
    """What comes back per unit of money spent."""
    about = About(
        "Value ratio",
        "Value of reported outcomes per currency, divided by the cost of all runs (pending and failed ones included) "
        "of the agents that earn in that currency. The costs are those in the currency chosen above.",
        "none",
        NO_VALUE,
        decimals=1,
    )
    earned = f"sum by ({CURRENCY}) ({net(VALUE, AGENT, CURRENCY)})"
    spent = spread(
        total(RUN_COST, AGENT, COST_CURRENCY, extra=IN_CURRENCY), net(VALUE, AGENT, CURRENCY), AGENT, COST_CURRENCY
    )
    ratio = f"{earned} / on ({CURRENCY}) group_right () (sum by ({CURRENCY}, {COST_CURRENCY}) ({spent}) > 0)"
    return figures(about, instant(ratio, f"{legend(CURRENCY)} per {legend(COST_CURRENCY)}"), palette.GREEN, named=True)


def value() -> stat.Panel:
    """What the outcomes are worth."""
    about = About(
        "Value",
        "What reported outcomes were worth, corrections and negative values taken off; one figure per currency.",
        MONEY,
        NO_VALUE,
        decimals=2,
    )
    return figures(about, instant(net(VALUE, CURRENCY), legend(CURRENCY)), named=True)


def cost() -> stat.Panel:
    """What the runs cost."""
    about = About(
        "Cost",
        "What all finished runs cost: models, tools, the metered time of people; one figure per currency. Runs whose "
        "cost is not known count nothing.",
        MONEY,
        NO_COST,
        decimals=2,
    )
    return figures(about, instant(total(RUN_COST, COST_CURRENCY), legend(COST_CURRENCY)), palette.VERMILION, named=True)


def human_cost() -> stat.Panel:
    """What people's time cost."""
    about = About(
        "Human cost",
        "The part of the cost that is metered time of people, as after an escalation; one figure per currency.",
        MONEY,
        "No human cost was metered in this time range",
        decimals=2,
    )
    expression = total(RUN_COST, COST_CURRENCY, extra=HUMAN)
    return figures(about, instant(expression, legend(COST_CURRENCY)), palette.COST_KIND["human"], named=True)


def ratio_by_job_type() -> table.Panel:
    """Which jobs pay."""
    about = About(
        "Value ratio by job type",
        "Value of the outcomes over the cost of all runs of that kind, best first. A ratio of two currencies keeps "
        "both. A job type that has cost something and earned nothing yet is listed with the value 0.",
        empty=NO_COST,
    )
    return _ratios(about, (Column(JOB_TYPE, "Job type", width=170), Column(AGENT, "Agent")), AGENT, JOB_TYPE)


def ratio_by_agent() -> table.Panel:
    """Which agents pay."""
    about = About(
        "Value ratio by agent",
        "Value of the agent's outcomes over the cost of all its runs, best first. A ratio of two currencies keeps "
        "both. An agent that has cost something and earned nothing yet is listed with the value 0.",
        empty=NO_COST,
    )
    return _ratios(about, (Column(AGENT, "Agent"),), AGENT)


def conversion_funnel() -> bargauge.Panel:
    """From runs to conversions."""
    about = About(
        "Conversion funnel",
        "Finished runs, of these the reported outcomes that met their goal, and those of type converted.",
    )
    return _funnel(about, "converted")


def avoidance_funnel() -> bargauge.Panel:
    """From runs to requests that needed no person."""
    about = About(
        "Cost-avoidance funnel",
        "Finished runs, of these the reported outcomes that met their goal, and those of type deflected: done without "
        "the person who would have done it otherwise.",
    )
    return _funnel(about, "deflected")


def escalations() -> table.Panel:
    """Where people had to step in, and what that cost."""
    about = About(
        "Escalations and human cost",
        "Reported outcomes of type escalated, and the metered time of people in the same runs' agents. Escalations "
        "without a metered human cost in the chosen currency are not listed.",
        empty="No escalation with a metered human cost in this time range",
    )
    human = total(RUN_COST, AGENT, COST_CURRENCY, extra=f"{IN_CURRENCY}, {HUMAN}")
    escalated = net(OUTCOMES, AGENT, extra=f'{TYPE}="escalated"')
    counted = spread(escalated, human, AGENT)
    columns = [
        Column(AGENT, "Agent"),
        Column("Value #A", "Escalated", decimals=0),
        Column("Value #B", "Human cost", unit=MONEY, decimals=2),
        Column("Value #C", "Average", unit=MONEY, decimals=2),
        Column(COST_CURRENCY, "Currency"),
    ]
    each = f"({human}) / ({counted} > 0)"
    return rows(about, columns, rows_of(counted, "A"), rows_of(human, "B"), rows_of(each, "C"))


def value_over_time() -> timeseries.Panel:
    """When the value came."""
    about = About(
        "Value over time by agent",
        "Value of the outcomes reported in each step, in the currency chosen above, by agent.",
        MONEY,
        NO_VALUE,
        decimals=2,
    )
    expression = named(net_per_step(VALUE, AGENT, extra=f'{CURRENCY}="$currency"'), AGENT)
    return columns_over_time(about, over_time(expression, legend(AGENT)))


def cost_over_time() -> timeseries.Panel:
    """When and for what the money went."""
    about = About(
        "Cost over time by kind",
        "What the runs that ended in each step cost, in the currency chosen above, by what it was spent on.",
        MONEY,
        NO_COST,
        decimals=2,
    )
    expression = named(per_step(RUN_COST, COST_KIND, extra=IN_CURRENCY), COST_KIND)
    return columns_over_time(about, over_time(expression, legend(COST_KIND)), colors=palette.COST_KIND)


def _ratios(about: About, columns: tuple[Column, ...], *by: str) -> table.Panel:
    keys = ", ".join(by)
    spent = total(RUN_COST, *by, COST_CURRENCY, extra=IN_CURRENCY)
    nothing = f'label_replace(sum by ({keys}) ({spent}) * 0, "{CURRENCY}", "$cost_currency", "", "")'
    earned = f"({net(VALUE, *by, CURRENCY)} or on ({keys}) {nothing})"
    value_rows = f"{earned} + on ({keys}) group_left ({COST_CURRENCY}) ({spent}) * 0"
    cost_rows = spread(spent, earned, keys, COST_CURRENCY)
    ratio = f"{earned} / on ({keys}) group_left ({COST_CURRENCY}) (({spent}) > 0)"
    colored = [
        PROPERTY(id_val="custom.cellOptions", value=IN_COLOR),
        # Grafana's own thresholds would paint a high ratio red.
        PROPERTY(id_val="color", value={"mode": "fixed", "fixedColor": palette.GREEN}),
    ]
    shown = [
        *columns,
        Column("Value #A", "Value", unit=MONEY, decimals=2),
        Column("Value #B", "Cost", unit=MONEY, decimals=2),
        Column("Value #C", "Value / cost", unit=MONEY, decimals=1, properties=colored),
        Column(PAIR, "Currencies"),
    ]
    value_rows, cost_rows, ratio = (_with_pair(found) for found in (value_rows, cost_rows, ratio))
    panel = rows(about, shown, rows_of(value_rows, "A"), rows_of(cost_rows, "B"), rows_of(f"sort_desc({ratio})", "C"))
    return panel.sort_by([common.TableSortByFieldState().display_name("Value / cost").desc(desc=True)])


def _with_pair(expression: str) -> str:
    return f'label_join({expression}, "{PAIR}", " / ", "{CURRENCY}", "{COST_CURRENCY}")'


def _funnel(about: About, outcome_type: str) -> bargauge.Panel:
    met = net(OUTCOMES, extra=f'{SUCCESS}="true"')
    reached = net(OUTCOMES, extra=f'{TYPE}="{outcome_type}"')
    colors = {"All runs": palette.GREY, "Goal met": palette.VERDICT["true"], outcome_type: palette.TYPE[outcome_type]}
    return bars(
        about,
        instant(total(RUNS), "All runs", "A"),
        instant(or_zero(met), "Goal met", "B"),
        instant(or_zero(reached), outcome_type, "C"),
        colors=colors,
    )
