# SPDX-License-Identifier: Apache-2.0
"""The time range that an address names: a range that ends now, two days, or the usual one with a complaint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.page.period import Span, read_period
from agent_outcomes.gateway.page.rates import rates_of
from agent_outcomes.ledger.book.overviews import RateBucket

pytestmark = pytest.mark.backends

NS = 10**9
NOW_NS = 1_795_971_703_566_523_537
BUCKETS_MAX = 32


@pytest.mark.parametrize("span", list(Span))
@given(now_ns=st.integers(10**18, 2 * 10**18))
def test_a_range_ends_now_and_is_as_long_as_it_says(span: Span, now_ns: int) -> None:
    """To the minute, now being part of it, in few enough steps to be seen."""
    period = read_period({"range": span.value}, now_ns)
    assert period.span is span
    assert now_ns < period.until_ns <= now_ns + 60 * NS
    hours = {"1h": 1, "24h": 24, "7d": 168, "30d": 720, "90d": 2160, "365d": 8760}[span.value]
    assert period.until_ns - period.since_ns == hours * 3600 * NS
    rates = rates_of((), period, period.step_s)
    assert 10 <= len(rates.rows) <= BUCKETS_MAX
    assert rates.rows[-1].start_ns <= period.since_ns < rates.rows[-1].start_ns + period.step_s * NS


@given(days=st.tuples(st.dates(min_value=datetime(1970, 1, 1, tzinfo=UTC).date()), st.integers(0, 20_000)))
def test_two_days_are_whole_days(days: tuple[datetime, int]) -> None:
    """Both are part of it."""
    first, length = days
    try:
        last = first + timedelta(days=length)
    except OverflowError:
        return
    period = read_period({"from": str(first), "to": str(last)}, NOW_NS)
    if period.complaint is None:
        assert (period.first_day, period.last_day) == (str(first), str(last))
        assert period.until_ns - period.since_ns == (length + 1) * 86_400 * NS
        assert period.since_ns % (86_400 * NS) == 0
        assert len(range(period.since_ns, period.until_ns, period.step_s * NS)) <= 400


@given(query=st.dictionaries(st.sampled_from(("range", "from", "to")), st.text(max_size=12), max_size=3))
def test_whatever_is_asked_there_is_a_range(query: dict[str, str]) -> None:
    """What is no range gives the usual one, and says so."""
    period = read_period(query, NOW_NS)
    assert period.since_ns < period.until_ns
    assert (period.span is Span.WEEK) or period.complaint is None
    if any(query.get(name, "").strip() for name in ("from", "to")) and period.span is not None:
        assert period.complaint is not None


@given(
    counts=st.lists(
        st.tuples(st.integers(0, 27), st.sampled_from((None, *"abcdefghij")), st.integers(0, 9), st.integers(0, 9)),
        max_size=80,
    )
)
def test_rates_add_up(counts: list[tuple[int, str | None, int, int]]) -> None:
    """The table's sums are those of all agents, also of those that have no chart; a chart has as many bars as rows."""
    period = read_period({"range": "7d"}, NOW_NS)
    first = period.since_ns // (period.step_s * NS) + 1
    buckets = [
        RateBucket((first + step) * period.step_s * NS, agent, good + more, good + more, good)
        for step, agent, good, more in counts
    ]
    rates = rates_of(buckets, period, period.step_s)
    by_start = {row.start_ns: row for row in rates.rows}
    for start in {bucket.start_ns for bucket in buckets}:
        runs = sum(bucket.runs for bucket in buckets if bucket.start_ns == start)
        assert by_start[start].runs == str(runs)
    assert sum(int(row.runs) for row in rates.rows) == sum(bucket.runs for bucket in buckets)
    assert len(rates.charts) + rates.hidden == len({agent for _, agent, _, _ in counts})
    assert all(len(chart.chart.bars) == len(rates.rows) for chart in rates.charts)
    assert all(len(row.rates) == len(rates.agents) + 1 for row in rates.rows)
