# SPDX-License-Identifier: Apache-2.0
"""What is known of those who write counts: who hands on what a provider told them, and who is known to count wrong.

Each row was read from the source of what writes under that scope. One that is not here is taken at the conventions'
word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.parts import COPIED, Habit, counts_cache_beside, counts_reasoning_beside
from agent_outcomes.run.usage_keys import MODEL_KEYS, REQUEST_MODEL_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

# Instrumentations that copy what Bedrock or Anthropic report, and the last version that was seen to do so; `None`: they
# write no version. Read in opentelemetry-instrumentation-bedrock (openllmetry#4449), -botocore, openlit 1.45.0 and
# OpenInference (openinference#3610).
COPYING_SCOPES: Final[Mapping[str, str | None]] = {
    # Anthropic's usage, as the API has answered.
    "com.anthropic.claude_code.tracing": None,
    "openinference.instrumentation.claude_agent_sdk": "0.1.10",
    "opentelemetry.instrumentation.bedrock": "0.62.4",
    "opentelemetry.instrumentation.botocore.bedrock-runtime": "0.66b2",
    "openlit.instrumentation.anthropic": None,
    "openlit.instrumentation.bedrock": None,
}

CONVERTING_FROM: Final[Mapping[str, str]] = {"openinference.instrumentation.claude_agent_sdk": "0.1.22"}
"""From which version on one of these is known to count as the conventions do."""

RELAYING_SCOPES: Final = frozenset(
    {
        # Agent Framework's own, in Python: hands on Anthropic's usage field by field.
        "agent_framework",
        # LangChain for Elixir hands on Anthropic's input, and the cached tokens out of the same map; an application's
        # own tracer may have that name.
        "langchain",
        # The frameworks that these look at keep what each provider's client has told them (agno#9538, crewAI#6844),
        # and which version of a framework it was no span says.
        "openinference.instrumentation.agno",
        "openinference.instrumentation.crewai",
        # Of a stream of Nova it adds up the total that Bedrock has left out.
        "openinference.instrumentation.bedrock",
        "opentelemetry.instrumentation.llamaindex",
        # Spring AI, under the tracer of its application.
        "org.springframework.boot",
        "rig",
        "trpc.agent.go",
    }
)
"""Who writes for any provider what that one has told, under whatever names, and adds up totals by itself."""

ECHOING_SCOPES: Final = frozenset({"pipecat"})
"""Who writes for any provider what that one's client has told, part by part, and no total.

Pipecat says so itself: Anthropic's and Bedrock's input is "net of the cache", Gemini's output that of its candidates.
"""

THOUGHTS_OPEN_SCOPES: Final[Mapping[str, Pattern]] = {
    # Google.GenAI for .NET has its thoughts beside the output, other clients of the same models add them up.
    "Experimental.Microsoft.Extensions.AI": Pattern(r"gcp\."),
    "Experimental.Microsoft.Agents.AI": Pattern(r"gcp\."),
}
"""Who writes what any client of a provider has told: for which of them reasoning may stand beside the output.

