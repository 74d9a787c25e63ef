# SPDX-License-Identifier: Apache-2.0
"""What a provider's model is asked for that no token tells the price of: speech, transcripts, rankings, images."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agent_outcomes.run.aggregates import Sums, cover_agent, cover_span
from agent_outcomes.run.conventions import Role, names_other_billing
from agent_outcomes.run.pricing import compute_cost
from agent_outcomes.run.tally import Tally, cost_of, problems_of
from agent_outcomes.run.usage import read_usage
from agent_outcomes.run.usage_keys import MODEL_KEYS, PROVIDER_KEYS, REQUEST_MODEL_KEYS
from tests.hostile import LoudText

KEYS = ["gen_ai.operation.name", "llm.request.type", "gen_ai.request.type", "ai.operationId"]
WORDS = [
    *("tts", "stt", "TTS", "speech", "aspeech", "text_to_speech", "textToSpeech", "TextToSpeech", "speech-to-text"),
    *("speech_to_text_translate", "transcription", "atranscription", "transcribe", "audio", "audio.speech"),
    *("translate", "transliterate", "language_identification", "rerank", "arerank", "reranking", "Rerank"),
    *("ai.rerank", "ai.rerank.doRerank", "ai.generateSpeech", "ai.transcribe.doTranscribe"),
    *("image", "image_generation", "aimage_generation", "ImageGeneration", "edit image", "video", "create_video"),
    *("music_generation", "ocr", "aocr"),
]
OTHER_WORDS = [
    *("", "plan", "retrieval", "create_memory", "search_memory", "create_agent", "execute_task", "judge", "unknown"),
    *("user_prompt_processing", "model_request", "vectordb", "llm_setup", "count_tokens", "chatter", "imagine"),
    *("speechless", "pretranscribed", "a", "_" * 100_000 + "tts"),
]
NAMED = {"gen_ai.provider.name": "somebody", "gen_ai.request.model": "some-model"}


def spoken(**more: Any) -> dict[str, Any]:
    return {KEYS[0]: "tts", **NAMED, **{key.replace("__", "."): value for key, value in more.items()}}


def chat(cost: str = "0.5") -> Tally:
    tally = read_usage({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cost": cost}, Role.MODEL)
    assert tally is not None
    return tally


def is_complete(*tallies: Tally | None) -> bool | None:
    whole = Tally()
    for tally in tallies:
        if tally is not None:
            whole.add(tally)
    assert not problems_of(whole)
    return cost_of(whole, open_below=False).complete


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("word", WORDS)
def test_every_word(word: str, key: str) -> None:
    """However it is spelled, and whatever says it."""
    assert names_other_billing({key: word})
    own = read_usage({key: word, **NAMED}, Role.OTHER)
    assert own is not None
    assert (own.unpriced, own.model_calls, own.tokens) == (1, 0, [None] * 5)
    assert is_complete(chat(), own) is False


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("word", OTHER_WORDS)
def test_other_words(word: str, key: str) -> None:
    """A step that names a model has not been billed for that."""
    assert read_usage({key: word, **NAMED}, Role.OTHER) is None


@pytest.mark.parametrize("key", ["lk.tts.label", "lk.pii.user_transcript", "lk.user_transcript"])
def test_speech_of_livekit(key: str) -> None:
    """Its spans of speech and of transcripts have no operation; one at home has no provider."""
    for said in ("livekit.plugins.somebody.tts.TTS", "", "hello there"):
        own = read_usage({key: said, **NAMED}, Role.OTHER)
        assert is_complete(chat(), own) is False
        assert read_usage({key: said, "gen_ai.request.model": "m"}, Role.OTHER) is None
    assert is_complete(chat(), read_usage({key: "x", **NAMED, "gen_ai.usage.cost": 0.25}, Role.OTHER)) is True


@pytest.mark.parametrize("provider", PROVIDER_KEYS)
@pytest.mark.parametrize("model", [*MODEL_KEYS, *REQUEST_MODEL_KEYS])
def test_a_model_of_a_provider(model: str, provider: str) -> None:
    """What names no model, or nobody who would bill it, is a step of the application's."""
    assert read_usage({KEYS[0]: "rerank", model: "m", provider: "p"}, Role.OTHER) is not None
    for given in ({model: "m"}, {provider: "p"}, {model: "", provider: "p"}, {model: 7, provider: "p"}, {}):
        assert read_usage({KEYS[0]: "rerank", **given}, Role.OTHER) is None


@pytest.mark.parametrize("role", [Role.AGENT, Role.TOOL])
def test_agents_and_tools(role: Role) -> None:
    """They are what they are marked as."""
    assert is_complete(chat(), read_usage(spoken(), role)) is True


@pytest.mark.parametrize(
    "cost",
    [{"gen_ai.usage.cost": 0.25}, {"agent.cost.amount": "0.25"}, {"agent.cost.amount": 0, "agent.cost.kind": "llm"}],
)
def test_what_says_its_price(cost: dict[str, Any]) -> None:
    """Be it metered by the application."""
    assert is_complete(chat(), read_usage({**spoken(), **cost}, Role.OTHER)) is True


def test_no_price_is_asked_for() -> None:
    """Prices are those of tokens."""
    own = read_usage(spoken(), Role.OTHER)
    assert own is not None
    compute_cost(own, spoken(), lambda _: (Decimal(1), "USD"))
    assert (own.computed, own.unpriced) == (None, 1)


def test_one_around_another() -> None:
    """A client's span around that of its request is the same one, priced or not; one around calls is these."""
    for below in (read_usage(spoken(), Role.OTHER), chat(), read_usage(spoken(gen_ai__usage__cost=1), Role.OTHER)):
        own = read_usage(spoken(), Role.OTHER)
        assert below is not None
        assert own is not None
        whole = below.copy()
        cover_span(whole, below, own)
        assert whole.unpriced == below.unpriced


def test_a_total_that_an_agent_reports() -> None:
    """It stands for whatever is below."""
    below, own = read_usage(spoken(), Role.OTHER), read_usage({"gen_ai.usage.cost": 2}, Role.AGENT)
    assert below is not None
    assert own is not None
    whole = below.copy()
    cover_agent(whole, Sums(below, below, below), own)
    assert is_complete(whole) is True


def test_hostile_words() -> None:
    """Text that raises when it is compared is read as what it holds."""
    for key in KEYS:
        assert names_other_billing({key: LoudText("tts")})
