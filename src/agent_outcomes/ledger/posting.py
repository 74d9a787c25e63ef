# SPDX-License-Identifier: Apache-2.0
"""Postings into a ledger's totals and duration histograms: exact, under bounded labels, each row touched once.

Which labels there is still room for is decided by what is in the tables, so that it holds for all processes together.
What a process remembers of them is only ever what has been committed, as others would not see the rest.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, func, literal_column, select, text, update

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.amounts import FRACTION, WHOLE, Parts, units_of, units_of_seconds
from agent_outcomes.ledger.book.content import INSTRUMENTS
from agent_outcomes.ledger.errors import read_json
from agent_outcomes.ledger.ids import reserve, run_key, storable_ns
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.ledger.statements import Prepared, insertion
from agent_outcomes.record.totals import LabelLimits, Labels
from agent_outcomes.semconv import AGENT_RUN_DURATION_METRIC, Instrument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Dialect, Table
    from sqlalchemy.sql.dml import Update

    from agent_outcomes.record.record import PlainPosting, Record
    from agent_outcomes.run.model import Run


Key = tuple[str, Labels, int]
"""Instrument, labels as they were given, and bucket."""

Sampled = tuple[float, int, bytes, bytes]
"""Duration, end, trace and span id of a run whose trace was sampled."""

KNOWN_MAX: Final = 20_000
_NO_BUCKET: Final = -1
AS_GIVEN: Final = -2
"""In the place of a bucket: these labels have been bounded before, and are kept as they are."""
_LABELS_LOCK: Final = 0x6F7574636F6D67
_FRACTION: Final[ColumnElement[int]] = literal_column(str(FRACTION))
_WHOLE: Final[ColumnElement[int]] = literal_column(str(WHOLE))
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class SeriesKey(NamedTuple):
    """What one row counts: of durations a bucket of theirs."""

    identity: int
    instrument: str
    labels: str
    bucket: int = _NO_BUCKET


class _Bucket:
    """What is added to one row of durations."""

    __slots__ = ("count", "exemplar", "units")

    def __init__(self) -> None:
        self.count = 0
        self.units = 0
        self.exemplar: Sampled | None = None


class Posted(NamedTuple):
    """What a revision has added, and to which rows."""

    totals: tuple[tuple[int, str], ...]
    durations: tuple[tuple[int, str], ...]


def read_posted(posted: bytes) -> Posted:
    """What the column `posted` says: rows, and amounts as decimal text."""
    totals, durations = json.loads(posted)
    return Posted(tuple((row, amount) for row, amount in totals), tuple((row, amount) for row, amount in durations))


class Poster:
    """What this process knows of the rows that are posted to. Used by one transaction at a time."""

    def __init__(self, dialect: Dialect, texts_max: Mapping[str, int]) -> None:
        self._texts_max = texts_max
        self._is_postgresql = dialect.name == "postgresql"
        self.insert_total = insertion(schema.totals, dialect)
        self.insert_duration = insertion(schema.durations, dialect)
        self.add_to_total = Prepared(_addition(schema.totals), dialect)
        self.add_to_duration = Prepared(_duration_addition(), dialect)
        self.total_order = itemgetter(*self.add_to_total.names)
        self.duration_order = itemgetter(*self.add_to_duration.names)
        self.forget()

    def forget(self) -> None:
        """Know nothing: what was learnt may have been rolled back."""
        self.is_sure = True
        self._rows: dict[SeriesKey, int] = {}
        self._known: dict[int, dict[Key, int]] = {}
        self._limits = LabelLimits(self._texts_max)
        self._limits_of: dict[int, LabelLimits] = {}
        self._last_total = self._last_duration = 0

    def known_of(self, identity: int) -> dict[Key, int]:
        """The rows of an identity that are known; what is not there may be all the same."""
        known = self._known.get(identity)
        if known is None:
            known = self._known[identity] = {}
        return known

    def catch_up(self, connection: Connection) -> None:
        """Read what others have made since; until the transaction's end they make no more."""
        self.is_sure = False
        if self._is_postgresql:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LABELS_LOCK})"))
        self._learn(connection)

    def find(self, connection: Connection, identity: int, key: Key, instrument: Instrument, now_ns: int) -> int:
        """The row to post to, which is made if there is none, after `catch_up`."""
        name, labels, bucket = key
        limits = self._limits_for(identity)
        if bucket == AS_GIVEN:
            limits.restore(instrument, labels)
            series = SeriesKey(identity, name, _encode(labels))
        else:
            series = SeriesKey(identity, name, _encode(limits.bound(instrument, labels)), bucket)
        row = self._rows.get(series)
        if row is None:
            row = self._made(connection, series, now_ns)
        known = self.known_of(identity)
        if len(known) >= KNOWN_MAX:
            known.clear()
        known[key] = row
        return row

    def _limits_for(self, identity: int) -> LabelLimits:
        limits = self._limits_of.get(identity)
        if limits is None:
            limits = self._limits_of[identity] = self._limits.beside()
        return limits

    def _learn(self, connection: Connection) -> None:
        totals, durations = schema.totals.c, schema.durations.c
        rows = connection.execute(
            select(totals.id, totals.identity, totals.instrument, totals.labels)
            .where(totals.id > self._last_total)
            .order_by(totals.id)
        )
        for row, identity, instrument, labels in rows:
            self._learn_row(SeriesKey(identity, instrument, labels), row)
            self._last_total = row
        rows = connection.execute(
            select(durations.id, durations.identity, durations.labels, durations.bucket)
            .where(durations.id > self._last_duration)
            .order_by(durations.id)
        )
        for row, identity, labels, bucket in rows:
            self._learn_row(SeriesKey(identity, AGENT_RUN_DURATION_METRIC.name, labels, bucket), row)
            self._last_duration = row

    def _learn_row(self, series: SeriesKey, row: int) -> None:
        self._rows[series] = row
        instrument = INSTRUMENTS.get(series.instrument)
        # A newer release may count what this one does not know.
        if instrument is not None:
            self._limits_for(series.identity).restore(
                instrument, tuple(read_json(series.labels, "the column labels of a total"))
            )

    def _made(self, connection: Connection, series: SeriesKey, now_ns: int) -> int:
        table = schema.totals if series.bucket == _NO_BUCKET else schema.durations
        (row,) = reserve(connection, table, 1)
        if series.bucket == _NO_BUCKET:
            self.insert_total.run(
                connection, [(row, series.identity, series.instrument, series.labels, 0, 0, 0, now_ns)]
            )
            self._last_total = row
        else:
            values = (row, series.identity, series.labels, series.bucket, 0, 0, 0, 0, now_ns, None, None, None, None)
            self.insert_duration.run(connection, [values])
            self._last_duration = row
        self._rows[series] = row
        return row


