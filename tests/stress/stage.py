# SPDX-License-Identifier: Apache-2.0
"""What every stress program stands on: a pipeline, its ledger, a clock, and the heartbeat the watchdog listens to."""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from tests.stress.ledger import Ledger
from tests.stress.memory import Memory
from tests.stress.report import audit
from tests.stress.work import Agents

if TYPE_CHECKING:
    from tests.stress.report import Report

BEAT_INTERVAL_S: Final = 0.5
COLLECT_INTERVAL_S: Final = 2.0
LOG_LINES_MAX: Final = 10


class Log(logging.Handler):
    """Counts what is logged by the first part of its logger's name; no lock, as it is entered in its own middle."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.errors: deque[tuple[str, type[BaseException]]] = deque()

    def createLock(self) -> None:  # noqa: N802 - overrides logging's own
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        package = record.name.split(".")[0]
        self.counts[package] += 1
        if record.exc_info and record.exc_info[0] is not None:
            self.errors.append((package, record.exc_info[0]))


class Stage:
    """One program's pipeline, agents and ledger, until `seconds` have passed."""

    def __init__(self, seconds: float, seed: int, **settings: Any) -> None:
        self.log = Log()
        logging.basicConfig(handlers=[self.log], level=logging.WARNING, force=True)
        logging.captureWarnings(capture=True)
        self.random = random.Random(seed)
        self.memory = Memory(**settings)
        self.ledger = Ledger()
        self._ends_at_s = time.monotonic() + seconds
        self._beats_at_s = 0.0
        self._collects_at_s = 0.0

    def agents(self) -> Agents:
        """Agents with a random sequence of their own; one for each thread."""
        return Agents(self.memory, self.ledger, random.Random(self.random.random()))

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._ends_at_s

    def beat(self, **figures: int) -> None:
        """Settle the books and tell the watchdog that this program lives, at most twice a second.

        Metrics are collected now and then, as a reader of the application's does: on this thread, on which runs may end
        meanwhile.
        """
        now_s = time.monotonic()
        if now_s < self._beats_at_s:
            return
        self._beats_at_s = now_s + BEAT_INTERVAL_S
        self.ledger.settle(self.memory.events.take())
        if now_s >= self._collects_at_s:
            self._collects_at_s = now_s + COLLECT_INTERVAL_S
            self.memory.counters()
        tell("beat", {"runs": self.ledger.issued_count, "waiting": self.ledger.open_count, **figures})

    def close(self, tolerated_errors: frozenset[str] = frozenset(), **notes: int) -> Report:
        """Shut down, settle the books for good and compare them; `notes` are told beside the figures."""
        self.memory.spans.shutdown()
        self.ledger.settle(self.memory.events.take())
        self.ledger.close()
        report = audit(self.ledger, self.memory.counters(), tolerated_errors)
        report.notes.update(notes)
        report.notes.update({f"lines logged by {name}": count for name, count in self.log.counts.items()})
        return report


def tell(kind: str, content: object) -> None:
    """Write one line to the watchdog, past all buffers, which are not re-entrant."""
    os.write(1, f"{kind} {json.dumps(content)}\n".encode())
