# SPDX-License-Identifier: Apache-2.0
"""Cached and reasoning tokens: in the input and the output or beside, by span, scope and provider."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agent_outcomes.run.conventions import Role
from agent_outcomes.run.parts import COPIED, Habit, counts_cache_beside, counts_reasoning_beside
from agent_outcomes.run.tally import problems_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import INSIDE_BY_DEFINITION, TOTAL_KEYS
from agent_outcomes.run.writers import CONVERTING_FROM, COPYING_SCOPES
from agent_outcomes.run.writers import habit_of_scope as habit_of

KEYS = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "written": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "total": "gen_ai.usage.total_tokens",
    "provider": "gen_ai.provider.name",
    # Anthropic's own names, which no convention has defined.
    "cache_read": "gen_ai.usage.cache_read_input_tokens",
    "ai_cached": "ai.usage.cachedInputTokens",
    "uncached": "ai.usage.inputTokenDetails.noCacheTokens",
}


def read(habit: Habit | None = None, **fields: Any) -> tuple[int | None, int | None, bool]:
    """Input, output, and whether both are certain."""
    tally = read_usage({KEYS[name]: value for name, value in fields.items()}, Role.MODEL, habit=habit)
    assert tally is not None
    problems = list(map(str, problems_of(tally)))
    assert problems in ([], ["usage_mismatch"])
    return tally.tokens[0], tally.tokens[1], not problems


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # By the conventions parts are inside.
        ({"input": 1012, "output": 40, "cached": 1000}, (1012, 40, True)),
        ({"input": 1012, "output": 40, "cached": 1000, "total": 1052}, (1012, 40, True)),
        ({"input": 1012, "output": 40, "cached": 1000, "provider": "anthropic"}, (1012, 40, True)),
        ({"input": 1012, "output": 40, "cache_read": 1000}, (1012, 40, True)),
        # The total proves that they are beside.
        ({"input": 12, "output": 40, "cached": 1000, "total": 1052}, (1012, 40, True)),
        ({"input": 500, "output": 40, "cached": 100, "total": 640}, (600, 40, True)),
        ({"input": 500, "output": 40, "cached": 100, "written": 30, "total": 670}, (630, 40, True)),
        ({"input": 500, "output": 40, "cached": 100, "written": 30, "total": 570}, (530, 40, True)),
        ({"input": 111, "output": 28, "reasoning": 6, "total": 145}, (111, 34, True)),
        ({"input": 10, "output": 28, "cached": 100, "reasoning": 6, "total": 144}, (110, 34, True)),
        # Nothing but what was cached.
        ({"cached": 1000, "output": 40, "total": 1040}, (1000, 40, True)),
        # Two ways to the same total.
        ({"input": 50, "output": 40, "cached": 9, "reasoning": 9, "total": 99}, (50, 40, False)),
        # A part that is larger than its whole is beside where its provider has it there; else nobody knows.
        ({"input": 12, "output": 40, "cached": 1000, "provider": "aws.bedrock"}, (1012, 40, True)),
        ({"input": 12, "output": 40, "cached": 1000, "total": 52, "provider": "anthropic"}, (1012, 40, True)),
        ({"input": 12, "output": 40, "written": 1000, "provider": "anthropic"}, (1012, 40, True)),
        ({"input": 12, "output": 4, "reasoning": 9, "provider": "gemini"}, (12, 13, True)),
        ({"input": 12, "output": 40, "cached": 1000, "provider": "openai"}, (1000, 40, False)),
        ({"input": 12, "output": 40, "cached": 1000}, (1000, 40, False)),
        ({"input": 12, "output": 40, "cached": 1000, "written": 300}, (1300, 40, False)),
        ({"input": 12, "output": 4, "reasoning": 9}, (12, 9, False)),
        # Read inside and written beside, as LiteLLM had it, or both beside.
        ({"input": 1000, "output": 4, "cached": 900, "written": 500, "provider": "anthropic"}, (1400, 4, False)),
        # A part without its whole does not tell it.
        ({"cached": 7}, (None, None, False)),
        ({"output": 5, "reasoning": 4}, (None, 5, True)),
        # Names of Anthropic's may have come with its counts.
        ({"input": 1012, "output": 40, "cache_read": 1000, "provider": "anthropic"}, (1012, 40, False)),
        ({"input": 1012, "output": 40, "cache_read": 0, "provider": "anthropic"}, (1012, 40, True)),
        ({"input": 1012, "output": 40, "cache_read": 1000, "provider": "openai"}, (1012, 40, True)),
        ({"input": 1012, "output": 40, "cache_read": 1000, "total": 1052, "provider": "anthropic"}, (1012, 40, True)),
        # The AI SDK 5 copies and adds up; 6 tells what was not cached.
        ({"input": 12, "output": 4, "ai_cached": 9, "total": 16, "provider": "anthropic.messages"}, (21, 4, True)),
        ({"input": 12, "output": 4, "ai_cached": 9, "total": 25, "provider": "amazon-bedrock"}, (21, 4, True)),
        ({"input": 12, "output": 4, "ai_cached": 9, "total": 16, "provider": "openai.chat"}, (12, 4, True)),
        ({"input": 12, "output": 4, "ai_cached": 9, "uncached": 3, "provider": "anthropic.messages"}, (12, 4, True)),
        # A total that nothing explains.
        ({"input": 100, "output": 20, "total": 150}, (100, 20, False)),
        ({"input": 100, "output": 20, "total": 90}, (100, 20, False)),
        ({"input": 100, "total": 150}, (100, None, False)),
        ({"total": 150}, (None, None, False)),
        ({"input": 0, "output": 0, "total": 150}, (None, None, False)),
        # Gemini's has thoughts that nobody wrote down, or what a tool of its own has read.
        ({"input": 111, "output": 28, "cached": 17, "total": 145, "provider": "gcp.gen_ai"}, (111, 34, False)),
        # A total of 0 is a placeholder.
        ({"input": 100, "output": 20, "total": 0}, (100, 20, True)),
    ],
)
def test_what_is_whole(fields: dict[str, Any], expected: tuple[int | None, int | None, bool]) -> None:
    """The span's total decides, else the convention; where numbers rule that out the provider, or it is listed."""
    assert read(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": 12, "output": 40, "cached": 1000}, (1012, 40, True)),
        ({"input": 1200, "output": 40, "cached": 1000, "written": 5}, (2205, 40, True)),
        ({"input": 1200, "output": 40, "cached": 1000, "total": 1240}, (2200, 40, True)),
        ({"input": 1200, "output": 40, "cached": 1000, "total": 2240}, (2200, 40, True)),
        ({"cached": 1000, "output": 40}, (1000, 40, True)),
    ],
)
def test_a_copy(fields: dict[str, Any], expected: tuple[int, int, bool]) -> None:
    """Where an instrumentation copies what it was told, its own sum of both proves nothing."""
    assert read(COPIED, **fields) == expected


