# SPDX-License-Identifier: Apache-2.0
"""Counting instructions with Valgrind's callgrind, which a busy machine does not disturb.

A helper in C switches counting on within the process once everything is warm, and closes one segment per case.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.tools.cached_build import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S: Final = 20 * 60

_SOURCE: Final = """
#include <valgrind/callgrind.h>
void count_start(void) { CALLGRIND_START_INSTRUMENTATION; }
void count_zero(void) { CALLGRIND_ZERO_STATS; }
void count_dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
"""
_PACKAGES: Final = {"valgrind": "valgrind", "cc": "gcc libc6-dev"}
_SEGMENT: Final = re.compile(r"^desc: Trigger: Client Request: (\S+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class CountingError(Exception):
    """Nothing was counted; the message says what to do."""


class Counting:
    """Counting in this process, which runs under callgrind with counting off."""

    def __init__(self, helper: str) -> None:
        # PyDLL: a call gives nothing up to another thread.
        self._helper = ctypes.PyDLL(helper)

    def start(self) -> None:
        """Count from now on."""
        self._helper.count_start()

    def zero(self) -> None:
        """Begin a segment."""
        self._helper.count_zero()

    def close(self, name: str) -> None:
        """End a segment and write down what it took."""
        self._helper.count_dump(name.encode())


def require_tools() -> None:
    """Raise CountingError, naming the packages to install, if Valgrind or the C compiler is not there."""
    missing = [tool for tool in _PACKAGES if shutil.which(tool) is None]
    if missing:
        packages = " ".join(_PACKAGES[tool] for tool in missing)
        message = f"{' and '.join(missing)} not found on PATH: apt-get install {packages} (or your system's packages)"
        raise CountingError(message)


def built_helper() -> str:
    """The C helper, compiled once into a cache folder. Raises CountingError if it does not compile."""
    name = hashlib.sha256(_SOURCE.encode()).hexdigest()[:12]
    built = cache_folder("callgrind") / f"{os.uname().machine}-{name}.so"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            made = Path(folder) / built.name
            command = ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
            done = subprocess.run(command, input=_SOURCE, capture_output=True, text=True, check=False)
            if done.returncode:
                message = f"the helper does not compile (its header comes with Valgrind's package):\n{done.stderr}"
                raise CountingError(message)
            made.replace(built)
    return str(built)


def count_segments(command: Sequence[str], environ: Mapping[str, str]) -> dict[str, int]:
    """Instructions of each segment that the command closes, by name. Raises CountingError if the command fails."""
    with tempfile.TemporaryDirectory() as folder:
        _run(["--instr-atstart=no", f"--callgrind-out-file={folder}/out"], command, environ)
        return segments_of([path.read_text() for path in Path(folder).iterdir()])


def count_process(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Instructions of the whole process. Raises CountingError if the command fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        _run([f"--callgrind-out-file={out}"], command, environ)
        return total_of(out.read_text())


def segments_of(dumps: Sequence[str]) -> dict[str, int]:
    """The named segments among what callgrind has written, and their instructions."""
    named = ((_SEGMENT.search(dump), dump) for dump in dumps)
    return {name[1]: total_of(dump) for name, dump in named if name is not None}


def total_of(dump: str) -> int:
    """The instructions of one file that callgrind has written. Raises CountingError if it is cut short."""
    total = _TOTAL.search(dump)
    if total is None:
        message = "callgrind has written a file without a total"
        raise CountingError(message)
    return int(total[1])


def _run(options: Sequence[str], command: Sequence[str], environ: Mapping[str, str]) -> None:
    whole = ["valgrind", "--tool=callgrind", *options, *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environ)
    if done.returncode:
        message = f"{' '.join(command)} failed under Valgrind:\n{done.stderr[-3000:]}"
        raise CountingError(message)
