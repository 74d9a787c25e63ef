# SPDX-License-Identifier: Apache-2.0
"""The steps from an empty database to the newest schema, run by Alembic when a ledger is opened."""
