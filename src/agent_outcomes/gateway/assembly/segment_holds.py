# SPDX-License-Identifier: Apache-2.0
"""Which files of the journal are still needed: for what is held in memory, and for marks on what other files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SegmentHolds:
    """Counts what is held of each file, by its number.

    A mark says which spans were settled together. Its file is needed as long as any that has one of these spans, or
    they would be taken for new when they are read again.
    """

    def __init__(self) -> None:
        self._held: dict[int, int] = {}
        self._marked: dict[int, set[int]] = {}
        self._appended_to = 0

    def note_appended(self, segment: int) -> None:
        """Note that a file was appended to: those before it are appended to no more."""
        self._appended_to = max(self._appended_to, segment)
        self._held.setdefault(segment, 0)

    def hold(self, segment: int, count: int = 1) -> None:
        """Need a file for `count` things more."""
        self._held[segment] = self._held.get(segment, 0) + count

    def release(self, segment: int, count: int = 1) -> None:
        """Need it for `count` things less."""
        self._held[segment] -= count

    def note_mark(self, segment: int, of: Iterable[int]) -> None:
        """Note that a file has a mark on what those other files hold."""
        others = {number for number in of if number in self._held and number != segment}
        if others:
            self._marked.setdefault(segment, set()).update(others)

    def take_free(self) -> list[int]:
        """The files that nothing needs any more, which are then forgotten here."""
        found: list[int] = []
        while free := [number for number in self._held if self._is_free(number)]:
            for number in free:
                del self._held[number]
                self._marked.pop(number, None)
            found += free
            for others in self._marked.values():
                others.difference_update(free)
        return found

    def least_held(self) -> int | None:
        """The file of which least is held, of those that are appended to no more."""
        held = {number: count for number, count in self._held.items() if count and number < self._appended_to}
        return min(held, key=held.__getitem__, default=None)

    def _is_free(self, number: int) -> bool:
        return number < self._appended_to and not self._held[number] and not self._marked.get(number)
