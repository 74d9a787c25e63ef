# SPDX-License-Identifier: Apache-2.0
"""What a gateway needs: revisions that a run's own process has emitted, and keys with rights."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new; no release has ever written a key in the first form."""
    for table in ("identities", "revisions"):
        op.add_column(table, sa.Column("told", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("runs_by_agent", "runs", ["agent_name", "end_ns"], unique=False)
    op.drop_table("api_keys")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("agents", sa.Text(), nullable=True),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("handle"),
    )
    op.create_index(op.f("ix_api_keys_name"), "api_keys", ["name"], unique=False)
