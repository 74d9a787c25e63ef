# SPDX-License-Identifier: Apache-2.0
"""Spool files: what was kept is read back exactly, whatever was cut short, changed or is being written beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.spool import ASIDE, FINISHED, UNFINISHED, Spool, SpoolFullError, spool_folder
from agent_outcomes.ledger.spool_lines import LineError, decode_line, encode_line
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.pauses import used_part_of
from agent_outcomes.record.record import Event, record
from agent_outcomes.run.model import Run
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

text = st.text(st.characters(), max_size=40)
values: st.SearchStrategy[Any] = st.one_of(
    text, st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.tuples(text, text)
)
pairs = st.lists(st.tuples(text, values), max_size=4).map(tuple)


STATED = (
    Outcome.success(),
    Outcome.success(success=True),
    Outcome.success(label="won", value=Decimal("-10.50"), currency="EUR"),
    Outcome.failure(TimeoutError(), error_category="colour blind", value="much"),
)


@st.composite
def acceptances(draw: st.DrawFn) -> Acceptance:
    run = Run(
        draw(st.integers(1, 2**128 - 1)),
        draw(st.integers(1, 2**64 - 1)),
        draw(st.integers(0, 255)),
        draw(st.integers(0, 2**63)),
        draw(st.none() | text),
        run_id=draw(st.none() | text),
        duration_s=draw(st.none() | st.floats(0, 1e9)),
    )
    outcome = replace(draw(st.sampled_from(STATED)), message=draw(st.none() | text), metadata=draw(st.none() | text))
    is_paused = draw(st.booleans())
    made = record(run, outcome)
    event = Event(run.trace_id, 7, 1, run.end_ns, (9, "INFO"), draw(text), dict(draw(pairs)), "agent.handoff")
    return Acceptance(
        run,
        outcome,
        used_part_of(made) if is_paused else made,
        draw(st.sampled_from([(), (event,), (event, event)])),
        ResourceFacts(draw(st.none() | text), draw(text), None, draw(pairs)),
        is_paused,
        draw(st.sampled_from([None, Outcome.failure("no seats", label="lost")])),
    )


@given(acceptances())
def test_a_line_is_read_back_exactly(given_: Acceptance) -> None:
    """All of it, with the very same event and postings, and the line is plain ASCII on one line."""
    line = encode_line(given_)
    assert decode_line(line) == given_
    assert line.isascii()
    assert line.count(b"\n") == 1


@given(acceptances(), st.data())
def test_a_changed_line_is_not_read(given_: Acceptance, data: st.DataObject) -> None:
    """One byte more, less or other is seen."""
    line = encode_line(given_).rstrip(b"\n")
    place = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.integers(32, 126).filter(lambda byte: byte != line[place]))
    for changed in (line[:place] + bytes([other]) + line[place + 1 :], line[:place], line[:place] + line[place + 1 :]):
        with pytest.raises(LineError):
            decode_line(changed)


def test_a_line_of_another_version_is_not_read() -> None:
    """It may come from a release that knows more; its checksum is right."""
    import zlib  # noqa: PLC0415 - as the line's own

    body = b'{"v":3}'
    with pytest.raises(LineError, match="version 3"):
        decode_line(b"%08x %b\n" % (zlib.crc32(body), body))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "made when needed" / "l.db-spool")


def some(*numbers: int) -> list[Acceptance]:
    return [acceptance(3, number) for number in numbers]


def read_all(spool: Spool) -> list[Acceptance]:
    found: list[Acceptance] = []
    for segment in spool.take():
        found += segment.acceptances()
        segment.remove()
    return found


def test_files_are_read_in_the_order_of_writing(spool: Spool) -> None:
    """And removed when the reader says so."""
    assert not spool.has_any()
    spool.keep(some(4, 2))
    spool.keep(some(9))
    assert spool.has_any()
    assert read_all(spool) == some(4, 2, 9)
    assert read_all(spool) == []
    assert not spool.has_any()


def test_only_its_owner_may_read_them(spool: Spool) -> None:
    """An outcome may hold what a customer has said."""
    spool.keep(some(1))
    assert spool.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in spool.folder.iterdir()} == {0o600}


def test_a_file_that_was_not_removed_is_read_again(spool: Spool) -> None:
    """Who read it may have been killed before it was in the database."""
    spool.keep(some(1, 2))
    assert [list(segment.acceptances()) for segment in spool.take()] == [some(1, 2)]
    assert read_all(spool) == some(1, 2)


def test_wrong_lines_are_kept_aside(spool: Spool) -> None:
    """A torn one at the end and a changed one in the middle cost no other, and nothing is thrown away."""
    spool.keep(some(1, 2, 3))
    (path,) = spool.folder.iterdir()
    first, second, third = path.read_bytes().splitlines(keepends=True)
    changed, torn = second.replace(b'"v":1', b'"v":3'), third[:-20]
    path.write_bytes(first + changed + b"\n" + torn)
    found: list[Acceptance] = []
    for segment in spool.take():
        found += segment.acceptances()
        assert segment.aside_count == 2
        segment.remove()
    assert found == some(1)
    (left,) = spool.folder.iterdir()
    assert left.suffix == ASIDE
    assert left.read_bytes() == changed + torn + b"\n"
    assert not spool.has_any()


def test_what_a_killed_process_began_to_write_is_read_as_far_as_it_goes(spool: Spool) -> None:
    """It was not acknowledged, but why lose it."""
    spool.keep(some(5, 6))
    (path,) = spool.folder.iterdir()
    torn = path.with_suffix(UNFINISHED)
    torn.write_bytes(path.read_bytes()[:-30])
    path.unlink()
    assert read_all(spool) == some(5)
    assert not spool.has_any()


def test_what_another_process_is_writing_or_reading_is_left_alone(spool: Spool) -> None:
    """It has it locked, or is about to."""
    spool.keep(some(5))
    (path,) = spool.folder.iterdir()
    part = path.with_suffix(UNFINISHED)
    part.touch()
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert list(spool.take()) == []
    assert read_all(spool) == some(5)
    assert part.exists()
    os.utime(part, (1, 1))
    assert list(spool.take()) == []
    assert not part.exists()


def test_two_readers_share_the_files(spool: Spool) -> None:
    """Each file goes to one of them."""
    spool.keep(some(1))
    spool.keep(some(2))
    one: Iterator[Any] = spool.take()
    first = next(one)
    assert read_all(Spool(spool.folder)) == some(2)
    assert list(first.acceptances()) == some(1)


def test_a_full_disk_leaves_nothing_half_written(spool: Spool) -> None:
    """`keep` raises, and what it had begun is gone; later there is room again."""
    spool.keep(some(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            spool.keep(some(*range(50)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.suffix for path in spool.folder.iterdir()] == [FINISHED]
    spool.keep(some(2))
    assert read_all(spool) == some(1, 2)


def test_there_is_an_end_to_what_one_process_leaves(tmp_path: Path) -> None:
    """Past it `keep` raises, until all has been read."""
    spool = Spool(tmp_path, bytes_max=2000)
    spool.keep(some(1, 2, 3))
    with pytest.raises(SpoolFullError):
        spool.keep(some(4))
    assert read_all(spool) == some(1, 2, 3)
    spool.forget_size()
    spool.keep(some(4))
    assert read_all(spool) == some(4)


def test_where_spool_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a SQLite file; for a server in the user's state folder, apart for each database, without a password."""
    assert spool_folder(read_location(f"sqlite:///{tmp_path}/a.db")) == tmp_path / "a.db-spool"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    one = spool_folder(read_location("postgresql://me:secret@db/one"))
    assert one == spool_folder(read_location("postgresql://me:changed@db/one"))
    assert one != spool_folder(read_location("postgresql://me:secret@db/two"))
    assert one.parent == tmp_path / "state" / "agent-outcomes"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert spool_folder(read_location("postgresql://db/one")).parent == tmp_path / ".local/state/agent-outcomes"
