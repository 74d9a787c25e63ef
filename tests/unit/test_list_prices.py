# SPDX-License-Identifier: Apache-2.0
"""The package genai-prices behind our spelling of providers: every row, what it does not list, exactness, bounds."""

from __future__ import annotations

import sys
from decimal import Decimal, Inexact, getcontext, localcontext
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot

from agent_outcomes import list_prices
from agent_outcomes.list_prices import FRAMEWORKS, PROVIDER_IDS, ListPrices, canonical_provider, prices_of
from agent_outcomes.run.pricing import ModelCall
from agent_outcomes.settings import SettingsError

KNOWN_IDS = {provider.id for provider in get_snapshot().providers}
IN_2026_NS = 1_793_491_200_000_000_000  # 1 November
MILLION = 1_000_000


@pytest.fixture(scope="module")
def prices() -> ListPrices:
    return ListPrices()


def call(model: str, provider: str | None = None, **more: Any) -> ModelCall:
    counts = {"input_tokens": MILLION, "output_tokens": MILLION, "started_ns": IN_2026_NS, **more}
    return ModelCall(model=model, provider=provider, **counts)


@pytest.mark.parametrize(("word", "provider_id"), PROVIDER_IDS.items())
def test_every_alias(prices: ListPrices, word: str, provider_id: str) -> None:
    """Each row is in canonical form, is needed, and names a provider of the list."""
    assert canonical_provider(word) == word
    assert word == "litellm" or word not in {canonical_provider(one) for one in KNOWN_IDS}
    assert provider_id in KNOWN_IDS | {"litellm"}
    assert prices.provider_id(word.upper().replace("_", "-"), "m") == provider_id


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_a_framework_is_no_provider(prices: ListPrices, name: str) -> None:
    """Then the model's own name tells, where it tells."""
    assert canonical_provider(name) == name
    assert prices.provider_id(name.replace("_", "."), "gpt-4o") is None
    assert prices.provider_id(None, "gpt-4o") is None


# gen_ai.provider.name of the conventions, gen_ai.system before it and as OpenLLMetry spells it, OpenInference's
# llm.provider and llm.system, Pydantic AI's systems.
SPELLINGS = {
    "openai": ["openai", "OpenAI", "openai_chat", "openai-responses"],
    "azure": ["azure.ai.openai", "azure.ai.inference", "az.ai.openai", "az.ai.inference", "azure", "Azure"],
    "aws": ["aws.bedrock", "aws", "AWS", "bedrock", "amazon"],
    "google": [
        *("gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "vertex_ai", "vertexai", "gemini", "google"),
        *("google-gla", "google-vertex", "Google", "VertexAI"),
    ],
    "anthropic": ["anthropic", "Anthropic"],
    "cohere": ["cohere", "Cohere"],
    "deepseek": ["deepseek"],
    "groq": ["groq", "Groq"],
    "mistral": ["mistral_ai", "mistralai", "mistral", "MistralAI"],
    "moonshotai": ["moonshot_ai", "moonshotai"],
    "perplexity": ["perplexity"],
    "x-ai": ["x_ai", "xai", "grok"],
    "fireworks": ["fireworks", "Fireworks"],
    "together": ["together", "TogetherAI", "together_ai"],
    "cerebras": ["cerebras"],
    "openrouter": ["openrouter", "OpenRouter"],
}


@pytest.mark.parametrize(("provider_id", "names"), SPELLINGS.items(), ids=str)
def test_what_telemetry_calls_providers(prices: ListPrices, provider_id: str, names: list[str]) -> None:
    """Every convention's spelling leads to the provider."""
    assert [prices.provider_id(name, "m") for name in names] == [provider_id] * len(names)


@pytest.mark.parametrize("name", ["ollama", "vllm", "ibm.watsonx.ai", "my-openai-gateway", "not-anthropic", "", "None"])
def test_unknown_provider(prices: ListPrices, name: str) -> None:
    """No part of a name makes it a provider: a gateway bills as it likes, a model at home bills nothing per token."""
    with pytest.raises(LookupError):
        prices.provider_id(name, "gpt-4o")
    assert prices(call("gpt-4o", name)) is None


@pytest.mark.parametrize(
    ("model", "provider", "amount"),
    [
        ("gpt-4o-2024-08-06", "openai", "12.5"),
        ("gpt-4o-2024-08-06", "azure.ai.openai", "12.5"),
        ("gpt-4o", None, "12.5"),
        ("gpt-4o", "strands-agents", "12.5"),
        ("openai/gpt-4o", "litellm", "12.5"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "aws.bedrock", "18"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "strands-agents", "18"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", None, "18"),
        ("models/gemini-2.5-flash", "gcp.gemini", "2.8"),
    ],
)
def test_listed(prices: ListPrices, model: str, provider: str | None, amount: str) -> None:
    """A million tokens each way at the provider's rates."""
    assert prices(call(model, provider)) == (Decimal(amount), "USD")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("my-deployment", "azure.ai.openai"),
        ("zzz", None),
        ("ollama/llama3", "litellm"),
        ("claude-sonnet-4-5", "openai"),
    ],
)
def test_unlisted(prices: ListPrices, model: str, provider: str | None) -> None:
    """An unknown model has no price."""
    assert prices(call(model, provider)) is None


