# SPDX-License-Identifier: Apache-2.0
"""Sockets bound to the addresses that are listened on, and which of these only this machine reaches."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.access.credentials import is_loopback
from agent_outcomes.gateway.serving.failures import ExitCode, GatewayFailure

if TYPE_CHECKING:
    from agent_outcomes.gateway.settings import Address, GatewaySettings

OTLP_GRPC: Final = "--otlp-grpc"
OTLP_HTTP: Final = "--otlp-http"
LISTEN: Final = "--listen"
_LOCAL_NAME: Final = "localhost"


class GatewayDoor(NamedTuple):
    """One of the gateway's listeners: the option that names its address, and what it is for."""

    option: str
    serves: str
    address: Address


def doors(settings: GatewaySettings) -> tuple[GatewayDoor, ...]:
    """The listeners that are not switched off."""
    named = (
        (OTLP_GRPC, "OTLP over gRPC", settings.otlp_grpc),
        (OTLP_HTTP, "OTLP over HTTP", settings.otlp_http),
        (LISTEN, "API and page", settings.listen),
    )
    return tuple(GatewayDoor(option, serves, address) for option, serves, address in named if address is not None)


def is_loopback_address(address: Address) -> bool:
    """Whether only this machine reaches it: an address of loopback, or `localhost`."""
    return address.host.lower() == _LOCAL_NAME or is_loopback(address.host)


def bound(door: GatewayDoor) -> socket.socket:
    """A socket bound to the door's address. Raises `GatewayFailure`, which names the option and the fix."""
    host, port = door.address.host, door.address.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise unusable_door(door, error.strerror or str(error)) from None
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.setblocking(False)  # noqa: FBT003 - as the socket takes it
    except OSError as error:
        opened.close()
        raise unusable_door(door, error.strerror or str(error)) from None
    return opened


def shown(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unusable_door(door: GatewayDoor, why: str) -> GatewayFailure:
    """The failure of a door whose address cannot be listened on."""
    place = shown(door.address.host, door.address.port)
    message = f"{door.option} {place} cannot be listened on: {why}; give another address, or {door.option} none"
    return GatewayFailure(ExitCode.CANNOT_LISTEN, message)
