# SPDX-License-Identifier: Apache-2.0
"""What an error states of itself against what its library, its parent's name or its wrapper says of all such errors."""

from __future__ import annotations

import enum
import imaplib
import shutil
import tarfile
import xmlrpc.client
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.error_classes import DEFAULT_STATUSES
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.recorded import facts_from_recorded
from tests.chained_errors import caused, error_class

REQUEST: Any = httpx.Request("POST", "https://api.example.com/v1")


def made(name: str, *args: object, parents: tuple[type[BaseException], ...] = (), **attributes: Any) -> BaseException:
    return error_class(name, *parents, **attributes)(*args)


def said(error: BaseException) -> tuple[str, bool | None]:
    found = classify(facts_from_exception(error))
    return found.category, found.retryable


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (tarfile.ReadError("not a gzip file"), "other"),
        (shutil.ReadError("x.zip is not a zip file"), "other"),
        (xmlrpc.client.ProtocolError("u", 401, "Unauthorized", {}), "other"),
        (imaplib.IMAP4.abort("socket error: EOF"), "network"),
        (imaplib.IMAP4.readonly("mailbox status changed"), "network"),
        (made("queue.ShutDown"), "other"),
        (made("starlette.exceptions.WebSocketException"), "other"),
        (made("marshmallow.exceptions.ValidationError"), "other"),
        (made("opensearchpy.exceptions.SerializationError"), "other"),
        (made("inspect_ai.util._limit.LimitExceededError", "Token limit exceeded"), "budget_exhausted"),
    ],
)
def test_class_of_another_library(error: BaseException, category: str) -> None:
    """Classes that are called as those of other libraries are not those, raised or recorded."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    assert said(error)[0] == category
    if type(error).__qualname__ != "IMAP4.readonly":  # of a name alone the parents are not known
        assert classify(facts_from_recorded(name, "text")).category == category


@given(
    st.sampled_from([400, 401, 403, 404, 413, 422]),
    st.sampled_from(["TransportError", "HTTPClientError", "ReadError", "ConnectionError", "ProtocolError"]),
    st.sampled_from(["zeep.exceptions", "meilisearch.errors", "shop.http", "__main__"]),
)
def test_own_status_before_a_name(status: int, word: str, module: str) -> None:
    """A status that forbids a retry is no network error, whatever a class of no table, or its parent, is called."""
    parent = error_class(f"{module}.{word}")
    for cls in (parent, error_class(f"{module}.Denied", parent), error_class("shop.Own", ConnectionError)):
        error = cls("text")
        error.status_code = status  # type: ignore[attr-defined]  # as clients put it on the object
        assert classify(facts_from_exception(error)).retryable is False


def test_full_name_before_a_status() -> None:
    """A class that the table knows by its full name says more than its status."""
    assert said(made("litellm.exceptions.ContextWindowExceededError", status_code=400)) == ("context_overflow", False)


PERMANENT = (
    (httpx.UnsupportedProtocol("no http://"), "bad_request"),
    (httpx.LocalProtocolError("Illegal header value b'Bearer '"), "bad_request"),
    (made("openai.AuthenticationError", "Error code: 401", status_code=401), "auth"),
    (made("shop.Refused", status_code=403), "auth"),
    (made("anthropic.NotFoundError"), "not_found"),
)
WRAPPERS = (
    openai.APIConnectionError(request=REQUEST),
    ConnectionError("LLM unreachable"),
    made("crewai.utilities.converter.ConverterError", "Failed to convert text into a Pydantic model"),
    made("anthropic.OverloadedError"),
    made("openai.ConflictError"),
)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(("cause", "category"), PERMANENT, ids=lambda one: type(one).__name__)
def test_permanent_cause(wrapper: BaseException, cause: BaseException, category: str) -> None:
    """What a wrapper was raised from decides where it forbids a retry, with or without an error between."""
    assert said(caused(wrapper, cause)) == (category, False)
    assert said(caused(wrapper, caused(made("shop.Step"), cause))) == (category, False)
    assert said(caused(made("shop.Failed"), wrapper)) == (category, False)
    assert said(wrapper)[1] is False
    wrapper.__cause__ = None
    assert said(wrapper)[1] is True


@pytest.mark.parametrize("module", ["httpx2", "httpcore2", "httpx2._exceptions"])
def test_successor_of_a_package(module: str) -> None:
    """A package that goes on under another name has the classes of the one before, as causes and as parents, too."""
    for word, category in (("ReadError", "network"), ("UnsupportedProtocol", "bad_request")):
        for error in (made(f"{module}.{word}"), made("shop.Own", parents=(error_class(f"{module}.{word}"),))):
            assert said(error)[0] == category
            assert said(caused(openai.APIConnectionError(request=REQUEST), error))[0] == category


def test_cause_that_is_no_reason() -> None:
    """A cause that passes, or a parser's missing key, leaves the error what it is; so does a late refusal of h2."""
    assert said(caused(ConnectionError(), httpx.ConnectError("x"))) == ("network", True)
    parser = made("langchain_core.exceptions.OutputParserException")
    assert said(caused(parser, KeyError("action"))) == ("validation", True)
    late = httpx.LocalProtocolError("Invalid input ConnectionInputs.SEND_HEADERS in state ConnectionState.CLOSED")
    assert said(caused(openai.APIConnectionError(request=REQUEST), late)) == ("network", True)


