# SPDX-License-Identifier: Apache-2.0
"""Reading runs, their revisions and held reports, for people and programs: each reading as of one moment."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.content import field_in_content, read_content
from agent_outcomes.ledger.book.reports import ANYBODY
from agent_outcomes.ledger.errors import read_word
from agent_outcomes.ledger.finding import find_meant_run, where_of
from agent_outcomes.ledger.ids import outcome_id_of, storable
from agent_outcomes.ledger.resources import resource_in
from agent_outcomes.ledger.rows import (
    DeliveryRow,
    DeliveryState,
    HeldRow,
    HeldState,
    KnownRun,
    PauseRow,
    RevisionRow,
    RunHistory,
    RunPage,
    RunRow,
)
from agent_outcomes.semconv import Change, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Row, Select
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

    from agent_outcomes.ledger.book.reports import RunReference
    from agent_outcomes.ledger.rows import Place, RunFilter

PAGE_ROWS: Final = 500
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000
LOOKED_MAX: Final = 20_000
"""How many runs are looked at for one page."""
_RUNS: Final = schema.runs.c
_REVISIONS: Final = schema.revisions.c
_PENDING: Final = schema.pending_runs.c
_PAUSES: Final = schema.pauses.c


def list_runs(connection: Connection, wanted: RunFilter) -> Iterator[RunRow]:
    """The runs that are wanted with what stands of them, in the order that is wanted."""
    size = PAGE_ROWS if wanted.limit is None else wanted.limit
    found = chain.from_iterable(rows for rows, _ in _pages(connection, wanted, size))
    yield from found if wanted.limit is None else islice(found, wanted.limit)


def run_page(connection: Connection, wanted: RunFilter) -> RunPage:
    """As many of them as are wanted, of the first ones that a bounded search comes upon."""
    limit = PAGE_DEFAULT if wanted.limit is None else max(1, min(wanted.limit, PAGE_MAX))
    found: list[RunRow] = []
    looked = 0
    # One more, to see whether there are any.
    for rows, last in _pages(connection, wanted, limit + 1):
        found += rows
        looked += PAGE_ROWS
        if len(found) > limit:
            return RunPage(tuple(found[:limit]), found[limit - 1].place)
        if looked >= LOOKED_MAX:
            return RunPage(tuple(found), last)
    return RunPage(tuple(found), None)


def _pages(connection: Connection, wanted: RunFilter, size: int) -> Iterator[tuple[list[RunRow], Place]]:
    """The runs that are wanted, and after how far a look; `size` at a time where every one that is looked at is."""
    needles = _needles(wanted)
    size = PAGE_ROWS if needles else max(1, min(size, PAGE_ROWS))
    after = wanted.before
    while True:
        page = connection.execute(_runs_query(wanted, after).limit(size)).all()
        if not page:
            return
        standing = _standing(connection, [row.id for row in page], needles)
        after = page[-1].end_ns, page[-1].id
        yield [_run_row(row, standing[row.id]) for row in page if row.id in standing], after
        if len(page) < size:
            return


def _needles(wanted: RunFilter) -> list[bytes]:
    """What the stored content of a run's standing revision has in it if it is wanted."""
    fields = {"job_type": wanted.job_type, "type": wanted.type, "label": wanted.label}
    return [field_in_content(name, text) for name, text in fields.items() if text is not None]


def run_history(connection: Connection, reference: RunReference) -> RunHistory | None:
    """All about the run that is meant; `None` if there is none. Raises `ReportRefused` where several match."""
    found = find_meant_run(connection, reference, ANYBODY, lock=False)
    if found is None:
        return None
    row = connection.execute(_selected_runs().where(_RUNS.id == found.row)).one()
    revisions = connection.execute(_revisions_query().where(_REVISIONS.run == found.row).order_by(_REVISIONS.revision))
    listed = tuple(map(_revision_row, revisions))
    deliveries, held = schema.deliveries, schema.held_reports
    events = connection.execute(select(deliveries).where(deliveries.c.run == found.row).order_by(deliveries.c.id))
    reports = connection.execute(_held_query().where(held.c.run == found.row).order_by(held.c.id))
    return RunHistory(
        _run_row(row, listed[-1]),
        resource_in(connection, found.rows.resource),
        listed,
        tuple(map(_delivery_row, events)),
        tuple(map(_held_row, reports)),
    )


