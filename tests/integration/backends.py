# SPDX-License-Identifier: Apache-2.0
"""Real backends as child processes, on loopback, with their data in a folder of their own, and what they answer."""

from __future__ import annotations

import http.client
import json
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.integration.backend_configs import (
    JAEGER_CONFIG,
    KAFKA_CLUSTER_ID,
    KAFKA_CONFIG,
    LOKI_CONFIG,
    PROMETHEUS_CONFIG,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

READY_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
WAIT_TIMEOUT_S: Final = 30.0
ANSWER_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1
START_ATTEMPTS: Final = 3
LOG_TAIL_CHARACTERS: Final = 4000
PORTS: Final = (15_000, 32_000)


ResultT = TypeVar("ResultT")
_random: Final = random.SystemRandom()
_opener: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """Return a TCP port of the loopback address that nothing listened on a moment ago.

    It is none of those that the system gives to outgoing connections and to servers on port 0, of which other tests
    have many: one of them may take it before it is used. Nor is the choice seeded, as that of all workers would be.
    """
    while True:
        port = _random.randrange(*PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_until(condition: Callable[[], ResultT], timeout_s: float = WAIT_TIMEOUT_S) -> ResultT:
    """Return the first true result of `condition`, called again and again. Raises TimeoutError after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline_s:
            message = f"the condition did not hold within {timeout_s} s; its last result: {result!r}"
            raise TimeoutError(message)
        time.sleep(POLL_S)
    return result


def get(url: str, **parameters: str) -> str:
    """Return the body of a GET. Raises OSError, its subclass HTTPError for an error status among them."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with _opener.open(url + query, timeout=ANSWER_TIMEOUT_S) as answer:
        return str(answer.read().decode())


def get_json(url: str, **parameters: str) -> Any:
    """Return the JSON body of a GET. Raises OSError, which says what was answered, or ValueError for no JSON."""
    try:
        return json.loads(get(url, **parameters))
    except urllib.error.HTTPError as error:
        message = f"{url} {parameters}: {error.code} {error.read().decode(errors='replace')[:500]}"
        raise OSError(message) from error


class Backend(ABC):
    """A backend process that runs from `with` to the end of its block; its data stays in `folder` for a next start.

    `ports` names the ports to use; those not named are the system's choice.
    """

    port_names: tuple[str, ...] = ("http",)

    def __init__(self, binary: Path, folder: Path, ports: Mapping[str, int] | None = None) -> None:
        self._binary = binary
        self._given_ports = dict(ports or {})
        self.folder = folder
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that starts the backend on `ports`, after writing its configuration."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the backend takes data and queries; may raise OSError while it does not."""

    def __enter__(self) -> Self:
        """Start the process and return once it is ready; raises TimeoutError or RuntimeError otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, START_ATTEMPTS + 1):
            # Another process may take a free port before the backend does.
            self.ports = {name: self._given_ports.get(name) or free_port() for name in self.port_names}
            try:
                self.start()
            except RuntimeError:
                if attempt == START_ATTEMPTS:
                    raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.stop()

    def start(self) -> None:
        """Start on the same ports and data as before; raises TimeoutError or RuntimeError (with its log)."""
        command = self.command()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_until(self._is_up, READY_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process with SIGTERM, or SIGKILL after 20 s. May be repeated."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError before the start."""
        if self._process is None:
            message = f"{type(self).__name__} has not been started"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def log_path(self) -> Path:
        """The file that takes what the process prints."""
        return self.folder / f"{type(self).__name__}.log"

    @property
    def url(self) -> str:
        """The URL of the backend's HTTP API."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            message = f"{type(self).__name__} ended\n{self.log_path.read_text(errors='replace')[-LOG_TAIL_CHARACTERS:]}"
            raise RuntimeError(message)
        with suppress(OSError, http.client.HTTPException):
            return self.is_ready()
        return False


Series = dict[str, Any]


class PromQL(Backend):
    """A backend with Prometheus' query API."""

    def query(self, expression: str, time_s: float | None = None) -> list[Series]:
        """Return the series of an instant query, each with `metric` and `value`. Raises OSError, KeyError."""
        parameters = {"query": expression} | ({} if time_s is None else {"time": f"{time_s:.3f}"})
        return list(get_json(f"{self.url}/api/v1/query", **parameters)["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Return the value of an instant query of one series, None where it has none. Raises ValueError for several."""
        series = self.query(expression)
        if len(series) > 1:
            message = f"{expression} has {len(series)} series"
            raise ValueError(message)
        return float(series[0]["value"][1]) if series else None

    def values(self, expression: str) -> dict[tuple[str, ...], float]:
        """Return the values of an instant query, by the values of the labels in the order of their names."""
        return {
            tuple(value for _, value in sorted(series["metric"].items())): float(series["value"][1])
            for series in self.query(expression)
        }


class Prometheus(PromQL):
    """Prometheus 3 with its OTLP receiver; scrapes `scrapes` (host:port, path /metrics) each second."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        ports: Mapping[str, int] | None = None,
        scrapes: Sequence[str] = (),
        rules: Sequence[Path] = (),
    ) -> None:
        super().__init__(binary, folder, ports)
        self._scrapes = list(scrapes)
        self._rules = [str(path) for path in rules]

    def command(self) -> Sequence[str]:
        """Return the command, with the configuration written."""
        config = self.folder / "prometheus.yml"
        scrapes = (
            [{"job_name": "collector", "honor_labels": True, "static_configs": [{"targets": self._scrapes}]}]
            if self._scrapes
            else []
        )
        config.write_text(PROMETHEUS_CONFIG.format(scrapes=json.dumps(scrapes), rules=json.dumps(self._rules)))
        return [
            str(self._binary),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.ports['http']}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
        ]

    def is_ready(self) -> bool:
        """Whether `/-/ready` says so."""
        return "Ready" in get(f"{self.url}/-/ready")

    @property
    def otlp_endpoint(self) -> str:
        """The OTLP URL, without `/v1/metrics`."""
        return f"{self.url}/api/v1/otlp"

    def exemplars(self, selector: str, since_s: float = 3600) -> list[Series]:
        """Return the series of an exemplar query, each with `seriesLabels` and `exemplars`."""
        now_s = time.time()
        url = f"{self.url}/api/v1/query_exemplars"
        return list(get_json(url, query=selector, start=f"{now_s - since_s:.3f}", end=f"{now_s + 60:.3f}")["data"])


class VictoriaMetrics(PromQL):
    """VictoriaMetrics with Prometheus' naming of OTLP metrics."""

    def command(self) -> Sequence[str]:
        """Return the command."""
        return [
            str(self._binary),
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.ports['http']}",
            "-opentelemetry.usePrometheusNaming",
            "-search.latencyOffset=0s",
            "-retentionPeriod=1y",
        ]

    def is_ready(self) -> bool:
        """Whether `/health` says so."""
        return get(f"{self.url}/health") == "OK"

    @property
    def otlp_endpoint(self) -> str:
        """The OTLP URL, without `/v1/metrics`."""
        return f"{self.url}/opentelemetry"


class Loki(Backend):
    """Loki as one process, its chunks in files."""

    port_names = ("http", "grpc")

    def command(self) -> Sequence[str]:
        """Return the command, with the configuration written."""
        config = self.folder / "loki.yaml"
        config.write_text(LOKI_CONFIG.format(folder=self.folder, **self.ports))
        return [str(self._binary), f"-config.file={config}"]

    def is_ready(self) -> bool:
        """Whether `/ready` says so."""
        return get(f"{self.url}/ready").strip() == "ready"

    @property
    def otlp_endpoint(self) -> str:
        """The OTLP URL, without `/v1/logs`."""
        return f"{self.url}/otlp"

    def query_range(self, logql: str, since_s: float = 3600, limit: int = 5000) -> list[Series]:
        """Return the streams (each with `stream` and `values`) or series of a range query. Raises OSError, KeyError."""
        now_s = time.time()
        start, end = f"{int((now_s - since_s) * 1e9)}", f"{int((now_s + 60) * 1e9)}"
        url = f"{self.url}/loki/api/v1/query_range"
        return list(get_json(url, query=logql, start=start, end=end, limit=str(limit))["data"]["result"])

    def records(self, logql: str, since_s: float = 3600) -> list[dict[str, str]]:
        """Return the labels and structured metadata of each log record that a query finds, the body as `body`."""
        return [
            stream["stream"] | {"body": line, "timestamp_ns": time_ns}
            for stream in self.query_range(logql, since_s)
            for time_ns, line in stream["values"]
        ]


class Jaeger(Backend):
    """Jaeger 2, traces in memory."""

    port_names = ("http", "grpc", "otlp")

    def command(self) -> Sequence[str]:
        """Return the command, with the configuration written."""
        config = self.folder / "jaeger.yaml"
        config.write_text(JAEGER_CONFIG.format(**self.ports))
        return [str(self._binary), f"--config={config}"]

    def is_ready(self) -> bool:
        """Whether the query API answers and the receiver listens."""
        socket.create_connection(("127.0.0.1", self.ports["otlp"]), ANSWER_TIMEOUT_S).close()
        return "data" in get_json(f"{self.url}/api/services")

    @property
    def otlp_endpoint(self) -> str:
        """The OTLP URL, without `/v1/traces`."""
        return f"http://127.0.0.1:{self.ports['otlp']}"

    def services(self) -> list[str]:
        """Return the names of the services that sent spans."""
        return list(get_json(f"{self.url}/api/services")["data"] or ())

    def trace(self, trace_id: str) -> list[Series]:
        """Return the spans of a trace, none where it is not there."""
        try:
            found = get_json(f"{self.url}/api/traces/{trace_id}")["data"]
        except OSError as error:
            if "trace not found" in str(error):
                return []
            raise
        return [span for trace in found for span in trace["spans"]]

    def search(self, service: str, tags: Mapping[str, str], limit: int = 1500) -> dict[str, list[Series]]:
        """Return the spans of each trace of a service that has a span with all these tags, by trace id."""
        url = f"{self.url}/api/traces"
        found = get_json(url, service=service, tags=json.dumps(tags), limit=str(limit), lookback="1h")["data"]
        return {trace["traceID"]: trace["spans"] for trace in found}


class Kafka(Backend):
    """A Kafka broker that is its own controller (KRaft); `binary` is the folder of its jars."""

    port_names = ("broker", "controller")

    def command(self) -> Sequence[str]:
        """Return the command, with the configuration written and the storage formatted."""
        config = self.folder / "server.properties"
        config.write_text(KAFKA_CONFIG.format(folder=self.folder, **self.ports))
        # A broker that lives for seconds starts in half the time with these.
        java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{self._binary}/*"]
        if not (self.folder / "data" / "meta.properties").exists():
            tool = ["kafka.tools.StorageTool", "format", "-t", KAFKA_CLUSTER_ID, "-c", str(config)]
            subprocess.run([*java, *tool], check=True, capture_output=True, cwd=self.folder, timeout=READY_TIMEOUT_S)
        return [*java, "kafka.Kafka", str(config)]

    def is_ready(self) -> bool:
        """Whether the broker listens."""
        socket.create_connection(("127.0.0.1", self.ports["broker"]), ANSWER_TIMEOUT_S).close()
        return True

    @property
    def brokers(self) -> str:
        """The broker's address."""
        return f"127.0.0.1:{self.ports['broker']}"
