# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: three methods that take and give bytes, so that nothing is parsed or inflated but by us.

gRPC's own inflating takes five times as long as isal, and is bounded by nothing but what it has done already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from agent_outcomes.gateway.receiver.counts import under_way
from agent_outcomes.gateway.receiver.refusals import RefusedError
from agent_outcomes.gateway.receiver.replies import SAID_MAX, response, status
from agent_outcomes.gateway.receiver.taking import OtlpDoor
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.receiver.authorizing import Authorizer
    from agent_outcomes.gateway.receiver.counts import Held, ReceiverCounts
    from agent_outcomes.gateway.settings import Address, ReceiverLimits
    from agent_outcomes.gateway.wire.intake import Intake

SERVICES: Final[Mapping[OtlpSignal, str]] = {
    OtlpSignal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    OtlpSignal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
    OtlpSignal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
STREAMS_MAX: Final = 100
_CONNECTION_AGE_MAX_MS: Final = 3_600_000
_CONNECTION_GRACE_MS: Final = 30_000
_PING_INTERVAL_MIN_MS: Final = 60_000
# How gzip and zlib begin. No request in Protobuf does: it begins with a field 1, of a tag 0x0a.
_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = b"\x78"
_STATUS_DETAILS: Final = "grpc-status-details-bin"


class GrpcListener:
    """A server that listens; `port` is the one it got."""

    def __init__(self, server: grpc.aio.Server, port: int) -> None:
        self.port = port
        self._server = server

    async def stop(self, grace_s: float) -> None:
        """Take no more requests, and wait so long for those that are under way."""
        await self._server.stop(grace_s)


async def start_grpc(
    address: Address, intake: Intake, authorize: Authorizer, limits: ReceiverLimits, counts: ReceiverCounts
) -> GrpcListener:
    """A listener for OTLP over gRPC. Raises `OSError` where it cannot listen there."""
    server = grpc.aio.server(options=_options(limits))
    door = OtlpDoor(intake, authorize, limits, counts)
    for signal, service in SERVICES.items():
        export = _Export(door, signal).answer
        method = grpc.unary_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    host = f"[{address.host}]" if ":" in address.host else address.host
    try:
        port = server.add_insecure_port(f"{host}:{address.port}")
    except RuntimeError as error:
        message = f"cannot listen for gRPC on {host}:{address.port}"
        raise OSError(message) from error
    await server.start()
    return GrpcListener(server, port)


class _Export:
    """The method of one service: bytes as they came, to encoded bytes."""

    def __init__(self, door: OtlpDoor, signal: OtlpSignal) -> None:
        self._door = door
        self._signal = signal

    async def answer(self, packed: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The encoded response. Ends the call where it is refused."""
        door = self._door
        try:
            sender = await door.admit(_headers(context), _host(context.peer()))
            with under_way(door.counts, door.limits) as held:
                held.add(len(packed))
                return response(await door.take(self._request(packed, held)._replace(sender=sender)))
        except RefusedError as error:
            refused = error.bare()
        door.counts.refused[refused.reason] += 1
        return await _abort(context, refused)

    def _request(self, packed: bytes, held: Held) -> ExportRequest:
        if packed.startswith(_ZLIB):
            packed = self._door.unpacked_zlib(packed, held)
        packing = Packing.GZIP if packed.startswith(_GZIP) else Packing.IDENTITY
        return ExportRequest(self._signal, self._door.unpacked(packed, packing, held), packed, packing)


def _options(limits: ReceiverLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.per_message_decompression", 0),
        ("grpc.max_receive_message_length", limits.body_max_bytes),
        ("grpc.max_concurrent_streams", STREAMS_MAX),
        ("grpc.max_metadata_size", limits.headers_max_bytes),
        ("grpc.absolute_max_metadata_size", limits.headers_max_bytes),
        ("grpc.max_allowed_incoming_connections", limits.connections_max),
        ("grpc.max_connection_age_ms", _CONNECTION_AGE_MAX_MS),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_GRACE_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MIN_MS),
        # Two gateways on one port would each get some of the spans of a trace.
        ("grpc.so_reuseport", 0),
    ]


async def _abort(context: grpc.aio.ServicerContext, refused: RefusedError) -> NoReturn:
    """End the call with a status, and in its details again what HTTP has as its body."""
    await context.abort(
        refused.statuses.of_grpc,
        printable(refused.message, SAID_MAX),
        trailing_metadata=((_STATUS_DETAILS, status(refused)),),
    )
    raise AssertionError  # `abort` never comes back


def _headers(context: grpc.aio.ServicerContext) -> dict[str, str]:
    """The metadata that is text, by names that are in lower case already."""
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _host(peer: str) -> str | None:
    """The host of `ipv4:127.0.0.1:5123` or `ipv6:%5B::1%5D:5123`; `None` of a peer of another kind."""
    family, _, rest = peer.partition(":")
    if family not in {"ipv4", "ipv6"}:
        return None
    return unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
