# SPDX-License-Identifier: Apache-2.0
"""Usage objects in one attribute: as providers report them, as Langfuse's buckets, and what is neither."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import SpanLimits
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.pricing import compute_cost
from agent_outcomes.run.tally import totals_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import GENKIT_OUTPUT, MLFLOW_USAGE
from agent_outcomes.run.usage_keys import LANGFUSE_USAGE as USAGE_DETAILS
from agent_outcomes.run.usage_objects import read_object
from agent_outcomes.semconv import ProblemKind

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
        ({"input": True, "output": "3"}, (None, 3)),
        ({"seconds": 4}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_part_of_it(details: dict[str, Any], expected: tuple[int | None, int | None]) -> None:
    """What is not told, or is no count, is not known."""
    usage = totals_of(read_usage({USAGE_DETAILS: json.dumps(details)}, Role.MODEL))
    assert (usage.input_tokens, usage.output_tokens) == expected


@pytest.mark.parametrize("text", ["no JSON", "[1]", "7", "{" * 5000, "[" * 4000, 7, '{"input": 1}' + " " * 5000])
def test_unreadable(text: object) -> None:
    """What is no JSON object of a sensible length is refused, and listed."""
    assert read_object(USAGE_DETAILS, text) is None
    tally = read_usage({USAGE_DETAILS: text}, Role.MODEL)
    assert tally is not None
    assert [str(problem) for problem in tally.problems or ()] == [f"invalid_count:{USAGE_DETAILS}"]


def test_counts_of_the_conventions_come_first() -> None:
    """An attribute of the span itself is more specific than the JSON."""
    tally = read_usage({USAGE_DETAILS: json.dumps(CHAT), "gen_ai.usage.input_tokens": 7}, Role.MODEL)
    assert totals_of(tally).input_tokens == 7


OTHERS: dict[str, dict[str, Any]] = {
    "anthropic": {
        "input_tokens": 12,
        "output_tokens": 40,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
    },
    "anthropic with its split": {
        "input_tokens": 12,
        "output_tokens": 40,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 0},
        "service_tier": "standard",
    },
    "anthropic with somebody's sum": {
        "input_tokens": 12,
        "output_tokens": 40,
        "total_tokens": 52,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
    },
    "bedrock": {
        "inputTokens": 12,
        "outputTokens": 40,
        "totalTokens": 1352,
        "cacheReadInputTokens": 1000,
        "cacheWriteInputTokens": 300,
    },
    "langchain": {
        "input_tokens": 1312,
        "output_tokens": 40,
        "total_tokens": 1352,
        "input_token_details": {"cache_read": 1000, "cache_creation": 300},
    },
    "litellm": {
        "prompt_tokens": 1312,
        "completion_tokens": 40,
        "total_tokens": 1352,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 1000},
    },
    "ai sdk": {
        "inputTokens": 1312,
        "outputTokens": 40,
        "totalTokens": 1352,
        "inputTokenDetails": {"noCacheTokens": 12, "cacheReadTokens": 1000, "cacheWriteTokens": 300},
    },
    "buckets": {"input": 12, "input_cached_tokens": 1000, "input_cache_creation": 300, "output": 40},
    "buckets inside, by their total": {
        "input": 1312,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "output": 40,
        "total": 1352,
    },
}


@pytest.mark.parametrize(
    ("key", "name"),
    [(USAGE_DETAILS, name) for name in OTHERS] + [(MLFLOW_USAGE, name) for name in OTHERS if "buckets" not in name],
)
def test_whose_object_it_is(key: str, name: str) -> None:
    """Each provider's object comes to the same, whatever backend it was given to."""
    tally = read_usage({key: json.dumps(OTHERS[name]), "gen_ai.provider.name": "anthropic"}, Role.MODEL)
    assert tally is not None
    assert (tally.tokens, tally.problems) == ([1312, 40, 1000, 300, None], None)


def test_gemini() -> None:
    """Thoughts are beside the output, what was cached is in the input; a tool's own input is of no other kind."""
    usage = {
        "promptTokenCount": 111,
        "candidatesTokenCount": 28,
        "thoughtsTokenCount": 6,
        "cachedContentTokenCount": 17,
    }
    for total in ({}, {"totalTokenCount": 145}):
        tally = read_usage({USAGE_DETAILS: json.dumps({**usage, **total})}, Role.MODEL)
        assert tally is not None
        assert (tally.tokens, tally.problems) == ([111, 34, 17, None, 6], None)
    more = {**usage, "toolUsePromptTokenCount": 20, "totalTokenCount": 165}
    found = read_object(USAGE_DETAILS, json.dumps(more))
    assert found is not None
    assert found.has_more


