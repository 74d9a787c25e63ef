# SPDX-License-Identifier: Apache-2.0
"""How an event loop has a call carried out that blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class RunBlocking(Protocol):
    """Runs a call on another thread and gives what it returns."""

    async def __call__(self, call: Callable[[], _Result], /) -> _Result:
        """What the call returns; raises what it raises, or that there was no thread for it."""
        ...
