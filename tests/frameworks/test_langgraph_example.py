# SPDX-License-Identifier: Apache-2.0
"""examples/langgraph_agent, run where LangGraph is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "langgraph_agent"


def test_it_prints_its_output() -> None:
    """Line by line what output.txt has, but for durations."""
    command = [sys.executable, str(EXAMPLE / "main.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert _steady(done.stdout) == _steady((EXAMPLE / "output.txt").read_text(encoding="utf-8"))


def _steady(text: str) -> str:
    return re.sub(r"took \d+\.\d{3} s", "took 0.001 s", text)
