# SPDX-License-Identifier: Apache-2.0
"""Amounts are exact or refused, whatever they come as and whatever the application's decimal context is."""

from __future__ import annotations

import math
from decimal import Decimal, Inexact, localcontext
from enum import Enum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_outcomes.outcome.amounts import (
    AMOUNT_LIMIT,
    EXACT,
    is_exact_double,
    parse_amount,
    parse_calculated_amount,
    parse_currency,
    plain_text,
    whole_trillionths,
)
from agent_outcomes.outcome.currencies import CURRENCIES

LIMIT = 10**15
AMOUNTS = st.decimals(
    min_value=-LIMIT + 1, max_value=LIMIT - 1, places=12, allow_nan=False, allow_infinity=False
) | st.decimals(min_value=-LIMIT + 1, max_value=LIMIT - 1, places=2, allow_nan=False, allow_infinity=False)


class PriceEnum(float, Enum):
    """A float that is an enum member as well."""

    BASIC = 9.99


class TextEnum(str, Enum):  # noqa: UP042 - StrEnum shows its value, this one does not
    """A text that is an enum member as well, with the enum's own `__str__`."""

    BASIC = "9.99"


class Loud(str):
    """A text whose own methods raise."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0, "0"),
        (-0.0, "0"),
        (49.9, "49.9"),
        (0.1, "0.1"),
        (1e-12, "0.000000000001"),
        (123456789012345.67, "123456789012345.67"),
        (999999999999999, "999999999999999"),
        ("49.90", "49.90"),
        (" 49.90 ", "49.90"),
        ("+5", "5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.5E-6", "0.0000015"),
        ("1.000000000000000000", "1"),
        ("0e-999", "0"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+14"), "100000000000000"),
        (PriceEnum.BASIC, "9.99"),
        (TextEnum.BASIC, "9.99"),
        (Loud("9.99"), "9.99"),
    ],
)
def test_taken(value: object, amount: str) -> None:
    """What states an exact amount is taken as that amount."""
    assert parse_amount(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        math.nan,
        math.inf,
        -math.inf,
        1e15,
        -1e15,
        LIMIT,
        2**200,
        -(2**200),
        1e-13,
        0.1 + 0.2,
        "0.0000000000001",
        "1000000000000000",
        "1e15",
        "1e999",
        "1e9999999",
        "1e-999",
        "",
        " ",
        ".",
        "+",
        "e5",
        "NaN",
        "Infinity",
        "1,000",
        "1_000",
        "1 000",
        "$5",
        "5 EUR",
        "0x10",
        "\u0665",
        "\ud800",
        "1" * 65,
        b"5",
        [5],
        (5,),
        {"amount": 5},
        5 + 0j,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+9999999"),
        Decimal("1E-9999999"),
        Decimal("1" * 65),
        object(),
    ],
)
def test_refused(value: object) -> None:
    """What states no amount, or none that can be carried exactly, is refused."""
    assert parse_amount(value) is None


@given(AMOUNTS)
def test_decimal_in_is_decimal_out(amount: Decimal) -> None:
    """A decimal within the limits comes out as it went in, as text too."""
    assert parse_amount(amount) == amount
    assert parse_amount(str(amount)) == amount
    assert parse_amount(plain_text(amount)) == amount


@given(st.floats() | st.integers() | st.decimals() | st.text(alphabet="0123456789.eE+- ", max_size=20))
@example(Decimal("-1E+999999999999999999"))
@example("9" * 64)
def test_exact_or_refused(value: float | Decimal | str) -> None:
    """Whatever a number is given as, it is taken to the last digit or refused."""
    amount = parse_amount(value)
    if amount is not None:
        assert amount == Decimal(repr(value) if isinstance(value, float) else value)
        assert amount.copy_abs() < AMOUNT_LIMIT
        assert amount.is_zero() or amount == amount.quantize(Decimal("1e-12"), context=EXACT)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15, exclude_min=True))
def test_double_is_its_shortest_repr(value: float) -> None:
    """A double stands for what its writer typed, if that has no more than twelve fraction digits."""
    digits = Decimal(repr(value)).normalize(EXACT).as_tuple().exponent
    fits = abs(value) < LIMIT and isinstance(digits, int) and digits >= -12
    assert (parse_amount(value) is not None) is fits


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0.1 + 0.2, "0.3"),
        (0.00015600000000000002, "0.000156"),
        (1 / 3, "0.333333333333"),
        (2.5e-12, "0.000000000002"),
        (3.5e-12, "0.000000000004"),
        (5.1e-13, "0.000000000001"),
        (-(0.1 + 0.2), "-0.3"),
        (Decimal("0.30000000000000004"), "0.3"),
        (Decimal("0.0000000000025"), "0.000000000002"),
        (0.3, "0.3"),
        (7, "7"),
        ("0.3", "0.3"),
        (0.0, "0"),
    ],
)
def test_calculated_amount_is_rounded(value: object, amount: str) -> None:
    """A number that arithmetic made is taken at twelve fraction digits, half to even; one of fewer as it is."""
    assert parse_calculated_amount(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        4e-13,
        5e-13,
        5e-324,
        -4e-13,
        math.nan,
        math.inf,
        1e15,
        True,
        "0.30000000000000004",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1E-9999999"),
        Decimal("1E+9999999"),
        Decimal("999999999999999.9999999999999"),
        None,
        object(),
    ],
)
def test_calculated_amount_refused(value: object) -> None:
    """What would round to nothing or to the limit is refused, and so is text that somebody wrote."""
    assert parse_calculated_amount(value) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15, exclude_min=True))
def test_calculated_amount_is_near(value: float) -> None:
    """Rounding moves a double by half a step at the most, whatever the application's decimal context is."""
    with localcontext() as context:
        context.prec = 3
        context.traps[Inexact] = True
        amount = parse_calculated_amount(value)
    if amount is None:
        assert abs(value) <= 5e-13 or abs(value) >= LIMIT
    else:
        moved = EXACT.subtract(amount, Decimal(repr(value)))
        assert moved.copy_abs() <= Decimal("5e-13")


