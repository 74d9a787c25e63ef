# SPDX-License-Identifier: Apache-2.0
"""Calls that block, for the event loop: on a few threads, with a bound on how many wait for one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKING_THREADS: Final = 8
BLOCKING_CALLS_MAX: Final = 256
OVERLOAD_RETRY_AFTER_S: Final = 2.0

_Result = TypeVar("_Result")


class OverloadedError(Exception):
    """Too many calls wait for a thread: nothing was done, and the same request may be made again soon."""


class BlockingCalls:
    """A pool of threads for calls to the ledger; `run` is a `RunBlocking`.

    At most `calls_max` are under way or wait. A call that has begun is carried out, also if nobody waits for it any
    more.
    """

    def __init__(self, threads: int = BLOCKING_THREADS, calls_max: int = BLOCKING_CALLS_MAX) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="agent-outcomes-call")
        self._calls_max = calls_max
        self._count = 0

    async def run(self, call: Callable[[], _Result], /) -> _Result:
        """What the call returns; raises what it raises, or `OverloadedError`."""
        if self._count >= self._calls_max:
            raise OverloadedError
        self._count += 1
        future = self._pool.submit(call)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _tell(loop, self._done))
        return await asyncio.wrap_future(future, loop=loop)

    def close(self) -> None:
        """Let go of the threads when what they do is done; what waits is left out."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        self._count -= 1


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
