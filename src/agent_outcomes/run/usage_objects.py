# SPDX-License-Identifier: Apache-2.0
"""Usage objects that stand in one attribute: a provider's own as it was received, or a backend's buckets.

Langfuse, MLflow, Braintrust and Genkit take them as JSON. Names tell whose they are, and with that how parts are
counted.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.amounts import parse_count
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import map_of_json
from agent_outcomes.run.parts import CONVENTIONAL, UNKNOWN, Habit, make_whole
from agent_outcomes.run.tally import COUNT_MAX
from agent_outcomes.run.usage_keys import (
    ADK_RESPONSE,
    BRAINTRUST_USAGE,
    CACHE_WRITE,
    CACHED,
    DIMENSIONS,
    GENKIT_OUTPUT,
    INPUT,
    LANGFUSE_USAGE,
    MLFLOW_USAGE,
    OUTPUT,
    REASONING,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_LENGTH_MAX: Final = 4096
# Here the model's whole answer stands beside its usage.
_ANSWER_LENGTH_MAX: Final = 65_536
_DECODER: Final = json.JSONDecoder()
_SPLIT: Final = DIMENSIONS + 1

# How OpenAI, Anthropic, Bedrock, Gemini, LangChain, Genkit and the AI SDK name the fields of their usage objects.
_WHOLES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("prompt_tokens", "input_tokens", "promptTokens", "inputTokens"), INPUT),
    **dict.fromkeys(("promptTokenCount", "prompt_token_count"), INPUT),
    **dict.fromkeys(("completion_tokens", "output_tokens", "completionTokens", "outputTokens"), OUTPUT),
    **dict.fromkeys(("candidatesTokenCount", "candidates_token_count"), OUTPUT),
}
_PARTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("cache_read_input_tokens", "cacheReadInputTokens", "cachedInputTokens"), CACHED),
    **dict.fromkeys(("cachedContentTokenCount", "cached_content_token_count", "prompt_cached_tokens"), CACHED),
    **dict.fromkeys(("cachedContentTokens", "cachedPromptTokens", "promptCacheHitTokens"), CACHED),
    **dict.fromkeys(("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheCreationInputTokens"), CACHE_WRITE),
    **dict.fromkeys(("cache_write_input_tokens", "prompt_cache_creation_tokens"), CACHE_WRITE),
    **dict.fromkeys(("reasoningTokens", "reasoning_tokens", "completion_reasoning_tokens"), REASONING),
    **dict.fromkeys(("thoughtsTokenCount", "thoughts_token_count", "thoughtsTokens"), REASONING),
}
_TOTALS: Final = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count", "tokens", "total")
_INPUT_DETAILS: Final = (
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "inputTokenDetails",
    "promptTokensDetails",
)
_OUTPUT_DETAILS: Final = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
    "outputTokenDetails",
    "completionTokensDetails",
)
# Within details; `_SPLIT` says again what its whole says, at the same price.
_DETAILS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("cached_tokens", "cache_read", "cacheReadTokens", "cachedTokens"), CACHED),
    **dict.fromkeys(("cache_creation", "cache_creation_tokens", "cache_write_tokens", "cacheWriteTokens"), CACHE_WRITE),
    **dict.fromkeys(("reasoning_tokens", "reasoning", "reasoningTokens"), REASONING),
    **dict.fromkeys(("text_tokens", "textTokens", "noCacheTokens", "accepted_prediction_tokens"), _SPLIT),
    **dict.fromkeys(("rejected_prediction_tokens", "ephemeral_5m_input_tokens"), _SPLIT),
}
_WITH_DETAILS: Final = frozenset({*_INPUT_DETAILS, *_OUTPUT_DETAILS, "cache_creation"})

# Whose objects have parts beside their whole: told by a part, as the names of the wholes are used by others, too.
_ANTHROPIC: Final = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})
_BEDROCK: Final = frozenset({"cacheReadInputTokens", "cacheWriteInputTokens"})
_GEMINI: Final = frozenset({"promptTokenCount", "prompt_token_count"})
_BESIDE: Final = Habit(cache_beside=True)
_BUCKETS: Final = Habit(cache_beside=True, reasoning_beside=True)

# Langfuse's own: any number of buckets beside each other, told apart by words in their names.
_BUCKET_WHOLES: Final[Mapping[str, int]] = {"input": INPUT, "output": OUTPUT}
_BUCKET_PARTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"), CACHED),
    **dict.fromkeys(("input_cache_creation", "input_cache_write", "cache_creation_input_tokens"), CACHE_WRITE),
    "cache_write_input_tokens": CACHE_WRITE,
    **dict.fromkeys(("output_reasoning_tokens", "output_reasoning"), REASONING),
}
# Of Anthropic's cache writes, by how long they are kept: these say once more, in parts, what was written.
_WRITE_TIER: Final = Pattern(r"\w*ephemeral_(?:5m|1h)\w*", re.ASCII)
# In ADK's answer of a model, which holds all that was said, this is one field.
_ADK_USAGES: Final = ('"usageMetadata":', '"usage_metadata":')


class UsageObject(NamedTuple):
    """What a usage object reports, by dimension, as it was counted; `has_more`: of other kinds, billed otherwise."""

    tokens: list[int | None]
    total: int | None
    habit: Habit
    has_more: bool
    is_sound: bool


def read_object(key: str, value: object) -> UsageObject | None:
    """The usage object in this attribute; `None` if there is none. Never raises."""
    fields = _fields(value, _ANSWER_LENGTH_MAX if key == GENKIT_OUTPUT else _LENGTH_MAX)
    if fields is not None and key == GENKIT_OUTPUT:
        usage = fields.get("usage")
        fields = usage if is_map(usage) else {}
    if fields is None:
        return None
    reader = _Reader()
    total = reader.total(fields)
    if key == LANGFUSE_USAGE and _WHOLES.keys().isdisjoint(fields):
        reader.take_buckets(fields, total)
        habit = _BUCKETS
    else:
        reader.take_report(fields)
        habit = _habit_of(key, fields)
    return UsageObject(reader.tokens, total, habit, reader.has_more, reader.is_sound)


def read_details(key: str, value: object) -> UsageObject | None:
    """The parts that stand in this attribute as details of a whole; `None` if it cannot be read. Never raises."""
    fields = {} if parse_count(value, COUNT_MAX) == 0 else _fields(value, _LENGTH_MAX)
    if fields is None:
        return None
    reader = _Reader()
    reader.take_report({key.rpartition(".")[2]: fields})
    return UsageObject(reader.tokens, None, CONVENTIONAL, reader.has_more, reader.is_sound)


def read_told(key: str, value: object) -> UsageObject | None:
    """What a provider's own words in this attribute say of a call's tokens; `None` if nothing. Never raises."""
    if key == ADK_RESPONSE:
        usages = [adk_usage(value)]
    else:
        entries = _fields(value, _ANSWER_LENGTH_MAX) or {}
        usages = [_usage_in(entry) for entry in entries.values() if is_map(entry)]
    for usage in usages:
        reader = _Reader()
        reader.take_report(usage)
        if any(reader.tokens):
            habit = _habit_of(key, usage)
            return UsageObject(reader.tokens, reader.total(usage), habit, reader.has_more, reader.is_sound)
    return None


def _usage_in(entry: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """What a provider's entry in the AI SDK's metadata says of usage: in a field of its own, or beside others."""
    usage = entry.get("usage") or entry.get("usageMetadata")
    return usage if is_map(usage) else entry


def adk_usage(value: object) -> Mapping[Any, Any]:
    """The usage object in ADK's answer of a model, empty if there is none. Never raises."""
    if not isinstance(value, str):
        return {}
    text = str.__str__(value)
    for name in _ADK_USAGES:
        place = text.rfind(name)
        # What a model has said stands in quotes of its own.
        if place > 0 and text[place - 1] != "\\":
            start = place + len(name)
            return _first_object(text[start : start + _LENGTH_MAX].lstrip())
    return {}


