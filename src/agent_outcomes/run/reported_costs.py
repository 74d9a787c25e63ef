# SPDX-License-Identifier: Apache-2.0
"""What one span reports that its model calls have cost, in the words of every convention known."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import EXACT, parse_calculated_amount, parse_currency
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.run.usage_keys import (
    CACHE_HIT,
    COST_KEYS,
    JSON_COST_KEYS,
    JSON_TOTALS,
    PROPOSED_COST,
    PROPOSED_CURRENCY,
    SPLIT_COST_KEYS,
    UNSETTLED_COST_KEYS,
)
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits

_JSON_LENGTH_MAX: Final = 4096
_ZERO: Final = Decimal(0)


class _Found(NamedTuple):
    """An amount in the attribute it is named by; `None` if it is none that can be carried."""

    key: str
    amount: Decimal | None


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
    key, amount = found
    currency: str | None = DEFAULT_CURRENCY
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
        return Problem(ProblemKind.INVALID_CURRENCY, PROPOSED_CURRENCY)
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
    return [*costs, *[_Found(key, _json_cost(attributes[key])) for key in given]]


def _split_cost(attributes: Mapping[str, Any], keys: list[str]) -> Decimal | None:
    unsettled = [attributes.get(key) for first in keys for key in UNSETTLED_COST_KEYS.get(first, ())]
    if [cost for cost in unsettled if cost is not None and parse_calculated_amount(cost) != _ZERO]:
        return None
    return _sum([attributes[key] for key in keys])


def _json_cost(value: object) -> Decimal | None:
    """The total in a map of costs, or else the sum of its parts."""
    costs: object = value
    if isinstance(value, str):
        if len(value) > _JSON_LENGTH_MAX:
            return None
        try:
            costs = json.loads(str.__str__(value), parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError):
            return None
    if type(costs) is not dict:
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
