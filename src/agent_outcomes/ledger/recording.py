# SPDX-License-Identifier: Apache-2.0
"""Writing revisions: themselves, what they post, whether their run is still pending, and what is to be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.ids import reserve
from agent_outcomes.ledger.posting import Poster, PostingSums
from agent_outcomes.ledger.resources import Resources
from agent_outcomes.ledger.rows import DeliveryState
from agent_outcomes.ledger.statements import Prepared, insertion
from agent_outcomes.otlp.encoding import encoded_event
from agent_outcomes.semconv import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Dialect

    from agent_outcomes.ledger.book.revisions import NewRevision
    from agent_outcomes.ledger.posting import Amount
    from agent_outcomes.ledger.resources import ResourceRows
    from agent_outcomes.record.record import Event


class Entry(NamedTuple):
    """A revision to write, of the run in that row, with what it posts.

    `payloads` are its encoded events, `span` is itself as one; there are none of a `told` one, whose `rows` are those
    that nobody delivers.
    """

    run: int
    end_ns: int
    rows: ResourceRows
    new: NewRevision
    reported_ns: int
    totals: Sequence[Amount]
    duration: Amount | None
    payloads: Sequence[bytes]
    span: bytes | None = None
    told: bool = False

    def numbered(self) -> list[tuple[int, bytes]]:
        """What is to be delivered of it, under its number."""
        events = list(enumerate(self.payloads))
        return events if self.span is None else [*events, (schema.SPAN, self.span)]


class Recording:
    """The statements that write a revision, and what this process knows of the rows they go to."""

    def __init__(self, dialect: Dialect, texts_max: Mapping[str, int]) -> None:
        self.poster = Poster(dialect, texts_max)
        self.resources = Resources()
        self._revisions = insertion(schema.revisions, dialect)
        self._deliveries = insertion(schema.deliveries, dialect)
        self._pending = insertion(schema.pending_runs, dialect)
        gone = schema.pending_runs.delete().where(schema.pending_runs.c.run == bindparam("row"))
        self._no_longer_pending = Prepared(gone, dialect)

    def begin(self) -> None:
        """A transaction begins: what one before it has learnt holds only if that was committed."""
        if not (self.poster.is_sure and self.resources.is_sure):
            self.poster.forget()
            self.resources.forget()

    def committed(self) -> None:
        """What the transaction has learnt holds."""
        self.poster.is_sure = self.resources.is_sure = True

    def write(self, connection: Connection, entries: Sequence[Entry], now_ns: int) -> None:
        """Write revisions, in this order."""
        posting = PostingSums(self.poster, connection, now_ns)
        posted = [posting.add(entry.rows.identity, entry.totals, entry.duration) for entry in entries]
        ids = reserve(connection, schema.revisions, len(entries))
        self._revisions.run(
            connection,
            [
                (
                    row,
                    entry.run,
                    entry.new.revision,
                    None if entry.new.change is None else entry.new.change.value,
                    entry.reported_ns,
                    now_ns,
                    entry.new.content,
                    entry.new.digest,
                    kept,
                    entry.told,
                )
                for row, entry, kept in zip(ids, entries, posted, strict=True)
            ],
        )
        self._write_pending(connection, entries)
        self.deliver(
            connection,
            [
                (entry.run, entry.new.revision, number, entry.rows.resource, payload)
                for entry in entries
                for number, payload in entry.numbered()
            ],
            now_ns,
        )
        posting.write()

    def deliver(
        self, connection: Connection, events: Sequence[tuple[int | None, int | None, int, int, bytes]], now_ns: int
    ) -> None:
        """Have events wait to be delivered: run, revision, number, resource and payload of each."""
        ids = reserve(connection, schema.deliveries, len(events)) if events else ()
        waiting = DeliveryState.WAITING.value
        rows = [(row, *event, waiting, None, None, now_ns, None) for row, event in zip(ids, events, strict=True)]
        self._deliveries.run(connection, rows)

    def _write_pending(self, connection: Connection, entries: Sequence[Entry]) -> None:
        last = {entry.run: entry for entry in entries}
        later = [(entry.run,) for entry in last.values() if entry.new.revision > 0]
        self._no_longer_pending.run(connection, later)
        pending = [(entry.run, entry.end_ns) for entry in last.values() if entry.new.outcome.state is State.PENDING]
        self._pending.run(connection, pending)


def payloads_of(events: Sequence[Event], now_ns: int) -> list[bytes]:
    """Events as they wait to be delivered."""
    return [encoded_event(event, now_ns) for event in events]
