# SPDX-License-Identifier: Apache-2.0
"""The dashboard that says why runs fail, and whether a retry helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from outcome_dashboards import palette
from outcome_dashboards.logql import REMEDY, count, events
from outcome_dashboards.panels import (
    About,
    Column,
    bars,
    bars_of_events,
    buckets,
    columns_over_time,
    figures,
    heat,
    instant,
    log_query,
    over_time,
    place,
    rows,
    rows_of,
)
from outcome_dashboards.promql import (
    AGENT,
    CATEGORY,
    DURATION_BUCKETS,
    ENVIRONMENT,
    FAILED,
    RETRYABLE,
    RUNS,
    STATUS,
    grown,
    label,
    legend,
    named,
    or_zero,
    per_step,
    selector,
    share,
    total,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, heatmap, stat, table, timeseries

    from outcome_dashboards.panels import AnyPanel, Query

RETRY: Final = f'{RETRYABLE}="true"'
NOTHING_FAILED: Final = "No run failed in this time range"
# The processor's own figures have no agent, job type or status.
HEALTH_FILTER: Final = f'{ENVIRONMENT}=~"$environment"'
DROPPED: Final = "agent_outcomes_processor_dropped_total"
# A run that waits for a person has not ended: it is reported when it does, so nothing is lost.
LOST: Final = f'{label(semconv.ERROR_TYPE)}!="{semconv.DropReason.PAUSED}"'
PAUSED: Final = f'{label(semconv.ERROR_TYPE)}="{semconv.DropReason.PAUSED}"'
PROBLEMS: Final = "agent_outcomes_processor_problems_total"
UNKNOWN_WORDS: Final = "agent_outcomes_processor_unknown_words_total"
EMITTED: Final = "agent_outcomes_processor_events_total"
OWN_ERRORS: Final = "agent_outcomes_processor_errors_total"
EVICTED: Final = "agent_outcomes_processor_spans_evicted_total"


def panels() -> list[AnyPanel]:
    """All panels, laid out."""
    return place(
        (
            (5, ((failed_share(), 6), (retryable_share(), 6), (timeouts(), 6), (dropped(), 6))),
            (9, ((status_over_time(), 12), (statuses(), 12))),
            (9, ((categories(), 12), (remedies(), 12))),
            (10, ((failures_by_agent(), 10), (retryable_failures(), 14))),
            (10, ((durations(), 16), (slowest(), 8))),
            (9, ((timeouts_over_time(), 12), (processor_health(), 12))),
            (7, ((problems(), 12), (unknown_words(), 12))),
        )
    )


def failed_share() -> stat.Panel:
    """How often runs fail."""
    about = About(
        "Failed runs",
        "Runs with status failure, timeout or invalid_output, as a share of all finished runs. This is about the "
        "execution: a run that ended well may still have missed its business goal.",
        "percentunit",
        decimals=1,
    )
    return figures(about, instant(share(total(RUNS, extra=FAILED), total(RUNS))), color=palette.VERMILION)


def retryable_share() -> stat.Panel:
    """How many of them are worth another try."""
    about = About(
        "Retryable share",
        "Failed runs (failure, timeout, invalid_output) that are known to be worth another try, as a share of all "
        "failed runs. A run whose error is of no known class counts as not retryable.",
        "percentunit",
        NOTHING_FAILED,
        decimals=1,
    )
    return figures(about, instant(share(total(RUNS, extra=f"{FAILED}, {RETRY}"), total(RUNS, extra=FAILED))))


def timeouts() -> stat.Panel:
    """How many runs hit a deadline."""
    about = About("Timeouts", "Runs with status timeout.")
    expression = or_zero(total(RUNS, extra=f'{STATUS}="timeout"'))
    return figures(about, instant(expression), color=palette.STATUS["timeout"])


def dropped() -> stat.Panel:
    """Whether these figures can be trusted."""
    about = About(
        "Items dropped",
        "Events and amounts that the outcome processor had to drop. Anything but 0 means that figures here are too "
        "low. 0 also where no processor reports; runs that wait for a person are not in.",
    )
    return figures(about, instant(or_zero(_health(DROPPED, extra=LOST))))


def status_over_time() -> timeseries.Panel:
    """When runs failed."""
    about = About(
        "Runs over time by status",
        "Runs that ended in each step. The steps add up to the totals of this dashboard.",
    )
    return columns_over_time(about, over_time(per_step(RUNS, STATUS), legend(STATUS)), colors=palette.STATUS)


def statuses() -> bargauge.Panel:
    """How runs ended."""
    about = About("Runs by status", "Finished runs by how they ended technically.")
    return bars(about, instant(f"sort_desc({total(RUNS, STATUS)})", legend(STATUS)), name=STATUS, colors=palette.STATUS)


def categories() -> bargauge.Panel:
    """What went wrong."""
    about = About(
        "Error categories",
        "Runs that an error ended, by the class of the error, cancelled runs included.",
        empty=NOTHING_FAILED,
    )
    known = f'{CATEGORY}!=""'
    expression = f"sort_desc({total(RUNS, CATEGORY, extra=known)})"
    return bars(about, instant(expression, legend(CATEGORY)), name=CATEGORY)


def remedies() -> bargauge.Panel:
    """What would help."""
    about = About(
        "Remedies",
        "What would help against the error, counted over the outcome events of runs that did not end in success or "
        "partial success.",
        empty=NOTHING_FAILED,
    )
    stream = events(f'{STATUS}!~"success|partial"', f'{REMEDY}!=""')
    query = log_query(f"sort_desc({count(stream, '$__range', REMEDY)})", "instant", legend(REMEDY))
    return bars_of_events(about, query, REMEDY)


def failures_by_agent() -> bargauge.Panel:
    """Whose runs fail."""
    about = About(
        "Failed runs by agent",
        "Runs with status failure, timeout or invalid_output, as a share of the agent's finished runs.",
        "percentunit",
        decimals=1,
    )
    rate = share(total(RUNS, AGENT, extra=FAILED), total(RUNS, AGENT))
    return bars(about, instant(f"sort_desc({named(rate, AGENT)})", legend(AGENT)), name=AGENT)


def durations() -> heatmap.Panel:
    """How long runs take."""
    about = About(
        "Duration of runs",
        "How many runs took how long. Each point is one run: click it to open its trace.",
        "s",
    )
    return heat(about, buckets(per_step(DURATION_BUCKETS, "le")))


def slowest() -> bargauge.Panel:
    """Whose runs are slow."""
    about = About(
        "Duration, 95th percentile",
        "95 of 100 runs took no longer than this, as far as the histogram's buckets can tell.",
        "s",
    )
    expression = f"histogram_quantile(0.95, sum by ({AGENT}, le) ({grown(selector(DURATION_BUCKETS))}))"
    return bars(about, instant(f"sort_desc({named(expression, AGENT)})", legend(AGENT)), name=AGENT)


def retryable_failures() -> table.Panel:
    """Which failures are worth another try."""
    about = About(
        "Retryable failures",
        "Failed runs that are known to be worth another try, by agent, status and class of the error.",
        empty="No run failed in a way that a retry could help",
    )
    columns = [
        Column(AGENT, "Agent", width=90),
        Column(STATUS, "Status"),
        Column(CATEGORY, "Error category"),
        Column("Value", "Runs", decimals=0, width=70),
    ]
    worth_a_try = total(RUNS, AGENT, STATUS, CATEGORY, extra=f"{FAILED}, {RETRY}")
    expression = f"sort_desc({worth_a_try} > 0)"
    return rows(about, columns, rows_of(expression))


def timeouts_over_time() -> timeseries.Panel:
    """When runs hit a deadline."""
    about = About(
        "Timeouts over time by agent",
        "Runs with status timeout that ended in each step.",
        empty="No run timed out in this time range",
    )
    timed_out = per_step(RUNS, AGENT, extra=f'{STATUS}="timeout"')
    return columns_over_time(about, over_time(named(timed_out, AGENT), legend(AGENT)))


def processor_health() -> bargauge.Panel:
    """What the processor did and lost."""
    about = About(
        "Processor health",
        "Outcome events handed on, and what was lost: items dropped, open spans forgotten, errors of the processor "
        "itself. These should be 0. Paused runs wait for a person and have no outcome yet. Not filtered by agent, job "
        "type or status.",
        empty="No processor reports",
    )
    colors = {"events": palette.BLUE, "paused": palette.GREY} | dict.fromkeys(
        ("dropped", "spans forgotten", "errors"), palette.VERMILION
    )
    return bars(
        about,
        instant(or_zero(_health(EMITTED)), "events", "A"),
        instant(or_zero(_health(DROPPED, extra=LOST)), "dropped", "B"),
        instant(or_zero(_health(EVICTED)), "spans forgotten", "C"),
        instant(or_zero(_health(OWN_ERRORS)), "errors", "D"),
        instant(or_zero(_health(DROPPED, extra=PAUSED)), "paused", "E"),
        colors=colors,
    )


def problems() -> bargauge.Panel:
    """What the input had wrong."""
    about = About(
        "Problems in the input",
        "What could not be taken as it was, by kind; `none` while there is nothing. Not filtered by agent, job type or "
        "status.",
    )
    kind = "agent_outcomes_problem"
    return bars(about, _by_kind(PROBLEMS, kind), name=kind, colors={"none": palette.GREY})


def unknown_words() -> bargauge.Panel:
    """Which attributes hold words nobody knows."""
    about = About(
        "Unknown words",
        "Words that no accepted spelling covers, by the attribute that held them; `none` while there is nothing. Not "
        "filtered by agent, job type or status.",
    )
    kind = "agent_outcomes_field"
    return bars(about, _by_kind(UNKNOWN_WORDS, kind), name=kind, colors={"none": palette.GREY})


def _health(metric: str, *by: str, extra: str = "") -> str:
    grouping = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouping} ({grown(selector(metric, extra, HEALTH_FILTER))})"


def _by_kind(metric: str, kind: str) -> Query:
    nothing = f'label_replace(vector(0), "{kind}", "none", "", "") unless on () ({_health(metric)})'
    return instant(f"sort_desc({_health(metric, kind)}) or {nothing}", legend(kind))
