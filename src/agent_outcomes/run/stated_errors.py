# SPDX-License-Identifier: Apache-2.0
"""Attributes in which a span says that it failed, or why it stopped, whatever its status is.

Langfuse up to its 3.6.1 in Python, and in JavaScript, sets a level of its own and no status of OpenTelemetry's.
Logfire's instrumentation of the OpenAI Agents SDK writes the error that the SDK has told it. Claude Code ends the span
of a request with whether it has succeeded, and if not with the status and the message that it got. The AI SDK, whose
stream has broken off, says so in the finish reason alone. Genkit's is in the output of what calls models and tools in
turn. Copilot in VS Code marks the request to the model that its user has stopped, and ends the agent's span OK.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.finish_reasons import ANSWER_REASONS
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.text import map_of_json
from agent_outcomes.run.conventions import (
    AI_SDK_OPERATION,
    GENKIT_TYPE,
    KIND_ROLES,
    OPERATION,
    STOP_OUTPUTS,
    Role,
    role_of_word,
)
from agent_outcomes.run.usage_keys import GENKIT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LANGFUSE_LEVEL: Final = "langfuse.observation.level"
LANGFUSE_MESSAGE: Final = "langfuse.observation.status_message"
LOGFIRE_LEVEL: Final = "logfire.level_num"
LOGFIRE_ERROR: Final = "error"
REQUEST_SUCCESS: Final = "success"
COPILOT_STOPPED: Final = "copilot_chat.canceled"
COPILOT_SESSION: Final = "copilot_chat.session_id"
STATED_ERROR_KEYS: Final = frozenset({LANGFUSE_LEVEL, LOGFIRE_LEVEL, REQUEST_SUCCESS, COPILOT_STOPPED})
"""One of which a span has that may say so."""

# OpenTelemetry's severity numbers.
_ERROR_NUMBER: Final = 17
_ERROR_LENGTH_MAX: Final = 4096
_WORD_LENGTH_MAX: Final = 100
_STATUS_MAX: Final = 1_000
# Of a request by Claude Code's own loop. What it asks beside that, such as for a title, may fail and nobody minds.
_LOOP_SOURCES: Final = ("repl_main_thread", "sdk")

# Of the last step of a run, on its own span; TanStack AI's says that somebody has had enough.
AI_SDK_FINISH: Final = "ai.response.finishReason"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
ABORT_REASON: Final = "tanstack.ai.abort.reason"
_WORD_KEYS: Final = (
    AI_SDK_FINISH,
    FINISH_REASONS,
    "gen_ai.response.finish_reason",
    "ai.response.finish_reason",
    "llm.finish_reason",
)
FINISH_KEYS: Final = frozenset({*_WORD_KEYS, ABORT_REASON, GENKIT_OUTPUT, COPILOT_STOPPED})
INTERRUPTED: Final = "interrupted"
"""That a tool of Genkit's waits for somebody's answer; no finish reason of an agent's."""