class Amount(NamedTuple):
    """What is to be added to one row, and as `posted` keeps it; a duration of a sampled run is an exemplar, too."""

    key: Key
    instrument: Instrument
    units: int
    text: str
    exemplar: Sampled | None = None


def amounts_of(postings: Sequence[PlainPosting]) -> list[Amount]:
    """Postings as they are added. Raises `ValueError` for an amount that cannot be kept exactly."""
    return [
        Amount((instrument.name, labels, _NO_BUCKET), instrument, units_of(amount), f'"{amount}"')
        for instrument, labels, amount in postings
    ]


def duration_of(record: Record, run: Run) -> Amount | None:
    """A run's duration as it is added; `None` if it has none."""
    seconds = record.duration_s
    if seconds is None:
        return None
    instrument = AGENT_RUN_DURATION_METRIC
    key = (instrument.name, record.duration_labels, bisect_left(instrument.buckets, seconds))
    units = units_of_seconds(seconds)
    exemplar = (seconds, storable_ns(run.end_ns), *run_key(run)) if run.trace_flags & 1 else None
    return Amount(key, instrument, units, f'"{Parts.of_units(units).amount}"', exemplar)


class PostingSums:
    """What one transaction posts, added up, and written at its end in the order of the rows."""

    def __init__(self, poster: Poster, connection: Connection, now_ns: int) -> None:
        self._poster = poster
        self._connection = connection
        self._now_ns = now_ns
        self._is_current = False
        self._sums: dict[int, int] = {}
        self._buckets: dict[int, _Bucket] = {}

    def add(self, identity: int, totals: Sequence[Amount], duration: Amount | None) -> bytes:
        """Post what a revision comes to; what the column `posted` keeps of it."""
        posted = ",".join(self.add_totals(identity, totals))
        timed = "" if duration is None else self._add_duration(identity, duration)
        return f"[[{posted}],[{timed}]]".encode("ascii")

    def add_totals(self, identity: int, amounts: Sequence[Amount]) -> list[str]:
        """Post amounts; each with the row that it went to, as JSON."""
        sums, known, posted = self._sums, self._poster.known_of(identity), []
        for amount in amounts:
            row = known.get(amount.key)
            if row is None:
                row = self._find(identity, amount)
            sums[row] = sums.get(row, 0) + amount.units
            posted.append(f"[{row},{amount.text}]")
        return posted

    def _find(self, identity: int, amount: Amount) -> int:
        if not self._is_current:
            self._poster.catch_up(self._connection)
            self._is_current = True
        return self._poster.find(self._connection, identity, amount.key, amount.instrument, self._now_ns)

    def _add_duration(self, identity: int, amount: Amount) -> str:
        row = self._poster.known_of(identity).get(amount.key)
        if row is None:
            row = self._find(identity, amount)
        bucket = self._buckets.get(row)
        if bucket is None:
            bucket = self._buckets[row] = _Bucket()
        bucket.count += 1
        bucket.units += amount.units
        if amount.exemplar is not None:
            bucket.exemplar = amount.exemplar
        return f"[{row},{amount.text}]"

    def write(self) -> None:
        """Add to the rows, in their order, so that no two transactions wait for each other."""
        poster = self._poster
        rows = [poster.total_order(_part_values(row, units)) for row, units in sorted(self._sums.items())]
        self._add_to(poster.add_to_total, rows)
        rows = [poster.duration_order(_bucket_values(row, bucket)) for row, bucket in sorted(self._buckets.items())]
        self._add_to(poster.add_to_duration, rows)

    def _add_to(self, addition: Prepared, rows: list[tuple[object, ...]]) -> None:
        if rows and addition.run(self._connection, rows) != len(rows):
            message = "a row of the ledger's totals is gone; look for the first difference with ledger verify"
            raise LedgerError(message)


