# SPDX-License-Identifier: Apache-2.0
"""Looks into a ledger's tables by plain SQL and compares them with what must be there, as `runs` makes it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

from agent_outcomes.ledger.book.revisions import first_revision
from agent_outcomes.ledger.location import Location, read_location
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.soak.proof import Proof

UNITS = 10**12
STORED = "SELECT r.trace_id, r.span_id, v.revision, v.content FROM runs r JOIN revisions v ON v.run = r.id"
TOTALS = "SELECT instrument, labels, quadrillions, whole, fraction FROM totals"
DURATIONS = "SELECT sum(count) FROM durations"
DELIVERIES = "SELECT count(*), count(DISTINCT run) FROM deliveries"


class Stored:
    """What is in the ledger at the moment."""

    def __init__(self, url: str, seed: int) -> None:
        location = read_location(url)
        self.seed = seed
        self.wrong: list[int] = []
        self.counts: Counter[int] = Counter()
        with closing(connect(location)) as connection:
            self._read(connection)
            self.sums = dict(_totals(connection))
            ((self.duration_count,),) = rows(connection, DURATIONS)
            ((self.delivery_count, self.delivered_run_count),) = rows(connection, DELIVERIES)
            self.integrity = "ok" if location.path is None else rows(connection, "PRAGMA integrity_check")[0][0]

    @property
    def numbers(self) -> set[int]:
        """Whose runs are there."""
        return set(self.counts)

    def expected_sums(self) -> dict[tuple[str, str], int]:
        """What the totals must be, given the runs that are there."""
        sums: Counter[tuple[str, str]] = Counter()
        for number in self.numbers:
            for instrument, labels, amount in acceptance(self.seed, number).record.postings:
                sums[instrument.name, json.dumps(labels, separators=(",", ":"))] += int(amount * UNITS)
        return dict(sums)

    def _read(self, connection: Any) -> None:
        for trace_id, span_id, revision, content in rows(connection, STORED):
            number = int.from_bytes(span_id, "big") - 1
            made = acceptance(self.seed, number)
            self.counts[number] += 1
            is_right = (
                revision == 0
                and int.from_bytes(trace_id, "big") == made.run.trace_id
                and bytes(content) == first_revision(made).content
            )
            if not is_right:
                self.wrong.append(number)


def judge(proof: Proof, url: str, seed: int, *, issued: Collection[int], acknowledged: Collection[int]) -> Stored:
    """Add to the proof what became of the outcomes that were issued, and of those that were acknowledged."""
    stored = Stored(url, seed)
    twice = sum(count - 1 for count in stored.counts.values())
    proof.tell("issued", len(set(issued)))
    proof.tell("acknowledged", len(set(acknowledged)))
    proof.tell("stored", len(stored.numbers))
    proof.equal("acknowledged and lost", len(set(acknowledged) - stored.numbers), 0)
    proof.equal("stored and never issued", len(stored.numbers - set(issued)), 0)
    proof.equal("wrong", len(stored.wrong), 0)
    proof.equal("stored twice", twice, 0)
    proof.equal("totals that differ", _differing(stored.sums, stored.expected_sums()), 0)
    proof.equal("durations counted", int(stored.duration_count or 0), len(stored.numbers))
    proof.equal("runs with a delivery", stored.delivered_run_count, len(stored.numbers))
    proof.equal("deliveries", stored.delivery_count, len(stored.numbers))
    proof.equal("integrity", stored.integrity, "ok")
    return stored


def connect(location: Location) -> Any:
    """A connection of the driver's own."""
    if location.path is None:
        return psycopg.connect(location.url)
    return sqlite3.connect(location.path, timeout=30)


def rows(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(statement).fetchall()  # type: ignore[no-any-return]


def _totals(connection: Any) -> Iterator[tuple[tuple[str, str], int]]:
    for instrument, labels, quadrillions, whole, fraction in rows(connection, TOTALS):
        yield (instrument, _canonical(labels)), (quadrillions * 10**15 + whole) * UNITS + fraction


def _canonical(labels: str) -> str:
    return json.dumps(json.loads(labels), separators=(",", ":"))


def _differing(found: dict[tuple[str, str], int], expected: dict[tuple[str, str], int]) -> int:
    return sum(found.get(key, 0) != expected.get(key, 0) for key in {*found, *expected})
