# SPDX-License-Identifier: Apache-2.0
"""The way to a receiver: name, port, TLS; and which language a port speaks, asked only where a probe has failed."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from agent_outcomes.otel_variables import HTTP

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.otlp.endpoints import Target

AnswerT = TypeVar("AnswerT")

DNS_MAX_S: Final = 3.0
CONNECT_MAX_S: Final = 3.0
TLS_MAX_S: Final = 3.0
LANGUAGE_MAX_S: Final = 1.5
# A client's preface and an empty SETTINGS frame: HTTP/2 servers answer with their SETTINGS, older ones with an error.
_HTTP2_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_SETTINGS_FRAME_TYPE: Final = 4
# Simple servers answer a version that they do not know without a status line.
_HTML_BEGINNINGS: Final = frozenset({b"<html", b"<!doc"})
_FRAME_HEADER_BYTES: Final = 9
_TLS_ALERT: Final = 0x15
_PROXY_DEFAULT_PORT: Final = 80
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Deadline:
    """A point in time by which everything has to be done."""

    def __init__(self, total_s: float) -> None:
        self._end_s = time.monotonic() + total_s

    def left_s(self, at_most_s: float = float("inf")) -> float:
        """The seconds that are left, never less than nothing."""
        return max(0.0, min(at_most_s, self._end_s - time.monotonic()))


class Language(Enum):
    """What a port speaks."""

    TLS = auto()
    HTTP1 = auto()
    HTTP2 = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy that stands before a target, and the variable that says so."""

    host: str
    port: int
    variable: str


def within(limit_s: float, ask: Callable[[], AnswerT]) -> AnswerT:
    """The result of `ask`, or what it raised; `TimeoutError` if it takes longer, for calls that know no limit."""
    results: list[AnswerT] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        message = f"no answer within {limit_s:.1f} s"
        raise TimeoutError(message)
    return results[0]


def proxy_of(target: Target) -> Proxy | None:
    """The proxy that the exporter would go through, by the usual variables. Never raises."""
    scheme = "https" if target.is_secure else "http"
    url = f"{scheme}://{target.host}:{target.port}"
    with contextlib.suppress(ValueError):
        proxy = select_proxy(url, get_environ_proxies(url)) if target.host else None
        if proxy:
            parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
            variable = next((name for name in names if os.environ.get(name)), names[0])
            return Proxy(parts.hostname or "", parts.port or _PROXY_DEFAULT_PORT, variable)
    return None


def resolve(host: str, port: int, limit_s: float) -> int:
    """How many addresses a host name has. Raises `OSError`, `TimeoutError` among them, where it has none."""
    return len(within(limit_s, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect(host: str, port: int, limit_s: float) -> None:
    """Open a connection and close it. Raises `OSError` where nothing takes it."""
    within(limit_s, lambda: socket.create_connection((host, port), limit_s).close())


def shake_hands(target: Target, limit_s: float) -> None:
    """One TLS handshake as the exporter makes it. Raises `OSError`, `ssl.SSLError` among them."""
    context = ssl.create_default_context(cafile=target.ca_file.value or _default_ca_file())
    if target.client_certificate_file:
        context.load_cert_chain(target.client_certificate_file, target.client_key_file or None)
    context.set_alpn_protocols(["http/1.1" if target.protocol == HTTP else "h2"])
    with (
        socket.create_connection((target.host, target.port), limit_s) as connection,
        context.wrap_socket(connection, server_hostname=target.host),
    ):
        pass


def language_of(host: str, port: int, limit_s: float) -> Language:
    """What the port speaks to one who says as little as possible. Never raises."""
    first = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), limit_s) as connection:
        connection.sendall(_HTTP2_HELLO)
        while len(first) < _FRAME_HEADER_BYTES and (chunk := connection.recv(512)):
            first += chunk
    if first.startswith(b"HTTP/"):
        return Language.TLS if b"HTTPS" in first else Language.HTTP1
    if first.lstrip()[:5].lower() in _HTML_BEGINNINGS:
        return Language.HTTP1
    if len(first) >= _FRAME_HEADER_BYTES and first[3] == _SETTINGS_FRAME_TYPE:
        return Language.HTTP2
    if first[:1] == bytes([_TLS_ALERT]) or _speaks_tls(host, port, limit_s):
        return Language.TLS
    return Language.UNKNOWN


def _speaks_tls(host: str, port: int, limit_s: float) -> bool:
    context = ssl.create_default_context()
    # Only the language matters here; nothing is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), limit_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def _default_ca_file() -> str:
    return next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), DEFAULT_CA_BUNDLE_PATH)
