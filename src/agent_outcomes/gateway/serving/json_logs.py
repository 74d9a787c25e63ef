# SPDX-License-Identifier: Apache-2.0
"""Log lines as JSON objects on standard error: one a line, ASCII, and of an exception its class and place alone."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final

from agent_outcomes.limited_log import INTERVAL_S
from agent_outcomes.printable import printable

LOG_TEXT_MAX: Final = 2_000
_LINES_KNOWN_MAX: Final = 256


class JsonLines(logging.Formatter):
    """One record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message; of an exception no text, which may hold what must not be logged."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {
            "time": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(" ".join(record.getMessage().split()), LOG_TEXT_MAX),
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__qualname__
            frames = traceback.extract_tb(record.exc_info[2])
            line["at"] = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
        return json.dumps(line)


class OncePerMinute(logging.Filter):
    """Lets one record of a logger's line of code pass each minute: what a peer can cause must not fill a disk."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one may pass."""
        topic = record.pathname, record.lineno
        if record.created < self._next_s.get(topic, 0.0):
            return False
        if len(self._next_s) >= _LINES_KNOWN_MAX:
            self._next_s.clear()
        self._next_s[topic] = record.created + INTERVAL_S
        return True


def set_up_logs() -> None:
    """Have all log lines of this process, from warnings on and our own information, go to standard error as JSON."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(logging.WARNING)
    logging.getLogger("agent_outcomes.gateway").setLevel(logging.INFO)
    for name in ("uvicorn.error", "uvicorn.asgi", "asyncio", "grpc", "grpc._cython.cygrpc"):
        logging.getLogger(name).addFilter(OncePerMinute())
