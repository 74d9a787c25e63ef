# SPDX-License-Identifier: Apache-2.0
"""One scenario of a JavaScript program of `javascript/`: its spans, and what the fake provider knows of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.frameworks.model_server import Mode, ModelServer
from tests.frameworks.request_bodies import read_body
from tests.frameworks.scenarios import MODES, Scenario

if TYPE_CHECKING:
    from types import TracebackType

    from tests.frameworks.cast import Cast
    from tests.frameworks.model_server import Charge
    from tests.frameworks.scenarios import Beyond

PROGRAMS: Final = Path(__file__).parent / "javascript"
PROGRAM_LIMIT_S: Final = 60.0
TOOL_LINE: Final = "forecast of Paris"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario: OTLP JSON, a line for each request; the user's answer; the provider's own books."""

    spans: str
    answer: str
    complaints: str
    tool_calls: int
    requests_count: int
    ledger: tuple[Charge, ...]


class SpanReceiver:
    """An OTLP/HTTP receiver on loopback that keeps what the JSON exporter sends."""

    def __init__(self) -> None:
        self.bodies = bodies = list[str]()

        class Exchange(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(read_body(self).decode())
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def program_folder(made_in: Path, node_modules: Path) -> Path:
    """The programs beside the packages they import."""
    folder = made_in / "programs"
    shutil.copytree(PROGRAMS, folder)
    (folder / "node_modules").symlink_to(node_modules)
    return folder


def play(folder: Path, program: str, scenario: Scenario | Beyond, cast: Cast) -> Played:
    """Run a program to its end; raises `TimeoutExpired` if it has none, `AssertionError` if it breaks."""
    with ModelServer() as provider, SpanReceiver() as receiver:
        provider.reset(MODES.get(scenario, Mode.ANSWER), cast)
        command = [shutil.which("node") or "node", f"{program}.js", scenario.value, cast.lead]
        with subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(provider.url, receiver.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            output, complaints = _watch(process, provider, scenario)
        assert process.returncode == 0, complaints
        *tool_lines, answer = output.splitlines()
        assert set(tool_lines) <= {TOOL_LINE}, output
        spans = "\n".join(receiver.bodies)
        requests = provider.requests_count
        return Played(spans, answer, complaints, len(tool_lines), requests, tuple(provider.ledger))


def _watch(process: subprocess.Popen[str], provider: ModelServer, scenario: Scenario | Beyond) -> tuple[str, str]:
    try:
        if scenario is Scenario.CANCELLED:
            provider.wait_until_asked()
        said = "cancel\n" if scenario is Scenario.CANCELLED else ""
        return process.communicate(said, timeout=PROGRAM_LIMIT_S)
    except BaseException:
        process.kill()
        raise


def _environment(provider_url: str, receiver_url: str) -> dict[str, str]:
    """Nothing of the caller's but what a program needs to run at all."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "NODE_NO_WARNINGS": "1",
        "OPENAI_BASE_URL": provider_url,
        "OPENAI_API_KEY": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver_url,
    }
