# SPDX-License-Identifier: Apache-2.0
"""Runs the migrations in the transaction that `opening` has begun and holds the lock in."""

from alembic import context

from agent_outcomes.ledger.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
