# SPDX-License-Identifier: Apache-2.0
"""What the text of a stack trace says of an exception's causes, and that it says what the object itself would say."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import classify, find_rule
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.stack_traces import causes_in
from tests.chained_errors import error_class

if TYPE_CHECKING:
    from collections.abc import Callable


def throw(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with contextlib.suppress(type(error)):
        throw(error, cause)
    return error


AgentError = error_class("myapp.AgentError")
RateLimitError = error_class("litellm.exceptions.RateLimitError")


def facts_of(error: BaseException, trace: str | None = None) -> Any:
    """What an exception event says of the error, as the SDK records it."""
    cls = type(error)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    text = "".join(traceback.format_exception(error)) if trace is None else trace
    return facts_from_recorded(name, str(error), text)


LEAVES: dict[str, Callable[[], BaseException]] = {
    "rate_limit": lambda: RateLimitError("litellm.RateLimitError: slow\nTraceback of the provider:\n  none"),
    "timeout": lambda: TimeoutError("3 s"),
    "network": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "bug": lambda: KeyError("name"),
    "cancelled": asyncio.CancelledError,
    "other": lambda: error_class("myapp.Mystery")("who knows"),
}


@pytest.mark.parametrize("category", LEAVES)
def test_direct_cause(category: str) -> None:
    """A wrapper is followed to the class that it was raised from, through every wrapper between."""
    for depth in range(4):
        error = raised(LEAVES[category]())
        for _ in range(depth):
            error = raised(AgentError("failed"), error)
        assert classify(facts_of(error)).category == category


def test_context_is_no_cause() -> None:
    """What was merely being handled says nothing, nor what caused that."""
    error = raised(AgentError("while cleaning up"))
    error.__context__, error.__suppress_context__ = raised(RateLimitError("slow")), False
    assert "During handling" in "".join(traceback.format_exception(error))
    assert find_rule(facts_of(error)) is None


def test_cut_trace() -> None:
    """A trace whose end was cut off says nothing: nobody knows how what is seen belongs to the exception."""
    error = raised(AgentError("failed"), raised(RateLimitError("slow")))
    text = "".join(traceback.format_exception(error))
    assert classify(facts_of(error, text)).category == "rate_limit"
    cut = text[: text.rindex("myapp.AgentError") - 1]
    assert classify(facts_of(error, cut)).category == "other"


def test_trace_of_another_exception() -> None:
    """A trace that is not of the exception which was recorded says nothing of its causes."""
    other = raised(error_class("myapp.Other")("x"), raised(RateLimitError("slow")))
    trace = "".join(traceback.format_exception(other))
    assert classify(facts_from_recorded("myapp.AgentError", "m", trace)).category == "other"
    assert classify(facts_from_recorded("", "m", trace)).category == "rate_limit"


def chain(data: st.DataObject) -> BaseException:
    error = raised(LEAVES[data.draw(st.sampled_from(sorted(LEAVES)))]())
    for _ in range(data.draw(st.integers(0, 2))):
        error = raised(AgentError("failed"), error)
    return error


def group(data: st.DataObject, depth: int) -> BaseException:
    if depth == 0 or data.draw(st.booleans()):
        return chain(data)
    members = [group(data, depth - 1) for _ in range(data.draw(st.integers(1, 3)))]
    made = BaseExceptionGroup("unhandled errors\nin a TaskGroup", members)
    return raised(made) if data.draw(st.booleans()) else made


@given(st.data())
def test_text_and_object_agree(data: st.DataObject) -> None:
    """Whatever was raised from what, in groups or not: the trace says what the object says."""
    error = group(data, 3)
    for _ in range(data.draw(st.integers(0, 2))):
        error = raised(AgentError("failed"), error)
    assert classify(facts_of(error)) == classify(facts_from_exception(error))


@pytest.mark.parametrize("category", LEAVES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_group(category: str, depth: int) -> None:
    """A group of errors of one kind says what they say, however deep, whether it was raised or not."""
    for is_raised in (True, False):
        made: BaseException = raised(LEAVES[category]())
        for _ in range(depth):
            group = BaseExceptionGroup("unhandled errors", [made, raised(LEAVES[category]())])
            made = raised(group) if is_raised else group
        assert classify(facts_of(made)).category == category
        assert classify(facts_of(raised(AgentError("failed"), made))).category == category


def test_group_of_different_errors() -> None:
    """The one that forbids a retry decides, else nothing is known."""
    errors = [raised(TimeoutError("t")), raised(KeyError("k"))]
    assert classify(facts_of(raised(BaseExceptionGroup("g", errors)))).category == "bug"
    errors = [raised(TimeoutError("t")), raised(ConnectionError("c"))]
    assert classify(facts_of(raised(BaseExceptionGroup("g", errors)))).category == "other"


def test_group_of_more_errors_than_are_shown() -> None:
    """Python shows fifteen: of the others nobody knows."""
    many = [raised(TimeoutError("t")) for _ in range(16)]
    assert classify(facts_of(raised(BaseExceptionGroup("g", many)))).category == "other"
    assert classify(facts_of(raised(BaseExceptionGroup("g", many[:15])))).category == "timeout"


JAVA = """{name}: call failed
\tat com.shop.Agent.run(Agent.java:10)
\tSuppressed: java.lang.NullPointerException: close
\t\tat com.shop.Agent.close(Agent.java:20)
Caused by: java.util.concurrent.ExecutionException: x
\tat com.shop.Model.call(Model.java:5)
\t... 1 more
Caused by: {cause}
\t... 9 more
"""
IO_ERROR = "org.springframework.web.client.ResourceAccessException"


@pytest.mark.parametrize(
    ("cause", "category"),
    [
        ("java.lang.InterruptedException", "cancelled"),
        ("java.net.SocketTimeoutException: slow", "timeout"),
        ("java.net.ConnectException", "network"),
        ("com.shop.Unheard: of", "network"),
    ],
)
def test_a_cause_says_more_than_where_it_went_wrong(cause: str, category: str) -> None:
    """Spring's text names the request and the way it was on, whatever has stopped it there."""
    message = 'I/O error on POST request for "http://10.0.0.1/v1/chat/completions": stopped: null'
    trace = f"{IO_ERROR}: {message}\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: x\nCaused by: {cause}\n"
    assert classify(facts_from_recorded(IO_ERROR, message, trace)).category == category
    assert classify(facts_from_recorded(IO_ERROR, message)).category == "network"


