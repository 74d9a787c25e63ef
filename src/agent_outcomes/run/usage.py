# SPDX-License-Identifier: Apache-2.0
"""What one span reports of tokens and cost, in the words of every convention known."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.amounts import parse_count
from agent_outcomes.outcome.attribute_reader import NO_LIMITS, AttributeReader, Problem, SpanLimits
from agent_outcomes.run.conventions import AI_SDK_OPERATION, Role, names_other_billing
from agent_outcomes.run.parts import (
    CONVENTIONAL,
    COPIED,
    UNKNOWN,
    Habit,
    counts_cache_beside,
    counts_reasoning_beside,
    make_whole,
)
from agent_outcomes.run.reported_costs import reported_cost
from agent_outcomes.run.tally import COUNT_MAX, Tally
from agent_outcomes.run.usage_keys import (
    AI_SDK_CACHED,
    AI_SDK_METADATA,
    AI_SDK_UNCACHED,
    AI_SDK_VERSION,
    BESIDE_BY_DEFINITION,
    CACHE_WRITE,
    CACHED,
    COST_KEY_SET,
    DETAIL_KEYS,
    GENKIT_OUTPUT,
    INPUT,
    INSIDE_BY_DEFINITION,
    MODEL_KEYS,
    OBJECT_KEYS,
    OUTPUT,
    PROVIDER_KEYS,
    REASONING,
    REQUEST_MODEL_KEYS,
    TOKEN_KEYS,
    TOKEN_RANKS,
    TOLD_KEYS,
    TOTAL_KEYS,
    USAGE_KEYS,
)
from agent_outcomes.run.usage_objects import read_details, read_object, read_told
from agent_outcomes.run.writers import relayed_habit
from agent_outcomes.semconv import CostKind, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from agent_outcomes.run.usage_objects import UsageObject

_ZERO: Final = Decimal(0)
_PROVIDER_LENGTH_MAX: Final = 256
_MISMATCH: Final = (Problem(ProblemKind.USAGE_MISMATCH),)
_OBJECT_KEY_SET: Final = frozenset(OBJECT_KEYS)
_DETAIL_KEY_SET: Final = frozenset(DETAIL_KEYS)
# What is said there is of one call, and on another span of the last one only.
_OF_ONE_CALL: Final = frozenset({GENKIT_OUTPUT, *TOLD_KEYS})
_AI_SDK_CONVERTS: Final = 6
_MODEL_KEYS: Final = (*MODEL_KEYS, *REQUEST_MODEL_KEYS)


def read_usage(
    attributes: Mapping[str, Any],
    role: Role,
    limits: SpanLimits = NO_LIMITS,
    habit: Habit | None = None,
    scope: str = "",
) -> Tally | None:
    """What one span reports by itself; `None` if it reports nothing.

    Reads the token and cost keys of every convention known, and `agent.cost.amount`, `.currency`, `.kind`. `habit` is
    how its instrumentation, of that `scope`, counts cached tokens where that is known; input and output come out with
    their parts in them, and where nothing tells how they were counted a `usage_mismatch` is listed. Counts outside
    0..2**53 and amounts that are not exact are refused and listed, and so are those that may have been cut, or have
    lost their currency or a part. Placeholders of 0 are not reported. What a provider's model was asked for that is
    billed by something else than tokens has no price, unless the span reports one. Never raises.
    """
    if role is not Role.MODEL and not _OF_ONE_CALL.isdisjoint(attributes):
        attributes = {key: value for key, value in attributes.items() if key not in _OF_ONE_CALL}
    hits = USAGE_KEYS.intersection(attributes)
    is_billed = role is Role.OTHER and _is_billed_otherwise(attributes)
    if not hits and not is_billed and role is not Role.MODEL and role is not Role.TOOL:
        return None
    tally = Tally()
    if role is Role.TOOL:
        tally.tool_calls = 1
        tally.tool_below = True
    if hits:
        has_tokens = _read_tokens(tally, attributes, hits, limits, (habit, scope), is_call=role is Role.MODEL)
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
    elif is_billed and tally.reported is None and tally.parts is None and not any(tally.tokens):
        tally.unpriced = 1
    return tally


def _is_billed_otherwise(attributes: Mapping[str, Any]) -> bool:
    """Whether a provider's model was asked for something that is not billed by tokens; one at home has no provider."""
    if not _names_one_of(attributes, PROVIDER_KEYS) or not _names_one_of(attributes, _MODEL_KEYS):
        return False
    return names_other_billing(attributes)


def _names_one_of(attributes: Mapping[str, Any], keys: Collection[str]) -> bool:
    return any(isinstance(attributes.get(key), str) and len(attributes[key]) > 0 for key in keys)


def _read_tokens(
    tally: Tally,
    attributes: Mapping[str, Any],
    hits: Collection[str],
    limits: SpanLimits,
    known: tuple[Habit | None, str],
    *,
    is_call: bool,
) -> bool:
    """Whether the span says anything of tokens, be it placeholders."""
    reader = _Counts(tally, attributes, limits)
    keys = reader.read(hits)
    tokens, total, provider = tally.tokens, reader.total(hits), _provider(attributes, limits)
    told = _habit_by_told(tally, attributes, limits, provider) if is_call else None
    has_whole = tokens[INPUT] is not None or tokens[OUTPUT] is not None
    if has_whole or keys or (is_call and total):
        habit = told or known[0] or relayed_habit(known[1], provider, attributes)
        habit = habit or _habit_by_keys(attributes, keys, provider)
        if not make_whole(tokens, total, habit, provider):
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
        for key in DETAIL_KEYS if not _DETAIL_KEY_SET.isdisjoint(hits) else ():
            best |= self._read_details(key)
        return best

    def _read_details(self, key: str) -> dict[int, str]:
        """Take the parts in this attribute that are not known otherwise; which these are."""
        found = _object_at(key, read_details, self._tally, self._attributes, self._limits)
        tokens = self._tally.tokens
        taken: dict[int, str] = {}
        for dimension, count in enumerate(found.tokens if found is not None else ()):
            if count is not None and not tokens[dimension]:
                tokens[dimension] = count
                taken[dimension] = key
        return taken

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


