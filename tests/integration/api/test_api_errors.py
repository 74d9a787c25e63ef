# SPDX-License-Identifier: Apache-2.0
"""What becomes of an exception that passes through `agent_run`, against a real SDK pipeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.trace import StatusCode

from agent_outcomes import agent_run, record_run
from tests.chained_errors import caused
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, fail, named, of
from tests.pipeline import AGENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


# Exceptions


class HttpError(Exception):
    """An error with an HTTP status of its own."""

    def __init__(self, status_code: int) -> None:
        super().__init__(PRIVATE_TEXT)
        self.status_code = status_code


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class ResponseError(Exception):
    """An error whose response has the HTTP status."""

    def __init__(self, status_code: int) -> None:
        super().__init__(PRIVATE_TEXT)
        self.response = Response(status_code)


class CodedRpcError(grpc.RpcError):  # type: ignore[misc]
    """What a gRPC stub raises: the status is behind a method."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(PRIVATE_TEXT)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class FlaggedError(Exception):
    """An error that says itself whether to retry."""

    def __init__(self, **flags: bool) -> None:
        super().__init__(PRIVATE_TEXT)
        vars(self).update(flags)


class CodedError(Exception):
    """An error with a vendor's code and an HTTP status that says less."""

    def __init__(self, code: str, status_code: int) -> None:
        super().__init__(PRIVATE_TEXT)
        self.code = code
        self.status_code = status_code


class ClientError(Exception):
    """botocore's form: the code is in a plain dict."""

    def __init__(self, code: str) -> None:
        super().__init__(PRIVATE_TEXT)
        self.response = {"Error": {"Code": code, "Message": PRIVATE_TEXT}}


class UnreachableError(ConnectionError):
    """An application's own class below a known one."""


class RaisingPropertiesError(Exception):
    """An error of which every property raises."""

    @property
    def status_code(self) -> int:
        raise ValueError(PRIVATE_TEXT)

    @property
    def is_retryable(self) -> bool:
        raise ValueError(PRIVATE_TEXT)

    def __str__(self) -> str:
        raise ValueError(PRIVATE_TEXT)


def in_context(error: BaseException, context: BaseException) -> BaseException:
    error.__context__ = context
    return error


ERRORS: list[tuple[str, Callable[[], BaseException], str, str, bool | None]] = [
    ("a class below a known one", lambda: UnreachableError(PRIVATE_TEXT), "failure", "network", True),
    ("TimeoutError", lambda: TimeoutError(PRIVATE_TEXT), "timeout", "timeout", True),
    ("a bug", lambda: KeyError(PRIVATE_TEXT), "failure", "bug", False),
    ("unknown", lambda: RuntimeError(PRIVATE_TEXT), "failure", "other", None),
    ("a known class by name", lambda: named("RateLimitError", "openai"), "failure", "rate_limit", True),
    ("is_retryable", lambda: FlaggedError(is_retryable=True), "failure", "other", True),
    ("retryable", lambda: FlaggedError(retryable=False), "failure", "other", False),
    ("HTTP 429", lambda: HttpError(429), "failure", "rate_limit", True),
    ("HTTP 503", lambda: HttpError(503), "failure", "upstream_unavailable", True),
    ("HTTP 401", lambda: HttpError(401), "failure", "auth", False),
    ("HTTP 408", lambda: HttpError(408), "timeout", "timeout", True),
    ("response 500", lambda: ResponseError(500), "failure", "upstream_unavailable", True),
    ("response 404", lambda: ResponseError(404), "failure", "not_found", False),
    ("gRPC UNAVAILABLE", lambda: CodedRpcError(grpc.StatusCode.UNAVAILABLE), "failure", "upstream_unavailable", True),
    ("gRPC DEADLINE_EXCEEDED", lambda: CodedRpcError(grpc.StatusCode.DEADLINE_EXCEEDED), "timeout", "timeout", True),
    ("gRPC PERMISSION_DENIED", lambda: CodedRpcError(grpc.StatusCode.PERMISSION_DENIED), "failure", "auth", False),
    ("quota over 429", lambda: CodedError("insufficient_quota", 429), "failure", "quota", False),
    ("botocore throttling", lambda: ClientError("ThrottlingException"), "failure", "rate_limit", True),
    ("a cause", lambda: caused(RuntimeError(PRIVATE_TEXT), ConnectionError(PRIVATE_TEXT)), "failure", "network", True),
    (
        "a mere context",
        lambda: in_context(RuntimeError(PRIVATE_TEXT), ConnectionError(PRIVATE_TEXT)),
        "failure",
        "other",
        None,
    ),
    ("raising properties", RaisingPropertiesError, "failure", "other", None),
    ("CancelledError", lambda: asyncio.CancelledError(PRIVATE_TEXT), "cancelled", "cancelled", False),
    ("KeyboardInterrupt", lambda: KeyboardInterrupt(PRIVATE_TEXT), "cancelled", "terminated", False),
    ("SystemExit", lambda: SystemExit(PRIVATE_TEXT), "cancelled", "terminated", False),
]


