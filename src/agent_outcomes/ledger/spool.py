# SPDX-License-Identifier: Apache-2.0
"""Files that keep what could not be committed until a process finds the database back.

Each `keep` writes a file of its own, which never changes again: written under another name, fsynced, renamed. So
threads, signal handlers and processes need no lock among themselves to write, and a finished file is whole. One process
at a time reads a file, under a lock on it, and removes it when all of it is in the database; done twice it changes
nothing, as accepting is idempotent. What a process that was killed had begun to write is read as far as it goes.
Lines that cannot be read are kept aside, and said.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from agent_outcomes.ledger.location import state_folder
from agent_outcomes.ledger.spool_lines import LineError, decode_line, encode_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.location import Location

BYTES_MAX: Final = 1 << 30
"""What one process leaves in spool files before it gives up."""
LINE_BYTES_MAX: Final = 16 << 20
FINISHED: Final = ".spool"
UNFINISHED: Final = ".part"
ASIDE: Final = ".aside"
EMPTY_PART_KEPT_S: Final = 3600.0
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_counter: Final = itertools.count()


class SpoolFullError(OSError):
    """As much as one process may leave there is there."""


class Segment:
    """One file, locked by us while it is read."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.aside_count = 0
        self._descriptor = descriptor

    def acceptances(self) -> Iterator[Acceptance]:
        """All that can be read of it; other lines are kept aside. Raises `OSError`."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            yield from self._decoded(file)

    def _decoded(self, file: BinaryIO) -> Iterator[Acceptance]:
        while line := file.readline(LINE_BYTES_MAX):
            if line.isspace():
                continue
            try:
                yield decode_line(line)
            except LineError:
                self.keep_aside(line)

    def keep_aside(self, line: bytes) -> None:
        """Keep what cannot be stored beside the file it is from. Raises `OSError`."""
        self.aside_count += 1
        descriptor = os.open(self.aside_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _FILE_MODE)
        try:
            _write(descriptor, line if line.endswith(b"\n") else line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @property
    def aside_path(self) -> Path:
        """Where lines of this file are kept aside."""
        return self.path.with_suffix(ASIDE)

    def remove(self) -> None:
        """All of it is in the database. Raises `OSError`."""
        self.path.unlink(missing_ok=True)


class Spool:
    """The spool files of one ledger, in a folder of their own that is made when it is needed."""

    def __init__(self, folder: Path, bytes_max: int = BYTES_MAX) -> None:
        self.folder = folder
        self._bytes_max = bytes_max
        self._bytes = 0

    def keep(self, acceptances: Iterable[Acceptance]) -> None:
        """Write them to a new file and sync it. Raises `OSError`, and then none of them is kept."""
        if self._bytes > self._bytes_max:
            message = f"more than {self._bytes_max} bytes wait there"
            raise SpoolFullError(message)
        self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{next(_counter)}{UNFINISHED}"
        finished = path.with_suffix(FINISHED)
        try:
            self._bytes += _write_file(path, acceptances)
            with contextlib.suppress(FileNotFoundError):  # another process has read it by now
                path.rename(finished)
            _sync_folder(self.folder)
        except BaseException:
            for left in (path, finished):
                with contextlib.suppress(OSError):
                    left.unlink()
            raise

    def has_any(self) -> bool:
        """Whether there is anything to read. Never raises."""
        return bool(self._paths())

    def take(self) -> Iterator[Segment]:
        """Every file that nobody else is reading or writing, the oldest first. Raises `OSError`."""
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                yield from _taken(path)

    def forget_size(self) -> None:
        """All that this process has left has been read."""
        self._bytes = 0

    def _paths(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(path for path in self.folder.iterdir() if path.suffix in {FINISHED, UNFINISHED})
        return []


def spool_folder(location: Location) -> Path:
    """Where a ledger's spool files are: beside a SQLite file, else in the user's state folder. Never raises."""
    if location.path is not None:
        return location.path.with_name(f"{location.path.name}-spool")
    name = hashlib.sha256(str(location).encode(errors="replace")).hexdigest()[:16]
    return state_folder() / "agent-outcomes" / name


def _taken(path: Path) -> Iterator[Segment]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        status = os.fstat(descriptor)
        if not _try_lock(descriptor) or status.st_nlink == 0:
            return
        if path.suffix == UNFINISHED and status.st_size == 0:
            # Somebody may be about to lock it.
            if time.time() - status.st_mtime > EMPTY_PART_KEPT_S:
                path.unlink(missing_ok=True)
            return
        yield Segment(path, descriptor)
    finally:
        os.close(descriptor)


def _write_file(path: Path, acceptances: Iterable[Acceptance]) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
    try:
        _lock(descriptor)
        count = sum(_write(descriptor, encode_line(acceptance)) for acceptance in acceptances)
        os.fsync(descriptor)
        return count
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: bytes) -> int:
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(line)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        del descriptor

    def _try_lock(descriptor: int) -> bool:
        # Without locks two may read the same file, which changes nothing.
        del descriptor
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        with contextlib.suppress(OSError):  # a file system without locks: two may read the same file
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
