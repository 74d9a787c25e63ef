# SPDX-License-Identifier: Apache-2.0
"""One gateway from its start to its end: ledger, assembly, signals, delivery, and the doors before them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.applications import Starlette

from agent_outcomes.gateway.access.admission import Admission, NotAdmitted
from agent_outcomes.gateway.access.blocking import BlockingCalls
from agent_outcomes.gateway.access.context import GatewayContext
from agent_outcomes.gateway.access.ingest import authorizer
from agent_outcomes.gateway.assembly.assembly import Assembly
from agent_outcomes.gateway.http_api.routes import create_api
from agent_outcomes.gateway.page.routes import create_page
from agent_outcomes.gateway.receiver.authorizing import Refusal
from agent_outcomes.gateway.receiver.counts import ReceiverCounts
from agent_outcomes.gateway.receiver.grpc_server import GrpcListener, start_grpc
from agent_outcomes.gateway.receiver.http_app import OtlpHttp
from agent_outcomes.gateway.serving.addresses import OTLP_GRPC, OTLP_HTTP, bound, doors, shown, unusable_door
from agent_outcomes.gateway.serving.exposition import Part
from agent_outcomes.gateway.serving.forwarding import Forwarder
from agent_outcomes.gateway.serving.health import create_health
from agent_outcomes.gateway.serving.http_listener import HttpListener
from agent_outcomes.gateway.serving.intake import GatewayIntake
from agent_outcomes.gateway.serving.vitals import Watch
from agent_outcomes.gateway.signals.taking import Signals
from agent_outcomes.ledger.delivery.deliverer import Deliverer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp

    from agent_outcomes.gateway.serving.addresses import GatewayDoor
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.ledger.delivery.targets import DeliveryTargets
    from agent_outcomes.ledger.store import Store
    from agent_outcomes.otel_variables import OtlpSignal
    from agent_outcomes.otlp.endpoints import Target

ANSWERING_S: Final = 10.0
"""How long requests under way may still be answered at the end."""
DRAINING_S: Final = 8.0
DELIVERING_S: Final = 5.0
FORWARDING_S: Final = 2.0


class Sending(NamedTuple):
    """Where a gateway delivers and forwards to, `None` where it does not."""

    deliver_to: DeliveryTargets | None = None
    forward_to: Mapping[OtlpSignal, Target] | None = None


class OpenDoor(NamedTuple):
    """A listener that takes connections: what it serves, and where."""

    serves: str
    place: str


class Gateway:
    """Serves from `start` to `stop`, on the event loop that both are called on. The constructor does blocking work.

    Raises `JournalError` where the state folder cannot be used, and `VerdictError`.
    """

    def __init__(self, settings: GatewaySettings, store: Store, sending: Sending) -> None:
        self._settings = settings
        self._store = store
        self._calls = BlockingCalls()
        admission = Admission(store, self._calls.run, settings.access)
        self._context = GatewayContext(store, settings, self._calls.run, admission)
        self._signals = Signals(settings, store, self._calls.run)
        self._assembly = Assembly(settings, store, signals=self._signals)
        self._forwarder = None if sending.forward_to is None else Forwarder(sending.forward_to)
        self._deliverer = None if sending.deliver_to is None else Deliverer(lambda: store, sending.deliver_to)
        self._intake = GatewayIntake(self._assembly, self._signals, self._forwarder)
        self._watch = Watch(settings, store, self._deliverer, self._journal_bytes, self._signals.advice)
        self._received = ReceiverCounts()
        self._admit = authorizer(self._context)
        self._limits = settings.receiver
        self._listeners: dict[str, HttpListener] = {}
        self._grpc: GrpcListener | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> list[OpenDoor]:
        """Open the doors; where they are. Raises `GatewayFailure` where one cannot be opened."""
        self._tasks = [
            asyncio.create_task(self._assembly.run(), name="agent-outcomes-assembly"),
            asyncio.create_task(self._watch.run(), name="agent-outcomes-watch"),
        ]
        for part in (self._deliverer, self._forwarder):
            if part is not None:
                part.start()
        return [OpenDoor(door.serves, await self._open(door)) for door in doors(self._settings)]

    async def failed(self) -> str:
        """Wait until a part of the gateway fails that it cannot be without; which, and by what class of error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = next(iter(done))
        error = None if task.cancelled() else task.exception()
        return f"{task.get_name()}: {'it ended' if error is None else type(error).__qualname__}"

    async def stop(self) -> None:
        """Take nothing more, keep what was taken, deliver what can be delivered soon, and let go of everything."""
        self._watch.is_ending = True
        self._intake.close()
        stopping = [listener.stop(ANSWERING_S) for listener in self._listeners.values()]
        if self._grpc is not None:
            stopping.append(self._grpc.stop(ANSWERING_S))
        await asyncio.gather(*stopping)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._assembly.drain(DRAINING_S)
        await asyncio.gather(asyncio.to_thread(self._stop_forwarding), asyncio.to_thread(self._stop_delivering))
        await asyncio.to_thread(self._assembly.close)
        self._calls.close()

    def parts(self) -> tuple[Part, ...]:
        """What each part has counted."""
        counted = [
            Part("intake", self._intake.counts()),
            Part("receiver", self._received.counts()),
            Part("assembly", self._assembly.counts()),
            Part("signals", self._signals.counts()),
            *(Part(name, listener.counts()) for name, listener in self._listeners.items()),
        ]
        if self._forwarder is not None:
            counted.append(Part("forward", self._forwarder.counts()))
        return tuple(counted)

    async def _open(self, door: GatewayDoor) -> str:
        """Open one door; where it is."""
        if door.option == OTLP_GRPC:
            return shown(door.address.host, await self._open_grpc(door))
        opened = bound(door)
        port = opened.getsockname()[1]
        name, app = self._app_behind(door)
        self._listeners[name] = HttpListener(app, opened, self._limits)
        await self._listeners[name].start()
        return f"http://{shown(door.address.host, port)}"

    async def _open_grpc(self, door: GatewayDoor) -> int:
        # gRPC says what is wrong in a log of its own only.
        bound(door).close()
        try:
            self._grpc = await start_grpc(door.address, self._intake, self._authorize, self._limits, self._received)
        except OSError as error:
            raise unusable_door(door, str(error)) from None
        return self._grpc.port

    async def _authorize(self, headers: Mapping[str, str], peer_host: str | None) -> Refusal | Sender | None:
        """Who sends with these headers, or why they may not ingest."""
        found = await self._admit(headers, peer_host)
        if isinstance(found, NotAdmitted):
            return Refusal(found.status, found.message, found.retry_after_s)
        return found

    def _app_behind(self, door: GatewayDoor) -> tuple[str, ASGIApp]:
        if door.option == OTLP_HTTP:
            return "otlp_http", OtlpHttp(self._intake, self._authorize, self._limits, self._received)
        health = create_health(self._context, self._watch.readiness, self.parts)
        return "listen", Starlette(routes=[*health, *create_api(self._context), *create_page(self._context)])

    def _journal_bytes(self) -> int:
        return self._assembly.counts().journal_bytes_now

    def _stop_forwarding(self) -> None:
        if self._forwarder is not None:
            self._forwarder.stop(FORWARDING_S)

    def _stop_delivering(self) -> None:
        if self._deliverer is not None:
            self._deliverer.shutdown(DELIVERING_S)
