# SPDX-License-Identifier: Apache-2.0
"""From the ledger back to figures: from its exact totals and, on their own, from what stands of each run."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from agent_outcomes import SettingsError, semconv
from agent_outcomes.ledger.location import LedgerError, read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from agent_outcomes.otlp.encoding import encoded_event
from agent_outcomes.record.record import record
from demo_readback import Events, add_event, figures_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent_outcomes.record.record import LabelValue
    from agent_outcomes.semconv import Instrument
    from demo_ledger import Figures
    from demo_readback import Points

_INSTRUMENTS = {instrument.name: instrument for instrument in semconv.OUTCOME_COUNTERS}


def read_totals(url: str) -> Figures:
    """The figures of all the ledger's totals. Raises `SettingsError` where it cannot be opened."""
    try:
        store = Store.open(read_location(url))
    except LedgerError as error:
        raise SettingsError(str(error)) from None
    points: Points = {}
    series = store.series()
    for row in series.totals:
        if row.instrument in _INSTRUMENTS:
            key = (row.instrument, tuple(_labels(_INSTRUMENTS[row.instrument], row.labels)))
            points[key] = points.get(key, Decimal(0)) + row.amount
    duration = semconv.AGENT_RUN_DURATION_METRIC
    for histogram in series.durations:
        key = (duration.name, tuple(_labels(duration, histogram.labels)))
        points[key] = points.get(key, Decimal(0)) + sum(bucket.runs for bucket in histogram.buckets)
    return figures_of(points)


def read_standing(url: str, trace_ids: Collection[str]) -> Events:
    """What stands of the runs of these traces, read as the events that say so."""
    events = Events()
    for row in Store.open(read_location(url)).runs(RunFilter()):
        content = row.standing.content
        if content is not None and row.outcome_id.partition("-")[0] in trace_ids:
            event = record(content.run, content.outcome, content.revision, reported_at_ns=content.reported_at_ns).event
            add_event(LogRecord.FromString(encoded_event(event, time.time_ns())), events)
    return events


def _labels(instrument: Instrument, labels: tuple[LabelValue, ...]) -> Iterator[tuple[str, str]]:
    for name, label in sorted(zip(instrument.attributes, labels, strict=True)):
        if label is not None:
            yield name, str(label).lower() if isinstance(label, bool) else label
