# SPDX-License-Identifier: Apache-2.0
"""Finding the run that is meant, and what stands of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import or_, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.content import read_content
from agent_outcomes.ledger.book.revisions import StandingRun
from agent_outcomes.ledger.ids import outcome_id_of, run_key, storable, storable_ns
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.ledger.resources import ResourceRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select, Table

    from agent_outcomes.ledger.book.reports import Reporter, RunReference
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Run

_MATCHES_MAX: Final = 100
_OUTCOME_ID: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


class FoundRun(NamedTuple):
    """The row of a run, and those of whom it comes from."""

    row: int
    outcome_id: str
    agent_name: str | None
    end_ns: int
    rows: ResourceRows


class Pause(NamedTuple):
    """What of a pause tells the run that it goes on as."""

    trace_id: bytes
    span_id: bytes
    run_id: str | None
    agent_name: str | None
    end_ns: int

    def names(self) -> tuple[str, str]:
        """By what a report may name it that does not name the run that it goes on as."""
        return f"outcome_id:{outcome_id_of(self.trace_id, self.span_id)}", f"trace_id:{self.trace_id.hex()}"

    def goes_on_as(self, run: Run) -> bool:
        """Whether it may: of the same agent, not over before, and of one key, or in one trace if either has none."""
        key = storable(run.run_id)
        is_same = self.trace_id == run_key(run)[0] if None in {key, self.run_id} else key == self.run_id
        return is_same and self.agent_name == storable(run.agent_name) and self.end_ns <= storable_ns(run.end_ns)


def find_run(connection: Connection, reference: RunReference, reporter: Reporter, *, lock: bool) -> FoundRun | None:
    """The run that is meant, `None` if there is none; with `lock` nobody else reports on it until the commit.

    Raises `ReportRefused` where several match, or where the reporter may speak for none of those that do.
    """
    runs = schema.runs.c
    where = where_of(reference)
    if where is None:
        return None
    last_first = runs.end_ns.desc(), runs.id.desc()
    query = _found_query(lock=lock).where(where).order_by(*last_first).limit(_MATCHES_MAX)
    return _one_of([_found(row) for row in connection.execute(query)], reference, reporter)


def find_meant_run(
    connection: Connection, reference: RunReference, reporter: Reporter, *, lock: bool
) -> FoundRun | None:
    """The same, where none is meant but one that stopped to wait for a human: the run that it has gone on as.

    A pause has an id and mostly a trace of its own; who has noted these knows of no others.
    """
    found = find_run(connection, reference, reporter, lock=lock)
    where = None if found is not None else _named_in(schema.pauses, reference)
    if where is None:
        return found
    pauses = _pauses(connection, where, _MATCHES_MAX)
    gone_on = {run.row: run for pause in pauses if (run := _gone_on_as(connection, pause, lock=lock)) is not None}
    return _one_of(sorted(gone_on.values(), key=_end_of, reverse=True), reference, reporter)


def pauses_before(connection: Connection, runs: Sequence[Run]) -> list[Pause]:
    """The pauses of the keys and in the traces of these runs, which may be what they go on from."""
    pauses = schema.pauses.c
    keys = {storable(run.run_id) for run in runs} - {None}
    mine = pauses.trace_id.in_({run_key(run)[0] for run in runs})
    return _pauses(connection, or_(mine, pauses.run_id.in_(keys)) if keys else mine)


def _pauses(connection: Connection, where: ColumnElement[bool], count_max: int | None = None) -> list[Pause]:
    pauses = schema.pauses.c
    query = select(pauses.trace_id, pauses.span_id, pauses.run_id, pauses.agent_name, pauses.end_ns).where(where)
    rows = connection.execute(query.order_by(pauses.id).limit(count_max))
    return [Pause(bytes(row.trace_id), bytes(row.span_id), *row[2:]) for row in rows]


def _gone_on_as(connection: Connection, pause: Pause, *, lock: bool) -> FoundRun | None:
    """The first run to end of those that `Pause.goes_on_as` allows."""
    runs = schema.runs.c
    is_here = runs.trace_id == pause.trace_id
    is_same = is_here if pause.run_id is None else or_(runs.run_id == pause.run_id, is_here & runs.run_id.is_(None))
    is_own = runs.agent_name.is_not_distinct_from(pause.agent_name)
    query = _found_query(lock=lock).where(is_same, is_own, runs.end_ns >= pause.end_ns)
    row = connection.execute(query.order_by(runs.end_ns, runs.id).limit(1)).one_or_none()
    return None if row is None else _found(row)


def _one_of(found: Sequence[FoundRun], reference: RunReference, reporter: Reporter) -> FoundRun | None:
    allowed = [run for run in found if reporter.may_speak_for(run.agent_name)]
    if found and not allowed:
        raise refusals.not_allowed()
    if len(allowed) > 1 and not reference.latest:
        raise refusals.ambiguous(reference.field, [run.outcome_id for run in allowed])
    return allowed[0] if allowed else None


def where_of(reference: RunReference) -> ColumnElement[bool] | None:
    """The condition on `runs` that a reference makes; `None` if it can be none's."""
    return _named_in(schema.runs, reference)


