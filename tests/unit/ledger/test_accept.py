# SPDX-License-Identifier: Apache-2.0
"""Accepting runs into a SQLite ledger: what the case table expects is what it holds, exactly and once."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.record.totals import Totals, as_attributes
from agent_outcomes.semconv import OUTCOME_COUNTERS
from tests.acceptances import SHOP, case_acceptances
from tests.cases import check_event, check_postings, sums_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    from agent_outcomes.ledger.book.accepted import Acceptance
    from tests.cases import Case

CASES = case_acceptances()


def store_at(path: Path) -> Store:
    return Store.open(read_location(f"sqlite:///{path}"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = store_at(tmp_path_factory.mktemp("ledger") / "outcomes.db")
    store.accept([acceptance for _, acceptance in CASES])
    yield store
    store.close()


def payloads(store: Store, outcome_id: str) -> list[LogRecord]:
    deliveries, runs = schema.deliveries, schema.runs
    trace_id, span_id = (bytes.fromhex(part) for part in outcome_id.split("-"))
    query = (
        select(deliveries.c.payload)
        .join(runs, runs.c.id == deliveries.c.run)
        .where(runs.c.trace_id == trace_id, runs.c.span_id == span_id)
    )
    with store.database.reading() as connection:
        return [LogRecord.FromString(bytes(payload)) for payload in connection.execute(query).scalars()]


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    found = getattr(value, kind)
    return tuple(map(plain, found.values)) if kind == "array_value" else found


@pytest.mark.parametrize(("case", "acceptance"), CASES, ids=[str(case) for case, _ in CASES])
def test_case(case: Case, acceptance: Acceptance, filled: Store) -> None:
    """What waits to be delivered is the case's event, and what is stored of its revision has the case's postings."""
    (waiting,) = payloads(filled, acceptance.run.id)
    check_event(
        case,
        waiting.severity_text,
        {pair.key: plain(pair.value) for pair in waiting.attributes},
        waiting.body.string_value,
    )
    assert waiting.trace_id.hex() + "-" + waiting.span_id.hex() == acceptance.run.id
    assert (waiting.event_name, waiting.time_unix_nano) == ("agent.outcome", acceptance.run.end_ns)
    (row,) = [row for row in filled.revisions() if row.outcome_id == acceptance.run.id]
    assert row.content is not None
    assert (row.content.run, row.content.outcome) == (acceptance.run, acceptance.outcome)
    rows = [(of.name, as_attributes(of, labels), Decimal(amount)) for of, labels, amount in row.content.postings]
    check_postings(case, sums_of(rows))


def test_totals_are_those_of_the_default_path(filled: Store) -> None:
    """The ledger's totals are what the processor's own would be, label for label and digit for digit."""
    expected = Totals()
    for _, acceptance in CASES:
        expected.post(acceptance.record.postings)
    found = {(row.instrument, row.labels): row.amount for row in filled.series().totals}
    assert found == {
        (instrument.name, labels): amount
        for instrument in OUTCOME_COUNTERS
        for labels, amount in expected.sums(instrument)
    }
    assert {row.identity[1:4] for row in filled.series().totals} == {SHOP[:3]}


def test_durations_are_counted_and_summed(filled: Store) -> None:
    """Every run with a duration is in one bucket, and the sums are exact."""
    durations = [acceptance.record.duration_s for _, acceptance in CASES]
    timed = [Decimal(repr(duration)) for duration in durations if duration is not None]
    buckets = [bucket for row in filled.series().durations for bucket in row.buckets]
    assert sum(bucket.runs for bucket in buckets) == len(timed)
    assert sum(bucket.seconds for bucket in buckets) == sum(timed)


def test_the_same_run_again_is_left_as_it_is(tmp_path: Path) -> None:
    """Accepting all cases once more, one by one, in a group, and twice in one group, changes nothing."""
    store = store_at(tmp_path / "outcomes.db")
    acceptances = [acceptance for _, acceptance in CASES[:40]]
    store.accept([*acceptances, *acceptances])
    before = store.status(0), store.series(), list(store.revisions())
    store.accept(acceptances)
    for acceptance in reversed(acceptances):
        store.accept([acceptance])
    assert (store.status(0), store.series(), list(store.revisions())) == before
    assert store.status().accepted == store.status().runs == 40
    store.close()


def test_states(filled: Store) -> None:
    """What is pending is what states no business result."""
    expected = Counter(acceptance.outcome.state.value for _, acceptance in CASES)
    assert filled.status().pending == expected["pending"]
