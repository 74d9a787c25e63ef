# SPDX-License-Identifier: Apache-2.0
"""Seals over history, and `verify`, which recomputes everything and names the first thing that does not fit.

A digest is no signature: who can write to the database can compute them all anew. A seal that was noted somewhere else
shows that, too, as every later seal depends on it. Not covered are what was posted by a revision that is pruned, when a
row was written, events that wait, reports that are held, and whether later seals were taken away.
"""

from __future__ import annotations

import time
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, insert, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.digests import seal_digest
from agent_outcomes.ledger.checking import PROGRESS_ROWS, Difference, DiffersError, Ledgered, check_run, differ
from agent_outcomes.ledger.ids import outcome_id_of, reserve
from agent_outcomes.semconv import HEALTH_COUNTERS, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Row, Select

    from agent_outcomes.ledger.book.content import Content
    from agent_outcomes.ledger.store import Store

    Progress = Callable[[int, int], object]
    """Told how many revisions of how many have been looked at."""

SEAL_EVERY_S: Final = 3600.0
_NS: Final = 1_000_000_000
_HEALTH: Final = frozenset(instrument.name for instrument in HEALTH_COUNTERS)
_REVISIONS: Final = schema.revisions.c
_SEALS: Final = schema.seals.c


class Seal(NamedTuple):
    """A seal over the revisions of the rows from `first_revision` to `last_revision`."""

    first_revision: int
    last_revision: int
    revisions: int
    digest: bytes
    sealed_ns: int


class Verification(NamedTuple):
    """What was checked, and the first difference that was found, if any.

    Of `pruned` revisions and pauses the contents are gone that said what they have posted: that is taken as it stands.
    """

    runs: int
    revisions: int
    seals: int
    totals: int
    pruned: int
    difference: Difference | None


def seal(store: Store, *, now_ns: int | None = None, every_s: float = 0.0) -> Seal | None:
    """Seal all revisions since the last seal; `None` if there are none, or the last is younger than `every_s`.

    Nobody else writes meanwhile. Raises `LedgerError` or `LedgerUnavailable`.
    """
    sealed_ns = time.time_ns() if now_ns is None else now_ns
    since_ns = sealed_ns - round(every_s * _NS)
    if every_s:
        with store.database.reading() as connection:
            last = _last_seal(connection)
            if last is not None and last.sealed_ns > since_ns:
                return None
    return store.database.write(lambda connection: _seal(connection, sealed_ns, since_ns, every_s), alone=True)


def verify(store: Store, *, progress: Progress | None = None) -> Verification:
    """Recompute all digests, seals and totals, as of one moment. Raises `LedgerError` where it cannot be read.

    `agent_outcomes.processor.*` is not of revisions, and is left out.
    """
    checked = _Checked()
    with store.database.reading() as connection:
        try:
            _check_file(connection)
            checked.totals = _check_history(connection, checked, progress)
            checked.check_listing()
            _check_seals(connection, checked)
        except DiffersError as found:
            return checked.verification(found.difference)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            return checked.verification(checked.unreadable(error))
    return checked.verification(None)


class _Checked:
    """How far a verification has come, and the first run that the list of pending runs has wrong."""

    def __init__(self) -> None:
        self.runs = self.revisions = self.seals = self.totals = self.pruned = 0
        self.mislisted: Difference | None = None

    def note_standing(self, content: Content, *, is_listed: bool) -> None:
        """Note whether a run is listed as pending just where its standing revision states no business result."""
        if self.mislisted is None and (content.outcome.state is State.PENDING) != is_listed:
            listed = "is listed as" if is_listed else "is not listed as"
            self.mislisted = Difference(
                f"run {content.run.id}", f"it {listed} pending, and its standing revision differs"
            )

    def check_listing(self) -> None:
        """Raise `DiffersError` where the list of pending runs is wrong."""
        if self.mislisted is not None:
            raise DiffersError(self.mislisted)

    def unreadable(self, error: Exception) -> Difference:
        """The difference of a row in which a value of another kind stands than its column's."""
        where = f"a row after {self.revisions} revisions and {self.seals} seals that fit"
        return Difference(where, f"it cannot be read ({type(error).__name__})")

    def verification(self, difference: Difference | None) -> Verification:
        return Verification(self.runs, self.revisions, self.seals, self.totals, self.pruned, difference)


def _seal(connection: Connection, sealed_ns: int, since_ns: int, every_s: float) -> Seal | None:
    last = _last_seal(connection)
    if every_s and last is not None and last.sealed_ns > since_ns:
        return None
    after, previous = (0, None) if last is None else (last.last_revision, last.digest)
    found: list[int] = []
    digest = seal_digest(previous, _digests(connection, _since(after), found))
    if not found:
        return None
    (row,) = reserve(connection, schema.seals, 1)
    made = Seal(after + 1, found[-1], len(found), digest, sealed_ns)
    connection.execute(insert(schema.seals).values(id=row, **made._asdict()))
    return made


def _last_seal(connection: Connection) -> Seal | None:
    row = connection.execute(select(schema.seals).order_by(_SEALS.id.desc()).limit(1)).one_or_none()
    return None if row is None else _read_seal(row)


def _read_seal(row: Row[Any]) -> Seal:
    return Seal(row.first_revision, row.last_revision, row.revisions, bytes(row.digest), row.sealed_ns)


def _since(after: int, until: int | None = None) -> Select[*tuple[Any, ...]]:
    query = select(_REVISIONS.id, _REVISIONS.digest).where(_REVISIONS.id > after).order_by(_REVISIONS.id)
    return query if until is None else query.where(_REVISIONS.id <= until)


