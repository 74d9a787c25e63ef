# SPDX-License-Identifier: Apache-2.0
"""The tables that the demo prints, from figures that were read back out of exported OTLP."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from demo_ledger import OUTCOME_COST, OUTCOMES, RETRYABLE, RUN_COST, RUNS, VALUE
from demo_readback import STATUS, TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demo_ledger import Figures
    from demo_readback import Sample

STATUSES: Final = ("success", "partial", "failure", "timeout", "cancelled", "invalid_output", "unknown")
TYPES: Final = ("converted", "deflected", "escalated", "unsuccessful", "custom", "none")
_HUNDRED: Final = Decimal(100)

Row = Sequence[str]


def all_tables(figures: Figures, samples: Mapping[str, Sample]) -> str:
    """Every table as text, a blank line between two."""
    return "\n\n".join(
        (
            runs_by_status(figures),
            outcomes_by_type(figures),
            value_ratios(figures),
            costs_per_outcome(figures),
            retryable_failures(figures),
            sample_traces(samples),
        )
    )


def runs_by_status(figures: Figures) -> str:
    """Runs per agent and status, with sums."""
    agents = _agents(figures)
    used = [status for status in STATUSES if any(figures.get(RUNS, (agent, status)) for agent in agents)]
    rows = [
        (agent, *(_count(figures.get(RUNS, (agent, status))) for status in used), _count(figures.total(RUNS, agent)))
        for agent in agents
    ]
    sums = (sum((figures.get(RUNS, (agent, status)) for agent in agents), Decimal(0)) for status in used)
    rows.append(("all", *map(_count, sums), _count(figures.total(RUNS))))
    return table("Runs by status", ("agent", *used, "runs"), rows)


def outcomes_by_type(figures: Figures) -> str:
    """Reported outcomes per agent and type as a share of the agent's runs; what is left is pending."""
    rows: list[Row] = []
    for agent in _agents(figures):
        runs = figures.total(RUNS, agent)
        for outcome_type in TYPES:
            count = figures.get(OUTCOMES, (agent, outcome_type))
            if count:
                rows.append((agent, outcome_type, _count(count), _percent(count, runs)))
        pending = runs - figures.total(OUTCOMES, agent)
        if pending:
            rows.append((agent, "(pending)", _count(pending), _percent(pending, runs)))
    return table("Outcomes by type", ("agent", "type", "outcomes", "of runs"), rows)


def value_ratios(figures: Figures) -> str:
    """Value over the cost of all runs per job type; amounts in two currencies make a ratio with a unit."""
    costs = {key[:2]: (amount, key[2]) for key, amount in figures.items(RUN_COST)}
    values = {key[:2]: (amount, key[2]) for key, amount in figures.items(VALUE)}
    rows: list[Row] = []
    for key, (cost, cost_currency) in costs.items():
        value, currency = values.get(key, (Decimal(0), cost_currency))
        unit = "" if currency == cost_currency else f" {currency}/{cost_currency}"
        rows.append((*key, f"{value:.2f} {currency}", f"{cost:.2f} {cost_currency}", f"{value / cost:.1f}{unit}"))
    return table("Value ratio by job type", ("agent", "job type", "value", "cost", "value / cost"), rows)


def costs_per_outcome(figures: Figures) -> str:
    """What one outcome of each type cost on average."""
    rows: list[Row] = []
    for (agent, outcome_type, currency), cost in figures.items(OUTCOME_COST):
        count = figures.get(OUTCOMES, (agent, outcome_type))
        rows.append((agent, outcome_type, _count(count), f"{cost:.2f} {currency}", f"{cost / count:.4f} {currency}"))
    return table("Cost per outcome", ("agent", "type", "outcomes", "cost", "per outcome"), rows)


def retryable_failures(figures: Figures) -> str:
    """Runs that went wrong and are worth another try."""
    rows = [(*key, _count(count)) for key, count in figures.items(RETRYABLE)]
    return table("Retryable failures", ("agent", "status", "error category", "runs"), rows)


def sample_traces(samples: Mapping[str, Sample]) -> str:
    """Three runs to look up by their trace id."""
    rows = [
        (
            name,
            sample.trace_id,
            sample.attributes.get(STATUS, ""),
            sample.attributes.get(TYPE, "(pending)"),
            _reason(sample),
        )
        for name, sample in sorted(samples.items())
    ]
    return table("Sample traces", ("run", "trace id", "status", "type", "decided by"), rows)


def table(title: str, header: Row, rows: Sequence[Row]) -> str:
    """Aligned columns: figures to the right, words to the left."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    figures = [bool(rows) and all(row[column][:1].isdigit() for row in rows) for column in range(len(header))]
    lines = [title, _line(header, widths, figures), "  ".join("-" * width for width in widths)]
    return "\n".join([*lines, *(_line(row, widths, figures) for row in rows)])


def _line(row: Row, widths: Sequence[int], figures: Sequence[bool]) -> str:
    cells: Iterator[str] = (
        cell.rjust(width) if is_figure else cell.ljust(width)
        for cell, width, is_figure in zip(row, widths, figures, strict=True)
    )
    return "  ".join(cells).rstrip()


def _agents(figures: Figures) -> list[str]:
    return list(dict.fromkeys(agent for (agent, _), _ in figures.items(RUNS)))


def _count(amount: Decimal) -> str:
    return f"{amount:f}"


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part * _HUNDRED / whole:.1f} %"


def _reason(sample: Sample) -> str:
    return sample.attributes.get("agent.outcome.evidence", "")
