# SPDX-License-Identifier: Apache-2.0
"""A thread that flushes one provider for all who ask: an SDK's flush takes a timeout and does not keep to it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Flusher:
    """Calls `flush` in one thread, started early as an ending interpreter starts none.

    Who asks while it is at work waits for the next time, together with all who ask meanwhile. Where there can be no
    thread, the one that asks flushes.
    """

    def __init__(self, flush: Callable[[], bool]) -> None:
        self._flush = flush
        self._last: Callable[[], object] | None = None
        self._restart()
        self._start()

    def request(self) -> int:
        """Ask for a flush of all that was emitted up to now; returns what to wait for. Never raises."""
        with self._changed:
            self._asked += 1
            asked = self._asked
            has_thread = self._start()
            self._changed.notify_all()
        if not has_thread:
            self._work_off(asked)
        return asked

    def finish(self, last: Callable[[], object]) -> int:
        """Call `last` after what is under way, and nothing afterwards; returns what to wait for. Never raises."""
        self._last = last
        return self.request()

    def wait(self, asked: int, until_s: float) -> bool:
        """Whether that flush came to its end by then (in monotonic seconds) and delivered all. Never raises."""
        with self._changed:
            in_time = self._changed.wait_for(lambda: self._done >= asked, max(0.0, until_s - time.monotonic()))
            return in_time and self._is_delivered

    def is_done(self, asked: int) -> bool:
        """Whether that flush came to its end, well or not."""
        return self._done >= asked

    def after_fork_in_child(self) -> None:
        """The thread is not in the child, and the lock may have been held."""
        self._restart()

    def _restart(self) -> None:
        # Re-entrant: a signal may interrupt the thread that holds it, and its handler flush.
        self._changed = threading.Condition(threading.RLock())
        self._asked = 0
        self._done = 0
        self._is_delivered = True
        self._thread: threading.Thread | None = None

    def _start(self) -> bool:
        if sys.is_finalizing():  # other threads run no more
            return False
        if self._thread is not None:
            return self._thread.is_alive()
        thread = threading.Thread(target=self._run, name="agent-outcomes-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends and starts no more threads
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done)
                asked = self._asked
            is_last = self._work_off(asked)

    def _work_off(self, asked: int) -> bool:
        last = self._last
        is_delivered = False
        with contextlib.suppress(Exception):  # a provider or exporter raised: not delivered, then
            is_delivered = self._flush() if last is None else last() is not False
        with self._changed:
            self._done = max(self._done, asked)
            self._is_delivered = is_delivered
            self._changed.notify_all()
        return last is not None