def test_catch_all_says_nothing() -> None:
    """LiteLLM's last resort is no network error by itself, and is one where its text says so."""
    name = "litellm.exceptions.APIConnectionError"
    for text, category in (
        ("litellm.APIConnectionError: 'str' object has no attribute 'get'", "other"),
        ("litellm.APIConnectionError: OllamaException - [Errno 111] Connection refused", "network"),
    ):
        error = made(name, text, parents=(error_class("openai.APIConnectionError"),), status_code=500)
        assert said(error)[0] == category
        for recorded in (name, "APIConnectionError"):
            assert classify(facts_from_recorded(recorded, text)).category == category


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (made("temporalio.exceptions.ApplicationError", type="AuthenticationError", non_retryable=False), False),
        (made("temporalio.exceptions.ApplicationError", "no", non_retryable=False), None),
        (made("temporalio.exceptions.ApplicationError", "no", non_retryable=True), False),
        (made("google.auth.exceptions.TransportError", retryable=False), True),
        (made("google.auth.exceptions.TimeoutError", retryable=False), True),
        (made("google.auth.exceptions.RefreshError", retryable=True), True),
        (made("google.auth.exceptions.RefreshError", retryable=False), False),
        (made("openai.AuthenticationError", retryable=True), False),
        (made("openai.RateLimitError", code="insufficient_quota", is_retryable=True), False),
        (made("anthropic.ContentTooLargeError", is_retryable=True), False),
        (made("openai.RateLimitError", is_retryable=False), False),
        (made("shop.Busy", is_retryable=True), True),
    ],
)
def test_flags(error: BaseException, expected: bool | None) -> None:  # noqa: FBT001 - a column of the table
    """A flag counts if somebody has set it, and makes nothing retryable that no retry can mend."""
    assert said(error)[1] is expected


@pytest.mark.parametrize("name", DEFAULT_STATUSES)
def test_default_status(name: str) -> None:
    """A status that a class puts on every error says nothing; that of the cause does."""
    default = DEFAULT_STATUSES[name]
    assert said(made(name, "x", status_code=default)) == ("other", None)
    assert said(caused(made(name, "x", status_code=default), ValueError("x"))) == ("other", None)
    for status, category in ((401, "auth"), (422, "bad_request"), (429, "rate_limit")):
        cause = made("mistralai.models.sdkerror.SDKError", "x", status_code=status)
        assert said(caused(made(name, "x", status_code=default), cause))[0] == category
    assert said(made("agno.exceptions.ModelProviderError", "x", status_code=503))[0] == "upstream_unavailable"


@given(st.integers(400, 599), st.sampled_from(["clickhouse_driver.errors.ServerException", "shop.OrderError"]))
def test_code_that_is_no_status(code: int, name: str) -> None:
    """A number that a database or a shop calls its code is no HTTP status, as number or as text."""
    for value in (code, str(code)):
        assert said(made(name, "text", code=value)) == ("other", None)


