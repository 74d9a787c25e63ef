# SPDX-License-Identifier: Apache-2.0
"""The tables of a ledger, as the newest migration leaves them.

Rows of history (runs, revisions, pauses, seals) are written once. Changed in place are totals and durations, how far
deliveries are, the lease, and what has become of held reports. There are no foreign keys, as checking them would cost
every run: `verify` checks what they would. Times are Unix nanoseconds; ids are given out in the order of writing.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

SCHEMA_VERSION: Final = 3
"""What `migrations` leads to."""
VERSION_TABLE: Final = "ledger_schema"

# SQLite gives out row ids only to columns that are exactly INTEGER.
_ID: Final = BigInteger().with_variant(Integer, "sqlite")

metadata: Final = MetaData()

meta: Final = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
"""Facts of the ledger itself: its policy and label limits, and when it was made."""

identities: Final = Table(
    "identities",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("service_name", Text),
    Column("service_namespace", Text),
    Column("environment", Text),
    Column("told", Boolean, nullable=False, server_default=false()),
)
"""Whom totals belong to. Those of a `told` one are what processes have emitted themselves: nobody delivers them."""

resources: Final = Table(
    "resources",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("identity", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("attributes", LargeBinary, nullable=False),
)
"""Whom events come from; `attributes` is JSON: pairs of key and value."""

runs: Final = Table(
    "runs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("trace_id", LargeBinary, nullable=False),
    Column("span_id", LargeBinary, nullable=False),
    Column("run_id", Text),
    Column("agent_name", Text),
    Column("status", Text, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("resource", BigInteger, nullable=False),
    Column("accepted_ns", BigInteger, nullable=False),
    UniqueConstraint("trace_id", "span_id", name="runs_by_span"),
    Index(
        "runs_by_run_id",
        "run_id",
        "end_ns",
        sqlite_where=text("run_id IS NOT NULL"),
        postgresql_where=text("run_id IS NOT NULL"),
    ),
    Index("runs_by_end", "end_ns"),
    Index("runs_by_agent", "agent_name", "end_ns"),
)
pending_runs: Final = Table(
    "pending_runs",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("end_ns", BigInteger, nullable=False, index=True),
)
"""The runs whose standing revision states no business result; follows from `revisions`."""

revisions: Final = Table(
    "revisions",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("change", Text),
    Column("reported_ns", BigInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("content", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("posted", LargeBinary),
    Column("told", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("run", "revision", name="revisions_by_run"),
    Index("revisions_by_time", "recorded_ns"),
)
"""`change` is none of revision 0. `posted` is JSON: pairs of row and amount, of totals and then of durations.

The run's own process has emitted a `told` one itself: it has no delivery, and the first of a run may have any number.
"""

pauses: Final = Table(
    "pauses",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("trace_id", LargeBinary, nullable=False),
    Column("span_id", LargeBinary, nullable=False),
    Column("agent_name", Text),
    Column("resource", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("content", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("posted", LargeBinary),
    Column("run_id", Text),
    UniqueConstraint("trace_id", "span_id", name="pauses_by_span"),
    Index(
        "pauses_by_run_id",
        "run_id",
        sqlite_where=text("run_id IS NOT NULL"),
        postgresql_where=text("run_id IS NOT NULL"),
    ),
)
"""Runs that stopped to wait for a human: what they had used is in the totals, and they have no outcome."""

totals: Final = Table(
    "totals",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("identity", BigInteger, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("quadrillions", BigInteger, nullable=False),
    Column("whole", BigInteger, nullable=False),
    Column("fraction", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    UniqueConstraint("identity", "instrument", "labels", name="totals_by_series"),
)
"""Exact sums: quadrillions * 10**15 + whole + fraction * 10**-12; `labels` is a JSON list in the instrument's order."""

durations: Final = Table(
    "durations",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("identity", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("quadrillions", BigInteger, nullable=False),
    Column("whole", BigInteger, nullable=False),
    Column("fraction", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("exemplar", Double),
    Column("exemplar_ns", BigInteger),
    Column("exemplar_trace_id", LargeBinary),
    Column("exemplar_span_id", LargeBinary),
    UniqueConstraint("identity", "labels", "bucket", name="durations_by_series"),
)
"""One row for each bucket of each histogram: how many runs, their exact sum of seconds, and the latest sampled one."""

SPAN: Final = -1
"""In place of an event's number: a zero-length span."""
deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("run", BigInteger),
    Column("revision", Integer),
    Column("event", SmallInteger, nullable=False),
    Column("resource", BigInteger, nullable=False),
    Column("payload", LargeBinary),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("created_ns", BigInteger, nullable=False),
    Column("delivered_ns", BigInteger),
    Index("deliveries_by_run", "run"),
    Index(
        "deliveries_waiting", "id", sqlite_where=text("state = 'waiting'"), postgresql_where=text("state = 'waiting'")
    ),
    Index("deliveries_dead", "id", sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'")),
)
"""One row for each event; `payload` is an encoded OTLP LogRecord until it is delivered. Without `run`: of a pause."""

held_reports: Final = Table(
    "held_reports",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("reported_by", Text),
    Column("idempotency_key", Text),
    Column("state", Text, nullable=False),
    Column("code", Text),
    Column("run", BigInteger),
    Column("held_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index(
        "held_reports_waiting",
        "reference",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
)
"""Reports of runs that had not arrived; `reference` is the kind of the id, a colon and the id.

Those of a run that waits for a person expire at the end of time.
"""

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("run", BigInteger, index=True),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("handle", Text, nullable=False, unique=True),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("agents", Text),
    Column("rights", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("revoked_ns", BigInteger),
)
"""`agents` is a JSON list of the agents that the key may speak for, none for all; `rights` is one of what it may do.

`handle` is the part of the secret that may be shown. Of one name several may be there, of which one was not replaced.
"""

seals: Final = Table(
    "seals",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("first_revision", BigInteger, nullable=False),
    Column("last_revision", BigInteger, nullable=False),
    Column("revisions", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed_ns", BigInteger, nullable=False),
)
"""Each chains the revisions, by their row ids, that came since the last."""

lease: Final = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)
"""Who delivers now."""
