# SPDX-License-Identifier: Apache-2.0
"""Runs that wait for a person are found by the user's own key, so that what is reported of them is kept meanwhile."""

import sqlalchemy as sa
from alembic import op

from agent_outcomes.ledger.book.content import ContentError, read_content
from agent_outcomes.ledger.ids import storable

revision = "0003"
down_revision = "0002"

_ROWS = 500


def upgrade() -> None:
    """Add the key, and read those of the pauses that are there from what is kept of them."""
    op.add_column("pauses", sa.Column("run_id", sa.Text(), nullable=True))
    has_key = sa.text("run_id IS NOT NULL")
    op.create_index("pauses_by_run_id", "pauses", ["run_id"], sqlite_where=has_key, postgresql_where=has_key)
    pauses = sa.table("pauses", sa.column("id"), sa.column("content"), sa.column("run_id"))
    query = sa.select(pauses.c.id, pauses.c.content).order_by(pauses.c.id).limit(_ROWS)
    connection, after = op.get_bind(), 0
    while rows := connection.execute(query.where(pauses.c.id > after, pauses.c.content.is_not(None))).all():
        for row in rows:
            key = _key_in(bytes(row.content))
            if key is not None:
                connection.execute(sa.update(pauses).where(pauses.c.id == row.id).values(run_id=key))
        after = rows[-1].id


def _key_in(content: bytes) -> str | None:
    try:
        return storable(read_content(content).run.run_id)
    except ContentError:  # what something else has written there is for `verify` to find
        return None
