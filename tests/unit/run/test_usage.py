# SPDX-License-Identifier: Apache-2.0
"""Usage: every spelling of tokens and costs, and how figures fold so that each leaf counts once."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import Problem, SpanLimits
from agent_outcomes.run.aggregates import cover_span
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.model import Cost, CostPart, Usage
from agent_outcomes.run.tally import COUNT_MAX, Tally, cost_of, problems_of, totals_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import (
    BESIDE_BY_DEFINITION,
    CACHE_WRITE,
    CACHED,
    COST_KEY_SET,
    DETAIL_KEYS,
    INPUT,
    OBJECT_KEYS,
    OUTPUT,
    REASONING,
    TOKEN_KEYS,
    TOLD_KEYS,
    TOTAL_KEYS,
    USAGE_KEYS,
)
from agent_outcomes.semconv import CostKind, CostSource, ProblemKind
from tests.hostile import HOSTILE_ATTRIBUTES, armed


def details_of(whole: str, names: list[str]) -> list[str]:
    """How details of the prompt or the completion are spelled, but for those that stand before them."""
    other = {"prompt": "input", "completion": "output"}[whole]
    usage = [f"gen_ai.usage.{word}_details" for word in (f"{whole}_tokens", f"{other}_tokens", f"{other}_token")]
    spelled = [f"{key}.{name}" for key in (*usage, f"llm.token_count.{whole}_details") for name in names]
    return [key for key in spelled if key not in BEFORE_DETAILS]


# By one instrumentation or another from early on.
BEFORE_DETAILS = {
    "gen_ai.usage.prompt_tokens_details.cached_tokens",
    "gen_ai.usage.input_tokens_details.cached_tokens",
    "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
    "gen_ai.usage.completion_tokens_details.reasoning_tokens",
    "gen_ai.usage.output_tokens_details.reasoning_tokens",
    "llm.token_count.prompt_details.cache_read",
    "llm.token_count.prompt_details.cache_write",
    "llm.token_count.completion_details.reasoning",
}

# Spellings of one count, the one that is read first standing first.
EXPECTED_TOKENS = {
    INPUT: [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "gen_ai.aggregated_usage.input_tokens",
        "confident.llm.input_token_count",
    ],
    OUTPUT: [
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.aggregated_usage.output_tokens",
        "confident.llm.output_token_count",
    ],
    CACHED: [
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
        *details_of("prompt", ["cached_tokens", "cache_read", "cache_read_tokens"]),
    ],
    CACHE_WRITE: [
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
        *details_of("prompt", ["cache_creation_tokens", "cache_creation", "cache_write", "cache_write_tokens"]),
    ],
    REASONING: [
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
        *details_of("completion", ["reasoning_tokens", "reasoning"]),
    ],
}
EXPECTED_TOTALS = {
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
    "ag2.usage.total_tokens",
}
EXPECTED_OBJECTS = {
    "langfuse.observation.usage_details",
    "mlflow.chat.tokenUsage",
    "braintrust.metrics",
    "genkit:output",
}
EXPECTED_DETAILS = {"gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details"}
EXPECTED_COSTS: dict[str, tuple[Any, str]] = {
    "gen_ai.usage.cost.amount": (0.25, "0.25"),
    "operation.cost": (0.0012, "0.0012"),
    "gen_ai.usage.cost": ("0.5", "0.5"),
    "gen_ai.usage.total_cost": (3, "3"),
    "gen_ai.usage.cost_usd": (0.6, "0.6"),
    "gen_ai.cost.total_cost": (0.02, "0.02"),
    "litellm.cost.total": (0.03, "0.03"),
    "llm.usage.total_cost": (0.04, "0.04"),
    "llm.cost.total": (1e-6, "0.000001"),
    "gen_ai.cost.input_cost": (0.015, "0.015"),
    "gen_ai.cost.output_cost": (0.005, "0.005"),
    "litellm.cost.input": (0.016, "0.016"),
    "litellm.cost.output": (0.006, "0.006"),
    "gen_ai.usage.input_cost": (0.1, "0.1"),
    "gen_ai.usage.output_cost": (0.2, "0.2"),
    "llm.cost.prompt": (0.3, "0.3"),
    "llm.cost.completion": (0.4, "0.4"),
    "langfuse.observation.cost_details": ('{"input": 1, "total": 0.1}', "0.1"),
    "mlflow.llm.cost": ('{"input_cost": 1, "total_cost": 0.02}', "0.02"),
    "mlflow.trace.cost": ('{"total_cost": "0.03"}', "0.03"),
    "usage.cost": (0.00012, "0.00012"),
    "embabel.llm.cost": ("0.00028", "0.00028"),
    "gen_ai.client.estimated_cost": ("0.0004USD", "0.0004"),
    "ai.response.providerMetadata": ('{"openai": {}, "gateway": {"cost": "0.00459"}}', "0.00459"),
}
SPELLINGS = [(dimension, key) for dimension, keys in EXPECTED_TOKENS.items() for key in keys]


def leaf(tokens: int | None = None, cost: str | None = None, role: Role = Role.MODEL) -> Tally:
    attributes: dict[str, Any] = {}
    if tokens is not None:
        attributes["gen_ai.usage.input_tokens"] = tokens
    if cost is not None:
        attributes["gen_ai.usage.cost"] = cost
    tally = read_usage(attributes, role)
    return tally if tally is not None else Tally()


def cover(below: Tally, own: Tally) -> None:
    cover_span(below, below.copy(), own)


def total(*tallies: Tally) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


@pytest.mark.parametrize(("dimension", "key"), SPELLINGS)
def test_token_spelling(dimension: int, key: str) -> None:
    """Each spelling is read as its count."""
    tally = read_usage({key: 7}, Role.OTHER)
    assert tally is not None
    # What is never in the output is all that is known of it.
    known = {dimension, OUTPUT} if key in BESIDE_BY_DEFINITION else {dimension}
    assert tally.tokens == [7 if index in known else None for index in range(5)]


@pytest.mark.parametrize("dimension", EXPECTED_TOKENS)
def test_token_spellings_rank(dimension: int) -> None:
    """Of several spellings on one span the most specific one is read, in whatever order they were set."""
    keys = EXPECTED_TOKENS[dimension]
    for first, second in itertools.pairwise(keys):
        for attributes in ({first: 1, second: 2}, {second: 2, first: 1}):
            tally = read_usage(attributes, Role.OTHER)
            assert tally is not None
            assert tally.tokens[dimension] == 1


@pytest.mark.parametrize(("key", "stated"), EXPECTED_COSTS.items())
def test_cost_key(key: str, stated: tuple[Any, str]) -> None:
    """Each cost key is read exactly, in dollars."""
    value, amount = stated
    tally = read_usage({key: value}, Role.MODEL)
    assert tally is not None
    assert (tally.reported, tally.unpriced, tally.problems) == ({"USD": Decimal(amount)}, 0, None)


@pytest.mark.parametrize(
    ("metadata", "amount"),
    [
        ('{"openrouter": {"usage": {"cost": 0.1, "costDetails": {"upstreamInferenceCost": null}}}}', "0.1"),
        ('{"openrouter": {"usage": {"cost": 0.30000000000000004, "costDetails": {}}}}', "0.3"),
        # Of a key of one's own the cost is a fee.
        ('{"openrouter": {"usage": {"cost": 0.1, "costDetails": {"upstreamInferenceCost": 2}}}}', None),
        ('{"gateway": {"cost": null}}', None),
        ('{"gateway": {"marketCost": "1"}}', None),
        ('{"gateway": "cost"}', None),
        ('{"shop": {"cost": "7"}}', None),
        ('{"gateway": {"cost": "7"}', None),
        ('["cost"]', None),
    ],
)
def test_cost_told_by_a_gateway(metadata: str, amount: str | None) -> None:
    """What is no gateway's word for its price says nothing."""
    for role in (Role.MODEL, Role.AGENT):
        tally = read_usage({"ai.response.providerMetadata": metadata, "gen_ai.usage.input_tokens": 5}, role)
        assert tally is not None
        # The SDK writes what was said of the last call on the run's span, too.
        expected = amount if role is Role.MODEL else None
        assert tally.reported == (None if expected is None else {"USD": Decimal(expected)})
        assert tally.problems is None


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        ("0.00028$", {"USD": Decimal("0.00028")}),
        ("12 EUR", {"EUR": Decimal(12)}),
        ("0.5€", {"EUR": Decimal("0.5")}),
        (0.25, {"USD": Decimal("0.25")}),
        ("0.1UNKNOWN", None),
        ("0.1 dollars", None),
        ("$0.1", None),
        ("1e-5USD", None),
        ("-1USD", None),
    ],
)
def test_cost_with_its_currency(value: object, reported: dict[str, Decimal] | None) -> None:
    """What is no currency, or no plain amount, is refused and listed."""
    tally = read_usage({"gen_ai.client.estimated_cost": value}, Role.MODEL)
    assert tally is not None
    assert (tally.reported, tally.problems is None) == (reported, reported is not None)


