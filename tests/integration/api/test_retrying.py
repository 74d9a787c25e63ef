# SPDX-License-Identifier: Apache-2.0
"""Retries by the typed outcome: tenacity and a plain loop over real clients' real exceptions, each attempt a run."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import grpc  # type: ignore[import-untyped]
import httpx
import openai
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status as GrpcStatus  # type: ignore[import-untyped]
from tenacity import (
    AsyncRetrying,
    RetryError,
    Retrying,
    retry,
    retry_if_result,
    stop_after_attempt,
    wait_fixed,
)

from agent_outcomes import Outcome, agent_run, retry_after_s
from agent_outcomes.retrying import retry_if_retryable, wait_retry_after
from tests.integration.api_pipeline import ApiPipeline, of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "done"}}],
}
Reply = tuple[int, dict[str, str]]
LIMITED: Reply = (429, {"retry-after": "7"})
UNAVAILABLE: Reply = (503, {})
DENIED: Reply = (401, {})
OK: Reply = (200, {})


class Replies:
    """A loopback model server that gives each reply once, in order."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.calls = 0
        outer, left = self, list(replies)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.calls += 1
                status, headers = left.pop(0)
                body = json.dumps(ANSWER if status == 200 else {"error": {"message": "no"}}).encode()
                self.send_response(status)
                for name, value in {**headers, "content-type": "application/json"}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's name for it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def openai_client(server: Replies, **options: Any) -> Iterator[openai.OpenAI]:
    """A client that does not retry by itself."""
    with openai.OpenAI(api_key="k", base_url=server.url, max_retries=0, **options) as client:
        yield client


def ask(client: openai.OpenAI) -> str | None:
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    return answer.choices[0].message.content


def statuses(pipeline: ApiPipeline) -> list[tuple[Any, ...]]:
    return [of(event, "status", "retryable", "error.category") for event in pipeline.events()]


def test_tenacity_over_a_model_client() -> None:
    """What is transient is tried again after the time asked for; each attempt is a run with its own outcome."""
    pipeline = ApiPipeline()
    waits: list[float] = []
    with Replies([LIMITED, UNAVAILABLE, OK]) as server, openai_client(server) as client:

        @retry(
            retry=retry_if_retryable(),
            wait=wait_retry_after(wait_fixed(2)),
            stop=stop_after_attempt(5),
            sleep=waits.append,
            reraise=True,
        )
        @agent_run("bot", tracer_provider=pipeline.provider)
        def answer() -> str | None:
            return ask(client)

        assert answer() == "done"
    assert (server.calls, waits) == (3, [7.0, 2.0])
    assert statuses(pipeline) == [
        ("failure", True, "rate_limit"),
        ("failure", True, "upstream_unavailable"),
        ("success", False, None),
    ]


def test_what_is_permanent_is_not_tried_again() -> None:
    """A wrong key stays wrong: one call, one run, and the client's own exception."""
    pipeline = ApiPipeline()
    with Replies([DENIED]) as server, openai_client(server) as client:

        @retry(retry=retry_if_retryable(), wait=wait_retry_after(), stop=stop_after_attempt(5), reraise=True)
        @agent_run("bot", tracer_provider=pipeline.provider)
        def answer() -> str | None:
            return ask(client)

        with pytest.raises(openai.AuthenticationError):
            answer()
    assert server.calls == 1
    assert statuses(pipeline) == [("failure", False, "auth")]


def test_a_plain_loop() -> None:
    """The same without tenacity: the outcome says whether, the error how long."""
    pipeline = ApiPipeline()
    waits: list[float] = []

    def answer(client: openai.OpenAI) -> str | None:
        for attempt in range(5):
            try:
                with agent_run("bot", tracer_provider=pipeline.provider):
                    return ask(client)
            except Exception as error:
                if attempt == 4 or not Outcome.from_exception(error).is_retryable():
                    raise
                waits.append(min(retry_after_s(error) or 2.0**attempt, 60.0))
        return None

    with Replies([LIMITED, (429, {"retry-after-ms": "1500"}), UNAVAILABLE, OK]) as server:
        with openai_client(server) as client:
            assert answer(client) == "done"
        assert (server.calls, waits) == (4, [7.0, 1.5, 4.0])
    assert [status for status, *_ in statuses(pipeline)] == ["failure", "failure", "failure", "success"]


def test_a_client_that_waited_too_long() -> None:
    """Nobody answers: the client's time-out is retryable, and asks for no time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            openai.OpenAI(api_key="k", base_url=url, max_retries=0, timeout=0.05) as client,
            pytest.raises(openai.APITimeoutError) as caught,
        ):
            ask(client)
    outcome = Outcome.from_exception(caught.value)
    assert (outcome.status.value, outcome.is_retryable(), retry_after_s(caught.value)) == ("timeout", True, None)


def test_httpx() -> None:
    """A bare HTTP client's error has the answer, and with it what was asked."""
    with Replies([LIMITED]) as server:
        response = httpx.post(server.url, json={})
        with pytest.raises(httpx.HTTPStatusError) as caught:
            response.raise_for_status()
    assert (Outcome.from_exception(caught.value).is_retryable(), retry_after_s(caught.value)) == (True, 7)


