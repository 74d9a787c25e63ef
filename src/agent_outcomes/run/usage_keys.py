# SPDX-License-Identifier: Apache-2.0
"""The attributes in which every known convention reports tokens and costs of model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT, OUTPUT, CACHED, CACHE_WRITE, REASONING = range(5)
DIMENSIONS: Final = 5

# Parts as details of their whole, in one attribute for each: providers' names for details under conventions' for usage.
_DETAIL_NAMES: Final[Mapping[int, tuple[str, ...]]] = {
    CACHED: ("cached_tokens", "cache_read", "cache_read_tokens"),
    CACHE_WRITE: ("cache_creation_tokens", "cache_creation", "cache_write", "cache_write_tokens"),
    REASONING: ("reasoning_tokens", "reasoning"),
}
_INPUT_DETAILS: Final = (
    "gen_ai.usage.prompt_tokens_details",
    "gen_ai.usage.input_tokens_details",
    "gen_ai.usage.input_token_details",
    "llm.token_count.prompt_details",
)
_OUTPUT_DETAILS: Final = (
    "gen_ai.usage.completion_tokens_details",
    "gen_ai.usage.output_tokens_details",
    "gen_ai.usage.output_token_details",
    "llm.token_count.completion_details",
)


def _with_details(dimension: int, *keys: str) -> tuple[str, ...]:
    """These spellings, and behind them those of details that are not among them."""
    details = _OUTPUT_DETAILS if dimension == REASONING else _INPUT_DETAILS
    spelled = [f"{whole}.{name}" for whole in details for name in _DETAIL_NAMES[dimension]]
    return (*keys, *(key for key in spelled if key not in keys))


# Spellings of one token count, most specific convention first; the first one present is read.
SPELLINGS: Final[Mapping[int, tuple[str, ...]]] = {
    INPUT: (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "gen_ai.aggregated_usage.input_tokens",
        "confident.llm.input_token_count",
    ),
    OUTPUT: (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.aggregated_usage.output_tokens",
        "confident.llm.output_token_count",
    ),
    CACHED: _with_details(
        CACHED,
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.input_tokens.cache_read",
        "llm.usage.cache_read_input_tokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
        "gen_ai.usage.cache.read_input_tokens",
        "llm.usage.cached_tokens",
    ),
    CACHE_WRITE: _with_details(
        CACHE_WRITE,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.cache_creation_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.input_tokens.cache_creation",
        "llm.usage.cache_creation_input_tokens",
        "llm.usage.cache_write_input_tokens",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
        "gen_ai.usage.cache.creation_input_tokens",
    ),
    REASONING: _with_details(
        REASONING,
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.thinking_tokens",
        "gen_ai.usage.thoughts_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "gen_ai.usage.experimental.reasoning_tokens",
        "gen_ai.aggregated_usage.details.reasoning_tokens",
    ),
}
TOKEN_KEYS: Final[Mapping[str, int]] = {key: dim for dim, keys in SPELLINGS.items() for key in keys}
TOKEN_RANKS: Final[Mapping[str, int]] = {key: rank for keys in SPELLINGS.values() for rank, key in enumerate(keys)}

# What a span says that all its tokens are: counted nowhere, it proves how parts were counted.
TOTAL_KEYS: Final = (
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
    "ag2.usage.total_tokens",
)

# Parts that OpenTelemetry, OpenInference and Sentry define as counted in their whole, and what the AI SDK 6 calls the
# rest.
INSIDE_BY_DEFINITION: Final = frozenset(
    {
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.input_tokens.cache_write",
        "llm.token_count.prompt_details.cache_creation",
        "gen_ai.usage.input_token_details",
        "gen_ai.usage.output_token_details",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
    }
)
# ADK's of before 2.3, which were Gemini's thoughts beside what it has answered.
BESIDE_BY_DEFINITION: Final = frozenset({"gen_ai.usage.experimental.reasoning_tokens"})
# The AI SDK 5 hands on what a provider calls its input, and adds up the total itself. Later ones say what is left.
AI_SDK_CACHED: Final = "ai.usage.cachedInputTokens"
AI_SDK_UNCACHED: Final = "ai.usage.inputTokenDetails.noCacheTokens"

AI_SDK_VERSION: Final = "ai.sdk.version"

# Whose model it is, most specific convention first. A framework's own name may stand where the provider's belongs.
PROVIDER_KEYS: Final = (
    "gen_ai.provider.name",
    "llm.provider",
    "gen_ai.system",
    "llm.system",
    "ai.model.provider",
    "mlflow.llm.provider",
)

# Usage objects of one JSON attribute, in the words of a provider or of a backend.
LANGFUSE_USAGE: Final = "langfuse.observation.usage_details"
MLFLOW_USAGE: Final = "mlflow.chat.tokenUsage"
BRAINTRUST_USAGE: Final = "braintrust.metrics"
# What a Genkit action has returned: of a model's the usage object is a field, of another's it is nothing we know.
GENKIT_OUTPUT: Final = "genkit:output"
OBJECT_KEYS: Final = (LANGFUSE_USAGE, MLFLOW_USAGE, BRAINTRUST_USAGE, GENKIT_OUTPUT)
# LangSmith's, of the parts alone, which LangChain counts in their whole.
DETAIL_KEYS: Final = ("gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details")
# What the provider itself has said of a call, beside the counts that an SDK made of it: tells what these are.
AI_SDK_METADATA: Final = "ai.response.providerMetadata"
ADK_RESPONSE: Final = "gcp.vertex.agent.llm_response"
TOLD_KEYS: Final = (AI_SDK_METADATA, ADK_RESPONSE)

COUNTED_KEYS: Final = frozenset({*TOKEN_KEYS, *TOTAL_KEYS, *OBJECT_KEYS, *DETAIL_KEYS, *TOLD_KEYS})

# Reported model costs: plain amounts (in US dollars where the convention names no currency), and JSON objects.
PROPOSED_COST: Final = "gen_ai.usage.cost.amount"
PROPOSED_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_KEYS: Final = (
    PROPOSED_COST,
    "operation.cost",
    "gen_ai.usage.cost",
    "gen_ai.usage.cost_usd",
    "gen_ai.usage.total_cost",
    "gen_ai.cost.total_cost",
    "litellm.cost.total",
    "llm.cost.total",
    "llm.usage.total_cost",
    # VoltAgent, Embabel.
    "usage.cost",
    "embabel.llm.cost",
)
PLAIN_COST_KEYS: Final = COST_KEYS[1:]
SPLIT_COST_KEYS: Final = (
    ("gen_ai.usage.input_cost", "gen_ai.usage.output_cost"),
    ("gen_ai.cost.input_cost", "gen_ai.cost.output_cost"),
    ("litellm.cost.input", "litellm.cost.output"),
    ("llm.cost.prompt", "llm.cost.completion"),
)
# Of these LiteLLM says both that they are in the cost of the input and that they are not.
UNSETTLED_COST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "gen_ai.cost.input_cost": (
        "gen_ai.cost.cache_read_cost",
        "gen_ai.cost.cache_creation_cost",
        "gen_ai.cost.tool_usage_cost",
        "gen_ai.cost.guardrail_cost",
    ),
    "litellm.cost.input": (
        "litellm.cost.cache_read",
        "litellm.cost.cache_creation",
        "litellm.cost.tool_usage",
        "litellm.cost.guardrail",
    ),
}
# Quarkus' LangChain4j: a number with the currency behind it, a symbol for these two.
SIGNED_COST: Final = "gen_ai.client.estimated_cost"
CURRENCY_SIGNS: Final[Mapping[str, str]] = {"$": "USD", "€": "EUR"}
JSON_COST_KEYS: Final = ("langfuse.observation.cost_details", "mlflow.llm.cost", "mlflow.trace.cost")
JSON_TOTALS: Final = ("total", "total_cost", "totalCost")
# An answer out of a gateway's cache costs nothing, whatever tokens it repeats.
CACHE_HIT: Final = "litellm.cache_hit"
# What LiteLLM says of one call; its callback writes that on whatever span is current. Nobody adds up runs under these.
ONE_CALL_KEYS: Final = frozenset(
    {
        "gen_ai.cost.total_cost",
        "gen_ai.cost.original_cost",
        "litellm.cost.total",
        "litellm.call_id",
        CACHE_HIT,
        *UNSETTLED_COST_KEYS["gen_ai.cost.input_cost"],
        *UNSETTLED_COST_KEYS["litellm.cost.input"],
        *(key for pair in SPLIT_COST_KEYS for key in pair if key.startswith(("gen_ai.cost.", "litellm."))),
    }
)
COST_KEY_SET: Final = frozenset(
    {*COST_KEYS, *(key for pair in SPLIT_COST_KEYS for key in pair), *JSON_COST_KEYS, SIGNED_COST, AI_SDK_METADATA}
)

USAGE_KEYS: Final = frozenset({*COUNTED_KEYS, *COST_KEY_SET, semconv.AGENT_COST_AMOUNT})
# Read beside them, where they decide what they mean.
EVIDENCE_KEYS: Final = frozenset({*PROVIDER_KEYS, AI_SDK_UNCACHED, AI_SDK_VERSION, CACHE_HIT})

MODEL_NAME_LENGTH_MAX: Final = 256

# What answered, before what was asked for: an alias such as `gpt-4o` or a deployment may stand for several.
MODEL_KEYS: Final = (
    "gen_ai.response.model",
    "llm.response.model",
    "llm.model_name",
    "embedding.model_name",
    "langfuse.observation.model.name",
    "ai.response.model",
    "mlflow.llm.model",
    "confident.llm.model",
)
REQUEST_MODEL_KEYS: Final = ("gen_ai.request.model", "llm.request.model", "ai.model.id")
