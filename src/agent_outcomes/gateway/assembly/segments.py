# SPDX-License-Identifier: Apache-2.0
"""The files of the journal: each is appended to until it is large enough, then never again, and removed as a whole.

A group of records is in the file when `append` returns: written and synced, in a folder that knows of the file. After
a failure the file is left as it is and never appended to again, as nobody knows what a failed sync has kept: what
follows goes to a new one. So a file is whole records and, at most, one that was cut.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEGMENT_SUFFIX: Final = ".journal"
_LOCK: Final = "lock"
_FILE_MODE: Final = 0o600
_sync: Final = getattr(os, "fdatasync", os.fsync)


class SegmentWriter:
    """Appends to the newest file of `folder`, from number `first` on; for one thread at a time."""

    def __init__(self, folder: Path, segment_max_bytes: int, first: int) -> None:
        self._folder = folder
        self._segment_max_bytes = segment_max_bytes
        self._number = first
        self._descriptor: int | None = None
        self._bytes = 0

    @property
    def number(self) -> int:
        """The number of the file that is appended to next, if nothing fails."""
        return self._number

    def append(self, records: Sequence[bytes]) -> int:
        """Write the records to one file and sync it; the file's number.

        Raises `OSError`, and then none of them counts as written.
        """
        if self._descriptor is not None and self._bytes >= self._segment_max_bytes:
            self._finish()
        data = b"".join(records)
        try:
            descriptor = self._opened()
            _write_all(descriptor, data)
            _sync(descriptor)
        except OSError:
            self._give_up()
            raise
        self._bytes += len(data)
        return self._number

    def close(self) -> None:
        """Append no more. Never raises."""
        if self._descriptor is not None:
            self._finish()

    def _opened(self) -> int:
        if self._descriptor is None:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
            self._descriptor = os.open(path_of(self._folder, self._number), flags, _FILE_MODE)
            sync_folder(self._folder)
        return self._descriptor

    def _finish(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None
        self._bytes = 0
        self._number += 1

    def _give_up(self) -> None:
        """Leave a file that failed; whatever of the group it holds was not acknowledged and does no harm."""
        path = path_of(self._folder, self._number)
        is_mine_alone = self._descriptor is not None and self._bytes == 0
        self._finish()
        if is_mine_alone:
            with contextlib.suppress(OSError):
                path.unlink()


def path_of(folder: Path, number: int) -> Path:
    """The file of that number."""
    return folder / f"{number:016d}{SEGMENT_SUFFIX}"


def segments_in(folder: Path) -> list[tuple[int, int]]:
    """The numbers of the files there, in order, and their sizes in bytes. Raises `OSError`."""
    found = [
        (int(entry.name.removesuffix(SEGMENT_SUFFIX)), entry.stat().st_size)
        for entry in os.scandir(folder)
        if entry.name.endswith(SEGMENT_SUFFIX) and entry.name.removesuffix(SEGMENT_SUFFIX).isdecimal()
    ]
    return sorted(found)


def remove_segment(folder: Path, number: int) -> None:
    """Remove a file; one that is gone already is no error. Raises `OSError`."""
    path_of(folder, number).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """See to it that the folder's entries outlive a loss of power. Raises `OSError`."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path) -> int:
    """A descriptor that keeps other processes from this folder while it is open.

    Raises `BlockingIOError` where another has it, `OSError` where it cannot be locked.
    """
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, _FILE_MODE)
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
