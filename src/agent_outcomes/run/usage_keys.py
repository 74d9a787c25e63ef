# SPDX-License-Identifier: Apache-2.0
"""The attributes in which every known convention reports tokens and costs of model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.run.langfuse import USAGE_DETAILS

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT, OUTPUT, CACHED, CACHE_WRITE, REASONING = range(5)
DIMENSIONS: Final = 5

# Spellings of one token count, most specific convention first; the first one present is read.
SPELLINGS: Final[Mapping[int, tuple[str, ...]]] = {
    INPUT: (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "gen_ai.aggregated_usage.input_tokens",
    ),
    OUTPUT: (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    CACHED: (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    CACHE_WRITE: (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    REASONING: (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
}
TOKEN_KEYS: Final[Mapping[str, int]] = {key: dim for dim, keys in SPELLINGS.items() for key in keys}
TOKEN_RANKS: Final[Mapping[str, int]] = {key: rank for keys in SPELLINGS.values() for rank, key in enumerate(keys)}

# Reported model costs: plain amounts (in US dollars where the convention names no currency), and JSON objects.
PROPOSED_COST: Final = "gen_ai.usage.cost.amount"
PROPOSED_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_KEYS: Final = (
    PROPOSED_COST,
    "operation.cost",
    "gen_ai.usage.cost",
    "gen_ai.usage.total_cost",
    "llm.cost.total",
)
PLAIN_COST_KEYS: Final = COST_KEYS[1:]
SPLIT_COST_KEYS: Final = (
    ("gen_ai.usage.input_cost", "gen_ai.usage.output_cost"),
    ("llm.cost.prompt", "llm.cost.completion"),
)
JSON_COST_KEYS: Final[Mapping[str, str]] = {
    "langfuse.observation.cost_details": "total",
    "mlflow.llm.cost": "total_cost",
    "mlflow.trace.cost": "total_cost",
}
COST_KEY_SET: Final = frozenset({*COST_KEYS, *(key for pair in SPLIT_COST_KEYS for key in pair), *JSON_COST_KEYS})

USAGE_KEYS: Final = frozenset({*TOKEN_KEYS, USAGE_DETAILS, *COST_KEY_SET, semconv.AGENT_COST_AMOUNT})
