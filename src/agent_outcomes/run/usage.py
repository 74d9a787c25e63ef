# SPDX-License-Identifier: Apache-2.0
"""What one span reports of tokens and cost, in the words of every convention known."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import parse_count
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, AttributeReader, Problem, SpanLimits
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.parts import CONVENTIONAL, COPIED, UNKNOWN, Habit, counts_cache_beside, make_whole
from agent_outcomes.run.reported_costs import reported_cost
from agent_outcomes.run.tally import COUNT_MAX, Tally
from agent_outcomes.run.usage_keys import (
    AI_SDK_CACHED,
    AI_SDK_UNCACHED,
    CACHE_WRITE,
    CACHED,
    COST_KEY_SET,
    GENKIT_OUTPUT,
    INPUT,
    INSIDE_BY_DEFINITION,
    OBJECT_KEYS,
    OUTPUT,
    PROVIDER_KEYS,
    TOKEN_KEYS,
    TOKEN_RANKS,
    TOTAL_KEYS,
    USAGE_KEYS,
)
from agent_outcomes.run.usage_objects import read_object
from agent_outcomes.semconv import CostKind, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_ZERO: Final = Decimal(0)
_PROVIDER_LENGTH_MAX: Final = 256
_MISMATCH: Final = (Problem(ProblemKind.USAGE_MISMATCH),)
_OBJECT_KEY_SET: Final = frozenset(OBJECT_KEYS)


def read_usage(
    attributes: Mapping[str, Any], role: Role, limits: SpanLimits = NO_LIMITS, habit: Habit | None = None
) -> Tally | None:
    """What one span reports by itself; `None` if it reports nothing.

    Reads the token and cost keys of every convention known, and `agent.cost.amount`, `.currency`, `.kind`. `habit` is
    how its instrumentation counts cached tokens where that is known; input and output come out with their parts in
    them, and where nothing tells how they were counted a `usage_mismatch` is listed. Counts outside 0..2**53 and
    amounts that are not exact are refused and listed, and so are those that may have been cut, or have lost their
    currency or a part. Placeholders of 0 are not reported. Never raises.
    """
    if GENKIT_OUTPUT in attributes and role is not Role.MODEL:
        attributes = {key: value for key, value in attributes.items() if key != GENKIT_OUTPUT}
    hits = USAGE_KEYS.intersection(attributes)
    if not hits and role is not Role.MODEL and role is not Role.TOOL:
        return None
    tally = Tally()
    if role is Role.TOOL:
        tally.tool_calls = 1
        tally.tool_below = True
    if hits:
        has_tokens = _read_tokens(tally, attributes, hits, limits, habit, is_call=role is Role.MODEL)
        if not COST_KEY_SET.isdisjoint(hits):
            _read_cost(tally, attributes, limits, has_tokens=has_tokens)
        if semconv.AGENT_COST_AMOUNT in hits:
            _read_metered(tally, attributes, limits, is_call=role is Role.MODEL)
        if limits.has_dropped:
            tally.note((Problem(ProblemKind.ATTRIBUTES_DROPPED),))
    if role is Role.MODEL:
        tally.model_calls = 1
        tally.unpriced = 1 if tally.reported is None else 0
        tally.silent = 0 if tally.tokens[INPUT] or tally.tokens[OUTPUT] else 1
    return tally


def _read_tokens(
    tally: Tally,
    attributes: Mapping[str, Any],
    hits: Collection[str],
    limits: SpanLimits,
    habit: Habit | None,
    *,
    is_call: bool,
) -> bool:
    """Whether the span says anything of tokens, be it placeholders."""
    reader = _Counts(tally, attributes, limits)
    keys = reader.read(hits)
    tokens, total, provider = tally.tokens, reader.total(hits), _provider(attributes, limits)
    has_whole = tokens[INPUT] is not None or tokens[OUTPUT] is not None
    if has_whole or keys or (is_call and total):
        found = habit if habit is not None else _habit_by_keys(attributes, keys, provider)
        if not make_whole(tokens, total, found, provider):
            tally.note(_MISMATCH)
    if not _OBJECT_KEY_SET.isdisjoint(hits):
        _read_objects(tally, attributes, limits, provider)
    has_tokens = bool(keys or total) or tokens.count(None) < len(tokens)
    _drop_placeholders(tokens, is_call=is_call)
    return has_tokens


class _Counts:
    """Takes the counts out of a span's own attributes."""

    def __init__(self, tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits) -> None:
        self._tally = tally
        self._attributes = attributes
        self._limits = limits

    def read(self, hits: Collection[str]) -> dict[int, str]:
        """Read the most specific spelling of each count; which that was."""
        best: dict[int, str] = {}
        for key in hits:
            dimension = TOKEN_KEYS.get(key)
            if dimension is None or self._attributes[key] is None:
                continue
            held = best.setdefault(dimension, key)
            if held is not key and TOKEN_RANKS[key] < TOKEN_RANKS[held]:
                best[dimension] = key
        tokens = self._tally.tokens
        for dimension, key in best.items():
            tokens[dimension] = self._count(key)
            if tokens[dimension] == 0:
                self._look_further(dimension, hits)
        return best

    def total(self, hits: Collection[str]) -> int | None:
        """The total that the span states, if any."""
        keys = [key for key in TOTAL_KEYS if key in hits and self._attributes[key] is not None]
        return max([count for count in map(self._count, keys) if count is not None], default=None)

    def _look_further(self, dimension: int, hits: Collection[str]) -> None:
        """Another convention on the same span may know what the first one left at 0."""
        for key in sorted([key for key in hits if TOKEN_KEYS.get(key) == dimension], key=TOKEN_RANKS.__getitem__):
            count = parse_count(self._attributes[key], COUNT_MAX)
            if count:
                self._tally.tokens[dimension] = self._count(key)
                return

    def _count(self, key: str) -> int | None:
        value = self._attributes[key]
        if type(value) is int and 0 <= value <= COUNT_MAX:
            return value
        if isinstance(value, str) and self._limits.may_have_cut(value):
            self._tally.note((Problem(ProblemKind.TEXT_TRUNCATED, key),))
            return None
        count = parse_count(value, COUNT_MAX)
        if count is None:
            self._tally.note((Problem(ProblemKind.INVALID_COUNT, key),))
        return count


