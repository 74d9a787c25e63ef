# SPDX-License-Identifier: Apache-2.0
"""Figures as the page writes them: exact where it says so, to the cent elsewhere, and never nothing for something."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.page import figures

pytestmark = pytest.mark.backends

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=12)


@given(amount=AMOUNTS)
def test_an_amount_is_exact_or_to_the_cent(amount: Decimal) -> None:
    """Read back, the exact one is the amount, and the other its rounding; nothing is shown as 0 but 0."""
    exact = figures.exact_money(amount, "EUR").removesuffix(" EUR")
    assert Decimal(exact) == amount
    assert len(exact.partition(".")[2]) >= 2
    shown = Decimal(figures.money(amount, "EUR").removesuffix(" EUR").replace(",", ""))
    if abs(amount) >= Decimal("0.01"):
        assert shown == amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    else:
        assert (shown == 0) is (amount == 0)
        assert abs(shown - amount) <= abs(amount) / 10


@given(amount=AMOUNTS)
def test_an_amount_of_one_of_many_is_to_a_hundredth_of_a_cent(amount: Decimal) -> None:
    """So are averages, which may have any number of digits."""
    shown = Decimal(figures.unit_money(amount / 7, "USD").removesuffix(" USD").replace(",", ""))
    assert abs(shown - amount / 7) <= max(Decimal("0.00005"), abs(amount) / 70)


@pytest.mark.parametrize(
    ("value", "cost", "shown"),
    [("10", "4", "2.5x"), ("1", "3", "0.3x"), ("-5", "2", "-2.5x"), ("123456", "1", "123,456x"), ("1", "0", "\u2013")],
)
def test_a_ratio_is_how_many_times(value: str, cost: str, shown: str) -> None:
    """None where nothing was spent."""
    assert figures.ratio(Decimal(value), Decimal(cost)) == shown.replace("x", "\N{MULTIPLICATION SIGN}")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "\u2013"),
        (0.0, "0 ms"),
        (0.8504, "850 ms"),
        (1.25, "1.25 s"),
        (59.4, "59.40 s"),
        (61.0, "1 min 1 s"),
        (3600.0, "1 h 0 min"),
        (400_000.0, "111 h 6 min"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    """With three digits or so."""
    assert figures.duration(seconds) == shown


@given(time_ns=st.integers(-(2**80), 2**80), number=st.integers(0, 2**70), whole=st.integers(0, 2**70))
def test_no_figure_raises(time_ns: int, number: int, whole: int) -> None:
    """Also times that no calendar has, and counts of any size."""
    for text in (
        figures.utc_time(time_ns),
        figures.age(time_ns),
        figures.grouped(number),
        figures.percent(number, whole),
    ):
        assert text.isprintable()
    assert figures.machine_time(time_ns) == "" or figures.machine_time(time_ns).endswith("Z")
