# SPDX-License-Identifier: Apache-2.0
"""What a ledger's delivery of an event costs beside the SDK's exporter: a batch at a time, to a process that drops it.

The exporter encodes a batch of log records and sends it. The delivery reads as many from the ledger, where they are
encoded since they were accepted, sends them, and notes in the ledger that they were delivered.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from agent_outcomes.ledger.delivery.queue import BATCH_ROWS_MAX
from agent_outcomes.ledger.delivery.rounds import Rounds
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.semconv import SCOPE_NAME
from tests.bench.otlp import loopback_endpoint
from tests.bench.paired import ATTEMPTS, WARM_UP_ROUNDS, compare
from tests.integration.ledger.accepted import RESOURCE, acceptance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from tests.bench.paired import Case, Comparison


def compare_delivery(contender: str, rounds: int) -> Comparison:
    """A batch of events out of a ledger against the same through the SDK's exporter; per event."""
    with loopback_endpoint() as endpoint, _filled_store((rounds + WARM_UP_ROUNDS) * ATTEMPTS) as store:
        return compare(
            lambda: _export_case(endpoint),
            {contender: lambda: _delivery_case(endpoint, store)},
            iterations=BATCH_ROWS_MAX,
            rounds=rounds,
        )


def _export_case(endpoint: str) -> Case:
    exporter = OTLPLogExporter(f"{endpoint}/v1/logs")
    records = _records()

    def case(count: int) -> None:
        if exporter.export(records[:count]) is not LogRecordExportResult.SUCCESS:
            message = "the SDK's exporter could not send"
            raise RuntimeError(message)

    return case


def _records() -> Sequence[ReadableLogRecord]:
    provider = LoggerProvider(resource=Resource(dict(RESOURCE.attributes)), shutdown_on_exit=False)
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = provider.get_logger(SCOPE_NAME)
    for number in range(BATCH_ROWS_MAX):
        event = acceptance(number).record.event
        severity, text = event.severity
        logger.emit(
            timestamp=event.timestamp_ns,
            severity_number=SeverityNumber(severity),
            severity_text=text,
            body=event.body,
            attributes=event.attributes,
            event_name=event.name,
        )
    return memory.get_finished_logs()


def _delivery_case(endpoint: str, store: Store) -> Case:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
    }
    rounds = Rounds(read_delivery_targets(environ))
    left = store.status().waiting

    def case(count: int) -> None:
        nonlocal left
        rounds.run(store)
        left -= count
        if left < 0:
            message = "there was nothing left to deliver"
            raise RuntimeError(message)

    return case


@contextmanager
def _filled_store(batches: int) -> Iterator[Store]:
    """A ledger with so many batches of events that wait."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(read_location(f"sqlite:///{Path(folder)}/outcomes.db"))
        try:
            for first in range(0, batches * BATCH_ROWS_MAX, BATCH_ROWS_MAX):
                store.accept([acceptance(number) for number in range(first, first + BATCH_ROWS_MAX)])
            yield store
        finally:
            store.close()