def waits_for_person(connection: Connection, reference: RunReference, reporter: Reporter) -> bool:
    """Whether a run that is meant, and that the reporter may speak for, is known to wait for a human."""
    where = _named_in(schema.pauses, reference)
    if where is None:
        return False
    names = connection.execute(select(schema.pauses.c.agent_name).where(where).limit(_MATCHES_MAX)).scalars()
    return any(map(reporter.may_speak_for, names))


def _named_in(table: Table, reference: RunReference) -> ColumnElement[bool] | None:
    if reference.outcome_id is not None:
        ids = _OUTCOME_ID.fullmatch(reference.outcome_id)
        if ids is None:
            return None
        return (table.c.trace_id == bytes.fromhex(ids[1])) & (table.c.span_id == bytes.fromhex(ids[2]))
    if reference.trace_id is not None:
        is_id = _TRACE_ID.fullmatch(reference.trace_id)
        return None if is_id is None else table.c.trace_id == bytes.fromhex(reference.trace_id)
    return table.c.run_id == storable(reference.run_id)


def is_trace_known(connection: Connection, trace_id: bytes, span_id: bytes | None = None) -> bool:
    """Whether there is a run of this trace, or one that waits for a human; with `span_id` the one of that span."""
    for table in (schema.runs, schema.pauses):
        query = select(table.c.id).where(table.c.trace_id == trace_id)
        query = query if span_id is None else query.where(table.c.span_id == span_id)
        if connection.execute(query.limit(1)).first() is not None:
            return True
    return False


def last_revision_of(connection: Connection, run: int) -> StandingRun:
    """What stands of the run in that row. Raises `ReportRefused` if it was pruned."""
    standing = standing_revision_of(connection, run)
    if standing is None:
        raise refusals.pruned()
    return standing


def standing_revision_of(connection: Connection, run: int) -> StandingRun | None:
    """What stands of the run in that row; `None` if it was pruned."""
    columns = schema.revisions.c
    last = connection.execute(
        select(columns.revision, columns.content, columns.digest)
        .where(columns.run == run)
        .order_by(columns.revision.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        message = "the run's revisions are gone; ledger verify names the first difference"
        raise LedgerError(message)
    if last.content is None:
        return None
    content = read_content(bytes(last.content))
    return StandingRun(content.run, content.outcome, last.revision, bytes(last.digest))


def first_outcome_of(connection: Connection, run: int) -> Outcome | None:
    """What the run in that row has itself stated at its end; `None` if it was pruned."""
    columns = schema.revisions.c
    first = select(columns.content).where(columns.run == run).order_by(columns.revision).limit(1)
    content = connection.execute(first).scalar_one_or_none()
    return None if content is None else read_content(bytes(content)).outcome


def _end_of(run: FoundRun) -> tuple[int, int]:
    return run.end_ns, run.row


def _found_query(*, lock: bool) -> Select[*tuple[Any, ...]]:
    runs, resources = schema.runs.c, schema.resources.c
    columns = runs.id, runs.trace_id, runs.span_id, runs.agent_name, runs.end_ns, runs.resource, resources.identity
    query = select(*columns).join_from(schema.runs, schema.resources, runs.resource == resources.id)
    return query.with_for_update(of=schema.runs) if lock else query


def _found(row: Row[*tuple[Any, ...]]) -> FoundRun:
    outcome_id = outcome_id_of(row.trace_id, row.span_id)
    return FoundRun(row.id, outcome_id, row.agent_name, row.end_ns, ResourceRows(row.resource, row.identity))
