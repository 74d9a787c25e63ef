# SPDX-License-Identifier: Apache-2.0
"""HTTP connections that keep one deadline over all they do, and that another thread can interrupt.

urllib3's timeouts, as those of `socket`, begin anew with every piece that arrives: a server that sends a byte now and
then holds a client for as long as it likes. Here each piece is waited for until the deadline and no longer.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - by the first look-up of a name: a child forked amid that would be without it for good
import io
import socket
import time
from functools import partial
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Mapping

# Interim answers (RFC 9110, 15.2), after which the true one comes; 101 ends what HTTP there was.
_INTERIM: Final = range(102, 200)
_LONG_AGO_S: Final = 0.001


class Wire:
    """The one connection of a client, its deadline in monotonic seconds, and whether it was interrupted."""

    def __init__(self) -> None:
        self.until_s = 0.0
        self.is_interrupted = False
        self._socket: socket.socket | None = None

    def left_s(self) -> float:
        """The seconds left. Raises `TimeoutError` where there are none."""
        if self.is_interrupted:
            message = "closed"
            raise ConnectionAbortedError(message)
        left_s = self.until_s - time.monotonic()
        if left_s < _LONG_AGO_S:
            message = "no answer in time"
            raise TimeoutError(message)
        return left_s

    def watch(self, connected: socket.socket) -> None:
        """Take this for what is interrupted, from now on."""
        self._socket = connected

    def interrupt(self) -> None:
        """Have whatever waits for the connection wait no more. Never raises."""
        self.is_interrupted = True
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                # Of an SSLSocket, too, without its goodbye, for which it would wait.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _TimedReader(io.RawIOBase):
    """What a socket receives, each piece waited for until the deadline."""

    def __init__(self, receiving: socket.socket, wire: Wire) -> None:
        super().__init__()
        self._receiving = receiving
        self._raw = receiving.makefile("rb", buffering=0)
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        # A reply that says that it is the last one lets the socket go, which is then the file's alone.
        if self._receiving.fileno() >= 0:
            self._receiving.settimeout(self._wire.left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """Of a socket only what a response takes from it."""

    def __init__(self, receiving: socket.socket, wire: Wire) -> None:
        self._receiving = receiving
        self._wire = wire

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._receiving, self._wire))


class _TimedResponse(HTTPResponse):
    """A response that passes over interim ones."""

    def __init__(self, receiving: socket.socket, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(receiving, wire), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        while self.status in _INTERIM:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class _TimedConnection(HTTPConnection):
    """A plain connection, or one to a proxy."""

    def __init__(self, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wire = wire
        self.response_class = partial(_TimedResponse, wire=wire)  # type: ignore[assignment]

    def _new_conn(self) -> socket.socket:
        return _connected(self)

    def connect(self) -> None:
        super().connect()
        self.wire.watch(self.sock)


class _TimedTlsConnection(_TimedConnection, HTTPSConnection):
    """The same under TLS."""


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection  # pyright: ignore[reportAssignmentType] # urllib3's own are none either


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection  # pyright: ignore[reportAssignmentType]


def timed_pools(wire: Wire) -> Mapping[str, Any]:
    """The pools of a urllib3 manager, by scheme."""
    return {"http": partial(_TimedPool, wire=wire), "https": partial(_TimedTlsPool, wire=wire)}


def _connected(connection: _TimedConnection) -> socket.socket:
    """A connection to the first address that takes one. Raises `OSError`."""
    wire = connection.wire
    host, port = getattr(connection, "_dns_host", connection.host).strip("[]"), connection.port
    error: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connecting.settimeout(wire.left_s())
            wire.watch(connecting)
            connecting.connect(address)
            connecting.settimeout(wire.left_s())
        except OSError as failure:
            connecting.close()
            error = failure
        else:
            return connecting
    raise error or OSError("the name has no address")