@pytest.mark.parametrize(
    ("make", "status", "category", "retryable"), [row[1:] for row in ERRORS], ids=[r[0] for r in ERRORS]
)
def test_an_exception_is_classified_and_raised_on(
    pipeline: ApiPipeline,
    make: Callable[[], BaseException],
    status: str,
    category: str,
    retryable: bool | None,  # noqa: FBT001 - a table's column
) -> None:
    """The very exception comes out; its class decides, and its message and stack trace go nowhere."""
    error = make()
    with pytest.raises(type(error)) as caught, agent_run("bot", tracer_provider=pipeline.provider):
        fail(error)
    assert caught.value is error
    event, name = pipeline.event(), f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    assert of(event, "status", "error.category") == (status, category)
    assert of(event, "retryable", "source") == (retryable, "inferred")
    assert (event.attributes["error.type"], event.outcome("evidence")) == (name, f"exception:{name}")
    stated = pipeline.stated()
    assert (stated["status"], stated["source"], stated["evidence"]) == (status, "inferred", f"exception:{name}")
    assert stated["error.category"] == category
    span = pipeline.span("invoke_agent bot")
    assert span.events == ()
    assert span.status.is_ok is not isinstance(error, Exception)
    assert pipeline.leaks() == []


@pytest.mark.parametrize("error", [GeneratorExit(), StopAsyncIteration(), StopIteration()])
def test_an_exception_that_means_the_end_is_no_failure(pipeline: ApiPipeline, error: BaseException) -> None:
    """The end of a generator passing through a block says nothing about the run: success."""
    with pytest.raises(type(error)), agent_run("bot", tracer_provider=pipeline.provider):
        fail(error)
    event = pipeline.event()
    assert of(event, "status", "evidence") == ("success", "span_end")
    assert "error.type" not in event.attributes


def next_of_nothing() -> int:
    return next(iter(()))


async def anext_of_nothing() -> int:
    async def nothing() -> AsyncIterator[int]:
        numbers: tuple[int, ...] = ()
        for number in numbers:
            yield number

    return await anext(nothing())


@pytest.mark.parametrize(
    ("function", "error"), [(next_of_nothing, StopIteration), (anext_of_nothing, StopAsyncIteration)]
)
@pytest.mark.parametrize("name", ["pick", "__next__", "__anext__", "send", "next", "__iter__"])
def test_the_end_of_an_iteration_that_no_function_can_mean(
    pipeline: ApiPipeline, function: Callable[[], Any], error: type[Exception], name: str
) -> None:
    """Out of a function it is a failure, as in a plain span; but for the methods by which an iterator ends."""

    def call() -> Any:
        return function()

    async def acall() -> Any:
        return await function()

    is_async = function is anext_of_nothing
    made: Any = acall if is_async else call
    made.__name__ = name
    decorated = agent_run("bot", tracer_provider=pipeline.provider)(made)
    with pytest.raises(error):
        asyncio.run(decorated()) if is_async else decorated()
    wanted = (
        ("success", "span_end")
        if name in {"__next__", "__anext__", "send"}
        else ("failure", f"exception:{error.__name__}")
    )
    assert of(pipeline.event(), "status", "evidence") == wanted


@pytest.mark.parametrize("error", [StopIteration(5), StopAsyncIteration()])
def test_the_end_of_an_iteration_as_the_error_of_a_run(pipeline: ApiPipeline, error: Exception) -> None:
    """Whoever names an error says that it was one."""
    record_run("bot", error=error, tracer_provider=pipeline.provider)
    assert pipeline.event().outcome("status") == "failure"


