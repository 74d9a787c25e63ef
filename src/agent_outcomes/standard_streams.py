# SPDX-License-Identifier: Apache-2.0
"""A command's standard output and standard error where they are full, closed, or in an encoding that lacks characters.

An error of theirs is told from all others, as only they raise `OutputFailed`. What cannot be said on standard error
cannot be said at all: the exit code says it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

_STANDARD_FILES: Final = 3


class OutputFailed(Exception):  # noqa: N818 - what has happened
    """Standard output cannot be written; its text says why. No `OSError`, or it would be taken for a file's."""


class _Watched(io.RawIOBase):
    """A stream's own file, which it leaves open. Once it has failed, what still comes is dropped."""

    def __init__(self, file: io.RawIOBase | None, number: int, *, is_needed: bool) -> None:
        super().__init__()
        self._file = file
        self._number = number
        self._is_needed = is_needed
        self._has_failed = False

    def write(self, content: ReadableBuffer, /) -> int | None:
        size = memoryview(content).nbytes
        if self._has_failed:
            return size
        try:
            return _closed() if self._file is None else self._file.write(content)
        except BlockingIOError:
            raise
        except OSError as error:
            self._has_failed = True
            if not self._is_needed:
                return size
            if isinstance(error, BrokenPipeError):
                raise
            reason = error.strerror or type(error).__name__
        raise OutputFailed(reason)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def fileno(self) -> int:
        return self._number if self._file is None else self._file.fileno()


def _closed() -> NoReturn:
    raise OSError(errno.EBADF, "it is closed")


@contextmanager
def watched_streams() -> Iterator[None]:
    """Have standard output raise `OutputFailed` and standard error nothing, and escape what an encoding lacks.

    Streams that somebody has put in their place stay as they are.
    """
    before = sys.stdout, sys.stderr
    _fill_standard_files()
    if before[0] is sys.__stdout__:
        sys.stdout = _watched(before[0], 1, is_needed=True)
    if before[1] is sys.__stderr__:
        sys.stderr = _watched(before[1], 2, is_needed=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _fill_standard_files() -> None:
    """Where one is closed the next file that is opened, a database even, would be in its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) < _STANDARD_FILES:
        os.set_inheritable(number, True)  # noqa: FBT003 - it takes nothing else
    os.close(number)


def _watched(stream: TextIO | None, number: int, *, is_needed: bool) -> TextIO:
    # A stream that was closed when the process began is `None`.
    if stream is None:
        file = _Watched(None, number, is_needed=is_needed)
        return io.TextIOWrapper(io.BufferedWriter(file), "utf-8", "backslashreplace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    file = _Watched(getattr(stream.buffer, "raw", stream.buffer), number, is_needed=is_needed)
    return io.TextIOWrapper(
        # Unbuffered streams (python -u) have no buffer.
        file if stream.write_through else io.BufferedWriter(file),  # type: ignore[type-var]
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
