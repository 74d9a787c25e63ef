# SPDX-License-Identifier: Apache-2.0
"""Token counts that Langfuse puts into one JSON attribute, spelled out as the conventions would have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

USAGE_DETAILS: Final = "langfuse.observation.usage_details"
_LENGTH_MAX: Final = 4096

_INPUT: Final = "gen_ai.usage.input_tokens"
_OUTPUT: Final = "gen_ai.usage.output_tokens"
_CACHED: Final = "gen_ai.usage.cache_read.input_tokens"
_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

# As OpenAI's two interfaces report usage: what is cached or reasoning is a part of the count before it.
_REPORTS: Final = (
    ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"),
    ("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"),
)
# Langfuse's own: any number of buckets beside each other, told apart by the word in their names.
_CACHED_BUCKETS: Final = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
_REASONING_BUCKETS: Final = ("output_reasoning_tokens", "output_reasoning")


def spelled_out(text: object) -> dict[str, Any] | None:
    """Attributes that say the same as the JSON text; `None` if it is no JSON object. Never raises."""
    if not isinstance(text, str) or len(text) > _LENGTH_MAX:
        return None
    try:
        details = json.loads(str.__str__(text))
    except (ValueError, RecursionError):
        return None
    if not isinstance(details, dict):
        return None
    for report in _REPORTS:
        if report[0] in details and (report[1] in details or report[2] in details):
            return _without_gaps(_of_report(details, report))
    return _without_gaps(_of_buckets(details))


def _of_report(details: Mapping[str, Any], report: tuple[str, str, str, str]) -> dict[str, Any]:
    given, made, given_parts, made_parts = report
    return {
        _INPUT: details.get(given),
        _OUTPUT: details.get(made),
        _CACHED: _part(details.get(given_parts), "cached_tokens"),
        _REASONING: _part(details.get(made_parts), "reasoning_tokens"),
    }


def _of_buckets(details: Mapping[str, Any]) -> dict[str, Any]:
    counts = {key: count for key, count in details.items() if isinstance(count, int) and not isinstance(count, bool)}
    return {
        _INPUT: _sum_of(count for key, count in counts.items() if "input" in key),
        _OUTPUT: _sum_of(count for key, count in counts.items() if "output" in key),
        _CACHED: next((counts[key] for key in _CACHED_BUCKETS if key in counts), None),
        _REASONING: next((counts[key] for key in _REASONING_BUCKETS if key in counts), None),
    }


def _sum_of(counts: Iterator[int]) -> int | None:
    found = list(counts)
    return sum(found) if found else None


def _part(parts: object, name: str) -> object:
    return parts.get(name) if isinstance(parts, dict) else None


def _without_gaps(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: count for key, count in attributes.items() if count is not None}
