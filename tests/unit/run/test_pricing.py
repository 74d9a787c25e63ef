# SPDX-License-Identifier: Apache-2.0
"""What a model call costs by its tokens: which calls are priced, what is taken of a price, and how it folds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import SpanLimits
from agent_outcomes.run.aggregates import cover_call, cover_span
from agent_outcomes.run.call_reading import note_call
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.model import Cost, CostPart
from agent_outcomes.run.pricing import SPLIT_KEYS, ModelCall, compute_cost
from agent_outcomes.run.tally import Tally, cost_of, problems_of
from agent_outcomes.run.terms import SERVICE_TIER_KEYS
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import MODEL_KEYS, MODEL_NAME_LENGTH_MAX, PROVIDER_KEYS, REQUEST_MODEL_KEYS
from agent_outcomes.semconv import CostKind, CostSource
from tests.hostile import HOSTILE_ATTRIBUTES, armed

TOKENS = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
CALL = {"gen_ai.request.model": "small", **TOKENS}
# Billed at rates of their own, or unknown to every table: a kind of token, a way to cache, a search.
UNKNOWN_KEYS = (
    "llm.token_count.prompt_details.audio",
    "llm.token_count.completion_details.audio",
    "gen_ai.usage.audio.input_tokens",
    "gen_ai.usage.image.output_tokens",
    "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
    "gen_ai.usage.cache_something",
    "gen_ai.usage.input_token_details",
    "llm.usage.search_units",
    "ai.usage.imageTokens",
)
A_CENT = (Decimal("0.01"), "USD")


def priced(attributes: dict[str, Any], price: object = A_CENT, limit: int | None = None) -> tuple[Tally, ModelCall]:
    """The tally of a model call with these attributes, and the call that had to be priced."""
    tally, calls = offered(attributes, price, limit)
    (call,) = calls
    return tally, call


def offered(
    attributes: dict[str, Any], price: object = A_CENT, limit: int | None = None, *, is_lossy: bool = False
) -> tuple[Tally, list[ModelCall]]:
    calls: list[ModelCall] = []

    def prices(call: ModelCall) -> object:
        calls.append(call)
        return price

    tally = read_usage(attributes, Role.MODEL, SpanLimits(limit, is_lossy))
    assert tally is not None
    compute_cost(tally, attributes, prices, started_ns=5, limits=SpanLimits(limit))
    note_call(tally, attributes, Role.MODEL)
    return tally, calls


def cover(below: Tally, own: Tally) -> None:
    if own.model_calls:
        cover_call(below, own.copy(), encloses=False)
    else:
        cover_span(below, below.copy(), own)


def cost(tally: Tally) -> Cost:
    return cost_of(tally, open_below=False)


def problems(tally: Tally) -> list[str]:
    return list(map(str, problems_of(tally)))


def of_llm(amount: str, source: CostSource = CostSource.COMPUTED, *, complete: bool = True) -> Cost:
    return Cost((CostPart(CostKind.LLM, "USD", Decimal(amount)),), source, complete)


def reported(amount: str, role: Role = Role.MODEL, **more: Any) -> Tally:
    tally = read_usage({**TOKENS, "gen_ai.usage.cost": amount, **more}, role)
    assert tally is not None
    return tally


def test_every_figure_reaches_the_prices() -> None:
    """Tokens with their parts, both names of the model, provider, service tier, speed, region and start."""
    _, call = priced(
        {
            **CALL,
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": "small-2026-01-01",
            "gen_ai.usage.cache_read.input_tokens": 60,
            "gen_ai.usage.cache_creation.input_tokens": 40,
            "gen_ai.usage.reasoning.output_tokens": 20,
            "openai.response.service_tier": "flex",
            "llm.invocation_parameters": '{"speed": "fast", "inference_geo": "us"}',
        }
    )
    assert call == ModelCall(
        model="small-2026-01-01",
        request_model="small",
        provider="openai",
        input_tokens=100,
        output_tokens=20,
        cached_tokens=60,
        cache_write_tokens=40,
        reasoning_tokens=20,
        service_tier="flex",
        started_ns=5,
        speed="fast",
        inference_geo="us",
    )


@pytest.mark.parametrize(
    ("keys", "field"),
    [(PROVIDER_KEYS, "provider"), (MODEL_KEYS, "model"), (SERVICE_TIER_KEYS, "service_tier")],
    ids=["provider", "model", "tier"],
)
def test_every_spelling(keys: tuple[str, ...], field: str) -> None:
    """Each key is read alone, and of two the one that stands first."""
    base = CALL if field != "model" else TOKENS
    for rank, key in enumerate(keys):
        assert getattr(priced({**base, key: "x"})[1], field) == "x"
        for weaker in keys[rank + 1 :]:
            assert getattr(priced({**base, weaker: "y", key: "x"})[1], field) == "x"


@pytest.mark.parametrize("key", REQUEST_MODEL_KEYS)
def test_a_requested_model_stands_in(key: str) -> None:
    """Where no answer names its model, what was asked for does."""
    _, call = priced({**TOKENS, key: "small"})
    assert (call.model, call.request_model) == ("small", "small")


def test_names_in_json() -> None:
    """MLflow's text attributes are JSON."""
    _, call = priced({**TOKENS, "mlflow.llm.model": '"small"', "mlflow.llm.provider": '"openai"'})
    assert (call.model, call.provider) == ("small", "openai")