def test_every_key_is_expected() -> None:
    """A spelling added to a table without a row written here fails."""
    assert {key: dimension for dimension, key in SPELLINGS} == TOKEN_KEYS
    assert set(EXPECTED_COSTS) == COST_KEY_SET
    assert set(TOTAL_KEYS) == EXPECTED_TOTALS
    assert set(OBJECT_KEYS) == EXPECTED_OBJECTS
    assert set(DETAIL_KEYS) == EXPECTED_DETAILS
    counted = {*TOKEN_KEYS, *EXPECTED_TOTALS, *EXPECTED_OBJECTS, *EXPECTED_DETAILS, *TOLD_KEYS}
    assert {*counted, *EXPECTED_COSTS, "agent.cost.amount"} == USAGE_KEYS


def test_cost_keys_rank() -> None:
    """Of several cost keys one is read: a plain amount before its parts, parts before JSON."""
    attributes = {
        "mlflow.llm.cost": '{"total_cost": 3}',
        "llm.cost.prompt": 2,
        "operation.cost": 1,
        "llm.cost.total": 9,
    }
    tally = read_usage(attributes, Role.MODEL)
    assert tally is not None
    assert tally.reported == {"USD": Decimal(1)}


@pytest.mark.parametrize(
    ("count", "taken"),
    [
        (0, 0),
        (COUNT_MAX, COUNT_MAX),
        (None, None),
        (9.0, 9),
        (-0.0, 0),
        (float(COUNT_MAX), COUNT_MAX),
        ("120", 120),
        ("9.0", 9),
        ("9.", 9),
        (" 7 ", 7),
        ("007", 7),
        (str(COUNT_MAX), COUNT_MAX),
    ],
)
def test_count_taken(count: object, taken: object) -> None:
    """Whole numbers up to 2**53, nothing included, be they text (Micrometer has nothing else) or doubles."""
    tally = read_usage({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": count}, Role.OTHER)
    assert tally is not None
    assert (tally.tokens[OUTPUT], tally.problems) == (taken, None)


@pytest.mark.parametrize(
    "count",
    [
        *(COUNT_MAX + 1, 2**200, -1, True, [5], {"a": 1}, b"5"),
        *(9.5, -1.0, float("nan"), float("inf"), float(2 * COUNT_MAX)),
        *("", "9.5", "-1", "+5", "1e3", "1_000", "1,000", "0x10", "٣", "9" * 65, "many", str(COUNT_MAX + 1)),
    ],
)
def test_count_refused(count: object) -> None:
    """What is no count, or one that a double cannot tell from its neighbor, is listed."""
    tally = read_usage({"gen_ai.usage.input_tokens": count}, Role.OTHER)
    assert tally is not None
    assert tally.tokens[INPUT] is None
    assert list(tally.problems or ()) == [Problem(ProblemKind.INVALID_COUNT, "gen_ai.usage.input_tokens")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        "{}",
        "[" * 4000,
        '{"total_cost": null}',
        '{"total_cost": true}',
        '{"total_cost": NaN}',
        '{"total_cost": 1e9999999}',
        '{"total_cost": 1e99999999999999999999}',
        f'{{"total_cost": {"9" * 4000}}}',
        f'{{"total_cost": 0.1}}{" " * 5000}',
        5,
    ],
)
def test_json_cost_refused(text: object) -> None:
    """JSON that states no exact cost is listed."""
    tally = read_usage({"mlflow.llm.cost": text}, Role.MODEL)
    assert tally is not None
    assert (tally.reported, tally.unpriced) == (None, 1)
    assert list(tally.problems or ()) == [Problem(ProblemKind.INVALID_AMOUNT, "mlflow.llm.cost")]


def test_nothing_reported() -> None:
    """A span that is no call and reports nothing has no tally."""
    assert read_usage({"http.route": "/"}, Role.OTHER) is None
    assert read_usage({}, Role.AGENT) is None
    assert totals_of(None) == Usage()
    assert cost_of(None, open_below=False) == Cost()
    assert cost_of(None, open_below=True) == Cost(complete=False)


def test_leaves_add_up() -> None:
    """Siblings add, in every dimension."""
    tally = total(leaf(10, "0.1"), leaf(20, "0.2"), leaf(role=Role.TOOL), leaf(None, None))
    assert totals_of(tally) == Usage(input_tokens=30, model_calls=3, tool_calls=1)
    assert cost_of(tally, open_below=False) == Cost(
        (CostPart(CostKind.LLM, "USD", Decimal("0.3")),), CostSource.REPORTED, complete=False
    )


def test_aggregate_is_covered() -> None:
    """An enclosing span's own figure counts only where nothing below reported one."""
    below = total(leaf(10, "0.1"), leaf(20, "0.2"))
    cover(below, leaf(30, "0.3", Role.OTHER))
    assert (totals_of(below).input_tokens, cost_of(below, open_below=False).complete) == (30, True)
    bare = Tally()
    cover(bare, leaf(30, "0.3", Role.OTHER))
    assert (totals_of(bare).input_tokens, cost_of(bare, open_below=False).complete) == (30, True)


@pytest.mark.parametrize("own", [leaf(31, None, Role.OTHER), leaf(None, "0.31", Role.OTHER)], ids=["tokens", "cost"])
def test_aggregate_above_its_leaves(own: Tally) -> None:
    """Where it exceeds them it stands, so that no figure is lost, with a problem and an incomplete cost."""
    below = total(leaf(10, "0.1"), leaf(20, "0.2"))
    cover(below, own)
    assert totals_of(below).input_tokens == max(30, own.tokens[INPUT] or 0)
    assert cost_of(below, open_below=False).by_currency() == own.reported or {"USD": Decimal("0.3")}
    assert not cost_of(below, open_below=False).complete
    assert problems_of(below) == [Problem(ProblemKind.USAGE_MISMATCH)]


def test_open_below() -> None:
    """A span still open leaves the cost incomplete."""
    assert cost_of(leaf(1, "1"), open_below=False).complete is True
    assert cost_of(leaf(1, "1"), open_below=True).complete is False


def test_without_any_use_there_is_no_completeness() -> None:
    """A run that used nothing that costs has no cost, complete or not."""
    assert cost_of(leaf(role=Role.TOOL), open_below=False) == Cost()


def test_tokens_nobody_priced() -> None:
    """An aggregate of tokens was spent on calls that cost something."""
    assert cost_of(leaf(5, None, Role.AGENT), open_below=False).complete is False
    assert cost_of(leaf(0, None, Role.AGENT), open_below=False).complete is None


def test_sum_too_large_is_listed() -> None:
    """A sum of counts past 2**53 is refused and listed like a count."""
    tally = total(leaf(COUNT_MAX, "1"), leaf(COUNT_MAX, "1"))
    assert totals_of(tally).input_tokens is None
    assert problems_of(tally) == [Problem(ProblemKind.INVALID_COUNT, "agent.run.input_tokens")]


def test_metered_costs_are_always_added() -> None:
    """`agent.cost.*` counts on every span, whatever lies below, per kind and currency."""
    metered = {"agent.cost.amount": "2.5", "agent.cost.kind": "human", "agent.cost.currency": "eur"}
    tally = Tally()
    for _ in range(2):
        own = read_usage(metered, Role.OTHER)
        assert own is not None
        cover(tally, own)
    tally.add(leaf(1, "0.5"))
    assert cost_of(tally, open_below=False) == Cost(
        (CostPart(CostKind.HUMAN, "EUR", Decimal(5)), CostPart(CostKind.LLM, "USD", Decimal("0.5"))),
        CostSource.REPORTED,
        complete=True,
    )


def test_problems_are_bounded() -> None:
    """Problems of many spans are kept once each, and so many at most."""
    tally = Tally()
    for number in range(1000):
        tally.note([Problem(ProblemKind.INVALID_COUNT, f"key{number % 500}")] * 2)
    assert len(problems_of(tally)) == 32


LEAVES = st.lists(
    st.tuples(st.none() | st.integers(0, 10**6), st.none() | st.decimals(0, 1000, places=6).map(str)), max_size=12
)


@given(LEAVES, st.randoms(use_true_random=False))
def test_sum_does_not_depend_on_order(leaves: list[tuple[int | None, str | None]], random: Any) -> None:
    """Usage and cost are the sums of the leaves, in whatever order and grouping they fold."""
    straight = total(*(leaf(*row) for row in leaves))
    shuffled = list(leaves)
    random.shuffle(shuffled)
    groups = Tally()
    while shuffled:
        size = random.randint(1, len(shuffled))
        groups.add(total(*(leaf(*row) for row in shuffled[:size])))
        del shuffled[:size]
    assert totals_of(groups) == totals_of(straight)
    assert cost_of(groups, open_below=False) == cost_of(straight, open_below=False)
    reported = [tokens for tokens, _ in leaves if tokens]
    assert totals_of(straight).input_tokens == (sum(reported) if reported else None)
    costs = [Decimal(cost) for tokens, cost in leaves if cost is not None and (tokens is None or Decimal(cost))]
    assert cost_of(straight, open_below=False).by_currency() == ({"USD": sum(costs, Decimal(0))} if costs else {})


@given(HOSTILE_ATTRIBUTES, st.sampled_from(Role), st.none() | st.integers(0, 40))
def test_total(attributes: dict[str, Any], role: Role, limit: int | None) -> None:
    """No attributes raise, and a cost that cannot be taken leaves the cost incomplete."""
    attributes = armed(attributes)
    tally = read_usage(attributes, role, SpanLimits(limit))
    if tally is not None:
        cost = cost_of(tally, open_below=False)
        assert all(part.amount >= 0 for part in cost.parts)
        assert all(count is None or 0 <= count <= COUNT_MAX for count in tally.tokens)
        of_tokens = {ProblemKind.INVALID_COUNT, ProblemKind.UNKNOWN_KIND, ProblemKind.USAGE_MISMATCH}
        lost = {problem.kind for problem in problems_of(tally)} - of_tokens
        assert not lost or cost.complete is False


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_currency_of_a_reported_cost_that_may_have_been_cut_is_none(limit: int) -> None:
    """USDT cut to three letters is no US dollar."""
    attributes = {"gen_ai.usage.cost.amount": 0.5, "gen_ai.usage.cost.currency": "USDT"[:limit]}
    tally = read_usage(attributes, Role.MODEL, SpanLimits(limit))
    assert tally is not None
    assert tally.reported is None
    assert [str(problem) for problem in problems_of(tally)] == ["invalid_currency:gen_ai.usage.cost.currency"]
