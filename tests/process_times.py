# SPDX-License-Identifier: Apache-2.0
"""The processor time of another process (Linux)."""

from __future__ import annotations

from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of all its threads that are there; what those had that have ended is left out."""
    spent = (path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(each.split()[0]) for each in spent) / 1e9