@pytest.mark.parametrize("key", TOTAL_KEYS)
def test_every_total(key: str) -> None:
    """Each total proves the same."""
    counts = {KEYS["input"]: 12, KEYS["output"]: 40, KEYS["cached"]: 1000}
    tally = read_usage({**counts, key: 1052}, Role.MODEL)
    assert tally is not None
    assert (tally.tokens[:2], tally.problems) == ([1012, 40], None)


@pytest.mark.parametrize(("scope", "last"), COPYING_SCOPES.items())
def test_every_copying_scope(scope: str, last: str | None) -> None:
    """Up to the version that was read; of a later one it is open, unless the numbers tell."""
    for version in (last, "0.1.0"):
        assert habit_of(scope, version) == COPIED
    if last is not None:
        for version in (f"{last}.1", None):
            later = habit_of(scope, version)
            assert read(later, input=12, output=40, cached=1000, total=52) == (1012, 40, True)
            assert read(later, input=1012, output=40, cached=1000, total=1052) == (1012, 40, False)
    assert habit_of(f"{scope}.other", last) is None
    first = CONVERTING_FROM.get(scope)
    assert first is None or (habit_of(scope, first), habit_of(scope, "99.0")) == (None, None)


@pytest.mark.parametrize(
    ("provider", "cache", "reasoning"),
    [
        ("anthropic", True, False),
        ("Anthropic", True, False),
        ("aws.bedrock", True, False),
        ("aws_bedrock", True, False),
        ("AWS", True, False),
        ("amazon-bedrock", True, False),
        ("bedrock_converse", True, False),
        ("vertex.anthropic.messages", True, False),
        ("gcp.gemini", False, True),
        ("gcp.gen_ai", False, True),
        ("gcp.vertex_ai", False, True),
        ("google", False, True),
        ("Google-GLA", False, True),
        ("openai", False, False),
        ("az.ai.openai", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_providers(provider: str | None, cache: bool, reasoning: bool) -> None:  # noqa: FBT001 - a table's columns
    """Anthropic and Bedrock have cached tokens beside, Google reasoning, however they are spelled."""
    assert (counts_cache_beside(provider), counts_reasoning_beside(provider)) == (cache, reasoning)


class Writer(NamedTuple):
    """Who writes a call's tokens, and how."""

    is_cache_beside: bool
    is_reasoning_beside: bool
    has_total: bool
    adds_up: bool
    provider: str | None
    is_conventional: bool
    version: str | None


COUNTS = st.integers(0, 40) | st.integers(0, 10**6)
PROVIDERS = st.sampled_from(["anthropic", "aws.bedrock", "openai", "gcp.gemini", "my-own", None])
WRITERS = st.builds(
    Writer, *([st.booleans()] * 4), PROVIDERS, st.booleans(), st.sampled_from(["0.62.4", "0.63.0", None])
)


@given(st.tuples(*([COUNTS] * 5)), WRITERS)
@example((12, 1000, 0, 40, 0), Writer(True, False, True, True, "aws.bedrock", False, "0.62.4"))  # noqa: FBT003 - a row
def test_the_truth_or_a_problem(truth: tuple[int, ...], writer: Writer) -> None:
    """However parts were counted, it comes out true or listed.

    But for one thing, which no number shows: parts that fit into the whole beside which they were counted, in the names
    of a convention that has them inside, by somebody of whom that is not known.
    """
    uncached, cached, written, text, reasoning = truth
    whole, made = uncached + cached + written, text + reasoning
    fields: dict[str, Any] = {
        "input": uncached if writer.is_cache_beside else whole,
        "output": text if writer.is_reasoning_beside else made,
        "cached" if writer.is_conventional else "cache_read": cached,
        "written": written,
        "reasoning": reasoning,
    }
    if writer.has_total:
        fields["total"] = fields["input"] + fields["output"] if writer.adds_up else whole + made
    if writer.provider is not None:
        fields["provider"] = writer.provider
    is_copy = writer.is_cache_beside and not writer.is_reasoning_beside
    habit = habit_of("opentelemetry.instrumentation.bedrock", writer.version) if is_copy and writer.adds_up else None
    is_proven = (writer.has_total and not writer.adds_up) or habit is not None
    assume(is_proven or not writer.is_cache_beside or cached + written > fields["input"])
    assume(is_proven or not writer.is_reasoning_beside or reasoning > fields["output"])
    read_input, read_output, is_certain = read(habit, **fields)
    is_nothing = not whole and not made
    assert not is_certain or (read_input or 0, read_output or 0) == (whole, made) or is_nothing


def test_definitions_are_spellings() -> None:
    """Each part that a convention defines is one that is read."""
    assert all(read_usage({key: 0}, Role.OTHER) is not None for key in INSIDE_BY_DEFINITION)
