# SPDX-License-Identifier: Apache-2.0
"""Ids: those of rows, given out before they are written, and those of runs as the tables keep them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import text

from agent_outcomes.bounds import TIME_MAX_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

    from agent_outcomes.run.model import Run


def reserve(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """The ids of so many rows that the transaction is going to insert."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        # The transaction holds SQLite's one lock for writing.
        ((last,),) = driver.execute(f"SELECT coalesce(max(id), 0) FROM {table.name}")  # noqa: S608 - our own name
        return range(last + 1, last + 1 + count)
    sequence = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
    return connection.execute(sequence, {"name": table.name, "count": count}).scalars().all()


def run_key(run: Run) -> tuple[bytes, bytes]:
    """A run's trace and span id as the tables keep them."""
    return run.trace_id.to_bytes(16, "big"), run.span_id.to_bytes(8, "big")


def outcome_id_of(trace_id: bytes, span_id: bytes) -> str:
    """The outcome's id of a run's row."""
    return f"{bytes(trace_id).hex()}-{bytes(span_id).hex()}"


def storable_ns(time_ns: int) -> int:
    """A time that fits the columns of times; a span may have been given any."""
    return min(max(time_ns, 0), TIME_MAX_NS)


def storable(content: str | None) -> str | None:
    """Text that both databases take: what cannot be encoded, and the character 0, is replaced."""
    if content is None or (content.isascii() and "\0" not in content):
        return content
    return content.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
