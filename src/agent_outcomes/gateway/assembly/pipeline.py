# SPDX-License-Identifier: Apache-2.0
"""The way of a part from when it is due until the journal may forget it: settled, marked, accepted, let go.

What cannot go on, as the ledger is away or the journal cannot be written, waits where it is, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from agent_outcomes.explain.exported import ParentPlace
from agent_outcomes.explain.remote_agents import has_usage
from agent_outcomes.gateway.assembly.accepting import accept_all
from agent_outcomes.gateway.assembly.collection import DuePart
from agent_outcomes.gateway.assembly.journal import JournalError
from agent_outcomes.gateway.assembly.journal_records import RecordKind, encode_mark
from agent_outcomes.gateway.assembly.missed import TOO_LATE
from agent_outcomes.gateway.assembly.parts import callees_first, mark_of, one_part, together
from agent_outcomes.gateway.assembly.senders import REFUSED
from agent_outcomes.gateway.assembly.settled import SPAN_ID_BYTES
from agent_outcomes.gateway.assembly.settling import Around, SettledSpans, may_be_run, settle
from agent_outcomes.gateway.wire.intake import IntakeUnavailable
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from concurrent.futures import Executor

    from agent_outcomes.gateway.assembly.accepting import AcceptedRuns
    from agent_outcomes.gateway.assembly.collection import Collection
    from agent_outcomes.gateway.assembly.counts import AssemblyCounting
    from agent_outcomes.gateway.assembly.journal import Journal
    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.gateway.assembly.settled import SettledPart
    from agent_outcomes.gateway.assembly.settled_files import SettledFiles
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.gateway.wire.messages import WireLink, WireSpan
    from agent_outcomes.ledger.book.reports import LateReport
    from agent_outcomes.ledger.store import Store

PARTS_AT_ONCE: Final = 256
RUNS_AT_ONCE: Final = 512
"""In one transaction."""
RETRY_PAUSE_MIN_S: Final = 0.05
RETRY_PAUSE_MAX_S: Final = 1.0

_log: Final = LimitedLog(logging.getLogger(__name__))


class SpanSignals(Protocol):
    """Who reads reports on other runs from spans, and gives them to the ledger."""

    def reports(self, span: WireSpan, *, is_in_run: bool, sender: Sender | None) -> Sequence[LateReport]:
        """The reports that a span makes, which the sender may make."""
        ...

    async def take_reports(self, reports: Sequence[LateReport]) -> None:
        """Give reports to the ledger. Raises `IntakeUnavailable` where that cannot be done now."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A part that is settled, and those it was joined of; of `remembered` each is forgotten that was no run."""

    settled: SettledSpans
    parts: tuple[TracePart, ...]
    remembered: tuple[SettledPart, ...]

    @property
    def part(self) -> TracePart:
        """The part itself."""
        return self.settled.part


