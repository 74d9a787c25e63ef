# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

import logging

import pytest
from hypothesis import settings
from opentelemetry import context as context_api

from agent_outcomes import list_prices
from agent_outcomes.api import agent_run, open_run, record
from agent_outcomes.instrumentation import delivery, metric_outlet, pipelines, waiting_logs
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.sdk import emitter, health, outcome_spans, processor, setup
from tests.postgresql import ledger_url, postgresql, postgresql_server

__all__ = ["ledger_url", "postgresql", "postgresql_server"]  # fixtures for all

# A shared machine is slow at times; what is slow for good, the time limit of each test catches.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def _no_span_is_current() -> None:
    """An earlier test may have left a block where it had not entered it, on purpose."""
    context_api.attach(context_api.Context())


@pytest.fixture(autouse=True)
def _warnings_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is held back because an earlier test had it, within the minute."""
    ours = (agent_run, record, list_prices, open_run, processor, setup, emitter, health, outcome_spans)
    for module in (*ours, pipelines, delivery, waiting_logs, metric_outlet):
        monkeypatch.setattr(module, "_log", LimitedLog(logging.getLogger(module.__name__)))
