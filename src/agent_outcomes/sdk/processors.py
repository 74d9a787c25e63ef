# SPDX-License-Identifier: Apache-2.0
"""Which processors there are, without keeping any of them: one is made for each session in some frameworks."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

ProcessorT = TypeVar("ProcessorT")


class Processors(Generic[ProcessorT]):
    """Processors that are still referred to elsewhere; those that were shut down are told apart.

    Read and changed by any thread, and by the garbage collector in the midst of either: every step is one operation
    on a dict, which no other thread can interrupt, so that there is no lock that a finalizer or a fork could meet.
    """

    def __init__(self) -> None:
        self._open: dict[int, weakref.ref[ProcessorT]] = {}
        self._closed: dict[int, weakref.ref[ProcessorT]] = {}

    def add(self, processor: ProcessorT) -> None:
        """Take a processor in that counts."""
        self._open[id(processor)] = _reference(processor, self._open)

    def close(self, processor: ProcessorT) -> None:
        """Note that a processor counts no more."""
        if self._open.pop(id(processor), None) is not None:
            self._closed[id(processor)] = _reference(processor, self._closed)

    def open(self) -> list[ProcessorT]:
        """Those that were not shut down, in the order in which they were made."""
        return _referred_to(self._open)

    def __iter__(self) -> Iterator[ProcessorT]:
        """All, those that were shut down last."""
        return iter(_referred_to(self._open) + _referred_to(self._closed))

    def __len__(self) -> int:
        """How many there are in all."""
        return len(list(iter(self)))


def _reference(processor: ProcessorT, references: dict[int, weakref.ref[ProcessorT]]) -> weakref.ref[ProcessorT]:
    key = id(processor)

    def forget(reference: weakref.ref[ProcessorT]) -> None:
        # The id may be another processor's by now.
        if references.get(key) is reference:
            references.pop(key, None)

    return weakref.ref(processor, forget)


def _referred_to(references: dict[int, weakref.ref[ProcessorT]]) -> list[ProcessorT]:
    found = [reference() for reference in list(references.values())]
    return [processor for processor in found if processor is not None]