def test_the_requested_model_where_the_answering_one_is_unlisted(prices: ListPrices) -> None:
    """A deployment may answer by a name of its own, or be asked for by one."""
    listed = Decimal("12.5"), "USD"
    assert prices(call("my-deployment", "openai", request_model="gpt-4o")) == listed
    assert prices(call("gpt-4o", "openai", request_model="my-deployment")) == listed


def test_cached_tokens_are_part_of_the_input(prices: ListPrices) -> None:
    """3 USD a million, read from the cache 0.3, written to it 3.75: 0.2 + 0.3 + 0.5 of a million."""
    model = "claude-3-7-sonnet-20250219"
    parts = call(model, "anthropic", output_tokens=0, cached_tokens=300_000, cache_write_tokens=500_000)
    assert prices(parts) == (Decimal("0.6") + Decimal("0.09") + Decimal("1.875"), "USD")


def test_reasoning_is_part_of_the_output(prices: ListPrices) -> None:
    """Reasoning tokens are billed as the output that they are."""
    with_reasoning = call("o3-mini", "openai", reasoning_tokens=MILLION - 1)
    assert prices(with_reasoning) == prices(call("o3-mini", "openai")) == (Decimal("5.5"), "USD")


def test_service_tier(prices: ListPrices) -> None:
    """A tier of its own has prices of its own; one that is nothing of its own is billed as usual."""
    usual = prices(call("gpt-5", "openai"))
    flex = prices(call("gpt-5", "openai", service_tier="flex"))
    assert usual is not None
    assert flex is not None
    assert flex[0] * 2 == usual[0]
    assert prices(call("gpt-5", "openai", service_tier="auto")) == usual


@pytest.mark.parametrize("word", ["default", "standard", "standard_only", "on_demand", "ON_DEMAND", "Default"])
@pytest.mark.parametrize(("model", "provider"), [("gpt-5", "openai"), ("claude-haiku-4-5", "anthropic")])
def test_usual_terms(prices: ListPrices, word: str, model: str, provider: str) -> None:
    """Providers have words for what everybody gets."""
    usual = prices(call(model, provider))
    assert usual is not None
    assert prices(call(model, provider, service_tier=word, speed="standard", inference_geo="global")) == usual


@pytest.mark.parametrize(
    ("model", "provider", "terms", "factor"),
    [
        ("gpt-5", "openai", {"service_tier": "flex"}, "0.5"),
        ("gpt-5", "openai", {"service_tier": "ServiceTier.FLEX"}, "0.5"),
        ("gpt-5", "openai", {"service_tier": "priority"}, "2"),
        ("gpt-5", "openai", {"service_tier": "batch"}, "0.5"),
        ("gpt-5", "openai", {"service_tier": "flex", "speed": "standard"}, "0.5"),
        ("claude-haiku-4-5", "anthropic", {"service_tier": "batch"}, "0.5"),
        ("claude-opus-4-8", "anthropic", {"speed": "fast"}, "2"),
        ("claude-opus-4-8", "anthropic", {"speed": "fast", "service_tier": "standard"}, "2"),
    ],
)
def test_listed_terms(prices: ListPrices, model: str, provider: str, terms: dict[str, str], factor: str) -> None:
    """Each has prices of its own."""
    usual, price = prices(call(model, provider)), prices(call(model, provider, **terms))
    assert usual is not None
    assert price == (usual[0] * Decimal(factor), "USD")


