# SPDX-License-Identifier: Apache-2.0
"""Receivers to be examined by the doctor: a real collector in any state, and servers that answer as they are told."""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import trustme
import yaml
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
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.integration.otelcol import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

SIGNALS = ("traces", "metrics", "logs")
PROTOBUF = "application/x-protobuf"
TOKEN = "the-right-token"  # noqa: S105 - of a server that lives for one test
GRPC_THREADS = 4


@dataclass(frozen=True)
class Certificate:
    """A server's certificate for localhost, and the authority that signed it, as files."""

    ca_file: Path
    certificate_file: Path
    key_file: Path


def new_certificate(folder: Path, name: str = "localhost") -> Certificate:
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    made = Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(str(made.ca_file))
    issued.private_key_pem.write_to_path(str(made.key_file))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(made.certificate_file), append=number > 0)
    return made


def collector_config(
    signals: Sequence[str] = SIGNALS, *, needs_token: bool = False, certificate: Certificate | None = None
) -> dict[str, Any]:
    """A collector that takes these signals only, with a token or a certificate if told so."""
    server: dict[str, Any] = {"endpoint": "127.0.0.1:0"}
    if needs_token:
        server["auth"] = {"authenticator": "bearertokenauth"}
    if certificate is not None:
        server["tls"] = {"cert_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
    config: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"grpc": dict(server), "http": dict(server)}}},
        "exporters": {"debug": {}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {signal: {"receivers": ["otlp"], "exporters": ["debug"]} for signal in signals},
        },
    }
    if needs_token:
        config["extensions"] = {"bearertokenauth": {"token": TOKEN}}
        config["service"]["extensions"] = ["bearertokenauth"]
    return config


@contextmanager
def running_collector(binary: Path, folder: Path, *configs: Mapping[str, Any]) -> Iterator[Collector]:
    """A collector with these configurations, the later ones merged into the first."""
    files: list[Path] = []
    for number, config in enumerate(configs):
        files.append(folder / f"config-{number}.yaml")
        files[-1].write_text(yaml.safe_dump(dict(config)))
    with Collector(binary, folder, files) as collector:
        yield collector


@dataclass
class Reply:
    """What a server answers to a request, by HTTP or gRPC; a test may change it while the server runs."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    clock_offset_s: float = 0.0
    grpc_code: Any = None
    grpc_details: str = ""
    rejected: int = 0
    message: str = ""
    hangs: bool = False


@dataclass
class Received:
    """What a server has been sent: path or service, headers, body."""

    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


class HttpReceiver:
    """Answers each path as `reply` says; a name that is missing there is answered as an OTLP receiver would."""

    def __init__(self, reply: Callable[[str], Reply], certificate: Certificate | None = None) -> None:
        self.received = received = Received()
        self.released = released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.requests.append((self.path, dict(self.headers.items()), body))
                answer = reply(self.path)
                if answer.hangs:
                    released.wait(60)
                self.send_response_only(answer.status)
                self.send_header("Date", formatdate(time.time() + answer.clock_offset_s, usegmt=True))
                content = answer.body or _partial(self.path.rpartition("/")[2], answer)
                headers = {"Content-Type": PROTOBUF, "Content-Length": str(len(content)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate_file, certificate.key_file)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class GrpcReceiver:
    """Answers each signal as `reply` says."""

    def __init__(self, reply: Callable[[str], Reply]) -> None:
        self.received = received = Received()

        def answer(signal: str, request: Any, context: Any) -> Any:
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            received.requests.append((signal, metadata, request.SerializeToString()))
            said = reply(signal)
            if said.grpc_code is not None:
                context.abort(said.grpc_code, said.grpc_details)
            return _response(signal, said)

        class Traces(TraceServiceServicer):
            def Export(self, request: ExportTraceServiceRequest, context: Any) -> Any:  # noqa: N802
                return answer("traces", request, context)

        class Metrics(MetricsServiceServicer):
            def Export(self, request: ExportMetricsServiceRequest, context: Any) -> Any:  # noqa: N802
                return answer("metrics", request, context)

        class Logs(LogsServiceServicer):
            def Export(self, request: ExportLogsServiceRequest, context: Any) -> Any:  # noqa: N802
                return answer("logs", request, context)

        self._server = grpc.server(ThreadPoolExecutor(GRPC_THREADS))
        add_TraceServiceServicer_to_server(Traces(), self._server)  # type: ignore[no-untyped-call]
        add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]
        add_LogsServiceServicer_to_server(Logs(), self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()


@contextmanager
def http_receiver(reply: Callable[[str], Reply], certificate: Certificate | None = None) -> Iterator[HttpReceiver]:
    server = HttpReceiver(reply, certificate)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def grpc_receiver(reply: Callable[[str], Reply]) -> Iterator[GrpcReceiver]:
    server = GrpcReceiver(reply)
    try:
        yield server
    finally:
        server.stop()


def _response(signal: str, reply: Reply) -> Any:
    responses: dict[str, tuple[Any, str]] = {
        "traces": (ExportTraceServiceResponse(), "rejected_spans"),
        "metrics": (ExportMetricsServiceResponse(), "rejected_data_points"),
        "logs": (ExportLogsServiceResponse(), "rejected_log_records"),
    }
    response, counter = responses[signal]
    setattr(response.partial_success, counter, reply.rejected)
    response.partial_success.error_message = reply.message
    return response


def _partial(signal: str, reply: Reply) -> bytes:
    return bytes(_response(signal, reply).SerializeToString()) if reply.rejected else b""
