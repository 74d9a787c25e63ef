# SPDX-License-Identifier: Apache-2.0
"""What a request says of who sends it: the key in its headers, and whether it comes from this machine. Pure."""

from __future__ import annotations

import ipaddress
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET_LENGTH_MAX: Final = 256
KEY_HEADER: Final = "x-api-key"
_AUTHORIZATION: Final = "authorization"
_BEARER: Final = "bearer"
_FIRST_PRINTABLE: Final = "!"
# RFC 7239, and what proxies send in its place.
_FORWARDED: Final = "forwarded"
_FORWARDED_FOR: Final = frozenset({"x-forwarded-for", "x-real-ip"})
_FORWARDED_PROTO: Final = "x-forwarded-proto"
_UNKNOWN: Final = "unknown"
_HTTPS: Final = "https"


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
    host = _host(authority.strip().lower()).removesuffix(".")
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def is_passed_on(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it passes on what another machine has sent, or does not say whose it is.

    Without it a proxy on this machine would make everybody's requests this machine's own.
    """
    return any(not is_loopback(_host(text)) for text in _named_senders(headers))


def is_asked_over_https(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that the sender spoke HTTPS to it.

    Any sender is believed: one that is not does itself no good, as its browser keeps no secure cookie then.
    """
    listed = _listed(headers.get(_FORWARDED_PROTO, ""))
    told = (element.get("proto", "") for element in _elements(headers.get(_FORWARDED, "")))
    return next(chain(listed, told), "").lower() == _HTTPS


def _named_senders(headers: Mapping[str, str]) -> Iterator[str]:
    """Whose request it is by what proxies say, each of them."""
    # By the items: a header that comes twice is in them twice.
    for name, value in headers.items():
        if name in _FORWARDED_FOR:
            yield from _listed(value)
        elif name == _FORWARDED:
            yield from (element.get("for", _UNKNOWN) for element in _elements(value))


def _listed(value: str) -> Iterator[str]:
    return (text.strip() for text in value.split(",") if text.strip())


def _elements(value: str) -> Iterator[dict[str, str]]:
    """The elements of a `Forwarded` header, one a proxy, that of the first proxy first."""
    for element in _listed(value):
        pairs = (pair.partition("=") for pair in element.split(";"))
        yield {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}


def _host(text: str) -> str:
    """A host without its port, and an address of IPv6 without its brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
