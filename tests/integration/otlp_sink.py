# SPDX-License-Identifier: Apache-2.0
"""A real OTLP receiver of logs and metrics on a loopback port of its own, for http/protobuf or grpc."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"


@dataclass
class Received:
    """What has arrived, request by request."""

    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)

    def events(self) -> list[tuple[dict[str, Any], LogRecord]]:
        """Every log record with its resource's attributes."""
        return [
            (plain(resource.resource.attributes), record)
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def points(self, name: str) -> list[tuple[dict[str, Any], float, dict[str, Any]]]:
        """A sum's data points of the last export of each scope of each process, with the attributes of both."""
        last: dict[str, tuple[dict[str, Any], dict[str, Any], Metric]] = {}
        for request in self.metrics:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            made_by, attributes = plain(resource.resource.attributes), plain(scope.scope.attributes)
                            last[repr((made_by, attributes))] = (made_by, attributes, metric)
        return [
            (resource, point.as_int or point.as_double, scope_attributes)
            for resource, scope_attributes, metric in last.values()
            for point in metric.sum.data_points
        ]


class OtlpSink:
    """Receives OTLP while the `with` block lasts; `endpoint` is what `OTEL_EXPORTER_OTLP_ENDPOINT` is to be set to."""

    def __init__(self, protocol: str) -> None:
        self.received = Received()
        self._server = _GrpcServer(self.received) if protocol == GRPC else _HttpServer(self.received)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._server.stop()


class _HttpServer:
    def __init__(self, received: Received) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/logs":
                    received.logs.append(ExportLogsServiceRequest.FromString(body))
                elif self.path == "/v1/metrics":
                    received.metrics.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _GrpcServer:
    def __init__(self, received: Received) -> None:
        class Logs(LogsServiceServicer):
            def Export(self, request: ExportLogsServiceRequest, context: Any) -> ExportLogsServiceResponse:  # noqa: N802
                del context
                received.logs.append(request)
                return ExportLogsServiceResponse()

        class Metrics(MetricsServiceServicer):
            def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:  # noqa: N802
                del context
                received.metrics.append(request)
                return ExportMetricsServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(2))
        add_LogsServiceServicer_to_server(Logs(), self._server)  # type: ignore[no-untyped-call]
        add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()


def plain(attributes: Any) -> dict[str, Any]:
    """OTLP attributes as a dict of scalars."""
    return {pair.key: _scalar(pair) for pair in attributes}


def _scalar(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return getattr(pair.value, kind) if kind is not None else None
