# SPDX-License-Identifier: Apache-2.0
"""Thousands of random sequences of runs and reports: a ledger on a real database against the model of one."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import Final

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.ledger_stores import drive
from tests.soak.proof import Proof

BATCH: Final = 250


def prove(url: str, *, sequences: int, seed: int) -> Proof:
    """Run the sequences, then verify the ledger. Raises `AssertionError` with the shortest sequence that differs."""
    proof = Proof("model")
    figures: Counter[str] = Counter()
    began_s = time.monotonic()
    # Revisions that the policy refuses are part of it.
    logging.disable(logging.WARNING)
    store = Store.open(read_location(url))
    try:
        while figures["sequences"] < sequences:
            batch = min(BATCH, sequences - figures["sequences"])
            figures += drive(store, batch, seed=seed * 1_000_000 + figures["sequences"])
            print(f"  {figures['sequences']} of {sequences}, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        # One that differs would have raised.
        proof.at_least("sequences that agree", figures.pop("sequences"), sequences)
        for word, times in figures.most_common():
            proof.tell(f"reports {word}", times)
        verified = verify(store)
        for name in ("runs", "revisions", "totals"):
            proof.tell(name, getattr(verified, name))
        proof.equal("first difference of verify", verified.difference, None)
    finally:
        store.close()
        logging.disable(logging.NOTSET)
    return proof