def matching_runs(connection: Connection, reference: RunReference, limit: int) -> list[RunRow]:
    """The runs that a reference names, the last that ended first."""
    where = where_of(reference)
    if where is None:
        return []
    query = _selected_runs().where(where).order_by(_RUNS.end_ns.desc(), _RUNS.id.desc()).limit(limit)
    page = connection.execute(query).all()
    standing = _standing(connection, [row.id for row in page])
    return [_run_row(row, standing[row.id]) for row in page]


def list_revisions(
    connection: Connection, since_ns: int | None, until_ns: int | None, after_id: int
) -> Iterator[RevisionRow]:
    """All revisions written from `since_ns` on and before `until_ns`, in the order of writing."""
    rows = _written(connection, _revisions_query(), _REVISIONS, since_ns, until_ns, after_id)
    return map(_revision_row, rows)


def list_pauses(
    connection: Connection, since_ns: int | None, until_ns: int | None, after_id: int
) -> Iterator[PauseRow]:
    """The same of runs that have stopped to wait for a human."""
    return map(_pause_row, _written(connection, select(schema.pauses), _PAUSES, since_ns, until_ns, after_id))


def _written(  # noqa: PLR0917 - what both are asked for
    connection: Connection,
    every: Select[Any],
    columns: ReadOnlyColumnCollection[str, Column[Any]],
    since_ns: int | None,
    until_ns: int | None,
    after_id: int,
) -> Iterator[Row[Any]]:
    if since_ns is not None:
        every = every.where(columns.recorded_ns >= since_ns)
    if until_ns is not None:
        every = every.where(columns.recorded_ns < until_ns)
    while True:
        page = connection.execute(every.where(columns.id > after_id).order_by(columns.id).limit(PAGE_ROWS)).all()
        yield from page
        if len(page) < PAGE_ROWS:
            return
        after_id = page[-1].id


def list_held(connection: Connection, now_ns: int, *, orphans: bool) -> list[HeldRow]:
    """The reports whose run has not arrived: those that still wait for it, or those that waited in vain."""
    held = schema.held_reports.c
    refused = held.state == HeldState.REFUSED.value
    waiting = held.state == HeldState.HELD.value
    which = or_(waiting & (held.expires_ns <= now_ns), refused) if orphans else waiting & (held.expires_ns > now_ns)
    return list(map(_held_row, connection.execute(_held_query().where(which).order_by(held.id))))


def _selected_runs() -> Select[Any]:
    return select(schema.runs, _PENDING.run.label("pending")).join_from(
        schema.runs, schema.pending_runs, _PENDING.run == _RUNS.id, isouter=True
    )


def _runs_query(wanted: RunFilter, after: tuple[int, int] | None) -> Select[Any]:
    if wanted.state is State.PENDING:
        # From the few that are pending to their runs, and not the other way round.
        ended, row = _PENDING.end_ns, _PENDING.run
        query = select(schema.runs, row.label("pending")).join_from(schema.pending_runs, schema.runs, row == _RUNS.id)
    else:
        ended, row = _RUNS.end_ns, _RUNS.id
        query = _selected_runs()
        if wanted.state is State.REPORTED:
            query = query.where(_PENDING.run.is_(None))
    if wanted.agent is not None:
        query = query.where(_RUNS.agent_name == storable(wanted.agent))
    if wanted.agents is not None:
        query = query.where(_RUNS.agent_name.in_(sorted(filter(None, map(storable, wanted.agents)))))
    if wanted.status is not None:
        query = query.where(_RUNS.status == wanted.status.value)
    if wanted.since_ns is not None:
        query = query.where(ended >= wanted.since_ns)
    if wanted.until_ns is not None:
        query = query.where(ended < wanted.until_ns)
    return _in_order(query, wanted, after, ended, row)


