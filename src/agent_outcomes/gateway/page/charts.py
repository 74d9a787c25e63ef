# SPDX-License-Identifier: Apache-2.0
"""Where the marks of a chart stand, in the units of its SVG. Pure: templates draw them, a style sheet colours them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE_HEIGHT: Final = 100
BUCKET_WIDTH: Final = 10
_BAR_WIDTH: Final = 6
_VOLUME_HEIGHT: Final = 36
_FUNNEL_WIDTH: Final = 300
_FUNNEL_HEIGHT: Final = 80
_STAGE_SHARE: Final = 0.42
_THINNEST: Final = 1.0


class BucketFigures(NamedTuple):
    """What a rate chart shows of one time bucket; `rate` is between 0 and 1, `None` where there is none."""

    rate: float | None
    runs: int
    tip: str


class VolumeBar(NamedTuple):
    """How many runs there were in a bucket; `hover_x` is where its strip begins, which has the tip."""

    x: float
    y: float
    width: float
    height: float
    hover_x: float
    tip: str


class RateChart(NamedTuple):
    """A line of rates above bars of runs; the line is broken where there was nothing to rate."""

    width: int
    height: int
    bars: tuple[VolumeBar, ...]
    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


class FunnelShape(NamedTuple):
    """The outline of one stage of a funnel, and of what leads to the next."""

    stage: str
    passage: str | None


class Funnel(NamedTuple):
    """Stages side by side, each as high as its share of the first."""

    width: int
    height: int
    shapes: tuple[FunnelShape, ...]


def rate_chart(buckets: Sequence[BucketFigures]) -> RateChart:
    """The chart of these buckets, from left to right."""
    most = max((bucket.runs for bucket in buckets), default=0)
    bars = tuple(_volume_bar(number, bucket, most) for number, bucket in enumerate(buckets))
    points = [
        None if bucket.rate is None else (_middle(number), _rate_y(bucket.rate))
        for number, bucket in enumerate(buckets)
    ]
    lines = tuple(" ".join(f"{x:g},{y:g}" for x, y in part) for part in _unbroken(points) if len(part) > 1)
    dots = tuple(point for point in points if point is not None)
    return RateChart(max(1, len(buckets)) * BUCKET_WIDTH, RATE_HEIGHT, bars, lines, dots)


def bar_width(part: float, most: float) -> float:
    """How long the bar of a figure is, of 100 for the greatest; what is not nothing is always seen."""
    if part <= 0 or most <= 0:
        return 0.0
    return max(_THINNEST, round(100 * part / most, 2))


def funnel(counts: Sequence[int]) -> Funnel:
    """The outline of a funnel through these stages."""
    if not counts:
        return Funnel(_FUNNEL_WIDTH, _FUNNEL_HEIGHT, ())
    stage_width = _FUNNEL_WIDTH * _STAGE_SHARE / len(counts)
    pitch = (_FUNNEL_WIDTH - stage_width) / max(1, len(counts) - 1)
    heights = [_funnel_height(stage, counts[0]) for stage in counts]
    shapes = []
    for number, height in enumerate(heights):
        left, right = number * pitch, number * pitch + stage_width
        last = number + 1 == len(heights)
        passage = None if last else _trapezoid(right, (number + 1) * pitch, height, heights[number + 1])
        shapes.append(FunnelShape(_trapezoid(left, right, height, height), passage))
    return Funnel(_FUNNEL_WIDTH, _FUNNEL_HEIGHT, tuple(shapes))


def _volume_bar(number: int, bucket: BucketFigures, most: int) -> VolumeBar:
    height = _VOLUME_HEIGHT * bucket.runs / most if most else 0.0
    height = max(_THINNEST, round(height, 2)) if bucket.runs else 0.0
    x = number * BUCKET_WIDTH + (BUCKET_WIDTH - _BAR_WIDTH) / 2
    return VolumeBar(x, RATE_HEIGHT - height, _BAR_WIDTH, height, number * BUCKET_WIDTH, bucket.tip)


def _middle(number: int) -> float:
    return number * BUCKET_WIDTH + BUCKET_WIDTH / 2


def _rate_y(rate: float) -> float:
    return round(RATE_HEIGHT * (1 - min(1.0, max(0.0, rate))), 2)


def _unbroken(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            parts.append([])
        else:
            parts[-1].append(point)
    return parts


def _funnel_height(stage: int, first: int) -> float:
    if stage <= 0 or first <= 0:
        return 0.0
    return max(_THINNEST, _FUNNEL_HEIGHT * min(1.0, stage / first))


def _trapezoid(left: float, right: float, before: float, after: float) -> str:
    middle = _FUNNEL_HEIGHT / 2
    corners = (
        (left, middle - before / 2),
        (right, middle - after / 2),
        (right, middle + after / 2),
        (left, middle + before / 2),
    )
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)
