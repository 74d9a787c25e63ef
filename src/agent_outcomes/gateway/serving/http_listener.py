# SPDX-License-Identifier: Apache-2.0
"""An HTTP server for one ASGI application on one socket, in an event loop that others share."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from agent_outcomes.gateway.serving.connections import TimedHttpProtocol

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from agent_outcomes.gateway.settings import ReceiverLimits

SWEEP_S: Final = 1.0
BACKLOG: Final = 1024
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class ListenerCounts:
    """Connections there are, requests that were answered, and connections closed as their peer was too slow."""

    connections_now: int = 0
    requests: int = 0
    overdue: int = 0


class HttpListener:
    """Serves `app` on a bound socket from `start` to `stop`."""

    def __init__(self, app: ASGIApp, bound: socket.socket, limits: ReceiverLimits) -> None:
        self._socket = bound
        self._limits = limits
        self._config = Config(
            app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=round(limits.idle_timeout_s),
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._overdue = 0

    def counts(self) -> ListenerCounts:
        """How many there are and have been."""
        return ListenerCounts(len(self._state.connections), self._state.total_requests, self._overdue)

    async def start(self) -> None:
        """Take connections."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._set_date()
        self._server = await loop.create_server(
            lambda: TimedHttpProtocol(self._config, self._state, loop, self._limits), sock=self._socket, backlog=BACKLOG
        )
        self._sweeping = loop.create_task(self._sweep(), name="agent-outcomes-sweep")

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, let requests under way be answered within `grace_s`, and close all."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while self._state.connections and loop.time() < until_s:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(_POLL_S)
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = loop.time()
            self._set_date()
            for connection in list(self._state.connections):
                if isinstance(connection, TimedHttpProtocol):
                    self._overdue += connection.close_if_overdue(now_s, now_s - before_s)
            before_s = now_s

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
