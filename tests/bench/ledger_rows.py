# SPDX-License-Identifier: Apache-2.0
"""Runs to be accepted, by a store and, as the same rows, by nothing but `executemany` of the stdlib's driver."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.amounts import FRACTION, WHOLE, Parts, units_of
from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.model import Cost, CostPart, Run, Usage
from agent_outcomes.semconv import CostKind, CostSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Table

GROUP: Final = 100
_AGENTS: Final = 12
_START_NS: Final = 1_750_000_000_000_000_000
_RESOURCE: Final = ResourceFacts("support", "desk", "production", (("service.name", "support"), ("host.name", "a1")))
_WRITTEN: Final = (schema.runs, schema.pending_runs, schema.revisions, schema.deliveries)
COPY: Final = "-{}"
"""What the key of a copied run ends in."""
_POSTED: Final = list(schema.revisions.c.keys()).index("posted")
_COPIED: Final[tuple[tuple[Table, Mapping[str, str]], ...]] = (
    (
        schema.runs,
        {"id": "id + :by", "trace_id": "randomblob(16)", "run_id": "run_id || :suffix", "end_ns": "end_ns + :by"},
    ),
    (schema.pending_runs, {"run": "run + :by", "end_ns": "end_ns + :by"}),
    (schema.revisions, {"id": "id + :by", "run": "run + :by"}),
    (
        schema.deliveries,
        {
            "id": "id + :by",
            "run": "run + :by",
            "payload": "NULL",
            "state": "'delivered'",
            "delivered_ns": "created_ns",
        },
    ),
)
"""Of each table what is not the same in a copied row."""
_ADD: Final = (
    "UPDATE {} SET fraction = (fraction + ?3) % {f}, whole = (whole + ?2 + (fraction + ?3) / {f}) % {w}, "
    "quadrillions = quadrillions + ?1 + (whole + ?2 + (fraction + ?3) / {f}) / {w}{} WHERE id = ?4"
)
_ADD_TOTAL: Final = _ADD.format("totals", "", f=FRACTION, w=WHOLE)
_ADD_DURATION: Final = _ADD.format("durations", ", count = count + ?5", f=FRACTION, w=WHOLE)


class GroupRows(NamedTuple):
    """What accepting one group has written: rows by table, and what was added to which total or bucket."""

    inserted: tuple[list[tuple[Any, ...]], ...]
    totals: list[tuple[int, ...]]
    durations: list[tuple[int, ...]]


def acceptances(first: int, count: int) -> list[Acceptance]:
    """So many runs, the same for the same numbers: every third pending, the others reported, each with a cost."""
    return [_acceptance(number) for number in range(first, first + count)]


def new_store(folder: Path) -> Store:
    """A store in a new file of that folder, which knows its labels already."""
    store = Store.open(read_location(f"sqlite:///{folder / 'outcomes.db'}"))
    store.accept(acceptances(0, GROUP))
    return store


def plain_connection(path: Path) -> sqlite3.Connection:
    """The stdlib's driver on that file, which writes as durably as the store does."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def written_last(connection: sqlite3.Connection) -> GroupRows:
    """What the last transaction that accepted runs has written."""
    ((time,),) = connection.execute("SELECT accepted_ns FROM runs ORDER BY id DESC LIMIT 1")
    return _group(connection, time)


def copy_runs(connection: sqlite3.Connection, copies: int) -> None:
    """Copy all runs, under random ids and keys of their own, as if they had been accepted and delivered."""
    ((count,),) = connection.execute("SELECT max(id) FROM runs")
    for copy in range(1, copies + 1):
        values = {"by": copy * count, "suffix": COPY.format(copy), "count": count}
        connection.execute("BEGIN IMMEDIATE")
        for table, changed in _COPIED:
            connection.execute(_copying(table, changed), values)
        connection.execute("COMMIT")


def write_group(connection: sqlite3.Connection, rows: GroupRows) -> None:
    """The same rows in one transaction, by `executemany` alone."""
    connection.execute("BEGIN IMMEDIATE")
    for table, inserted in zip(_WRITTEN, rows.inserted, strict=True):
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", inserted)
    connection.executemany(_ADD_TOTAL, rows.totals)
    connection.executemany(_ADD_DURATION, rows.durations)
    connection.execute("COMMIT")


def _copying(table: Table, changed: Mapping[str, str]) -> str:
    values = ", ".join(changed.get(column.name, column.name) for column in table.columns)
    # All of it is ours.
    return f"INSERT INTO {table.name} SELECT {values} FROM {table.name} WHERE {next(iter(changed))} <= :count"


def _acceptance(number: int) -> Acceptance:
    # Trace ids are random, as those of real runs are: an index of them is written to in no order.
    trace_id = (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % 2**128
    cost = Cost((CostPart(CostKind.LLM, "USD", Decimal(number % 997 + 1).scaleb(-4)),), CostSource.REPORTED)
    usage = Usage(1000 + number % 500, 100 + number % 50, model_calls=3, tool_calls=1)
    agent, key = f"agent-{number % _AGENTS}", f"ticket-{number}"
    run = Run(
        trace_id,
        number + 1,
        1,
        _START_NS + number * 10**6,
        agent,
        None,
        None,
        "chat",
        key,
        0.5 + number % 7,
        usage,
        cost,
    )
    stated = Outcome.success() if number % 3 == 0 else Outcome.success(success=number % 2 == 0, label="closed")
    return Acceptance(run, stated, record(run, stated), resource=_RESOURCE)


def _group(connection: sqlite3.Connection, time_ns: int) -> GroupRows:
    runs = connection.execute("SELECT * FROM runs WHERE accepted_ns = ?", (time_ns,)).fetchall()
    first, last = runs[0][0], runs[-1][0]
    inserted = [runs]
    for table, column in (("pending_runs", "run"), ("revisions", "run"), ("deliveries", "run")):
        query = f"SELECT * FROM {table} WHERE {column} BETWEEN ? AND ?"
        inserted.append(connection.execute(query, (first, last)).fetchall())
    totals: Counter[int] = Counter()
    durations: Counter[int] = Counter()
    runs_of: Counter[int] = Counter()
    for posted in inserted[2]:
        of_totals, of_durations = json.loads(posted[_POSTED])
        for row, amount in of_totals:
            totals[row] += units_of(Decimal(amount))
        for row, seconds in of_durations:
            durations[row] += units_of(Decimal(seconds))
            runs_of[row] += 1
    return GroupRows(
        tuple(inserted),
        [(*Parts.of_units(units), row) for row, units in sorted(totals.items())],
        [(*Parts.of_units(units), row, runs_of[row]) for row, units in sorted(durations.items())],
    )


def groups_of(accepted: Sequence[Acceptance]) -> list[Sequence[Acceptance]]:
    """In groups, as a writer commits them."""
    return [accepted[start : start + GROUP] for start in range(0, len(accepted), GROUP)]
