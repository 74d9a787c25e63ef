# SPDX-License-Identifier: Apache-2.0
"""Accepting runs that have ended: each once, however often it is handed in, and all of a group or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.revisions import first_revision
from agent_outcomes.ledger.ids import reserve, run_key, storable, storable_ns
from agent_outcomes.ledger.posting import PostingSums
from agent_outcomes.ledger.recording import Entry, payloads_of
from agent_outcomes.ledger.statements import insertion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Dialect, Table

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.revisions import NewRevision
    from agent_outcomes.ledger.recording import Recording

RunKey = tuple[bytes, bytes]


class EndedRun(NamedTuple):
    """A run to accept, with all that can be made of it before the transaction."""

    acceptance: Acceptance
    first: NewRevision
    payloads: Sequence[bytes]


class Arrived(NamedTuple):
    """A run that a transaction has accepted: its row, and what a report of it has to find."""

    row: int
    ended: EndedRun


def prepared(acceptances: Iterable[Acceptance], now_ns: int) -> dict[RunKey, EndedRun]:
    """What the acceptances amount to, each run once, in the order of their ids."""
    made: dict[RunKey, EndedRun] = {}
    for acceptance in acceptances:
        key = run_key(acceptance.run)
        if key not in made:
            first = first_revision(acceptance)
            own = () if acceptance.paused else (first.record.event,)
            made[key] = EndedRun(acceptance, first, payloads_of((*own, *acceptance.further_events), now_ns))
    # So that no two transactions that accept the same runs wait for each other.
    return dict(sorted(made.items()))


class Accepting:
    """The statements that accept runs."""

    def __init__(self, recording: Recording, dialect: Dialect) -> None:
        self._recording = recording
        self._mark = "%s" if dialect.paramstyle == "format" else "?"
        self._runs = insertion(schema.runs, dialect)
        self._pauses = insertion(schema.pauses, dialect)

    def accept(self, connection: Connection, ended: dict[RunKey, EndedRun], now_ns: int) -> list[Arrived]:
        """Write what is not there yet; the runs that were not."""
        pauses = {key: each for key, each in ended.items() if each.acceptance.paused}
        if pauses:
            self._write_pauses(connection, self._new(connection, schema.pauses, pauses), now_ns)
        runs = {key: each for key, each in ended.items() if not each.acceptance.paused}
        return self._write_runs(connection, self._new(connection, schema.runs, runs), now_ns)

    def _new(self, connection: Connection, table: Table, ended: dict[RunKey, EndedRun]) -> dict[RunKey, EndedRun]:
        if not ended:
            return ended
        marks = ", ".join([f"({self._mark}, {self._mark})"] * len(ended))
        # Both names are ours.
        sql = f"SELECT trace_id, span_id FROM {table.name} WHERE (trace_id, span_id) IN (VALUES {marks})"  # noqa: S608
        values = tuple(value for key in ended for value in key)
        there = {(bytes(trace_id), bytes(span_id)) for trace_id, span_id in connection.exec_driver_sql(sql, values)}
        return {key: each for key, each in ended.items() if key not in there} if there else ended

    def _write_runs(self, connection: Connection, ended: dict[RunKey, EndedRun], now_ns: int) -> list[Arrived]:
        if not ended:
            return []
        recording = self._recording
        arrived = []
        entries = []
        rows: list[tuple[Any, ...]] = []
        ids = reserve(connection, schema.runs, len(ended))
        for row, (key, each) in zip(ids, ended.items(), strict=True):
            run, outcome, end_ns = each.first.run, each.first.outcome, storable_ns(each.first.run.end_ns)
            of = recording.resources.rows_of(connection, each.acceptance.resource)
            names = storable(run.run_id), storable(run.agent_name)
            rows.append((row, *key, *names, outcome.status.value, end_ns, of.resource, now_ns))
            entries.append(Entry(row, end_ns, of, each.first, end_ns, each.payloads))
            arrived.append(Arrived(row, each))
        self._runs.run(connection, rows)
        recording.write(connection, entries, now_ns)
        return arrived

    def _write_pauses(self, connection: Connection, ended: dict[RunKey, EndedRun], now_ns: int) -> None:
        if not ended:
            return
        recording = self._recording
        posting = PostingSums(recording.poster, connection, now_ns)
        rows: list[tuple[Any, ...]] = []
        events: list[tuple[None, None, int, int, bytes]] = []
        ids = reserve(connection, schema.pauses, len(ended))
        for row, (key, each) in zip(ids, ended.items(), strict=True):
            first = each.first
            of = recording.resources.rows_of(connection, each.acceptance.resource)
            posted = posting.add(of.identity, first.record, first.run)
            name, end_ns = storable(first.run.agent_name), storable_ns(first.run.end_ns)
            rows.append((row, *key, name, of.resource, end_ns, now_ns, first.content, first.digest, posted))
            events += [(None, None, number, of.resource, payload) for number, payload in enumerate(each.payloads)]
        self._pauses.run(connection, rows)
        recording.deliver(connection, events, now_ns)
        posting.write()
