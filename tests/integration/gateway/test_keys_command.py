# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes keys`, as people and scripts use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.keys import authenticate
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.gateway.test_serve import command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends


def test_a_key_is_printed_once_and_known_from_then_on(ledger_url: str) -> None:
    """Alone on standard output; listed without its secret; its rights and agents are the ledger's."""
    made = command(
        "keys", "create", "--ledger", ledger_url, "--name", "crm", "--agent", "bot a", "--agent", "b", "--may", "report"
    )
    assert made.returncode == 0
    (key,) = made.stdout.splitlines()
    assert "shown this once" in made.stderr
    listed = command("keys", "list", "--ledger", ledger_url, "--json")
    (row,) = map(json.loads, listed.stdout.splitlines())
    assert (row["name"], row["rights"], row["agents"]) == ("crm", ["report"], ["b", "bot a"])
    assert key not in listed.stdout
    assert key.startswith(f"aok_{row['handle']}")
    store = Store.open(read_location(ledger_url), create=False)
    found = authenticate(store, key)
    assert found is not None
    assert found.name == "crm"
    store.close()


def test_rotation_overlaps_and_revocation_does_not(ledger_url: str) -> None:
    """After a rotation both are taken for a while; after a revocation neither is."""
    first = command("keys", "create", "--ledger", ledger_url, "--name", "crm", "--may", "admin").stdout.strip()
    rotated = command("keys", "rotate", "--ledger", ledger_url, "crm", "--overlap", "1h", "--json")
    second = json.loads(rotated.stdout)["key"]
    store = Store.open(read_location(ledger_url), create=False)
    assert authenticate(store, first) is not None
    assert authenticate(store, second) is not None
    revoked = command("keys", "revoke", "--ledger", ledger_url, "crm")
    assert (revoked.returncode, revoked.stdout) == (0, "the key of crm is no longer taken\n")
    assert authenticate(store, second) is None
    store.close()


def test_names_are_told_apart(ledger_url: str) -> None:
    """A name that is taken, and one that there is not."""
    arguments = ("keys", "create", "--ledger", ledger_url, "--name", "crm", "--may", "read")
    assert command(*arguments).returncode == 0
    again = command(*arguments)
    assert (again.returncode, again.stdout) == (3, "")
    assert "crm" in again.stderr
    for verb in ("revoke", "rotate"):
        done = command("keys", verb, "--ledger", ledger_url, "nobody")
        assert (done.returncode, done.stdout) == (7, "")
        assert "nobody" in done.stderr


def test_the_ledger_is_the_gateway_s(tmp_path: Path) -> None:
    """By the variables alone, and it need not be there yet."""
    variables = {"AGENT_OUTCOMES_STATE_FOLDER": str(tmp_path / "state")}
    assert command("keys", "create", "--name", "x", "--may", "ingest", **variables).returncode == 0
    assert (tmp_path / "state" / "ledger.db").exists()
    assert command("keys", "list", **variables).stdout.splitlines()[1].startswith("x\taok_")
