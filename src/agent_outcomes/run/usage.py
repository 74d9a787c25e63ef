# SPDX-License-Identifier: Apache-2.0
"""What one span reports of tokens and cost, in the words of every convention known."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import EXACT, parse_calculated_amount, parse_currency
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, AttributeReader, Problem, SpanLimits
from agent_outcomes.outcome.currencies import DEFAULT_CURRENCY
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.langfuse import USAGE_DETAILS, spelled_out
from agent_outcomes.run.tally import COUNT_MAX, Tally
from agent_outcomes.run.usage_keys import (
    COST_KEY_SET,
    COST_KEYS,
    INPUT,
    JSON_COST_KEYS,
    OUTPUT,
    PROPOSED_COST,
    PROPOSED_CURRENCY,
    SPLIT_COST_KEYS,
    TOKEN_KEYS,
    TOKEN_RANKS,
    USAGE_KEYS,
)
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_JSON_COST_LENGTH_MAX: Final = 4096
_ZERO: Final = Decimal(0)


def read_usage(attributes: Mapping[str, Any], role: Role, limits: SpanLimits = NO_LIMITS) -> Tally | None:
    """What one span reports by itself; `None` if it reports nothing.

    Reads the token and cost keys of every convention known, and `agent.cost.amount`, `.currency`, `.kind`.
    Counts outside 0..2**53 and amounts that are not exact are refused and listed, and so are those that may have been
    cut, or have lost their currency or a part. Never raises.
    """
    hits = USAGE_KEYS.intersection(attributes)
    if not hits and role is not Role.MODEL and role is not Role.TOOL:
        return None
    tally = Tally()
    if role is Role.TOOL:
        tally.tool_calls = 1
        tally.tool_below = True
    if hits:
        _read_tokens(tally, attributes, hits)
        if not COST_KEY_SET.isdisjoint(hits):
            _read_cost(tally, attributes, limits)
        if semconv.AGENT_COST_AMOUNT in hits:
            _read_metered(tally, attributes, limits)
        if limits.has_dropped:
            tally.note((Problem(ProblemKind.ATTRIBUTES_DROPPED),))
    if role is Role.MODEL:
        tally.model_calls = 1
        tally.unpriced = 1 if tally.reported is None else 0
        tally.silent = 0 if tally.tokens[INPUT] or tally.tokens[OUTPUT] else 1
    return tally


def _read_tokens(tally: Tally, attributes: Mapping[str, Any], hits: Collection[str]) -> None:
    if USAGE_DETAILS in hits:
        details = spelled_out(attributes[USAGE_DETAILS])
        if details is None:
            tally.note((Problem(ProblemKind.INVALID_COUNT, USAGE_DETAILS),))
        attributes = {**(details or {}), **attributes}
        hits = TOKEN_KEYS.keys() & attributes
    best: dict[int, str] = {}
    for key in hits:
        dimension = TOKEN_KEYS.get(key)
        if dimension is None:
            continue
        held = best.setdefault(dimension, key)
        if held is not key and TOKEN_RANKS[key] < TOKEN_RANKS[held]:
            best[dimension] = key
    tokens = tally.tokens
    for dimension, key in best.items():
        count = attributes[key]
        if type(count) is int and 0 <= count <= COUNT_MAX:
            tokens[dimension] = count
        elif isinstance(count, int) and not isinstance(count, bool) and 0 <= int.__int__(count) <= COUNT_MAX:
            tokens[dimension] = int.__int__(count)
        elif count is not None:
            tally.note((Problem(ProblemKind.INVALID_COUNT, key),))


def _read_cost(tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits) -> None:
    key, amount = _find_cost(attributes, limits)
    if key is None:
        return
    currency: str | None = DEFAULT_CURRENCY
    if key == PROPOSED_COST and (limits.has_dropped or attributes.get(PROPOSED_CURRENCY) is not None):
        code = attributes.get(PROPOSED_CURRENCY)
        # Cut to three letters another word becomes a code.
        currency = None if isinstance(code, str) and limits.may_have_cut(code) else parse_currency(code)
    text = attributes[key]
    if isinstance(text, str) and limits.may_have_cut(text):
        tally.note((Problem(ProblemKind.TEXT_TRUNCATED, key),))
    elif amount is None:
        tally.note((Problem(ProblemKind.INVALID_AMOUNT, key),))
    elif currency is None:
        tally.note((Problem(ProblemKind.INVALID_CURRENCY, PROPOSED_CURRENCY),))
    elif amount < 0:
        tally.note((Problem(ProblemKind.NEGATIVE_COST, key),))
    else:
        tally.reported = {currency: amount}


def _find_cost(attributes: Mapping[str, Any], limits: SpanLimits) -> tuple[str | None, Decimal | None]:
    for key in COST_KEYS:
        if attributes.get(key) is not None:
            return key, parse_calculated_amount(attributes[key])
    for pair in SPLIT_COST_KEYS:
        given = [key for key in pair if attributes.get(key) is not None]
        if given and limits.has_dropped and len(given) < len(pair):
            return given[0], None
        if given:
            amounts = [parse_calculated_amount(attributes[key]) for key in given]
            exact = [amount for amount in amounts if amount is not None]
            return given[0], EXACT.add(exact[0], exact[-1] if len(exact) > 1 else _ZERO) if exact == amounts else None
    for key, field in JSON_COST_KEYS.items():
        if attributes.get(key) is not None:
            return key, _json_cost(attributes[key], field)
    return None, None


def _json_cost(text: object, field: str) -> Decimal | None:
    if not isinstance(text, str) or len(text) > _JSON_COST_LENGTH_MAX:
        return None
    try:
        details = json.loads(str.__str__(text), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return parse_calculated_amount(details.get(field)) if isinstance(details, dict) else None


def _read_metered(tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits) -> None:
    reader = AttributeReader(attributes, limits)
    amount, currency = reader.money(semconv.AGENT_COST_AMOUNT, semconv.AGENT_COST_CURRENCY)
    kind = reader.cost_kind()
    if amount is not None and amount < 0:
        reader.note(ProblemKind.NEGATIVE_COST, semconv.AGENT_COST_AMOUNT)
    elif amount is not None:
        tally.parts = {(kind, currency): amount}
    if reader.problems:
        tally.note(reader.problems)