class Pipeline:
    """Takes parts out of `collection` that are due, and gives their runs to `store`; `threads` does what blocks."""

    def __init__(
        self,
        collection: Collection,
        journal: Journal,
        store: Store,
        threads: Executor,
        *,
        counting: AssemblyCounting,
        signals: SpanSignals | None,
        files: SettledFiles,
    ) -> None:
        self._collection = collection
        self._journal = journal
        self._store = store
        self._threads = threads
        self._counting = counting
        self._signals = signals
        self._files = files
        self._due: list[DuePart] = []
        self._unmarked: list[_Waiting] = []
        self._waiting: list[_Waiting] = []
        self._pause_s = 0.0
        self._lock = asyncio.Lock()
        self.size_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return not (self._due or self._unmarked or self._waiting)

    @property
    def part_count(self) -> int:
        """How many parts are under way."""
        return len(self._due) + len(self._unmarked) + len(self._waiting)

    @property
    def pause_s(self) -> float:
        """How long to wait before going on: not at all, unless something cannot be written at present."""
        return self._pause_s

    def add_decided(self, parts: Iterable[TracePart]) -> None:
        """Settle parts again, just as they were settled before a restart."""
        self._add([DuePart(part) for part in parts])

    async def step(self, now_s: float) -> None:
        """Go one step on with what is due by now and all that is under way; one at a time. Never raises."""
        async with self._lock:
            await self._step(now_s)

    async def _step(self, now_s: float) -> None:
        # What waits for the ledger is bounded by what may be held; no more is worked out ahead of it.
        if len(self._due) < PARTS_AT_ONCE and self.part_count < 4 * PARTS_AT_ONCE:
            for trace in self._collection.take_due(now_s):
                self._add(trace.parts)
                self._let_go(trace.let_go)
                if len(self._due) >= PARTS_AT_ONCE:
                    break
        try:
            await self._settle()
            await self._mark()
            await self._files.keep_missing(self._collection.settled.missed)
            await self._accept()
        except (LedgerError, JournalError, IntakeUnavailable) as error:
            self._wait_longer()
            _log.warning("away", "%s; %d parts of traces wait until it can be written", error, self.part_count)
        except Exception as error:  # noqa: BLE001 - a failure of ours: what is under way is tried again
            self._wait_longer()
            name = type(error).__qualname__
            _log.warning(f"failed_{name}", "settling failed and is tried again: %s", name)
        else:
            self._pause_s = 0.0
        self._journal.remove_free()

    def _wait_longer(self) -> None:
        self._pause_s = min(max(2 * self._pause_s, RETRY_PAUSE_MIN_S), RETRY_PAUSE_MAX_S)

    def _add(self, parts: Sequence[DuePart]) -> None:
        self._due += parts
        self.size_bytes += sum(due.part.size_bytes for due in parts)

    async def _settle(self) -> None:
        """Work out what parts come to; those that are no run are done with."""
        due = self._due[: _whole_traces(self._due, PARTS_AT_ONCE)]
        promising = [each.part for each in due if each.part.may_hold_agents]
        late = {id(part) for part in promising if self._collection.is_late(part)}
        unsure = [part for part in promising if self._is_unsure(part) and id(part) not in late]
        late |= {id(part) for part in unsure if await self._in_thread_known(part)}
        kept = together(part for part in promising if id(part) not in late)
        remembered = [self._remembered(parts) for parts in kept]
        try:
            settled = await self._settled([one_part(parts) for parts in kept])
        except BaseException:
            for parts, memory in zip(kept, remembered, strict=True):
                for one in () if parts[0].was_decided else memory:
                    self._collection.settled.discard(parts[0].trace_id, one)
            raise
        del self._due[: len(due)]
        self._count_due(due, late)
        for each in due:
            if not each.part.may_hold_agents or id(each.part) in late:
                self._release(each.part)
            if each.part.is_lost and not each.part.may_hold_agents:
                self._collection.settled.missed.note(each.part.trace_id, each.part.spans)
        for result, parts, memory in zip(settled, kept, remembered, strict=True):
            self._sort(_Waiting(result, parts, memory))

    def _remembered(self, parts: Sequence[TracePart]) -> tuple[SettledPart, ...]:
        settled = self._collection.settled
        found = [settled.restored(part) if part.was_decided else settled.add(part) for part in parts]
        return tuple(one for one in found if one is not None)

    def _is_unsure(self, part: TracePart) -> bool:
        """Whether only the ledger can tell if the part lacks its parent because that was counted before a restart."""
        if part.is_whole or part.was_decided or self._collection.settled.is_sure_of(part.trace_id):
            return False
        return part.top.parent_place is not ParentPlace.ELSEWHERE

    async def _in_thread_known(self, part: TracePart) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._store.known_trace, part.trace_id)

    async def _settled(self, parts: Sequence[TracePart]) -> list[SettledSpans]:
        if not parts:
            return []
        settled = self._collection.settled
        called = {part.trace_id: settled.called(part.trace_id) for part in parts}
        around = [
            Around(called[part.trace_id], settled.counted(part), settled.missed.among(part.trace_id, part.spans))
            for part in parts
        ]
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._settle_here, parts, around, called)

    def _settle_here(
        self, parts: Sequence[TracePart], around: Sequence[Around], called: Mapping[bytes, set[bytes]]
    ) -> list[SettledSpans]:
        """What parts come to; `called` is what is so in what is `around` those of each trace, and grows."""
        settled: dict[int, SettledSpans] = {}
        for number in callees_first(parts):
            part = parts[number]
            settled[number] = self._settle_one(part, around[number])
            if part.is_whole and part.top.parent_id is not None and settled[number].has_used:
                called[part.trace_id].add(part.top.parent_id)
        # What a part reports on may be a run of one that has settled after it.
        open_ones = [number for number, one in settled.items() if one.is_open]
        runs = {run for one in settled.values() if not one.is_open for run in _runs_of(one)}
        for number in open_ones:
            settled[number] = self._settle_one(parts[number], around[number], runs)
            runs.update(_runs_of(settled[number]))
        return [settled[number] for number in range(len(parts))]

    def _settle_one(
        self, part: TracePart, around: Around, runs: AbstractSet[tuple[bytes, bytes]] = frozenset()
    ) -> SettledSpans:
        def is_known(link: WireLink) -> bool:
            return (link.trace_id, link.span_id) in runs or self._is_known(link, part.trace_id)

        try:
            return settle(part, is_known, around)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - of ours, on spans that nobody has thought of: the others go on
            name = type(error).__qualname__
            _log.warning(f"failed_{name}", "spans of a trace were not taken into account: %s", name)
            return SettledSpans(part, has_failed=True)

    def _is_known(self, link: WireLink, own_trace_id: bytes) -> bool:
        """Whether a link leads to a run.

        In a trace of its own a run may be meant by any of its spans; in the same one a link to what is no run says
        nothing of one.
        """
        trace_id, span_id = link.trace_id, link.span_id
        if trace_id == own_trace_id:
            return self._collection.may_hold_run(trace_id, span_id) or self._store.known_run(trace_id, span_id)
        if self._collection.held.trace(trace_id) is not None or trace_id in self._collection.settled:
            return True
        return self._store.known_trace(trace_id)

    def _sort(self, waiting: _Waiting) -> None:
        """Put a settled part where it has to wait, or be done with it."""
        settled = waiting.settled
        self._counting.add(
            unreadable_spans=settled.unreadable_count,
            refused_spans=settled.refused_count,
            problems=settled.problem_count,
            failed_parts=int(settled.has_failed),
        )
        if settled.refused_count:
            _log.warning("refused", "%d spans: %s", settled.refused_count, REFUSED)
        self._look_at_runs(waiting)
        if settled.acceptances and not waiting.part.was_decided:
            self._unmarked.append(waiting)
        elif settled.acceptances or settled.reporting:
            self._waiting.append(waiting)
        else:
            self._release(waiting.part)

    def _look_at_runs(self, waiting: _Waiting) -> None:
        """Forget what was no run, and remember where usage was reported."""
        settled = waiting.settled
        runs = [(each.run.span_id.to_bytes(SPAN_ID_BYTES, "big"), each.run) for each in settled.acceptances]
        outside = [span.id for span in waiting.part.spans if span.id not in settled.inside]
        for one in waiting.remembered:
            held = [run for span_id, run in runs if one.holds(span_id)]
            one.has_used = any(has_usage(run) for run in held)
            one.judge((span_id for span_id, _ in runs), outside, settled.counted)
            if not held:
                self._collection.settled.discard(waiting.part.trace_id, one)
        if waiting.part.is_lost:
            self._collection.settled.missed.note(waiting.part.trace_id, waiting.part.spans, dict(runs))

    async def _mark(self) -> None:
        """Have the journal note which spans were settled together, all in one group. Raises `JournalError`."""
        unmarked, self._unmarked = self._unmarked, []
        segments = await asyncio.gather(*(self._write_mark(each) for each in unmarked), return_exceptions=True)
        error: BaseException | None = None
        for each, segment in zip(unmarked, segments, strict=True):
            if isinstance(segment, BaseException):
                self._unmarked.append(each)
                error = segment
            else:
                self._waiting.append(each)
        if error is not None:
            raise error

    async def _write_mark(self, waiting: _Waiting) -> None:
        mark = encode_mark(mark_of(waiting.parts, {span_id for _, span_id in _runs_of(waiting.settled)}))
        segment = await self._journal.append(RecordKind.SETTLED, mark, is_intake=False)
        self._journal.note_mark(segment, waiting.part.segments())
        self._journal.release(segment)

    async def _accept(self) -> None:
        """Give the ledger what waits for it, in groups. Raises `LedgerError`, `IntakeUnavailable` or `JournalError`."""
        while self._waiting:
            group = _first_runs(self._waiting)
            acceptances = [acceptance for each in group for acceptance in each.settled.acceptances]
            if acceptances:
                loop = asyncio.get_running_loop()
                self._note(await loop.run_in_executor(self._threads, accept_all, self._store, acceptances))
            self._waiting[: len(group)] = [_without_runs(each) for each in group]
            await self._report(group)
            await self._files.keep(_remembered_runs(group))
            del self._waiting[: len(group)]
            for each in group:
                self._release(each.part)

    def _note(self, accepted: AcceptedRuns) -> None:
        self._counting.add(runs=accepted.new, known_runs=accepted.known, unstorable_runs=accepted.unstorable)

    async def _report(self, group: Sequence[_Waiting]) -> None:
        if self._signals is None:
            return
        reports: list[LateReport] = []
        for waiting in group:
            for each in waiting.settled.reporting:
                reports += self._signals.reports(each.span, is_in_run=each.is_in_run, sender=each.sender)
        if reports:
            await self._signals.take_reports(reports)

    def _let_go(self, counts: Mapping[int, int]) -> None:
        for segment, count in counts.items():
            self._journal.release(segment, count)
            self._counting.add(other_spans=count)

    def _release(self, part: TracePart) -> None:
        self.size_bytes -= part.size_bytes
        for segment, count in part.segments().items():
            self._journal.release(segment, count)

    def _count_due(self, due: Sequence[DuePart], late: set[int]) -> None:
        others = [each.part.span_count for each in due if not each.part.may_hold_agents]
        lacking = [each.part for each in due if id(each.part) in late]
        lost_count = sum(may_be_run(span) for part in lacking for span in part.spans)
        if lost_count:
            _log.warning("lost", "%d spans: %s", lost_count, TOO_LATE)
        self._counting.add(
            parts=len(due),
            early_parts=sum(each.is_early for each in due),
            late_parts=len(lacking),
            late_spans=sum(part.span_count for part in lacking),
            lost_spans=lost_count,
            problems=lost_count,
            other_spans=sum(others),
        )