@pytest.mark.parametrize(
    ("usage", "has_more"),
    [
        (CHAT, False),
        ({**CHAT, "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0}}, False),
        ({**CHAT, "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 4}}, True),
        ({**CHAT, "completion_tokens_details": {"accepted_prediction_tokens": 4}}, False),
        ({**OTHERS["anthropic"], "cache_creation": {"ephemeral_1h_input_tokens": 300}}, True),
        ({**OTHERS["anthropic"], "server_tool_use": {"web_search_requests": 2}}, True),
        ({**OTHERS["anthropic"], "cache_creation_input_tokens_above_1hr": 5}, True),
        ({**BUCKETS, "input_audio_tokens": 3}, True),
        ({**BUCKETS, "seconds": 3}, True),
        (BUCKETS, False),
    ],
)
def test_what_is_billed_otherwise(usage: dict[str, Any], has_more: bool) -> None:  # noqa: FBT001 - a table's column
    """A kind of tokens that no table has makes the call's price unknown."""
    found = read_object(USAGE_DETAILS, json.dumps(usage))
    assert found is not None
    assert found.has_more is has_more
    attributes = {USAGE_DETAILS: json.dumps(usage), "gen_ai.request.model": "small"}
    tally = read_usage(attributes, Role.MODEL)
    assert tally is not None
    compute_cost(tally, attributes, lambda _: (Decimal("0.01"), "USD"))
    assert (tally.computed is None) is has_more


def test_an_object_beside_attributes() -> None:
    """The span's own counts stand; what they leave open is taken, and what contradicts them is listed."""
    usage = {"input_tokens": 12, "output_tokens": 40, "cache_read_input_tokens": 1000}
    given = {USAGE_DETAILS: json.dumps(usage), "gen_ai.usage.input_tokens": 1012}
    tally = read_usage(given, Role.MODEL)
    assert tally is not None
    assert (tally.tokens, tally.problems) == ([1012, 40, 1000, None, None], None)
    contradicting = read_usage({**given, "gen_ai.usage.input_tokens": 12}, Role.MODEL)
    assert contradicting is not None
    assert list(map(str, contradicting.problems or ())) == ["usage_mismatch"]


def test_an_object_that_is_a_map() -> None:
    """Newer SDKs keep maps as they are."""
    tally = read_usage({USAGE_DETAILS: OTHERS["anthropic"]}, Role.MODEL)
    assert totals_of(tally).input_tokens == 1312


def test_an_object_that_was_cut() -> None:
    """Text as long as the provider's limit may have been longer."""
    text = json.dumps({"input": 7})
    tally = read_usage({USAGE_DETAILS: text}, Role.MODEL, SpanLimits(len(text)))
    assert tally is not None
    assert (tally.tokens[0], list(map(str, tally.problems or ()))) == (None, [f"text_truncated:{USAGE_DETAILS}"])


def genkit_counts(answer: object, role: Role = Role.MODEL) -> tuple[int | None, int | None, int | None, int | None]:
    usage = totals_of(read_usage({GENKIT_OUTPUT: json.dumps(answer)}, role))
    return usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 101, "outputTokens": 31, "totalTokens": 132}, (101, 31, None, None)),
        ({"inputTokens": 101, "outputTokens": 31, "cachedContentTokens": 16}, (101, 31, 16, None)),
        ({"inputTokens": 101, "outputTokens": 26, "thoughtsTokens": 5, "totalTokens": 132}, (101, 31, None, 5)),
        ({"inputTokens": 101, "outputTokens": 31, "thoughtsTokens": 5, "totalTokens": 132}, (101, 31, None, 5)),
        ({"inputTokens": 101, "outputTokens": 31, "thoughtsTokens": 5}, (101, 31, None, 5)),
        ({"inputCharacters": 400}, (None, None, None, None)),
        (None, (None, None, None, None)),
    ],
)
def test_what_a_genkit_model_returns(usage: Any, expected: tuple[int | None, ...]) -> None:
    """Thoughts are beside what was said where the total says so, and a part of it else."""
    assert genkit_counts({"message": {"role": "model"}, "usage": usage}) == expected


