# SPDX-License-Identifier: Apache-2.0
"""The journal: what was acknowledged is read again, whatever was cut; files go when nothing of them is needed."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.assembly.journal import Journal, JournalError
from agent_outcomes.gateway.assembly.journal_records import (
    RecordKind,
    SettledMark,
    encode_mark,
    encode_record,
    read_mark,
    read_records,
)
from agent_outcomes.gateway.assembly.segment_holds import SegmentHolds
from agent_outcomes.gateway.assembly.segments import SEGMENT_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.backends

MAX_BYTES = 2**20
contents = st.lists(st.tuples(st.sampled_from(RecordKind), st.binary(max_size=60)), max_size=8)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal", MAX_BYTES)
    yield opened
    opened.close()


def again(journal: Journal) -> Journal:
    """The same folder, as the next process finds it."""
    journal.close()
    return Journal(journal.folder, journal.max_bytes)


def files(journal: Journal) -> list[Path]:
    return sorted(journal.folder.glob(f"*{SEGMENT_SUFFIX}"))


def keep(journal: Journal, *records: bytes) -> list[int]:
    async def append() -> list[int]:
        return list(await asyncio.gather(*(journal.append(RecordKind.SPANS, each) for each in records)))

    return asyncio.run(append())


def keep_each(journal: Journal, records: list[bytes]) -> None:
    """One after the other."""
    for record in records:
        keep(journal, record)


@given(contents, st.integers(min_value=0))
def test_what_is_cut_is_read_up_to_the_last_whole_record(records: list[tuple[RecordKind, bytes]], cut: int) -> None:
    """Wherever a file ends, no record is changed and none before the cut is lost."""
    encoded = [encode_record(*each) for each in records]
    data = b"".join(encoded)
    cut %= len(data) + 1
    read = list(read_records(data[:cut]))
    assert [(each.kind, each.content) for each in read] == records[: len(read)]
    whole = sum(len(each) for each in encoded[: len(read)])
    assert whole <= cut
    assert len(read) == len(records) or whole + len(encoded[len(read)]) > cut


@given(contents, st.integers(min_value=0), st.integers(1, 255))
def test_what_is_damaged_is_never_read(records: list[tuple[RecordKind, bytes]], place: int, change: int) -> None:
    """A changed byte ends the file: what is read is what was written before it."""
    data = bytearray(b"".join(encode_record(*each) for each in records))
    if not data:
        return
    data[place % len(data)] ^= change
    read = [(each.kind, each.content) for each in read_records(bytes(data))]
    assert read == records[: len(read)]
    assert len(read) < len(records)


@given(st.from_type(SettledMark))
def test_marks_are_read_as_they_were_written(mark: SettledMark) -> None:
    """And nothing else is taken for one."""
    assert read_mark(encode_mark(mark)) == mark
    with pytest.raises(ValueError, match="not a mark"):
        read_mark(encode_mark(mark) + b"x")


def test_what_was_appended_is_there_for_the_next_process(journal: Journal) -> None:
    """In order, from each of its lives."""
    assert list(journal.recorded()) == []
    first = keep(journal, b"one", b"two" * 1000)
    second = again(journal)
    read = []
    for number, record in second.recorded():
        second.hold(number)
        read.append((number, record.content))
    assert read == [(first[0], b"one"), (first[1], b"two" * 1000)]
    keep(second, b"three")
    third = again(second)
    assert [record.content for _, record in third.recorded()] == [b"one", b"two" * 1000, b"three"]
    third.close()


def test_nothing_goes_that_was_not_read(journal: Journal) -> None:
    """A process that ends before it has read what is there leaves it to the next."""
    keep(journal, b"one")
    reopened = again(again(journal))
    assert [record.content for _, record in reopened.recorded()] == [b"one"]
    reopened.close()


def test_a_torn_end_is_cut_off_and_counted(journal: Journal) -> None:
    """As a loss of power leaves it; the rest is read."""
    keep(journal, b"whole", b"torn")
    journal.close()
    (file,) = files(journal)
    file.write_bytes(file.read_bytes()[:-1])
    reopened = Journal(journal.folder, MAX_BYTES)
    assert [record.content for _, record in reopened.recorded()] == [b"whole"]
    assert reopened.cut_count == 1
    reopened.close()


def test_files_go_when_nothing_of_them_is_held(journal: Journal) -> None:
    """And the room that they took is free again."""
    segments = [keep(journal, bytes(MAX_BYTES // 20))[0] for _ in range(8)]
    assert len(set(segments)) > 2
    used_bytes = journal.used_bytes
    for segment in segments[:4]:
        journal.release(segment)
    journal.remove_free()
    reopened = again(journal)
    assert [number for number, _ in reopened.recorded()] == segments[4:]
    assert reopened.used_bytes == sum(file.stat().st_size for file in files(reopened)) < used_bytes
    reopened.close()


def test_it_takes_no_more_than_it_may(journal: Journal) -> None:
    """But for marks, without which nothing could be freed."""
    with pytest.raises(JournalError, match="is full"):
        keep_each(journal, [bytes(MAX_BYTES // 25)] * 100)
    assert journal.used_bytes <= 0.95 * MAX_BYTES
    asyncio.run(journal.append(RecordKind.SETTLED, bytes(MAX_BYTES // 20), is_intake=False))
    assert sum(file.stat().st_size for file in files(journal)) == journal.used_bytes


def test_two_gateways_cannot_have_one_folder(journal: Journal) -> None:
    """The second is told what to do."""
    with pytest.raises(JournalError, match="another gateway's; give each a state folder of its own"):
        Journal(journal.folder, MAX_BYTES)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_nothing_is_acknowledged_that_could_not_be_written(
    journal: Journal, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and works again as soon as the disk does."""
    keep(journal, b"before")

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr("agent_outcomes.gateway.assembly.segments._sync", fail)
        for attempt in (b"lost", b"lost, too"):
            with pytest.raises(JournalError, match="cannot be used"):
                keep(journal, attempt)
    keep(journal, b"after")
    reopened = again(journal)
    read = [record.content for _, record in reopened.recorded()]
    assert [content for content in read if not content.startswith(b"lost")] == [b"before", b"after"]
    reopened.close()


def test_whoever_gives_up_waiting_holds_nothing(journal: Journal) -> None:
    """A sender that hangs up leaves no file behind that nobody would release."""

    async def give_up() -> None:
        waiting = asyncio.ensure_future(journal.append(RecordKind.SPANS, b"x" * (MAX_BYTES // 20)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        for _ in range(4):
            journal.release(await journal.append(RecordKind.SPANS, b"y" * (MAX_BYTES // 20)))
        journal.remove_free()

    asyncio.run(give_up())
    reopened = again(journal)
    assert list(reopened.recorded()) == []
    reopened.close()


def test_marks_keep_their_file_as_long_as_what_they_are_of() -> None:
    """Also through several files, and no longer."""
    holds = SegmentHolds()
    for number in (1, 2, 3, 4):
        holds.note_appended(number)
    holds.hold(1)
    holds.note_mark(2, {1})
    holds.note_mark(3, {2, 3, 9})
    assert holds.take_free() == []
    assert holds.least_held() == 1
    holds.release(1)
    assert sorted(holds.take_free()) == [1, 2, 3]
    assert holds.take_free() == []
    assert holds.least_held() is None
