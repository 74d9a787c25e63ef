# SPDX-License-Identifier: Apache-2.0
"""Every case of the case table through a ledger gives the event and the postings that it gives without one."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

from agent_outcomes.record.totals import as_attributes
from agent_outcomes.semconv import HEALTH_COUNTERS, OUTCOME_COUNTERS
from tests.cases import Case, flat_points, load_cases, make_spans
from tests.ledger_pipeline import LedgerPipeline, Sums, events_in, sums_in
from tests.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pipeline import SeenEvent

CASES = load_cases()
ALL_ON: dict[str, Any] = {"handoffs": True, "evaluation_result": True}
COUNTERS = (*OUTCOME_COUNTERS, *HEALTH_COUNTERS)


class Counting(IdGenerator):
    """The same ids in the same order, wherever a case is run; `first` tells cases apart."""

    def __init__(self, first: int) -> None:
        self._ids = itertools.count(first << 32)

    def generate_trace_id(self) -> int:
        return next(self._ids)

    def generate_span_id(self) -> int:
        return next(self._ids)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of one ledger for all cases, kept open over them: each has a service of its own there."""
    made = tmp_path_factory.mktemp("golden")
    keeping_open = LedgerPipeline(made / "outcomes.db")
    yield made
    keeping_open.processor.shutdown()


def limits_of(case: Case) -> SpanLimits:
    return SpanLimits(max_span_attribute_length=case.limits.text, max_span_attributes=case.limits.attributes)


def by_default(case: Case, number: int) -> tuple[list[SeenEvent], Sums, list[tuple[int, float]]]:
    """What comes of a case without a ledger: events, sums, and count and sum of the durations."""
    pipeline = Pipeline(span_limits=limits_of(case), **ALL_ON)
    spans = TracerProvider(span_limits=limits_of(case), id_generator=Counting(number), shutdown_on_exit=False)
    spans.add_span_processor(pipeline.processor)
    make_spans(case, spans)
    spans.shutdown()
    data = pipeline.collect()
    # As they are before the SDK makes doubles of them.
    totals = pipeline.processor.sink.health_totals()
    sums: Sums = {
        (instrument.name, frozenset(as_attributes(instrument, labels).items())): Decimal(amount)
        for instrument in COUNTERS
        for labels, amount in totals.sums(instrument)
    }
    durations = [(point.count, point.sum) for name, _, point in flat_points(data) if name == "agent.run.duration"]
    return pipeline.events(), sums, durations


def in_ledger(case: Case, number: int, folder: Path) -> tuple[list[SeenEvent], Sums, list[tuple[int, float]]]:
    """The same through a ledger."""
    service = f"case-{number}"
    ids = Counting(number)
    pipeline = LedgerPipeline(folder / "outcomes.db", service=service, span_limits=limits_of(case), ids=ids, **ALL_ON)
    make_spans(case, pipeline.spans)
    pipeline.spans.shutdown()
    store = pipeline.store()
    durations = [row for row in store.series().durations if row.identity.service_name == service]
    counts = [
        (sum(bucket.runs for bucket in row.buckets), float(sum(bucket.seconds for bucket in row.buckets)))
        for row in durations
    ]
    first = number << 32
    events = [event for event in events_in(store) if first <= (event.trace_id or 0) < first + (1 << 32)]
    return events, sums_in(store, service), counts


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES, start=1)), ids=map(str, CASES))
def test_a_ledger_changes_neither_event_nor_postings(number: int, case: Case, folder: Path) -> None:
    """Same names, bodies, severities, ids, times and attributes; same counters, also those about ourselves."""
    expected_events, expected_sums, expected_durations = by_default(case, number)
    events, sums, durations = in_ledger(case, number, folder)
    assert events == expected_events
    assert sums == expected_sums
    assert durations == expected_durations
    assert any(event.name == "agent.outcome" for event in events) == case.expected.emits
