# SPDX-License-Identifier: Apache-2.0
"""Accepting runs that have ended: each once, however often it is handed in, and all of a group or none."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.revisions import first_revision
from agent_outcomes.ledger.ids import reserve, run_key, storable, storable_ns
from agent_outcomes.ledger.posting import PostingSums, amounts_of, duration_of
from agent_outcomes.ledger.recording import Entry, payloads_of
from agent_outcomes.ledger.statements import insertion_of_new

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Table

    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.book.revisions import NewRevision
    from agent_outcomes.ledger.posting import Amount
    from agent_outcomes.ledger.recording import Recording
    from agent_outcomes.ledger.statements import Prepared

RunKey = tuple[bytes, bytes]

LOOKED_FOR_MAX: Final = 1000
"""Runs in one statement, which takes no more than 32,766 parameters."""


class EndedRun(NamedTuple):
    """A run to accept, with all that can be made of it before the transaction.

    `facts` are run id, agent name, status and end as the columns have them.
    """

    acceptance: Acceptance
    first: NewRevision
    facts: tuple[str | None, str | None, str, int]
    totals: Sequence[Amount]
    duration: Amount | None
    payloads: Sequence[bytes]


class Arrived(NamedTuple):
    """A run that a transaction has accepted: its row, and what a report of it has to find."""

    row: int
    ended: EndedRun


class Written(NamedTuple):
    """What a transaction has accepted: the runs, and those that wait for a human, by their keys."""

    runs: Sequence[Arrived]
    pauses: Mapping[RunKey, EndedRun]

    def keys(self) -> set[RunKey]:
        """All of it."""
        return {run_key(each.ended.first.run) for each in self.runs}.union(self.pauses)


def prepared(acceptances: Iterable[Acceptance], now_ns: int) -> dict[RunKey, EndedRun]:
    """What the acceptances amount to, each run once, in the order of their ids.

    Of several of one run those that were told come before others, and among them the earliest revision.
    """
    first: dict[RunKey, Acceptance] = {}
    for acceptance in acceptances:
        key = run_key(acceptance.run)
        other = first.setdefault(key, acceptance)
        if other is not acceptance and _comes_before(acceptance, other):
            first[key] = acceptance
    # So that no two transactions that accept the same runs wait for each other.
    return {key: _ended(acceptance, now_ns) for key, acceptance in sorted(first.items(), key=itemgetter(0))}


def _comes_before(one: Acceptance, other: Acceptance) -> bool:
    return (not one.told, one.revision) < (not other.told, other.revision)


def _ended(acceptance: Acceptance, now_ns: int) -> EndedRun:
    first = first_revision(acceptance)
    run, record = first.run, first.record
    events = () if acceptance.told else acceptance.further_events
    own = () if acceptance.paused or acceptance.told else (record.event,)
    names = storable(run.run_id), storable(run.agent_name)
    return EndedRun(
        acceptance,
        first,
        (*names, first.outcome.status.value, storable_ns(run.end_ns)),
        amounts_of(record.postings),
        duration_of(record, run),
        payloads_of((*own, *events), now_ns),
    )


class SomeAreThereError(Exception):
    """Of the runs that were taken to be new some were not."""


class Accepting:
    """The statements that accept runs."""

    def __init__(self, recording: Recording, dialect: Dialect) -> None:
        self._recording = recording
        self._mark = "%s" if dialect.paramstyle == "format" else "?"
        self._runs = insertion_of_new(schema.runs, dialect)
        self._pauses = insertion_of_new(schema.pauses, dialect)

    def accept(self, connection: Connection, ended: dict[RunKey, EndedRun], now_ns: int, *, all_new: bool) -> Written:
        """Write what is not there yet, and say what was not.

        Looking first costs a fifth of the whole, so that with `all_new` it is left out, and `SomeAreThereError` raised
        if any was: then nothing must be committed.
        """
        pauses = {key: each for key, each in ended.items() if each.acceptance.paused}
        runs = {key: each for key, each in ended.items() if not each.acceptance.paused} if pauses else ended
        if not all_new:
            pauses = self._new(connection, schema.pauses, pauses)
            runs = self._new(connection, schema.runs, runs)
        self._write_pauses(connection, pauses, now_ns)
        return Written(self._write_runs(connection, runs, now_ns), pauses)

    def untold(self, connection: Connection, keys: Collection[RunKey]) -> set[RunKey]:
        """Those of these runs that were not told of first, but are delivered from here."""
        runs, revisions = schema.runs.c, schema.revisions.c
        all_of_run = schema.revisions.alias().c
        first = select(func.min(all_of_run.revision)).where(all_of_run.run == runs.id).scalar_subquery()
        query = select(runs.trace_id, runs.span_id).join_from(schema.runs, schema.revisions, revisions.run == runs.id)
        query = query.where(revisions.revision == first, ~revisions.told)
        ordered = sorted(keys)
        found: set[RunKey] = set()
        for start in range(0, len(ordered), LOOKED_FOR_MAX):
            traces = {trace_id for trace_id, _ in ordered[start : start + LOOKED_FOR_MAX]}
            rows = connection.execute(query.where(runs.trace_id.in_(traces)))
            found |= {(bytes(trace_id), bytes(span_id)) for trace_id, span_id in rows}
        return found.intersection(keys)

    def _new(self, connection: Connection, table: Table, ended: dict[RunKey, EndedRun]) -> dict[RunKey, EndedRun]:
        keys = list(ended)
        there: set[RunKey] = set()
        for start in range(0, len(keys), LOOKED_FOR_MAX):
            there |= self._there(connection, table, keys[start : start + LOOKED_FOR_MAX])
        return {key: each for key, each in ended.items() if key not in there} if there else ended

    def _there(self, connection: Connection, table: Table, keys: Sequence[RunKey]) -> set[RunKey]:
        marks = ", ".join([f"({self._mark}, {self._mark})"] * len(keys))
        # Both names are ours.
        sql = f"SELECT trace_id, span_id FROM {table.name} WHERE (trace_id, span_id) IN (VALUES {marks})"  # noqa: S608
        values = tuple(value for key in keys for value in key)
        return {(bytes(trace_id), bytes(span_id)) for trace_id, span_id in connection.exec_driver_sql(sql, values)}

    def _write_runs(self, connection: Connection, ended: dict[RunKey, EndedRun], now_ns: int) -> list[Arrived]:
        if not ended:
            return []
        recording = self._recording
        arrived = []
        entries = []
        rows: list[tuple[Any, ...]] = []
        ids = reserve(connection, schema.runs, len(ended))
        for row, (key, each) in zip(ids, ended.items(), strict=True):
            acceptance, first, facts, totals, duration, payloads = each
            of = recording.resources.rows_of(connection, acceptance.resource)
            end_ns, reported_ns, told = facts[3], facts[3], acceptance.told
            if told:
                of = recording.resources.told(connection, of)
                reported_ns = storable_ns(acceptance.later.reported_ns) if acceptance.later else end_ns
            rows.append((row, *key, *facts, of.resource, now_ns))
            entries.append(Entry(row, end_ns, of, first, reported_ns, totals, duration, payloads, told=told))
            arrived.append(Arrived(row, each))
        _insert_all(self._runs, connection, rows)
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
            if each.acceptance.told:
                of = recording.resources.told(connection, of)
            posted = posting.add(of.identity, each.totals, each.duration)
            run_id, name, _, end_ns = each.facts
            said = first.content, first.digest, posted, run_id
            rows.append((row, *key, name, of.resource, end_ns, now_ns, *said))
            events += [(None, None, number, of.resource, payload) for number, payload in enumerate(each.payloads)]
        _insert_all(self._pauses, connection, rows)
        recording.deliver(connection, events, now_ns)
        posting.write()


def _insert_all(insertion: Prepared, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    if insertion.run(connection, rows) != len(rows):
        raise SomeAreThereError
