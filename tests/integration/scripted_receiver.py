# SPDX-License-Identifier: Apache-2.0
"""OTLP receivers on loopback that answer as a script says, over HTTP and gRPC, and keep what they took."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord


@dataclass
class Reply:
    """One HTTP reply. `is_taken`: the receiver keeps the request, whatever it says; `write` writes the reply itself."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_taken: bool | None = None
    write: Callable[[BaseHTTPRequestHandler], None] | None = None
    reason: str | None = None

    def takes(self) -> bool:
        """Whether the request counts as taken."""
        return 200 <= self.status < 300 if self.is_taken is None else self.is_taken


OK = Reply()


@dataclass
class Taken:
    """What arrived: every request, and of those that were taken the records and metrics."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)

    def keep(self, path: str, body: bytes) -> None:
        """Take a request."""
        with self.lock:
            if path.endswith("/logs"):
                self.logs.append(ExportLogsServiceRequest.FromString(body))
            elif path.endswith("/metrics"):
                self.metrics.append(ExportMetricsServiceRequest.FromString(body))

    def records(self) -> list[LogRecord]:
        """The log records taken so far, in order."""
        with self.lock:
            return [
                record
                for request in self.logs
                for resource in request.resource_logs
                for scope in resource.scope_logs
                for record in scope.log_records
            ]

    def count(self, path: str) -> int:
        """How many requests came for a path, taken or not."""
        with self.lock:
            return self.paths.count(path)


class HttpReceiver:
    """Answers the n-th request of a path, counted from 1, with what `script(path, n, body)` gives; else with 200."""

    def __init__(self, script: Callable[[str, int, bytes], Reply | None] | None = None, port: int = 0) -> None:
        self.taken = Taken()
        self.script = script
        self.connected: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

            def do_POST(self) -> None:
                outer.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self) -> tuple[socket.socket, Any]:
                accepted, address = super().get_request()
                outer.connected.append(accepted)
                return accepted, address

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Read one request and answer it."""
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        encoding = handler.headers.get("content-encoding")
        body = gzip.decompress(body) if encoding == "gzip" else zlib.decompress(body) if encoding else body
        with self.taken.lock:
            self.taken.paths.append(handler.path)
            self.taken.headers.append({key.lower(): value for key, value in handler.headers.items()})
            self.taken.connections.add(handler.client_address)
            number = self.taken.paths.count(handler.path)
        reply = (self.script(handler.path, number, body) if self.script else None) or OK
        if reply.takes():
            self.taken.keep(handler.path, body)
        try:
            if reply.write is not None:
                reply.write(handler)
                handler.close_connection = True
                return
            handler.send_response(reply.status, reply.reason)
            headers = {
                "content-type": "application/x-protobuf",
                "content-length": str(len(reply.body)),
                **reply.headers,
            }
            for key, value in headers.items():
                handler.send_header(key, value)
            handler.end_headers()
            handler.wfile.write(reply.body)
        except OSError:
            handler.close_connection = True

    def stop(self) -> None:
        """End the server and all its connections."""
        self._server.shutdown()
        self._server.server_close()
        for one in self.connected:
            with suppress(OSError):  # it is closed already
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def http_receiver(
    script: Callable[[str, int, bytes], Reply | None] | None = None, port: int = 0
) -> Iterator[HttpReceiver]:
    """A receiver while the block runs."""
    receiver = HttpReceiver(script, port)
    try:
        yield receiver
    finally:
        receiver.stop()


class GrpcReceiver:
    """Answers the n-th call of a signal, counted from 1, with what `script(signal, n, context)` gives; else with OK."""

    def __init__(self, script: Callable[[str, int, Any], Any] | None = None, port: int = 0) -> None:
        self.taken = Taken()
        outer = self

        def serving(signal: str, request_class: type[Any], response_class: type[Any]) -> Any:
            def export(request: Any, context: Any) -> Any:
                with outer.taken.lock:
                    outer.taken.paths.append(signal)
                    outer.taken.headers.append(dict(context.invocation_metadata()))
                    number = outer.taken.paths.count(signal)
                reply = script(signal, number, context) if script else None
                if reply is None:
                    outer.taken.keep(f"/{signal}", request.SerializeToString())
                return response_class() if reply is None else reply

            handler = grpc.unary_unary_rpc_method_handler(
                export, request_class.FromString, response_class.SerializeToString
            )
            service = f"opentelemetry.proto.collector.{signal}.v1.{signal.capitalize()}Service"
            return grpc.method_handlers_generic_handler(service, {"Export": handler})

        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers(
            (
                serving("logs", ExportLogsServiceRequest, ExportLogsServiceResponse),
                serving("metrics", ExportMetricsServiceRequest, ExportMetricsServiceResponse),
            )
        )
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        """End the server and all its connections."""
        self._server.stop(0).wait()


@contextmanager
def grpc_receiver(script: Callable[[str, int, Any], Any] | None = None, port: int = 0) -> Iterator[GrpcReceiver]:
    """A receiver while the block runs."""
    receiver = GrpcReceiver(script, port)
    try:
        yield receiver
    finally:
        receiver.stop()
