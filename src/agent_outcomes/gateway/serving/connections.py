# SPDX-License-Identifier: Apache-2.0
"""uvicorn's HTTP protocol with what it lacks: deadlines for the peer, bounds for headers, and a cap on connections.

uvicorn keeps half a header, half a body and a silent socket open for ever. Here no timer runs for a request: each
connection notes how far it is, and its listener looks once a second at those that have taken too long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_outcomes.gateway.serving.progress import ConnectionProgress, Phase

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from agent_outcomes.gateway.settings import ReceiverLimits

_TEXT: Final = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
_TOO_LARGE: Final = b"the headers are larger than this server takes"
_FULL: Final = b"too many connections; try again"
_HEADER_OVERHEAD_BYTES: Final = 4
_WITHOUT_HOST: Final = frozenset({"0.9", "1.0"})


# RFC 9112, 3.2, with RFC 3986, 3.2.2 and 3.2.3: a name or an address, and a port; all of it may be empty.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z:.%~_-]+\]|[0-9A-Za-z.~_%!$&'()*+,;=-]*)(?::[0-9]*)?")


class _HeadersTooLargeError(Exception):
    """A header block exceeds its limits; the parser passes it on as an error of its own."""


class _NoOneHostError(Exception):
    """A request does not say whom it is for, or says it twice or in no form that names anybody; passed on likewise."""


class TimedHttpProtocol(HttpToolsProtocol):
    """One connection, with its progress."""

    def __init__(
        self, config: Config, server_state: ServerState, loop: asyncio.AbstractEventLoop, limits: ReceiverLimits
    ) -> None:
        super().__init__(config, server_state, {}, loop)
        self._limits = limits
        self.progress = ConnectionProgress(loop.time())
        self._head_bytes = 0
        self._is_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, if need be in the place of one that does nothing, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) <= self._limits.connections_max:
            return
        idle = min(self._evictable(), key=lambda other: other.progress.since_s, default=None)
        if idle is not None:
            self.connections.discard(idle)
            idle.transport.abort()
        else:
            self._refuse(b"503 Service Unavailable", _FULL, b"retry-after: 1\r\n")

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a header block without an end is refused."""
        was_in_headers = self.progress.phase is Phase.HEADERS
        super().data_received(data)
        if was_in_headers and self.progress.phase is Phase.HEADERS:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.headers_max_bytes and not self.transport.is_closing():
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what was received."""
        if self._is_too_large:
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._fields = self._field_bytes = 0
        self.progress.enter(Phase.HEADERS, self.loop.time())

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._fields += 1
        self._count_head(len(name) + len(value) + _HEADER_OVERHEAD_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be handed to the application, if it says whom it is for (RFC 9112, 3.2)."""
        assert self.parser is not None  # it is what calls this
        hosts = [value for name, value in self.headers if name == b"host"]
        is_missing = not hosts and self.parser.get_http_version() not in _WITHOUT_HOST
        if is_missing or len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
            raise _NoOneHostError
        self.progress.enter(Phase.BODY, self.loop.time())
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        self.progress.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of the request has come."""
        super().on_message_complete()
        is_answered = self.cycle.response_complete
        self.progress.enter(Phase.IDLE if is_answered else Phase.ANSWER, self.loop.time())

    def on_response_complete(self) -> None:
        """The application has answered."""
        super().on_response_complete()
        if self.progress.phase is Phase.ANSWER:
            self.progress.enter(Phase.ANSWER if self.pipeline else Phase.IDLE, self.loop.time())

    def pause_writing(self) -> None:
        """The peer reads more slowly than it is written to."""
        self.progress.unread_since_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read on."""
        self.progress.unread_since_s = None
        super().resume_writing()

    def close_if_overdue(self, now_s: float, elapsed_s: float) -> bool:
        """Close the connection without a word if its peer has taken too long; whether it has."""
        if self.progress.phase is Phase.BODY and self.flow.read_paused:
            self.progress.excuse(elapsed_s)
        if not self.progress.is_overdue(now_s, self._limits):
            return False
        self.transport.abort()
        return True

    def _count_head(self, size_bytes: int) -> None:
        self._field_bytes += size_bytes
        if self._field_bytes > self._limits.headers_max_bytes or self._fields > self._limits.headers_max:
            self._is_too_large = True
            raise _HeadersTooLargeError

    def _evictable(self) -> Iterator[TimedHttpProtocol]:
        for other in self.connections:
            if isinstance(other, TimedHttpProtocol) and other is not self and other.progress.is_evictable:
                yield other

    def _refuse(self, status: bytes, words: bytes, header: bytes = b"") -> None:
        head = b"HTTP/1.1 %b\r\n%b%bcontent-length: %d\r\n\r\n" % (status, _TEXT, header, len(words))
        self.transport.write(head + words)
        self.transport.close()
