# SPDX-License-Identifier: Apache-2.0
"""Which addresses only this machine reaches, and what sockets are bound to."""

from __future__ import annotations

import socket

import pytest

from agent_outcomes.gateway.serving.addresses import GatewayDoor, bound, is_loopback_address, shown
from agent_outcomes.gateway.serving.failures import ExitCode, GatewayFailure
from agent_outcomes.gateway.settings import Address

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    """Addresses of loopback, and the name that stands for them."""
    assert is_loopback_address(Address(host, 1))


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "localhost.example.org", "127.0.0.1.example", ""],  # noqa: S104
)
def test_not_loopback(host: str) -> None:
    """All others, whatever they look like."""
    assert not is_loopback_address(Address(host, 1))


def test_port_0_takes_a_free_one() -> None:
    """And two of them two."""
    door = GatewayDoor("--listen", "page", Address("127.0.0.1", 0))
    with bound(door) as one, bound(door) as other:
        assert one.getsockname()[1] != other.getsockname()[1]
        assert shown(*one.getsockname()) == f"127.0.0.1:{one.getsockname()[1]}"


def test_a_taken_port_is_named_with_its_option() -> None:
    """The message says which option, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        door = GatewayDoor("--otlp-http", "OTLP", Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(GatewayFailure, match=r"--otlp-http .*:\d+ cannot be .*in use") as refused:
            bound(door)
    assert refused.value.exit_code is ExitCode.CANNOT_LISTEN


def test_ipv6_has_brackets() -> None:
    """As URLs have it."""
    assert shown("::1", 80) == "[::1]:80"