def test_what_other_genkit_actions_return_is_no_usage() -> None:
    """A flow and a tool return what their author likes."""
    answer = {"usage": {"inputTokens": 7}}
    assert genkit_counts(answer, Role.AGENT) == genkit_counts(answer, Role.TOOL) == (None, None, None, None)


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, "x" * 70_000, 7, "[]", "7"])
def test_a_genkit_answer_that_cannot_be_read_is_listed(text: object) -> None:
    """And counts nothing."""
    tally = read_usage({GENKIT_OUTPUT: text}, Role.MODEL)
    assert tally is not None
    assert [problem.kind for problem in tally.problems or ()] == [ProblemKind.INVALID_COUNT]
    assert tally.tokens == [None] * 5


@pytest.mark.parametrize("answer", [{}, {"usage": []}, {"usage": None}])
def test_a_genkit_answer_without_counts(answer: object) -> None:
    """Nothing is counted and nothing is wrong."""
    tally = read_usage({GENKIT_OUTPUT: json.dumps(answer)}, Role.MODEL)
    assert tally is not None
    assert (tally.problems, tally.tokens) == (None, [None] * 5)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        # LangChain's own names beside those of Anthropic's answer, which say the same once more.
        ({"cache_creation_input_tokens": 40, "cache_creation_ephemeral_5m_input_tokens": 40}, (52, 40)),
        ({"cache_creation_input_tokens": 40, "cache_creation_ephemeral_1h_input_tokens": 40}, (52, 40)),
        (
            {"input_cache_creation": 0, "input_ephemeral_5m_input_tokens": 30, "input_ephemeral_1h_input_tokens": 8},
            (50, 38),
        ),
        ({"input_ephemeral_1h_input_tokens": 8}, (20, 8)),
        ({"cache_creation_input_tokens": 40, "cache_creation_ephemeral_5m_input_tokens": 0}, (52, 40)),
        # Whatever else is somebody's own bucket of the input.
        ({"input_audio_tokens": 5}, (17, None)),
    ],
)
def test_what_was_written_to_a_cache_by_how_long_it_is_kept(buckets: dict[str, int], expected: tuple[int, int]) -> None:
    """Once, whether the whole of it stands beside its parts or not."""
    tally = read_usage({USAGE_DETAILS: json.dumps({"input": 12, "output": 9, **buckets})}, Role.MODEL)
    assert tally is not None
    assert (tally.tokens[0], tally.tokens[3], tally.problems) == (*expected, None)


def test_tiers_that_contradict_their_whole_are_listed() -> None:
    """The larger of the two counts meanwhile."""
    details = {
        "input": 12,
        "output": 9,
        "cache_creation_input_tokens": 40,
        "cache_creation_ephemeral_5m_input_tokens": 50,
    }
    tally = read_usage({USAGE_DETAILS: json.dumps(details)}, Role.MODEL)
    assert tally is not None
    assert tally.tokens[0] == 62
    assert [problem.kind for problem in tally.problems or ()] == [ProblemKind.INVALID_COUNT]


OWN_BUCKETS = ("input_priority", "input_flex_cache_read", "my_input", "output_priority", "output_scale_reasoning")
COUNTS = st.integers(1, 10_000)


def bucket_counts(details: dict[str, int]) -> tuple[int | None, int | None, list[str]]:
    tally = read_usage({USAGE_DETAILS: json.dumps(details)}, Role.MODEL)
    assert tally is not None
    return tally.tokens[0], tally.tokens[1], list(map(str, tally.problems or ()))


