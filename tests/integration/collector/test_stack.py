# SPDX-License-Identifier: Apache-2.0
"""`make stack` starts everything, prints URLs that answer, and ends without leaving a process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.backends import Prometheus, get, wait_until
from tests.integration.otelcol import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.backends

BACKENDS = ("prometheus", "victoria-metrics", "loki", "jaeger")
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60
PATHS = {
    "Prometheus, by OTLP": "/-/ready",
    "Prometheus, by scrape": "/-/ready",
    "VictoriaMetrics": "",
    "Loki": "/ready",
    "Jaeger": "/api/services",
    "collector's health": "",
}


@pytest.fixture
def running_stack(
    backend_binary: Callable[[str], Path], otelcol_binary: Path, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """`python -m tests.tools.stack` as a person starts it, its output piped."""
    variables = {f"{name.replace('-', '_').upper()}_BIN": str(backend_binary(name)) for name in BACKENDS}
    variables |= {"OTELCOL_BIN": str(otelcol_binary), "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.stack", "--data", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=STOP_TIMEOUT_S)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="child processes are read from /proc (Linux)")
def test_stack_runs_until_ctrl_c(running_stack: subprocess.Popen[str]) -> None:
    """Every URL answers; after Ctrl-C the exit code is 0 and none of the six processes is left."""
    printed = _until_printed(running_stack, "Ctrl-C")
    urls = dict(re.findall(r"^(\S.*?) {2,}(http://[\d.:]+(?:/vmui/)?)", printed, re.MULTILINE))
    for name, path in PATHS.items():
        assert get(urls[name] + path)
    children = _children(running_stack.pid)
    assert len(children) == len(BACKENDS) + len(("collector", Prometheus))
    running_stack.send_signal(signal.SIGINT)
    assert running_stack.wait(STOP_TIMEOUT_S) == 0
    wait_until(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()])


def _until_printed(process: subprocess.Popen[str], last: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(last):
            break
    return "".join(lines)


def _children(pid: int) -> list[str]:
    found = (task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children"))
    return [child for children in found for child in children.split()]
