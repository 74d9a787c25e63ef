# SPDX-License-Identifier: Apache-2.0
"""The memory of what has settled, kept on disk: after a restart a late span is late still, and a callee called.

A part is kept when the ledger has its runs, and before the journal forgets its spans, so that what is kept was counted.
What a run may miss that is still to come is kept, too. The oldest files go when there is too much. What was counted in
another ledger is not read.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind  # noqa: TC002 - msgspec reads it

from agent_outcomes.explain.exported import ParentPlace  # noqa: TC001 - msgspec reads it
from agent_outcomes.gateway.assembly.held import CACHED_RESOURCES_MAX
from agent_outcomes.gateway.assembly.journal import Journal
from agent_outcomes.gateway.assembly.journal_records import RecordKind
from agent_outcomes.gateway.assembly.missed import KnownSpan
from agent_outcomes.gateway.assembly.settled import SettledPart
from agent_outcomes.ledger.delivery.totals import known_ledger_facts, ledger_facts
from agent_outcomes.semconv import ProblemKind  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agent_outcomes.gateway.assembly.journal_records import JournalRecord
    from agent_outcomes.gateway.assembly.missed import MissedSpans
    from agent_outcomes.gateway.assembly.settled import SettledTraces
    from agent_outcomes.ledger.database import Database

KEPT_MAX_BYTES: Final = 64 * 2**20
"""About what is remembered in memory at most."""
FILES_MAX: Final = 1_000
_encode: Final = msgspec.msgpack.Encoder().encode
_plain: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode


class _KeptSpan(msgspec.Struct, array_like=True):
    """A `KnownSpan`; its enums are kept by their values."""

    id: bytes
    kind: SpanKind
    resources: list[bytes]
    parent_id: bytes | None
    place: ParentPlace

    def span(self) -> KnownSpan:
        """The same as it is remembered."""
        return KnownSpan(self.id, self.kind, _resources(self.resources), self.parent_id, self.place)


class _KeptPart(msgspec.Struct, array_like=True):
    """A `SettledPart` of a trace, whose runs a ledger has."""

    ledger_id: str
    trace_id: bytes
    ids: bytes
    top: _KeptSpan | None
    resources: list[bytes]
    called_from: bytes | None
    has_used: bool
    runs: bytes
    outside: bytes | None
    counted: bytes

    def part(self) -> SettledPart:
        """The same as it is remembered."""
        return SettledPart(
            self.ids,
            None if self.top is None else self.top.span(),
            _resources(self.resources),
            self.called_from,
            self.has_used,
            self.runs,
            self.outside,
            self.counted,
            was_restored=True,
        )


class _KeptMissing(msgspec.Struct, array_like=True):
    """A `Missing` of a trace."""

    ledger_id: str
    trace_id: bytes
    top: _KeptSpan
    kinds: list[ProblemKind]


_decode_part: Final = msgspec.msgpack.Decoder(_KeptPart).decode
_decode_missing: Final = msgspec.msgpack.Decoder(_KeptMissing).decode


class SettledFiles:
    """The files in `folder` for one ledger; its constructor does blocking work.

    All but the constructor and `read_into` is for the thread of one event loop. Raises `JournalError` where the folder
    cannot be used, or another gateway uses it.
    """

    def __init__(self, folder: Path, database: Database, max_bytes: int = KEPT_MAX_BYTES) -> None:
        self._journal = Journal(folder, max_bytes)
        self._database = database
        self._ledger_id: str | None = None
        self._segments: list[int] = []

    def read_into(self, traces: SettledTraces) -> None:
        """Remember what was kept for the ledger; to be asked for once, first of all. It blocks.

        What cannot be understood is passed over: it may be of a later version. Raises `JournalError`, or `LedgerError`.
        """
        facts = known_ledger_facts(self._database)
        self._ledger_id = None if facts is None else facts.id
        for segment, record in self._journal.recorded():
            kept = _read(record)
            if kept is None or kept.ledger_id != self._ledger_id:
                continue
            self._hold(segment)
            if isinstance(kept, _KeptPart):
                traces.restore(kept.trace_id, kept.part())
            else:
                traces.missed.add(kept.trace_id, kept.top.span(), frozenset(kept.kinds))
        traces.missed.fresh.clear()

    async def keep(self, parts: Iterable[tuple[bytes, SettledPart]]) -> None:
        """Have parts of traces, by their ids, on disk; to keep one again does no harm.

        Raises `JournalError`, or `LedgerError`.
        """
        kept = [*parts]
        if kept:
            ledger_id = await self._id_of_ledger()
            contents = [_encode(_kept(trace_id, part, ledger_id)) for trace_id, part in kept]
            await self._append(RecordKind.REMEMBERED, contents)

    async def keep_missing(self, missed: MissedSpans) -> None:
        """Have what is `fresh` of it on disk. Raises as `keep` does, and then it is fresh still."""
        if not missed.fresh:
            return
        ledger_id, kept = await self._id_of_ledger(), [*missed.fresh]
        contents = [
            _encode(_KeptMissing(ledger_id, trace_id, _kept_span(each.top), sorted(each.kinds)))
            for trace_id, each in kept
        ]
        await self._append(RecordKind.MISSED, contents)
        for _ in kept:
            missed.fresh.popleft()

    def close(self) -> None:
        """Let go of the files. Never raises."""
        self._journal.close()

    async def _id_of_ledger(self) -> str:
        if self._ledger_id is None:
            self._ledger_id = (await asyncio.to_thread(ledger_facts, self._database)).id
        return self._ledger_id

    async def _append(self, kind: RecordKind, contents: Iterable[bytes]) -> None:
        appending = [self._journal.append(kind, content, is_intake=False) for content in contents]
        for segment in await asyncio.gather(*appending):
            self._hold(segment)
            self._journal.release(segment)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        while len(self._segments) > 1 and self._is_too_much:
            self._journal.release(self._segments.pop(0))
            self._journal.remove_free()

    @property
    def _is_too_much(self) -> bool:
        return self._journal.used_bytes > self._journal.max_bytes or len(self._segments) > FILES_MAX

    def _hold(self, segment: int) -> None:
        if segment not in self._segments[-1:]:
            self._journal.hold(segment)
            self._segments.append(segment)


def _kept(trace_id: bytes, part: SettledPart, ledger_id: str) -> _KeptPart:
    top = None if part.top is None else _kept_span(part.top)
    judged = (part.called_from, part.has_used, part.runs, part.outside, part.counted)
    return _KeptPart(ledger_id, trace_id, part.ids, top, _encoded(part.resources), *judged)


def _kept_span(span: KnownSpan) -> _KeptSpan:
    return _KeptSpan(span.id, span.kind, _encoded(span.resources), span.parent_id, span.parent_place)


def _encoded(resources: Iterable[Resource]) -> list[bytes]:
    return [_encode(dict(each.attributes)) for each in resources]


def _resources(encoded: Iterable[bytes]) -> tuple[Resource, ...]:
    return tuple(map(_resource_of, encoded))


@lru_cache(maxsize=CACHED_RESOURCES_MAX)
def _resource_of(encoded: bytes) -> Resource:
    return Resource(_plain(encoded))


def _read(record: JournalRecord) -> _KeptPart | _KeptMissing | None:
    try:
        if record.kind == RecordKind.REMEMBERED:
            return _decode_part(record.content)
        return _decode_missing(record.content) if record.kind == RecordKind.MISSED else None
    except msgspec.MsgspecError:
        return None
