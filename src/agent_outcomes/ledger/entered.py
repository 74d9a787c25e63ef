# SPDX-License-Identifier: Apache-2.0
"""Under which labels an outcome was entered: what is posted of it later goes there, too.

Limits may have folded a label then, and would not now, or the other way round. Were a reversal bounded by itself, it
would take from one attribute set what another was given, and neither would add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.content import ContentError
from agent_outcomes.ledger.errors import read_json
from agent_outcomes.ledger.posting import AS_GIVEN, Amount, read_posted
from agent_outcomes.record.record import record
from agent_outcomes.semconv import AGENT_OUTCOMES, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from agent_outcomes.ledger.book.revisions import StandingRun
    from agent_outcomes.record.record import LabelValue

_LOOKED_THROUGH_MAX: Final = 100
"""How many revisions are looked through for the last entry: a run may have late costs without end."""


def under_entered_labels(
    connection: Connection, run: int, standing: StandingRun, amounts: Sequence[Amount]
) -> Sequence[Amount]:
    """The amounts, those of the outcome that stands under the labels that it was entered under."""
    if standing.outcome.state is not State.REPORTED:
        return amounts
    entered = _entered(connection, run)
    if entered is None:
        return amounts
    own = _labels_of(standing)
    return [_moved(amount, own, entered) for amount in amounts]


def _entered(connection: Connection, run: int) -> Mapping[str, LabelValue] | None:
    """The labels of the last entry, as it is counted; `None` if it lies too far back to be looked for."""
    revisions, totals = schema.revisions.c, schema.totals.c
    query = select(revisions.posted).where(revisions.run == run).order_by(revisions.revision.desc())
    posted = connection.execute(query.limit(_LOOKED_THROUGH_MAX)).scalars()
    # A revision that was told may have bridged others, so that its change does not say whether it has entered one.
    by_revision = [_rows_in(one) for one in posted]
    mine = totals.id.in_([row for rows in by_revision for row in rows])
    entries = select(totals.id, totals.labels).where(mine, totals.instrument == AGENT_OUTCOMES.name)
    labels = {entry.id: entry.labels for entry in connection.execute(entries)}
    entered = next((row for rows in by_revision for row in rows if row in labels), None)
    return (
        None
        if entered is None
        else dict(zip(AGENT_OUTCOMES.attributes, read_json(labels[entered], "totals.labels"), strict=True))
    )


def _rows_in(posted: Any) -> list[int]:
    try:
        return [row for row, _ in read_posted(bytes(posted)).totals]
    except (ValueError, TypeError) as error:
        message = "what a revision has posted cannot be read; ledger verify names the first difference"
        raise ContentError(message) from error


def _labels_of(standing: StandingRun) -> Mapping[str, LabelValue]:
    postings = record(standing.run, standing.outcome).postings
    (labels,) = (labels for instrument, labels, _ in postings if instrument is AGENT_OUTCOMES)
    return dict(zip(AGENT_OUTCOMES.attributes, labels, strict=True))


def _moved(amount: Amount, own: Mapping[str, LabelValue], entered: Mapping[str, LabelValue]) -> Amount:
    name, labels, _ = amount.key
    given = dict(zip(amount.instrument.attributes, labels, strict=True))
    if not own.keys() <= given.keys() or any(given[key] != value for key, value in own.items()):
        return amount
    return amount._replace(key=(name, tuple(entered.get(key, value) for key, value in given.items()), AS_GIVEN))
