# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

import logging

import pytest
from hypothesis import settings

from agent_outcomes import api, list_prices, open_run, processor, sinks
from agent_outcomes.limited_log import LimitedLog

# A shared machine is slow at times; what is slow for good, the time limit of each test catches.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def _warnings_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is held back because an earlier test had it, within the minute."""
    for module in (api, list_prices, open_run, processor, sinks):
        monkeypatch.setattr(module, "_log", LimitedLog(logging.getLogger(module.__name__)))
