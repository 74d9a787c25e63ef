# SPDX-License-Identifier: Apache-2.0
"""Attributes in which a span says that it failed, or why it stopped, whatever its status is.

Langfuse up to its 3.6.1 in Python, and in JavaScript, sets a level of its own and no status of OpenTelemetry's.
Logfire's instrumentation of the OpenAI Agents SDK writes the error that the SDK has told it. The AI SDK, whose stream
has broken off, says so in the finish reason alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.text import map_of_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LANGFUSE_LEVEL: Final = "langfuse.observation.level"
LANGFUSE_MESSAGE: Final = "langfuse.observation.status_message"
LOGFIRE_LEVEL: Final = "logfire.level_num"
LOGFIRE_ERROR: Final = "error"
STATED_ERROR_KEYS: Final = frozenset({LANGFUSE_LEVEL, LOGFIRE_LEVEL})
"""One of which a span has that may say so."""

# OpenTelemetry's severity numbers.
_ERROR_NUMBER: Final = 17
_ERROR_LENGTH_MAX: Final = 4096

# Of the last step of a run, on its own span; TanStack AI's says that somebody has had enough.
AI_SDK_FINISH: Final = "ai.response.finishReason"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
ABORT_REASON: Final = "tanstack.ai.abort.reason"
FINISH_KEYS: Final = frozenset({AI_SDK_FINISH, FINISH_REASONS, ABORT_REASON})

# The words of providers and SDKs for how a model's last answer ended, as an agent's finish reason.
_REASONS: Final[Mapping[str, str]] = {
    "error": "error",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "MAX_TOKENS": "max_tokens",
    "content_filter": "guardrail",
    "content-filter": "guardrail",
}


def stated_error(attributes: Mapping[str, Any]) -> str | None:
    """The words in which a span says that it failed, which may be none; `None` if it does not say so. Never raises."""
    if attributes.get(LANGFUSE_LEVEL) == "ERROR":
        message = attributes.get(LANGFUSE_MESSAGE)
        return str.__str__(message) if isinstance(message, str) else ""
    level = attributes.get(LOGFIRE_LEVEL)
    return _told_by_logfire(attributes) if type(level) is int and level >= _ERROR_NUMBER else None


def _told_by_logfire(attributes: Mapping[str, Any]) -> str | None:
    error = map_of_json(attributes.get(LOGFIRE_ERROR), _ERROR_LENGTH_MAX) or {}
    message = error.get("message")
    if not isinstance(message, str):
        return None
    # As other instrumentations of that SDK put the two together.
    return message if error.get("data") is None else f"{message}: {error['data']}"


def finish_reason(attributes: Mapping[str, Any]) -> tuple[str, str] | None:
    """The agent's finish reason that the last answer on a run's own span comes to, and the key that says so, or `None`.

    Of several answers all have to have ended so. Never raises.
    """
    if FINISH_KEYS.isdisjoint(attributes):
        return None
    if isinstance(attributes.get(ABORT_REASON), str):
        return "cancelled", ABORT_REASON
    for key in (AI_SDK_FINISH, FINISH_REASONS):
        found = {_REASONS.get(word) for word in _words(attributes.get(key))}
        if len(found) == 1 and (reason := found.pop()) is not None:
            return reason, key
    return None


def _words(value: object) -> Iterable[str]:
    """The finish reasons in an attribute: a text, a list, or a list as JSON."""
    if isinstance(value, str):
        text = str.__str__(value)
        if not text.startswith("[") or len(text) > _ERROR_LENGTH_MAX:
            return (text,)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return ()
    return [word if type(word) is str else "" for word in value] if isinstance(value, (list, tuple)) else ()