Their cached tokens are in the input: Anthropic's client for .NET adds them up.
"""

OWN_COUNTS: Final[Mapping[str, tuple[Role, Mapping[str, str]]]] = {
    "@voltagent/core": (
        Role.AGENT,
        {
            "usage.prompt_tokens": "gen_ai.usage.input_tokens",
            "usage.completion_tokens": "gen_ai.usage.output_tokens",
            "usage.cached_tokens": "gen_ai.usage.prompt_tokens_details.cached_tokens",
            "usage.reasoning_tokens": "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        },
    ),
    "com.anthropic.claude_code.tracing": (
        Role.MODEL,
        {
            "input_tokens": "gen_ai.usage.input_tokens",
            "output_tokens": "gen_ai.usage.output_tokens",
            "cache_read_tokens": "gen_ai.usage.cache_read_input_tokens",
            "cache_creation_tokens": "gen_ai.usage.cache_creation_input_tokens",
        },
    ),
}
"""Who writes counts under names that anybody may use for anything: on what, and what conventions call them."""

WRITING_SCOPES: Final = frozenset({*COPYING_SCOPES, *RELAYING_SCOPES, *ECHOING_SCOPES, *THOUGHTS_OPEN_SCOPES})

_UPGRADED: Final = Habit(cache_beside=None, adds_up=True)
_NUMBERS: Final = Pattern(r"\d{1,9}", re.ASCII)
_BESIDE_MODEL: Final = Pattern(r"(?:.*[./])?(?:claude|nova)\b", re.ASCII)
# Where a framework's own name stands in the place of the provider's.
_FRAMEWORKS: Final = frozenset({"spring_ai", "trpc.go.agent"})
_NAME_LENGTH_MAX: Final = 256


class Miscount(NamedTuple):
    """Up to which version an instrumentation counts wrong: all its calls, or those with this text in an attribute."""

    last: str
    key: str
    text: Pattern


# Adds up what each chunk of a stream says, which is what was used until then (opentelemetry-python-contrib#4120), and
# leaves the thoughts of models that think out of the output (#3890).
MISCOUNTS: Final[Mapping[str, tuple[Miscount, ...]]] = {
    "opentelemetry.instrumentation.google_genai": (
        Miscount("0.6b0", "code.function.name", Pattern(r".*generate_content_stream")),
        Miscount("0.7b1", "gen_ai.request.model", Pattern(r"(?:.*/)?gemini-(?:2\.5|[3-9])")),
    ),
}


def habit_of_scope(scope: str, version: str | None) -> Habit | None:
    """How this instrumentation counts cached tokens; `None` if nothing is known of it but the conventions."""
    if scope not in COPYING_SCOPES:
        return None
    last, first = COPYING_SCOPES[scope], CONVERTING_FROM.get(scope)
    if first is not None and version is not None and _ordered(version) >= _ordered(first):
        return None
    return COPIED if last is None or _is_at_most(version, last) else _UPGRADED


def in_known_keys(scope: str, role: Role, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes, with what this scope counts by its own names on such a span under those of conventions, too."""
    own = OWN_COUNTS.get(scope)
    if own is None or role is not own[0]:
        return attributes
    counts = {known: attributes[key] for key, known in own[1].items() if key in attributes}
    return {**counts, **attributes}


def relayed_habit(scope: str, provider: str | None, attributes: Mapping[str, Any]) -> Habit | None:
    """How parts may stand in what this scope hands on of such a provider; `None` if it is none that does so.

    Whether what it hands on has been made conventional on the way is not known, unless the numbers tell.
    """
    if scope in ECHOING_SCOPES:
        return Habit(cache_beside=counts_cache_beside(provider), reasoning_beside=counts_reasoning_beside(provider))
    if scope in THOUGHTS_OPEN_SCOPES:
        is_open = provider is not None and THOUGHTS_OPEN_SCOPES[scope].match(provider) is not None
        return Habit(reasoning_beside=None) if is_open else None
    if scope not in RELAYING_SCOPES:
        return None
    if provider is None or provider in _FRAMEWORKS:
        is_cache_beside = any(_is_beside_model(attributes.get(key)) for key in (*MODEL_KEYS, *REQUEST_MODEL_KEYS))
    else:
        is_cache_beside = counts_cache_beside(provider)
    return Habit(
        cache_beside=None if is_cache_beside else False,
        reasoning_beside=None if counts_reasoning_beside(provider) else False,
        adds_up=True,
    )


def is_miscounted(scope: str, version: str | None, attributes: Mapping[str, Any]) -> bool:
    """Whether the counts of such a span of this scope and version are known to be wrong."""
    return any(
        isinstance(text := attributes.get(miscount.key), str)
        and len(text) <= _NAME_LENGTH_MAX
        and miscount.text.match(text) is not None
        and _is_at_most(version, miscount.last)
        for miscount in MISCOUNTS.get(scope, ())
    )


def _is_beside_model(name: object) -> bool:
    return isinstance(name, str) and len(name) <= _NAME_LENGTH_MAX and _BESIDE_MODEL.match(name.lower()) is not None


def _is_at_most(version: str | None, last: str) -> bool:
    return version is not None and _ordered(version) <= _ordered(last)


def _ordered(version: str) -> list[int]:
    return [int(number) for number in _NUMBERS.findall(version[:64])]
