# SPDX-License-Identifier: Apache-2.0
"""A receiver that is away under load: nothing is lost, the backlog drains fast, and memory does not grow with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak.receiver_away import measured_drain, measured_outage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

OUTAGE_S = 20.0
RATE = 50.0
BACKLOG = 30_000
GROWTH_MAX_MIB = 64.0
DRAIN_MAX_S = 60.0


def test_away_under_load(tmp_path: Path) -> None:
    """20 s at 50/s: lost 0; `python -m tests.soak.receiver_away` does the same for ten minutes."""
    found = measured_outage(tmp_path, OUTAGE_S, RATE)
    print(found)
    assert found.accepted >= OUTAGE_S * RATE * 0.9
    assert found.lost == 0
    assert found.drained_s < DRAIN_MAX_S
    assert found.growth_mib < GROWTH_MAX_MIB


def test_a_backlog_of_30_000(tmp_path: Path) -> None:
    """As many as wait after ten minutes: drained within a minute by one process, in bounded memory."""
    found = measured_drain(tmp_path, BACKLOG)
    print(found)
    assert found.lost == 0
    assert found.drained_s < DRAIN_MAX_S
    assert found.growth_mib < GROWTH_MAX_MIB
