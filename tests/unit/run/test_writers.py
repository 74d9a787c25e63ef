# SPDX-License-Identifier: Apache-2.0
"""Who hands on what a provider told them, and who counts wrong: by scope, version, provider and model."""

from __future__ import annotations

from typing import Any

import pytest

from agent_outcomes.run.conventions import Role
from agent_outcomes.run.tally import problems_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import TOKEN_KEYS
from agent_outcomes.run.writers import (
    ECHOING_SCOPES,
    MISCOUNTS,
    OWN_COUNTS,
    RELAYING_SCOPES,
    THOUGHTS_OPEN_SCOPES,
    WRITING_SCOPES,
    in_known_keys,
    is_miscounted,
)

COUNTS: dict[str, Any] = {"gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 40}
CACHED = {"gen_ai.usage.cache_read.input_tokens": 300}
GENAI = "opentelemetry.instrumentation.google_genai"


def read(scope: str, **attributes: Any) -> tuple[int | None, int | None, list[str]]:
    """Input, output, and the problems."""
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    tally = read_usage({**COUNTS, **given}, Role.MODEL, scope=scope)
    assert tally is not None
    return tally.tokens[0], tally.tokens[1], list(map(str, problems_of(tally)))


@pytest.mark.parametrize("scope", sorted(RELAYING_SCOPES))
@pytest.mark.parametrize("total", [{}, {"gen_ai.usage.total_tokens": 940}])
def test_every_relaying_scope(scope: str, total: dict[str, Any]) -> None:
    """Parts of those who count beside may be either way, whatever the names and a total say; others' are inside."""
    for provider in ("anthropic", "Anthropic", "aws.bedrock", "AwsBedrock", "amazon-bedrock"):
        given = {"gen_ai.provider.name": provider, **total}
        assert read(scope, **CACHED, **given) == (900, 40, ["usage_mismatch"])
        assert read(scope, **{"gen_ai.usage.cache_read.input_tokens": 5000}, **given) == (5900, 40, [])
        assert read(scope, **given) == (900, 40, [])
    assert read(scope, **CACHED, **total, gen_ai__provider__name="openai") == (900, 40, [])
    assert read(scope, **CACHED, **total, gen_ai__provider__name="openrouter", llm__model_name="x/claude-9")[2] == []
    google = {"gen_ai.provider.name": "gcp.gemini", "gen_ai.usage.reasoning_tokens": 10, **total}
    assert read(scope, **google) == (900, 40, ["usage_mismatch"])
    assert read(scope, **{**google, "gen_ai.usage.total_tokens": 950}) == (900, 50, [])


REASONED = "gen_ai.usage.reasoning.output_tokens"
WRITTEN = "gen_ai.usage.cache_creation.input_tokens"


@pytest.mark.parametrize("scope", sorted(ECHOING_SCOPES))
@pytest.mark.parametrize("part", [1, 300, 899, 5000])
def test_every_echoing_scope(scope: str, part: int) -> None:
    """Parts are beside where the provider has them there, whatever the names say and however large they are."""
    read_key = "gen_ai.usage.cache_read.input_tokens"
    for provider in ("anthropic", "aws.bedrock"):
        given = {"gen_ai.provider.name": provider}
        assert read(scope, **given, **{read_key: part}) == (900 + part, 40, [])
        assert read(scope, **given, **{read_key: part, WRITTEN: 7}) == (907 + part, 40, [])
        assert read(scope, **given, **{WRITTEN: part}) == (900 + part, 40, [])
    for provider in ("gcp.gemini", "gcp.vertex_ai"):
        assert read(scope, **{"gen_ai.provider.name": provider, REASONED: part}) == (900, 40 + part, [])
    assert read(scope, **{"gen_ai.provider.name": "gcp.gemini", read_key: 300}) == (900, 40, [])
    assert read(scope, **{"gen_ai.provider.name": "openai", read_key: 300, REASONED: 30}) == (900, 40, [])


@pytest.mark.parametrize("scope", sorted(ECHOING_SCOPES))
def test_a_total_of_an_echoing_scope(scope: str) -> None:
    """One that is written says how it is."""
    given = {"gen_ai.provider.name": "anthropic", "gen_ai.usage.cache_read.input_tokens": 300}
    assert read(scope, **given, gen_ai__usage__total_tokens=940) == (900, 40, [])
    assert read(scope, **given, gen_ai__usage__total_tokens=1240) == (1200, 40, [])


@pytest.mark.parametrize("scope", sorted(THOUGHTS_OPEN_SCOPES))
@pytest.mark.parametrize("provider", ["gcp.gen_ai", "gcp.gemini", "gcp.vertex_ai"])
def test_every_scope_whose_thoughts_may_be_beside(scope: str, provider: str) -> None:
    """Unless the numbers tell; cached tokens are inside, and so is what others have reasoned."""
    given = {"gen_ai.provider.name": provider}
    assert read(scope, **given, **{REASONED: 30}) == (900, 40, ["usage_mismatch"])
    assert read(scope, **given, **{REASONED: 41}) == (900, 81, [])
    assert read(scope, **given, **{REASONED: 30, "gen_ai.usage.total_tokens": 940}) == (900, 40, [])
    assert read(scope, **given, **{REASONED: 30, "gen_ai.usage.total_tokens": 970}) == (900, 70, [])
    assert read(scope, **given, **CACHED) == (900, 40, [])
    for other in ("openai", "anthropic", "gemini", "GeminiDotnet"):
        assert read(scope, **{"gen_ai.provider.name": other, REASONED: 30}, **CACHED) == (900, 40, [])


@pytest.mark.parametrize(
    ("model", "is_open"),
    [
        ("claude-sonnet-4-5", True),
        ("anthropic/claude-9", True),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("amazon.nova-pro-v1:0", True),
        ("Claude Opus", True),
        ("gpt-4o", False),
        ("my-claude-like", False),
        ("novation-1", False),
        ("", False),
    ],
)
def test_whose_model_it_is_where_no_provider_is_named(model: str, is_open: bool) -> None:  # noqa: FBT001 - a column
    """Or where a framework's own name stands in its place."""
    for provider in ({}, {"gen_ai.system": "trpc.go.agent"}):
        problems = read("trpc.agent.go", **CACHED, **provider, gen_ai__request__model=model)[2]
        assert problems == (["usage_mismatch"] if is_open else [])


def test_other_scopes_are_taken_at_their_word() -> None:
    """The conventions have parts inside, and an application that keeps to them must not be doubted."""
    for scope in ("my.app", "", *(f"{scope}.other" for scope in WRITING_SCOPES)):
        assert read(scope, **CACHED, gen_ai__provider__name="anthropic") == (900, 40, [])
        assert read(scope, **{"gen_ai.provider.name": "gcp.gemini", REASONED: 30}) == (900, 40, [])


@pytest.mark.parametrize(
    ("version", "attributes", "is_wrong"),
    [
        ("0.5b0", {"code.function.name": "google.genai.Models.generate_content_stream"}, True),
        ("0.6b0", {"code.function.name": "google.genai.AsyncModels.generate_content_stream"}, True),
        ("0.7b0", {"code.function.name": "google.genai.Models.generate_content_stream"}, False),
        ("0.6b0", {"code.function.name": "google.genai.Models.generate_content"}, False),
        ("0.7b1", {"gen_ai.request.model": "gemini-2.5-flash"}, True),
        ("0.7b1", {"gen_ai.request.model": "models/gemini-3-pro"}, True),
        ("0.7b1", {"gen_ai.request.model": "gemini-2.0-flash"}, False),
        ("0.7b2", {"gen_ai.request.model": "gemini-2.5-flash"}, False),
        (None, {"gen_ai.request.model": "gemini-2.5-flash"}, False),
        ("0.5b0", {"gen_ai.request.model": 7}, False),
    ],
)
def test_who_counts_wrong(version: str | None, attributes: dict[str, Any], is_wrong: bool) -> None:  # noqa: FBT001
    """Up to the version that was mended, of the calls that it is wrong of."""
    assert is_miscounted(GENAI, version, attributes) is is_wrong
    assert not is_miscounted("my.app", version, attributes)
    assert set(MISCOUNTS) == {GENAI}


@pytest.mark.parametrize(
    ("scope", "role", "own", "known"),
    [(scope, role, own, known) for scope, (role, names) in OWN_COUNTS.items() for own, known in names.items()],
)
def test_names_of_their_own(scope: str, role: Role, own: str, known: str) -> None:
    """They say so in this scope and on such spans alone, and less than a convention's name on the same span."""
    assert known in TOKEN_KEYS
    assert in_known_keys(scope, role, {own: 7})[known] == 7
    assert in_known_keys(scope, role, {own: 7, known: 9})[known] == 9
    assert known not in in_known_keys(scope, role, {"model": "m"})
    assert in_known_keys(f"{scope}.other", role, {own: 7}) == {own: 7}
    for other in set(Role) - {role}:
        assert in_known_keys(scope, other, {own: 7}) == {own: 7}
