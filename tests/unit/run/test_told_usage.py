# SPDX-License-Identifier: Apache-2.0
"""What a provider has said of a call, beside the counts that an SDK made of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import NO_LIMITS, SpanLimits
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.pricing import compute_cost
from agent_outcomes.run.tally import problems_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import ADK_RESPONSE, AI_SDK_METADATA

if TYPE_CHECKING:
    from agent_outcomes.run.tally import Tally

ANTHROPIC = {"gen_ai.system": "anthropic.messages"}
GOOGLE = {"gen_ai.system": "google.generative-ai"}
BEDROCK = {"gen_ai.system": "amazon-bedrock"}
OPENAI = {"gen_ai.system": "openai.responses"}


def tally_of(attributes: dict[str, Any], role: Role = Role.MODEL, limits: SpanLimits = NO_LIMITS) -> Tally:
    tally = read_usage(attributes, role, limits)
    assert tally is not None
    return tally


def told(input_tokens: int | None, output_tokens: int | None, metadata: object, **more: Any) -> dict[str, Any]:
    counts = {"ai.usage.promptTokens": input_tokens, "ai.usage.completionTokens": output_tokens}
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    return {**{key: count for key, count in counts.items() if count is not None}, AI_SDK_METADATA: text, **more}


def usage_of(cached: int, written: int, read: int = 31) -> dict[str, Any]:
    return {
        "anthropic": {
            "usage": {
                "input_tokens": read,
                "output_tokens": 9,
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": written,
                "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
                "service_tier": "standard",
            },
            "cacheCreationInputTokens": written,
        }
    }


@pytest.mark.parametrize(
    ("attributes", "expected", "problems"),
    [
        # A copy of what the provider calls its input, and one of all that it has read.
        (told(31, 9, usage_of(500, 60), **ANTHROPIC), [591, 9, 500, 60, None], []),
        (told(591, 9, usage_of(500, 60), **ANTHROPIC), [591, 9, 500, 60, None], []),
        (told(31, 9, usage_of(7, 0), **ANTHROPIC), [38, 9, 7, 0, None], []),
        (told(31, 9, usage_of(0, 0), **ANTHROPIC), [31, 9, 0, 0, None], []),
        # Neither of the two.
        (told(99, 9, usage_of(50, 0), **ANTHROPIC), [99, 9, 50, 0, None], ["usage_mismatch"]),
        # A gateway's model says whose it is in the metadata alone.
        (told(31, 9, {**usage_of(7, 0), "gateway": {"cost": "0.1"}}, **{"gen_ai.system": "gateway"}), None, []),
        # The output as the stream began is no count of it.
        (told(31, 140, usage_of(7, 0), **ANTHROPIC), [38, 140, 7, 0, None], []),
        # The counts that only the provider has told.
        (told(None, None, usage_of(7, 0), **ANTHROPIC), [38, 9, 7, 0, None], []),
        # Parts without their whole: larger than it they are beside, else it is open.
        (
            told(8, 25, {"anthropic": {"cacheCreationInputTokens": 20, "cacheReadInputTokens": 90}}, **ANTHROPIC),
            [118, 25, 90, 20, None],
            [],
        ),
        (told(10, 60, {"bedrock": {"usage": {"cacheReadInputTokens": 77}}}, **BEDROCK), [87, 60, 77, None, None], []),
        (
            told(100, 60, {"bedrock": {"usage": {"cacheReadInputTokens": 77}}}, **BEDROCK),
            [100, 60, 77, None, None],
            ["usage_mismatch"],
        ),
        # Gemini's thoughts, left out of the output and in it.
        (
            told(
                30,
                12,
                {
                    "google": {
                        "usageMetadata": {
                            "promptTokenCount": 30,
                            "candidatesTokenCount": 12,
                            "thoughtsTokenCount": 44,
                            "totalTokenCount": 86,
                        }
                    }
                },
                **GOOGLE,
            ),
            [30, 56, None, None, 44],
            [],
        ),
        (
            told(
                30,
                56,
                {
                    "vertex": {
                        "usageMetadata": {"promptTokenCount": 30, "candidatesTokenCount": 12, "thoughtsTokenCount": 44}
                    }
                },
                **GOOGLE,
            ),
            [30, 56, None, None, 44],
            [],
        ),
        # OpenAI has all parts inside.
        (
            told(300, 50, {"openai": {"cachedPromptTokens": 256, "reasoningTokens": 40, "responseId": "r"}}, **OPENAI),
            [300, 50, 256, None, 40],
            [],
        ),
        # What says nothing of tokens changes nothing.
        (told(31, 9, {"xai": {}}, **ANTHROPIC), [31, 9, None, None, None], []),
        (told(31, 9, "{broken", **ANTHROPIC), [31, 9, None, None, None], []),
        (told(31, 9, "[1]", **ANTHROPIC), [31, 9, None, None, None], []),
    ],
)
def test_what_the_metadata_tell(
    attributes: dict[str, Any], expected: list[int | None] | None, problems: list[str]
) -> None:
    """The AI SDK hands on a provider's number or has converted it: its own number says which."""
    tally = tally_of(attributes)
    assert tally.tokens == (expected or [38, 9, 7, 0, None])
    assert list(map(str, problems_of(tally))) == problems


COUNTS = st.integers(1, 40) | st.integers(1, 10**6)
PARTS = st.just(0) | COUNTS


class Call(NamedTuple):
    """What a call has used, whose it was, and how an SDK has handed that on."""

    fresh: int
    cached: int
    written: int
    text: int
    thoughts: int
    is_converted: bool
    has_total: bool


