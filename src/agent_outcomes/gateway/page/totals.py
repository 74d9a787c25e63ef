# SPDX-License-Identifier: Apache-2.0
"""What runs amount to, as the page shows it: figures in words, charts and tables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.page import figures
from agent_outcomes.gateway.page.charts import Funnel, bar_width, funnel
from agent_outcomes.gateway.page.outcome_words import Tone
from agent_outcomes.gateway.page.period import SPAN_WORDS, Span
from agent_outcomes.gateway.page.rates import Rates, rates_of
from agent_outcomes.gateway.page.rendering import address
from agent_outcomes.semconv import OutcomeType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from agent_outcomes.gateway.page.period import Period
    from agent_outcomes.ledger.book.overviews import JobMoney, Overview

NOT_STATED: Final = "not stated"
NO_JOB_TYPE: Final = "no job type"
LINES_MAX: Final = 100
_TONES: Final[Mapping[OutcomeType | None, Tone]] = {
    OutcomeType.CONVERTED: Tone.GOOD,
    OutcomeType.DEFLECTED: Tone.GOOD,
    OutcomeType.ESCALATED: Tone.WARN,
    OutcomeType.UNSUCCESSFUL: Tone.BAD,
    OutcomeType.CUSTOM: Tone.CALM,
    None: Tone.CALM,
}


class Asked(NamedTuple):
    """What totals are asked for: of which time, and of one agent or job type if these are not empty."""

    period: Period
    agent: str = ""
    job_type: str = ""

    def address(self, **other: str) -> str:
        """The address of these totals, with other parts of the query in place of theirs."""
        period = self.period
        named = {"range": period.span.value if period.span else "", "from": period.first_day, "to": period.last_day}
        return address("/", **{**named, "agent": self.agent, "job_type": self.job_type, **other})


class Sum(NamedTuple):
    """An amount to the cent, and with every digit."""

    shown: str
    exact: str


class RangeLink(NamedTuple):
    """One of the usual time ranges."""

    words: str
    href: str
    is_current: bool


class Tiles(NamedTuple):
    """The figures at the top."""

    runs: str
    clean: str
    reported: str
    reported_share: str
    successes: str
    success_rate: str
    pending: str
    values: tuple[Sum, ...]
    costs: tuple[Sum, ...]
    ratios: tuple[str, ...]


class ShareLine(NamedTuple):
    """One type or label with its share of the outcomes."""

    word: str
    href: str | None
    outcomes: str
    share: str
    width: float
    tone: Tone


class Shares(NamedTuple):
    """A table of shares."""

    id: str
    title: str
    column: str
    lines: tuple[ShareLine, ...]
    nothing: str


class JobLine(NamedTuple):
    """A job type: its value over its cost, in each currency that has both."""

    job_type: str
    runs: str
    outcomes: str
    values: tuple[Sum, ...]
    costs: tuple[Sum, ...]
    ratios: tuple[str, ...]
    width: float


class OutcomeCostLine(NamedTuple):
    """What outcomes of one type and label cost."""

    type: str
    label: str
    outcomes: str
    cost: Sum
    each: str
    width: float


class Stage(NamedTuple):
    """One stage of a funnel."""

    name: str
    runs: str
    of_all: str
    of_before: str


class FunnelView(NamedTuple):
    """A funnel with its figures."""

    id: str
    title: str
    shape: Funnel
    stages: tuple[Stage, ...]


class RetryLine(NamedTuple):
    """Failures that another try may mend."""

    agent: str
    category: str
    runs: str
    width: float


class TotalsView(NamedTuple):
    """All that the page of totals shows."""

    asked: Asked
    period: str
    ranges: tuple[RangeLink, ...]
    judge: str
    pruned: int
    is_partial: bool
    is_empty: bool
    tiles: Tiles
    rates: Rates
    shares: tuple[Shares, ...]
    jobs: tuple[JobLine, ...]
    costs: tuple[OutcomeCostLine, ...]
    funnels: tuple[FunnelView, ...]
    retryable: tuple[RetryLine, ...]


def totals_view(found: Overview, asked: Asked) -> TotalsView:
    """The view of what runs of that time amount to."""
    period = asked.period
    return TotalsView(
        asked=asked,
        period=_period_words(period),
        ranges=tuple(_range_link(span, asked) for span in Span),
        judge=address("/judge", agent=asked.agent, job_type=asked.job_type),
        pruned=found.pruned,
        is_partial=found.is_partial,
        is_empty=found.runs == 0,
        tiles=_tiles(found),
        rates=rates_of(found.buckets, period, found.step_s),
        shares=(_by_type(found, asked), _by_label(found, asked)),
        jobs=tuple(_job_lines(found.jobs)),
        costs=tuple(_cost_lines(found)),
        funnels=(
            _funnel("converted", "From runs to conversions", (found.runs, found.clean, found.converted)),
            _funnel("deflected", "From runs to deflections", (found.runs, found.clean, found.deflected)),
        ),
        retryable=tuple(_retry_lines(found)),
    )


def _period_words(period: Period) -> str:
    if period.span is not None:
        return f"in the last {SPAN_WORDS[period.span]}"
    if period.first_day == period.last_day:
        return f"on {period.first_day}"
    return f"from {period.first_day} to {period.last_day}"


def _range_link(span: Span, asked: Asked) -> RangeLink:
    href = asked.address(**{"range": span.value, "from": "", "to": ""})
    return RangeLink(SPAN_WORDS[span], href, asked.period.span is span)


def _tiles(found: Overview) -> Tiles:
    money = sorted(found.money)
    return Tiles(
        runs=figures.grouped(found.runs),
        clean=figures.percent(found.clean, found.runs),
        reported=figures.grouped(found.reported),
        reported_share=figures.percent(found.reported, found.runs),
        successes=figures.grouped(found.successes),
        success_rate=figures.percent(found.successes, found.reported),
        pending=figures.grouped(found.pending),
        values=tuple(_sum(each.value, each.currency) for each in money if each.value),
        costs=tuple(_sum(each.cost, each.currency) for each in money if each.cost),
        ratios=tuple(
            f"{figures.ratio(each.value, each.cost)} {each.currency}" for each in money if each.value and each.cost
        ),
    )


def _sum(amount: Decimal, currency: str) -> Sum:
    return Sum(figures.money(amount, currency), figures.exact_money(amount, currency))


def _by_type(found: Overview, asked: Asked) -> Shares:
    counts: dict[OutcomeType | None, int] = {}
    for each in found.outcomes:
        counts[each.type] = counts.get(each.type, 0) + each.outcomes
    lines = [
        _share_line(
            NOT_STATED if kind is None else kind.value,
            None if kind is None else _runs_address(asked, type=kind.value),
            (count, found.reported, max(counts.values())),
            _TONES[kind],
        )
        for kind, count in sorted(counts.items(), key=_most_first)
    ]
    return Shares("types", "Outcomes by type", "type", tuple(lines), _NOTHING_REPORTED)


def _by_label(found: Overview, asked: Asked) -> Shares:
    counts: dict[str | None, int] = {}
    for each in found.outcomes:
        counts[each.label] = counts.get(each.label, 0) + each.outcomes
    lines = [
        _share_line(
            NOT_STATED if label is None else label,
            None if label is None else _runs_address(asked, label=label),
            (count, found.reported, max(counts.values())),
            Tone.CALM,
        )
        for label, count in sorted(counts.items(), key=_most_first)[:LINES_MAX]
    ]
    return Shares("labels", "Outcomes by label", "label", tuple(lines), _NOTHING_REPORTED)


_NOTHING_REPORTED: Final = (
    "No outcome is reported yet. Set agent.outcome.* on the agent's span, report over /v1/runs, or judge."
)


def _share_line(word: str, href: str | None, counts: tuple[int, int, int], tone: Tone) -> ShareLine:
    count, of_all, most = counts
    return ShareLine(word, href, figures.grouped(count), figures.percent(count, of_all), bar_width(count, most), tone)


def _runs_address(asked: Asked, **further: str) -> str:
    span = asked.period.span
    return address("/runs", range=span.value if span else "", agent=asked.agent, job_type=asked.job_type, **further)


def _job_lines(jobs: Sequence[JobMoney]) -> Iterator[JobLine]:
    by_type: dict[str | None, list[JobMoney]] = {}
    for job in sorted(jobs, key=lambda job: (-job.runs, job.job_type or "", job.currency)):
        by_type.setdefault(job.job_type, []).append(job)
    most = max((_best_ratio(of_type) for of_type in by_type.values()), default=0.0)
    for job_type, of_type in list(by_type.items())[:LINES_MAX]:
        both = [each for each in of_type if each.value and each.cost]
        yield JobLine(
            NO_JOB_TYPE if job_type is None else job_type,
            figures.grouped(of_type[0].runs),
            figures.grouped(of_type[0].outcomes),
            tuple(_sum(each.value, each.currency) for each in of_type if each.value),
            tuple(_sum(each.cost, each.currency) for each in of_type if each.cost),
            tuple(figures.ratio(each.value, each.cost) for each in both),
            bar_width(_best_ratio(of_type), most),
        )


def _best_ratio(jobs: Sequence[JobMoney]) -> float:
    return max((float(each.value / each.cost) for each in jobs if each.cost > 0), default=0.0)


def _cost_lines(found: Overview) -> Iterator[OutcomeCostLine]:
    each_costs = [each.cost / each.outcomes for each in found.costs if each.outcomes]
    most = float(max(each_costs, default=0))
    for each in sorted(found.costs, key=lambda cost: (-cost.outcomes, str(cost.type), cost.label or ""))[:LINES_MAX]:
        average = each.cost / each.outcomes if each.outcomes else each.cost
        yield OutcomeCostLine(
            NOT_STATED if each.type is None else each.type.value,
            NOT_STATED if each.label is None else each.label,
            figures.grouped(each.outcomes),
            _sum(each.cost, each.currency),
            figures.unit_money(average, each.currency),
            bar_width(float(average), most),
        )


def _funnel(last: str, title: str, counts: tuple[int, int, int]) -> FunnelView:
    names = ("all runs", "ran cleanly", last)
    before = (counts[0], *counts)
    stages = tuple(
        Stage(name, figures.grouped(count), figures.percent(count, counts[0]), figures.percent(count, earlier))
        for name, count, earlier in zip(names, counts, before, strict=False)
    )
    return FunnelView(f"funnel-{last}", title, funnel(counts), stages)


def _retry_lines(found: Overview) -> Iterator[RetryLine]:
    most = max((each.runs for each in found.retryable), default=0)
    for each in sorted(found.retryable, key=lambda line: (-line.runs, line.agent or "", line.category or ""))[
        :LINES_MAX
    ]:
        agent = "no name" if each.agent is None else each.agent
        category = NOT_STATED if each.category is None else each.category.replace("_", " ")
        yield RetryLine(agent, category, figures.grouped(each.runs), bar_width(each.runs, most))


def _most_first(counted: tuple[str | None, int]) -> tuple[int, str]:
    word, count = counted
    return -count, word or ""
