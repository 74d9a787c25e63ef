# SPDX-License-Identifier: Apache-2.0
"""Finding the run that is meant, and what stands of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book import refusals
from agent_outcomes.ledger.book.content import read_content
from agent_outcomes.ledger.book.revisions import StandingRun
from agent_outcomes.ledger.ids import outcome_id_of, storable
from agent_outcomes.ledger.location import LedgerError
from agent_outcomes.ledger.resources import ResourceRows

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

    from agent_outcomes.ledger.book.reports import Reporter, RunReference

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


def find_run(connection: Connection, reference: RunReference, reporter: Reporter, *, lock: bool) -> FoundRun | None:
    """The run that is meant, `None` if there is none; with `lock` nobody else reports on it until the commit.

    Raises `ReportRefused` where several match, or where the reporter may speak for none of those that do.
    """
    runs, resources = schema.runs.c, schema.resources.c
    where = where_of(reference)
    if where is None:
        return None
    query = (
        select(runs.id, runs.trace_id, runs.span_id, runs.agent_name, runs.end_ns, runs.resource, resources.identity)
        .join_from(schema.runs, schema.resources, runs.resource == resources.id)
        .where(where)
        .order_by(runs.end_ns.desc(), runs.id.desc())
        .limit(_MATCHES_MAX)
    )
    if lock:
        query = query.with_for_update(of=schema.runs)
    found = [_found(row) for row in connection.execute(query)]
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


def _found(row: Row[*tuple[Any, ...]]) -> FoundRun:
    outcome_id = outcome_id_of(row.trace_id, row.span_id)
    return FoundRun(row.id, outcome_id, row.agent_name, row.end_ns, ResourceRows(row.resource, row.identity))
