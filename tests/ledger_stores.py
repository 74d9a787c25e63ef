# SPDX-License-Identifier: Apache-2.0
"""The store on a real database as the machine drives it: one for all sequences, each with services of its own."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.amounts import Parts
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.record.totals import as_attributes
from agent_outcomes.semconv import OUTCOME_COUNTERS
from tests.ledger_machine import LedgerMachine
from tests.ledger_systems import Stands, stands_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.policy import Policy
    from agent_outcomes.ledger.book.refusals import Report
    from agent_outcomes.ledger.book.reports import LateCost, LateReport
    from agent_outcomes.ledger.store import Store
    from tests.ledger_model import Sums

_INSTRUMENTS = {instrument.name: instrument for instrument in OUTCOME_COUNTERS}


class StoreSystem:
    """A store, whose policy is that of the sequence."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        store.settle(policy, None)

    def accept(self, acceptances: Sequence[Acceptance]) -> None:
        """Take runs that have ended."""
        self._store.accept(acceptances)

    def report(self, report: LateReport, *, now_ns: int, hold_s: float) -> Report:
        """Take a report."""
        return self._store.report(report, now_ns=now_ns, hold_s=hold_s)

    def add_cost(self, cost: LateCost, *, now_ns: int, hold_s: float) -> Report:
        """Take a late cost."""
        return self._store.add_cost(cost, now_ns=now_ns, hold_s=hold_s)

    def state(self, outcome_ids: Collection[str], services: Collection[str]) -> tuple[dict[str, Stands], Sums]:
        """What it has of these runs and every total of these services, and of no others: there are thousands."""
        with self._store.database.reading() as connection:
            return _stands(connection, outcome_ids), _sums(connection, services)

    def history(self, outcome_id: str) -> Stands:
        """What it tells of a run to whoever asks for it."""
        history = self._store.run(RunReference(outcome_id=outcome_id))
        return stands_of([(row.encoded or b"", row.digest) for row in history.revisions])


def _stands(connection: Connection, outcome_ids: Collection[str]) -> dict[str, Stands]:
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    traces = {bytes.fromhex(outcome_id[:32]) for outcome_id in outcome_ids}
    runs, revisions = schema.runs.c, schema.revisions.c
    query = (
        select(runs.trace_id, runs.span_id, revisions.content, revisions.digest)
        .join_from(schema.runs, schema.revisions, revisions.run == runs.id)
        .where(runs.trace_id.in_(traces))
        .order_by(runs.id, revisions.revision)
    )
    for row in connection.execute(query):
        outcome_id = f"{bytes(row.trace_id).hex()}-{bytes(row.span_id).hex()}"
        found.setdefault(outcome_id, []).append((bytes(row.content), bytes(row.digest)))
    return {outcome_id: stands_of(rows) for outcome_id, rows in found.items()}


def _sums(connection: Connection, services: Collection[str]) -> Sums:
    totals, identities = schema.totals, schema.identities.c
    query = (
        select(identities.service_name, totals)
        .join_from(schema.identities, totals, identities.id == totals.c.identity)
        .where(identities.service_name.in_(services))
    )
    sums: Sums = {}
    for row in connection.execute(query):
        labels = as_attributes(_INSTRUMENTS[row.instrument], tuple(json.loads(row.labels)))
        key = (row.service_name, row.instrument, frozenset(labels.items()))
        sums[key] = Decimal(Parts(row.quadrillions, row.whole, row.fraction).amount)
    return sums


def drive(store: Store, sequences: int, *, steps: int = 30, seed: int | None = None) -> Counter[str]:
    """Run so many random sequences against the model, or some more; how many there were, and what reports were told.

    Raises `AssertionError` with the shortest sequence that makes a difference.
    """
    figures: Counter[str] = Counter()

    class StoreMachine(LedgerMachine):
        """Drives the store."""

        told = figures

        def open_system(self, policy: Policy) -> StoreSystem:
            """The one store, whose other sequences have other services."""
            figures["sequences"] += 1
            self.store = StoreSystem(store, policy)
            return self.store

        def teardown(self) -> None:
            """Whoever asks for a run is told what stands."""
            if self.has_begun:
                stands, _ = self.store.state(self.model.runs.keys(), ())
                assert {outcome_id: self.store.history(outcome_id) for outcome_id in stands} == stands

    how = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        print_blob=False,
    )
    machine = StoreMachine if seed is None else hypothesis.seed(seed)(StoreMachine)
    run_state_machine_as_test(machine, settings=how)
    return figures
