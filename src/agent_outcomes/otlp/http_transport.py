# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP with Protobuf: one request, no redirect, one deadline, a reply of bounded size."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import ssl
import time
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from agent_outcomes._version import __version__
from agent_outcomes.otlp.answers import (
    REPLY_MAX_BYTES,
    Answer,
    Failure,
    accepted,
    answered,
    asked_wait_s,
    not_otlp,
    of_http_status,
    without_answer,
)
from agent_outcomes.otlp.endpoints import redacted, user_and_password, without_user
from agent_outcomes.otlp.replies import PROTOBUF, inflated, media_type, partial_success, words_of
from agent_outcomes.otlp.timed_connection import Wire, timed_pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3.response import BaseHTTPResponse

    from agent_outcomes.otlp.endpoints import Target

USER_AGENT: Final = f"otel-agent-outcomes/{__version__}"
_COMPRESSION_LEVEL: Final = 6
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


class HttpTransport:
    """Sends requests to one target over one connection, which is kept open. Not to be shared by a forked child.

    Raises `OSError` or `ssl.SSLError` where a certificate file cannot be read.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._url = without_user(target.url)
        self._wire = Wire()
        self._manager = _manager(target, self._wire)
        self._headers = _headers(target)

    def send(self, payload: bytes, timeout_s: float) -> Answer:
        """The receiver's answer to a serialised request. Raises what urllib3 raises; `answer_to` says what it means."""
        self._wire.until_s = time.monotonic() + timeout_s
        response = self._manager.urlopen(
            "POST",
            self._url,
            body=_compressed(payload, self._target.compression),
            headers=self._headers,
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
        return self._answer(response, content)

    def answer_to(self, error: Exception) -> Answer:
        """What an exception of `send` means. Never raises."""
        failure, words = _failure_of(error)
        return without_answer(failure, self._shown(words))

    def close(self) -> None:
        """End what is under way, from whatever thread, and let the connection go. Never raises."""
        self._wire.interrupt()
        self._manager.clear()

    def _answer(self, response: BaseHTTPResponse, content: bytes) -> Answer:
        headers = response.headers
        kind = media_type(headers.get("content-type", ""))
        is_too_large = len(content) > REPLY_MAX_BYTES
        content = inflated(content, headers.get("content-encoding", ""))
        ruling = of_http_status(response.status)
        if ruling is not None:
            words = headers.get("location", "") if response.status // 100 == 3 else words_of(kind, content)  # noqa: PLR2004
            return answered(ruling, self._shown(words), asked_wait_s(headers.get("retry-after", ""), time.time()))
        if is_too_large or len(content) > REPLY_MAX_BYTES:
            return without_answer(Failure.REPLY_TOO_LARGE, f"the answer is larger than {REPLY_MAX_BYTES} bytes")
        try:
            rejected, words = partial_success(self._target.signal, kind, content)
        except ValueError:
            return not_otlp(self._shown(f"{kind}: {words_of('', content)}"))
        return accepted(rejected, self._shown(words))

    def _shown(self, words: str) -> str:
        return redacted(words, self._target.secrets)


def _failure_of(error: BaseException) -> tuple[Failure, str]:
    """What an exception means, and its innermost words."""
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


def _manager(target: Target, wire: Wire) -> urllib3.PoolManager:
    # Before urllib3 2 what a context says of certificates is overruled by a default of not looking at them.
    keywords: dict[str, Any] = {}
    if target.is_secure:
        keywords = {"ssl_context": _context(target), "cert_reqs": "CERT_REQUIRED"}
    proxy = _proxy_of(target)
    manager: urllib3.PoolManager
    if proxy:
        user = user_and_password(proxy)
        headers = {"proxy-authorization": _basic(*user)} if user else None
        manager = urllib3.ProxyManager(without_user(proxy), 1, None, headers, maxsize=1, **keywords)
    else:
        manager = urllib3.PoolManager(1, maxsize=1, **keywords)
    manager.pool_classes_by_scheme = dict(timed_pools(wire))
    return manager


def _context(target: Target) -> ssl.SSLContext:
    bundle = target.ca_file.value or next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), "")
    is_folder = os.path.isdir(bundle)  # noqa: PTH112 - the variable holds a text
    # urllib3's own kind: each of its versions compares names in its own way.
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(None if is_folder else bundle or certifi.where(), bundle if is_folder else None)
    if target.client_certificate_file:
        context.load_cert_chain(target.client_certificate_file, target.client_key_file or None)
    return context


def _proxy_of(target: Target) -> str:
    """The URL of the proxy that the environment names for the target; empty if none."""
    if proxy_bypass(f"{target.host}:{target.port}"):
        return ""
    proxies = getproxies()
    proxy = proxies.get("https" if target.is_secure else "http") or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _headers(target: Target) -> Mapping[str, str]:
    # A reply is asked for as it is: what is compressed could become anything.
    headers = {"content-type": PROTOBUF, "user-agent": USER_AGENT, "accept-encoding": "identity", **target.headers}
    if target.compression in {"gzip", "deflate"}:
        headers["content-encoding"] = target.compression
    user = user_and_password(target.url)
    if user:
        headers.setdefault("authorization", _basic(*user))
    return headers


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _compressed(payload: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(payload, _COMPRESSION_LEVEL, mtime=0)
    return zlib.compress(payload, _COMPRESSION_LEVEL) if compression == "deflate" else payload
