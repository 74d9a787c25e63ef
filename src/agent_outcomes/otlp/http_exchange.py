# SPDX-License-Identifier: Apache-2.0
"""One HTTP request and its answer: no redirect, one deadline, a reply of bounded size, proxies and authorities as set.

Raises what urllib3 raises; `failure_of` says what it means.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from agent_outcomes._version import __version__
from agent_outcomes.otlp.answers import REPLY_MAX_BYTES, Failure
from agent_outcomes.otlp.endpoints import user_and_password, without_user
from agent_outcomes.otlp.timed_connection import Wire, timed_pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3._collections import HTTPHeaderDict

USER_AGENT: Final = f"otel-agent-outcomes/{__version__}"
# What HTTP clients of Python take a bundle of authorities from, where OpenTelemetry's own variable names none.
_BUNDLE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What stands behind an exception, the most telling first.
_CAUSES: Final[tuple[tuple[type[BaseException], Failure], ...]] = (
    (ssl.SSLCertVerificationError, Failure.TLS),
    (socket.gaierror, Failure.NOT_RESOLVED),
    (ConnectionRefusedError, Failure.CONNECTION_REFUSED),
    (TimeoutError, Failure.TIMEOUT),
    (ssl.SSLEOFError, Failure.CONNECTION_LOST),
    (ssl.SSLZeroReturnError, Failure.CONNECTION_LOST),
    (ssl.SSLError, Failure.TLS),
    (ConnectionError, Failure.CONNECTION_LOST),
    (http.client.IncompleteRead, Failure.REPLY_CUT),
    (http.client.HTTPException, Failure.UNREADABLE),
    (urllib3.exceptions.SSLError, Failure.TLS),
    (urllib3.exceptions.ProxyError, Failure.UNREACHABLE),
    (OSError, Failure.UNREACHABLE),
    (HTTPError, Failure.UNREADABLE),
)


class HttpReply(NamedTuple):
    """An answer; of a body that is larger than `REPLY_MAX_BYTES` a little more than that."""

    status: int
    headers: HTTPHeaderDict
    content: bytes


class HttpConnection:
    """One connection to one server, which is kept open. Not to be shared by a forked child."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._wire = Wire()
        self._manager = _manager(host, port, context, self._wire)

    def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> HttpReply:
        """The answer to one request. Raises what urllib3 raises."""
        self._wire.until_s = time.monotonic() + timeout_s
        response = self._manager.urlopen(
            method,
            url,
            body=body,
            headers=headers,
            timeout=Timeout(timeout_s),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            enforce_content_length=True,
        )
        is_whole = False
        try:
            content = response.read(REPLY_MAX_BYTES + 1, decode_content=False)
            while len(content) <= REPLY_MAX_BYTES and (piece := response.read(REPLY_MAX_BYTES, decode_content=False)):
                content += piece
            is_whole = len(content) <= REPLY_MAX_BYTES
        finally:
            if is_whole:
                response.release_conn()
            else:
                response.close()
        return HttpReply(response.status, response.headers, content)

    def close(self) -> None:
        """End what is under way, from whatever thread, and let the connection go. Never raises."""
        self._wire.interrupt()
        self._manager.clear()


def failure_of(error: BaseException) -> tuple[Failure, str]:
    """What an exception of `ask` means, and its innermost words. Never raises."""
    chain = list(_chain(error))
    for kind, failure in _CAUSES:
        for one in chain:
            if isinstance(one, kind):
                return failure, str(one) or type(one).__name__
    return Failure.CANNOT_SEND, f"{type(error).__name__}: {error}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what is behind it; urllib3 puts some causes among the arguments."""
    waiting, seen = [error], list[BaseException]()
    while waiting:
        one = waiting.pop()
        if any(one is before for before in seen):
            continue
        seen.append(one)
        yield one
        behind = (*one.args, one.__cause__, one.__context__)
        waiting += [other for other in behind if isinstance(other, BaseException)]


def trusting(bundle: str = "", certificate_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """What a server under TLS is trusted by: this bundle, else the one of the environment, else certifi's.

    Raises `OSError` or `ssl.SSLError` where a file cannot be read.
    """
    authorities = bundle or next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), "")
    is_folder = os.path.isdir(authorities)  # noqa: PTH112 - the variable holds a text
    # urllib3's own kind: each of its versions compares names in its own way.
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(
        None if is_folder else authorities or certifi.where(), authorities if is_folder else None
    )
    if certificate_file:
        context.load_cert_chain(certificate_file, key_file or None)
    return context


def basic_authorization(user: str, password: str) -> str:
    """The value of a header that carries user and password."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _manager(host: str, port: int, context: ssl.SSLContext | None, wire: Wire) -> urllib3.PoolManager:
    # Before urllib3 2 what a context says of certificates is overruled by a default of not looking at them.
    keywords: dict[str, Any] = {} if context is None else {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}
    proxy = _proxy_of(host, port, is_secure=context is not None)
    manager: urllib3.PoolManager
    if proxy:
        user = user_and_password(proxy)
        headers = {"proxy-authorization": basic_authorization(*user)} if user else None
        manager = urllib3.ProxyManager(without_user(proxy), 1, None, headers, maxsize=1, **keywords)
    else:
        manager = urllib3.PoolManager(1, maxsize=1, **keywords)
    manager.pool_classes_by_scheme = dict(timed_pools(wire))
    return manager


def _proxy_of(host: str, port: int, *, is_secure: bool) -> str:
    """The URL of the proxy that the environment names for a server; empty if none."""
    if proxy_bypass(f"{host}:{port}"):
        return ""
    proxies = getproxies()
    proxy = proxies.get("https" if is_secure else "http") or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"