@pytest.mark.parametrize("attributes", [{"headers": {}}, {"response": SimpleNamespace()}])
def test_code_that_is_a_status(attributes: dict[str, Any]) -> None:
    """Beside another sign of HTTP it is one: a response, headers, the message, the class or its package."""
    assert said(made("shop.Failed", "text", code=403, **attributes)) == ("auth", False)
    assert (
        said(made("gql.transport.exceptions.TransportServerError", "403, message='Forbidden'", code=403))[0] == "auth"
    )
    assert said(made("google.genai.errors.ClientError", "text", code=403)) == ("auth", False)
    assert said(made("tornado.httpclient.HTTPClientError", "text", code=403)) == ("auth", False)


def test_details_of_grpc() -> None:
    """What gRPC's own errors say behind a method says more than their code."""
    code = enum.Enum("StatusCode", ["RESOURCE_EXHAUSTED"]).RESOURCE_EXHAUSTED  # type: ignore[attr-defined]  # as grpc's
    text = "Your team 7 has either used all available credits or reached its monthly spending limit."
    for details, category in ((lambda _: text, "quota"), (lambda _: 1 / 0, "rate_limit"), (text, "quota")):
        error = made("grpc.aio._call.AioRpcError", code=lambda _: code, details=details)
        assert said(error)[0] == category
    assert said(made("shop.RpcFailed", details=lambda _: text))[0] == "other"


@pytest.mark.parametrize(
    ("name", "text", "category"),
    [
        ("SyntaxError", "Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON", "validation"),
        (
            "SyntaxError",
            "Expected ',' or '}' after property value in JSON at position 91 (line 4 column 3)",
            "validation",
        ),
        ("SyntaxError", "Unexpected non-whitespace character after JSON at position 4", "validation"),
        ("SyntaxError", "JSON.parse: unexpected character at line 1 column 1 of the JSON data", "validation"),
        ("SyntaxError", "JSON Parse error: Unexpected identifier", "validation"),
        ("SyntaxError", "Invalid or unexpected token", "bug"),
        ("ValueError", "The file 'x' is not valid JSON", "other"),
        ("pydantic_ai.exceptions.UnexpectedModelBehavior", "Model token limit (900) exceeded before any", "truncated"),
        ("pydantic_ai.exceptions.UnexpectedModelBehavior", "Received empty model response", "validation"),
        ("shop.UnexpectedModelBehavior", "Model token limit (900) exceeded before any", "validation"),
        ("claude_agent_sdk._errors.CLIConnectionError", "Working directory does not exist: /srv/x", "bad_request"),
        ("claude_agent_sdk._errors.CLIConnectionError", "Not connected. Call connect() first.", "bug"),
        ("claude_agent_sdk._errors.CLIConnectionError", "Failed to start Claude Code: no", "other"),
    ],
)
def test_message_of_a_class(name: str, text: str, category: str) -> None:
    """What a class's own message says counts of that class alone, also where another error was raised from it."""
    assert classify(facts_from_recorded(name, text)).category == category
    if "." in name:
        error = error_class(name)(text)
        assert said(error)[0] == category
        assert said(caused(made("shop.Failed"), error))[0] == category


def test_reason_of_a_closed_websocket() -> None:
    """Why the other side closed the connection is kept in its frame."""
    for reason, category in (("API key not valid. Please pass a valid API key.", "auth"), ("", "network")):
        error = made("websockets.exceptions.ConnectionClosedError", rcvd=SimpleNamespace(code=1007, reason=reason))
        assert said(error)[0] == category


def test_reasons_of_googles_discovery_client() -> None:
    """A 403 may be a limit on requests, which passes."""
    for details, category in (
        ([{"reason": "userRateLimitExceeded"}], "rate_limit"),
        ([{"reason": "forbidden"}], "auth"),
        ("text", "auth"),
    ):
        error = made("googleapiclient.errors.HttpError", "x", status_code=403, error_details=details)
        assert said(error)[0] == category
