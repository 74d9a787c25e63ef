# SPDX-License-Identifier: Apache-2.0
"""A fork waits until no thread is inside the database's client library, and none enters while it is under way.

SQLite, libpq and OpenSSL hold locks of their own while they work without the interpreter's. A child that is forked in
such a moment gets them locked for good, by a thread that it does not have, and hangs at its first use of the library.
The application's thread that forks waits for a second at most, as a database may be away and whoever calls it for long.
Nothing here is a lock, so that nothing can be left held.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

FORK_WAIT_MAX_S: Final = 1.0
_STEP_S: Final = 0.0005


class Inside:
    """A `with` block in which the calling thread is inside the client library; blocks within one another are one."""

    __slots__ = ("_gate", "_is_inner")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._is_inner = False

    def __enter__(self) -> None:
        """Wait while a fork is under way, a second at most."""
        ident = threading.get_ident()
        self._is_inner = ident in self._gate.inside
        while not _enter(self._gate, ident, time.monotonic()):
            time.sleep(_STEP_S)

    def __exit__(self, *_: object) -> None:
        """Be outside again."""
        if not self._is_inner:
            self._gate.inside.pop(threading.get_ident(), None)


class Gate:
    """Which threads are inside; `closed_until_s` is on the monotonic clock."""

    __slots__ = ("closed_until_s", "inside")

    def __init__(self) -> None:
        self.closed_until_s = 0.0
        self.inside: dict[int, None] = {}

    def has_me_inside(self) -> bool:
        """Whether the calling thread is inside: what it would wait for may wait for it."""
        return threading.get_ident() in self.inside

    def before_fork(self) -> None:
        """Let no thread enter, and wait for those inside."""
        until_s = self.closed_until_s = time.monotonic() + FORK_WAIT_MAX_S
        here = threading.get_ident()
        while any(ident != here for ident in list(self.inside)) and time.monotonic() < until_s:
            time.sleep(_STEP_S)

    def after_fork_in_parent(self) -> None:
        """Let threads enter again."""
        self.closed_until_s = 0.0

    def after_fork_in_child(self) -> None:
        """Nobody else is here."""
        self.closed_until_s = 0.0
        self.inside = {}


def _enter(gate: Gate, ident: int, now_s: float) -> bool:
    # A move, as of `spans.moves`: a fork sees the thread inside, or the thread the fork.
    if now_s < gate.closed_until_s and ident not in gate.inside:
        return False
    gate.inside[ident] = None
    return True


GATE: Final = Gate()
"""Of this process, for all of its ledgers."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=GATE.before_fork,
        after_in_parent=GATE.after_fork_in_parent,
        after_in_child=GATE.after_fork_in_child,
    )
