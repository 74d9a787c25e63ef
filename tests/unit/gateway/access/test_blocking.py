# SPDX-License-Identifier: Apache-2.0
"""Calls that block, on few threads."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from agent_outcomes.gateway.access.blocking import BlockingCalls, OverloadedError

pytestmark = pytest.mark.backends


def test_more_than_may_wait_is_refused_at_once() -> None:
    """Nothing of what is refused is done, and there is room again when something has ended."""
    calls, gate, done = BlockingCalls(threads=1, calls_max=3), threading.Event(), list[int]()

    def call(number: int) -> int:
        gate.wait(30)
        done.append(number)
        return number

    async def main() -> None:
        taken = [asyncio.ensure_future(calls.run(partial(call, number))) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await calls.run(lambda: call(99))
        gate.set()
        assert await asyncio.gather(*taken) == [0, 1, 2]
        assert await calls.run(lambda: call(3)) == 3

    asyncio.run(main())
    calls.close()
    assert done == [0, 1, 2, 3]


def test_what_a_call_raises_is_raised_and_makes_room() -> None:
    calls = BlockingCalls(threads=2, calls_max=2)

    def fail() -> None:
        message = "no"
        raise KeyError(message)

    async def main() -> None:
        for _ in range(5):
            with pytest.raises(KeyError):
                await calls.run(fail)

    asyncio.run(main())
    calls.close()


def test_a_call_whose_asker_has_gone_is_carried_out() -> None:
    """A report is recorded, also if the connection on which it came is lost meanwhile; its place is free again."""
    calls, began, gate, ended = (
        BlockingCalls(threads=1, calls_max=1),
        threading.Event(),
        threading.Event(),
        threading.Event(),
    )

    def call() -> None:
        began.set()
        gate.wait(30)
        ended.set()

    async def main() -> None:
        asker = asyncio.ensure_future(calls.run(call))
        await asyncio.to_thread(began.wait, 30)
        asker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asker
        gate.set()
        await asyncio.to_thread(ended.wait, 30)
        async with asyncio.timeout(30):
            while True:
                try:
                    await calls.run(lambda: None)
                except OverloadedError:
                    await asyncio.sleep(0)
                else:
                    return

    asyncio.run(main())
    calls.close()
    assert ended.is_set()
