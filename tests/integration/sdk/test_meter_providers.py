# SPDX-License-Identifier: Apache-2.0
"""Meter providers that others wrap: without a hash, and gone again."""

from __future__ import annotations

import gc

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agent_outcomes.record.record import Posting
from agent_outcomes.sdk.metrics import _state, export_of
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.semconv import AGENT_RUNS
from agent_outcomes.settings import read_settings
from tests.pipeline import run_agent, total_of


class ComparedByValue(MeterProvider):
    """A meter provider that is equal to any other of its kind and has no hash, as a dataclass is."""

    __hash__ = None  # type: ignore[assignment]  # that is what is tried

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComparedByValue)


def count_runs(reader: InMemoryMetricReader, runs: int) -> float | int:
    """Two processors of different tracer providers that share a meter provider."""
    meters = ComparedByValue([reader], shutdown_on_exit=False)
    for _ in range(2):
        spans = TracerProvider(shutdown_on_exit=False)
        logs = LoggerProvider(shutdown_on_exit=False)
        spans.add_span_processor(AgentOutcomeSpanProcessor(logger_provider=logs, meter_provider=meters))
        for _ in range(runs):
            run_agent(spans.get_tracer("app"))
    return total_of(reader.get_metrics_data(), "agent.runs")


def test_meter_providers_that_are_equal_are_not_the_same() -> None:
    """Each has totals of its own, shared by all processors that use it."""
    assert [count_runs(InMemoryMetricReader(), runs) for runs in (1, 2)] == [2, 4]


def test_a_meter_provider_that_is_gone_leaves_nothing() -> None:
    """Its totals go with it, so that its successor at the same address starts from nothing."""
    settings = read_settings()
    gc.collect()  # what earlier tests have left may go at any time
    before = len(_state.exports)
    for _ in range(20):
        meters = ComparedByValue(shutdown_on_exit=False)
        totals = export_of(meters, settings).totals
        assert export_of(meters, settings).totals is totals
        assert list(totals.sums(AGENT_RUNS)) == []
        totals.post([Posting(AGENT_RUNS, ("a", None, "success", None, None, None), 1)])
        del meters
        gc.collect()
        assert len(_state.exports) <= before
