# SPDX-License-Identifier: Apache-2.0
"""`keys create`, `list`, `revoke` and `rotate`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_outcomes.gateway_command.exit_codes import NAME_NOT_USABLE, NO_SUCH_KEY
from agent_outcomes.gateway_command.flags import ledger_url
from agent_outcomes.ledger import keys
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.ledger_command.exit_codes import ALL_DONE, CommandError
from agent_outcomes.ledger_command.output import complain, print_table, say, say_json, when

if TYPE_CHECKING:
    from argparse import Namespace

    from agent_outcomes.ledger.keys import KeyRow


def create_command(options: Namespace) -> int:
    """Make a key and print it, this once; the exit code."""
    rights = frozenset(keys.Right(right) for right in options.rights)
    agents = None if options.agents is None else frozenset(options.agents)
    try:
        row, secret = keys.create_key(_store(options, create=True), options.name, rights=rights, agents=agents)
    except keys.KeyRefused as problem:
        raise CommandError(NAME_NOT_USABLE, str(problem)) from None
    return _told(row, secret, as_json=options.json)


def list_keys_command(options: Namespace) -> int:
    """List the keys; the exit code."""
    rows = keys.list_keys(_store(options))
    if options.json:
        for row in rows:
            say_json(_as_object(row))
    elif rows:
        columns = ("name", "begins with", "may", "agents", "made", "taken until", "revoked")
        print_table(columns, [_cells(row) for row in rows])
    else:
        say("no keys: a gateway serves loopback only")
    return ALL_DONE


def revoke_command(options: Namespace) -> int:
    """Have a key no longer be taken; the exit code."""
    try:
        keys.revoke_key(_store(options), options.name)
    except keys.KeyRefused as problem:
        raise CommandError(NO_SUCH_KEY, str(problem)) from None
    if options.json:
        say_json({"revoked": options.name})
    else:
        say(f"the key of {options.name} is no longer taken")
    return ALL_DONE


def rotate_command(options: Namespace) -> int:
    """Make a key in the place of an old one and print it, this once; the exit code."""
    try:
        row, secret = keys.rotate_key(_store(options), options.name, options.overlap)
    except keys.KeyRefused as problem:
        raise CommandError(NO_SUCH_KEY, str(problem)) from None
    return _told(row, secret, as_json=options.json)


def _store(options: Namespace, *, create: bool = False) -> Store:
    location = read_location(ledger_url(options.ledger, os.environ))
    if create and options.ledger is None and location.path is not None:
        # As the gateway does, which may not have been started yet.
        location.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store.open(location, create=create)


def _told(row: KeyRow, secret: str, *, as_json: bool) -> int:
    """The key to standard output, alone on its line, so that a script can take it."""
    if as_json:
        say_json({**_as_object(row), "key": secret})
    else:
        complain(f"the key of {row.name}; it is shown this once:")
        say(secret)
    return ALL_DONE


def _cells(row: KeyRow) -> tuple[str | None, ...]:
    rights = ", ".join(sorted(row.rights))
    agents = "all" if row.agents is None else ", ".join(sorted(row.agents))
    return (
        row.name,
        f"aok_{row.handle}",
        rights,
        agents,
        when(row.created_ns),
        when(row.expires_ns),
        when(row.revoked_ns),
    )


def _as_object(row: KeyRow) -> dict[str, object]:
    return {
        "name": row.name,
        "handle": row.handle,
        "rights": sorted(row.rights),
        "agents": None if row.agents is None else sorted(row.agents),
        "created_ns": row.created_ns,
        "expires_ns": row.expires_ns,
        "revoked_ns": row.revoked_ns,
    }
