# SPDX-License-Identifier: Apache-2.0
"""Keys: their secret is shown once and kept nowhere, and each is good for as long as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from agent_outcomes.ledger import schema
from agent_outcomes.ledger.keys import (
    PREFIX,
    KeyRefused,
    Right,
    authenticate,
    create_key,
    has_keys,
    list_keys,
    revoke_key,
    rotate_key,
)
from tests.acceptances import NS

if TYPE_CHECKING:
    from agent_outcomes.ledger.store import Store

NOW = 1_750_000_000 * NS
BOTH = frozenset({Right.REPORT, Right.READ})


def test_a_key_is_known_again_by_its_secret(store: Store) -> None:
    """It has the name, the rights and the agents that it was made with, and so has it in the list."""
    assert not has_keys(store)
    key, secret = create_key(store, "crm für Ämter", rights=BOTH, agents=["support", "坊"], now_ns=NOW)
    assert (key.name, key.rights, key.agents, key.created_ns) == (
        "crm für Ämter",
        BOTH,
        frozenset({"support", "坊"}),
        NOW,
    )
    assert authenticate(store, secret) == key
    assert list_keys(store) == [key]
    assert has_keys(store)
    assert secret.startswith(f"{PREFIX}{key.handle}_")


def test_secrets_differ_and_are_kept_nowhere(store: Store) -> None:
    """No two are alike, and nothing that is kept, or shown of a key, holds one or its random part."""
    made = [create_key(store, f"key {number}", rights=[Right.INGEST]) for number in range(20)]
    assert len({secret for _, secret in made}) == len({key.handle for key, _ in made}) == 20
    assert min(len(secret) for _, secret in made) >= len(PREFIX) + 32
    with store.database.reading() as connection:
        kept = repr(connection.execute(select(schema.api_keys)).all())
    for key, secret in made:
        hidden = secret.removeprefix(f"{PREFIX}{key.handle}_")
        assert hidden not in kept
        assert hidden not in repr(key)


def test_what_is_no_secret_is_nobodys(store: Store) -> None:
    """Nor is a secret with a character changed, added or taken away."""
    key, secret = create_key(store, "one", rights=[Right.READ])

    @settings(max_examples=30, deadline=None)
    @given(st.text() | st.binary().map(repr), st.integers(0, len(secret)), st.characters())
    def is_nobodys(text: str, place: int, character: str) -> None:
        changed = secret[:place] + character + secret[place + 1 :]
        for wrong in {text, changed, secret + character, secret[:place], f" {secret}", secret.upper()} - {secret}:
            assert authenticate(store, wrong) is None

    is_nobodys()
    assert authenticate(store, secret) == key


def test_revoked_is_revoked(store: Store) -> None:
    """At once, for all keys of the name; another may take the name, and whoever comes still needs a key."""
    _, old = create_key(store, "crm", rights=BOTH, now_ns=NOW)
    _, new = rotate_key(store, "crm", 3600, now_ns=NOW + 1)
    assert revoke_key(store, "crm", now_ns=NOW + 2) == 2
    assert authenticate(store, old, now_ns=NOW + 3) is authenticate(store, new, now_ns=NOW + 3) is None
    assert has_keys(store)
    with pytest.raises(KeyRefused, match="no key named 'crm' is in use"):
        revoke_key(store, "crm")
    with pytest.raises(KeyRefused, match="no key named 'crm' is in use"):
        rotate_key(store, "crm", 1)
    _, other = create_key(store, "crm", rights=[Right.ADMIN])
    assert authenticate(store, other) is not None
    assert [key.revoked_ns for key in list_keys(store)] == [NOW + 2, NOW + 2, None]


def test_rotation_overlaps(store: Store) -> None:
    """Both are good until the overlap ends; rotating again does not lengthen the life of the first."""
    first, one = create_key(store, "crm", rights=BOTH, agents=["support"], now_ns=NOW)
    second, two = rotate_key(store, "crm", 60, now_ns=NOW)
    assert (second.name, second.rights, second.agents) == (first.name, first.rights, first.agents)
    third, three = rotate_key(store, "crm", 3600, now_ns=NOW + 10 * NS)
    found = [authenticate(store, secret, now_ns=NOW + 59 * NS) for secret in (one, two, three)]
    assert [key and key.id for key in found] == [first.id, second.id, third.id]
    found = [authenticate(store, secret, now_ns=NOW + 60 * NS) for secret in (one, two, three)]
    assert [key and key.id for key in found] == [None, second.id, third.id]
    found = [authenticate(store, secret, now_ns=NOW + 3610 * NS) for secret in (one, two, three)]
    assert [key and key.id for key in found] == [None, None, third.id]
    _, four = rotate_key(store, "crm", 0, now_ns=NOW + 4000 * NS)
    assert authenticate(store, three, now_ns=NOW + 4000 * NS) is None
    assert authenticate(store, four, now_ns=NOW + 4000 * NS) is not None


@pytest.mark.parametrize("name", ["", " crm", "crm\n", "a\x00b", "x" * 101])
def test_name_that_cannot_be_taken(store: Store, name: str) -> None:
    """What is said names the rule."""
    with pytest.raises(KeyRefused, match="printable characters"):
        create_key(store, name, rights=BOTH)
    with pytest.raises(KeyRefused, match="in use"):
        revoke_key(store, name)


def test_what_else_cannot_be_taken(store: Store) -> None:
    """A name in use, no right, no agent, a time that is none."""
    create_key(store, "crm", rights=BOTH)
    with pytest.raises(KeyRefused, match="'crm' is in use; rotate it"):
        create_key(store, "crm", rights=BOTH)
    with pytest.raises(KeyRefused, match="a right at least: ingest, read, report, correct, admin"):
        create_key(store, "a", rights=[])
    for agents in ([], [""], ["x" * 257], [str(number) for number in range(101)]):
        with pytest.raises(KeyRefused, match="1 to 100 agents"):
            create_key(store, "a", rights=BOTH, agents=agents)
    for overlap_s in (-1, float("nan"), 1e12):
        with pytest.raises(KeyRefused, match="overlap"):
            rotate_key(store, "crm", overlap_s)
