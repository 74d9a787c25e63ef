# SPDX-License-Identifier: Apache-2.0
"""Amounts of money as exact decimals.

A double is taken by its shortest repr (what its writer typed), text by its digits. Whatever cannot be carried
exactly through every sum and every backend is refused rather than rounded, where a person states it. What arithmetic
has made, such as the cost of a model call, is rounded once, where it is read. Never raises.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import TYPE_CHECKING

from agent_outcomes.outcome.currencies import CURRENCIES
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.words import WHITE_SPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

AMOUNT_LIMIT = Decimal(10) ** 15
FRACTION_DIGITS_MAX = 12
_TEXT_LENGTH_MAX = 64
_INT_BITS_MAX = 64
_DOUBLE_DIGITS = 15
_TEXT = Pattern(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_COUNT = Pattern(r"\d+(?:\.0*)?", re.ASCII)
# Wide enough for any sum of accepted amounts (15 + 12 digits) over more runs than can happen; traps, never rounds.
EXACT = Context(prec=60, traps=[Inexact])
_STEP = Decimal(1).scaleb(-FRACTION_DIGITS_MAX)
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[])
_ZERO = Decimal(0)
_PLAIN_DOUBLE = 1e15
_SMALL = 1000.0
_TRILLION = 1e12
_WHOLES_ONLY = 2.0**52


def parse_amount(value: object) -> Decimal | None:
    """The exact amount that `value` states, or `None` if it states none that can be carried exactly.

    Takes int, float, `Decimal` and decimal text (optional sign, fraction, exponent). Refuses booleans, NaN,
    infinities, anything with |amount| >= 1e15 or more than 12 fraction digits, thousands separators and symbols.
    """
    if type(value) is float and -_PLAIN_DOUBLE < value < _PLAIN_DOUBLE:
        text = repr(value)
        # Nearly every reported cost: plain digits and few enough of them, so that nothing else need be looked at.
        if "e" not in text and len(text) - text.index(".") <= FRACTION_DIGITS_MAX:
            return Decimal(text) or _ZERO
    amount = _decimal(value)
    # copy_abs, as abs() would round to the application's decimal context, or raise what that traps.
    if amount is None or not amount.is_finite() or amount.copy_abs() >= AMOUNT_LIMIT:
        return None
    if amount == _ZERO:
        return _ZERO
    return amount if _fraction_digits(amount) <= FRACTION_DIGITS_MAX else None


def parse_calculated_amount(value: object) -> Decimal | None:
    """As `parse_amount`, but a number of more than 12 fraction digits is rounded to 12, half to even.

    For amounts that arithmetic has made, never for stated ones. Adding prices in binary leaves noise
    (0.1 + 0.2 = 0.30000000000000004); to refuse the cost for it would leave whole cents out of a sum, where rounding
    moves a call's cost by at most 5e-13. An amount above nothing never becomes nothing: that is refused. Text was
    written by somebody, so it has to be exact.
    """
    amount = parse_amount(value)
    if amount is not None or not isinstance(value, float | Decimal):
        return amount
    number = _decimal(value)
    if number is None or not number.is_finite() or number.copy_abs() >= AMOUNT_LIMIT:
        return None
    # What is left of an amount too small to be carried is zero, and a number just below the limit reaches it.
    rounded = number.quantize(_STEP, context=_ROUNDING)
    return rounded if _ZERO < rounded.copy_abs() < AMOUNT_LIMIT else None


def parse_count(value: object, count_max: int) -> int | None:
    """The whole number that `value` states, or `None` if it states none from 0 to `count_max`.

    Takes int, a float that is whole, and text in plain decimal notation (`120`, `9.0`), as some writers have text only
    and some protocols doubles only. Refuses booleans, exponents, signs, separators and fractions.
    """
    number: int | None = None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        number = int.__int__(value)
    elif isinstance(value, float):
        number = float.__int__(value) if float.is_integer(value) else None
    elif isinstance(value, str) and len(value) <= _TEXT_LENGTH_MAX:
        text = str.__str__(value).strip(WHITE_SPACE)
        number = int(text.partition(".")[0]) if _COUNT.fullmatch(text) else None
    return number if number is not None and 0 <= number <= count_max else None


def whole_trillionths(amounts: Iterable[object]) -> Decimal | None:
    """The exact sum of amounts that are floats above 0 of at most 12 fraction digits; `None` if any is not.

    Nor is it told if it is too large for a double of trillionths, some 4500. An amount below 1000 with 12 digits has 15
    at most, and of two such decimals no double is nearest to both: if the rounded number of trillionths divides back to
    the double, it is what its shortest repr says.
    """
    total = 0.0
    for amount in amounts:
        if type(amount) is not float or not 0.0 < amount < _SMALL:
            return None
        # As `round` would have it, in a tenth of the time: beyond this a double has no place for a fraction.
        trillionths = amount * _TRILLION + _WHOLES_ONLY - _WHOLES_ONLY
        if trillionths / _TRILLION != amount:
            return None
        total += trillionths
    # Up to here each partial sum is exact.
    return EXACT.multiply(Decimal(int(total)), _STEP) if total < _WHOLES_ONLY else None


def parse_currency(value: object) -> str | None:
    """The ISO 4217 code in upper case, or `None` if `value` is none.

    It may be in lower case throughout. In mixed case it is another unit, as exchanges write GBp for pence and ZAc for
    cents, and a letter beyond ASCII makes another word, whatever its capital is.
    """
    if type(value) is str and value in CURRENCIES:
        return value
    if not isinstance(value, str):
        return None
    code = str.__str__(value).strip(WHITE_SPACE)[:16]
    if not code.isascii() or not (code.isupper() or code.islower()):
        return None
    return code.upper() if code.upper() in CURRENCIES else None


def plain_text(amount: Decimal) -> str:
    """The amount in plain digits, without exponent and without trailing zeros: `12.5`, `-0.000001`, `1200`."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def forms_of(amount: Decimal) -> tuple[float, bool, str]:
    """An amount as a double, whether that is this very amount, and in plain digits."""
    text = str(amount)
    if "E" in text:
        text = plain_text(amount)
    elif "." in text and text[-1] == "0":
        text = text.rstrip("0").rstrip(".")
    # Of two decimals of up to 15 digits no double is nearest to both. The text's double costs less than the amount's.
    return float(text), len(text) <= _DOUBLE_DIGITS or is_exact_double(amount), text


def is_exact_double(amount: Decimal) -> bool:
    """Whether a double's shortest repr is this very amount."""
    return Decimal(repr(float(amount))) == amount


def _decimal(value: object) -> Decimal | None:  # noqa: PLR0911 - one return per accepted type
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return Decimal(float.__repr__(value))
    if isinstance(value, int):
        number = int.__int__(value)
        # Before Decimal sees it: turning an integer of a million digits into text is slow and may raise.
        return Decimal(number) if number.bit_length() <= _INT_BITS_MAX else None
    if isinstance(value, Decimal):
        return value if len(value.as_tuple().digits) <= _TEXT_LENGTH_MAX else None
    if isinstance(value, str):
        text = str.__str__(value)
        if len(text) > _TEXT_LENGTH_MAX:
            return None
        text = text.strip(WHITE_SPACE)
        return Decimal(text) if _TEXT.fullmatch(text) else None
    return None


def _fraction_digits(amount: Decimal) -> int:
    _, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int) or exponent >= 0:
        return 0
    trailing_zeros = 0
    for digit in reversed(digits):
        if digit:
            break
        trailing_zeros += 1
    return max(0, -exponent - trailing_zeros)