DOTNET = """{name}: call failed
 ---> System.AggregateException: One or more errors occurred. (x)
 ---> {cause}
   at Shop.Model.Call()
   --- End of inner exception stack trace ---
   at Shop.Agent.Run()
"""
JAVASCRIPT = """{name}: call failed
    at Agent.run (/srv/agent.js:10:5) {{
  [cause]: {cause}
      at Model.call (/srv/model.js:5:1) {{
    errno: -111,
    code: '{code}',
    syscall: 'connect'
  }}
}}
"""


@pytest.mark.parametrize(
    ("name", "trace", "category"),
    [
        ("com.shop.AgentException", JAVA.format(name="x", cause="java.net.SocketTimeoutException: Read"), "timeout"),
        ("java.lang.RuntimeException", JAVA.format(name="x", cause="java.net.ConnectException"), "network"),
        (
            "com.shop.AgentException",
            JAVA.format(name="x", cause="org.springframework.web.client.HttpClientErrorException$TooManyRequests: 429"),
            "rate_limit",
        ),
        (
            "com.shop.AgentException",
            JAVA.format(name="x", cause="com.shop.Odd: 429 Too Many Requests: []"),
            "rate_limit",
        ),
        ("com.shop.AgentException", JAVA.format(name="x", cause="com.shop.Odd: y"), "other"),
        ("Shop.AgentException", DOTNET.format(name="x", cause="System.TimeoutException: slow"), "timeout"),
        (
            "System.Threading.Tasks.TaskCanceledException",
            DOTNET.format(name="x", cause="System.TimeoutException: slow"),
            "timeout",
        ),
        (
            "System.Net.Http.HttpRequestException",
            DOTNET.format(name="x", cause="System.Net.Sockets.SocketException (111): Connection refused"),
            "network",
        ),
        ("AgentError", JAVASCRIPT.format(name="x", cause="RateLimitError: slow", code="x"), "rate_limit"),
        ("Error", JAVASCRIPT.format(name="x", cause="Error: odd", code="ECONNREFUSED"), "network"),
        ("Error", JAVASCRIPT.format(name="x", cause="Error: connect ETIMEDOUT 1.2.3.4:5", code="x"), "timeout"),
        ("AI_RetryError", "AI_RetryError: x\n    at run\ncaused by: TimeoutError: slow\n    at call", "timeout"),
        ("Error", "Error: it failed because: TimeoutError\n    at run (/srv/a.js:1:1)", "other"),
        ("AI_APICallError", "AI_APICallError: slow\n    at file:///srv/index.mjs:3093:14", "other"),
    ],
)
def test_other_languages(name: str, trace: str, category: str) -> None:
    """Java's, .NET's and JavaScript's causes are read where their runtimes print them."""
    assert classify(facts_from_recorded(name, "call failed", trace)).category == category


