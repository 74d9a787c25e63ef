# SPDX-License-Identifier: Apache-2.0
"""What a call's price depends on beside its tokens: the tier it was served in, at what speed, and where.

OpenAI, Gemini, Groq and Bedrock bill by tier (`flex`, `priority`), Anthropic also by `speed` and `inference_geo`. These
stand in an attribute of their own, in the request's parameters, or in what the provider has answered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import map_of_json
from agent_outcomes.run.conventions import MLFLOW_INPUTS, MLFLOW_OUTPUTS
from agent_outcomes.run.usage_keys import ADK_RESPONSE, AI_SDK_METADATA, GENKIT_OUTPUT
from agent_outcomes.run.usage_objects import adk_usage, is_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits

SERVICE_TIER_KEYS: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.request.service_tier",
)
# Claude Code's, with which every request of its fast mode says so.
SPEED_KEY: Final = "speed"
# Langfuse lays the tier of the answer over that of the request (langfuse/openai.py); OpenInference writes the answer as
# it was received.
ANSWER_KEYS: Final = (
    AI_SDK_METADATA,
    ADK_RESPONSE,
    "langfuse.observation.model.parameters",
    MLFLOW_OUTPUTS,
    GENKIT_OUTPUT,
    "output.value",
)
REQUEST_KEYS: Final = ("llm.invocation_parameters", "braintrust.metadata", MLFLOW_INPUTS, "genkit:input")

SERVICE_TIER, SPEED, INFERENCE_GEO = range(3)
# What providers call them, in their APIs and in their SDKs; Vertex AI's tier is a type of traffic.
FIELDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("service_tier", "serviceTier", "traffic_type", "trafficType"), SERVICE_TIER),
    "speed": SPEED,
    **dict.fromkeys(("inference_geo", "inferenceGeo"), INFERENCE_GEO),
}
_WORD_KEYS: Final[Mapping[str, int]] = {**dict.fromkeys(SERVICE_TIER_KEYS, SERVICE_TIER), SPEED_KEY: SPEED}
# Where in a request or an answer they stand, if not beside the rest: Anthropic's in its usage, Genkit's in a config.
_WITHIN: Final = ("usage", "usageMetadata", "usage_metadata", "extra_body", "config", "raw", "custom")
_USUAL: Final = frozenset(
    {
        "",
        *("auto", "default", "standard", "standard_only", "on_demand", "normal"),
        *("unspecified", "service_tier_unspecified", "traffic_type_unspecified"),
        *("global", "not_available"),
    }
)
# Asked for, it leaves the tier to the project; no provider answers with it, OpenLIT does where a stream had none.
_UNDECIDED: Final = "auto"
# OpenLIT writes Azure's system fingerprint as the tier of the answer.
_FINGERPRINT: Final = "fp_"
_WORD_LENGTH_MAX: Final = 64
_TEXT_LENGTH_MAX: Final = 65_536
# In a text that is no whole JSON, and not within a text of its own.
_STATED: Final = Pattern(
    rf'(?<!\\)"(?:{"|".join(FIELDS)})"'
    r'\s*:\s*"([\w.-]{1,64})"',
    re.ASCII,
)


class Terms(NamedTuple):
    """How a call was served, in the provider's words; `None` where nobody says."""

    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


def plain_word(word: str | None) -> str:
    """The word in lower case; of an enum some write its name before that of the member."""
    return "" if word is None else word.rpartition(".")[2].lower()


def is_usual(word: str | None) -> bool:
    """Whether a call on these terms is billed as any other."""
    return plain_word(word) in _USUAL


def read_terms(attributes: Mapping[str, Any], limits: SpanLimits) -> Terms | None:
    """The terms of a call, the answer's before the request's; `None` if some are stated and cannot be read."""
    words: list[list[str]] = [[] for _ in Terms._fields]
    for key in (*SERVICE_TIER_KEYS[:3], *ANSWER_KEYS, *SERVICE_TIER_KEYS[3:], SPEED_KEY, *REQUEST_KEYS):
        value = attributes.get(key)
        if value is None:
            continue
        if key in _WORD_KEYS:
            if isinstance(value, str) and limits.may_have_cut(value):
                return None
            _take(words, _WORD_KEYS[key], value)
            continue
        found = _maps_of(key, value, limits)
        if found is None:
            return None
        for fields in found:
            for name, dimension in FIELDS.items():
                _take(words, dimension, fields.get(name))
    return Terms(*map(_decided, words))


def _take(words: list[list[str]], dimension: int, value: object) -> None:
    # Bedrock's tier is a map with its type.
    value = value.get("type") if is_map(value) else value
    if not isinstance(value, str) or not 0 < len(value) <= _WORD_LENGTH_MAX:
        return
    # MLflow's text is JSON.
    word = str.__str__(value).strip('"')
    if word and not word.startswith(_FINGERPRINT):
        words[dimension].append(word)


def _decided(words: list[str]) -> str | None:
    return next((word for word in words if plain_word(word) != _UNDECIDED), words[0] if words else None)


def _maps_of(key: str, value: object, limits: SpanLimits) -> list[Mapping[Any, Any]] | None:
    """The maps in an attribute that may state terms; `None` if it states some and is no whole JSON."""
    if isinstance(value, str) and not any(name in str.__str__(value) for name in FIELDS):
        return []
    if key == ADK_RESPONSE:
        return [adk_usage(value)]
    whole = value if is_map(value) else map_of_json(value, _TEXT_LENGTH_MAX)
    if whole is None:
        return None if isinstance(value, str) and _states_in_part(str.__str__(value), limits) else []
    entries = whole.values() if key == AI_SDK_METADATA else (whole,)
    return [fields for entry in entries if is_map(entry) for fields in _with_inner(entry)]


def _states_in_part(text: str, limits: SpanLimits) -> bool:
    is_part = text.lstrip().startswith("{") and (len(text) > _TEXT_LENGTH_MAX or limits.may_have_cut(text))
    return is_part and any(not is_usual(found[1]) for found in _STATED.finditer(text))


def _with_inner(fields: Mapping[Any, Any]) -> Iterator[Mapping[Any, Any]]:
    for name in _WITHIN:
        inner = fields.get(name)
        if is_map(inner):
            yield inner
    yield fields
