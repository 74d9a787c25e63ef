# SPDX-License-Identifier: Apache-2.0
"""What a request says of who sends it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from agent_outcomes.gateway.access.credentials import (
    SECRET_LENGTH_MAX,
    TwoKeysError,
    is_asked_over_https,
    is_loopback,
    is_passed_on,
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


HOSTS = st.sampled_from(["127.0.0.1", "::1", "::ffff:127.0.0.1", "203.0.113.7", "2001:db8::1", "10.1.2.3", "unknown"])
NAMED = st.lists(HOSTS, min_size=1, max_size=4)


def written(host: str, port: int | None) -> str:
    """As proxies write it: IPv6 in brackets where a port is behind it."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@given(NAMED, st.none() | st.integers(1, 65_535), st.sampled_from(["x-forwarded-for", "x-real-ip", "forwarded"]))
def test_one_sender_elsewhere_is_enough_to_be_passed_on(hosts: list[str], port: int | None, name: str) -> None:
    """Whichever of the proxies names it, and in whose header."""
    texts = [written(host, port) for host in hosts]
    value = ", ".join(f'for="{text}";proto=https' for text in texts) if name == "forwarded" else ", ".join(texts)
    assert is_passed_on({"host": "localhost", name: value}) is not all(map(is_loopback, hosts))


def test_a_header_that_comes_twice_is_read_twice() -> None:
    """As of proxies that add a line of their own behind what was sent."""
    twice = [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-for", b"203.0.113.7")]
    assert is_passed_on(Headers(raw=twice))
    assert is_passed_on(Headers(raw=twice[::-1]))


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-forwarded-for": ""}, {"x-forwarded-proto": "https", "x-forwarded-host": "outcomes.example"}, {"via": "1"}],
)
def test_who_is_not_named_is_not_passed_on(headers: dict[str, str]) -> None:
    assert not is_passed_on(headers)


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [
        ({"x-forwarded-proto": "https"}, True),
        ({"x-forwarded-proto": "HTTPS, http"}, True),
        ({"forwarded": 'for=203.0.113.7;Proto="https"'}, True),
        ({"forwarded": "for=203.0.113.7;proto=https, for=10.0.0.1;proto=http"}, True),
        ({"x-forwarded-proto": "http, https"}, False),
        ({"x-forwarded-proto": "http"}, False),
        ({"forwarded": "for=203.0.113.7"}, False),
        ({}, False),
    ],
)
def test_how_the_sender_spoke_is_what_the_first_proxy_says(headers: dict[str, str], is_secure: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_asked_over_https(headers) is is_secure


@given(st.text(), st.text())
def test_no_header_of_a_proxy_raises(one: str, other: str) -> None:
    headers = {"x-forwarded-for": one, "forwarded": other, "x-forwarded-proto": one}
    is_passed_on(headers)
    is_asked_over_https(headers)
