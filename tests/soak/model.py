# SPDX-License-Identifier: Apache-2.0
"""Thousands of random sequences of runs and reports: a ledger on a real database against the model of one."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.ledger_stores import drive
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Callable

# Policies take turns, and with each a store learns its rows anew: in one ledger the time would grow as the square.
BATCH: Final = 250


def prove(new_ledger: Callable[[], str], *, sequences: int, seed: int) -> Proof:
    """Run the sequences, in several ledgers, and verify all. Raises `AssertionError` with the shortest that differs."""
    proof = Proof("model")
    figures: Counter[str] = Counter()
    found: Counter[str] = Counter()
    first_differences: list[str] = []
    began_s = time.monotonic()
    # Revisions that the policy refuses are part of it.
    logging.disable(logging.WARNING)
    try:
        while figures["sequences"] < sequences:
            batch = min(BATCH, sequences - figures["sequences"])
            with closing(Store.open(read_location(new_ledger()))) as store:
                figures += drive(store, batch, seed=seed * 1_000_000 + figures["sequences"])
                verified = verify(store)
            found.update(ledgers=1, runs=verified.runs, revisions=verified.revisions, totals=verified.totals)
            first_differences += [] if verified.difference is None else [str(verified.difference)]
            print(f"  {figures['sequences']} of {sequences}, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    finally:
        logging.disable(logging.NOTSET)
    # One that differs would have raised.
    proof.at_least("sequences that agree", figures.pop("sequences"), sequences)
    for word, times in (*figures.most_common(), *found.items()):
        proof.tell(word if word in found else f"reports {word}", times)
    proof.equal("ledgers that verify finds a difference in", len(first_differences), 0)
    return proof
