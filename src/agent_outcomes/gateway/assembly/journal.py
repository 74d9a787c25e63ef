# SPDX-License-Identifier: Apache-2.0
"""The journal: what was acknowledged is on disk until it has become runs in the ledger.

Whoever appends waits until the record is synced; a thread of its own writes all that wait in one group. A file goes
when nothing of it is needed any more. Where records cannot be kept, because the disk or the journal is full or the
disk fails, `append` says so, and nothing was acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.assembly.journal_records import encode_record, read_records
from agent_outcomes.gateway.assembly.segment_holds import SegmentHolds
from agent_outcomes.gateway.assembly.segments import SegmentWriter, lock_folder, path_of, remove_segment, segments_in
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from agent_outcomes.gateway.assembly.journal_records import JournalRecord, RecordKind

SEGMENT_MAX_BYTES: Final = 16 * 2**20
SEGMENTS_MIN: Final = 16
"""A journal is cut into at least so many files, so that its oldest can go while the newest fills."""
TAKEN_SHARE: Final = 0.95
"""What of the journal may be filled by requests. Marks are always taken: without them nothing could be freed."""
GROUP_MAX_BYTES: Final = 32 * 2**20
_FOLDER_MODE: Final = 0o700

_log: Final = LimitedLog(logging.getLogger(__name__))


class JournalError(Exception):
    """The journal cannot keep what it was given; the message names the folder and what to do."""


class _Append(NamedTuple):
    record: bytes
    written: asyncio.Future[int]


class Journal:
    """The journal in `folder`, of at most `max_bytes`; its constructor does blocking work.

    All but the constructor and `recorded` is for the thread of the one event loop that appends. Raises
    `JournalError` where the folder cannot be used, or another gateway uses it.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_max_bytes: int = SEGMENT_MAX_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.cut_count = 0
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = lock_folder(folder)
            self._sizes = dict(segments_in(folder))
        except OSError as error:
            raise JournalError(_told(folder, error)) from None
        self._bytes = sum(self._sizes.values())
        self._holds = SegmentHolds()
        for number in self._sizes:
            self._holds.note_appended(number)
            self._holds.hold(number)  # until it has been read
        first = max(self._sizes, default=0) + 1
        self._writer = SegmentWriter(folder, min(segment_max_bytes, max_bytes // SEGMENTS_MIN), first)
        self._holds.note_appended(first)
        self._queue: queue.SimpleQueue[_Append | int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def used_bytes(self) -> int:
        """How large its files are, with what waits to be written."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether it takes no more requests."""
        return self._bytes >= TAKEN_SHARE * self.max_bytes

    def recorded(self) -> Iterator[tuple[int, JournalRecord]]:
        """All records that are there with the number of their file, in the order in which they were written.

        To be asked for once, first of all: a file of which then nothing is held is removed with the others. It is read
        up to what is cut or damaged. Raises `JournalError` where one cannot be read.
        """
        for number, size in sorted(self._sizes.items()):
            try:
                data = path_of(self.folder, number).read_bytes()
            except OSError as error:
                raise JournalError(_told(self.folder, error)) from None
            read_bytes = 0
            for record in read_records(data):
                read_bytes += record.size_bytes
                yield number, record
            self._note_cut(number, size - read_bytes)
            self._holds.release(number)

    async def append(self, kind: RecordKind, content: bytes, *, is_intake: bool = True) -> int:
        """Write a record and wait until it is synced; the number of its file, which is held once for the caller.

        Raises `JournalError`, and then it does not count as written. What is no intake is small, and has no limit.
        """
        if self._is_closed:
            message = f"the journal in {self._shown} is closed"
            raise JournalError(message)
        record = encode_record(kind, content)
        if is_intake and self._bytes + len(record) > TAKEN_SHARE * self.max_bytes:
            message = f"the journal in {self._shown} is full ({self._bytes} bytes); is the ledger being written?"
            raise JournalError(message)
        self._bytes += len(record)
        self._start()
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.put(_Append(record, written))
        return await written

    def hold(self, segment: int, count: int = 1) -> None:
        """Need the file for `count` things more."""
        self._holds.hold(segment, count)

    def release(self, segment: int, count: int = 1) -> None:
        """Need the file for `count` things less; one that nothing needs is removed."""
        self._holds.release(segment, count)

    def note_mark(self, segment: int, of: Iterable[int]) -> None:
        """Note that the file has a mark on what those other files hold."""
        self._holds.note_mark(segment, of)

    def size_of(self, segment: int) -> int:
        """How large a file is, in bytes."""
        return self._sizes.get(segment, 0)

    def least_held(self) -> int | None:
        """The file of which least is held, but for the one that is being written."""
        return self._holds.least_held()

    def remove_free(self) -> None:
        """Have the files removed that nothing needs any more."""
        for number in self._holds.take_free():
            self._bytes -= self._sizes.pop(number, 0)
            self._queue.put(number)

    def close(self) -> None:
        """Write what waits, then no more; waits for that. What nothing needs any more is removed. Never raises."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._writer.close()
        self._holds.note_appended(self._writer.number)
        self._remove(self._holds.take_free())
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def _start(self) -> None:
        """Begin to write."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="agent-outcomes-journal", daemon=True)
            self._thread.start()

    @property
    def _shown(self) -> str:
        return printable(str(self.folder))

    def _note_cut(self, number: int, cut_bytes: int) -> None:
        if cut_bytes:
            self.cut_count += 1
            _log.warning("cut", "%d bytes at the end of file %d of the journal were cut off", cut_bytes, number)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[_Append] = []
            removals: list[int] = []
            for each in self._taken():
                if each is None:
                    is_open = False
                elif isinstance(each, int):
                    removals.append(each)
                else:
                    group.append(each)
            if group:
                self._write(group)
            self._remove(removals)

    def _taken(self) -> Iterator[_Append | int | None]:
        """What is to be done next: whatever waits, but not more than one group."""
        each = self._queue.get()
        taken_bytes = 0
        while True:
            yield each
            if isinstance(each, _Append):
                taken_bytes += len(each.record)
            if each is None or taken_bytes >= GROUP_MAX_BYTES:
                return
            try:
                each = self._queue.get_nowait()
            except queue.Empty:
                return

    def _write(self, group: Sequence[_Append]) -> None:
        try:
            segment = self._writer.append([each.record for each in group])
        except OSError as error:
            told = _told(self.folder, error)
            _log.warning("unwritten", "%s; requests are refused until it can be written", told)
            _in_loop_of(group, partial(self._note_unwritten, group, told))
        else:
            _in_loop_of(group, partial(self._note_written, group, segment))

    def _remove(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            try:
                remove_segment(self.folder, number)
            except OSError as error:
                _log.warning("unremoved", "%s", _told(self.folder, error))

    def _note_written(self, group: Sequence[_Append], segment: int) -> None:
        self._holds.note_appended(segment)
        self._sizes[segment] = self._sizes.get(segment, 0) + sum(len(each.record) for each in group)
        for each in group:
            if not each.written.done():
                self._holds.hold(segment)
                each.written.set_result(segment)

    def _note_unwritten(self, group: Sequence[_Append], told: str) -> None:
        for each in group:
            self._bytes -= len(each.record)
            if not each.written.done():
                each.written.set_exception(JournalError(told))


def _in_loop_of(group: Sequence[_Append], note: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        group[0].written.get_loop().call_soon_threadsafe(note)


def _told(folder: Path, error: OSError) -> str:
    what = (error.strerror or type(error).__name__).lower()
    if isinstance(error, BlockingIOError):
        return f"the journal in {printable(str(folder))} is another gateway's; give each a state folder of its own"
    return f"the journal in {printable(str(folder))} cannot be used: {what}; look at its disk and its permissions"
