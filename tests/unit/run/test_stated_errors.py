# SPDX-License-Identifier: Apache-2.0
"""Attributes in which a span says that it failed, or how its last answer ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.codes import FINISH_REASON_RULES
from agent_outcomes.run.stated_errors import FINISH_KEYS, STATED_ERROR_KEYS, finish_reason, stated_error

LEVEL = "langfuse.observation.level"
MESSAGE = "langfuse.observation.status_message"
FAILED = {"span.type": "llm_request", "success": False}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({LEVEL: "ERROR", MESSAGE: "out of paper"}, "out of paper"),
        ({LEVEL: "ERROR"}, ""),
        ({LEVEL: "ERROR", MESSAGE: 7}, ""),
        ({"copilot_chat.canceled": True}, ""),
        ({"copilot_chat.canceled": False}, None),
        ({"copilot_chat.canceled": "true"}, None),
        ({LEVEL: "WARNING", MESSAGE: "low on paper"}, None),
        ({LEVEL: "DEFAULT"}, None),
        ({MESSAGE: "out of paper"}, None),
        (
            {"logfire.level_num": 17, "error": '{"message": "Max turns exceeded", "data": {"max_turns": 3}}'},
            "Max turns exceeded: {'max_turns': 3}",
        ),
        ({"logfire.level_num": 21, "error": '{"message": "no", "data": null}'}, "no"),
        ({"logfire.level_num": 13, "error": '{"message": "no", "data": null}'}, None),
        ({"logfire.level_num": "17", "error": '{"message": "no"}'}, None),
        ({"logfire.level_num": 17}, None),
        ({"logfire.level_num": 17, "error": "{broken"}, None),
        ({"logfire.level_num": 17, "error": '["message"]'}, None),
        ({"logfire.level_num": 17, "error": '{"message": 1}'}, None),
        ({"error": '{"message": "no"}'}, None),
        ({**FAILED, "status_code": 401, "error": "no key"}, "401 no key"),
        ({**FAILED, "status_code": 401, "error": "401 no key"}, "401 no key"),
        ({**FAILED, "status_code": 500}, "500"),
        ({**FAILED, "error": "no key"}, "no key"),
        ({**FAILED, "status_code": "401", "error": "no key"}, "no key"),
        ({**FAILED, "status_code": True, "error": 7}, ""),
        ({**FAILED, "query_source": "sdk"}, ""),
        ({**FAILED, "query_source": "generate_session_title", "error": "no key"}, None),
        ({**FAILED, "success": True, "error": "no key"}, None),
        ({**FAILED, "success": 0}, None),
        ({**FAILED, "span.type": "tool.execution"}, None),
        ({"success": False, "error": "no key"}, None),
        ({}, None),
    ],
)
def test_stated_errors(attributes: dict[str, Any], expected: str | None) -> None:
    """Langfuse's level, Logfire's error and Claude Code's request; what says less is no failure."""
    assert stated_error(attributes) == expected
    assert expected is None or not STATED_ERROR_KEYS.isdisjoint(attributes)


@pytest.mark.parametrize("key", ["ai.response.finishReason", "gen_ai.response.finish_reasons"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["error"], "error"),
        (["length"], "max_tokens"),
        (["max_tokens", "length"], "max_tokens"),
        (["MAX_TOKENS"], "max_tokens"),
        (["content_filter"], "guardrail"),
        (["content-filter"], "guardrail"),
        (["stop"], None),
        (["tool_calls"], None),
        (["stop", "error"], None),
        (["length", "error"], None),
        ([], None),
        (["anything else"], None),
    ],
)
def test_how_the_last_answer_ended(key: str, words: list[str], expected: str | None) -> None:
    """As a list, as JSON or as a text; where several answers ended in several ways it is open."""
    spelled: list[object] = [words, tuple(words), json.dumps(words)]
    if len(words) == 1:
        spelled.append(words[0])
    for value in spelled:
        assert finish_reason({key: value}) == (None if expected is None else (expected, key))
    assert expected is None or expected in FINISH_REASON_RULES


def test_somebody_who_had_enough() -> None:
    """TanStack AI says why a run was aborted, be it with no words."""
    for reason in ("the user left", ""):
        attributes = {"tanstack.ai.abort.reason": reason, "gen_ai.response.finish_reasons": ["error"]}
        assert finish_reason(attributes) == ("cancelled", "tanstack.ai.abort.reason")


KEYS = st.sampled_from(sorted({*STATED_ERROR_KEYS, *FINISH_KEYS, MESSAGE, "error"}))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.text(max_size=5)),
    st.binary(),
)


@given(st.dictionaries(KEYS, VALUES))
def test_whatever_stands_there(attributes: dict[str, Any]) -> None:
    """Nothing raises, and only words that are known say anything."""
    stated, finished = stated_error(attributes), finish_reason(attributes)
    is_stopped = attributes.get("copilot_chat.canceled") is True
    is_error = attributes.get(LEVEL) == "ERROR" or is_stopped
    assert stated is None or is_error or attributes.get("logfire.level_num", 0) >= 17
    assert not is_stopped or stated is not None
    assert finished is None or finished[0] in FINISH_REASON_RULES
