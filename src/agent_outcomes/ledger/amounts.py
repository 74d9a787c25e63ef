# SPDX-License-Identifier: Apache-2.0
"""Amounts as the ledger's tables keep them: whole numbers in three columns, so that no database can round them.

A sum of the largest amounts that are taken passes 64 bit after nine thousand of them, and SQLite would go on in
doubles without a word; so there is a column above `whole` for what it carries over.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from agent_outcomes.outcome.amounts import EXACT, FRACTION_DIGITS_MAX

FRACTION: Final[int] = 10**FRACTION_DIGITS_MAX
"""How many of the unit of `fraction` are one of `whole`."""
WHOLE: Final[int] = 10**15
"""How many of `whole` are one of `quadrillions`."""


class Parts(NamedTuple):
    """An amount, never negative: quadrillions * 10**15 + whole + fraction / 10**12."""

    quadrillions: int
    whole: int
    fraction: int

    @classmethod
    def of_units(cls, units: int) -> Parts:
        """The parts of so many trillionths."""
        rest, fraction = divmod(units, FRACTION)
        quadrillions, whole = divmod(rest, WHOLE)
        return cls(quadrillions, whole, fraction)

    @property
    def units(self) -> int:
        """The amount in trillionths."""
        return (self.quadrillions * WHOLE + self.whole) * FRACTION + self.fraction

    @property
    def amount(self) -> Decimal | int:
        """The amount: a whole number as an int."""
        units = self.units
        whole, fraction = divmod(units, FRACTION)
        return whole if fraction == 0 else EXACT.multiply(Decimal(units), _UNIT).normalize(EXACT)


_UNIT: Final = Decimal(1).scaleb(-FRACTION_DIGITS_MAX)


def units_of(amount: Decimal | int) -> int:
    """The amount in trillionths. Raises `ValueError` if it has more digits than that, or is negative."""
    if type(amount) is int:
        units = amount * FRACTION
    else:
        scaled = EXACT.scaleb(amount, FRACTION_DIGITS_MAX)
        units = int(scaled)
        if units != scaled:
            message = f"an amount has more than {FRACTION_DIGITS_MAX} fraction digits"
            raise ValueError(message)
    if units < 0:
        message = "an amount is negative"
        raise ValueError(message)
    return units


def units_of_seconds(seconds: float) -> int:
    """A measured time in trillionths of a second, to the nanosecond, as it was the difference of two such."""
    return round(seconds * 1e9) * 1000