def _part_values(row: int, units: int) -> dict[str, object]:
    parts = Parts.of_units(units)
    return {"row": row, "by_quadrillions": parts.quadrillions, "by_whole": parts.whole, "by_fraction": parts.fraction}


def _bucket_values(row: int, bucket: _Bucket) -> dict[str, object]:
    value, time_ns, trace_id, span_id = bucket.exemplar or (None, None, None, None)
    return {
        **_part_values(row, bucket.units),
        "by_count": bucket.count,
        "new_exemplar": value,
        "new_exemplar_ns": time_ns,
        "new_exemplar_trace_id": trace_id,
        "new_exemplar_span_id": span_id,
    }


def _addition(table: Table) -> Update:
    """Add an amount to a row, with what is carried over from one column to the next."""
    columns, kind = table.c, schema.totals.c.whole.type
    fraction: ColumnElement[int] = columns.fraction + bindparam("by_fraction", type_=kind)
    whole: ColumnElement[int] = columns.whole + bindparam("by_whole", type_=kind) + _div(fraction, _FRACTION)
    quadrillions = columns.quadrillions + bindparam("by_quadrillions", type_=kind) + _div(whole, _WHOLE)
    return (
        update(table)
        .where(columns.id == bindparam("row"))
        .values({"fraction": fraction % _FRACTION, "whole": whole % _WHOLE, "quadrillions": quadrillions})
    )


def _duration_addition() -> Update:
    columns = schema.durations.c
    kept = {
        name: func.coalesce(bindparam(f"new_{name}", type_=columns[name].type), columns[name])
        for name in ("exemplar", "exemplar_ns", "exemplar_trace_id", "exemplar_span_id")
    }
    return _addition(schema.durations).values({"count": columns["count"] + bindparam("by_count"), **kept})


def _div(dividend: ColumnElement[int], divisor: ColumnElement[int]) -> ColumnElement[int]:
    return dividend.op("/", precedence=8)(divisor)  # whole numbers: both databases leave the rest off
