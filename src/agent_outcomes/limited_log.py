# SPDX-License-Identifier: Apache-2.0
"""Warnings that may be due on every span, written at most once a minute each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.foreign_exceptions import SILENT, Guard, class_name

if TYPE_CHECKING:
    import logging

INTERVAL_S: Final = 60.0
TOPICS_MAX: Final = 256


class LimitedLog:
    """Logs the first warning on a topic and then one a minute, saying how many were held back."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_at_s: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def warning(self, topic: str, message: str, *args: object) -> None:
        """Log unless this topic was logged within the last minute. Never raises: a log line is never worth that."""
        now_s = time.monotonic()
        if now_s < self._next_at_s.get(topic, 0.0):
            self._held_back[topic] = self._held_back.get(topic, 0) + 1
            return
        if len(self._next_at_s) >= TOPICS_MAX:
            self._next_at_s.clear()
            self._held_back.clear()
        self._next_at_s[topic] = now_s + INTERVAL_S
        held_back = self._held_back.pop(topic, 0)
        if held_back:
            message = f"{message} ({held_back} more like this were not logged)"
        with SILENT:  # a logging filter, or the repr of an argument, may raise
            self._logger.warning(message, *args)

    def guard(self, topic: str, message: str) -> Guard:
        """A block in which nothing raises: an exception is logged by its class alone and goes no further.

        For work that the application has not asked for and must not be hurt by. What only passes through us does.
        """

        def note(error: BaseException) -> None:
            # The text may hold what must not be logged.
            self.warning(topic, f"{message}: %s", class_name(type(error)))

        return Guard(note)
