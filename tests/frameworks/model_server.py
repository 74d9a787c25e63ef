# SPDX-License-Identifier: Apache-2.0
"""A fake model provider on loopback, with a ledger of its own: OpenAI's two interfaces, Anthropic's and Gemini's."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

from tests.frameworks import anthropic_answers, gemini_answers
from tests.frameworks.cast import CASTS
from tests.frameworks.model_answers import Answer, Call, Response, chat_body, responses_body
from tests.frameworks.request_bodies import read_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.frameworks.cast import Cast

MODEL: Final = "gpt-4o-mini"
GEMINI: Final = "gemini-2.5-flash"
CLAUDE: Final = "claude-sonnet-4-5"
FINAL_TEXT: Final = "It is sunny in Paris."
INVALID_TEXT: Final = "no JSON at all"
HOLD_LIMIT_S: Final = 1.5
ASKED_LIMIT_S: Final = 20.0
RETRY_AFTER_S: Final = 1


class Mode(Enum):
    """How the server answers. `SLOW` holds the answer until the scenario is over, `LOOP` never stops calling tools."""

    ANSWER = auto()
    RATE_LIMITED = auto()
    UNAVAILABLE = auto()
    SLOW = auto()
    LOOP = auto()
    INVALID = auto()


@dataclass(frozen=True, slots=True)
class Prices:
    """What a model's real provider asks for a million tokens, in US dollars."""

    input_usd: Decimal
    cached_input_usd: Decimal
    output_usd: Decimal


PRICES: Final = {
    MODEL: Prices(Decimal("0.15"), Decimal("0.075"), Decimal("0.60")),
    CLAUDE: Prices(Decimal("3.00"), Decimal("0.30"), Decimal("15.00")),
    GEMINI: Prices(Decimal("0.30"), Decimal("0.03"), Decimal("2.50")),
}


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens of one answered call; cached ones are part of the input, reasoning ones of the output."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    prices: Prices

    @classmethod
    def of_call(cls, number: int, model: str) -> Charge:
        """Different for every call, so that one counted twice or left out shows in any sum."""
        return cls(101 + 10 * number, 31 + 3 * number, 16 + number, 5 + number, PRICES[model])

    def cost_usd(self, *, discounted: bool = True) -> Decimal:
        """What the provider's price list says; without the discount cached input costs as much as any."""
        cached, prices = self.cached_tokens if discounted else 0, self.prices
        input_usd = (self.input_tokens - cached) * prices.input_usd + cached * prices.cached_input_usd
        return (input_usd + self.output_tokens * prices.output_usd) / 10**6


_ERRORS: Final = {
    Mode.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded"),
    Mode.UNAVAILABLE: (503, "server_error", "service_unavailable"),
}


