# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is kept, however and however often the gateway ends; `make soak` does it at length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.gateway.killed import killed_under_senders

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends


def test_nothing_that_was_acknowledged_is_lost_or_counted_twice(tmp_path: Path) -> None:
    """Three ends under eight senders that send again what was not acknowledged."""
    figures = killed_under_senders(tmp_path, kills=3, senders=8, runs=60, seed=3)
    print(figures)
    assert figures[:5] == (480, 0, 480, 0, 0)
