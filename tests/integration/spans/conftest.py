# SPDX-License-Identifier: Apache-2.0
"""What several modules of spans share."""

from __future__ import annotations

import pytest

from tests.pipeline import Pipeline


@pytest.fixture
def handoff_pipeline() -> Pipeline:
    """A pipeline that emits handoffs, too."""
    return Pipeline(handoffs=True)


@pytest.fixture
def bare() -> Pipeline:
    """A pipeline without any settings."""
    return Pipeline()
