# SPDX-License-Identifier: Apache-2.0
"""The assembly: spans come in, are kept until their part of a trace is due, and become runs in the ledger.

A request is answered when the journal has it. What a part comes to is worked out on a thread beside the event loop.
Before the ledger is given it the journal notes which spans were settled together, so that a restart can only come to
the same again; when the ledger has it the journal may forget. While the ledger is away what is due waits, and when too
much does, requests are refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.assembly.collection import Collection
from agent_outcomes.gateway.assembly.counts import AssemblyCounting, AssemblyCounts
from agent_outcomes.gateway.assembly.journal import Journal, JournalError
from agent_outcomes.gateway.assembly.missed import TOO_LATE
from agent_outcomes.gateway.assembly.moving import move_least_held
from agent_outcomes.gateway.assembly.pipeline import Pipeline
from agent_outcomes.gateway.assembly.recovery import recorded_request, recover
from agent_outcomes.gateway.assembly.senders import REFUSED, allowed
from agent_outcomes.gateway.assembly.settled_files import SettledFiles
from agent_outcomes.gateway.wire.frames import frame_traces
from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Taken
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_outcomes.gateway.assembly.pipeline import SpanSignals
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.gateway.wire.frames import ScopeFrames
    from agent_outcomes.gateway.wire.intake import ExportRequest
    from agent_outcomes.ledger.store import Store

JOURNAL_FOLDER: Final = "journal"
SETTLED_FOLDER: Final = "settled"
INTAKE_RETRY_AFTER_S: Final = 5.0
HELD_REFUSED_SHARE: Final = 1.25
"""Of the bytes that may be held: beyond them the oldest settle early, beyond this requests are refused."""
LOOK_S: Final = 0.25
"""How long at most it takes to see that something is due."""
MOVES_EVERY_S: Final = 1.0
REJECTED: Final = "spans were left out whose trace id or span id is none"

_log: Final = LimitedLog(logging.getLogger(__name__))


class Assembly:
    """Takes requests with spans and makes runs of them in `store`; see the module.

    The constructor reads back what the settings' state folder holds, which blocks, and raises `JournalError` or
    `LedgerError` where that cannot be done. All else is for the thread of one event loop. `clock` gives seconds that
    never go back.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        store: Store,
        *,
        signals: SpanSignals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = settings.assembly
        self._receiver = settings.receiver
        self._clock = clock
        self._collection = Collection(settings.assembly, reads_evaluations=bool(settings.verdicts))
        self._journal = Journal(settings.state_folder / JOURNAL_FOLDER, settings.assembly.journal_max_bytes)
        self._files = SettledFiles(settings.state_folder / SETTLED_FOLDER, store.database)
        self._files.read_into(self._collection.settled)
        recovered = recover(self._journal, self._collection, settings.receiver, clock())
        self._counting = AssemblyCounting(
            AssemblyCounts(restored_spans=recovered.span_count, cut_files=self._journal.cut_count)
        )
        self._threads = ThreadPoolExecutor(1, "agent-outcomes-assembly")
        self._pipeline = Pipeline(
            self._collection,
            self._journal,
            store,
            self._threads,
            counting=self._counting,
            signals=signals,
            files=self._files,
        )
        self._pipeline.add_decided(recovered.decided)
        self._is_draining = False
        self._next_move_s = 0.0

    async def take(self, request: ExportRequest) -> Taken:
        """Keep the spans of a request; they are on disk when this returns.

        Raises `IntakeUnavailable` where they cannot be kept now, `WireError` where the request is none.
        """
        try:
            return await self._take(request)
        except IntakeUnavailable:
            self._counting.add(refused_requests=1)
            raise

    async def run(self) -> None:
        """Settle what is due until this is cancelled or the assembly is drained. Never raises of itself."""
        while not self._is_draining:
            await self.step()
            await asyncio.sleep(self._rest_s())

    async def step(self) -> None:
        """Go one step on with what is due by now. Never raises."""
        now_s = self._clock()
        await self._pipeline.step(now_s)
        if now_s >= self._next_move_s:
            self._next_move_s = now_s + MOVES_EVERY_S
            self._counting.add(moved_spans=await move_least_held(self._journal, self._collection))

    async def drain(self, timeout_s: float) -> bool:
        """Take no more, and give the ledger what is due, within the time; whether all of that was done.

        Nothing is settled before it is due: it stays in the journal. `run` is to have ended, or is to be cancelled.
        """
        self._is_draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self.step()
                while not self._pipeline.is_empty:
                    await asyncio.sleep(self._pipeline.pause_s)
                    await self.step()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End the threads and let go of the journal; blocks for what they are at. Never raises."""
        self._is_draining = True
        self._threads.shutdown(cancel_futures=True)
        self._journal.close()
        self._files.close()

    def counts(self) -> AssemblyCounts:
        """How it stands. Never blocks, never raises."""
        held, pipeline = self._collection.held, self._pipeline
        return replace(
            self._counting.counts,
            traces_now=len(held),
            spans_now=held.span_count,
            held_bytes_now=held.size_bytes + pipeline.size_bytes,
            waiting_parts_now=pipeline.part_count,
            journal_bytes_now=self._journal.used_bytes,
            away_now=int(pipeline.pause_s > 0.0),
            full_now=int(self._what_is_full() is not None),
        )

    async def _take(self, request: ExportRequest) -> Taken:
        scopes = frame_traces(request.body, self._receiver.spans_max)
        rejected, refused = sum(each.rejected for each in scopes), 0
        if request.sender is not None and request.sender.agents is not None:
            scopes, refused = await asyncio.to_thread(allowed, scopes, request.sender)
        span_count = sum(len(each.spans) for each in scopes)
        lost = await self._keep(request, scopes) if span_count else 0
        self._counting.add(requests=1, spans=span_count, rejected_spans=rejected, refused_spans=refused)
        words = [REJECTED] * bool(rejected) + [REFUSED] * bool(refused) + [TOO_LATE] * bool(lost)
        return Taken(rejected + refused, "; ".join(words))

    async def _keep(self, request: ExportRequest, scopes: Sequence[ScopeFrames]) -> int:
        """Hold the spans, and have them on disk; how many come too late that are agents' or state an outcome."""
        told = self._what_is_full()
        if told is not None or self._is_draining:
            raise IntakeUnavailable(INTAKE_RETRY_AFTER_S, told or "the gateway is ending")
        try:
            segment = await self._journal.append(*recorded_request(request))
        except JournalError as error:
            raise IntakeUnavailable(INTAKE_RETRY_AFTER_S, str(error)) from None
        lost_before = self._collection.lost_count
        try:
            added = self._collection.add(scopes, request.body, segment, self._clock(), request.sender)
            self._journal.hold(segment, added.held)
        finally:
            self._journal.release(segment)
        lost = self._collection.lost_count - lost_before
        self._counting.add(late_spans=added.late, repeated_spans=added.repeated, lost_spans=lost, problems=lost)
        if lost:
            _log.warning("lost", "%d spans: %s", lost, TOO_LATE)
        return lost

    def _what_is_full(self) -> str | None:
        """Why no more can be taken at present, if so."""
        if self._journal.is_full:
            return "the journal is full; is the ledger being written?"
        held_bytes = self._collection.held.size_bytes + self._pipeline.size_bytes
        if held_bytes > HELD_REFUSED_SHARE * self._limits.held_max_bytes:
            return "too much is held in memory; is the ledger being written?"
        return None

    def _rest_s(self) -> float:
        """How long nothing is to be done."""
        if self._pipeline.pause_s:
            return self._pipeline.pause_s
        if not self._pipeline.is_empty or self._collection.is_too_much:
            return 0.0
        next_s = self._collection.held.next_look_s()
        return LOOK_S if next_s is None else min(max(next_s - self._clock(), 0.0), LOOK_S)
