# SPDX-License-Identifier: Apache-2.0
"""Both OTLP listeners on free ports of this machine, before an intake that keeps what it is given."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from agent_outcomes.gateway.receiver.counts import ReceiverCounts
from agent_outcomes.gateway.receiver.grpc_server import start_grpc
from agent_outcomes.gateway.receiver.http_app import OtlpHttp
from agent_outcomes.gateway.settings import LOOPBACK, Address, ReceiverLimits
from agent_outcomes.gateway.wire.frames import check_request, frame_logs, frame_traces
from agent_outcomes.gateway.wire.intake import ExportRequest, Taken
from agent_outcomes.otel_variables import OtlpSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_outcomes.gateway.receiver.authorizing import Authorizer, Refusal

STARTED_IN_S = 30.0


async def _is_set(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110 - it is set by another thread
        await asyncio.sleep(0.005)


@dataclass
class KeepingIntake:
    """Keeps requests that can be framed; raises `failure` while there is one, and waits while `gate` is shut.

    `failures` are raised one after the other, once each.
    """

    requests: list[ExportRequest] = field(default_factory=list)
    failure: Exception | None = None
    failures: list[Exception] = field(default_factory=list)
    message: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def take(self, request: ExportRequest) -> Taken:
        rejected = 0
        if request.signal is OtlpSignal.TRACES:
            rejected = sum(frames.rejected for frames in frame_traces(request.body))
        elif request.signal is OtlpSignal.LOGS:
            frame_logs(request.body)
        else:
            check_request(request.body)
        self.waiting += 1
        await _is_set(self.gate)
        self.waiting -= 1
        if self.failures:
            raise self.failures.pop(0)
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        return Taken(rejected, "spans without ids" if rejected else self.message)


@dataclass(frozen=True)
class Listeners:
    """Where they listen, and what they count."""

    url: str
    target: str
    counts: ReceiverCounts
    intake: KeepingIntake

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


async def anybody(headers: Mapping[str, str], peer_host: str | None) -> Refusal | None:
    """Everyone may send."""
    assert all(name == name.lower() for name in headers)
    assert peer_host == LOOPBACK
    return None


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once it is so; raises AssertionError if it is not in time."""
    until_s = time.monotonic() + STARTED_IN_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


@contextmanager
def listening(
    limits: ReceiverLimits | None = None, authorize: Authorizer = anybody, intake: KeepingIntake | None = None
) -> Iterator[Listeners]:
    """Both listeners, on one event loop of a thread of its own."""
    keeping = intake or KeepingIntake()
    started: list[Listeners] = []
    is_started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        bounds, counts = limits or ReceiverLimits(), ReceiverCounts()
        app: Any = OtlpHttp(keeping, authorize, bounds, counts)
        grpc = await start_grpc(Address(LOOPBACK, 0), keeping, authorize, bounds, counts)
        config = uvicorn.Config(app, LOOPBACK, 0, lifespan="off", log_config=None, ws="none", loop="asyncio")
        config.load()
        http = uvicorn.Server(config)
        http.lifespan = config.lifespan_class(config)
        await http.startup()
        port = http.servers[0].sockets[0].getsockname()[1]
        started.append(Listeners(f"http://{LOOPBACK}:{port}", f"{LOOPBACK}:{grpc.port}", counts, keeping))
        is_started.set()
        await _is_set(stop)
        config.timeout_graceful_shutdown = 1
        await http.shutdown()
        await grpc.stop(1)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert is_started.wait(STARTED_IN_S)
    try:
        yield started[0]
    finally:
        keeping.gate.set()
        stop.set()
        thread.join(STARTED_IN_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    """Both, for all tests of a module."""
    with listening() as found:
        yield found