@pytest.mark.parametrize(
    ("model", "provider", "terms"),
    [
        ("gpt-5", "openai", {"service_tier": "scale"}),
        ("gpt-5", "openai", {"service_tier": "a tier of tomorrow"}),
        ("gpt-5", "openai", {"speed": "fast"}),
        ("gpt-5", "openai", {"service_tier": "flex", "speed": "fast"}),
        ("gpt-5", "openai", {"service_tier": "flex", "started_ns": 1_789_000_000_000_000_000}),
        ("gpt-5", "azure.ai.openai", {"service_tier": "flex"}),
        ("claude-haiku-4-5", "anthropic", {"service_tier": "priority"}),
        ("claude-haiku-4-5", "anthropic", {"speed": "fast"}),
        ("claude-opus-4-8", "anthropic", {"inference_geo": "us"}),
        ("claude-opus-4-8", "anthropic", {"inference_geo": "us", "speed": "fast"}),
        ("gemini-2.5-flash", "gcp.gemini", {"service_tier": "ON_DEMAND_PRIORITY"}),
        ("gemini-2.5-flash", "gcp.gemini", {"service_tier": "PROVISIONED_THROUGHPUT"}),
        ("llama-3.3-70b-versatile", "groq", {"service_tier": "performance"}),
    ],
)
def test_unlisted_terms(prices: ListPrices, model: str, provider: str, terms: dict[str, Any]) -> None:
    """What the list has no price for, at that time or at all, does not cost what everybody pays."""
    assert prices(call(model, provider)) is not None
    assert prices(call(model, provider, **terms)) is None


def test_prices_of_their_time(prices: ListPrices) -> None:
    """The price is that of the day of the call."""
    dated = [
        (provider.id, model.id)
        for provider in get_snapshot().providers
        for model in provider.models
        if model.id == "o3" and provider.id == "openai"
    ]
    assert dated == [("openai", "o3")]
    before = prices(call("o3", "openai", started_ns=1_746_000_000_000_000_000))
    after = prices(call("o3", "openai", started_ns=IN_2026_NS))
    assert (before, after) == ((Decimal(50), "USD"), (Decimal(10), "USD"))


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        ("whisper-1", {}),
        ("gpt-4o", {"output_tokens": None}),
        ("gpt-4o", {"input_tokens": None}),
    ],
    ids=["billed by the minute", "no output count", "no input count"],
)
def test_what_the_list_cannot_say(prices: ListPrices, model: str, counts: dict[str, None]) -> None:
    """Tokens without a price, or a price without its tokens, would come out too cheap: no price at all."""
    assert prices(call(model, "openai", **counts)) is None


def test_an_embedding_has_no_output(prices: ListPrices) -> None:
    """Where nothing is billed by a count it may be missing, or nothing."""
    for output_tokens in (None, 0):
        price = prices(call("text-embedding-3-small", "openai", output_tokens=output_tokens))
        assert price == (Decimal("0.02"), "USD")


def test_exact_whatever_the_application_computes_with(prices: ListPrices) -> None:
    """One token at 0.15 USD a million is 0.00000015, in a context of two digits that traps rounding, too."""
    with localcontext() as context:
        context.prec = 2
        context.traps[Inexact] = True
        price = prices(call("gpt-4o-mini", "openai", input_tokens=1_234_567, output_tokens=1))
        assert getcontext().prec == 2
    assert price == (Decimal("0.18518565"), "USD")


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """genai-prices keeps what it found; past so many names new ones have no price, and known ones keep theirs."""
    monkeypatch.setattr(list_prices, "MODELS_MAX", 3)
    prices = ListPrices()
    found = [prices(call(f"gpt-4o-{number}", "openai")) is not None for number in range(5)]
    listed = [prices(call("gpt-4o", "openai")), prices(call("gpt-4o-0", "openai"))]
    assert len(prices._seen) == 3
    assert found[3:] == [False, False]
    assert listed[0] is None


def test_an_unlisted_model_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log says which model, and what to do."""
    prices = ListPrices()
    for _ in range(3):
        assert prices(call("home-made", "openai")) is None
    (record,) = caplog.records
    assert "'home-made' of provider 'openai'" in record.getMessage()
    assert "prices=" in record.getMessage()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting and the extra to install."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(SettingsError, match=r"AGENT_OUTCOMES_PRICES.*pip install 'otel-agent-outcomes\[prices\]'"):
        prices_of("genai-prices")


def test_a_function_is_taken_as_it_is() -> None:
    """Only the word brings the package in."""

    def nothing(_: ModelCall) -> None:
        return None

    assert prices_of(nothing) is nothing
    assert prices_of(None) is None
