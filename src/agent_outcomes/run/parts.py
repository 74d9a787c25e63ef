# SPDX-License-Identifier: Apache-2.0
"""Cached and reasoning tokens as parts of the input and the output, however their writer counted them.

OpenTelemetry and OpenInference count parts in their whole. Anthropic and Bedrock report cached tokens beside the input,
Gemini its thoughts beside the output, and much code hands on what it was told. Which it was is decided by what the span
itself proves, its total; else by who wrote it; else by whose model it is, where the numbers rule out the convention.
What nothing decides is as large as it must be at least, and not certain.
"""

from __future__ import annotations

import re
from typing import Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.usage_keys import INPUT, OUTPUT


class Habit(NamedTuple):
    """How whoever wrote a span's counts counts their parts.

    `cache_beside`: cached tokens beside the input, `reasoning_beside`: reasoning beside the output; `None` if it may be
    either way. `adds_up`: its total is the sum of what it wrote as input and output, and proves nothing.
    """

    cache_beside: bool | None = False
    reasoning_beside: bool | None = False
    adds_up: bool = False


CONVENTIONAL: Final = Habit()
COPIED: Final = Habit(cache_beside=True, adds_up=True)
UNKNOWN: Final = Habit(cache_beside=None)

# In whatever way telemetry spells them: `aws.bedrock`, `amazon-bedrock`, `vertex.anthropic.messages`, `gcp.gemini`.
_CACHE_BESIDE: Final = Pattern(r"(?:.*[._\s-])?(?:aws|amazon|bedrock|anthropic)", re.ASCII)
_REASONING_BESIDE: Final = Pattern(r"google|gemini|vertex|gcp", re.ASCII)


def counts_cache_beside(provider: str | None) -> bool:
    """Whether this provider's own usage objects have cached tokens beside the input."""
    return provider is not None and _CACHE_BESIDE.match(provider.strip().lower()) is not None


def counts_reasoning_beside(provider: str | None) -> bool:
    """Whether this provider's own usage objects have reasoning beside the output."""
    if provider is None or counts_cache_beside(provider):
        return False
    return _REASONING_BESIDE.match(provider.strip().lower()) is not None


def make_whole(tokens: list[int | None], total: int | None, habit: Habit, provider: str | None = None) -> bool:
    """Make input and output wholes of their parts; whether that is certain."""
    given = _Given(*(count or 0 for count in tokens))
    if not total and not given.read and not given.reasoning:
        return True
    whole = _by_total(given, total, habit) if total else None
    is_certain = whole is not None
    if whole is None:
        whole, is_certain = _by_habit(given, habit, provider)
        if total and sum(whole) != total and total != given.input + given.output:
            whole, is_certain = _with_rest(whole, given, total, provider), False
    for dimension, count in zip((INPUT, OUTPUT), whole, strict=True):
        # Where the whole was not reported its parts do not tell it, unless they are known to be all of it.
        if tokens[dimension] is not None or (count and is_certain):
            tokens[dimension] = count
    return is_certain


class _Given(NamedTuple):
    input: int
    output: int
    cached: int
    cache_write: int
    reasoning: int

    @property
    def read(self) -> int:
        return self.cached + self.cache_write


def _by_total(given: _Given, total: int, habit: Habit) -> tuple[int, int] | None:
    """The only input and output that add up to the total and hold their parts."""
    found = {
        (read, made)
        for read in (given.input, given.input + given.cache_write, given.input + given.read)
        for made in (given.output, given.output + given.reasoning)
        if read + made == total and given.read <= read and given.reasoning <= made
    }
    if habit.adds_up and (given.read or (given.reasoning and habit.reasoning_beside is not False)):
        found.discard((given.input, given.output))
    return found.pop() if len(found) == 1 else None


def _by_habit(given: _Given, habit: Habit, provider: str | None) -> tuple[tuple[int, int], bool]:
    read, is_read_certain = _input(given, habit, provider)
    made, is_made_certain = given.output, True
    if habit.reasoning_beside or (given.reasoning > made and counts_reasoning_beside(provider)):
        made += given.reasoning
    elif given.reasoning > made:
        made, is_made_certain = given.reasoning, False
    elif given.reasoning and habit.reasoning_beside is None:
        is_made_certain = False
    return (read, made), is_read_certain and is_made_certain


def _input(given: _Given, habit: Habit, provider: str | None) -> tuple[int, bool]:
    if habit.cache_beside:
        return given.input + given.read, True
    if given.read <= given.input:
        return given.input, habit.cache_beside is False or not given.read
    # What was read cannot be a part of the input. What was written alone may have been counted apart from the rest.
    is_beside = given.cached > given.input or not given.cached
    if is_beside and (habit.adds_up or counts_cache_beside(provider)):
        return given.input + given.read, True
    return max(given.input, given.read), False


def _with_rest(whole: tuple[int, int], given: _Given, total: int, provider: str | None) -> tuple[int, int]:
    """With what the total has more: of Gemini's it is nearly always thoughts that nobody wrote down."""
    read, made = whole
    rest = total - read - made
    has_thoughts = rest > 0 and not given.reasoning and counts_reasoning_beside(provider)
    return (read, made + rest) if has_thoughts else whole