class ModelServer:
    """Serves on a port of the system's choice until it is closed; every scenario begins with `reset`.

    `url` is what an OpenAI client takes for `base_url`, `address` what one of Gemini or Anthropic takes. `mode` may be
    changed between two runs. A tool whose name is in `final_tools` ends the run (structured output); the others are
    called once, then the answer is given. `ledger` has one charge per answered call. `cast` names the agents that ask.

    What a framework needs: `arguments`, by name, that must not be just any text; `first_tools`, which are called of
    several; `write`, which makes the answer of what the caller said, where that must have a form that no schema tells.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Condition(self._lock)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Exchange)
        self._http.daemon_threads = True
        self._http.model_server = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = f"{self.address}/v1"
        self.reset(Mode.ANSWER)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._http.shutdown()
        self._http.server_close()

    def reset(self, mode: Mode, cast: Cast = CASTS[0]) -> None:
        """Forget the last scenario."""
        self.mode = mode
        self.cast = cast
        self.final_tools = {"final_answer", "final_result"}
        self.requests_count = 0
        self.arguments: dict[str, object] = {}
        self.first_tools: set[str] = set()
        self.write: Callable[[str], str] | None = None
        self.ledger: list[Charge] = []
        self._released = threading.Event()
        self._meeting: threading.Barrier | None = None

    def release(self) -> None:
        """Let every held answer go."""
        self._released.set()

    def meet(self, count: int) -> None:
        """Hold the first calls until so many have come, so that the runs that make them do overlap."""
        self._meeting = threading.Barrier(count)

    def wait_until_asked(self, count: int = 1, limit_s: float = ASKED_LIMIT_S) -> None:
        """Wait until so many requests have come; raises `TimeoutError` where they have not in time."""
        with self._asked:
            if not self._asked.wait_for(lambda: self.requests_count >= count, limit_s):
                msg = f"the model server was asked {self.requests_count} times in {limit_s} s, not {count}"
                raise TimeoutError(msg)

    def exchange(self, path: str, request: dict[str, Any], *, is_gone: Callable[[], bool]) -> Response | None:
        """What is answered to a request; nothing, at no charge, to a caller who is gone."""
        with self._asked:
            ledger, released, mode = self.ledger, self._released, self.mode
            self.requests_count += 1
            number = self.requests_count
            meeting = self._meeting if self._meeting is not None and number <= self._meeting.parties else None
            self._asked.notify_all()
        if meeting is not None:
            meeting.wait(ASKED_LIMIT_S)
        if mode in _ERRORS:
            return _error_response(mode, path)
        if mode is Mode.SLOW:
            released.wait(HOLD_LIMIT_S)
            if is_gone():
                return None
        call = _read_call(path, request)
        with self._lock:
            number = len(ledger)
            charge = Charge.of_call(number, call.model)
            ledger.append(charge)
        answer = self._decide(call, mode)
        return _response_body(path)(call, answer, charge, number)

    def _decide(self, call: Call, mode: Mode) -> Answer:
        finals = [tool for tool in call.tools if tool.name in self.final_tools]
        others = [tool for tool in call.tools if tool.name not in self.final_tools]
        others.sort(key=lambda tool: tool.name not in self.first_tools)
        if others and (mode is Mode.LOOP or not call.has_tool_result):
            return Answer(tool=others[0].name, arguments=others[0].arguments(self.arguments))
        if finals:
            arguments = {"unexpected": True} if mode is Mode.INVALID else finals[0].arguments(self.arguments)
            return Answer(tool=finals[0].name, arguments=arguments)
        if mode is Mode.INVALID:
            return Answer(text=INVALID_TEXT)
        return Answer(text=self.write(call.said) if self.write else call.structured_text() or FINAL_TEXT)


def _read_call(path: str, request: dict[str, Any]) -> Call:
    if gemini_answers.is_gemini(path):
        return gemini_answers.read_call(path, request)
    return anthropic_answers.read_call(request) if anthropic_answers.is_anthropic(path) else Call.read(path, request)


def _response_body(path: str) -> Callable[[Call, Answer, Charge, int], Response]:
    if gemini_answers.is_gemini(path):
        return gemini_answers.response_body
    if anthropic_answers.is_anthropic(path):
        return anthropic_answers.response_body
    return responses_body if path.endswith("/responses") else chat_body


def _error_response(mode: Mode, path: str) -> Response:
    status, kind, code = _ERRORS[mode]
    if gemini_answers.is_gemini(path):
        return gemini_answers.error_body(status)
    if anthropic_answers.is_anthropic(path):
        return anthropic_answers.error_body(status)
    error = {"message": f"the fake provider says {status}", "type": kind, "param": None, "code": code}
    return status, "application/json", json.dumps({"error": error}).encode()


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: ModelServer = self.server.model_server  # type: ignore[attr-defined]
        request = json.loads(read_body(self) or b"{}")
        response = server.exchange(self.path, request, is_gone=self._is_gone)
        self.close_connection = True
        if response is None:
            return
        status, content_type, body = response
        try:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            # One client may be used from several event loops, one after the other.
            self.send_header("connection", "close")
            if status in (429, 503):
                self.send_header("retry-after", str(RETRY_AFTER_S))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            return  # a caller that was cancelled or timed out is gone

    def _is_gone(self) -> bool:
        self.connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.setblocking(True)  # noqa: FBT003 - the standard library's signature

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
        """Say nothing."""
