# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.receiving`: the processor time that the receiver takes for a request, and what a null takes.

The null reads the body, inflates it by the standard library and answers an empty success, on the same server and in
the same minute: it is what any receiver has to do. Requests have 1,000 spans of 15 attributes each, and 10.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import subprocess
import sys
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.gateway.receiver.counts import ReceiverCounts
from agent_outcomes.gateway.receiver.http_app import OtlpHttp
from agent_outcomes.gateway.settings import LOOPBACK, ReceiverLimits
from agent_outcomes.gateway.wire.frames import frame_traces
from agent_outcomes.gateway.wire.intake import Taken
from tests.process_times import cpu_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from agent_outcomes.gateway.receiver.authorizing import Refusal
    from agent_outcomes.gateway.wire.intake import ExportRequest

ROUNDS: Final = 5
SIZES: Final = {1_000: 60, 10: 1_000}
"""Spans of a request, and how many requests are a round."""
WARMING: Final = 20


class _FramingIntake:
    """What every request costs before anything of it is kept."""

    async def take(self, request: ExportRequest) -> Taken:
        return Taken(sum(frames.rejected for frames in frame_traces(request.body)))


async def _anybody(_: Mapping[str, str], __: str | None) -> Refusal | None:
    return None


async def _null(_: Any, receive: Any, send: Any) -> None:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    zlib.decompress(b"".join(pieces), zlib.MAX_WBITS | 16)
    headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _serve(name: str) -> None:
    app: Any = _null if name == "null" else OtlpHttp(_FramingIntake(), _anybody, ReceiverLimits(), ReceiverCounts())
    config = uvicorn.Config(app, LOOPBACK, 0, lifespan="off", log_config=None, ws="none", access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


@contextmanager
def _server(name: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server of its own."""
    command = [sys.executable, "-m", "tests.bench.receiving", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.stdin.close()


def discarding_server() -> AbstractContextManager[tuple[int, int]]:
    """The null, as a process of its own: its port and process id."""
    return _server("null")


def _body(spans: int) -> bytes:
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.add(key="service.name").value.string_value = "support"
    scope = part.scope_spans.add()
    for number in range(spans):
        span = scope.spans.add(
            trace_id=(number // 20 + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            parent_span_id=(number + 2).to_bytes(8, "big"),
            name=f"chat model-{number % 7}",
            start_time_unix_nano=1_700_000_000_000_000_000 + number * 977,
            end_time_unix_nano=1_700_000_001_000_000_000 + number * 1_777,
        )
        for key in range(15):
            value = span.attributes.add(key=f"gen_ai.attribute.number_{key}").value
            value.string_value = f"value {number * key % 1_003} of {hash((number, key)) & 0xFFFFFF:x}"
    return gzip.compress(request.SerializeToString())


def _sent(port: int, pid: int, body: bytes, count: int) -> float:
    """Microseconds of the server's processor time for each of so many requests."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    before_s = 0.0
    for number in range(WARMING + count):
        if number == WARMING:
            before_s = cpu_s(pid)
        connection.request("POST", "/v1/traces", body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()
    return (cpu_s(pid) - before_s) * 1e6 / count


def main() -> None:
    """Print both and their ratio for each size, the least of a few rounds in turn."""
    with _server("null") as null, _server("receiver") as receiver:
        for spans, count in SIZES.items():
            body = _body(spans)
            figures = [(_sent(*null, body, count), _sent(*receiver, body, count)) for _ in range(ROUNDS)]
            least_null, least = (min(column) for column in zip(*figures, strict=True))
            print(
                f"{spans} spans, {len(body)} bytes: gunzip and discard {least_null:.0f} us, "
                f"receiver with framing {least:.0f} us, {least / least_null:.2f} times"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_serve(sys.argv[1]))
    else:
        main()
