# SPDX-License-Identifier: Apache-2.0
"""A gateway's HTTP listener in an event loop on a thread of its own, before an application of a test."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.serving.addresses import GatewayDoor, bound
from agent_outcomes.gateway.serving.http_listener import HttpListener
from agent_outcomes.gateway.settings import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from agent_outcomes.gateway.settings import ReceiverLimits

TIMEOUT_S: Final = 20.0
_CHUNK_BYTES: Final = 65_536


class Listening(NamedTuple):
    """A listener that runs, its port, and its loop."""

    listener: HttpListener
    port: int
    loop: asyncio.AbstractEventLoop

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)

    def stop(self, grace_s: float) -> None:
        """Stop it, from the test's thread, and wait until it is."""
        asyncio.run_coroutine_threadsafe(self.listener.stop(grace_s), self.loop).result(TIMEOUT_S)


@contextmanager
def listening(app: ASGIApp, limits: ReceiverLimits) -> Iterator[Listening]:
    """The application served on a free port of loopback."""
    opened = bound(GatewayDoor("--listen", "a test", Address("127.0.0.1", 0)))
    port = opened.getsockname()[1]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="listening", daemon=True)
    thread.start()
    listener = HttpListener(app, opened, limits)
    asyncio.run_coroutine_threadsafe(listener.start(), loop).result(TIMEOUT_S)
    made = Listening(listener, port, loop)
    try:
        yield made
    finally:
        made.stop(0.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes; an abort ends it, too."""
    content = b""
    try:
        while piece := connection.recv(_CHUNK_BYTES):
            content += piece
    except ConnectionResetError:
        return content
    return content


def answered(connection: socket.socket) -> bytes:
    """One answer with a content length."""
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(_CHUNK_BYTES)
        if not piece:
            return content
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(_CHUNK_BYTES)
    return head + b"\r\n\r\n" + body
