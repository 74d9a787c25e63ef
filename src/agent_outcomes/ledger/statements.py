# SPDX-License-Identifier: Apache-2.0
"""Statements compiled once for an engine's dialect, whose rows go to the driver as plain tuples.

SQLAlchemy's own way of executing costs more per row than either database does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Dialect, Table
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
        return connection.exec_driver_sql(self.sql, list(rows)).rowcount if rows else 0


def insertion(table: Table, dialect: Dialect) -> Prepared:
    """The statement that inserts a row of all columns, in the table's order."""
    return Prepared(insert(table).values({column.name: bindparam(column.name) for column in table.columns}), dialect)
