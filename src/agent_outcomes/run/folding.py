# SPDX-License-Identifier: Apache-2.0
"""How what several spans of one run state becomes one statement.

An amount and its currency are one thing: whoever gives the amount gives the currency, by naming none the default one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import parse_amount, parse_currency
from agent_outcomes.outcome.attribute_reader import AttributeReader, Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.statement import HANDED_ON, Statement, read_statement
from agent_outcomes.outcome.text import short_text
from agent_outcomes.semconv import READ_ATTRIBUTES, ProblemKind, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_outcomes.run.model import AgentSpan

STATED_KEYS_MAX: Final = 64

AMOUNTS: Final[Mapping[str, str]] = {
    semconv.AGENT_OUTCOME_VALUE: semconv.AGENT_OUTCOME_CURRENCY,
    semconv.AGENT_OUTCOME_COST: semconv.AGENT_OUTCOME_COST_CURRENCY,
}
"""The attributes of stated amounts, with those of their currencies."""

_MONEY: Final = frozenset({*AMOUNTS, *AMOUNTS.values()})
_STATUS_KEYS: Final = frozenset(
    {
        semconv.AGENT_OUTCOME_STATUS,
        semconv.AGENT_OUTCOME_SOURCE,
        semconv.AGENT_OUTCOME_EVIDENCE,
        semconv.AGENT_OUTCOME_RETRYABLE,
        semconv.AGENT_OUTCOME_ERROR_CATEGORY,
    },
)
# No currency, so that the amount is refused and listed.
_ANY_CURRENCY: Final = ""


def stated_for_run(span: AgentSpan) -> dict[str, Any]:
    """What a span inside a run states for it: its outcome attributes, without those of its own usage and role."""
    stated = {
        key: value
        for key, value in span.attributes.items()
        if key in READ_ATTRIBUTES or key in HANDED_ON or key.startswith(semconv.METADATA_PREFIX)
    }
    if span.limits.has_dropped:
        for amount, currency in AMOUNTS.items():
            if amount in stated:
                stated.setdefault(currency, _ANY_CURRENCY)
    return stated


def add_stated(stated: Mapping[str, Any], further: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What two spans inside a run state, the one that ended last standing; and whether they differ."""
    both, differ = _laid_over(further, stated)
    differ = differ or any(key in stated and stated[key] != further[key] for key in further.keys() - _MONEY)
    if len(both) > STATED_KEYS_MAX:
        extra = frozenset([key for key in both if key not in READ_ATTRIBUTES][STATED_KEYS_MAX:])
        both = {key: value for key, value in both.items() if key not in extra}
    return both, differ


def read_stated(span: AgentSpan, below: Mapping[str, Any] | None) -> tuple[Statement, bool]:
    """What is stated on a span, over what spans below it state for their run; and whether an amount differs.

    The span's own attributes stand, field by field, but for a status that our own API inferred where one is stated.
    """
    own, differ = span.attributes, False
    if below:
        inferred = semconv.AGENT_OUTCOME_STATUS in below and AttributeReader(own).source() is Source.INFERRED
        if inferred:
            own = {key: value for key, value in own.items() if key not in _STATUS_KEYS}
        own, differ = _laid_over(own, below)
    return read_statement(own, span.limits), differ


def nested_amounts(span: AgentSpan) -> list[Problem]:
    """The amounts that a nested agent states for itself, of which no counter takes note."""
    return [Problem(ProblemKind.NESTED_AMOUNT, key) for key in AMOUNTS if span.attributes.get(key) is not None]


def _laid_over(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    both, differ = {**lower, **upper}, False
    for amount, currency in AMOUNTS.items():
        pair = {amount, currency}
        if pair.isdisjoint(upper) or pair.isdisjoint(lower):
            continue
        giver = lower if amount in lower and amount not in upper else upper
        for key in pair:
            both.pop(key, None)
            if key in giver:
                both[key] = giver[key]
        differ = differ or _differ(upper, lower, amount, currency)
    return both, differ


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], amount: str, currency: str) -> bool:
    """Whether two statements of an amount cannot both be right; a currency by itself says nothing of the amount."""
    if amount in one and amount in other and _taken(one[amount], parse_amount) != _taken(other[amount], parse_amount):
        return True
    codes = [_taken(stated.get(currency, DEFAULT_CURRENCY), parse_currency) for stated in (one, other)]
    return codes[0] != codes[1]


def _taken(value: object, parse: Callable[[object], object]) -> object:
    """The value as it would be taken; as short text where it would be refused."""
    parsed = parse(value)
    return short_text(value) if parsed is None else parsed