def _runs_of(settled: SettledSpans) -> Iterator[tuple[bytes, bytes]]:
    """The trace ids and span ids of its runs."""
    return ((settled.part.trace_id, each.run.span_id.to_bytes(SPAN_ID_BYTES, "big")) for each in settled.acceptances)


def _whole_traces(due: Sequence[DuePart], count: int) -> int:
    """How many of the first parts to take, so that those of one trace that were due at once stay together."""
    while 0 < count < len(due) and due[count].part.trace_id == due[count - 1].part.trace_id:
        count += 1
    return count


def _first_runs(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """The first parts that have at most `RUNS_AT_ONCE` runs together, or the first one."""
    found: list[_Waiting] = []
    run_count = 0
    for each in waiting:
        run_count += len(each.settled.acceptances)
        if found and run_count > RUNS_AT_ONCE:
            break
        found.append(each)
    return found


def _remembered_runs(group: Sequence[_Waiting]) -> Iterator[tuple[bytes, SettledPart]]:
    """What is remembered of parts with runs, and their traces' ids."""
    return ((waiting.part.trace_id, one) for waiting in group for one in waiting.remembered if one.runs)


def _without_runs(waiting: _Waiting) -> _Waiting:
    return replace(waiting, settled=replace(waiting.settled, acceptances=()))
