# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP with Protobuf: one request, no redirect, one deadline, a reply of bounded size."""

from __future__ import annotations

import gzip
import time
import zlib
from typing import TYPE_CHECKING, Final

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
from agent_outcomes.otlp.http_exchange import (
    USER_AGENT,
    HttpConnection,
    HttpReply,
    basic_authorization,
    failure_of,
    trusting,
)
from agent_outcomes.otlp.replies import PROTOBUF, inflated, media_type, partial_success, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.endpoints import Target

_COMPRESSION_LEVEL: Final = 6


class HttpTransport:
    """Sends requests to one target over one connection, which is kept open. Not to be shared by a forked child.

    Raises `OSError` or `ssl.SSLError` where a certificate file cannot be read.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._url = without_user(target.url)
        context = None
        if target.is_secure:
            context = trusting(target.ca_file.value, target.client_certificate_file, target.client_key_file)
        self._connection = HttpConnection(target.host, target.port, context)
        self._headers = _headers(target)

    def send(self, payload: bytes, timeout_s: float) -> Answer:
        """The receiver's answer to a serialised request. Raises what urllib3 raises; `answer_to` says what it means."""
        body = _compressed(payload, self._target.compression)
        return self._answer(self._connection.ask("POST", self._url, body, self._headers, timeout_s))

    def answer_to(self, error: Exception) -> Answer:
        """What an exception of `send` means. Never raises."""
        failure, words = failure_of(error)
        return without_answer(failure, self._shown(words))

    def close(self) -> None:
        """End what is under way, from whatever thread, and let the connection go. Never raises."""
        self._connection.close()

    def _answer(self, reply: HttpReply) -> Answer:
        headers, content = reply.headers, reply.content
        kind = media_type(headers.get("content-type", ""))
        is_too_large = len(content) > REPLY_MAX_BYTES
        content = inflated(content, headers.get("content-encoding", ""))
        ruling = of_http_status(reply.status)
        if ruling is not None:
            words = headers.get("location", "") if reply.status // 100 == 3 else words_of(kind, content)  # noqa: PLR2004
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


def _headers(target: Target) -> Mapping[str, str]:
    # A reply is asked for as it is: what is compressed could become anything.
    headers = {"content-type": PROTOBUF, "user-agent": USER_AGENT, "accept-encoding": "identity", **target.headers}
    if target.compression in {"gzip", "deflate"}:
        headers["content-encoding"] = target.compression
    user = user_and_password(target.url)
    if user:
        headers.setdefault("authorization", basic_authorization(*user))
    return headers


def _compressed(payload: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(payload, _COMPRESSION_LEVEL, mtime=0)
    return zlib.compress(payload, _COMPRESSION_LEVEL) if compression == "deflate" else payload
