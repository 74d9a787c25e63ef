# SPDX-License-Identifier: Apache-2.0
"""Writes a filled SQLite ledger of the schema of today as SQL text: `python -m tests.tools.make_ledger_dump FILE`.

Made once for each version of the schema, and never again: that is what later ones are tested to open.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path
from random import Random

from agent_outcomes.ledger.book.accepted import LaterRevision
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.keys import Right, create_key, rotate_key
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Change
from tests.acceptances import NS, SHOP, acceptance_of, pending, plain_run, random_acceptance

RUNS = 24
NOW = 1_750_000_000 * NS


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.db"
        store = Store.open(read_location(f"sqlite:///{path}"))
        fill(store)
        store.close()
        with sqlite3.connect(path) as connection:
            Path(sys.argv[1]).write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")


def fill(store: Store) -> None:
    """Runs, reports, costs, a pause and a cost that waits for its end, told runs and keys.

    Of the reports one waits, and one will never be joined.
    """
    random = Random(11)
    by = Reporter("ann", may_correct=True)
    store.accept([random_acceptance(random, 100 + number) for number in range(RUNS)])
    store.accept([pending(number, run_id=f"ticket-{number}") for number in range(1, 5)])
    store.accept(
        [pending(9, run_id="ticket-9")._replace(paused=True, resource=SHOP._replace(service_namespace="back"))]
    )
    for number in (1, 2):
        report = read_report(by, run_id=f"ticket-{number}", success=True, value="19.99", currency="EUR")
        store.report(report, now_ns=NOW)
    store.report(read_report(by, run_id="ticket-1", success=False, reason="reopened", idempotency_key="k"), now_ns=NOW)
    store.report(read_report(by, run_id="ticket-2", retract=True, reason="wrong ticket"), now_ns=NOW)
    store.add_cost(read_cost(run_id="ticket-3", amount="50.00", currency="USD", kind="human"), now_ns=NOW)
    store.report(read_report(run_id="unknown", success=True), now_ns=NOW, hold_s=1)
    store.add_cost(read_cost(run_id="ticket-9", amount="0.1", currency="EUR"), now_ns=NOW, hold_s=1)
    store.report(read_report(run_id="to come", success=True, idempotency_key="held"), now_ns=NOW, hold_s=10**9)
    tell(store)
    create_key(store, "crm", rights=[Right.REPORT], agents=["support"], now_ns=NOW)
    rotate_key(store, "crm", 60, now_ns=NOW)


def tell(store: Store) -> None:
    """Two runs that their own processes tell of: one from its first revision on, on which there is a report, too."""
    run, other = plain_run(201, run_id="told-1"), plain_run(202)
    later = LaterRevision(1, Change.REPORTED, NOW)
    corrected = LaterRevision(3, Change.CORRECTED, NOW, reported_by="crm", reason="reopened")
    store.accept(
        [
            acceptance_of(run, Outcome.success())._replace(told=True),
            acceptance_of(run, Outcome.success(success=True, value="7.5"))._replace(told=True, later=later),
            acceptance_of(other, Outcome.success(success=False))._replace(told=True, later=corrected),
        ]
    )
    by = Reporter("ann", may_correct=True)
    store.report(read_report(by, run_id="told-1", retract=True, reason="wrong run"), now_ns=NOW)


if __name__ == "__main__":
    main()