def test_a_cancelled_task_is_cancelled(pipeline: ApiPipeline) -> None:
    """`task.cancel()` ends the run as cancelled, and the task ends as cancelled."""
    entered = asyncio.Event()

    async def work() -> None:
        async with agent_run("bot", tracer_provider=pipeline.provider):
            entered.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(work())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    event = pipeline.event()
    assert (event.outcome("status"), event.outcome("retryable"), event.severity) == ("cancelled", False, "INFO")


def test_a_time_limit_outside_and_inside(pipeline: ApiPipeline) -> None:
    """`asyncio.timeout` inside the run is a timeout; one around it looks like a cancel from inside."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with agent_run("inside", tracer_provider=pipeline.provider), asyncio.timeout(0.001):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001), agent_run("outside", tracer_provider=pipeline.provider):
                await asyncio.Event().wait()

    asyncio.run(main())
    assert pipeline.event_of("inside").outcome("status") == "timeout"
    assert pipeline.event_of("outside").outcome("status") == "cancelled"


def test_a_helper_outside_a_time_limit_says_timeout(pipeline: ApiPipeline) -> None:
    """With the helper around `wait_for` the run is a timeout, though the agent below it saw a cancel."""

    async def agent() -> None:
        with pipeline.app.start_as_current_span("invoke_agent inner", attributes=AGENT):
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with agent_run("bot", tracer_provider=pipeline.provider):
                await asyncio.wait_for(agent(), 0.001)

    asyncio.run(main())
    assert (pipeline.event().outcome("status"), pipeline.run_count()) == ("timeout", 1)


@pytest.mark.parametrize(
    ("name", "module"),
    [("GraphInterrupt", "langgraph.errors"), ("ApprovalRequired", "pydantic_ai.exceptions")],
)
def test_a_pause_for_a_human_is_no_outcome(pipeline: ApiPipeline, name: str, module: str) -> None:
    """An interrupt that waits for a human leaves no outcome behind, no status on the span and no ERROR."""
    error = named(name, module)
    with pytest.raises(type(error)) as caught, agent_run("bot", tracer_provider=pipeline.provider):
        fail(error)
    assert caught.value is error
    assert (pipeline.events(), pipeline.run_count()) == ([], 0)
    span = pipeline.span("invoke_agent bot")
    assert span.status.status_code is StatusCode.UNSET
    assert (dict(span.attributes or {})["error.type"], pipeline.stated()) == (f"{module}.{name}", {})


def test_an_explicit_status_stands_against_an_exception(pipeline: ApiPipeline) -> None:
    """What was stated stands, the contradiction is listed, and the error's class is on the span."""
    with pytest.raises(KeyError), agent_run("bot", status="success", success=True, tracer_provider=pipeline.provider):
        fail(KeyError(PRIVATE_TEXT))
    event = pipeline.event()
    assert of(event, "status", "source") == ("success", "explicit")
    assert event.problems == ["status_conflict:agent.outcome.status"]
    assert dict(pipeline.span("invoke_agent bot").attributes or {})["error.type"] == "KeyError"
    assert pipeline.leaks() == []


def test_a_stated_failure_takes_its_reasons_from_the_exception(pipeline: ApiPipeline) -> None:
    """A stated failure that an exception follows has the exception's category and retryability."""
    with pytest.raises(ConnectionError), agent_run("bot", status="failure", tracer_provider=pipeline.provider):
        fail(ConnectionError())
    event = pipeline.event()
    assert of(event, "status", "error.category", "retryable") == ("failure", "network", True)
    assert event.problems == []


def test_stated_reasons_win_over_the_exceptions(pipeline: ApiPipeline) -> None:
    """A stated category and retry flag are not overwritten by what the exception says."""
    with (
        pytest.raises(ConnectionError),
        agent_run("bot", error_category="policy", retryable=False, tracer_provider=pipeline.provider),
    ):
        fail(ConnectionError())
    event = pipeline.event()
    assert of(event, "status", "error.category", "retryable") == ("failure", "policy", False)


def test_a_handled_exception_is_no_failure(pipeline: ApiPipeline) -> None:
    """Within an `except` block of the application, and with an error handled inside, the run is a success."""
    try:
        fail(ValueError("before"))
    except ValueError:
        with agent_run("bot", tracer_provider=pipeline.provider), pytest.raises(KeyError):
            fail(KeyError("inside"))
    assert pipeline.event().outcome("status") == "success"
