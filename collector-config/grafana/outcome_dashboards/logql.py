# SPDX-License-Identifier: Apache-2.0
"""LogQL over the outcome events, whose attributes Loki keeps as structured metadata with underscores for dots."""

from __future__ import annotations

from typing import Final

from agent_outcomes import semconv
from outcome_dashboards.promql import AGENT, ENVIRONMENT, JOB_TYPE, STATUS, label

REMEDY: Final = label(semconv.AGENT_OUTCOME_REMEDY)
STATE: Final = label(semconv.AGENT_OUTCOME_STATE)
REVISION: Final = label(semconv.AGENT_OUTCOME_REVISION)

# By an attribute that every outcome event has, and no handoff or evaluation: Loki stores the event's name only from 3.8
# on.
FILTERED: Final = (
    f'{{service_name=~".+"}} | {STATE}!="" | {AGENT}=~"$agent" | {JOB_TYPE}=~"$job_type" | {STATUS}=~"$status" '
    f'| {ENVIRONMENT}=~"$environment"'
)


def events(*conditions: str) -> str:
    """The events that the dashboard's filters and further label conditions let through."""
    return " | ".join((FILTERED, *conditions))


def count(stream: str, window: str, *by: str) -> str:
    """How many lines a stream has per window, per label in `by`."""
    # `keep` before counting: each trace id would be a series of its own.
    kept = f" | keep {', '.join(by)}" if by else " | keep service_name"
    grouping = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouping} (count_over_time({stream}{kept} [{window}]))"


def amount(stream: str, field: str, window: str, *by: str) -> str:
    """The sum of a number that events carry per window, per label in `by`."""
    kept = f"{stream} | keep {', '.join((field, *by))} | unwrap {field}"
    return f"sum by ({', '.join(by)}) (sum_over_time({kept} [{window}]))"


def quantile(stream: str, field: str, window: str, share: float) -> str:
    """The number that so large a share of the events of a window do not exceed."""
    return f"quantile_over_time({share}, {stream} | keep {field} | unwrap {field} [{window}]) by ()"
