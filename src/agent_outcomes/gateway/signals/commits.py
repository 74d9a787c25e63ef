# SPDX-License-Identifier: Apache-2.0
"""Runs of requests that come at the same time, committed to the ledger together: one commit serves them all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.foreign_exceptions import is_theirs_in_given
from agent_outcomes.gateway.wire.intake import IntakeUnavailable
from agent_outcomes.ledger.book.accepted import Arrivals
from agent_outcomes.ledger.location import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_outcomes.gateway.blocking_calls import RunBlocking
    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.store import Store

COMMITS_WAITING_MAX: Final = 20_000
AT_ONCE_MAX: Final = 1_000
COMMIT_RETRY_AFTER_S: Final = 1.0
_AWAY_RETRY_AFTER_S: Final = 5.0


class Accepted(NamedTuple):
    """What became of runs that were committed; the places of `refused` are those which the ledger cannot store."""

    arrivals: Arrivals
    refused: tuple[int, ...] = ()


class _Waiting(NamedTuple):
    acceptances: Sequence[Acceptance]
    done: asyncio.Future[int]


class Commits:
    """Has the ledger accept runs; used on one event loop. `on_arrivals` is told of each commit."""

    def __init__(
        self,
        store: Store,
        run_blocking: RunBlocking,
        on_arrivals: Callable[[Arrivals, Sequence[Acceptance]], None],
        waiting_max: int = COMMITS_WAITING_MAX,
    ) -> None:
        self._store = store
        self._run_blocking = run_blocking
        self._on_arrivals = on_arrivals
        self._waiting_max = waiting_max
        self._queue: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self.waiting_count = 0

    async def accept(self, acceptances: Sequence[Acceptance]) -> int:
        """Commit the runs; gives how many of them the ledger can never store.

        Raises `IntakeUnavailable` while too many wait already, or the ledger cannot be written; when they are sent
        again nothing is counted twice.
        """
        if not acceptances:
            return 0
        if self._queue and self.waiting_count + len(acceptances) > self._waiting_max:
            message = "the gateway is storing as many outcomes as it can hold; send them again"
            raise IntakeUnavailable(COMMIT_RETRY_AFTER_S, message)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(acceptances, done))
        self.waiting_count += len(acceptances)
        if self._task is None:
            self._task = asyncio.create_task(self._commit_all())
        return await done

    async def drain(self) -> None:
        """Wait until all that was given has been committed, or could not be."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _commit_all(self) -> None:
        try:
            while self._queue:
                await self._commit(self._next())
        finally:
            self._task = None

    def _next(self) -> list[_Waiting]:
        """The requests of the next commit: at least one."""
        count, taken = 0, 0
        for waiting in self._queue:
            count += len(waiting.acceptances)
            if taken and count > AT_ONCE_MAX:
                break
            taken += 1
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        whole = [acceptance for waiting in batch for acceptance in waiting.acceptances]
        try:
            arrivals, refused = await self._run_blocking(lambda: accept_what_can_be(self._store, whole))
        except BaseException as error:
            unavailable = _unavailable(error)
            for waiting in batch:
                _fail(waiting.done, unavailable)
            if not isinstance(error, Exception):
                raise
            return
        finally:
            self.waiting_count -= len(whole)
        self._on_arrivals(arrivals, whole)
        start = 0
        for waiting in batch:
            end = start + len(waiting.acceptances)
            if not waiting.done.done():
                waiting.done.set_result(sum(start <= place < end for place in refused))
            start = end


def accept_what_can_be(store: Store, acceptances: Sequence[Acceptance]) -> Accepted:
    """Have the ledger accept all but those that it cannot store, which it refuses one by one.

    Raises `LedgerUnavailable` where nothing can be stored now.
    """
    try:
        return Accepted(store.accept(acceptances))
    except LedgerUnavailable:
        raise
    except Exception as error:  # of the database, or a failure of ours
        if is_theirs_in_given(error):
            raise
        if len(acceptances) == 1:
            return Accepted(Arrivals(), (0,))
    half = len(acceptances) // 2
    first = accept_what_can_be(store, acceptances[:half])
    second = accept_what_can_be(store, acceptances[half:])
    counts: Any = map(sum, zip(first.arrivals, second.arrivals, strict=True))
    return Accepted(Arrivals(*counts), (*first.refused, *(half + place for place in second.refused)))


def _unavailable(error: BaseException) -> IntakeUnavailable:
    if isinstance(error, LedgerUnavailable):
        return IntakeUnavailable(_AWAY_RETRY_AFTER_S, str(error))
    return IntakeUnavailable(COMMIT_RETRY_AFTER_S, "the gateway could not store these outcomes now; send them again")


def _fail(done: asyncio.Future[int], error: IntakeUnavailable) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        done.set_exception(error)
