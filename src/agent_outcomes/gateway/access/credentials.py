# SPDX-License-Identifier: Apache-2.0
"""What a request says of who sends it: the key in its headers, and whether it comes from this machine. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_LENGTH_MAX: Final = 256
KEY_HEADER: Final = "x-api-key"
_AUTHORIZATION: Final = "authorization"
_BEARER: Final = "bearer"
_FIRST_PRINTABLE: Final = "!"


class TwoKeysError(ValueError):
    """A request carries two different keys."""


def presented_secret(headers: Mapping[str, str]) -> str | None:
    """The key of a request: `Authorization: Bearer KEY` or `X-API-Key: KEY`; `None` if there is none.

    Names of `headers` are in lower case. A key is looked for nowhere else, as URLs end up in logs. Raises
    `TwoKeysError`.
    """
    scheme, _, bearer = headers.get(_AUTHORIZATION, "").strip().partition(" ")
    given = {bearer.strip()} if scheme.lower() == _BEARER else set[str]()
    given.add(headers.get(KEY_HEADER, "").strip())
    given.discard("")
    if len(given) > 1:
        raise TwoKeysError
    secret = next(iter(given), None)
    return secret if secret is None or _may_be_a_key(secret) else ""


def _may_be_a_key(secret: str) -> bool:
    return len(secret) <= SECRET_LENGTH_MAX and secret.isascii() and min(secret) >= _FIRST_PRINTABLE


def is_loopback(host: str | None) -> bool:
    """Whether an address is one of this machine's own, which no other machine can send from."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def names_this_machine(authority: str | None) -> bool:
    """Whether a `Host` header is a loopback address or `localhost`, or is not there, as HTTP/1.0 allows.

    A page of another site that has its name point here is known by it.
    """
    if not authority:
        return True
    host = authority.strip().lower()
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    host = host.removesuffix(".")
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)
