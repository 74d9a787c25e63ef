# SPDX-License-Identifier: Apache-2.0
"""A fork waits until no thread is inside the database's client library, and none enters while it is under way.

SQLite, libpq, OpenSSL and the import system hold locks of their own while they work without the interpreter's. A child
that is forked in such a moment gets them locked for good, by a thread that it does not have, and hangs at its first use
of the library. SQLite also notes in memory what its connections have locked: a child that is forked within a
transaction finds its own file locked for ever. So the application's thread that forks waits, but not for long where
whoever is inside waits for a server, which may be away. Nothing here is a lock, so that nothing can be left held.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

FORK_WAIT_MAX_S: Final = 10.0
"""For a thread that opens a ledger, or is in a transaction of SQLite's."""
SERVER_WAIT_MAX_S: Final = 1.0
"""For one that may wait for a server."""
_STEP_S: Final = 0.0005


class Inside:
    """A `with` block in which the calling thread is inside the client library; blocks within one another are one."""

    __slots__ = ("_gate", "_ident", "_is_inner", "_limit_s")

    def __init__(self, gate: Gate, limit_s: float = FORK_WAIT_MAX_S) -> None:
        self._gate = gate
        self._limit_s = limit_s
        self._ident = 0
        self._is_inner = False

    def __enter__(self) -> None:
        """Wait while a fork is under way."""
        ident = self._ident = threading.get_ident()
        self._is_inner = ident in self._gate.inside
        while not _enter(self._gate, ident, self._limit_s, time.monotonic()):
            time.sleep(_STEP_S)

    def __exit__(self, *_: object) -> None:
        """Be outside again."""
        if not self._is_inner:
            self._gate.inside.pop(self._ident, None)


class Gate:
    """Which threads are inside, and how long a fork waits for each; `closed_until_s` is on the monotonic clock."""

    __slots__ = ("closed_until_s", "inside")

    def __init__(self) -> None:
        self.closed_until_s = 0.0
        self.inside: dict[int, float] = {}

    def has_me_inside(self) -> bool:
        """Whether the calling thread is inside: what it would wait for may wait for it."""
        return threading.get_ident() in self.inside

    def before_fork(self) -> None:
        """Let no thread enter, and wait for those inside."""
        began_s = time.monotonic()
        # Should nobody open it again.
        self.closed_until_s = began_s + 2 * FORK_WAIT_MAX_S
        while self._has_others_inside(time.monotonic() - began_s):
            time.sleep(_STEP_S)

    def _has_others_inside(self, waited_s: float) -> bool:
        here = threading.get_ident()
        return any(ident != here and waited_s < limit_s for ident, limit_s in list(self.inside.items()))

    def after_fork_in_parent(self) -> None:
        """Let threads enter again."""
        self.closed_until_s = 0.0

    def after_fork_in_child(self) -> None:
        """Nobody else is here."""
        self.closed_until_s = 0.0
        self.inside = {}


def _enter(gate: Gate, ident: int, limit_s: float, now_s: float) -> bool:
    # A move, as of `spans.moves`: a fork sees the thread inside, or the thread the fork.
    if ident in gate.inside:
        return True
    if now_s < gate.closed_until_s:
        return False
    gate.inside[ident] = limit_s
    return True


GATE: Final = Gate()
"""Of this process, for all of its ledgers."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=GATE.before_fork,
        after_in_parent=GATE.after_fork_in_parent,
        after_in_child=GATE.after_fork_in_child,
    )
