# SPDX-License-Identifier: Apache-2.0
"""Tables that are changed by several threads and forget their oldest entry when they are full."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyT = TypeVar("KeyT")


def oldest_key(table: Mapping[KeyT, object]) -> KeyT | None:
    """The key that has been in the table for longest, `None` if it is empty. Waits for nobody, copies nothing."""
    while True:
        try:
            return next(iter(table), None)
        except RuntimeError:  # another thread has changed it just now
            continue
