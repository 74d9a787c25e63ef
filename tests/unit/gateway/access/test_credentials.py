# SPDX-License-Identifier: Apache-2.0
"""What a request says of who sends it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.access.credentials import (
    SECRET_LENGTH_MAX,
    TwoKeysError,
    is_loopback,
    names_this_machine,
    presented_secret,
)

pytestmark = pytest.mark.backends

SECRETS = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=SECRET_LENGTH_MAX)


@given(SECRETS, st.sampled_from(["Bearer {}", "bearer {}", "BEARER   {}", " Bearer {} "]))
def test_a_key_comes_in_either_header(secret: str, form: str) -> None:
    """As a bearer token, whatever the case of the scheme, or as an API key; or in both, if they are the same."""
    bearer = {"authorization": form.format(secret)}
    assert presented_secret(bearer) == secret
    assert presented_secret({"x-api-key": f" {secret} "}) == secret
    assert presented_secret({**bearer, "x-api-key": secret}) == secret


@given(SECRETS, SECRETS)
def test_two_different_keys_are_none(one: str, other: str) -> None:
    """Nobody guesses which is meant."""
    if one != other:
        with pytest.raises(TwoKeysError):
            presented_secret({"authorization": f"Bearer {one}", "x-api-key": other})


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Basic dTpw"}, {"cookie": "key=aok_x"}]
)
def test_elsewhere_no_key_is_looked_for(headers: dict[str, str]) -> None:
    assert presented_secret(headers) is None


@given(st.text(min_size=1))
def test_what_can_be_no_key_is_known_as_none(text: str) -> None:
    """Control characters, other scripts and very long texts never reach the ledger; nothing raises."""
    secret = presented_secret({"x-api-key": text})
    assert (
        secret is None or secret == "" or (secret.isascii() and len(secret) <= SECRET_LENGTH_MAX and min(secret) >= " ")
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_own_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", [None, "", "10.0.0.1", "192.0.2.1", "::", "::ffff:10.1.2.3", "localhost", "127.0.0.1.evil"]
)
def test_addresses_of_others(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:8321", "127.0.0.1:1", "[::1]:8321", "[::1]", "a.localhost", "localhost.", None]
)
def test_names_of_this_machine(name: str | None) -> None:
    assert names_this_machine(name)


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example:8321", "10.0.0.1", "[2001:db8::1]:80", "notlocalhost"]
)
def test_names_of_others(name: str) -> None:
    """A page of another site, whose name was made to point here."""
    assert not names_this_machine(name)


@given(st.text())
def test_no_name_raises(name: str) -> None:
    names_this_machine(name)
    is_loopback(name)