@given(COUNTS, COUNTS, st.dictionaries(st.sampled_from(OWN_BUCKETS), COUNTS, min_size=1), st.randoms())
def test_buckets_that_no_table_has(given_input: int, given_output: int, own: dict[str, int], shuffled: Any) -> None:
    """The total says whether they are beside the others or in them; without one they are somebody's own, beside."""
    names = [*own, "input", "output"]
    shuffled.shuffle(names)
    details = {name: {**own, "input": given_input, "output": given_output}[name] for name in names}
    read = given_input + sum(count for name, count in own.items() if "input" in name)
    made = given_output + sum(count for name, count in own.items() if "output" in name)
    assert bucket_counts(details) == (read, made, [])
    assert bucket_counts({**details, "total": read + made}) == (read, made, [])
    assert bucket_counts({**details, "total": given_input + given_output}) == (given_input, given_output, [])
    found = read_object(USAGE_DETAILS, json.dumps(details))
    assert found is not None
    assert found.has_more


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        # Some in the others, some beside them.
        ({"input_priority": 900, "output_extra": 7, "total": 1057}, (1000, 57, [])),
        ({"input_extra": 900, "output_priority": 7, "total": 1950}, (1900, 50, [])),
        # With parts of a kind that is known, which may be in their whole or beside it.
        ({"input_priority": 900, "input_cached_tokens": 300, "total": 1350}, (1300, 50, [])),
        ({"input_priority": 900, "input_cached_tokens": 300, "total": 1050}, (1000, 50, [])),
        ({"output_priority": 30, "output_reasoning": 20, "total": 1070}, (1000, 70, [])),
        # What proves nothing.
        ({"input_priority": 7, "output_priority": 7, "total": 1057}, (1007, 57, ["usage_mismatch"])),
        ({"input_priority": 900, "total": 1500}, (1900, 50, ["usage_mismatch"])),
    ],
)
def test_what_a_total_says_of_buckets(more: dict[str, int], expected: tuple[int, int, list[str]]) -> None:
    """If it fits one way to count alone."""
    assert bucket_counts({"input": 1000, "output": 50, **more}) == expected


WHOLES = {"gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 80}
READ, MADE = "gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details"
# As LangChain, OpenAI and the AI SDK call them, and the dimension that each is.
NAMED = {"cache_read": 2, "cached_tokens": 2, "cacheReadTokens": 2, "cache_creation": 3, "cacheWriteTokens": 3}
MADE_OF = {"reasoning": 4, "reasoning_tokens": 4, "reasoningTokens": 4}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gcp.gemini"])
@pytest.mark.parametrize(
    ("key", "name", "dimension"), [(k, n, d) for k, ns in ((READ, NAMED), (MADE, MADE_OF)) for n, d in ns.items()]
)
def test_details_alone(key: str, name: str, dimension: int, provider: str) -> None:
    """LangSmith's details of a whole that stands in an attribute of its own, whoever's model it is."""
    given = {**WHOLES, "gen_ai.system": provider, key: json.dumps({name: 33})}
    tally = read_usage(given, Role.MODEL)
    assert tally is not None
    assert (tally.tokens[:2], tally.tokens[dimension], tally.problems) == ([900, 80], 33, None)
    # A part in an attribute of its own says more.
    own = {2: "gen_ai.usage.cache_read.input_tokens", 3: "gen_ai.usage.cache_creation.input_tokens"}
    spelled = own.get(dimension, "gen_ai.usage.reasoning.output_tokens")
    other = read_usage({**given, spelled: 7}, Role.MODEL)
    assert other is not None
    assert other.tokens[dimension] == 7


@pytest.mark.parametrize("key", [READ, MADE])
@pytest.mark.parametrize(
    ("value", "is_priced", "problem"),
    [
        ({}, True, None),
        ({"cache_read": 0, "reasoning": 0, "audio": 0}, True, None),
        ({"audio": 5}, False, None),
        ({"cache_read": -1}, False, ProblemKind.INVALID_COUNT),
        ("none", False, ProblemKind.INVALID_COUNT),
        ("[]", False, ProblemKind.INVALID_COUNT),
        (7, False, ProblemKind.INVALID_COUNT),
    ],
)
def test_details_that_say_nothing_or_too_much(key: str, value: Any, is_priced: bool, problem: Any) -> None:  # noqa: FBT001 - a table's column
    """What is billed otherwise has no price, and what cannot be read is listed; the whole stands."""
    given = {**WHOLES, "gen_ai.request.model": "m", key: json.dumps(value) if type(value) is dict else value}
    tally = read_usage(given, Role.MODEL)
    assert tally is not None
    compute_cost(tally, given, lambda _: (Decimal(1), "USD"))
    assert (tally.tokens[:2], tally.computed is not None) == ([900, 80], is_priced)
    assert [one.kind for one in tally.problems or ()] == ([] if problem is None else [problem])


def test_details_that_were_cut() -> None:
    """Half of them is nothing."""
    text = json.dumps({"cache_read": 33})
    tally = read_usage({**WHOLES, READ: text}, Role.MODEL, SpanLimits(len(text)))
    assert tally is not None
    assert [one.kind for one in tally.problems or ()] == [ProblemKind.TEXT_TRUNCATED]