def _in_order(
    query: Select[Any], wanted: RunFilter, after: Place | None, ended: ColumnElement[int], row: ColumnElement[int]
) -> Select[Any]:
    """What comes after that place, in the order that is wanted."""
    if after is not None:
        end_ns, number = after
        # The first says where in the index to begin.
        if wanted.oldest_first:
            query = query.where(ended >= end_ns, or_(ended > end_ns, row > number))
        else:
            query = query.where(ended <= end_ns, or_(ended < end_ns, row < number))
    return query.order_by(ended, row) if wanted.oldest_first else query.order_by(ended.desc(), row.desc())


def _standing(connection: Connection, runs: list[int], needles: Sequence[bytes] = ()) -> dict[int, RevisionRow]:
    """The standing revisions of these runs, of those whose content has all of that in it."""
    last = (
        select(_REVISIONS.run, func.max(_REVISIONS.revision).label("revision"))
        .where(_REVISIONS.run.in_(runs))
        .group_by(_REVISIONS.run)
        .subquery()
    )
    query = _revisions_query(_REVISIONS.run.label("of")).join(
        last, (last.c.run == _REVISIONS.run) & (last.c.revision == _REVISIONS.revision)
    )
    rows = connection.execute(query)
    return {row.of: _revision_row(row) for row in rows if not needles or _has_all(row.content, needles)}


def _has_all(content: bytes | None, needles: Sequence[bytes]) -> bool:
    return content is not None and all(needle in bytes(content) for needle in needles)


def _revisions_query(*further: ColumnElement[Any]) -> Select[Any]:
    known = (_RUNS.run_id, _RUNS.agent_name, _RUNS.status, _RUNS.end_ns)
    return select(schema.revisions, _RUNS.trace_id, _RUNS.span_id, *known, *further).join_from(
        schema.revisions, schema.runs, _REVISIONS.run == _RUNS.id
    )


def _held_query() -> Select[Any]:
    held = schema.held_reports
    return select(held, _RUNS.trace_id, _RUNS.span_id).join_from(
        held, schema.runs, held.c.run == _RUNS.id, isouter=True
    )


def _run_row(row: Row[Any], standing: RevisionRow) -> RunRow:
    return RunRow(
        outcome_id_of(row.trace_id, row.span_id),
        row.run_id,
        row.agent_name,
        row.status,
        State.REPORTED if row.pending is None else State.PENDING,
        row.end_ns,
        row.accepted_ns,
        standing,
        row.id,
    )


def _revision_row(row: Row[Any]) -> RevisionRow:
    encoded = None if row.content is None else bytes(row.content)
    return RevisionRow(
        row.id,
        outcome_id_of(row.trace_id, row.span_id),
        row.revision,
        None if row.change is None else read_word(Change, row.change, "revisions.change"),
        row.reported_ns,
        row.recorded_ns,
        None if encoded is None else read_content(encoded),
        encoded,
        bytes(row.digest),
        row.told,
        KnownRun(row.run_id, row.agent_name, row.status, row.end_ns),
    )


def _pause_row(row: Row[Any]) -> PauseRow:
    return PauseRow(
        row.id,
        outcome_id_of(row.trace_id, row.span_id),
        row.run_id,
        row.agent_name,
        row.end_ns,
        row.recorded_ns,
        None if row.content is None else read_content(bytes(row.content)),
        bytes(row.digest),
    )


def _delivery_row(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        row.id,
        row.revision,
        row.event,
        read_word(DeliveryState, row.state, "deliveries.state"),
        row.reason,
        row.message,
        row.created_ns,
        row.delivered_ns,
    )


def _held_row(row: Row[Any]) -> HeldRow:
    return HeldRow(
        row.id,
        row.kind,
        row.reference,
        row.reported_by or None,
        read_word(HeldState, row.state, "held_reports.state"),
        row.code,
        None if row.trace_id is None else outcome_id_of(row.trace_id, row.span_id),
        row.held_ns,
        row.expires_ns,
    )