def _first_object(text: str) -> Mapping[Any, Any]:
    try:
        found, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_map(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether this is a map that is safe to read."""
    # No class of somebody's own, whose methods may do anything.
    return type(value) is dict or type(value) is MappingProxyType


def _fields(value: object, length_max: int) -> Mapping[Any, Any] | None:
    return value if is_map(value) else map_of_json(value, length_max)


def _habit_of(key: str, fields: Mapping[Any, Any]) -> Habit:
    names = fields.keys()
    if not _GEMINI.isdisjoint(names):
        return Habit(reasoning_beside=True)
    if not _BEDROCK.isdisjoint(names):
        return _BESIDE
    has_details = [name for name in _WITH_DETAILS if is_map(fields.get(name)) and name != "cache_creation"]
    if "input_tokens" not in names or _ANTHROPIC.isdisjoint(names) or has_details or key == BRAINTRUST_USAGE:
        return CONVENTIONAL
    # MLflow's have the names of Anthropic's. Its own integrations count parts inside, what users set may be a copy.
    return UNKNOWN if key == MLFLOW_USAGE else _BESIDE


def _add_up(tokens: list[int | None], total: int) -> bool:
    """Whether these buckets, their parts in them or beside them, are all that the total has."""
    whole = tokens[:]
    is_certain = make_whole(whole, total, _BUCKETS)
    return is_certain and (whole[INPUT] or 0) + (whole[OUTPUT] or 0) == total


class _Reader:
    """Takes counts out of an object's fields, each once."""

    def __init__(self) -> None:
        self.tokens: list[int | None] = [None] * DIMENSIONS
        self.has_more = False
        self.is_sound = True

    def count(self, value: object) -> int | None:
        """A count, `None` if there is none; one that cannot be taken makes the whole unsound."""
        count = parse_count(value, COUNT_MAX)
        if count is None and value is not None:
            self.is_sound = False
        return count

    def total(self, fields: Mapping[Any, Any]) -> int | None:
        """What the object says that all its tokens are."""
        totals = [fields[name] for name in _TOTALS if fields.get(name) is not None]
        return self.count(totals[0]) if totals else None

    def take_report(self, fields: Mapping[Any, Any]) -> None:
        """Take the fields of a provider's object."""
        for name, value in fields.items():
            if type(name) is not str or name in _TOTALS:
                continue
            dimension = _WHOLES.get(name, _PARTS.get(name))
            if dimension is not None:
                self._set(dimension, self.count(value))
            elif name in _WITH_DETAILS and is_map(value):
                self._take_details(value)
            elif is_map(value) or ("token" in name.lower() and "time" not in name):
                self._note_more(value)

    def take_buckets(self, fields: Mapping[Any, Any], total: int | None) -> None:
        """Take Langfuse's buckets: whatever is neither cached nor reasoning is one of its direction's own."""
        tiers: list[int] = []
        further: dict[int, int] = {}
        for name, value in fields.items():
            if type(name) is not str or name in _TOTALS:
                continue
            direction = INPUT if "input" in name else OUTPUT if "output" in name else None
            if _WRITE_TIER.fullmatch(name):
                tiers.append(self.count(value) or 0)
            elif name in _BUCKET_PARTS:
                self._set(_BUCKET_PARTS[name], self.count(value))
            elif name in _BUCKET_WHOLES:
                self.tokens[_BUCKET_WHOLES[name]] = self.count(value)
            else:
                if direction is not None and (count := self.count(value)) is not None:
                    further[direction] = further.get(direction, 0) + count
                self._note_more(value)
        if any(tiers):
            self._take_tiers(sum(tiers))
        self._add_further(further, total)

    def _add_further(self, further: dict[int, int], total: int | None) -> None:
        """Add buckets that no table has, unless the total proves that they are in the others.

        Langfuse takes the details of a LangChain answer out of their whole, but not those of OpenAI's priority tier
        (langfuse/langchain/CallbackHandler.py).
        """
        found = [tokens for tokens in self._with_some_of(further) if total and _add_up(tokens, total)]
        every = self._with(further)
        self.tokens = found[0] if len(found) == 1 and every not in found else every

    def _with_some_of(self, further: dict[int, int]) -> list[list[int | None]]:
        choices: list[dict[int, int]] = [{}]
        for direction, count in further.items():
            choices += [{**chosen, direction: count} for chosen in choices if count]
        return [self._with(chosen) for chosen in choices]

    def _with(self, further: dict[int, int]) -> list[int | None]:
        tokens = self.tokens[:]
        for direction, count in further.items():
            tokens[direction] = (tokens[direction] or 0) + count
        return tokens

    def _take_tiers(self, written: int) -> None:
        held = self.tokens[CACHE_WRITE]
        self.is_sound = self.is_sound and held in (None, 0, written)
        self._set(CACHE_WRITE, written)

    def _take_details(self, details: Mapping[Any, Any]) -> None:
        for name, value in details.items():
            dimension = _DETAILS.get(name) if type(name) is str else None
            if dimension is None:
                self._note_more(value)
            elif dimension != _SPLIT:
                self._set(dimension, self.count(value))

    def _set(self, dimension: int, count: int | None) -> None:
        held = self.tokens[dimension]
        if count is not None and (held is None or count > held):
            self.tokens[dimension] = count

    def _note_more(self, value: object) -> None:
        numbers = value.values() if is_map(value) else value if type(value) is list else (value,)
        if [n for n in numbers if n is not None and not isinstance(n, str) and parse_count(n, COUNT_MAX) != 0]:
            self.has_more = True