@pytest.mark.parametrize(
    "attributes",
    [
        TOKENS,
        {"gen_ai.request.model": "small"},
        {**TOKENS, "gen_ai.request.model": ""},
        {**TOKENS, "gen_ai.request.model": 5},
        {**TOKENS, "gen_ai.request.model": "m" * (MODEL_NAME_LENGTH_MAX + 1)},
        {**CALL, "gen_ai.usage.output_tokens": -1},
        {**CALL, "gen_ai.usage.cache_read.input_tokens": 1.5},
        *({**CALL, key: 5} for key in UNKNOWN_KEYS),
    ],
    ids=["no model", "no tokens", "empty", "no text", "overlong", "bad count", "bad part", *UNKNOWN_KEYS],
)
def test_a_call_that_cannot_be_priced(attributes: dict[str, Any]) -> None:
    """Nobody is asked for a price where the model or a count is not known, or where other rates hold."""
    tally, calls = offered(attributes)
    assert (calls, tally.computed, tally.unpriced) == ([], None, 1)
    assert cost(tally).complete is False


@pytest.mark.parametrize(
    "parts",
    [
        {"gen_ai.usage.cache_read.input_tokens": 101},
        {"gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.usage.cache_creation.input_tokens": 41},
        {"gen_ai.usage.reasoning.output_tokens": 21},
    ],
    ids=["cached", "cached and written", "reasoning"],
)
def test_parts_above_their_whole(parts: dict[str, int]) -> None:
    """Parts that were counted beside their whole would be billed at the wrong rate: listed, not priced."""
    tally, calls = offered({**CALL, **parts})
    assert (calls, problems(tally), cost(tally).complete) == ([], ["usage_mismatch"], False)


@pytest.mark.parametrize("nothing", [0, 0.0, "0"])
def test_audio_of_none_is_no_audio(nothing: object) -> None:
    """Instrumentations write zeros; they change nothing."""
    assert cost(priced({**CALL, **dict.fromkeys(UNKNOWN_KEYS, nothing)})[0]) == of_llm("0.01")


@pytest.mark.parametrize("key", sorted(SPLIT_KEYS))
def test_what_says_a_whole_again(key: str) -> None:
    """Text tokens and what is left beside the cached ones are in the counts, at their price."""
    assert cost(priced({**CALL, key: 5})[0]) == of_llm("0.01")


@pytest.mark.parametrize("key", ["gen_ai.usage.cost.source", "gen_ai.usage.total_tokens", "gen_ai.usage.cost_details"])
def test_keys_beside_the_counts(key: str) -> None:
    """Costs and totals are no kind of tokens."""
    assert cost(priced({**CALL, key: 120})[0]) == of_llm("0.01")


def test_lost_attributes() -> None:
    """With attributes dropped a part of the tokens may be missing."""
    tally, calls = offered(CALL, is_lossy=True)
    assert (calls, cost(tally).complete) == ([], False)


def test_a_name_that_may_be_cut_is_none() -> None:
    """Text as long as the provider's limit may name another model."""
    assert offered(CALL, limit=5)[1] == []
    assert offered(CALL, limit=6)[1] != []


@pytest.mark.parametrize("text", ['{"service_tier": "flex", "inp', '{"speed": "fast", "messages": ['])
def test_terms_that_may_be_cut(text: str) -> None:
    """A call that was served otherwise than usual has no price if it is not certain how."""
    tally, calls = offered({**CALL, "llm.invocation_parameters": text}, limit=len(text))
    assert (calls, cost(tally).complete) == ([], False)


