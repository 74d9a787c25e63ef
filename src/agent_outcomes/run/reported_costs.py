# SPDX-License-Identifier: Apache-2.0
"""What one span reports that its model calls have cost, in the words of every convention known."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import EXACT, parse_calculated_amount, parse_currency
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import map_of_json
from agent_outcomes.run.usage_keys import (
    AI_SDK_METADATA,
    CACHE_HIT,
    COST_KEYS,
    CURRENCY_SIGNS,
    JSON_COST_KEYS,
    JSON_TOTALS,
    PROPOSED_COST,
    PROPOSED_CURRENCY,
    SIGNED_COST,
    SPLIT_COST_KEYS,
    UNSETTLED_COST_KEYS,
)
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits

_JSON_LENGTH_MAX: Final = 4096
_METADATA_LENGTH_MAX: Final = 1_000_000
_COST_NAME: Final = '"cost"'
_SIGNED: Final = Pattern(r"([0-9]+(?:\.[0-9]+)?) ?([^0-9. ]{1,8})")
_ZERO: Final = Decimal(0)


class _Found(NamedTuple):
    """An amount in the attribute it is named by, `None` if it is none that can be carried, and its currency if any."""

    key: str
    amount: Decimal | None
    currency: str | None = DEFAULT_CURRENCY


def reported_cost(
    attributes: Mapping[str, Any], limits: SpanLimits, *, has_tokens: bool
) -> tuple[str, Decimal] | Problem | None:
    """The currency and amount of a span's reported model cost, or why it cannot be taken; `None` if there is none.

    A cost of 0 beside tokens is what instrumentations write that know no price (OpenLIT, LiteLLM); it says nothing,
    unless the answer came out of a cache.
    """
    costs = _costs(attributes, limits)
    # Of several the first, but a placeholder says less than a figure.
    figures = [cost for cost in costs if cost.amount is None or cost.amount]
    if not figures and (not has_tokens or attributes.get(CACHE_HIT) is True):
        figures = costs
    return _taken(figures[0], attributes, limits) if figures else None


def _taken(found: _Found, attributes: Mapping[str, Any], limits: SpanLimits) -> tuple[str, Decimal] | Problem:
    key, amount, currency = found
    if key == PROPOSED_COST and (limits.has_dropped or attributes.get(PROPOSED_CURRENCY) is not None):
        code = attributes.get(PROPOSED_CURRENCY)
        # Cut to three letters another word becomes a code.
        currency = None if isinstance(code, str) and limits.may_have_cut(code) else parse_currency(code)
    text = attributes[key]
    if isinstance(text, str) and limits.may_have_cut(text):
        return Problem(ProblemKind.TEXT_TRUNCATED, key)
    if amount is None:
        return Problem(ProblemKind.INVALID_AMOUNT, key)
    if currency is None:
        return Problem(ProblemKind.INVALID_CURRENCY, PROPOSED_CURRENCY if key == PROPOSED_COST else key)
    return Problem(ProblemKind.NEGATIVE_COST, key) if amount < 0 else (currency, amount)


def _costs(attributes: Mapping[str, Any], limits: SpanLimits) -> list[_Found]:
    given = [key for key in COST_KEYS if attributes.get(key) is not None]
    costs = [_Found(key, parse_calculated_amount(attributes[key])) for key in given]
    for pair in SPLIT_COST_KEYS:
        given = [key for key in pair if attributes.get(key) is not None]
        if given:
            is_whole = len(given) == len(pair) or not limits.has_dropped
            costs.append(_Found(given[0], _split_cost(attributes, given) if is_whole else None))
    given = [key for key in JSON_COST_KEYS if attributes.get(key) is not None]
    costs += [_Found(key, _json_cost(attributes[key])) for key in given]
    if attributes.get(SIGNED_COST) is not None:
        costs.append(_signed_cost(attributes[SIGNED_COST]))
    told = _told_cost(attributes.get(AI_SDK_METADATA))
    return costs if told is None else [*costs, told]


def _signed_cost(value: object) -> _Found:
    """A number with its currency behind it, as in `0.00028USD`."""
    found = _SIGNED.fullmatch(str.__str__(value)) if isinstance(value, str) else None
    if found is None:
        return _Found(SIGNED_COST, parse_calculated_amount(value))
    word = found[2].strip()
    return _Found(SIGNED_COST, parse_calculated_amount(found[1]), parse_currency(CURRENCY_SIGNS.get(word, word)))


def _told_cost(value: object) -> _Found | None:
    """What a gateway between the AI SDK and the provider has said that the call cost.

    Where the provider's own key was used, OpenRouter's cost is its fee alone, and what the provider has taken stands
    beside it: then nothing is known that was paid in one place.
    """
    if not isinstance(value, str) or _COST_NAME not in str.__str__(value):
        return None
    entries = map_of_json(value, _METADATA_LENGTH_MAX, Decimal) or {}
    cost = _map_in(entries, "gateway").get("cost")
    if cost is None:
        usage = _map_in(_map_in(entries, "openrouter"), "usage")
        is_fee = _map_in(usage, "costDetails").get("upstreamInferenceCost")
        cost = None if is_fee else usage.get("cost")
    return _Found(AI_SDK_METADATA, parse_calculated_amount(cost)) if cost is not None else None


def _map_in(entries: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    found = entries.get(name)
    return found if type(found) is dict else {}


def _split_cost(attributes: Mapping[str, Any], keys: list[str]) -> Decimal | None:
    unsettled = [attributes.get(key) for first in keys for key in UNSETTLED_COST_KEYS.get(first, ())]
    if [cost for cost in unsettled if cost is not None and parse_calculated_amount(cost) != _ZERO]:
        return None
    return _sum([attributes[key] for key in keys])


def _json_cost(value: object) -> Decimal | None:
    """The total in a map of costs, or else the sum of its parts."""
    costs = value if type(value) is dict else map_of_json(value, _JSON_LENGTH_MAX, Decimal)
    if costs is None:
        return None
    totals = [costs[name] for name in JSON_TOTALS if costs.get(name) is not None]
    parts = [cost for name, cost in costs.items() if name not in JSON_TOTALS and cost is not None]
    if not totals:
        return _sum(parts) if parts else None
    total = parse_calculated_amount(totals[0])
    # A total of 0 above parts that cost something was not worked out.
    return (_sum(parts) or total) if total is not None and not total and parts else total


def _sum(values: Iterable[object]) -> Decimal | None:
    total = _ZERO
    for value in values:
        amount = parse_calculated_amount(value)
        if amount is None:
            return None
        total = EXACT.add(total, amount)
    return total