@given(st.builds(Call, COUNTS, PARTS, PARTS, COUNTS, PARTS, st.booleans(), st.booleans()))
def test_the_truth_however_it_was_handed_on(call: Call) -> None:
    """Copied or converted, with an SDK's own sum of both or without: input and output hold all of their parts."""
    whole, made = call.fresh + call.cached + call.written, call.text + call.thoughts
    counts = {"promptTokenCount": whole, "candidatesTokenCount": call.text, "thoughtsTokenCount": call.thoughts}
    google = {"google": {"usageMetadata": {**counts, "totalTokenCount": whole + made}}}
    anthropic = usage_of(call.cached, call.written, call.fresh)
    for provider, metadata, copied, truth in (
        ("anthropic", anthropic, (call.fresh, call.text), (whole, call.text)),
        ("google", google, (whole, call.text), (whole, made)),
    ):
        read, answered = truth if call.is_converted else copied
        total = {"ai.usage.totalTokens": read + answered} if call.has_total else {}
        tally = tally_of(told(read, answered, metadata, **total, **{"gen_ai.system": provider}))
        assert (*tally.tokens[:2], list(problems_of(tally))) == (*truth, [])


def test_only_a_call_is_told_of() -> None:
    """On the span around all calls it is what the last of them was told."""
    for role in (Role.AGENT, Role.OTHER):
        assert tally_of(told(31, 9, usage_of(500, 60), **ANTHROPIC), role).tokens == [31, 9, None, None, None]


def test_what_a_limit_has_cut_is_listed_where_it_may_matter() -> None:
    """Of a provider that counts parts beside the rest."""
    limits = SpanLimits(60)
    attributes = told(31, 9, json.dumps(usage_of(500, 60))[:60])
    for provider, problems in ((ANTHROPIC, [f"text_truncated:{AI_SDK_METADATA}"]), (OPENAI, [])):
        assert list(map(str, problems_of(tally_of({**attributes, **provider}, limits=limits)))) == problems


def test_what_is_billed_otherwise_has_no_price() -> None:
    """A search of the provider's own costs more than tokens."""
    for searches, is_priced in ((0, True), (3, False)):
        metadata = usage_of(0, 0)
        metadata["anthropic"]["usage"]["server_tool_use"] = {"web_search_requests": searches}
        attributes = told(31, 9, metadata, **ANTHROPIC, **{"gen_ai.response.model": "any"})
        tally = tally_of(attributes)
        compute_cost(tally, attributes, lambda _: (Decimal("0.5"), "USD"))
        assert (tally.computed is not None) is is_priced


def answer(usage: object, name: str = "usageMetadata", said: str = "hello") -> str:
    return json.dumps({"content": {"role": "model", "parts": [{"text": said}]}, name: usage, "finishReason": "STOP"})


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("name", ["usageMetadata", "usage_metadata"])
def test_what_adk_was_answered(name: str, separators: tuple[str, str]) -> None:
    """Thoughts that ADK has left out of the output, in the words of its two languages."""
    names = {
        "usageMetadata": ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
        "usage_metadata": ("prompt_token_count", "candidates_token_count", "thoughts_token_count"),
    }[name]
    usage = dict(zip(names, (210, 14, 33), strict=True))
    said = 'a "usageMetadata": {"candidatesTokenCount": 1} of somebody else'
    text = json.dumps(json.loads(answer(usage, name, said)), separators=separators)
    counts = {"gen_ai.usage.input_tokens": 210, "gen_ai.system": "gcp.vertex.agent"}
    for output in (14, 47):
        tally = tally_of({**counts, "gen_ai.usage.output_tokens": output, ADK_RESPONSE: text})
        assert (tally.tokens, list(problems_of(tally))) == ([210, 47, None, None, 33], [])


@pytest.mark.parametrize("text", ["{}", "", answer(None), answer([1]), answer({})[:-30], '{"usageMetadata": {"a"'])
def test_an_answer_without_usage_says_nothing(text: str) -> None:
    """Nor does one that breaks off."""
    counts = {"gen_ai.usage.input_tokens": 210, "gen_ai.usage.output_tokens": 14, "gen_ai.system": "gcp.vertex.agent"}
    tally = tally_of({**counts, ADK_RESPONSE: text})
    assert (tally.tokens[:2], list(problems_of(tally))) == ([210, 14], [])


def test_thoughts_of_older_adk() -> None:
    """Under a name of its own they are beside what was answered, however many they are."""
    for thoughts in (3, 76, 900):
        counts = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 76, "gen_ai.system": "gcp.vertex.agent"}
        tally = tally_of({**counts, "gen_ai.usage.experimental.reasoning_tokens": thoughts})
        assert (tally.tokens[1], list(problems_of(tally))) == (76 + thoughts, [])


@pytest.mark.parametrize(
    ("version", "expected"),
    [("4.3.19", (2000, [])), ("5.0.60", (2000, [])), ("6.0.1", (1200, [])), (None, (1200, ["usage_mismatch"]))],
)
def test_the_ai_sdk_renamed(version: str | None, expected: tuple[int, list[str]]) -> None:
    """Somebody who renames its counts, and adds up a total, leaves them as they were."""
    attributes = {
        "ai.operationId": "ai.generateText.doGenerate",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 800,
        "gen_ai.usage.total_tokens": 1250,
    }
    tally = tally_of(attributes if version is None else {**attributes, "ai.sdk.version": version})
    assert (tally.tokens[0], list(map(str, problems_of(tally)))) == expected
