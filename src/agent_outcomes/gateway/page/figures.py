# SPDX-License-Identifier: Apache-2.0
"""Counts, shares, amounts, times and durations as the page writes them. Pure; nothing here raises."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.amounts import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT: Final = "\N{EN DASH}"
"""In place of a figure that there is not."""
_NS: Final = 1_000_000_000
_CENT_DIGITS: Final = 2
_CENT: Final = Decimal(1).scaleb(-_CENT_DIGITS)
_TEN_THOUSANDTH: Final = Decimal("0.0001")
_SMALL_DIGITS: Final = 2
_ROUNDED: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_RATIO_WHOLE: Final = 100
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def grouped(number: int) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """The share of a part, to a tenth of a percent."""
    return f"{100 * part / whole:.1f}%" if whole else ABSENT


def money(amount: Decimal, currency: str) -> str:
    """An amount to the cent; a smaller one with its first two digits, so that it is not shown as nothing."""
    return f"{_digits(amount, _CENT)} {currency}"


def unit_money(amount: Decimal, currency: str) -> str:
    """An amount for one of many, to a hundredth of a cent."""
    return f"{_digits(amount, _TEN_THOUSANDTH)} {currency}"


def exact_money(amount: Decimal, currency: str) -> str:
    """An amount with every digit that it has, and at least those of a cent."""
    whole, _, fraction = plain_text(amount).partition(".")
    return f"{whole}.{fraction:0<{_CENT_DIGITS}} {currency}"


def sums(amounts: Mapping[str, Decimal]) -> tuple[str, ...]:
    """Amounts by currency, in the order of their codes."""
    return tuple(money(amounts[currency], currency) for currency in sorted(amounts))


def ratio(value: Decimal, cost: Decimal) -> str:
    """How many times its cost something was worth; none where it cost nothing."""
    if not cost:
        return ABSENT
    times = _ROUNDED.divide(value, cost)
    digits = 0 if abs(times) >= _RATIO_WHOLE else 1
    return f"{times:,.{digits}f}\N{MULTIPLICATION SIGN}"


def utc_time(time_ns: int) -> str:
    """A moment to the second, in UTC, without saying so."""
    moment = moment_of(time_ns)
    return f"{time_ns} ns" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def machine_time(time_ns: int) -> str:
    """A moment as the `datetime` of a `time` element; empty for what no calendar has."""
    moment = moment_of(time_ns)
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def moment_of(time_ns: int) -> datetime | None:
    """A moment to the second, in UTC; `None` for what no calendar has."""
    try:
        return datetime.fromtimestamp(time_ns // _NS, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def age(span_ns: int) -> str:
    """A time span in its largest two units."""
    seconds = max(0, span_ns) // _NS
    for index, (size, unit) in enumerate(_UNITS[:-1]):
        if seconds >= size:
            smaller, name = _UNITS[index + 1]
            rest = seconds % size // smaller
            return f"{seconds // size} {unit} {rest} {name}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def duration(seconds: float | None) -> str:
    """How long a run took, with three digits or so."""
    if seconds is None:
        return ABSENT
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole // _HOUR_S:,} h {whole % _HOUR_S // _MINUTE_S} min"


def _digits(amount: Decimal, step: Decimal) -> str:
    if amount and abs(amount) < step:
        return f"{Decimal(f'{amount:.{_SMALL_DIGITS - 1}e}'):f}"
    return f"{amount.quantize(step, context=_ROUNDED):,f}"
