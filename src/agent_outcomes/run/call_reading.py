# SPDX-License-Identifier: Apache-2.0
"""What tells a model call apart from others, read from the attributes of its span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.attribute_reader import NO_LIMITS
from agent_outcomes.run.call_log import CallLog
from agent_outcomes.run.calls import Call, CallKind, plain_model
from agent_outcomes.run.conventions import ROLE_KEYS, Role
from agent_outcomes.run.usage_keys import CACHE_HIT, INPUT, MODEL_KEYS, MODEL_NAME_LENGTH_MAX, REQUEST_MODEL_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.outcome.attribute_reader import SpanLimits
    from agent_outcomes.run.tally import Tally

# What the provider calls its response; instrumentations of one call read it from the same answer.
RESPONSE_ID_KEYS: Final = ("gen_ai.response.id", "llm.response.id", "ai.response.id")
# What Azure's agents client (Python, .NET, JavaScript) sets on each span that reads a run of the hosted agent, beside
# the usage of the whole run once that is known; a run may be read again and again.
THREAD_RUN_KEY: Final = "gen_ai.thread.run.id"
ALL_MODEL_KEYS: Final = (*MODEL_KEYS, *REQUEST_MODEL_KEYS)
IDENTITY_KEYS: Final = frozenset({*RESPONSE_ID_KEYS, *ALL_MODEL_KEYS})
EMBEDDING_WORDS: Final = frozenset(
    {
        "embeddings",
        "Embeddings",
        "embedding",
        "aembedding",
        "EMBEDDING",
        '"EMBEDDING"',
        "ai.embed.doEmbed",
        "ai.embedMany.doEmbed",
        "embedder",
    }
)
"""The words of all conventions for calls that embed, and can be no part of a chat nor it one of theirs."""

_ID_LENGTH_MAX: Final = 256
_KINDS: Final[Mapping[Role, CallKind]] = {Role.MODEL: CallKind.CHAT, Role.OTHER: CallKind.UNMARKED}


def kind_of(role: Role, attributes: Mapping[str, Any]) -> CallKind | None:
    """What a span of this role that reports usage is; `None` if it is no call, nor might be one."""
    if role is Role.MODEL and not EMBEDDING_WORDS.isdisjoint(_role_words(attributes)):
        return CallKind.EMBEDDING
    return _KINDS.get(role)


def note_call(
    tally: Tally,
    attributes: Mapping[str, Any],
    role: Role,
    limits: SpanLimits = NO_LIMITS,
    *,
    scope: str = "",
    start_ns: int | None = None,
    end_ns: int | None = None,
    has_failed: bool = False,
) -> None:
    """Note the call that a span tells of, which by itself reports `tally`; times are Unix time in nanoseconds.

    `scope` is that of the instrumentation that saw the call, empty if it is not known which did.
    An id or a model's name that a limit may have cut would name others, too, and is left out. Never raises.
    """
    kind = kind_of(role, attributes)
    if kind is None or (kind is CallKind.UNMARKED and not any(tally.tokens) and tally.reported is None):
        return
    id_keys = (*RESPONSE_ID_KEYS, THREAD_RUN_KEY) if kind is CallKind.UNMARKED else RESPONSE_ID_KEYS
    call = Call(
        kind,
        tuple(tally.tokens),
        None if tally.reported is None else dict(tally.reported),
        None if tally.computed is None else dict(tally.computed),
        frozenset(_texts(attributes, id_keys, _ID_LENGTH_MAX, limits)),
        frozenset(map(plain_model, _texts(attributes, ALL_MODEL_KEYS, MODEL_NAME_LENGTH_MAX, limits))),
        frozenset({scope}),
        start_ns,
        end_ns,
        has_failed=has_failed,
        lacks_usage=tally.missing > 0,
        has_stated_cost=attributes.get(CACHE_HIT) is True or tally.parts is not None,
        words=frozenset(_role_words(attributes)),
        is_read_again=kind is CallKind.UNMARKED and THREAD_RUN_KEY in attributes,
    )
    tally.calls = CallLog.of([call])
    if kind is CallKind.EMBEDDING:
        tally.embeddings, tally.embedded = 1, tally.tokens[INPUT] or 0


def _role_words(attributes: Mapping[str, Any]) -> list[str]:
    words = [attributes.get(key) for key in ROLE_KEYS]
    return [str.__str__(word) for word in words if isinstance(word, str)]


def mark_reply(tally: Tally) -> None:
    """Note that what the span tells of is the reply to a call, and not marked as one itself."""
    calls = [] if tally.calls is None else tally.calls.listed()
    tally.calls = CallLog.of([call._replace(is_reply=call.kind is CallKind.UNMARKED) for call in calls])


def _texts(attributes: Mapping[str, Any], keys: tuple[str, ...], length_max: int, limits: SpanLimits) -> list[str]:
    texts = [attributes[key] for key in keys if key in attributes]
    # MLflow's text is JSON.
    given = [str.__str__(text).strip('"') for text in texts if isinstance(text, str) and not limits.may_have_cut(text)]
    return [text for text in given if 0 < len(text) <= length_max]
