# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

import gc
import logging
import sys

import pytest
from hypothesis import settings
from opentelemetry import context as context_api

from agent_outcomes.limited_log import LimitedLog
from tests.postgresql import ledger_url, postgresql, postgresql_server

__all__ = ["ledger_url", "postgresql", "postgresql_server"]  # fixtures for all

# A shared machine is slow at times; what is slow for good, the time limit of each test catches.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_collection_finish() -> None:
    """Fifteen thousand collected tests are half a million objects, which no collection need look through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_span_is_current() -> None:
    """An earlier test may have left a block where it had not entered it, on purpose."""
    context_api.attach(context_api.Context())


@pytest.fixture(autouse=True)
def _warnings_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is held back because an earlier test had it, within the minute."""
    for name, module in list(sys.modules.items()):
        if name.startswith("agent_outcomes.") and isinstance(getattr(module, "_log", None), LimitedLog):
            monkeypatch.setattr(module, "_log", LimitedLog(logging.getLogger(name)))
