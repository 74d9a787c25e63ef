# SPDX-License-Identifier: Apache-2.0
"""Langfuse's token counts: as OpenAI reports them, as buckets of its own, and what is neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_outcomes.run.conventions import Role
from agent_outcomes.run.langfuse import USAGE_DETAILS, spelled_out
from agent_outcomes.run.tally import totals_of
from agent_outcomes.run.usage import read_usage

CHAT = {
    "prompt_tokens": 101,
    "completion_tokens": 31,
    "total_tokens": 132,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
RESPONSES = {
    "input_tokens": 101,
    "output_tokens": 31,
    "total_tokens": 132,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens_details": {"reasoning_tokens": 5},
}
BUCKETS = {
    "input": 85,
    "input_cached_tokens": 16,
    "output": 26,
    "output_reasoning_tokens": 5,
    "total": 132,
}


@pytest.mark.parametrize("details", [CHAT, RESPONSES, BUCKETS])
def test_same_counts_however_they_are_told(details: dict[str, Any]) -> None:
    """Cached input is a part of the input, reasoning a part of the output; the total is nobody's count."""
    tally = read_usage({USAGE_DETAILS: json.dumps(details)}, Role.MODEL)
    usage = totals_of(tally)
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (101, 31, 16, 5)
    assert usage.model_calls == 1


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"input": 7}, (7, None)),
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": None}, (7, 3)),
        ({"input": 7, "cache_read_input_tokens": 2, "output": 3}, (9, 3)),
        ({"input": True, "output": "3"}, (None, None)),
        ({"seconds": 4}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_part_of_it(details: dict[str, Any], expected: tuple[int | None, int | None]) -> None:
    """What is not told, or is no count, is not known."""
    usage = totals_of(read_usage({USAGE_DETAILS: json.dumps(details)}, Role.MODEL))
    assert (usage.input_tokens, usage.output_tokens) == expected


@pytest.mark.parametrize("text", ["no JSON", "[1]", "7", "{" * 5000, "[" * 4000, 7, None, '{"input": 1}' + " " * 5000])
def test_unreadable(text: object) -> None:
    """What is no JSON object of a sensible length is refused, and listed."""
    assert spelled_out(text) is None
    tally = read_usage({USAGE_DETAILS: text}, Role.MODEL)
    assert tally is not None
    assert [str(problem) for problem in tally.problems or ()] == [f"invalid_count:{USAGE_DETAILS}"]


def test_counts_of_the_conventions_come_first() -> None:
    """An attribute of the span itself is more specific than the JSON."""
    tally = read_usage({USAGE_DETAILS: json.dumps(CHAT), "gen_ai.usage.input_tokens": 7}, Role.MODEL)
    assert totals_of(tally).input_tokens == 7
