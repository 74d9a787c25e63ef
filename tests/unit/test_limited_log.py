# SPDX-License-Identifier: Apache-2.0
"""Warnings that may be due on every span are written once a minute, and never raise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from agent_outcomes import limited_log
from agent_outcomes.limited_log import INTERVAL_S, TOPICS_MAX, LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER = logging.getLogger("tests.limited_log")


class Clock:
    """Time that passes when told to, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limited_log, "time", clock)
    return clock


def test_a_topic_is_logged_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The first warning at once, then one a minute, which says how many were held back."""
    limited = LimitedLog(LOGGER)
    for _ in range(4):
        limited.warning("topic", "a %s", "warning")
    clock.now_s += INTERVAL_S - 0.001
    limited.warning("topic", "a %s", "warning")
    clock.now_s += 0.002
    limited.warning("topic", "a %s", "warning")
    clock.now_s += INTERVAL_S + 1
    limited.warning("topic", "a %s", "warning")
    assert caplog.messages == ["a warning", "a warning (4 more like this were not logged)", "a warning"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_topics_are_limited_apart(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One topic does not hold back another, nor one log the log of another module."""
    limited, other = LimitedLog(LOGGER), LimitedLog(LOGGER)
    limited.warning("a", "first")
    limited.warning("b", "second")
    other.warning("a", "third")
    assert caplog.messages == ["first", "second", "third"]
    assert clock.now_s == 1000.0


def test_the_number_of_topics_is_bounded(clock: Clock) -> None:
    """However many topics there are, what is remembered of them stays bounded."""
    limited = LimitedLog(logging.getLogger("tests.limited_log.silent"))
    limited._logger.disabled = True
    for number in range(10 * TOPICS_MAX):
        limited.warning(f"topic-{number}", "x")
        limited.warning(f"topic-{number}", "x")
        assert len(limited._next_at_s) <= TOPICS_MAX
        assert len(limited._held_back) <= TOPICS_MAX
    assert clock.now_s == 1000.0


class Raising:
    def __repr__(self) -> str:
        raise ValueError


def _raise(_: logging.LogRecord) -> bool:
    raise ValueError


@pytest.mark.parametrize(
    "log_it", [lambda limited: limited.warning("t", "%r", Raising()), lambda limited: limited.warning("t", "x")]
)
def test_logging_never_raises(log_it: Callable[[LimitedLog], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a raising filter of the application nor an argument whose repr raises comes out."""
    monkeypatch.setattr(LOGGER, "filters", [_raise])
    log_it(LimitedLog(LOGGER))
    monkeypatch.setattr(LOGGER, "filters", [])
    monkeypatch.setattr(LOGGER, "propagate", False)
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(LOGGER, "handlers", [handler])
    log_it(LimitedLog(LOGGER))
