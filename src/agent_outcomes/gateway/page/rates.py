# SPDX-License-Identifier: Apache-2.0
"""Success rates over time: a chart for each agent, and the table that says the same in figures. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.page import figures
from agent_outcomes.gateway.page.charts import BucketFigures, RateChart, rate_chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.gateway.page.period import Period
    from agent_outcomes.ledger.book.overviews import RateBucket

CHARTS_MAX: Final = 6
NO_NAME: Final = "no name"
_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_UNITS: Final = ((_DAY_S, "day"), (_HOUR_S, "hour"), (60, "minute"))


class AgentRates(NamedTuple):
    """The chart of one agent, and its figures over the whole time."""

    agent: str
    rate: str
    reported: str
    runs: str
    chart: RateChart


class RateCell(NamedTuple):
    """A success rate in the table."""

    shown: str
    tip: str


class RateRow(NamedTuple):
    """One time bucket in the table: the rate of each agent that is shown, then that of all."""

    start_ns: int
    label: str
    rates: tuple[RateCell, ...]
    reported: str
    runs: str


class Rates(NamedTuple):
    """All of it; `hidden` is how many agents have no chart."""

    charts: tuple[AgentRates, ...]
    agents: tuple[str, ...]
    rows: tuple[RateRow, ...]
    step: str
    hidden: int
    first_label: str
    last_label: str


class _Counts(NamedTuple):
    runs: int = 0
    reported: int = 0
    successes: int = 0

    def plus(self, other: _Counts | RateBucket) -> _Counts:
        return _Counts(self.runs + other.runs, self.reported + other.reported, self.successes + other.successes)


_NONE: Final = _Counts()


def rates_of(buckets: Sequence[RateBucket], period: Period, step_s: int) -> Rates:
    """The rates in buckets of `step_s`, the agents with the most runs first; a bucket without a run is there, too."""
    by_agent: dict[str | None, dict[int, _Counts]] = {}
    for bucket in buckets:
        of_agent = by_agent.setdefault(bucket.agent, {})
        of_agent[bucket.start_ns] = of_agent.get(bucket.start_ns, _NONE).plus(bucket)
    agents = sorted(by_agent, key=lambda agent: (-_all_of(by_agent[agent]).runs, agent or ""))
    shown = agents[:CHARTS_MAX]
    step_ns = step_s * _NS
    starts = range(period.since_ns // step_ns * step_ns, period.until_ns, step_ns)
    return Rates(
        charts=tuple(_agent_rates(agent, by_agent[agent], starts, step_s) for agent in shown),
        agents=tuple(map(_name, shown)),
        rows=tuple(
            _row(start, [by_agent[agent] for agent in agents], len(shown), step_s) for start in reversed(starts)
        ),
        step=_step_words(step_s),
        hidden=len(agents) - len(shown),
        first_label=bucket_label(starts[0], step_s),
        last_label=bucket_label(starts[-1], step_s),
    )


def bucket_label(start_ns: int, step_s: int) -> str:
    """When a bucket begins, as exactly as its length asks for."""
    moment = figures.moment_of(start_ns)
    if moment is None:
        return figures.ABSENT
    return f"{moment:%Y-%m-%d}" if step_s >= _DAY_S else f"{moment:%m-%d %H:%M}"


def _agent_rates(agent: str | None, counts: dict[int, _Counts], starts: range, step_s: int) -> AgentRates:
    everything = _all_of(counts)
    figures_of = [_bucket_figures(counts.get(start, _NONE), bucket_label(start, step_s)) for start in starts]
    return AgentRates(
        agent=_name(agent),
        rate=figures.percent(everything.successes, everything.reported),
        reported=figures.grouped(everything.reported),
        runs=figures.grouped(everything.runs),
        chart=rate_chart(figures_of),
    )


def _bucket_figures(counts: _Counts, label: str) -> BucketFigures:
    rate = counts.successes / counts.reported if counts.reported else None
    return BucketFigures(rate, counts.runs, f"{label} UTC: {_tip(counts)}")


def _row(start: int, by_agent: Sequence[dict[int, _Counts]], shown: int, step_s: int) -> RateRow:
    counts = [of_agent.get(start, _NONE) for of_agent in by_agent]
    everything = _NONE
    for each in counts:
        everything = everything.plus(each)
    cells = tuple(_cell(each) for each in (*counts[:shown], everything))
    label = bucket_label(start, step_s)
    return RateRow(start, label, cells, figures.grouped(everything.reported), figures.grouped(everything.runs))


def _cell(counts: _Counts) -> RateCell:
    return RateCell(figures.percent(counts.successes, counts.reported), _tip(counts))


def _tip(counts: _Counts) -> str:
    rate = figures.percent(counts.successes, counts.reported)
    return f"{rate}, {counts.successes} of {counts.reported} reported, {counts.runs} runs"


def _all_of(counts: dict[int, _Counts]) -> _Counts:
    everything = _NONE
    for each in counts.values():
        everything = everything.plus(each)
    return everything


def _name(agent: str | None) -> str:
    return NO_NAME if agent is None else agent


def _step_words(step_s: int) -> str:
    for size, unit in _UNITS:
        if step_s >= size:
            number = step_s // size
            return f"each {unit}" if number == 1 else f"each {number} {unit}s"
    return f"each {step_s} s"
