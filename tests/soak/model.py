# SPDX-License-Identifier: Apache-2.0
"""Thousands of random sequences of runs and reports: a ledger on a real database against the model of one.

`python -m tests.soak.model --sequences 5000 --engine sqlite`, and `--engine postgresql`, on a new ledger, which is gone
afterwards; with `--url` on one that stays.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.ledger_stores import drive
from tests.postgresql import running_postgresql
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


BATCH: Final = 250


def prove(url: str, sequences: int, steps: int) -> Proof:
    """Run the sequences, then verify the ledger. Raises `AssertionError` with the shortest sequence that differs."""
    store = Store.open(read_location(url))
    proof = Proof(f"model on {store.location}")
    began_s = time.monotonic()
    try:
        figures: Counter[str] = Counter()
        while figures["sequences"] < sequences:
            figures += drive(store, min(BATCH, sequences - figures["sequences"]), steps)
            print(f"{figures['sequences']} of {sequences} after {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        # One that differs would have raised.
        proof.at_least("sequences that agree", figures.pop("sequences"), sequences)
        for word, times in figures.most_common():
            proof.tell(f"reports {word}", times)
        verified = verify(store)
        proof.tell("runs", verified.runs)
        proof.tell("revisions", verified.revisions)
        proof.tell("totals", verified.totals)
        proof.equal("first difference of verify", verified.difference, None)
        proof.tell("seconds", round(time.monotonic() - began_s))
    finally:
        store.close()
    return proof


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove it, print the figures; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--url", help="of a ledger that may be written to, instead")
    parser.add_argument("--sequences", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=30, help="at most so many in a sequence")
    given = parser.parse_args(arguments)
    # Revisions that the policy refuses are part of it.
    logging.disable(logging.WARNING)
    with _ledger(given.engine) if given.url is None else nullcontext(given.url) as url:
        proof = prove(url, given.sequences, given.steps)
    print("\n".join(proof.lines()))
    return 0 if proof.is_kept else 1


@contextmanager
def _ledger(engine: str) -> Iterator[str]:
    """The URL of a new ledger."""
    if engine == "postgresql":
        with running_postgresql() as server:
            yield server.url(server.new_database())
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/outcomes.db"


if __name__ == "__main__":
    sys.exit(main())
