# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry Collector as a child process, and what its file exporters wrote."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.otlp.json_codec import from_otlp_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROOT: Final = Path(__file__).parents[2]
CONFIG_FOLDER: Final = ROOT / "collector-config"
PIPELINE: Final = CONFIG_FOLDER / "pipeline.yaml"

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
WAIT_TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.02
STDERR_TAIL_CHARACTERS: Final = 4000

READY: Final = "Everything is ready"
LISTENING: Final = re.compile(r'Starting (GRPC|HTTP) server.*"endpoint": ?"([^"]+)"')

# Port 0: the system picks each port while it is bound, so that parallel tests cannot collide.
ANY_PORTS: Final = {
    "OTLP_GRPC_ENDPOINT": "127.0.0.1:0",
    "OTLP_HTTP_ENDPOINT": "127.0.0.1:0",
    "HEALTH_ENDPOINT": "127.0.0.1:0",
    "SELF_METRICS_PORT": "0",
}

MessageT = TypeVar("MessageT", bound=Message)
ResultT = TypeVar("ResultT")


class _RequestFile(Generic[MessageT]):
    """The requests in one file of OTLP JSON lines that another process appends to; each line is parsed once."""

    def __init__(self, path: Path, message_type: type[MessageT]) -> None:
        self._path = path
        self._message_type = message_type
        self._offset_bytes = 0
        self._requests: list[MessageT] = []

    def read(self) -> list[MessageT]:
        if not self._path.exists():
            return []
        if list(self._path.parent.glob(f"{self._path.stem}-*")):
            message = f"{self._path.name} was rotated: a test must send less than pipeline.yaml's max_megabytes"
            raise RuntimeError(message)
        with self._path.open("rb") as file:
            file.seek(self._offset_bytes)
            # The last line may be half written.
            complete, newline, _ = file.read().rpartition(b"\n")
        # Not splitlines(): strings in the JSON may hold U+2028 and its like.
        lines = complete.split(b"\n") if newline else []
        self._requests.extend(from_otlp_json(line.decode(), self._message_type) for line in lines)
        self._offset_bytes += len(complete) + len(newline)
        return list(self._requests)


class Collector:
    """A collector that runs from `with` to the end of its block, in `folder` and with no environment but `env`.

    `configs` are merged by the collector in their order. The files are expected in `folder`/otel-out, where
    pipeline.yaml puts them. Ports are the system's choice where a configuration takes its endpoints from the
    environment as pipeline.yaml does. A second collector in the same folder sees what the first one wrote.
    """

    def __init__(
        self, binary: Path, folder: Path, configs: Sequence[Path] = (PIPELINE,), env: Mapping[str, str] | None = None
    ) -> None:
        self._command = [str(binary), *(f"--config={config}" for config in configs)]
        self._folder = folder
        self._env = ANY_PORTS | dict(env or {})
        self._stderr_offset_bytes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoints: dict[str, str] = {}
        out = folder / "otel-out"
        self._traces = _RequestFile(out / "traces.json", ExportTraceServiceRequest)
        self._logs = _RequestFile(out / "logs.json", ExportLogsServiceRequest)
        self._metrics = _RequestFile(out / "metrics.json", ExportMetricsServiceRequest)

    def __enter__(self) -> Self:
        """Start the process and return once it accepts connections; raises TimeoutError or RuntimeError otherwise."""
        with self.stderr_path.open("ab") as stderr:
            self._stderr_offset_bytes = stderr.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            self.wait_for(lambda collector: READY in collector.stderr(), READY_TIMEOUT_S)
            self._connect()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.stop()

    @property
    def stderr_path(self) -> Path:
        """The file that takes the collector's log."""
        return self._folder / "collector.stderr"

    @property
    def grpc_endpoint(self) -> str:
        """The URL OTLP over gRPC is received at. Raises KeyError where no receiver serves it."""
        return f"http://{self._endpoints['GRPC']}"

    @property
    def http_endpoint(self) -> str:
        """The URL OTLP over HTTP is received at, without `/v1/...`. Raises KeyError where no receiver serves it."""
        return f"http://{self._endpoints['HTTP']}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    def stderr(self) -> str:
        """Return what this process has logged."""
        with self.stderr_path.open("rb") as file:
            file.seek(self._stderr_offset_bytes)
            return file.read().decode(errors="replace")

    def stop(self) -> int:
        """End the process with SIGTERM, which flushes, or SIGKILL after 20 s; return its exit code. May be repeated."""
        process = self._started()
        process.terminate()
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(STOP_TIMEOUT_S)

    def wait_for(self, predicate: Callable[[Collector], ResultT], timeout_s: float = WAIT_TIMEOUT_S) -> ResultT:
        """Return the first true result of `predicate`, called with this collector again and again.

        Raises TimeoutError after `timeout_s` seconds and RuntimeError if the collector ended; both show its log.
        """
        process = self._started()
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            ended = process.poll() is not None
            if result := predicate(self):
                return result
            if ended:
                message = f"the collector ended with exit code {process.returncode}\n{self._stderr_tail()}"
                raise RuntimeError(message)
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
        message = f"the condition did not hold within {timeout_s} s\n{self._stderr_tail()}"
        raise TimeoutError(message)

    def traces(self) -> list[ExportTraceServiceRequest]:
        """Return the requests of spans written so far, in the order of writing. Raises ValueError on malformed OTLP."""
        return self._traces.read()

    def logs(self) -> list[ExportLogsServiceRequest]:
        """Return the requests of log records written so far. Raises ValueError on malformed OTLP."""
        return self._logs.read()

    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """Return the requests of metrics written so far. Raises ValueError on malformed OTLP."""
        return self._metrics.read()

    def spans(self) -> list[Span]:
        """Return every span of `traces()`."""
        return [
            span
            for request in self.traces()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def log_records(self) -> list[LogRecord]:
        """Return every record of `logs()`."""
        return [
            record
            for request in self.logs()
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metrics_named(self, name: str) -> list[Metric]:
        """Return every export of the instrument `name`, oldest first."""
        return [
            metric
            for request in self.metrics()
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "the collector has not been started: use it in a `with` statement"
            raise RuntimeError(message)
        return self._process

    def _connect(self) -> None:
        self._endpoints = {}
        for kind, address in LISTENING.findall(self.stderr()):
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
            self._endpoints.setdefault(kind, address)

    def _stderr_tail(self) -> str:
        return self.stderr()[-STDERR_TAIL_CHARACTERS:]
