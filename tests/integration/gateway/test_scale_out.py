# SPDX-License-Identifier: Apache-2.0
"""Two gateways on one PostgreSQL ledger behind a real collector, one of them killed while runs come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.gateway.scaled_out import run_behind_collector

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends
RUNS: Final = 1_000


@pytest.mark.timeout(180, func_only=True)
def test_every_run_is_there_once(otelcol_binary: Path, tmp_path: Path, postgresql: str) -> None:
    """None missing, none twice, counted once, money to the cent, though one was killed half way and started again."""
    outcome = run_behind_collector(otelcol_binary, tmp_path, postgresql, runs=RUNS, gateways=2, seed=7)
    print(outcome)
    assert outcome[:5] == (RUNS, 0, 0, RUNS, 0)
