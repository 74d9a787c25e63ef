# SPDX-License-Identifier: Apache-2.0
"""Log lines as JSON."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.serving.json_logs import JsonLines, OncePerMinute

pytestmark = pytest.mark.backends


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.WARNING, "x.py", 7, message, args, None)
    made.__dict__.update(more)
    return made


@given(st.text())
def test_each_record_is_one_line_of_json(text: str) -> None:
    """Whatever a text of others holds: line ends, escapes, bidi marks."""
    line = JsonLines().format(record("said: %s", text))
    assert line.isascii()
    assert "\n" not in line
    assert set(json.loads(line)) == {"time", "level", "logger", "message"}


def test_of_an_exception_only_class_and_place_are_told() -> None:
    """Its text may hold what must not be logged."""
    try:
        raise ValueError("hunter2")  # noqa: EM101, TRY301
    except ValueError:
        line = JsonLines().format(record("failed", exc_info=sys.exc_info()))
    told = json.loads(line)
    assert told["error"] == "ValueError"
    assert told["at"].startswith("test_of_an_exception_only_class_and_place_are_told:")
    assert "hunter2" not in line


def test_what_a_peer_can_cause_is_said_once_a_minute() -> None:
    """By the line of code that says it."""
    once = OncePerMinute()
    passed = [once.filter(record("bad request", created=at_s)) for at_s in (0.0, 1.0, 59.0, 60.0, 61.0)]
    assert passed == [True, False, False, True, False]
    assert once.filter(record("another", created=1.0, lineno=8))