@pytest.mark.parametrize(
    ("name", "message", "category"),
    [
        ("TypeError", "fetch failed", "network"),
        ("TypeError", "Failed to fetch", "network"),
        ("TypeError", "x is not a function", "bug"),
        ("*url.Error", 'Post "http://127.0.0.1:1": context canceled', "cancelled"),
        ("*url.Error", 'Post "http://127.0.0.1:1": EOF', "network"),
        ("*errors.errorString", "context canceled", "cancelled"),
        ("*fmt.wrapError", "calling model: context deadline exceeded", "timeout"),
        ("*openai.Error", 'POST "https://api.openai.com/v1/chat/completions": 429 Too Many Requests {}', "rate_limit"),
        ("*errors.errorString", "something went wrong", "other"),
        ("java.io.IOException", "Canceled", "cancelled"),
        ("java.io.IOException", "closed", "other"),
        ("java.net.SocketException", "closed", "network"),
        ("System.Threading.Tasks.TaskCanceledException", "A task was canceled.", "cancelled"),
        ("System.Net.Http.HttpRequestException", "Response status code does not indicate success: 401 (U).", "auth"),
        ("openai.RateLimitError", "Error code: 429 - {'error': {'code': 'insufficient_quota'}}", "quota"),
        ("openai.RateLimitError", "Error code: 429 - {'error': {'code': 'rate_limit_exceeded'}}", "rate_limit"),
        ("ClientError", "An error occurred (ThrottlingException) when calling the X operation: m", "rate_limit"),
        ("org.springframework.ai.retry.NonTransientAiException", 'HTTP 429 - {"error": {"code": "x"}}', "rate_limit"),
        ("RpcError", "<RpcError of RPC that terminated with:\n\tstatus = StatusCode.NOT_FOUND\n", "not_found"),
        ("429", "RESOURCE_EXHAUSTED: 429 slow", "rate_limit"),
        ("Exception", "OpenAIRateLimitError('Error code: 429 - slow')Traceback (most recent call last):", "rate_limit"),
        ("", "429 slow\n\nTroubleshooting URL: https://x.y/errors/MODEL_RATE_LIMIT/\n", "rate_limit"),
    ],
)  # fmt: skip
def test_class_and_message(name: str, message: str, category: str) -> None:
    """A class that says little is judged by its message; a code in a message refines a class that says more."""
    assert classify(facts_from_recorded(name, message)).category == category


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=2000))
def test_anything_is_read(name: str, message: str, trace: str) -> None:
    """Whatever stands in the three attributes, it gets a verdict."""
    for text in (trace, f"Traceback (most recent call last):\n{trace}", f"Caused by: {trace}", f"[cause]: {trace}"):
        assert classify(facts_from_recorded(name, message, text)) is not None
        assert len(causes_in(text)) <= 9