@pytest.mark.parametrize("seconds", [61, 3600])
def test_the_wait_is_capped(seconds: int) -> None:
    """However long a server asks, the strategy's limit holds; so it does for the fallback."""
    waits: list[float] = []
    with Replies([(429, {"retry-after": str(seconds)}), UNAVAILABLE, OK]) as server, openai_client(server) as client:
        wait = wait_retry_after(wait_fixed(100))
        retrying = Retrying(retry=retry_if_retryable(), wait=wait, stop=stop_after_attempt(3), sleep=waits.append)
        assert retrying(ask, client) == "done"
    assert waits == [60.0, 60.0]


def test_the_default_fallback_grows() -> None:
    """A random time up to 1, 2, 4, 8 ... seconds, and never above the limit."""
    waits: list[float] = []

    def fail() -> None:
        raise ConnectionError

    retrying = Retrying(
        retry=retry_if_retryable(),
        wait=wait_retry_after(max_s=5),
        stop=stop_after_attempt(20),
        sleep=waits.append,
    )
    with pytest.raises(RetryError):
        retrying(fail)
    assert len(waits) == 19
    assert all(0 <= wait <= limit for wait, limit in zip(waits, [1, 2, 4, *[5] * 16], strict=True))


@pytest.mark.parametrize(
    ("outcome", "calls"),
    [(Outcome.invalid_output(), 3), (Outcome.failure(error_category="policy"), 1), (Outcome.success(), 1), ("text", 1)],
    ids=["invalid output", "policy", "success", "no outcome"],
)
def test_failures_returned_as_values(outcome: object, calls: int) -> None:
    """A function that returns its outcome is tried again by that; any other result is taken."""
    seen: list[object] = []

    def returning() -> object:
        seen.append(outcome)
        return outcome

    retrying = Retrying(retry=retry_if_retryable(), stop=stop_after_attempt(3), retry_error_callback=lambda _: outcome)
    assert retrying(returning) is outcome
    assert len(seen) == calls


def test_combined_with_tenacitys_own() -> None:
    """The predicate and the wait are tenacity's kind, so its operators work."""
    results = iter(["", ConnectionError(), "done"])
    waits: list[float] = []

    def step() -> str:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return str(result)

    retrying = Retrying(
        retry=retry_if_result(lambda result: not result) | retry_if_retryable(),
        wait=wait_retry_after(wait_fixed(1)) + wait_fixed(2),
        stop=stop_after_attempt(5),
        sleep=waits.append,
    )
    assert (retrying(step), waits) == ("done", [3, 3])


def test_coroutines_and_cancellation() -> None:
    """Coroutines are tried again alike, and a cancelled attempt is not."""
    attempts: list[int] = []

    async def step() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise TimeoutError
        if len(attempts) == 2:
            raise asyncio.CancelledError
        return "done"

    async def main() -> None:
        retrying = AsyncRetrying(retry=retry_if_retryable(), wait=wait_retry_after(wait_fixed(0)), reraise=True)
        with pytest.raises(asyncio.CancelledError):
            await retrying(step)

    asyncio.run(main())
    assert len(attempts) == 2


def details_of(milliseconds: int) -> bytes:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(milliseconds)
    packed = AnyMessage()
    packed.Pack(info)
    message: bytes = GrpcStatus(code=8, message="no", details=[AnyMessage(), packed]).SerializeToString()
    return message


def info_of(milliseconds: int) -> bytes:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(milliseconds)
    message: bytes = info.SerializeToString()
    return message


@pytest.mark.parametrize(
    ("metadata", "asked_s"),
    [
        ((("grpc-status-details-bin", details_of(2500)),), 2.5),
        ((("google.rpc.retryinfo-bin", info_of(1500)),), 1.5),
        ((("other", "x"), ("grpc-status-details-bin", b"\xff\xff\xff")), None),
        ((), None),
    ],
    ids=["status details", "retry info", "garbage", "nothing"],
)
def test_grpc(metadata: tuple[tuple[str, str | bytes], ...], asked_s: float | None) -> None:
    """A server's RetryInfo, as a real call's error carries it."""

    def unavailable(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(metadata)
        context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        return b""

    handler = grpc.method_handlers_generic_handler("s", {"m": grpc.unary_unary_rpc_method_handler(unavailable)})
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Callable[..., bytes] = channel.unary_unary("/s/m")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=20)
        server.stop(None).wait()
    assert Outcome.from_exception(caught.value).is_retryable()
    assert retry_after_s(caught.value) == asked_s


def test_tenacity_is_only_imported_when_used() -> None:
    """Neither the package nor an outcome brings it in, and without it the error names the extra."""
    code = (
        "import sys, agent_outcomes\n"
        "agent_outcomes.Outcome.from_exception(ConnectionError())\n"
        "assert not {'tenacity', 'google.rpc', 'genai_prices'} & set(sys.modules), 'imported'\n"
        "sys.modules['tenacity'] = None\n"
        "try:\n"
        "    import agent_outcomes.retrying\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert "pip install 'otel-agent-outcomes[tenacity]'" in done.stdout
