# SPDX-License-Identifier: Apache-2.0
"""Keys for those who reach a ledger over the network: what each may do, and for which agents it speaks.

A key's secret is shown once, when it is made. Kept is a salted digest of it, which is enough as nobody can guess 192
random bits; and its `handle`, a public part by which its owner knows it again and a look-up finds it.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import insert, select, update

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.book.digests import digest_of
from agent_outcomes.ledger.ids import reserve
from agent_outcomes.ledger.location import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row

    from agent_outcomes.ledger.store import Store

PREFIX: Final = "aok_"
"""What every secret begins with, so that scanners for secrets find it."""
KEY_NAME_LENGTH_MAX: Final = 100
AGENTS_MAX: Final = 100
AGENT_LENGTH_MAX: Final = 256
_HANDLE_LENGTH: Final = 8
_HANDLE_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_RANDOM_BYTES: Final = 24
_SECRET_LENGTH: Final = len(PREFIX) + _HANDLE_LENGTH + 1 + _RANDOM_BYTES * 4 // 3
_SALT_BYTES: Final = 16
_DOMAIN: Final = b"agent_outcomes.ledger.key/1"
_OVERLAP_MAX_S: Final = 366 * 86_400
_NS: Final = 1_000_000_000
_KEYS: Final = schema.api_keys.c
# What a secret is compared with that belongs to no key, so that it takes as long.
_NOBODYS_SALT: Final = bytes(_SALT_BYTES)
_NOBODYS_HASH: Final = bytes(32)


class KeyRefused(LedgerError):  # noqa: N818 - as the other refusals
    """A key cannot be made, replaced or revoked as asked; the message says why and what to do."""


class Right(StrEnum):
    """What a key may do."""

    INGEST = "ingest"
    """Send telemetry, and record runs."""
    READ = "read"
    REPORT = "report"
    """State outcomes and costs of runs."""
    CORRECT = "correct"
    """Change or take back what stands."""
    ADMIN = "admin"


class KeyRow(NamedTuple):
    """A key without its secret; `agents` are those that it may speak for, `None` for all.

    One that was replaced goes on until `expires_ns`.
    """

    id: int
    name: str
    handle: str
    agents: frozenset[str] | None
    rights: frozenset[Right]
    created_ns: int
    expires_ns: int | None
    revoked_ns: int | None

    def is_current(self, now_ns: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_ns is None and (self.expires_ns is None or self.expires_ns > now_ns)


def create_key(
    store: Store, name: str, *, rights: Iterable[Right], agents: Iterable[str] | None = None, now_ns: int | None = None
) -> tuple[KeyRow, str]:
    """A new key and its secret, which cannot be had again.

    Raises `KeyRefused` for a name or agents that cannot be taken, and where a key of this name is in use.
    """
    made_ns = time.time_ns() if now_ns is None else now_ns
    wanted = _Wanted(_checked_name(name), _checked_agents(agents), _checked_rights(rights))

    def work(connection: Connection) -> tuple[KeyRow, str]:
        if any(key.is_current(made_ns) for key in _of_name(connection, wanted.name)):
            message = f"a key named {wanted.name!r} is in use; rotate it, revoke it first, or take another name"
            raise KeyRefused(message)
        return _made(connection, wanted, made_ns)

    # Alone: that a name is in use once is no rule of the table, as a key that was replaced goes on for a while.
    return store.database.write(work, alone=True)


def list_keys(store: Store) -> list[KeyRow]:
    """All keys, also those that were revoked or have expired, in the order in which they were made."""
    with store.database.reading() as connection:
        return [_key_row(row) for row in connection.execute(select(schema.api_keys).order_by(_KEYS.id))]


def revoke_key(store: Store, name: str, *, now_ns: int | None = None) -> int:
    """Revoke every key of this name, also one that was replaced and goes on; how many there were.

    Raises `KeyRefused` if there is none that is in use.
    """
    revoked_ns = time.time_ns() if now_ns is None else now_ns

    def work(connection: Connection) -> int:
        current = [key.id for key in _of_name(connection, name) if key.is_current(revoked_ns)]
        if not current:
            raise _none_named(name)
        connection.execute(update(schema.api_keys).where(_KEYS.id.in_(current)).values(revoked_ns=revoked_ns))
        return len(current)

    return store.database.write(work, alone=True)


def rotate_key(store: Store, name: str, overlap_s: float, *, now_ns: int | None = None) -> tuple[KeyRow, str]:
    """A new key in place of the one of this name, with the same rights, and its secret; the old one ends after a while.

    Raises `KeyRefused` if there is none that is in use, or for a time that is none.
    """
    made_ns = time.time_ns() if now_ns is None else now_ns
    if not 0 <= overlap_s <= _OVERLAP_MAX_S:
        message = f"the overlap of keys takes 0 to {_OVERLAP_MAX_S} seconds"
        raise KeyRefused(message)
    ends_ns = made_ns + round(overlap_s * _NS)

    def work(connection: Connection) -> tuple[KeyRow, str]:
        current = [key for key in _of_name(connection, name) if key.is_current(made_ns)]
        if not current:
            raise _none_named(name)
        later = [key.id for key in current if key.expires_ns is None or key.expires_ns > ends_ns]
        connection.execute(update(schema.api_keys).where(_KEYS.id.in_(later)).values(expires_ns=ends_ns))
        last = current[-1]
        return _made(connection, _Wanted(last.name, last.agents, last.rights), made_ns)

    return store.database.write(work, alone=True)


def authenticate(store: Store, secret: str, *, now_ns: int | None = None) -> KeyRow | None:
    """The key whose secret this is; `None` for what is no secret, and for one that is revoked or has expired.

    How long it takes tells nothing of the secret. Raises `LedgerError` where the ledger cannot be read.
    """
    handle = secret[len(PREFIX) : len(PREFIX) + _HANDLE_LENGTH]
    found = None
    if _is_secret(secret):
        with store.database.reading() as connection:
            found = connection.execute(select(schema.api_keys).where(_KEYS.handle == handle)).one_or_none()
    salt, kept = (_NOBODYS_SALT, _NOBODYS_HASH) if found is None else (bytes(found.salt), bytes(found.hash))
    is_right = hmac.compare_digest(_hash_of(salt, secret), kept)
    if found is None or not is_right:
        return None
    key = _key_row(found)
    return key if key.is_current(time.time_ns() if now_ns is None else now_ns) else None


def has_keys(store: Store) -> bool:
    """Whether whoever comes has to show a key: since the first was made, also when all have been revoked."""
    with store.database.reading() as connection:
        return connection.execute(select(_KEYS.id).limit(1)).first() is not None


class _Wanted(NamedTuple):
    """A key to make."""

    name: str
    agents: frozenset[str] | None
    rights: frozenset[Right]


def _checked_name(name: str) -> str:
    if not 0 < len(name) <= KEY_NAME_LENGTH_MAX or not name.isprintable() or name != name.strip():
        message = f"a key's name takes 1 to {KEY_NAME_LENGTH_MAX} printable characters, and no blank at its ends"
        raise KeyRefused(message)
    return name


def _checked_agents(agents: Iterable[str] | None) -> frozenset[str] | None:
    if agents is None:
        return None
    named = frozenset(agents)
    if not 0 < len(named) <= AGENTS_MAX or not all(0 < len(name) <= AGENT_LENGTH_MAX for name in named):
        message = f"a key speaks for 1 to {AGENTS_MAX} agents of up to {AGENT_LENGTH_MAX} characters; leave out for all"
        raise KeyRefused(message)
    return named


def _checked_rights(rights: Iterable[Right]) -> frozenset[Right]:
    wanted = frozenset(Right(right) for right in rights)
    if not wanted:
        message = f"a key needs a right at least: {', '.join(Right)}"
        raise KeyRefused(message)
    return wanted


def _none_named(name: str) -> KeyRefused:
    return KeyRefused(f"no key named {name[:KEY_NAME_LENGTH_MAX]!r} is in use; look at the list of keys")


def _made(connection: Connection, wanted: _Wanted, made_ns: int) -> tuple[KeyRow, str]:
    handle = _free_handle(connection)
    secret = f"{PREFIX}{handle}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
    salt = secrets.token_bytes(_SALT_BYTES)
    (row,) = reserve(connection, schema.api_keys, 1)
    agents = None if wanted.agents is None else json.dumps(sorted(wanted.agents))
    connection.execute(
        insert(schema.api_keys).values(
            id=row,
            name=wanted.name,
            handle=handle,
            salt=salt,
            hash=_hash_of(salt, secret),
            agents=agents,
            rights=json.dumps(sorted(wanted.rights)),
            created_ns=made_ns,
        )
    )
    return KeyRow(row, wanted.name, handle, wanted.agents, wanted.rights, made_ns, None, None), secret


def _free_handle(connection: Connection) -> str:
    while True:
        handle = "".join(secrets.choice(_HANDLE_ALPHABET) for _ in range(_HANDLE_LENGTH))
        if connection.execute(select(_KEYS.id).where(_KEYS.handle == handle)).first() is None:
            return handle


def _is_secret(secret: str) -> bool:
    is_framed = secret.startswith(PREFIX) and secret[len(PREFIX) + _HANDLE_LENGTH :][:1] == "_"
    return len(secret) == _SECRET_LENGTH and secret.isascii() and secret.isprintable() and is_framed


def _hash_of(salt: bytes, secret: str) -> bytes:
    return digest_of(_DOMAIN, (salt, secret.encode("utf-8", "surrogatepass")))


def _of_name(connection: Connection, name: str) -> list[KeyRow]:
    if not name.isprintable():
        return []
    rows = connection.execute(select(schema.api_keys).where(_KEYS.name == name).order_by(_KEYS.id))
    return [_key_row(row) for row in rows]


def _key_row(row: Row[Any]) -> KeyRow:
    agents = None if row.agents is None else frozenset(json.loads(row.agents))
    # A newer release may know further rights.
    rights = frozenset(Right(right) for right in json.loads(row.rights) if right in set(Right))
    return KeyRow(row.id, row.name, row.handle, agents, rights, row.created_ns, row.expires_ns, row.revoked_ns)