def _digests(connection: Connection, query: Select[*tuple[Any, ...]], found: list[int]) -> Iterator[bytes]:
    for row in _streamed(connection, query):
        found.append(row.id)
        yield bytes(row.digest)


def _streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Row[Any]]:
    # Closed also where a difference ends it early: PostgreSQL's driver complains of a cursor that is left open.
    with connection.execute(query, execution_options={"yield_per": PROGRESS_ROWS}) as rows:
        yield from rows


def _check_file(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        told = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if told != "ok":
            differ("the database file", f"SQLite finds it damaged: {told}; restore it from a backup")


def _check_history(connection: Connection, checked: _Checked, progress: Progress | None) -> int:
    """Every run's revisions in their order, pauses, and then the sums of what all of them have posted."""
    ledgered = Ledgered(connection)
    _check_revisions(connection, checked, ledgered, progress)
    pauses, resources = schema.pauses, schema.resources.c
    whose = select(pauses, resources.identity).join_from(
        pauses, schema.resources, pauses.c.resource == resources.id, isouter=True
    )
    for row in _streamed(connection, whose.order_by(pauses.c.id)):
        content = ledgered.check(row, f"the pause of {outcome_id_of(row.trace_id, row.span_id)}", None)
        checked.pruned += int(content is None)
    ledgered.check_sums(_HEALTH)
    return len(ledgered.totals)


def _check_revisions(connection: Connection, checked: _Checked, ledgered: Ledgered, progress: Progress | None) -> None:
    runs, pending = schema.runs.c, schema.pending_runs.c
    of_run = (runs.trace_id, runs.span_id, runs.run_id, runs.agent_name, runs.status, runs.end_ns)
    query = (
        select(schema.revisions, *of_run, pending.run.label("listed"), schema.resources.c.identity)
        .join_from(schema.revisions, schema.runs, _REVISIONS.run == runs.id, isouter=True)
        .join(schema.resources, schema.resources.c.id == runs.resource, isouter=True)
        .join(schema.pending_runs, pending.run == _REVISIONS.run, isouter=True)
        .order_by(_REVISIONS.run, _REVISIONS.revision)
    )
    count = connection.execute(select(func.count()).select_from(schema.revisions)).scalar_one()
    for _, rows in groupby(_streamed(connection, query), attrgetter("run")):
        for _ in _checked_revisions(rows, checked, ledgered):
            checked.revisions += 1
            if progress is not None and checked.revisions % PROGRESS_ROWS == 0:
                progress(checked.revisions, count)
    _check_runs(connection)
    _check_deliveries(connection)
    if progress is not None:
        progress(checked.revisions, count)


def _checked_revisions(rows: Iterator[Row[Any]], checked: _Checked, ledgered: Ledgered) -> Iterator[None]:
    """Check one run's revisions; comes back after each."""
    number, digest, content, listed = -1, None, None, None
    for row in rows:
        if row.trace_id is None:
            differ(f"revision row {row.id}", "its run is gone")
        where = f"revision {row.revision} of run {outcome_id_of(row.trace_id, row.span_id)}"
        checked.runs += int(number < 0)
        # What a run's own process tells may come late: then what stands is bridged to it.
        if row.revision != number + 1 and not (row.told and row.revision > number):
            differ(where, f"revision {number + 1} is gone")
        content = ledgered.check(row, where, digest, told=row.told)
        checked.pruned += int(content is None)
        if content is not None:
            check_run(row, where, content)
        number, digest, listed = row.revision, bytes(row.digest), row.listed
        yield
    if content is not None:
        checked.note_standing(content, is_listed=listed is not None)


def _check_runs(connection: Connection) -> None:
    runs = schema.runs.c
    query = (
        select(runs.trace_id, runs.span_id)
        .where(~select(_REVISIONS.id).where(_REVISIONS.run == runs.id).exists())
        .order_by(runs.id)
        .limit(1)
    )
    bare = connection.execute(query).one_or_none()
    if bare is not None:
        differ(f"run {outcome_id_of(bare.trace_id, bare.span_id)}", "its revisions are gone")


def _check_deliveries(connection: Connection) -> None:
    """That every revision has its event, but those that were told; those of what was pruned are gone with it."""
    runs, deliveries = schema.runs.c, schema.deliveries.c
    query = (
        select(_REVISIONS.revision, runs.trace_id, runs.span_id)
        .join_from(schema.revisions, schema.runs, _REVISIONS.run == runs.id)
        .where(
            _REVISIONS.content.is_not(None),
            ~_REVISIONS.told,
            ~select(deliveries.id)
            .where(deliveries.run == _REVISIONS.run, deliveries.revision == _REVISIONS.revision, deliveries.event == 0)
            .exists(),
        )
        .order_by(_REVISIONS.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        run = outcome_id_of(row.trace_id, row.span_id)
        differ(f"revision {row.revision} of run {run}", "its event is gone, delivered or not")


def _check_seals(connection: Connection, checked: _Checked) -> None:
    previous: Seal | None = None
    for number, row in enumerate(connection.execute(select(schema.seals).order_by(_SEALS.id)), 1):
        made = _read_seal(row)
        where = f"seal {number}"
        after = 0 if previous is None else previous.last_revision
        if made.first_revision != after + 1:
            differ(where, "it does not go on where the one before ends; a seal is gone or was changed")
        found: list[int] = []
        query = _since(after, made.last_revision)
        digest = seal_digest(None if previous is None else previous.digest, _digests(connection, query, found))
        if len(found) != made.revisions:
            differ(where, f"it is over {made.revisions} revisions, and there are {len(found)}")
        if digest != made.digest:
            differ(where, "revisions that it is over, or the seal before it, are not what it says")
        previous = made
        checked.seals += 1