def _habit_by_told(
    tally: Tally, attributes: Mapping[str, Any], limits: SpanLimits, provider: str | None
) -> Habit | None:
    """How the span's counts have their parts, by what the provider itself has said; `None` if it has said nothing.

    A count that is the provider's own has its parts as the provider has them. Parts that only the provider tells are
    taken over.
    """
    key = next((key for key in TOLD_KEYS if attributes.get(key) is not None), None)
    if key is None:
        return None
    value = attributes[key]
    if isinstance(value, str) and limits.may_have_cut(value):
        if key == AI_SDK_METADATA and (counts_cache_beside(provider) or counts_reasoning_beside(provider)):
            tally.note((Problem(ProblemKind.TEXT_TRUNCATED, key),))
        return None
    told = read_told(key, value)
    if told is None:
        return None
    if not told.is_sound:
        tally.note((Problem(ProblemKind.INVALID_COUNT, key),))
    whole, tokens = list(told.tokens), tally.tokens
    make_whole(whole, told.total, told.habit, provider)
    for dimension, count in enumerate(told.tokens):
        if not tokens[dimension] and count is not None:
            tokens[dimension] = count
    has_cached, habit = bool(tokens[CACHED] or tokens[CACHE_WRITE]), told.habit
    return Habit(
        cache_beside=has_cached and habit.cache_beside and _is_beside(tokens, told.tokens, whole, INPUT),
        reasoning_beside=bool(tokens[REASONING])
        and habit.reasoning_beside
        and _is_beside(tokens, told.tokens, whole, OUTPUT),
        adds_up=True,
    )


def _is_beside(
    given: Sequence[int | None], told: Sequence[int | None], whole: Sequence[int | None], dimension: int
) -> bool | None:
    """Whether parts are beside a given count, which may be what was told or the whole of it; `None` if neither."""
    count = given[dimension]
    if count is None or told[dimension] is None or count not in (told[dimension], whole[dimension]):
        return None
    return count == told[dimension] != whole[dimension]


def _habit_by_keys(attributes: Mapping[str, Any], keys: Mapping[int, str], provider: str | None) -> Habit:
    reasoning = keys.get(REASONING)
    is_open = reasoning not in INSIDE_BY_DEFINITION and counts_reasoning_beside(provider)
    is_reasoning_beside = reasoning in BESIDE_BY_DEFINITION or (None if reasoning is not None and is_open else False)
    habit = _cache_habit_by_keys(attributes, keys, provider)
    return habit if is_reasoning_beside is False else habit._replace(reasoning_beside=is_reasoning_beside)


def _cache_habit_by_keys(attributes: Mapping[str, Any], keys: Mapping[int, str], provider: str | None) -> Habit:
    parts = [keys[dimension] for dimension in (CACHED, CACHE_WRITE) if dimension in keys]
    if not parts or not counts_cache_beside(provider):
        return CONVENTIONAL
    if AI_SDK_CACHED in parts:
        return COPIED if attributes.get(AI_SDK_UNCACHED) is None else CONVENTIONAL
    if AI_SDK_OPERATION in attributes and attributes.get(AI_SDK_UNCACHED) is None:
        return _habit_of_ai_sdk(attributes.get(AI_SDK_VERSION))
    return CONVENTIONAL if INSIDE_BY_DEFINITION.issuperset(parts) else UNKNOWN


def _habit_of_ai_sdk(version: object) -> Habit:
    """How the AI SDK counts where somebody else has renamed what it wrote: up to its version 5 as the provider does."""
    major = parse_count(version.partition(".")[0], COUNT_MAX) if isinstance(version, str) else None
    if major is None:
        return COPIED._replace(cache_beside=None)
    return CONVENTIONAL if major >= _AI_SDK_CONVERTS else COPIED


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
        found = _object_at(key, read_object, tally, attributes, limits)
        if found is None:
            continue
        if not make_whole(found.tokens, found.total, found.habit, provider):
            tally.note(_MISMATCH)
        for dimension, count in enumerate(found.tokens):
            if count is not None and (count if tokens[dimension] == 0 else tokens[dimension] is None):
                tokens[dimension] = count
    if not make_whole(list(tokens), None, CONVENTIONAL):
        tally.note(_MISMATCH)


def _object_at(
    key: str,
    read: Callable[[str, object], UsageObject | None],
    tally: Tally,
    attributes: Mapping[str, Any],
    limits: SpanLimits,
) -> UsageObject | None:
    """What this attribute says of tokens, `None` if nothing; what of it cannot be taken is noted."""
    value = attributes.get(key)
    if value is None:
        return None
    is_cut = isinstance(value, str) and limits.may_have_cut(value)
    found = None if is_cut else read(key, value)
    if found is None or not found.is_sound:
        tally.note((Problem(ProblemKind.TEXT_TRUNCATED if is_cut else ProblemKind.INVALID_COUNT, key),))
    return found


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
