# SPDX-License-Identifier: Apache-2.0
"""From what has settled to the emitter: each settlement once, by one thread at a time, and never from within itself.

The SDK's own pipelines lock while they take a log record. What settles while this very thread is
inside them, by a signal handler or a finalizer, therefore waits until the thread is out again; what an exception has
interrupted is gone on with, by whoever comes next.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent_outcomes.foreign_exceptions import is_theirs
from agent_outcomes.sdk.handover import Handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.spans.open_spans import Board


class _Thread:
    """What one thread is doing here."""

    __slots__ = ("is_inside",)

    def __init__(self) -> None:
        self.is_inside = False


class Emission:
    """Hands on what settles: `deliver` is called with each settlement, until it has returned once.

    `give_up` is called for one of which `deliver` raised a failure of ours, `on_failure` with that failure.
    """

    def __init__(
        self,
        deliver: Callable[[Handover], None],
        give_up: Callable[[Handover], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        self._give_up = give_up
        self._on_failure = on_failure
        self.restart()

    def restart(self) -> None:
        """Forget what is being handed on: for a forked child, whose parent goes on with it."""
        self._threads = threading.local()
        self._in_hand: dict[Handover, _Thread] = {}

    def run(self, board: Board) -> None:
        """Hand on all that has settled, but for what other threads have in hand."""
        thread = self._thread()
        if thread.is_inside:
            return
        # No loop stands right here: from 3.12 on, what is raised where one goes back is out of reach of its `try`.
        try:
            thread.is_inside = True
            if self._in_hand:
                self._resume(thread)
            self._hand_on(board, thread)
        finally:
            thread.is_inside = False

    def ready(self, prepare: Callable[[], object]) -> None:
        """Run something that makes instruments or asks for providers, unless this thread is inside them."""
        thread = self._thread()
        if thread.is_inside:
            return
        try:
            thread.is_inside = True
            prepare()
        finally:
            thread.is_inside = False

    def _hand_on(self, board: Board, thread: _Thread) -> None:
        while board.settled:
            for settlement in list(board.settled):
                handover = Handover(settlement)
                if self._take(board, settlement, handover, thread):
                    self._finish(handover)

    def _take(self, board: Board, settlement: Settlement, handover: Handover, thread: _Thread) -> bool:
        # A move, as of `moves`.
        if settlement not in board.settled:
            return False
        del board.settled[settlement]
        self._in_hand[handover] = thread
        return True

    def _resume(self, thread: _Thread) -> None:
        """Go on with what other calls have left: they were interrupted, and nobody is at it."""
        for handover in list(self._in_hand):
            if self._adopt(handover, thread):
                self._finish(handover)

    def _adopt(self, handover: Handover, thread: _Thread) -> bool:
        # A move, as of `moves`.
        if handover not in self._in_hand:
            return False
        if self._in_hand[handover] is not thread and self._in_hand[handover].is_inside:
            return False
        self._in_hand[handover] = thread
        return True

    def _finish(self, handover: Handover) -> None:
        try:
            self._deliver(handover)
        except Exception as error:  # a failure of ours; written out, as a guard costs 1 % of an emission
            if is_theirs(error):
                raise
            self._on_failure(error)
            self._give_up(handover)
        self._in_hand.pop(handover, None)

    def _thread(self) -> _Thread:
        thread: _Thread | None = getattr(self._threads, "here", None)
        if thread is None:
            thread = self._threads.here = _Thread()
        return thread
