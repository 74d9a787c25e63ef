# SPDX-License-Identifier: Apache-2.0
"""What the ledger comes to: how much was accepted and how far it is, and every sum and histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal_column, select, text

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.amounts import Parts
from agent_outcomes.ledger.errors import read_json, read_word
from agent_outcomes.ledger.opening import schema_of
from agent_outcomes.ledger.rows import (
    BucketRow,
    DurationRow,
    Exemplar,
    HeldState,
    Identity,
    LedgerStatus,
    Series,
    TotalRow,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

    from agent_outcomes.record.record import LabelValue


PRUNED_EVENTS: Final = "pruned_events"
"""Where `meta` counts the events that were delivered and then pruned."""


def status_of(connection: Connection, policy: str, now_ns: int) -> LedgerStatus:
    """The accounting, as of one moment."""
    deliveries, held = schema.deliveries.c, schema.held_reports.c
    # Written out, so that the databases see that their small indexes answer it.
    is_waiting = deliveries.state == literal_column("'waiting'")
    is_dead = deliveries.state == literal_column("'dead'")
    waiting, oldest_row = connection.execute(select(func.count(), func.min(deliveries.id)).where(is_waiting)).one()
    reasons = connection.execute(
        select(deliveries.reason, func.count()).where(is_dead).group_by(deliveries.reason).order_by(deliveries.reason)
    )
    dead = tuple((reason or "", count) for reason, count in reasons)
    accepted = _count(connection, schema.deliveries) + _pruned(connection)
    is_held = held.state == HeldState.HELD.value
    return LedgerStatus(
        accepted=accepted,
        delivered=accepted - waiting - sum(count for _, count in dead),
        waiting=waiting,
        dead=dead,
        runs=_count(connection, schema.runs),
        pending=_count(connection, schema.pending_runs),
        paused=_count(connection, schema.pauses),
        held=connection.execute(select(func.count()).where(is_held, held.expires_ns > now_ns)).scalar_one(),
        orphans=connection.execute(
            select(func.count()).where(
                (is_held & (held.expires_ns <= now_ns)) | (held.state == HeldState.REFUSED.value)
            )
        ).scalar_one(),
        oldest_waiting_ns=connection.execute(
            select(deliveries.created_ns).where(deliveries.id == oldest_row)
        ).scalar_one_or_none(),
        schema=schema_of(connection) or 0,
        size_bytes=_size_bytes(connection),
        policy=policy,
    )


def read_series(connection: Connection) -> Series:
    """Every sum and every histogram, as of one moment."""
    names = schema.identities
    identities = {
        row.id: Identity(row.id, row.service_name, row.service_namespace, row.environment, row.told)
        for row in connection.execute(select(names))
    }
    totals = tuple(
        TotalRow(row.id, identities[row.identity], row.instrument, labels_of(row.labels), _amount(row), row.start_ns)
        for row in connection.execute(select(schema.totals).order_by(schema.totals.c.id))
    )
    buckets: dict[tuple[int, str], list[BucketRow]] = {}
    for row in connection.execute(select(schema.durations).order_by(schema.durations.c.bucket)):
        buckets.setdefault((row.identity, row.labels), []).append(_bucket(row))
    durations = tuple(
        DurationRow(identities[identity], labels_of(labels), tuple(rows))
        for (identity, labels), rows in buckets.items()
    )
    return Series(totals, durations)


def _bucket(row: Row[Any]) -> BucketRow:
    exemplar = None
    if row.exemplar is not None:
        ids = bytes(row.exemplar_trace_id), bytes(row.exemplar_span_id)
        exemplar = Exemplar(row.exemplar, row.exemplar_ns, *ids)
    # `count` is a method of every row.
    return BucketRow(row.id, row.bucket, row._mapping["count"], _amount(row), row.start_ns, exemplar)  # noqa: SLF001


def _amount(row: Row[Any]) -> Any:
    return Parts(row.quadrillions, row.whole, row.fraction).amount


def labels_of(labels: str) -> tuple[LabelValue, ...]:
    """Labels as a row keeps them, in the order of the instrument's attributes."""
    return tuple(read_json(labels, "the column labels of a total"))


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _pruned(connection: Connection) -> int:
    meta = schema.meta.c
    found = connection.execute(select(meta.value).where(meta.name == PRUNED_EVENTS)).scalar_one_or_none()
    return read_word(int, found or 0, f"meta.{PRUNED_EVENTS}")


def _size_bytes(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        sizes = text(
            "SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(CAST(:names AS text[])) AS name"
        )
        return int(connection.execute(sizes, {"names": list(schema.metadata.tables)}).scalar() or 0)
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return int(pages) * int(size)