def _habit_by_keys(attributes: Mapping[str, Any], keys: Mapping[int, str], provider: str | None) -> Habit:
    parts = [keys[dimension] for dimension in (CACHED, CACHE_WRITE) if dimension in keys]
    if not parts or not counts_cache_beside(provider):
        return CONVENTIONAL
    if AI_SDK_CACHED in parts:
        return COPIED if attributes.get(AI_SDK_UNCACHED) is None else CONVENTIONAL
    return CONVENTIONAL if INSIDE_BY_DEFINITION.issuperset(parts) else UNKNOWN


def _provider(attributes: Mapping[str, Any], limits: SpanLimits) -> str | None:
    for key in PROVIDER_KEYS:
        value = attributes.get(key)
        if isinstance(value, str) and 0 < len(value) <= _PROVIDER_LENGTH_MAX:
            return None if limits.may_have_cut(value) else str.__str__(value).strip('"')
    return None


def _read_objects(tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits, provider: str | None) -> None:
    """Take what the span's own attributes leave open out of its usage objects."""
    tokens = tally.tokens
    for key in OBJECT_KEYS:
        value = attributes.get(key)
        if value is None:
            continue
        is_cut = isinstance(value, str) and limits.may_have_cut(value)
        found = None if is_cut else read_object(key, value)
        if found is None or not found.is_sound:
            tally.note((Problem(ProblemKind.TEXT_TRUNCATED if is_cut else ProblemKind.INVALID_COUNT, key),))
        if found is None:
            continue
        if not make_whole(found.tokens, found.total, found.habit, provider):
            tally.note(_MISMATCH)
        for dimension, count in enumerate(found.tokens):
            if count is not None and (count if tokens[dimension] == 0 else tokens[dimension] is None):
                tokens[dimension] = count
    if not make_whole(list(tokens), None, CONVENTIONAL):
        tally.note(_MISMATCH)


def _drop_placeholders(tokens: list[int | None], *, is_call: bool) -> None:
    """No model call has 0 input tokens: who writes that did not know, as most do of a stream."""
    if tokens[INPUT]:
        return
    if not tokens[OUTPUT]:
        tokens[INPUT] = tokens[OUTPUT] = None
    elif is_call:
        tokens[INPUT] = None


def _read_cost(tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits, *, has_tokens: bool) -> None:
    cost = reported_cost(attributes, limits, has_tokens=has_tokens)
    if isinstance(cost, Problem):
        tally.note((cost,))
    elif cost is not None:
        currency, amount = cost
        tally.reported = {currency: amount}


def _read_metered(tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits, *, is_call: bool) -> None:
    reader = AttributeReader(attributes, limits)
    amount, currency = reader.money(semconv.AGENT_COST_AMOUNT, semconv.AGENT_COST_CURRENCY)
    kind = reader.cost_kind()
    if amount is not None and amount < 0:
        reader.note(ProblemKind.NEGATIVE_COST, semconv.AGENT_COST_AMOUNT)
    elif amount is not None:
        tally.parts = {(kind, currency): amount}
        if is_call and kind is CostKind.LLM and tally.reported is None:
            # Whoever states what this call has cost, 0 for a model of their own, needs no price for it.
            tally.reported = {currency: _ZERO}
    if reader.problems:
        tally.note(reader.problems)
