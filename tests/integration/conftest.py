# SPDX-License-Identifier: Apache-2.0
"""Fixtures that start a real collector."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.otelcol import BUILD_TOOL, Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_GO_EXIT_CODE = 3
TEST_TIMEOUT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time the tests without their fixtures where one of these may be a build of minutes."""
    for item in items:
        if isinstance(item, pytest.Function) and "otelcol_binary" in item.fixturenames:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S, func_only=True))


@pytest.fixture(scope="session")
def otelcol_binary() -> Path:
    """The collector's binary: `OTELCOL_BIN`, else the cached build, else one built now.

    Without any of them and without Go the test is skipped, and with `CI=true` it fails.
    """
    done = subprocess.run([sys.executable, str(BUILD_TOOL)], capture_output=True, text=True, check=False)
    if done.returncode == NO_GO_EXIT_CODE and os.environ.get("CI") != "true":
        pytest.skip(f"no collector binary: {done.stderr}")
    if done.returncode != 0:
        pytest.fail(f"no collector binary: {done.stderr}", pytrace=False)
    return Path(done.stdout.strip())


@pytest.fixture
def collector(otelcol_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """A running collector with pipeline.yaml, for this test alone."""
    with Collector(otelcol_binary, tmp_path) as running:
        yield running
