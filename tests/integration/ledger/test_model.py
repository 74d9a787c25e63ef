# SPDX-License-Identifier: Apache-2.0
"""Random sequences of runs and reports: the store, on a real database, agrees with the model and verifies."""

from __future__ import annotations

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.refusals import RefusalCode
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import LedgerLimits, Store
from tests.ledger_stores import drive

SEQUENCES = 100
# What cannot be read never comes so far, and the database is there.
NEVER_HERE = {RefusalCode.INVALID_REPORT, RefusalCode.LEDGER_UNAVAILABLE}


def test_store_agrees_with_the_model(ledger_url: str) -> None:
    """After each step every run, its revisions and every total; in the end the ledger verifies."""
    store = Store.open(read_location(ledger_url), limits=LedgerLimits())
    try:
        figures = drive(store, SEQUENCES)
        assert figures["sequences"] >= SEQUENCES
        # Nothing was left out by chance.
        assert figures.keys() >= {*RefusalCode} - NEVER_HERE | {"recorded", "unchanged", "held", "recorded again"}
        verified = verify(store)
        assert verified.difference is None
        assert verified.runs > SEQUENCES
    finally:
        store.close()
