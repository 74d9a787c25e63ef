# SPDX-License-Identifier: Apache-2.0
"""One scenario of a program that is not in Python: its spans, and what the fake provider knows of it."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes.otlp.json_codec import to_otlp_json
from tests.frameworks.model_server import FINAL_TEXT, Mode, ModelServer
from tests.frameworks.passing_on import pass_on
from tests.frameworks.request_bodies import read_body
from tests.frameworks.scenarios import MODES, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.frameworks.cast import Cast
    from tests.frameworks.model_server import Charge
    from tests.frameworks.scenarios import Beyond

PROGRAM_LIMIT_S: Final = 120.0
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
    """An OTLP/HTTP receiver on loopback that keeps what exporters send, as JSON."""

    def __init__(self) -> None:
        self.bodies = bodies = list[str]()

        class Exchange(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = read_body(self)
                is_json = self.headers.get_content_type() == "application/json"
                bodies.append(body.decode() if is_json else to_otlp_json(ExportTraceServiceRequest.FromString(body)))
                answer = b"{}" if is_json else b""
                self.send_response(200)
                self.send_header("content-type", self.headers.get_content_type())
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

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


def play(
    command: Sequence[str],
    folder: Path,
    scenario: Scenario | Beyond,
    cast: Cast,
    variables_of: Callable[[ModelServer, SpanReceiver], Mapping[str, str]],
) -> Played:
    """Run a program to its end, which is told by variables of its environment whom to ask and where to send spans.

    Raises `TimeoutExpired` if it has none, `AssertionError` if it breaks.
    """
    with ModelServer() as provider, SpanReceiver() as receiver:
        provider.reset(MODES.get(scenario, Mode.ANSWER), cast)
        with subprocess.Popen(
            command,
            cwd=folder,
            env={**_environment(), **variables_of(provider, receiver)},
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
        pass_on(spans)
        requests = provider.requests_count
        return Played(spans, answer, complaints, len(tool_lines), requests, tuple(provider.ledger))


def assert_played(played: Played, *, is_answered: bool) -> None:
    """The program went through what the scenario is about, and nothing else went wrong."""
    assert played.complaints == ""
    assert (played.answer == FINAL_TEXT) is is_answered, played.answer
    assert (played.requests_count, len(played.ledger), played.tool_calls) == ((2, 2, 1) if is_answered else (1, 0, 0))


def _watch(process: subprocess.Popen[str], provider: ModelServer, scenario: Scenario | Beyond) -> tuple[str, str]:
    try:
        if scenario is Scenario.CANCELLED:
            provider.wait_until_asked(limit_s=PROGRAM_LIMIT_S)
        said = "cancel\n" if scenario is Scenario.CANCELLED else ""
        return process.communicate(said, timeout=PROGRAM_LIMIT_S)
    except BaseException:
        process.kill()
        raise


def _environment() -> dict[str, str]:
    """Nothing of the caller's but what a program needs to run at all."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
