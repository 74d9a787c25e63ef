# SPDX-License-Identifier: Apache-2.0
"""Whether every thread of a program gets on: the main thread's heartbeat must not cover for one that hangs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

STANDSTILL_MAX_S: Final = 20.0


class Liveness:
    """Remembers when each of some counts last changed."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, float]] = {}

    def is_alive(self, counts: Iterable[int]) -> bool:
        """Whether each of the counts has changed in the last 20 seconds."""
        now_s = time.monotonic()
        for number, count in enumerate(counts):
            if number not in self._seen or self._seen[number][0] != count:
                self._seen[number] = (count, now_s)
        return all(now_s - at_s < STANDSTILL_MAX_S for _, at_s in self._seen.values())
