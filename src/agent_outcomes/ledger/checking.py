# SPDX-License-Identifier: Apache-2.0
"""Whether revisions are what their digests say and posted what they say they did, each by itself."""

from __future__ import annotations

import json
from bisect import bisect_left
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias

from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.accounting import labels_of
from agent_outcomes.ledger.amounts import Parts, units_of, units_of_seconds
from agent_outcomes.ledger.book.content import ContentError, read_content
from agent_outcomes.ledger.book.digests import revision_digest
from agent_outcomes.ledger.ids import outcome_id_of, storable, storable_ns
from agent_outcomes.ledger.posting import read_posted
from agent_outcomes.ledger.resources import identity_digest
from agent_outcomes.record.record import OTHER_TEXT
from agent_outcomes.semconv import AGENT_RUN_DURATION_METRIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Row

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.posting import Posted
    from agent_outcomes.record.record import LabelValue, PlainPosting

Names: TypeAlias = "tuple[str | None, str | None, str | None]"
"""Service name, service namespace and environment."""

PROGRESS_ROWS: Final = 500
"""After how many revisions progress is told."""


class Difference(NamedTuple):
    """The first thing that does not fit: where it is, and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        """Both in one line."""
        return f"{self.where}: {self.what}"


class DiffersError(Exception):
    """Something does not fit."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference)
        self.difference = difference


def differ(where: str, what: str) -> NoReturn:
    """Say that something does not fit, by `DiffersError`."""
    raise DiffersError(Difference(where, what))


class _Counted(NamedTuple):
    """A row that is posted to: its labels, what it has now, and of durations which bucket it is and how many runs.

    `told` ones are of what processes have emitted themselves, `owner` is the service whose runs it counts.
    """

    instrument: str
    labels: tuple[LabelValue, ...]
    units: int
    told: bool
    owner: Names
    bucket: int = -1
    runs: int = 0


class Ledgered:
    """What the tables of totals and durations hold, and what the revisions that were checked have added to them."""

    def __init__(self, connection: Connection) -> None:
        totals, durations = schema.totals, schema.durations
        duration = AGENT_RUN_DURATION_METRIC.name
        self._owners = {row.id: _owner(row) for row in connection.execute(select(schema.identities))}
        self.totals: Mapping[int, _Counted] = {
            row.id: _Counted(
                row.instrument,
                *_labels_and_units(row, f"total {row.id}"),
                *self._owner_of(row.identity, f"total {row.id}"),
            )
            for row in connection.execute(select(totals))
        }
        self.durations: Mapping[int, _Counted] = {
            row.id: _Counted(
                duration,
                *_labels_and_units(row, f"bucket {row.id} of durations"),
                *self._owner_of(row.identity, f"bucket {row.id} of durations"),
                row.bucket,
                row._mapping["count"],  # noqa: SLF001 - `count` is a method of every row
            )
            for row in connection.execute(select(durations))
        }
        self._sums: dict[int, int] = {}
        self._buckets: dict[int, tuple[int, int]] = {}

    def _owner_of(self, identity: int | None, where: str) -> tuple[bool, Names]:
        found = None if identity is None else self._owners.get(identity)
        return differ(where, "the row that says of which service it is is gone") if found is None else found

    def check(self, row: Row[Any], where: str, previous: bytes | None, *, told: bool | None = None) -> Content | None:
        """Check a revision or a pause; its content, if that was not pruned. Raises `DiffersError`.

        `previous` is the digest of the revision before, and `told` whether it must have posted to what is told. The row
        has the `identity` of its run's resource.
        """
        try:
            posted = read_posted(bytes(row.posted))
            stored = b"" if row.content is None else bytes(row.content)
            content = None if row.content is None else read_content(stored)
        except ContentError as error:
            differ(where, f"its content cannot be read: {error}")
        except (ValueError, TypeError):
            differ(where, "what it posted cannot be read")
        if content is not None:
            if revision_digest(stored, previous) != bytes(row.digest):
                differ(where, "its content, or the revision before it, is not what its digest says")
            self._check_totals(where, posted.totals, content.postings)
            self._check_duration(where, posted.durations, None if previous is not None else content.run.duration_s)
        counted = self._counted_by(posted)
        _, owner = self._owner_of(row.identity, where)
        if any(each.owner != owner for each in counted):
            differ(where, "it posted to a total of another service than its run's")
        if told is not None and any(each.told is not told for each in counted):
            whose = "this ledger delivers" if told else "its run's own process has emitted"
            differ(where, f"it posted to a total that {whose}")
        self._add(where, posted.totals, posted.durations)
        return content

    def _check_totals(
        self, where: str, posted: tuple[tuple[int, str], ...], postings: tuple[PlainPosting, ...]
    ) -> None:
        if len(posted) != len(postings):
            differ(where, f"it posted {len(posted)} amounts, and its content says {len(postings)}")
        for (row, text), (instrument, labels, amount) in zip(posted, postings, strict=True):
            counted = self.totals.get(row)
            if counted is None:
                differ(where, f"it posted {instrument.name} to a total that is gone")
            if counted.instrument != instrument.name or not _is_bound(counted.labels, labels):
                differ(where, f"it posted {instrument.name} to a total of other labels")
            if Decimal(text) != amount:
                differ(where, f"it posted {text} to {instrument.name}, and its content says {amount}")

    def _counted_by(self, posted: Posted) -> list[_Counted]:
        rows = [self.totals.get(row) for row, _ in posted.totals]
        rows += [self.durations.get(row) for row, _ in posted.durations]
        return [counted for counted in rows if counted is not None]

    def _check_duration(self, where: str, posted: tuple[tuple[int, str], ...], duration_s: float | None) -> None:
        if len(posted) > int(duration_s is not None):
            differ(where, "it posted a duration that its content does not say")
        if duration_s is None or not posted:
            return
        ((row, text),) = posted
        counted = self.durations.get(row)
        if counted is None or counted.bucket != bisect_left(AGENT_RUN_DURATION_METRIC.buckets, duration_s):
            differ(where, "it posted its duration to another bucket, or to one that is gone")
        if units_of(Decimal(text)) != units_of_seconds(duration_s):
            differ(where, f"it posted a duration of {text} s, and its content says {duration_s} s")

    def _add(self, where: str, totals: tuple[tuple[int, str], ...], durations: tuple[tuple[int, str], ...]) -> None:
        try:
            self._add_amounts(totals, durations)
        except (ValueError, ArithmeticError):
            differ(where, "what it posted is no amount")

    def _add_amounts(self, totals: tuple[tuple[int, str], ...], durations: tuple[tuple[int, str], ...]) -> None:
        for row, amount in totals:
            self._sums[row] = self._sums.get(row, 0) + units_of(Decimal(amount))
        for row, amount in durations:
            units, count = self._buckets.get(row, (0, 0))
            self._buckets[row] = units + units_of(Decimal(amount)), count + 1

    def check_sums(self, without: frozenset[str]) -> None:
        """Check that every total is the sum of what was posted, but for the instruments `without` revisions."""
        for row in sorted(self._sums.keys() | self.totals.keys()):
            counted, posted = self.totals.get(row), self._sums.get(row, 0)
            if counted is None:
                differ(f"total {row}", "it is gone, and revisions have posted to it")
            if counted.instrument not in without and counted.units != posted:
                differ(_named(counted), f"it is {_amount(counted.units)}, and {_amount(posted)} was posted")
        for row in sorted(self._buckets.keys() | self.durations.keys()):
            counted, (units, count) = self.durations.get(row), self._buckets.get(row, (0, 0))
            if counted is None:
                differ(f"bucket {row} of durations", "it is gone, and revisions have posted to it")
            if (counted.units, counted.runs) != (units, count):
                told = f"it counts {counted.runs} runs of {_amount(counted.units)} s"
                differ(_named(counted), f"{told}, and {count} of {_amount(units)} s were posted")


