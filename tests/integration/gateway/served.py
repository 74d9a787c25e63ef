# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes serve` as a process of its own on free ports, and its API as tests ask it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener

import pytest

from agent_outcomes.gateway_command.flags import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

STARTED_IN_S: Final = 60.0
ENDED_IN_S: Final = 40.0
WAIT_S: Final = 30.0
POLL_S: Final = 0.05
LINES: Final = {
    "OTLP over gRPC": "otlp_grpc",
    "OTLP over HTTP": "otlp_http",
    "API and page": "listen",
    "ledger": "ledger",
    "delivers to": "deliver_to",
    "forwards to": "forward_to",
}


class _Plain(HTTPErrorProcessor):
    """Every answer is one, whatever its status."""

    def http_response(self, request: Any, response: Any) -> Any:
        del request
        return response

    https_response = http_response


class Answer(NamedTuple):
    """What came back: status, headers, and the body, of JSON as an object."""

    status: int
    headers: Mapping[str, str]
    body: Any


def environment(**more: str) -> dict[str, str]:
    """The test's own environment without any settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AGENT_OUTCOMES_"))}
    return kept | more


class Served:
    """A gateway that runs from `with` to the end of its block, in `folder`, with these options beside free ports."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-W", "error", "-m", "agent_outcomes", "serve")

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._options = options
        self._env = environment(**(env or {}))
        self._process: subprocess.Popen[str] | None = None
        self._said: dict[str, str] = {}
        self.first_lines: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start it, or start it again, and wait until it says where it listens."""
        given = {option.partition("=")[0] for option in self._options}
        own = {"--state-folder": str(self.folder / "state"), **dict.fromkeys(_DOORS, "127.0.0.1:0")}
        free = [f"{option}={value}" for option, value in own.items() if option not in given]
        with self.log_path.open("a") as log:
            self._process = subprocess.Popen(
                [*self.command, *free, *self._options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._env,
            )
        self.first_lines = self._read_first_lines()
        for line in self.first_lines[1:]:
            found = re.fullmatch(r"  (\S.*?) {2,}(\S.*)", line.rstrip("\n"))
            assert found is not None, line
            self._said[LINES.get(found[1], found[1])] = found[2]

    @property
    def log_path(self) -> Path:
        """Where its standard error goes."""
        return self.folder / "serve.stderr"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def otlp_http(self) -> str:
        """The base URL of OTLP over HTTP."""
        return self._said["otlp_http"]

    @property
    def otlp_grpc(self) -> str:
        """The URL of OTLP over gRPC."""
        return f"http://{self._said['otlp_grpc']}"

    @property
    def url(self) -> str:
        """The base URL of API and page."""
        return self._said["listen"]

    @property
    def ledger(self) -> str:
        """The URL of its ledger."""
        return self._said["ledger"]

    def log(self) -> list[dict[str, Any]]:
        """Its log lines; each must be JSON."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; the exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(ENDED_IN_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def ask(
        self, path: str, body: object = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request to the API; an object as body is JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})}
        request = Request(f"{self.url}{path}", data, sent, method=method)  # noqa: S310 - our own
        opener = build_opener(ProxyHandler({}), _Plain())
        with opener.open(request, timeout=WAIT_S) as answer:
            content = answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            return Answer(answer.status, dict(answer.headers), json.loads(content) if is_json else content.decode())

    def runs(self, **filters: str) -> list[dict[str, Any]]:
        """All runs that it knows."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            query = "&".join(f"{name}={value}" for name, value in {**filters, "limit": "100"}.items())
            page = self.ask(f"/v1/runs?{query}{cursor}").body
            found += page["runs"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    def wait_for(self, holds: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
        """The first true result of `holds`, asked again and again."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if found := holds():
                return found
            time.sleep(POLL_S)
        message = f"the condition did not hold within {timeout_s} s\n{self.log_path.read_text()[-4000:]}"
        raise TimeoutError(message)

    def _read_first_lines(self) -> list[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        lines: list[str] = []
        until_s = time.monotonic() + STARTED_IN_S
        while time.monotonic() < until_s:
            line = self._process.stdout.readline()
            if not line:
                break
            lines.append(line)
            if line.startswith("  forwards to"):
                return lines
        code = self._process.wait(ENDED_IN_S)
        pytest.fail(f"the gateway ended with {code}: {self.log_path.read_text()}", pytrace=False)


_DOORS: Final = [flag.option for flag in FLAGS if flag.metavar == "HOST:PORT"]