# The scope of the AI SDK from version 7 on, and what its spans have of an answer whatever of that is captured, by the
# names of all its versions.
AI_SDK_SCOPE: Final = "gen_ai"
ANSWERED_KEYS: Final = frozenset(
    {
        *_WORD_KEYS,
        *("ai.finishReason", "ai.response.id", "ai.response.model", "gen_ai.response.id", "gen_ai.response.model"),
        *("ai.usage.inputTokens", "ai.usage.outputTokens", "ai.usage.promptTokens", "ai.usage.completionTokens"),
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "llm.usage.total_tokens"),
        *("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    }
)
_AI_SDK_STREAM: Final = "ai.streamText"
_NO_LAST_PART: Final = ("unknown", "other")
_TOLD_WITH_LAST_PART: Final = ANSWERED_KEYS - {AI_SDK_FINISH}
_GENKIT_REASON: Final = Pattern(r'"finishReason":\s*"(?!stop")')
_OUTPUT_LENGTH_MAX: Final = 1_000_000


def stated_error(attributes: Mapping[str, Any]) -> str | None:
    """The words in which a span says that it failed, which may be none; `None` if it does not say so. Never raises."""
    if attributes.get(LANGFUSE_LEVEL) == "ERROR":
        message = attributes.get(LANGFUSE_MESSAGE)
        return str.__str__(message) if isinstance(message, str) else ""
    if attributes.get(COPILOT_STOPPED) is True:
        return ""
    if attributes.get(REQUEST_SUCCESS) is False:
        return _told_by_claude_code(attributes)
    level = attributes.get(LOGFIRE_LEVEL)
    return _told_by_logfire(attributes) if type(level) is int and level >= _ERROR_NUMBER else None


def _told_by_claude_code(attributes: Mapping[str, Any]) -> str | None:
    """The status and the message of a request that failed, as its API's clients put the two together."""
    source = attributes.get("query_source")
    if attributes.get("span.type") != "llm_request":
        return None
    if isinstance(source, str) and not str.__str__(source).startswith(_LOOP_SOURCES):
        return None
    error, status = attributes.get("error"), attributes.get("status_code")
    message = str.__str__(error) if isinstance(error, str) else ""
    if type(status) is not int or not 0 < status < _STATUS_MAX or message.startswith(str(status)):
        return message
    return f"{status} {message}".rstrip()


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
    if attributes.get(COPILOT_STOPPED) is True:
        return "cancelled", COPILOT_STOPPED
    for key in _WORD_KEYS:
        found = {ANSWER_REASONS.get(_spelled(word)) for word in _words(attributes.get(key))}
        if len(found) == 1 and (reason := found.pop()) is not None:
            return reason, key
    return _told_by_genkit(attributes)


def stop_output(attributes: Mapping[str, Any]) -> str | None:
    """What a framework has put in the place of an answer that was not given. Never raises."""
    for key, pattern in STOP_OUTPUTS.items():
        text = attributes.get(key)
        found = pattern.match(str.__str__(text)) if isinstance(text, str) else None
        if found is not None:
            return str(found[1] or found[2])
    return None


def is_broken_off(scope: str, name: str, attributes: Mapping[str, Any]) -> bool:
    """Whether a span is the AI SDK's for a call of its that came to no answer, of which it says no more. Never raises.

    So it ends those that an `AbortSignal` has stopped, a user's as well as that of a time limit (`onAbort` of its
    telemetry). Whoever else calls a tracer so names agents' spans by the agent, and not by the model. Of a stream that
    was left after its first step its versions 5 and 6 say at the end `unknown` or `other`, and of no usage, as for want
    of a last part (`recordedFinishReason` of `streamText`).
    """
    operation = attributes.get(AI_SDK_OPERATION)
    if operation == _AI_SDK_STREAM and attributes.get(AI_SDK_FINISH) in _NO_LAST_PART:
        return _TOLD_WITH_LAST_PART.isdisjoint(attributes)
    if role_of_word(KIND_ROLES[AI_SDK_OPERATION], operation) is not Role.AGENT:
        model = attributes.get("gen_ai.request.model")
        is_agent = scope == AI_SDK_SCOPE and attributes.get(OPERATION) == "invoke_agent" and isinstance(model, str)
        if not is_agent or name != f"invoke_agent {model}":
            return False
    return ANSWERED_KEYS.isdisjoint(attributes)


def _told_by_genkit(attributes: Mapping[str, Any]) -> tuple[str, str] | None:
    text, kind = attributes.get(GENKIT_OUTPUT), attributes.get(GENKIT_TYPE)
    # What anything else has returned is its user's.
    if not isinstance(text, str) or not isinstance(kind, str) or str.__str__(kind) not in KIND_ROLES[GENKIT_TYPE]:
        return None
    # Most outputs are long and say that all went well.
    if _GENKIT_REASON.search(str.__str__(text)) is None:
        return None
    word = (map_of_json(text, _OUTPUT_LENGTH_MAX) or {}).get("finishReason")
    said = _spelled(word) if isinstance(word, str) else ""
    reason = INTERRUPTED if said == INTERRUPTED else ANSWER_REASONS.get(said)
    return (reason, GENKIT_OUTPUT) if reason is not None else None


def _spelled(word: str) -> str:
    return word[:_WORD_LENGTH_MAX].strip().lower().replace("-", "_").replace(" ", "_")


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
