# SPDX-License-Identifier: Apache-2.0
"""Random sequences of runs and reports: the store, on a real database, agrees with the model and verifies."""

from __future__ import annotations

import pytest

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.refusals import RefusalCode
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import LedgerLimits, Store
from tests.ledger_stores import drive
from tests.sizes import a_fifth_of

pytestmark = pytest.mark.backends

SEQUENCES = a_fifth_of(200)
SEQUENCES_MAX = 4 * SEQUENCES
# What cannot be read never comes so far, and the database is there.
NEVER_HERE = {RefusalCode.INVALID_REPORT, RefusalCode.LEDGER_UNAVAILABLE}


def test_store_agrees_with_the_model(ledger_url: str) -> None:
    """After each step every run, its revisions and every total; in the end the ledger verifies."""
    store = Store.open(read_location(ledger_url), limits=LedgerLimits())
    try:
        figures = drive(store, SEQUENCES)
        assert figures["sequences"] >= SEQUENCES
        expected = {*RefusalCode} - NEVER_HERE | {"recorded", "unchanged", "held", "recorded again"}
        while not figures.keys() >= expected and figures["sequences"] < SEQUENCES_MAX:
            # An answer was left out by chance.
            figures += drive(store, SEQUENCES // 4)
        assert figures.keys() >= expected
        verified = verify(store)
        assert verified.difference is None
        assert verified.runs > SEQUENCES
    finally:
        store.close()
