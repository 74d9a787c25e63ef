# SPDX-License-Identifier: Apache-2.0
"""Naming a process so that another one on the same host can tell whether it is gone."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_UNKNOWN: Final = "-"
_STATE_FIELD: Final = 0
_START_FIELD: Final = 19
"""Counted from the state, the first field after the name, as a name may hold blanks and brackets (proc(5))."""
_ENDED: Final = frozenset({"Z", "X"})


class Holder(NamedTuple):
    """A process: its host since when it was started, the space its id is in, the id and when it was started itself."""

    boot: str
    space: str
    pid: str
    start: str
    token: str

    def __str__(self) -> str:
        """The name under which a lease is held."""
        return "/".join(self)


def this_process() -> Holder:
    """A new name for this process; two of one process differ. Never raises."""
    pid = str(os.getpid())
    return Holder(_boot(), _space(), pid, _started(pid) or _UNKNOWN, uuid.uuid4().hex[:12])


def is_gone(name: str) -> bool:
    """Whether the process of that name has certainly ended: it was on this very host, and is there no more.

    `False` where that cannot be told, as of another host or container. Never raises.
    """
    parts = name.split("/")
    if len(parts) != len(Holder._fields) or _UNKNOWN in parts:
        return False
    holder = Holder(*parts)
    if (holder.boot, holder.space) != (_boot(), _space()):
        return False
    return _started(holder.pid) != holder.start


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip() or _UNKNOWN
    except OSError:  # no Linux
        return _UNKNOWN


def _space() -> str:
    try:
        # Process ids of another container are others'.
        return str((_PROC / "self/ns/pid").readlink()).translate({ord(char): None for char in "pid:[]"}) or _UNKNOWN
    except OSError:
        return _UNKNOWN


def _started(pid: str) -> str | None:
    """When the process was started, in ticks since its host was; `None` where there is none any more."""
    try:
        fields = (_PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[_STATE_FIELD] in _ENDED else fields[_START_FIELD]
    except FileNotFoundError:
        return None
    except (OSError, IndexError):  # /proc may hide the processes of others
        return _UNKNOWN
