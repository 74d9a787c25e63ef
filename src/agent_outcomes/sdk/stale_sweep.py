# SPDX-License-Identifier: Apache-2.0
"""A thread that looks for runs which never end, for as long as any span is open.

Span callbacks cannot do it alone: the process whose only run hangs starts and ends no span any more.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_MAX_S: Final = 30.0
INTERVALS_PER_AGE: Final = 10


class StaleSweep:
    """Calls `sweep` every tenth of `stale_after_s`, at least every 30 seconds, as long as `is_needed`.

    Neither may raise, and `is_needed` must not wait.
    """

    def __init__(self, stale_after_s: float, sweep: Callable[[], None], is_needed: Callable[[], bool]) -> None:
        self._interval_s = min(stale_after_s / INTERVALS_PER_AGE, INTERVAL_MAX_S)
        self._sweep = sweep
        self._is_needed = is_needed
        self._restart(stopped=False)

    def _restart(self, *, stopped: bool) -> None:
        self._is_running = False
        self._stopped = threading.Event()
        if stopped:
            self._stopped.set()

    def wake(self) -> None:
        """Have the thread run, after a span has started; never waits for anything."""
        if self._is_running or self._stopped.is_set() or not self._claim():
            return
        thread: threading.Thread | None = None
        try:
            thread = threading.Thread(target=self._run, name="agent-outcomes-stale", daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter ends and starts no more threads
                thread.start()
        finally:
            if thread is None or not thread.is_alive():
                self._is_running = False

    def stop(self) -> None:
        """Have the thread end, for good."""
        self._stopped.set()

    def after_fork_in_child(self) -> None:
        """The thread is not in the child; the next span starts another one."""
        self._restart(stopped=self._stopped.is_set())

    def _claim(self) -> bool:
        # A move, as of `moves`.
        if self._is_running:
            return False
        self._is_running = True
        return True

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self._sweep()
            if not self._is_needed():
                self._is_running = False
                # A span may have started meanwhile, and found the thread still running.
                if not self._is_needed() or not self._claim():
                    return
