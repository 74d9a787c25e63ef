# SPDX-License-Identifier: Apache-2.0
"""The prices that providers list, out of the package genai-prices: its data come with it, nothing is fetched.

Needs the extra `prices`. The package is imported when its prices are asked for, not before.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.terms import is_usual, plain_word
from agent_outcomes.settings import GENAI_PRICES, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_prices.types import PriceCalculation

    from agent_outcomes.run.pricing import ModelCall, Prices

_log: Final = LimitedLog(logging.getLogger(__name__))

CURRENCY: Final = "USD"
# genai-prices keeps every model it has found by its name; names can be anything.
MODELS_MAX: Final = 1_000
# Wide enough for any price times any count; the application's own context may round to less, or trap it.
_CONTEXT: Final = Context(prec=60, traps=[])

# How telemetry spells a provider (see `canonical_provider`), and what genai-prices calls it; its own ids need no row.
# What it would find by a part of the name is spelled out, since `my-openai-gateway` is not OpenAI.
PROVIDER_IDS: Final[Mapping[str, str]] = {
    "amazon": "aws",
    "amazon_bedrock": "aws",
    "aws_bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "az_ai_inference": "azure",
    "az_ai_openai": "azure",
    "azure_ai_inference": "azure",
    "azure_ai_openai": "azure",
    "azure_openai": "azure",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gcp_gemini": "google",
    "gcp_gen_ai": "google",
    "gcp_vertex_ai": "google",
    "gemini": "google",
    "google_ai_studio": "google",
    "google_genai": "google",
    "google_generativeai": "google",
    "google_gla": "google",
    "google_vertex": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "litellm": "litellm",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshot_ai": "moonshotai",
    "open_router": "openrouter",
    "openai_chat": "openai",
    "openai_responses": "openai",
    "perplexity_ai": "perplexity",
    "together_ai": "together",
    "togetherai": "together",
    "voyage_ai": "voyageai",
    "grok": "x-ai",
    "xai": "x-ai",
}
# Frameworks that write their own name for the provider's: the model's name has to do.
FRAMEWORKS: Final = frozenset(
    {
        "agent_framework",
        "autogen",
        "crewai",
        "gcp_vertex_agent",
        "google_adk",
        "langchain",
        "langgraph",
        "llamaindex",
        "microsoft_agent_framework",
        "semantic_kernel",
        "smolagents",
        "strands",
        "strands_agents",
    }
)
_SEPARATOR: Final = Pattern(r"[\s._-]+")
# Only Bedrock's model ids begin with a vendor and a dot, or with a region before it.
_BEDROCK_MODEL: Final = Pattern(
    r"(?:(?:us|us-gov|eu|apac|jp|au|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\."
)

# Among Anthropic's tiers is its batch, which the list has as a way of processing; Vertex AI's tiers have a prefix.
_BATCH: Final = "batch"
_ON_DEMAND: Final = "on_demand_"


def prices_of(setting: Prices | str | None) -> Prices | None:
    """The prices function that the setting names or is; raises `SettingsError` if its package is not installed."""
    return ListPrices() if isinstance(setting, str) else setting


def canonical_provider(name: str) -> str:
    """The name in lower case, its words joined by one underscore."""
    joined: str = _SEPARATOR.sub("_", name.strip().lower())
    return joined


class ListPrices:
    """Prices calls in US dollars by what their providers listed at the time; calling it may raise anything.

    `None` for a provider or model that the list does not have, or of which it lists no price for what was used, or for
    how it was served.
    Raises `SettingsError` when made without genai-prices installed.
    """

    def __init__(self) -> None:
        try:
            import genai_prices  # noqa: PLC0415 - an extra, and slow to import
            from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - likewise
        except ImportError as error:
            message = (
                f"prices={GENAI_PRICES} (AGENT_OUTCOMES_PRICES) needs the package genai-prices: "
                "pip install 'otel-agent-outcomes[prices]'"
            )
            raise SettingsError(message) from error
        self._genai_prices = genai_prices
        self._ids = {canonical_provider(provider.id): provider.id for provider in get_snapshot().providers}
        self._seen: set[tuple[str | None, str]] = set()

    def __call__(self, call: ModelCall) -> tuple[Decimal, str] | None:
        """The listed price of the call, `None` where there is none."""
        for model in dict.fromkeys((call.model, call.request_model)):
            amount = self._price(call, model) if model is not None else None
            if amount is not None:
                return amount, CURRENCY
        _log.warning(
            "unlisted",
            "no price is listed for model %r of provider %r%s; the cost of its runs is incomplete. "
            "Give prices= a function that knows it.",
            call.model,
            call.provider,
            "".join([f" with {name} {word!r}" for name, word in _context(call).items()]),
        )
        return None

    def provider_id(self, name: str | None, model: str) -> str | None:
        """What genai-prices calls the provider; without one named, only a Bedrock model tells it.

        Raises `LookupError` for a name that is in no table.
        """
        if name is None or canonical_provider(name) in FRAMEWORKS:
            return "aws" if _BEDROCK_MODEL.match(model) else None
        word = canonical_provider(name)
        return PROVIDER_IDS[word] if word in PROVIDER_IDS else self._ids[word]

    def _price(self, call: ModelCall, model: str) -> Decimal | None:
        try:
            provider = self.provider_id(call.provider, model)
            if not self._note_seen(provider, model):
                return None
            started = (
                datetime.now(UTC) if call.started_ns is None else datetime.fromtimestamp(call.started_ns / 1e9, UTC)
            )
            with localcontext(_CONTEXT):
                price = self._calculate(call, model.removeprefix("models/"), provider, started)
        except LookupError:
            return None
        return price.total_price if _covers(price, call) and _lists_terms(price, call, started) else None

    def _calculate(self, call: ModelCall, model: str, provider: str | None, started: datetime) -> PriceCalculation:
        usage = self._genai_prices.Usage(
            input_tokens=call.input_tokens or 0,
            output_tokens=call.output_tokens or 0,
            cache_read_tokens=call.cached_tokens,
            cache_write_tokens=call.cache_write_tokens,
            output_reasoning_tokens=call.reasoning_tokens,
        )
        return self._genai_prices.calc_price(
            usage, model, provider_id=provider, genai_request_timestamp=started, price_context=_context(call) or None
        )

    def _note_seen(self, provider: str | None, model: str) -> bool:
        name = (provider, model)
        if name not in self._seen and len(self._seen) < MODELS_MAX:
            self._seen.add(name)
        return name in self._seen


def _covers(price: PriceCalculation, call: ModelCall) -> bool:
    """Whether the list has a price for the tokens used; a model billed by the minute would come out as free.

    A count that was not reported may be anything, unless nothing is billed by it (an embedding has no output).
    """
    listed = price.model_price
    used = ((call.input_tokens, listed.input_mtok), (call.output_tokens, listed.output_mtok))
    return all((count == 0 or count is None) if price is None else count is not None for count, price in used)


def _context(call: ModelCall) -> dict[str, str]:
    """What is not as usual in how the call was served, in the list's words."""
    context = {}
    if not is_usual(call.service_tier):
        tier = plain_word(call.service_tier).removeprefix(_ON_DEMAND)
        context.update({"processing": tier} if tier == _BATCH else {"service_tier": tier})
    if not is_usual(call.speed):
        context["speed"] = plain_word(call.speed)
    if not is_usual(call.inference_geo):
        context["inference_geo"] = plain_word(call.inference_geo)
    return context


def _lists_terms(price: PriceCalculation, call: ModelCall, started: datetime) -> bool:
    """Whether the list has prices of that time for how the call was served; where it has none it gives the usual ones.

    Those of another provider's model, which stands in for one that this provider does not have, it leaves out.
    """
    context = _context(call)
    if not context:
        return True
    listed: set[str] = set()
    for variant in price.model.price_variants or ():
        is_current = variant.constraint is None or variant.constraint.active(started)
        if is_current and variant.when.items() <= context.items():
            listed.update(variant.when)
    return listed == context.keys() and any(price.model is model for model in price.provider.models)
