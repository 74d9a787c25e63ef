# SPDX-License-Identifier: Apache-2.0
"""A real OTLP/HTTP receiver of logs and metrics whose answers are a test's choice, and which can be away."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.otlp_sink import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

UID: Final = "log.record.uid"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `takes` says whether the receiver keeps what the request holds."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    takes: bool = True


TAKEN: Final = Reply()


def turned_down(status: int, *headers: tuple[str, str], body: bytes = b"") -> Reply:
    """An answer of a receiver that keeps nothing."""
    return Reply(status, headers, body, takes=False)


def partly(rejected: int, message: str) -> Reply:
    """A 200 that rejects some log records."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    return Reply(200, (("Content-Type", "application/x-protobuf"),), response.SerializeToString(), takes=False)


@dataclass
class Seen:
    """What has been taken, request by request."""

    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)

    def spans(self) -> list[tuple[dict[str, Any], Span]]:
        """Every span with its resource's attributes, as often as it has come."""
        return [
            (plain(resource.resource.attributes), span)
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def records(self) -> Iterator[tuple[dict[str, Any], LogRecord]]:
        """Every log record with its resource's attributes, as often as it has come."""
        for request in list(self.logs):
            yield from records_of(request)

    def uids(self) -> Counter[str]:
        """How often each event has come."""
        return Counter(str(uid_of(record)) for _, record in self.records())

    def last_sums(self) -> dict[tuple[str, frozenset[tuple[str, Any]], frozenset[tuple[str, Any]]], float | int]:
        """The newest value of each series, by name, resource and attributes."""
        found: dict[tuple[str, frozenset[tuple[str, Any]], frozenset[tuple[str, Any]]], float | int] = {}
        for resource, metric in metrics_of(self.metrics):
            for point in metric.sum.data_points:
                key = (metric.name, frozenset(resource.items()), frozenset(plain(point.attributes).items()))
                found[key] = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
        return found

    def total(self, name: str) -> float | int:
        """The sum over the newest values of a metric's series."""
        return sum(value for (metric, _, _), value in self.last_sums().items() if metric == name)


def records_of(request: ExportLogsServiceRequest) -> Iterator[tuple[dict[str, Any], LogRecord]]:
    for resource in request.resource_logs:
        attributes = plain(resource.resource.attributes)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield attributes, record


def metrics_of(requests: list[ExportMetricsServiceRequest]) -> Iterator[tuple[dict[str, Any], Metric]]:
    for request in list(requests):
        for resource in request.resource_metrics:
            attributes = plain(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    yield attributes, metric


def uid_of(record: LogRecord) -> str:
    return next(pair.value.string_value for pair in record.attributes if pair.key == UID)


class Receiver:
    """Receives while the `with` block lasts, on a port that stays the same when it goes away and comes back.

    `on_logs` and `on_metrics` give the answer to a request.
    """

    def __init__(self) -> None:
        self.seen = Seen()
        self.requests = 0
        self.on_logs: Callable[[ExportLogsServiceRequest], Reply] = lambda _: TAKEN
        self.on_metrics: Callable[[ExportMetricsServiceRequest], Reply] = lambda _: TAKEN
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead to it."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.go_away()

    def come_back(self) -> None:
        """Listen, on the port of before."""
        receiver = self

        class Handler(_Handler):
            def answer(self, path: str, body: bytes) -> Reply:
                return receiver._answer(path, body)

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def go_away(self) -> None:
        """Refuse connections, and cut those that are there."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        server.shutdown()
        thread.join()
        server.server_close()
        self._server = None

    def _answer(self, path: str, body: bytes) -> Reply:
        self.requests += 1
        if self._server is None:
            return turned_down(503)
        if path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body)
            reply = self.on_logs(logs)
            if reply.takes:
                self.seen.logs.append(logs)
            return reply
        if path == "/v1/traces":
            self.seen.traces.append(ExportTraceServiceRequest.FromString(body))
            return TAKEN
        metrics = ExportMetricsServiceRequest.FromString(body)
        reply = self.on_metrics(metrics)
        if reply.takes:
            self.seen.metrics.append(metrics)
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed leaves its connection cut; nothing is lost by it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self, path: str, body: bytes) -> Reply:
        raise NotImplementedError

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        reply = self.answer(self.path, body)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
        del format, args
