# SPDX-License-Identifier: Apache-2.0
"""A real SDK pipeline whose processor has a ledger, and what is in that ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import select

from agent_outcomes import semconv
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.schema import deliveries
from agent_outcomes.ledger.store import Store
from agent_outcomes.record.totals import as_attributes
from agent_outcomes.sdk.ledger_sink import LedgerSink
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from tests.otlp_values import value_of
from tests.pipeline import SeenEvent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer

    from agent_outcomes.ledger.rows import LedgerStatus

Sums = dict[tuple[str, frozenset[tuple[str, str | bool]]], Decimal]
INSTRUMENTS = {instrument.name: instrument for instrument in (*semconv.OUTCOME_COUNTERS, *semconv.HEALTH_COUNTERS)}


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


class LedgerPipeline:
    """A tracer provider with one processor that has a ledger in a file; nobody delivers unless told to."""

    def __init__(
        self,
        path: Path,
        *,
        service: str = "shop",
        span_limits: SpanLimits | None = None,
        ids: IdGenerator | None = None,
        **settings: Any,
    ) -> None:
        self.url = url_of(path)
        self.service = service
        given: dict[str, Any] = {"ledger_deliver": False, **settings}
        self.processor = AgentOutcomeSpanProcessor(ledger=self.url, **given)
        self.spans = self.provider(service, span_limits=span_limits, id_generator=ids)

    def provider(self, service: str, **given: Any) -> TracerProvider:
        """A tracer provider of a service whose spans the processor sees."""
        resource = Resource({"service.name": service})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, **given)
        provider.add_span_processor(self.processor)
        return provider

    @property
    def sink(self) -> LedgerSink:
        sink = self.processor.sink
        assert isinstance(sink, LedgerSink)
        return sink

    def tracer(self, scope: str = "app") -> Tracer:
        return self.spans.get_tracer(scope)

    def store(self) -> Store:
        return store_at(self.url)

    def status(self) -> LedgerStatus:
        return self.store().status()

    def events(self) -> list[SeenEvent]:
        return events_in(self.store())

    def event(self) -> SeenEvent:
        """The only event."""
        (event,) = self.events()
        return event

    def sums(self) -> Sums:
        return sums_in(self.store(), self.service)

    def total(self, name: str, labels: Mapping[str, Any] | None = None) -> Decimal:
        return total_in(self.store(), name, labels)


def store_at(url: str) -> Store:
    return Store.open(read_location(url))


def events_in(store: Store) -> list[SeenEvent]:
    """The events that wait to be delivered, in the order in which they came."""
    with store.database.reading() as connection:
        waiting = select(deliveries.c.payload).where(deliveries.c.payload.is_not(None))
        rows = connection.execute(waiting.order_by(deliveries.c.id)).all()
    return [_seen(LogRecord.FromString(row.payload)) for row in rows]


def sums_in(store: Store, service: str) -> Sums:
    """The exact totals of a service."""
    return {
        (row.instrument, frozenset(as_attributes(INSTRUMENTS[row.instrument], row.labels).items())): Decimal(row.amount)
        for row in store.series().totals
        if row.identity.service_name == service
    }


def total_in(store: Store, name: str, labels: Mapping[str, Any] | None = None) -> Decimal:
    """The sum over the attribute sets that have these labels, of all services."""
    wanted = set((labels or {}).items())
    found = (
        Decimal(row.amount)
        for row in store.series().totals
        if row.instrument == name and wanted <= as_attributes(INSTRUMENTS[name], row.labels).items()
    )
    return sum(found, Decimal(0))


def _seen(record: LogRecord) -> SeenEvent:
    return SeenEvent(
        name=record.event_name,
        body=record.body.string_value,
        severity=record.severity_text,
        trace_id=int.from_bytes(record.trace_id),
        span_id=int.from_bytes(record.span_id),
        timestamp=record.time_unix_nano,
        attributes={pair.key: value_of(pair.value) for pair in record.attributes},
    )
