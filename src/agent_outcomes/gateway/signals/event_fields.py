# SPDX-License-Identifier: Apache-2.0
"""The attributes of an event in the very types in which they were written; whatever is anything else is refused."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agent_outcomes.outcome.amounts import parse_amount
from agent_outcomes.outcome.currencies import CURRENCIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

_Word = TypeVar("_Word", bound=StrEnum)

# With a margin for what is put together of several texts that are within their own limits.
TEXT_LENGTH_MAX: Final = 512
_COUNT_MAX: Final = 2**63 - 1


class UnreadableReason(StrEnum):
    """Why an event is not read."""

    MISSING = "missing"
    """It says less than every such event does."""
    WRONG_TYPE = "wrong_type"
    """An attribute is not of the type that it is written in, or is longer than it can be."""
    UNKNOWN_WORD = "unknown_word"
    """A word is none of this version's vocabulary."""
    AMOUNT = "amount"
    """An amount is no exact decimal in a known currency, or amounts contradict one another."""
    CONTRADICTION = "contradiction"
    """Two of its attributes, or one and the record, cannot both be right."""
    CUT = "cut"
    """The limits of its log record have taken something, so that amounts may be missing."""


class EventUnreadable(ValueError):  # noqa: N818 - a finding about what was sent, not an error of this program
    """An event that is not read: why, and which attribute says so; never what was in it."""

    def __init__(self, reason: UnreadableReason, attribute: str = "") -> None:
        super().__init__(reason, attribute)
        self.reason = reason
        self.attribute = attribute

    def __str__(self) -> str:
        """The reason and the attribute."""
        return f"{self.reason.value}: {self.attribute}" if self.attribute else self.reason.value


class EventFields:
    """Typed values by their keys; `None` where an attribute is not there. Everything raises `EventUnreadable`."""

    __slots__ = ("_attributes",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes

    def text(self, key: str, length_max: int = TEXT_LENGTH_MAX) -> str | None:
        """A text."""
        value = self._attributes.get(key)
        if value is None or (isinstance(value, str) and len(value) <= length_max):
            return value
        raise EventUnreadable(UnreadableReason.WRONG_TYPE, key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Several texts; none where the attribute is not there."""
        value = self._attributes.get(key, ())
        if isinstance(value, tuple) and all(isinstance(one, str) and len(one) <= TEXT_LENGTH_MAX for one in value):
            return value
        raise EventUnreadable(UnreadableReason.WRONG_TYPE, key)

    def flag(self, key: str) -> bool | None:
        """True or false."""
        value = self._attributes.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise EventUnreadable(UnreadableReason.WRONG_TYPE, key)

    def count(self, key: str, most: int = _COUNT_MAX) -> int | None:
        """A whole number from 0 up to a maximum."""
        value = self._attributes.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        raise EventUnreadable(UnreadableReason.WRONG_TYPE, key)

    def seconds(self, key: str) -> float | None:
        """A time in seconds, not negative."""
        value = self._attributes.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value):
            return value
        raise EventUnreadable(UnreadableReason.WRONG_TYPE, key)

    def word(self, key: str, words: type[_Word]) -> _Word | None:
        """A word of the vocabulary."""
        text = self.text(key)
        try:
            return None if text is None else words(text)
        except ValueError:
            raise EventUnreadable(UnreadableReason.UNKNOWN_WORD, key) from None

    def needed(self, key: str, words: type[_Word]) -> _Word:
        """A word of the vocabulary that every event has."""
        word = self.word(key, words)
        if word is None:
            raise EventUnreadable(UnreadableReason.MISSING, key)
        return word

    def currency(self, key: str) -> str | None:
        """A code of ISO 4217, as it is written."""
        code = self.text(key)
        if code is None or code in CURRENCIES:
            return code
        raise EventUnreadable(UnreadableReason.AMOUNT, key)

    def exact(self, key: str) -> Decimal | None:
        """An amount, by the digits of a text or the shortest digits of a double."""
        value = self._attributes.get(key)
        if value is None:
            return None
        amount = parse_amount(value)
        if amount is None:
            raise EventUnreadable(UnreadableReason.AMOUNT, key)
        return amount

    def money(self, key: str, decimal_key: str, currency_key: str) -> tuple[Decimal, str] | None:
        """An amount and its currency: the digits beside the double, where it is not the very amount itself."""
        value, digits = self._attributes.get(key), self.exact(decimal_key)
        if value is None and digits is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise EventUnreadable(UnreadableReason.AMOUNT, key)
        if digits is not None and float(digits) != value:
            raise EventUnreadable(UnreadableReason.AMOUNT, decimal_key)
        amount, currency = self.exact(key) if digits is None else digits, self.currency(currency_key)
        if amount is None or currency is None:
            raise EventUnreadable(UnreadableReason.AMOUNT, currency_key)
        return amount, currency
