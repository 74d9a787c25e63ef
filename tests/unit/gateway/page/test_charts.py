# SPDX-License-Identifier: Apache-2.0
"""Charts: every mark within the picture, lines broken where there is nothing, a small figure still seen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.page.charts import BucketFigures, bar_width, funnel, rate_chart

pytestmark = pytest.mark.backends

BUCKETS = st.lists(
    st.builds(BucketFigures, st.none() | st.floats(0, 1), st.integers(0, 10**9), st.just("tip")), max_size=60
)


@given(buckets=BUCKETS)
def test_every_mark_is_within_the_chart(buckets: list[BucketFigures]) -> None:
    """And there is a dot for each rate, a bar for each bucket; lines join neighbours only."""
    chart = rate_chart(buckets)
    for x, y in chart.dots:
        assert 0 <= x <= chart.width
        assert 0 <= y <= chart.height
    for bar, bucket in zip(chart.bars, buckets, strict=True):
        assert bar.height > 0 or bucket.runs == 0
        assert abs(bar.y + bar.height - chart.height) < 1e-9
    assert len(chart.dots) == sum(bucket.rate is not None for bucket in buckets)
    joined = sum(line.count(" ") for line in chart.lines)
    pairs = pairwise(buckets)
    assert joined == sum(a.rate is not None and b.rate is not None for a, b in pairs)


@given(part=st.integers(0, 10**12), most=st.integers(0, 10**12))
def test_a_bar_is_seen_if_there_is_anything(part: int, most: int) -> None:
    """As long as its share of the greatest."""
    width = bar_width(min(part, most), most)
    assert 0 <= width <= 100
    assert (width > 0) is (min(part, most) > 0)


@given(counts=st.lists(st.integers(0, 10**9), max_size=5).map(lambda counts: sorted(counts, reverse=True)))
def test_a_funnel_narrows_within_its_picture(counts: list[int]) -> None:
    """Each stage is as high as its share, and all points lie within."""
    made = funnel(counts)
    assert len(made.shapes) == len(counts)
    for shape in made.shapes:
        for outline in (shape.stage, shape.passage or ""):
            for point in outline.split():
                x, y = map(float, point.split(","))
                assert -0.01 <= x <= made.width + 0.01
                assert -0.01 <= y <= made.height + 0.01
    assert [shape.passage is None for shape in made.shapes] == [False] * (len(counts) - 1) + [True] * bool(counts)
