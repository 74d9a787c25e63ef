# SPDX-License-Identifier: Apache-2.0
"""The gateway's API on a real server of its own, on a free port of this machine."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette

from agent_outcomes.gateway.access.admission import Admission
from agent_outcomes.gateway.access.blocking import BlockingCalls
from agent_outcomes.gateway.access.context import GatewayContext
from agent_outcomes.gateway.http_api.routes import create_api
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

STARTED_IN_S = 30.0


@pytest.fixture
def kept(ledger_url: str) -> Iterator[Store]:
    """An empty ledger of a gateway, on each engine in turn."""
    opened = Store.open(read_location(ledger_url))
    yield opened
    opened.close()


class _Server(uvicorn.Server):
    """Says when it listens, and takes no signals: it is not the only thing in this process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


@contextmanager
def served(app: ASGIApp, host: str = "127.0.0.1") -> Iterator[str]:
    """The URL at which an application is served."""
    server = _Server(
        uvicorn.Config(app, host, 0, lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.listens.wait(STARTED_IN_S)
    try:
        yield f"http://{host}:{server.port}"
    finally:
        server.should_exit = True
        thread.join(STARTED_IN_S)


@contextmanager
def context_of(store: Store, **settings: Any) -> Iterator[GatewayContext]:
    """What a gateway with that ledger works with."""
    calls = BlockingCalls()
    made = GatewaySettings(str(store.location), Path.cwd(), **settings)
    try:
        yield GatewayContext(store, made, calls.run, Admission(store, calls.run, made.access))
    finally:
        calls.close()


@contextmanager
def api_of(store: Store, **settings: Any) -> Iterator[str]:
    """The URL of an API with that ledger."""
    with context_of(store, **settings) as context, served(Starlette(routes=create_api(context))) as url:
        yield url
