# SPDX-License-Identifier: Apache-2.0
"""How a call was served, wherever a span says so: in an attribute, the request's parameters or the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.attribute_reader import NO_LIMITS, SpanLimits
from agent_outcomes.run.terms import (
    ANSWER_KEYS,
    FIELDS,
    REQUEST_KEYS,
    SERVICE_TIER_KEYS,
    Terms,
    is_usual,
    read_terms,
)
from agent_outcomes.run.usage_keys import ADK_RESPONSE, AI_SDK_METADATA
from tests.hostile import HOSTILE_ATTRIBUTES, armed

MAPS = [key for key in (*ANSWER_KEYS, *REQUEST_KEYS) if key != ADK_RESPONSE]
WITHIN = [None, "usage", "usageMetadata", "extra_body", "config"]


def stated(key: str, within: str | None = None, **fields: Any) -> dict[str, Any]:
    """An attribute with these fields, beside others, as its writer has them."""
    if key == ADK_RESPONSE:
        return {key: json.dumps({"content": {"parts": []}, "usage_metadata": {"total_token_count": 9, **fields}})}
    inner = {"model": "m", **(fields if within is None else {within: fields})}
    return {key: json.dumps({"some_provider": inner} if key == AI_SDK_METADATA else inner)}


def term(name: str, word: str) -> Terms:
    return Terms(*(word if place == FIELDS[name] else None for place in range(len(Terms._fields))))


@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("key", MAPS)
def test_in_parameters_and_answers(key: str, name: str, within: str | None) -> None:
    """Every name of every term, beside the other parameters or where its provider puts it."""
    assert read_terms(stated(key, within, **{name: "flex"}), NO_LIMITS) == term(name, "flex")


@pytest.mark.parametrize("name", FIELDS)
def test_in_an_answer_of_adk(name: str) -> None:
    """There it stands in the usage."""
    assert read_terms(stated(ADK_RESPONSE, **{name: "flex"}), NO_LIMITS) == term(name, "flex")


@pytest.mark.parametrize("word", ["fast", "normal"])
def test_a_speed_by_itself(word: str) -> None:
    """What was cut may be any other word."""
    assert read_terms({"speed": word}, NO_LIMITS) == term("speed", word)
    assert is_usual(word) is (word == "normal")
    assert read_terms({"speed": word}, SpanLimits(len(word), has_dropped=False)) is None
    assert read_terms({"speed": 1.25}, NO_LIMITS) == Terms()


def test_a_tier_with_its_type() -> None:
    """Bedrock's is a map."""
    assert read_terms(stated(AI_SDK_METADATA, serviceTier={"type": "priority"}), NO_LIMITS) == Terms("priority")


TIERS = {
    **{key: {key: "answer"} for key in SERVICE_TIER_KEYS[:3]},
    **{key: stated(key, service_tier="answer") for key in ANSWER_KEYS},
}
REQUESTED_TIERS = {
    **{key: {key: "request"} for key in SERVICE_TIER_KEYS[3:]},
    **{key: stated(key, service_tier="request") for key in REQUEST_KEYS},
}


@pytest.mark.parametrize("request_key", REQUESTED_TIERS)
@pytest.mark.parametrize("answer_key", TIERS)
def test_the_answer_before_the_request(answer_key: str, request_key: str) -> None:
    """A tier that was asked for may not have been given."""
    for spans in ((TIERS[answer_key], REQUESTED_TIERS[request_key]), (REQUESTED_TIERS[request_key], TIERS[answer_key])):
        assert read_terms({**spans[0], **spans[1]}, NO_LIMITS) == Terms("answer")


@pytest.mark.parametrize("answer_key", SERVICE_TIER_KEYS[:3])
@pytest.mark.parametrize(("answer", "tier"), [("auto", "request"), ("fp_50cad350e4", "request"), ("flex", "flex")])
def test_an_answer_that_says_nothing(answer_key: str, answer: str, tier: str) -> None:
    """Instrumentations fill in what was not said, and one of them with something else."""
    attributes = {answer_key: answer, **stated(REQUEST_KEYS[0], service_tier="request")}
    assert read_terms(attributes, NO_LIMITS) == Terms(tier)


def test_left_to_the_project() -> None:
    """Where nothing else is said, that is what was asked for."""
    assert read_terms(stated(REQUEST_KEYS[0], service_tier="auto"), NO_LIMITS) == Terms("auto")


@pytest.mark.parametrize("value", [None, "", 1.25, True, ["flex"], {"kind": "flex"}, "x" * 65])
@pytest.mark.parametrize("name", FIELDS)
def test_no_term(name: str, value: object) -> None:
    """A voice has a speed, too: a number."""
    assert read_terms(stated(REQUEST_KEYS[0], None, **{name: value}), NO_LIMITS) == Terms()


@pytest.mark.parametrize(
    "text",
    [
        "flex",
        'the "service_tier": "flex" is cheap',
        json.dumps({"messages": [{"content": json.dumps({"service_tier": "flex"})}]}),
        json.dumps({"tools": [{"parameters": {"speed": {"type": "string", "default": "fast"}}}]}),
        json.dumps({"messages": [{"tool_calls": [{"arguments": {"speed": "fast"}}]}]}),
    ],
)
def test_what_is_talked_about(text: str) -> None:
    """What a user, a tool or a model says is no parameter of the call."""
    for key in (*ANSWER_KEYS, *REQUEST_KEYS):
        assert read_terms({key: text}, NO_LIMITS) == Terms()


@pytest.mark.parametrize(("word", "is_lost"), [("priority", True), ("default", False), ("standard", False)])
@pytest.mark.parametrize("name", FIELDS)
def test_parameters_that_were_cut(name: str, word: str, is_lost: bool) -> None:  # noqa: FBT001 - a column
    """Terms that are stated in a text of which a part is missing may be anybody's: not to be taken, nor left out."""
    text = json.dumps({name: word, "messages": "m" * 50})
    for value, limits in ((text[:80], SpanLimits(80)), (f"{text[:-1]}{' ' * 65_536}", NO_LIMITS)):
        assert read_terms({REQUEST_KEYS[0]: value}, limits) == (None if is_lost else Terms())


@pytest.mark.parametrize("key", SERVICE_TIER_KEYS)
def test_a_tier_that_was_cut(key: str) -> None:
    """What is left of it may be another one's name."""
    assert read_terms({key: "flex"}, SpanLimits(4)) is None
    assert read_terms({key: "flex"}, SpanLimits(5)) == Terms("flex")


@pytest.mark.parametrize("word", ["auto", "default", "Standard", "standard_only", "ON_DEMAND", "ServiceTier.DEFAULT"])
def test_usual(word: str) -> None:
    """What providers call the tier of everybody, however it is spelled."""
    assert is_usual(word)
    assert not is_usual(f"{word}x")


@given(HOSTILE_ATTRIBUTES, st.none() | st.integers(0, 40))
def test_total(attributes: dict[str, Any], limit: int | None) -> None:
    """No attributes raise."""
    keys = (*SERVICE_TIER_KEYS, *ANSWER_KEYS, *REQUEST_KEYS)
    renamed: dict[str, Any] = dict(zip(keys, armed(attributes).values(), strict=False))
    terms = read_terms(renamed, SpanLimits(limit))
    assert terms is None or {type(word) for word in terms} <= {str, type(None)}
