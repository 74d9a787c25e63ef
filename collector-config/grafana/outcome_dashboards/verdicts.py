# SPDX-License-Identifier: Apache-2.0
"""The dashboard of what came after the run: late verdicts, corrections, late costs, and whether a ledger delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from outcome_dashboards import palette
from outcome_dashboards.event_table import event_table
from outcome_dashboards.logql import REVISION, amount, count, events, quantile
from outcome_dashboards.panels import (
    MONEY,
    About,
    Column,
    bars,
    bars_of_events,
    columns_over_time,
    figures,
    instant,
    lines_over_time,
    log_query,
    over_time,
    place,
)
from outcome_dashboards.promql import (
    AGENT,
    COST_CURRENCY,
    OUTCOMES,
    label,
    legend,
    named,
    or_zero,
    total,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries

    from outcome_dashboards.panels import AnyPanel

NO_LEDGER: Final = "No ledger reports: set ledger= in install(), and have one process deliver"
NOTHING_LATE: Final = "Nothing was reported after its run in this time range"
CHANGE: Final = label(semconv.AGENT_OUTCOME_CHANGE)
REASON: Final = label(semconv.AGENT_OUTCOME_REASON)
REPORTED_BY: Final = label(semconv.AGENT_OUTCOME_REPORTED_BY)
COST_AMOUNT: Final = label(semconv.AGENT_COST_AMOUNT)
COST_KIND: Final = label(semconv.AGENT_COST_KIND)
AGE: Final = label(semconv.AGENT_OUTCOMES_AGE)
REVERSALS: Final = OUTCOMES[1]
DELAY: Final = label(semconv.AGENT_OUTCOME_DELAY)
VERDICTS: Final = (semconv.Change.REPORTED.value, semconv.Change.CORRECTED.value)
ACCEPTED: Final = "agent_outcomes_ledger_accepted_total"
DELIVERED: Final = "agent_outcomes_ledger_delivered_total"
WAITING: Final = "agent_outcomes_ledger_waiting"
DEAD: Final = "agent_outcomes_ledger_dead"
OLDEST: Final = "agent_outcomes_ledger_oldest_waiting_seconds"
PENDING: Final = "agent_outcomes_ledger_pending"
HELD: Final = "agent_outcomes_ledger_held"
ORPHANS: Final = "agent_outcomes_ledger_orphans"
AGE_COLORS: Final = {
    semconv.Age.HOUR.value: palette.SKY,
    semconv.Age.DAY.value: palette.BLUE,
    semconv.Age.WEEK.value: palette.YELLOW,
    semconv.Age.MONTH.value: palette.ORANGE,
    semconv.Age.OLDER.value: palette.VERMILION,
}
CHANGE_COLORS: Final = {
    semconv.Change.REPORTED.value: palette.BLUE,
    semconv.Change.CORRECTED.value: palette.ORANGE,
    semconv.Change.RETRACTED.value: palette.VERMILION,
    semconv.Change.COST.value: palette.PINK,
}


def panels() -> list[AnyPanel]:
    """All panels, laid out."""
    return place(
        (
            (5, ((pending(), 6), (corrections(), 6), (oldest(), 6), (dead(), 6))),
            (9, ((changes_over_time(), 14), (pending_by_age(), 10))),
            (9, ((delays(), 14), (corrections_by_agent(), 10))),
            (9, ((late_cost_over_time(), 14), (late_cost_by_kind(), 10))),
            (9, ((waiting_over_time(), 14), (accounting(), 10))),
            (13, ((late_events(), 24),)),
        )
    )


def pending() -> stat.Panel:
    """How many runs wait for a verdict."""
    about = About("Pending runs", "Runs in the ledger of which no business result has been reported.", empty=NO_LEDGER)
    return figures(about, instant(_now(PENDING)))


def oldest() -> stat.Panel:
    """Since when delivery is behind."""
    about = About(
        "Oldest undelivered",
        "How long the oldest event has waited that no receiver has confirmed. Who delivers says so itself: when nobody "
        "does, nothing is shown here, and an alert tells.",
        "s",
        NO_LEDGER,
        decimals=0,
    )
    return figures(about, instant(f"max ({OLDEST})"), color=palette.ORANGE)


def dead() -> stat.Panel:
    """What a receiver has refused for good."""
    about = About(
        "Dead letters",
        "Events that a receiver has refused for good; `agent-outcomes ledger dead-letters` shows its words.",
        empty=NO_LEDGER,
    )
    return figures(about, instant(_now(DEAD)), color=palette.VERMILION)


def corrections() -> stat.Panel:
    """How often a verdict was taken back."""
    about = About(
        "Corrections",
        "Outcomes that were taken back in this time range, most of them for another one.",
    )
    return figures(about, instant(or_zero(total(REVERSALS))), color=palette.VERMILION)


def changes_over_time() -> timeseries.Panel:
    """What came late, and when."""
    about = About(
        "Late verdicts, corrections and costs over time",
        "Revisions that came after their run was counted, by what they changed.",
        empty=NOTHING_LATE,
    )
    query = log_query(count(_late(), "$__interval", CHANGE), legend=legend(CHANGE))
    return columns_over_time(about, query, colors=CHANGE_COLORS)


def pending_by_age() -> bargauge.Panel:
    """How long verdicts are awaited."""
    about = About(
        "Pending runs by age",
        "Runs without a business result by how long ago they ended. Not filtered by agent, job type or status.",
        empty=NO_LEDGER,
    )
    queries = [
        instant(f'sum ({PENDING}{{{AGE}="{age}"}})', age, ref) for age, ref in zip(AGE_COLORS, "ABCDE", strict=True)
    ]
    return bars(about, *queries, colors=AGE_COLORS)


def delays() -> timeseries.Panel:
    """How long a verdict takes."""
    about = About(
        "Time from run to verdict",
        "How long after its run's end a verdict or a correction was reported, for those that came late: half of them "
        "sooner, and nine of ten.",
        "s",
        NOTHING_LATE,
    )
    verdicts = events(f'{CHANGE}=~"{"|".join(VERDICTS)}"', f'{DELAY}!=""')
    return lines_over_time(
        about,
        log_query(quantile(verdicts, DELAY, "$__interval", 0.5), legend="half", ref="A"),
        log_query(quantile(verdicts, DELAY, "$__interval", 0.9), legend="nine of ten", ref="B"),
    )


def corrections_by_agent() -> bargauge.Panel:
    """Whose verdicts do not last."""
    about = About(
        "Corrections by agent",
        "Outcomes that were taken back in this time range.",
        empty="No outcome was corrected in this time range",
    )
    expression = named(total(REVERSALS, AGENT), AGENT)
    return bars(about, instant(f"sort_desc({expression} > 0)", legend(AGENT)), name=AGENT)


def waiting_over_time() -> timeseries.Panel:
    """Whether delivery keeps up."""
    about = About(
        "Undelivered events over time",
        "Events that wait, dead letters and reports that wait for their run. Not filtered by agent, job type or "
        "status.",
        empty=NO_LEDGER,
    )
    return lines_over_time(
        about,
        over_time(f"sum ({WAITING})", "undelivered", "A"),
        over_time(f"sum ({DEAD})", "dead letters", "B"),
        over_time(f"sum ({HELD})", "held reports", "C"),
    )


def accounting() -> bargauge.Panel:
    """Whether all is accounted for."""
    about = About(
        "Accounting of events",
        "All events that the ledger has accepted: a receiver has confirmed them, or they are undelivered, or dead "
        "letters. Below them reports whose run has not come in time. Not filtered by agent, job type or status.",
        empty=NO_LEDGER,
    )
    colors = {"accepted": palette.BLUE, "delivered": palette.GREEN, "undelivered": palette.ORANGE}
    colors |= dict.fromkeys(("dead letters", "reports without a run"), palette.VERMILION)
    return bars(
        about,
        instant(_now(ACCEPTED), "accepted", "A"),
        instant(_now(DELIVERED), "delivered", "B"),
        instant(_now(WAITING), "undelivered", "C"),
        instant(_now(DEAD), "dead letters", "D"),
        instant(_now(ORPHANS), "reports without a run", "E"),
        colors=colors,
    )


def late_cost_over_time() -> timeseries.Panel:
    """When costs were added."""
    about = About(
        "Late cost over time",
        "What was added to the cost of runs after they were counted, as the time of a person, in each currency.",
        MONEY,
        NOTHING_LATE,
        decimals=2,
    )
    query = log_query(amount(_late_cost(), COST_AMOUNT, "$__interval", COST_CURRENCY), legend=legend(COST_CURRENCY))
    return columns_over_time(about, query)


def late_cost_by_kind() -> bargauge.Panel:
    """What costs were added for."""
    about = About(
        "Late cost by kind",
        "What was added after the run, by currency and kind. Currencies are never added up.",
        MONEY,
        NOTHING_LATE,
        decimals=2,
    )
    query = log_query(
        f"sort_desc({amount(_late_cost(), COST_AMOUNT, '$__range', COST_KIND)})", "instant", legend(COST_KIND)
    )
    return bars_of_events(about, query, COST_KIND, colors=palette.COST_KIND)


def late_events() -> table.Panel:
    """Each of them, and who said so."""
    about = About(
        "Late revisions",
        "The newest 500 revisions that came after their run was counted, with who reported them and why. Click a trace "
        "id to open the run's trace.",
        empty=NOTHING_LATE,
    )
    told = [
        Column(CHANGE, "Change", width=100),
        Column(REPORTED_BY, "Reported by", width=120),
        Column(REASON, "Reason", width=220),
    ]
    return event_table(about, _late(), [Column(REVISION, "Revision", width=90)], beside_agent=told)


def _late() -> str:
    return events(f'{CHANGE}!=""')


def _late_cost() -> str:
    return events(f'{CHANGE}="{semconv.Change.COST.value}"', f'{COST_AMOUNT}!=""')


def _now(metric: str) -> str:
    return f"sum ({metric})"
