# SPDX-License-Identifier: Apache-2.0
"""Statements compiled once for an engine's dialect, whose rows go to the driver as plain tuples.

SQLAlchemy's own way of executing costs more per row than either database does.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import BindParameter, Connection, Dialect, Table
    from sqlalchemy.sql.base import Executable


class Prepared:
    """A statement in a dialect's own words; `names` are its parameters in the order in which a row gives them."""

    __slots__ = ("names", "sql")

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute it for all rows; how many it has changed."""
        if not rows:
            return 0
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            # A statement of a hundred rows costs as much as SQLAlchemy's bookkeeping of it.
            return driver.executemany(self.sql, rows).rowcount
        return connection.exec_driver_sql(self.sql, list(rows)).rowcount


def insertion(table: Table, dialect: Dialect) -> Prepared:
    """The statement that inserts a row of all columns, in the table's order."""
    return Prepared(insert(table).values(_of_all(table)), dialect)


def insertion_of_new(table: Table, dialect: Dialect) -> Prepared:
    """The same, but a row that is there already, by any key of the table, is left as it is, and is not counted."""
    # Both dialects have it, and both call it the same.
    if dialect.name == "postgresql":
        return Prepared(postgresql.insert(table).values(_of_all(table)).on_conflict_do_nothing(), dialect)
    return Prepared(sqlite.insert(table).values(_of_all(table)).on_conflict_do_nothing(), dialect)


def _of_all(table: Table) -> dict[str, BindParameter[Any]]:
    return {column.name: bindparam(column.name) for column in table.columns}
