# SPDX-License-Identifier: Apache-2.0
"""The short way for leaves: a plan for spans of one shape gives what reading each of them gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.run.call_reading import note_call
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.leaves import Plan, Shapes
from agent_outcomes.run.tally import Tally, cost_of, problems_of, totals_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import (
    AI_SDK_CACHED,
    AI_SDK_UNCACHED,
    CACHE_HIT,
    PLAIN_COST_KEYS,
    PROVIDER_KEYS,
    TOKEN_KEYS,
    TOTAL_KEYS,
    USAGE_KEYS,
)

WORDS = {"chat": Role.MODEL, "embeddings": Role.MODEL, "execute_tool": Role.TOOL}
OPERATION = "gen_ai.operation.name"
INPUT, OUTPUT, CACHED = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
)
CALL = {OPERATION: "chat", INPUT: 812, OUTPUT: 143, CACHED: 512, "gen_ai.usage.cost": 0.0002076}


def plan_of(attributes: dict[str, Any]) -> Plan | None:
    """The plan of a shape that has been seen twice."""
    shapes = Shapes()
    keys = tuple(attributes)
    for _ in range(2):
        shapes.note(keys)
    shape = shapes.get(keys)
    return shape.plans.get(attributes.get(shape.word_key)) if shape is not None else None


def facts(tally: Tally) -> tuple[Any, ...]:
    """All that a tally says."""
    cost = cost_of(tally, open_below=False)
    return (
        totals_of(tally),
        sorted(cost.parts),
        cost.complete,
        set(problems_of(tally)),
        tally.tool_below,
        tally.unpriced,
    )


def both(rows: list[dict[str, Any]]) -> tuple[tuple[Any, ...] | None, tuple[Any, ...]]:
    """What the plan gives of spans of one shape (`None`: it has none), and what reading each of them gives."""
    plan = plan_of(rows[0])
    role = WORDS[rows[0][OPERATION]]
    one_by_one, at_once = Tally(), Tally()
    for row in rows:
        own = read_usage(row, role)
        assert own is not None
        own.note_missing()
        note_call(own, row, role, scope="app", start_ns=1, end_ns=2)
        one_by_one.add(own)
    if plan is None:
        return None, facts(one_by_one)
    times = ("app", 1, 2) if plan.is_call else ()
    plan.add_to(at_once, [(plan, plan.values(row), *times) for row in rows])
    return facts(at_once), facts(one_by_one)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {INPUT: 0},
        {INPUT: "812"},
        {INPUT: 812.0},
        {OUTPUT: 0},
        {CACHED: 813},
        {CACHED: 813, "gen_ai.provider.name": "anthropic"},
        {"gen_ai.usage.cost": 0.0},
        {"gen_ai.usage.cost": 0.0, CACHE_HIT: True},
        {"gen_ai.usage.total_tokens": 955},
        {"gen_ai.usage.total_tokens": 1467},
        {"gen_ai.usage.total_tokens": True, INPUT: 1, OUTPUT: 0, CACHED: 0},
        {"gen_ai.usage.cache_read_input_tokens": 512, "gen_ai.provider.name": "anthropic"},
        {AI_SDK_CACHED: 512, CACHED: 0, "ai.model.provider": "anthropic.messages", "ai.usage.totalTokens": 955},
        {AI_SDK_CACHED: 512, AI_SDK_UNCACHED: 300, "ai.model.provider": "anthropic.messages"},
        {"llm.token_count.prompt": 5, INPUT: 0},
        {"gen_ai.usage.reasoning.output_tokens": 144, "gen_ai.system": "gemini"},
    ],
)
def test_what_a_plan_must_see(change: dict[str, Any]) -> None:
    """Alone and beside plain ones."""
    changed = {**CALL, **dict.fromkeys(change, 0), **change}
    plain = {key: CALL.get(key, "openai" if key in PROVIDER_KEYS else 0) for key in changed}
    for rows in ([changed], [plain, changed], [changed, plain, plain]):
        at_once, one_by_one = both(rows)
        assert at_once == one_by_one


def test_a_plain_call_has_a_plan() -> None:
    """The commonest shape is read the short way."""
    assert plan_of(CALL) is not None
    assert plan_of({**CALL, "langfuse.observation.usage_details": "{}"}) is None
    assert plan_of({**CALL, "agent.cost.amount": 1}) is None


KEYS = st.lists(
    st.sampled_from(sorted({*TOKEN_KEYS, *TOTAL_KEYS, *PLAIN_COST_KEYS, *PROVIDER_KEYS, AI_SDK_UNCACHED, CACHE_HIT})),
    min_size=1,
    max_size=7,
    unique=True,
)
COMMON = st.sampled_from([[INPUT, OUTPUT], [INPUT, OUTPUT, CACHED], [INPUT, OUTPUT, "llm.usage.total_tokens"], []])
COUNTS = st.integers(0, 3) | st.integers(0, 100) | st.sampled_from([0.0, 2.0, 1.5, "7", "x", -1, True, 2**53])
COSTS = st.sampled_from([0, 0.0, 0.25, 1e-6, "0.5", "x", 3, -1.0, 0.1 + 0.2])
PROVIDERS = st.sampled_from(["anthropic", "openai", "gcp.gemini", "aws.bedrock", 7])


@st.composite
def spans_of_one_shape(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Attributes of some leaves with the same keys; most of their counts are plain."""
    keys = list(dict.fromkeys([*draw(COMMON), *draw(KEYS)]))
    word = draw(st.sampled_from(sorted(WORDS)))
    is_plain = draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        row: dict[str, Any] = {OPERATION: word}
        for key in keys:
            if key in PROVIDER_KEYS:
                row[key] = draw(PROVIDERS)
            elif key == CACHE_HIT:
                row[key] = draw(st.booleans())
            elif key in PLAIN_COST_KEYS:
                row[key] = draw(st.sampled_from([0.5, 0.25, 0.0]) if is_plain else COSTS)
            else:
                row[key] = draw(st.integers(0, 20) if is_plain else COUNTS)
        rows.append(row)
    return rows


@given(spans_of_one_shape())
def test_a_plan_gives_what_reading_gives(rows: list[dict[str, Any]]) -> None:
    """In every dimension, with every problem, for spans of any shape that has a plan."""
    at_once, one_by_one = both(rows)
    assert at_once is None or at_once == one_by_one
    if not USAGE_KEYS.isdisjoint(rows[0]):
        assert at_once is not None
