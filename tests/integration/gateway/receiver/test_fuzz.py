# SPDX-License-Identifier: Apache-2.0
"""Damaged requests are answered; the long run of the same is `python -m tests.soak.fuzz`."""

from __future__ import annotations

import sys

import pytest

from tests.soak.fuzz import main

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(sys.platform != "linux", reason="a process says its peak of memory in /proc"),
]


def test_damaged_requests_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """By statuses of the table alone, and the next ones, too."""
    assert main(["--requests", "2000"]) == 0, capsys.readouterr().out