def check_run(row: Row[Any], where: str, content: Content) -> None:
    """Check that the row of a run, and that of a revision, say what the content says. Raises `DiffersError`."""
    run = content.run
    if run.id != outcome_id_of(row.trace_id, row.span_id):
        differ(where, f"its content is that of run {run.id}")
    change = None if content.change is None else content.change.value
    if (content.revision, change) != (row.revision, row.change) or storable_ns(
        content.reported_at_ns
    ) != row.reported_ns:
        differ(where, "its content has another number, change or time than its row")
    names = storable(run.run_id), storable(run.agent_name)
    said = (*names, content.outcome.status.value, storable_ns(run.end_ns))
    if said != (row.run_id, row.agent_name, row.status, row.end_ns):
        differ(where, "its content says another run id, agent, status or end than the row of its run")


def _is_bound(labels: tuple[LabelValue, ...], given: tuple[LabelValue, ...]) -> bool:
    """Whether these are the labels that were given, or what a limit on them left."""
    if len(labels) != len(given):
        return False
    return all(label in (value, OTHER_TEXT) for label, value in zip(labels, map(_label, given), strict=True))


def _label(value: LabelValue) -> LabelValue:
    """A label as it comes back from a row: two lone surrogates side by side are one character there."""
    return labels_of(json.dumps([value]))[0] if isinstance(value, str) and not value.isascii() else value


def _named(counted: _Counted) -> str:
    labels = ", ".join("-" if label is None else str(label) for label in counted.labels)
    bucket = "" if counted.bucket < 0 else f", bucket {counted.bucket}"
    return f"{counted.instrument} ({labels}{bucket})"


def _owner(row: Row[Any]) -> tuple[bool, Names]:
    names = (row.service_name, row.service_namespace, row.environment)
    # What a database cannot hold was escaped, and is not what was digested.
    is_plain = all(name is None or (name.isascii() and name.isprintable()) for name in names)
    if is_plain and not row.told and identity_digest(names) != bytes(row.digest):
        differ(f"identity {row.id}", "service, namespace or environment are not what its digest says")
    return row.told, names


def _labels_and_units(row: Row[Any], where: str) -> tuple[tuple[LabelValue, ...], int]:
    try:
        return labels_of(row.labels), _units(row)
    except (ValueError, TypeError, ArithmeticError):
        differ(where, "its labels or its amount cannot be read")


def _units(row: Row[Any]) -> int:
    return Parts(row.quadrillions, row.whole, row.fraction).units


def _amount(units: int) -> str:
    return str(Parts.of_units(units).amount)
