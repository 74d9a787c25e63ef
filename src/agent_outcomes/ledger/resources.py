# SPDX-License-Identifier: Apache-2.0
"""Whom runs come from: a row for each resource, and one for each identity that totals are kept by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import insert, select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.accepted import ResourceFacts
from agent_outcomes.ledger.book.digests import digest_of
from agent_outcomes.ledger.ids import reserve, storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

_IDENTITY = b"agent_outcomes.ledger.identity/1"
_TOLD = b"agent_outcomes.ledger.identity.told/1"
_RESOURCE = b"agent_outcomes.ledger.resource/1"


class ResourceRows(NamedTuple):
    """The rows of a resource and of its identity."""

    resource: int
    identity: int


class Resources:
    """The rows that this process has seen committed, and those of the transaction at work."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing: what was learnt may have been rolled back."""
        self.is_sure = True
        self._rows: dict[ResourceFacts, ResourceRows] = {}
        self._told: dict[int, int] = {}
        self._last: tuple[ResourceFacts, ResourceRows] | None = None

    def rows_of(self, connection: Connection, facts: ResourceFacts) -> ResourceRows:
        """The rows of this resource, which are made if there are none."""
        # Nearly always the very same object, whose hash would take in every attribute.
        if self._last is not None and self._last[0] is facts:
            return self._last[1]
        rows = self._rows.get(facts)
        if rows is None:
            self.is_sure = False
            rows = self._rows[facts] = _rows_of(connection, facts)
        self._last = facts, rows
        return rows

    def told(self, connection: Connection, rows: ResourceRows) -> ResourceRows:
        """The same resource, whose identity, made if there is none, is that of what its processes emit themselves."""
        identity = self._told.get(rows.identity)
        if identity is None:
            self.is_sure = False
            identity = self._told[rows.identity] = _told_identity(connection, rows.identity)
        return ResourceRows(rows.resource, identity)


def identity_digest(names: Sequence[str | None]) -> bytes:
    """The digest of an identity that is not told: of service name, service namespace and environment."""
    return digest_of(_IDENTITY, (json.dumps(names).encode("ascii"),))


def resource_in(connection: Connection, resource: int) -> ResourceFacts:
    """What was known of the resource in that row."""
    columns, names = schema.resources.c, schema.identities.c
    found = connection.execute(
        select(names.service_name, names.service_namespace, names.environment, columns.attributes)
        .join_from(schema.resources, schema.identities, columns.identity == names.id)
        .where(columns.id == resource)
    ).one_or_none()
    if found is None:
        return ResourceFacts()
    return ResourceFacts(found.service_name, found.service_namespace, found.environment, _read(found.attributes))


def _rows_of(connection: Connection, facts: ResourceFacts) -> ResourceRows:
    names = facts[:3]
    said = json.dumps(names).encode("ascii")
    identity = _row(
        connection,
        schema.identities,
        identity_digest(names),
        dict(zip(("service_name", "service_namespace", "environment"), map(storable, names), strict=True)),
    )
    attributes = json.dumps(facts.attributes, separators=(",", ":")).encode("ascii")
    digest = digest_of(_RESOURCE, (said, attributes))
    resource = _row(connection, schema.resources, digest, {"identity": identity, "attributes": attributes})
    return ResourceRows(resource, identity)


def _told_identity(connection: Connection, identity: int) -> int:
    columns = schema.identities.c
    names = (columns.service_name, columns.service_namespace, columns.environment)
    found = connection.execute(select(columns.digest, *names).where(columns.id == identity)).one()
    values = {column.name: getattr(found, column.name) for column in names}
    return _row(connection, schema.identities, digest_of(_TOLD, (bytes(found.digest),)), {**values, "told": True})


def _row(connection: Connection, table: Table, digest: bytes, values: dict[str, Any]) -> int:
    found = connection.execute(select(table.c.id).where(table.c.digest == digest)).scalar()
    if found is not None:
        return int(found)
    (row,) = reserve(connection, table, 1)
    connection.execute(insert(table).values(id=row, digest=digest, **values))
    return row


def _read(attributes: bytes) -> tuple[tuple[str, Any], ...]:
    pairs = json.loads(attributes)
    return tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in pairs)