@pytest.mark.parametrize(
    ("amount", "taken"),
    [
        (Decimal("0.01"), "0.01"),
        (Decimal(0), "0"),
        (Decimal("0.0000000000025"), "0.000000000002"),
        (Decimal("0.0000000000035"), "0.000000000004"),
        (Decimal(1) / 3, "0.333333333333"),
        (0.1 + 0.2, "0.3"),
        (2, "2"),
    ],
)
def test_price_is_taken(amount: Any, taken: str) -> None:
    """Exactly where twelve fraction digits hold it, else rounded half to even; nothing is a price, too."""
    assert cost(priced(CALL, (amount, "USD"))[0]) == of_llm(taken)


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        ((Decimal("NaN"), "USD"), "invalid_amount:prices"),
        ((Decimal("1e15"), "USD"), "invalid_amount:prices"),
        ((Decimal("4e-13"), "USD"), "invalid_amount:prices"),
        ((None, "USD"), "invalid_amount:prices"),
        ((True, "USD"), "invalid_amount:prices"),
        (Decimal("0.01"), "invalid_amount:prices"),
        ((Decimal("0.01"),), "invalid_amount:prices"),
        (0, "invalid_amount:prices"),
        ((Decimal("0.01"), "credits"), "invalid_currency:prices"),
        ((Decimal("0.01"), None), "invalid_currency:prices"),
        ((Decimal("-0.01"), "USD"), "negative_cost:prices"),
    ],
)
def test_price_is_refused(price: object, problem: str) -> None:
    """What is no amount of a currency is listed, and the cost is incomplete."""
    tally, _ = priced(CALL, price)
    assert (problems(tally), cost(tally)) == ([problem], Cost(complete=False))


def test_no_price_is_not_nothing() -> None:
    """An unknown model makes the cost incomplete, never 0."""
    tally, _ = priced(CALL, None)
    assert (problems(tally), cost(tally)) == ([], Cost(complete=False))


def test_mix_of_reported_and_computed() -> None:
    """Both add, and the source says that one was computed."""
    run = Tally()
    run.add(reported("0.2"))
    run.add(priced(CALL)[0])
    assert cost(run) == of_llm("0.21")


def test_another_currency() -> None:
    """A price may be in any currency."""
    run = Tally()
    run.add(reported("0.2"))
    run.add(priced(CALL, (Decimal("0.5"), "eur"))[0])
    assert cost(run).by_currency() == {"USD": Decimal("0.2"), "EUR": Decimal("0.5")}


@pytest.mark.parametrize("role", [Role.AGENT, Role.MODEL])
def test_a_reported_total_wins_over_computed_leaves(role: Role) -> None:
    """Whoever reports a cost above calls that were priced knows better, and knows of those without a price."""
    run = Tally()
    run.add(priced(CALL)[0])
    run.add(priced(CALL, None)[0])
    cover(run, reported("0.5", role))
    assert cost(run) == of_llm("0.5", CostSource.REPORTED)


def test_a_reported_total_above_reported_and_computed_leaves() -> None:
    """An aggregate of leaves adds nothing to them; one that exceeds their sum makes the cost incomplete."""
    for total, complete in (("0.20", True), ("0.21", True), ("0.22", False)):
        run = Tally()
        run.add(reported("0.2"))
        run.add(priced(CALL)[0])
        cover(run, reported(total, Role.AGENT))
        assert cost(run) == of_llm(max("0.21", total), complete=complete)


def test_two_instrumentations_of_one_call() -> None:
    """The inner span's price counts once; where only the outer one is priced, its price stands for both."""
    both, _ = priced(CALL)
    cover(both, priced(CALL, (Decimal("0.02"), "USD"))[0])
    assert cost(both) == of_llm("0.01")
    outer, _ = priced(CALL, None)
    cover(outer, priced(CALL)[0])
    assert cost(outer) == of_llm("0.01")
    bare = read_usage({}, Role.MODEL)
    assert bare is not None
    note_call(bare, {}, Role.MODEL)
    cover(bare, priced(CALL)[0])
    assert cost(bare) == of_llm("0.01")


def test_an_outer_price_for_other_tokens() -> None:
    """A wrapper of several calls, or of one with other tokens, does not price them."""
    several = Tally()
    for _ in range(2):
        several.add(priced(CALL, None)[0])
    cover(several, priced({**CALL, "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 40})[0])
    assert cost(several) == Cost(complete=False)
    other, _ = priced(CALL, None)
    cover(other, priced({**CALL, "gen_ai.usage.input_tokens": 99})[0])
    assert cost(other) == Cost(complete=False)


@given(HOSTILE_ATTRIBUTES, st.none() | st.integers(0, 40), st.none() | st.tuples(st.floats(), st.text(max_size=3)))
def test_total(attributes: dict[str, Any], limit: int | None, price: object) -> None:
    """No attributes and no price raise, and what is computed is an amount."""
    tally, _ = offered(armed(attributes), price, limit)
    assert all(amount >= 0 for amount in (tally.computed or {}).values())
