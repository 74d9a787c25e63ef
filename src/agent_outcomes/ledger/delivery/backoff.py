# SPDX-License-Identifier: Apache-2.0
"""How long to wait after a receiver did not take what was sent. Pure; never gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S: Final = 1.0
MOST_S: Final = 15.0
_FACTOR: Final = 2.0
_SPREAD: Final = 0.25
"""Half of what is taken off or added, so that many senders do not come back at the same moment."""


class Backoff:
    """The waits after failures in a row: `FIRST_S`, doubled up to `MOST_S`, or what the receiver asks for."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next_s = FIRST_S

    def succeeded(self) -> None:
        """The next failure is the first of its row."""
        self._next_s = FIRST_S

    def failed(self, asked_s: float | None) -> float:
        """The seconds to wait now; never less than `asked_s`, where the receiver has said it."""
        own_s = self._next_s * (1 + _SPREAD * (2 * self._random() - 1))
        self._next_s = min(self._next_s * _FACTOR, MOST_S)
        return own_s if asked_s is None else max(asked_s, 0.0)
