# SPDX-License-Identifier: Apache-2.0
"""Typed values out of the attributes of foreign spans, with a list of what could not be taken.

Total: no input raises, nothing is guessed. Everything that comes out is bounded and encodes to OTLP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import parse_amount, parse_currency
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.spellings import (
    BOOLEAN_WORDS,
    KIND_WORDS,
    STATUS_WORDS,
    TYPE_WORDS,
    StatusWord,
)
from agent_outcomes.outcome.text import (
    MESSAGE_LENGTH_MAX,
    METADATA_KEYS_MAX,
    REFUSED_LENGTH_MAX,
    encodable,
    plain_value,
    short_text,
)
from agent_outcomes.semconv import CostKind, OutcomeType, ProblemKind, Source
from agent_outcomes.words import canonical_word

if TYPE_CHECKING:
    from decimal import Decimal

LABEL_LENGTH_MAX: Final = 256
METADATA_LENGTH_MAX: Final = 16384
PROBLEMS_MAX: Final = 32
_KINDS: Final[Mapping[str, ProblemKind]] = {kind.value: kind for kind in ProblemKind}


class Problem(NamedTuple):
    """Something in the input that could not be taken as it was; `attribute` names where, never what was in it."""

    kind: ProblemKind
    attribute: str = ""

    def __str__(self) -> str:
        """The form in `agent.outcome.problems`: kind, and the attribute it is about."""
        return f"{self.kind.value}:{self.attribute}" if self.attribute else self.kind.value


class SpanLimits(NamedTuple):
    """What its provider's limits may have taken from a span.

    Text as long as `text_length_max` may have been cut (`None`: there is no such limit). Where attributes were
    dropped, one that is missing may have been there.
    """

    text_length_max: int | None = None
    has_dropped: bool = False

    def may_have_cut(self, text: str) -> bool:
        """Whether the text may have been longer."""
        return self.text_length_max is not None and len(text) >= self.text_length_max


NO_LIMITS: Final = SpanLimits()


class AttributeReader:
    """Reads typed values out of an attribute mapping, collecting problems and refused values on the way."""

    __slots__ = ("_attributes", "_limits", "_text_length_max", "problems", "refused")

    def __init__(self, attributes: Mapping[str, Any], limits: SpanLimits = NO_LIMITS) -> None:
        self._attributes = attributes
        self._limits = limits
        self._text_length_max = limits.text_length_max
        self.problems: list[Problem] = []
        self.refused: list[str] = []

    def note(self, kind: ProblemKind, attribute: str) -> None:
        """List a problem; past the limit one last entry says that there were more."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(kind, attribute))
        elif len(self.problems) == PROBLEMS_MAX:
            self.problems.append(Problem(ProblemKind.TOO_MANY_PROBLEMS))

    def refuse(self, kind: ProblemKind, attribute: str, value: object) -> None:
        """List a problem and keep the value that could not be taken, as short text."""
        self.note(kind, attribute)
        if len(self.refused) < PROBLEMS_MAX:
            self.refused.append(f"{attribute}={short_text(value)}")

    def take_over(self) -> None:
        """List what a helper of ours had listed before it wrote the span's attributes, and has handed on in them."""
        for text in self._texts(semconv.AGENT_OUTCOME_PROBLEMS):
            kind, _, attribute = text.partition(":")
            if self._limits.may_have_cut(text):
                self.note(ProblemKind.TEXT_TRUNCATED, semconv.AGENT_OUTCOME_PROBLEMS)
            elif kind in _KINDS and Problem(_KINDS[kind], attribute) not in self.problems:
                self.note(_KINDS[kind], encodable(attribute, REFUSED_LENGTH_MAX))
        for text in self._texts(semconv.AGENT_OUTCOME_REFUSED):
            if text not in self.refused and len(self.refused) < PROBLEMS_MAX:
                self.refused.append(encodable(text, 2 * REFUSED_LENGTH_MAX))

    def _texts(self, key: str) -> list[str]:
        values = self._attributes.get(key)
        some = values[: PROBLEMS_MAX + 1] if isinstance(values, list | tuple) else ()
        return [str.__str__(value) for value in some if isinstance(value, str)]

    def text(self, key: str, *, whole: bool = False) -> str | None:
        """A short text: refused if it is none or may have been cut by the provider; overlong, it is shortened.

        `whole` refuses an overlong text too, for what is looked up by.
        """
        value = self._attributes.get(key)
        if value is None:
            return None
        if type(value) is str and self._text_length_max is None and len(value) <= LABEL_LENGTH_MAX and value.isascii():
            return value or None
        if not isinstance(value, str):
            self.refuse(ProblemKind.INVALID_TEXT, key, value)
            return None
        if self._is_cut(key, value):
            return None
        if whole and len(value) > LABEL_LENGTH_MAX:
            self.refuse(ProblemKind.TEXT_TRUNCATED, key, value)
            return None
        return self._bounded(key, value, LABEL_LENGTH_MAX) or None

    def message(self) -> str | None:
        """The message; one cut by the provider still reads, so it is kept and listed."""
        key = semconv.AGENT_OUTCOME_MESSAGE
        value = self._attributes.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(ProblemKind.INVALID_TEXT, key, value)
            return None
        if self._limits.may_have_cut(value):
            self.note(ProblemKind.TEXT_TRUNCATED, key)
        return self._bounded(key, value, MESSAGE_LENGTH_MAX) or None

    def boolean(self, key: str) -> bool | None:
        """A bool, or the words true and false (for senders that only have text)."""
        value = self._attributes.get(key)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if self._is_cut(key, value):
                return None
            word = BOOLEAN_WORDS.get(canonical_word(str.__str__(value)))
            if word is not None:
                return word
        self.refuse(ProblemKind.INVALID_BOOLEAN, key, value)
        return None

    def status(self) -> tuple[StatusWord | None, str | None]:
        """The status word's meaning, and the word itself where no table has it (then the status is unknown)."""
        key = semconv.AGENT_OUTCOME_STATUS
        value = self._attributes.get(key)
        if value is None:
            return None, None
        if self._text_length_max is None and type(value) is str:
            word = STATUS_WORDS.get(value)
            if word is not None and word.problem is None:
                return word, None
        if isinstance(value, str) and self._is_cut(key, value):
            return None, None
        text = str.__str__(value) if isinstance(value, str) else short_text(value)
        word = STATUS_WORDS.get(canonical_word(text))
        if word is None:
            self.note(ProblemKind.UNKNOWN_STATUS, key)
            return STATUS_WORDS["unknown"], encodable(text, LABEL_LENGTH_MAX)
        if word.problem is not None:
            self.note(word.problem, key)
            return word, encodable(text, LABEL_LENGTH_MAX)
        return word, None

    def outcome_type(self) -> OutcomeType | None:
        """The business type; a word that no table has is refused."""
        key = semconv.AGENT_OUTCOME_TYPE
        value = self._attributes.get(key)
        if self._text_length_max is None and type(value) is str:
            found = TYPE_WORDS.get(value)
            if found is not None:
                return found
        if value is None or (isinstance(value, str) and self._is_cut(key, value)):
            return None
        found = TYPE_WORDS.get(canonical_word(str.__str__(value))) if isinstance(value, str) else None
        if found is None:
            self.refuse(ProblemKind.UNKNOWN_TYPE, key, value)
        return found

    def cost_kind(self) -> CostKind:
        """What a metered cost was spent on; absent or unknown means other."""
        value = self._attributes.get(semconv.AGENT_COST_KIND)
        if value is None:
            return CostKind.OTHER
        found = KIND_WORDS.get(canonical_word(str.__str__(value))) if isinstance(value, str) else None
        if found is None:
            self.refuse(ProblemKind.UNKNOWN_KIND, semconv.AGENT_COST_KIND, value)
        return found or CostKind.OTHER

    def money(self, key: str, currency_key: str) -> tuple[Decimal | None, str]:
        """An exact amount and its currency; an amount in no known currency is refused with it."""
        currency = self._currency(currency_key)
        value = self._attributes.get(key)
        if value is None or (isinstance(value, str) and self._is_cut(key, value)):
            return None, currency or DEFAULT_CURRENCY
        amount = parse_amount(value)
        if amount is None:
            self.refuse(ProblemKind.INVALID_AMOUNT, key, value)
        elif currency is None:
            self.refuse(ProblemKind.INVALID_CURRENCY, key, value)
            amount = None
        return amount, currency or DEFAULT_CURRENCY

    def source(self) -> Source | None:
        """Where the status came from, as written by the Python API."""
        value = self._attributes.get(semconv.AGENT_OUTCOME_SOURCE)
        return Source.INFERRED if isinstance(value, str) and str.__str__(value) == Source.INFERRED.value else None

    def metadata(self) -> str | None:
        """The free context as one JSON text, from the JSON attribute and the flat ones together."""
        key = semconv.AGENT_OUTCOME_METADATA
        whole = self._attributes.get(key)
        flat = self._flat_metadata()
        if isinstance(whole, str):
            text = str.__str__(whole)
            whole = None if self._is_overlong(key, text) else self._json_value(key, text)
            if whole is not None and not flat:
                # Escaped surrogates (\ud800) are plain ASCII here; a raw one is repaired.
                return json.dumps(text) if whole is text else self._bounded(key, text, METADATA_LENGTH_MAX)
        if isinstance(whole, Mapping):
            flat = {**whole, **flat}
        elif whole is not None:
            flat = {"": whole, **flat}
        return self._json_dump(key, flat) if flat else None

    def _is_cut(self, key: str, value: str) -> bool:
        if not self._limits.may_have_cut(value):
            return False
        self.refuse(ProblemKind.TEXT_TRUNCATED, key, value)
        return True

    def _bounded(self, key: str, value: str, length_max: int) -> str:
        if len(value) > length_max:
            self.note(ProblemKind.TEXT_TRUNCATED, key)
        cut = str.__str__(value)[:length_max]
        text = encodable(cut, length_max)
        if text != cut:
            self.note(ProblemKind.TEXT_REPAIRED, key)
        return text

    def _currency(self, key: str) -> str | None:
        value = self._attributes.get(key)
        if value is None:
            return None if self._limits.has_dropped else DEFAULT_CURRENCY
        # Cut to three letters another word becomes a code: USDT is no USD.
        if isinstance(value, str) and self._is_cut(key, value):
            return None
        currency = parse_currency(value)
        if currency is None:
            self.refuse(ProblemKind.INVALID_CURRENCY, key, value)
        return currency

    def _flat_metadata(self) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for key, value in self._attributes.items():
            if not key.startswith(semconv.METADATA_PREFIX):
                continue
            if len(flat) == METADATA_KEYS_MAX:
                self.note(ProblemKind.INVALID_METADATA, semconv.AGENT_OUTCOME_METADATA)
                break
            if isinstance(value, str) and self._limits.may_have_cut(value):
                self.note(ProblemKind.TEXT_TRUNCATED, encodable(key, REFUSED_LENGTH_MAX))
            flat[key.removeprefix(semconv.METADATA_PREFIX)] = value
        return flat

    def _is_overlong(self, key: str, text: str) -> bool:
        if len(text) > METADATA_LENGTH_MAX or self._limits.may_have_cut(text):
            self.refuse(ProblemKind.TEXT_TRUNCATED, key, text)
            return True
        return False

    def _json_value(self, key: str, text: str) -> object:
        """What the JSON text says; text that is no JSON stands for itself."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            self.note(ProblemKind.INVALID_METADATA, key)
            return text

    def _json_dump(self, key: str, values: Mapping[str, Any]) -> str | None:
        if len(values) > METADATA_KEYS_MAX:
            self.note(ProblemKind.INVALID_METADATA, key)
        first = islice(values.items(), METADATA_KEYS_MAX)
        try:
            text = json.dumps({short_text(name): self._plain(name, value) for name, value in first})
        except (ValueError, RecursionError):
            text = ""
        if not text or len(text) > METADATA_LENGTH_MAX:
            self.note(ProblemKind.INVALID_METADATA, key)
            return None
        return text

    def _plain(self, name: object, value: object) -> object:
        plain, is_cut = plain_value(value)
        if is_cut or (isinstance(name, str) and len(name) > REFUSED_LENGTH_MAX):
            self.note(
                ProblemKind.TEXT_TRUNCATED, encodable(semconv.METADATA_PREFIX + short_text(name), REFUSED_LENGTH_MAX)
            )
        return plain
