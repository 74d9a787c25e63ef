# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from opentelemetry import context as context_api

from agent_outcomes.limited_log import LimitedLog
from tests.postgresql import ledger_url, postgresql, postgresql_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ledger_url", "postgresql", "postgresql_server"]  # fixtures for all

LEDGER_THREADS = {"agent-outcomes-delivery", "agent-outcomes-ledger"}
ENDING_S = 5.0

# A shared machine is slow at times; what is slow for good, the time limit of each test catches.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_collection_finish() -> None:
    """Fifteen thousand collected tests are half a million objects, which no collection need look through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _no_ledger_is_left_open() -> Iterator[None]:
    """One that a test has left open would go on to deliver, and to warn, amid the tests after it."""
    yield
    threads = [thread for thread in threading.enumerate() if thread.name in LEDGER_THREADS]
    for thread in threads:
        thread.join(ENDING_S)
    assert not [thread.name for thread in threads if thread.is_alive()], "shut down what has opened a ledger"


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