@given(AMOUNTS)
def test_application_context_changes_nothing(amount: Decimal) -> None:
    """A context that rounds to three digits and traps it neither rounds nor raises here."""
    with localcontext() as context:
        context.prec = 3
        context.Emax = 3
        context.traps[Inexact] = True
        assert parse_amount(amount) is not None
        text = plain_text(amount)
    assert Decimal(text) == amount


@given(AMOUNTS)
def test_exact_double(amount: Decimal) -> None:
    """A double is exact where its shortest repr is the amount."""
    assert is_exact_double(amount) is (Decimal(repr(float(amount))) == amount)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("12.50", "12.5"), ("-0.000001", "-0.000001"), ("1E+3", "1000"), ("1200", "1200"), ("0.0", "0"), ("5.000", "5")],
)
def test_plain_text(amount: str, text: str) -> None:
    """An amount in plain digits has neither exponent nor trailing zeros."""
    assert plain_text(Decimal(amount)) == text


@given(st.lists(AMOUNTS, max_size=50))
def test_exact_context_never_rounds(amounts: list[Decimal]) -> None:
    """Sums of accepted amounts keep every digit."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    assert total.scaleb(12, EXACT) == sum(int(amount.scaleb(12, EXACT)) for amount in amounts)


@pytest.mark.parametrize(("value", "code"), [("EUR", "EUR"), ("eur", "EUR"), (" usd\n", "USD"), (Loud("JPY"), "JPY")])
def test_currency(value: object, code: str) -> None:
    """An ISO 4217 code is found in upper and in lower case."""
    assert parse_currency(value) == code


@given(st.sampled_from(sorted(CURRENCIES)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
@example("GBP", (True, True, False))
@example("ZAR", (False, True, True))
def test_a_currency_in_mixed_case_is_another_unit(code: str, capitals: tuple[bool, ...]) -> None:
    """GBp is a hundredth of GBP: only what is in one case throughout is taken for the code."""
    word = "".join(letter if capital else letter.lower() for letter, capital in zip(code, capitals, strict=True))
    assert parse_currency(f" {word} ") == (code if len(set(capitals)) == 1 else None)


LOOKALIKES = sorted(char for char in map(chr, range(128, 0x2FFFF)) if char.upper().isascii() or char.lower().isascii())


@pytest.mark.parametrize("char", LOOKALIKES)
def test_a_letter_beyond_ascii_makes_no_code(char: str) -> None:
    """A dotless i, a long s, the sign of kelvin: what folds to an ASCII letter is another one all the same."""
    plain = char.upper() if char.upper().isascii() else char.lower().upper()
    for code in sorted(code for code in CURRENCIES if plain in code):
        for word in (code, code.lower()):
            assert parse_currency(word.replace(plain, char).replace(plain.lower(), char)) is None


@pytest.mark.parametrize(
    "value",
    [None, "", "EURO", "EU", "XXX", "XTS", "BTC", "$", 978, True, b"EUR", ["EUR"], "EUR" + " " * 20 + "x", "ﬀs"],
)
def test_no_currency(value: object) -> None:
    """What is no active currency is none; the codes for testing and for no currency are not, either."""
    assert parse_currency(value) is None


def test_currencies_are_codes() -> None:
    """The table holds three capital letters a row, the large currencies among them."""
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
    assert {"USD", "EUR", "GBP", "JPY", "CNY", "INR", "BRL", "CHF", "ZAR", "XOF"} <= CURRENCIES


@given(
    st.lists(
        st.decimals(min_value="0", max_value="1000", places=12)
        | st.decimals(min_value="0", max_value="1", places=6)
        | st.floats(min_value=0.0, max_value=1100.0).map(Decimal),
        max_size=20,
    )
)
@example([Decimal("0.1"), Decimal("0.2")])
@example([Decimal("999.999999999999")] * 5)
@example([Decimal("0.000000000001"), Decimal("999.999999999999")])
@example([Decimal("0.0000000000005")])
@example([Decimal("1.0000000000005")])
@example([Decimal(0)])
@example([Decimal(1000)])
def test_sum_of_plain_amounts_is_exact_or_none(amounts: list[Decimal]) -> None:
    """What is added up at once is what each amount says by itself; what cannot be is left to be read one by one."""
    doubles = [float(amount) for amount in amounts]
    total = whole_trillionths(doubles)
    exact = [parse_amount(double) for double in doubles]
    if total is not None:
        assert total == sum(amount for amount in exact if amount is not None)
        assert None not in exact
    elif None not in exact and len(doubles) <= 4:
        assert any(not 0 < double < 1000 for double in doubles)


@pytest.mark.parametrize("value", [True, 1, "1.5", Decimal(1), math.nan, math.inf, -0.5, None])
def test_sum_takes_plain_doubles_only(value: object) -> None:
    """Anything else is left to be read one by one."""
    assert whole_trillionths([0.5, value]) is None
    assert whole_trillionths([0.5, 0.25]) == Decimal("0.75")
