# SPDX-License-Identifier: Apache-2.0
"""PromQL over the outcome counters.

`increase()` cannot see the first sample of a series, so a process whose few runs are all in its first export would
read 0, and it extrapolates, so money would not be exact. Growth is therefore the last value less the one at the start
of the window, or less nothing where the series did not exist then or has started again since. Only where it was seen
to start again within the window `increase()` steps in.
"""

from __future__ import annotations

from typing import Final

from agent_outcomes import semconv

# How far back from the start of a window a series is looked for: exports come every minute by default.
BASE: Final = "2h"
RANGE: Final = "$__range"


def label(attribute: str) -> str:
    """The Prometheus label of an attribute."""
    return attribute.replace(".", "_")


AGENT: Final = label(semconv.GEN_AI_AGENT_NAME)
JOB_TYPE: Final = label(semconv.AGENT_OUTCOME_JOB_TYPE)
STATUS: Final = label(semconv.AGENT_OUTCOME_STATUS)
TYPE: Final = label(semconv.AGENT_OUTCOME_TYPE)
LABEL: Final = label(semconv.AGENT_OUTCOME_LABEL)
SUCCESS: Final = label(semconv.AGENT_OUTCOME_SUCCESS)
RETRYABLE: Final = label(semconv.AGENT_OUTCOME_RETRYABLE)
CATEGORY: Final = label(semconv.AGENT_OUTCOME_ERROR_CATEGORY)
CURRENCY: Final = label(semconv.AGENT_OUTCOME_CURRENCY)
COST_CURRENCY: Final = label(semconv.AGENT_OUTCOME_COST_CURRENCY)
COST_KIND: Final = label(semconv.AGENT_COST_KIND)
ENVIRONMENT: Final = "deployment_environment_name"

RUNS: Final = "agent_runs_total"
RUN_COST: Final = "agent_run_cost_total"
DURATION_BUCKETS: Final = "agent_run_duration_seconds_bucket"
OUTCOMES: Final = ("agent_outcomes_total", "agent_outcome_reversals_total")
VALUE: Final = ("agent_outcome_value_total", "agent_outcome_reversal_value_total")
OUTCOME_COST: Final = ("agent_outcome_cost_total", "agent_outcome_reversal_cost_total")

# Each filter's "All" is `.*`, which a series without the label matches, too.
FILTERS: Final = f'{AGENT}=~"$agent", {JOB_TYPE}=~"$job_type", {STATUS}=~"$status", {ENVIRONMENT}=~"$environment"'
# What may be retried, and what "went wrong" means: a partial or cancelled run did not.
FAILED: Final = f'{STATUS}=~"failure|timeout|invalid_output"'


def selector(metric: str, extra: str = "", filters: str = FILTERS) -> str:
    """The series of a metric that the dashboard's filters let through."""
    matchers = ", ".join(part for part in (filters, extra) if part)
    return f"{metric}{{{matchers}}}"


def grown(series: str, window: str = RANGE) -> str:
    """By how much each series grew over a window, by default the dashboard's range."""
    last = f"last_over_time({series}[{window}])"
    base = f"last_over_time({series}[{BASE}] offset {window})"
    exact = f"({last} - ({base} or {last} * 0) >= 0 or {last}) unless resets({series}[{window}]) > 0"
    return f"{exact} or increase({series}[{window}])"


def grown_per_step(series: str) -> str:
    """By how much each series grew since the step before; the steps add up to the whole."""
    last = f"last_over_time({series}[$__rate_interval])"
    base = f"last_over_time({series}[{BASE}] offset $__interval)"
    return f"{last} - ({base} or {last} * 0) >= 0 or {last}"


def total(metric: str, *by: str, extra: str = "", window: str = RANGE, filters: str = FILTERS) -> str:
    """The sum over the window, per the labels in `by`."""
    return _sum(grown(selector(metric, extra, filters), window), by)


def per_step(metric: str, *by: str, extra: str = "") -> str:
    """The sum per step, per the labels in `by`."""
    return _sum(grown_per_step(selector(metric, extra)), by)


def net(metrics: tuple[str, str], *by: str, extra: str = "", window: str = RANGE, filters: str = FILTERS) -> str:
    """Entries less reversals over the window, per the labels in `by`."""
    entries, reversals = (grown(selector(metric, extra, filters), window) for metric in metrics)
    return _sum(_entries_less(entries, reversals), by)


def net_per_step(metrics: tuple[str, str], *by: str, extra: str = "") -> str:
    """Entries less reversals per step, per the labels in `by`."""
    entries, reversals = (grown_per_step(selector(metric, extra)) for metric in metrics)
    return _sum(_entries_less(entries, reversals), by)


def share(part: str, whole: str) -> str:
    """`part / whole`, 0 where nothing of the whole is in the part, absent where there is no whole."""
    return f"(({part}) or ({whole}) * 0) / (({whole}) > 0)"


def or_zero(expression: str) -> str:
    """The expression, 0 where it has no result at all."""
    return f"({expression}) or vector(0)"


def named(expression: str, *labels: str) -> str:
    """The expression, with `none` for each of the labels that a series does not have."""
    for name in labels:
        expression = f'label_replace({expression}, "{name}", "none", "{name}", "")'
    return expression


def legend(*labels: str) -> str:
    """The legend that names the labels' values."""
    return ", ".join(f"{{{{{name}}}}}" for name in labels)


def spread(figures: str, over: str, on: str, bring: str = "") -> str:
    """`figures`, one per `on`, repeated for each of the series of `over`, with the labels of `over` and `bring`."""
    return f"({over}) * 0 + on ({on}) group_left ({bring}) ({figures})"


def _sum(expression: str, by: tuple[str, ...]) -> str:
    grouping = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouping} ({expression})"


def _entries_less(entries: str, reversals: str) -> str:
    # The extra label keeps the two apart, so that one sum takes both.
    return (
        f'label_replace({entries}, "side", "entry", "", "") '
        f'or label_replace(0 - ({reversals}), "side", "reversal", "", "")'
    )
