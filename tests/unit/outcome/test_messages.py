# SPDX-License-Identifier: Apache-2.0
"""Messages of known forms, one example at least for each form, and messages that only resemble them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.error_names import rule_of_http
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.message_forms import CODE_FORMS, PHRASES, STATUS_FORMS, TEXT_RULES, VAGUE_TEXTS, WORD_RULES
from agent_outcomes.outcome.messages import told_by
from agent_outcomes.outcome.provider_texts import SENTENCES
from agent_outcomes.outcome.recorded import facts_from_recorded
from agent_outcomes.outcome.text import MESSAGE_LENGTH_MAX
from tests.chained_errors import error_class
from tests.unit.outcome.test_error_texts import ROWS as ERROR_TEXTS

STACK = "\n    at APIError.generate (file:///srv/node_modules/openai/core/error.mjs:59:20)\n    at async pRetry"
STATUS_MESSAGES = {
    "Error code: 429 - {'error': {'message': 'slow down'}}": "rate_limit",
    "Error code: 503": "upstream_unavailable",
    "429 status code (no body)": "rate_limit",
    f"401 wrong key{STACK}": "auth",
    f"Error: 500 the model is gone{STACK}": "upstream_unavailable",
    "502 no answer\n    at OpenAI.makeStatusError (file:///srv/client.mjs:4:3)": "upstream_unavailable",
    '529 {"type":"error","error":{"type":"overloaded_error"}}': "upstream_unavailable",
    'POST "https://api.openai.com/v1/chat/completions": 429 Too Many Requests {"message": "slow"}': "rate_limit",
    "404: no such model": "not_found",
    "Client error '403 Forbidden' for url 'http://127.0.0.1/v1'\nFor more information": "auth",
    "Server error '504 Gateway Timeout' for url 'http://127.0.0.1/v1'": "upstream_unavailable",
    "402 Client Error: Payment Required for url: http://127.0.0.1/": "quota",
    'HTTP 429 - {"error": {"message": "m"}}': "rate_limit",
    "HTTP Error 503: Service Unavailable": "upstream_unavailable",
    "HTTP/1.1 401 Unauthorized": "auth",
    "HTTP 429": "rate_limit",
    "Request failed with status code 408": "timeout",
    "the server responded with status 422": "bad_request",
    "Response status code does not indicate success: 429 (Too Many Requests).": "rate_limit",
    "Service request failed.\nStatus: 429 (Too Many Requests)\nErrorCode: 429": "rate_limit",
    "429 Too Many Requests": "rate_limit",
    "503 Service Unavailable from POST http://127.0.0.1/v1": "upstream_unavailable",
    "401 Unauthorized: [no body]": "auth",
    "status_code: 429, model_name: gpt-4o, body: {'error': {}}": "rate_limit",
    "headers: {'date': 'today', 'x': '{}'}, status_code: 400, body: {'message': 'no'}": "bad_request",
    "API error occurred: Status 429. Body: {}": "rate_limit",
    "API error occurred: Status: 503\n{}": "upstream_unavailable",
    "model 'x' not found (status code: 404)": "not_found",
    "429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'status': 'RESOURCE_EXHAUSTED'}}": "rate_limit",
    "got status: 503 Service Unavailable. {}": "upstream_unavailable",
    "[VertexAI.ClientError]: got status: 429 Too Many Requests. {}": "rate_limit",
    "[GoogleGenerativeAI Error]: Error fetching from https://x/v1: [404 Not Found] m": "not_found",
    "googleapi: Error 403: no, forbidden": "auth",
    "Error 429, Message: slow down, Status: RESOURCE_EXHAUSTED, Details: []": "rate_limit",
    '{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}': "rate_limit",
    "error, status code: 429, status: 429 Too Many Requests, message: slow": "rate_limit",
    "API returned unexpected status code: 500: m": "upstream_unavailable",
    "operation error Bedrock Runtime: Converse, https response error StatusCode: 403, RequestID: a": "auth",
    "operation error S3: Get, exceeded maximum number of attempts, 3, https response error StatusCode: 429, a": (
        "rate_limit"
    ),
    "Too many (Service: BedrockRuntime, Status Code: 429, Request ID: 1-2) (SDK Attempt Count: 1)": "rate_limit",
    'Error code: 429, with error text {"error":{"code":"1113","message":"m"}}': "rate_limit",
    'MCP error -32001: Error POSTing to endpoint (HTTP 400): {"jsonrpc":"2.0"}': "bad_request",
    '<HttpError 404 when requesting https://x/v1 returned "no. Details: "no"">': "not_found",
    """<HttpError 403 when requesting https://x returned "m". Details: "[{'reason': 'userRateLimitExceeded'}]">""": (
        "rate_limit"
    ),
    "Unexpected code Response{protocol=h2, code=401, message=, url=https://x/v1}": "auth",
    "Too Many Requests": "rate_limit",
    "Bad Gateway": "upstream_unavailable",
}
CODE_MESSAGES = {
    "An error occurred (ThrottlingException) when calling the Converse operation (reached max retries: 4): m": (
        "rate_limit"
    ),
    "An error occurred (AccessDeniedException) when calling the InvokeModel operation: m": "auth",
    "rpc error: code = ResourceExhausted desc = slow down": "rate_limit",
    '<AioRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "m"\n>': (
        "upstream_unavailable"
    ),
    "14 UNAVAILABLE: No connection established": "upstream_unavailable",
    "insufficient_quota: You exceeded your current quota": "quota",
    "connect ECONNREFUSED 127.0.0.1:11434": "network",
    "getaddrinfo ENOTFOUND api.openai.com": "network",
    "read ETIMEDOUT": "timeout",
    "claim job: ERROR: deadlock detected (SQLSTATE 40P01)": "transient",
    "FATAL: sorry, too many clients already (SQLSTATE 53300)": "upstream_unavailable",
    "Result error: error_max_turns": "budget_exhausted",
    "Result error: error_max_budget_usd": "budget_exhausted",
    "Result error: error_max_structured_output_retries": "validation",
    "MCP error -32001: Request timed out": "timeout",
    "MCP error -32602: Invalid arguments": "bad_request",
    "429 slow\n\nTroubleshooting URL: https://docs.langchain.com/oss/errors/MODEL_RATE_LIMIT/\n": "rate_limit",
    "no JSON\n\nTroubleshooting URL: https://js.langchain.com/docs/troubleshooting/errors/OUTPUT_PARSING_FAILURE/": (
        "validation"
    ),
    '{"type":"error","error":{"details":null,"type":"overloaded_error","message":"m"}}': "upstream_unavailable",
    "{'type': 'error', 'error': {'type': 'rate_limit_error', 'message': 'm'}}": "rate_limit",
}
TEXT_MESSAGES = {
    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally": "network",
    "(psycopg2.OperationalError) SSL connection has been closed unexpectedly\n": "network",
    "could not connect to server: Connection refused\n\tIs the server running on host": "network",
    "consuming input failed: server closed the connection unexpectedly": "network",
    'connection to server at "db" (10.0.0.7), port 5432 failed: Connection refused\n\tIs the server running': "network",
    "2 validation errors for Forecast\n  Invalid JSON": "validation",
    "Max iterations of 3 reached! Either something went wrong": "budget_exhausted",
    "Max turns (10) exceeded": "budget_exhausted",
    "Recursion limit of 25 reached without hitting a stop condition. You can": "budget_exhausted",
    "Task 'Say\nso.' execution timed out after 3 seconds. Consider": "timeout",
    "Max turns exceeded: {'max_turns': 3}": "budget_exhausted",
    "{'message': 'Guardrail tripwire triggered', 'data': {}}": "policy",
    "Guardrail tripwire triggered": "policy",
    "abandoned stream": "cancelled",
    "fetch failed": "network",
    "Failed to fetch": "network",
    "Load failed": "network",
    "Network request failed": "network",
    "Network Error": "network",
    "socket hang up": "network",
    "NetworkError when attempting to fetch resource.": "network",
    "Connection error.": "network",
    "Connection closed": "network",
    "Server disconnected": "network",
    "All connection attempts failed": "network",
    "Client network socket disconnected before secure TLS connection was established": "network",
    "Cannot connect to host 127.0.0.1:1 ssl:default [Connect call failed]": "network",
    "[Errno 111] Connection refused": "network",
    "[Errno 61] Connection refused": "network",
    "[Errno -3] Temporary failure in name resolution": "network",
    "This operation was aborted": "cancelled",
    "The operation was aborted.": "cancelled",
    "The user aborted a request.": "cancelled",
    "Request was aborted.": "cancelled",
    "The operation was aborted due to timeout": "timeout",
    "The operation timed out.": "timeout",
    "Request timed out.": "timeout",
    "timeout of 10000ms exceeded": "timeout",
    "The operation was cancelled because it exceeded the configured timeout of 0:01:40. Network timeout": "timeout",
    "Timed out while waiting for response to ClientRequest. Waited 5.0 seconds.": "timeout",
    "The request was canceled due to the configured HttpClient.Timeout of 100 seconds elapsing.": "timeout",
    "context deadline exceeded": "timeout",
    'Post "https://api.openai.com/v1": context deadline exceeded (Client.Timeout exceeded while awaiting headers)': (
        "timeout"
    ),
    "context canceled": "cancelled",
    "running agent: calling model: context canceled": "cancelled",
    'Post "http://127.0.0.1:1/v1": dial tcp 127.0.0.1:1: i/o timeout': "timeout",
    "read tcp 10.0.0.1:50->10.0.0.2:443: i/o timeout": "timeout",
    "net/http: TLS handshake timeout": "timeout",
    'Post "http://127.0.0.1:1/v1": dial tcp 127.0.0.1:1: connect: connection refused': "network",
    "dial tcp: lookup api.openai.com on 10.0.0.1:53: no such host": "network",
    "read tcp 10.0.0.1:50->10.0.0.2:443: read: connection reset by peer": "network",
}
CLASS_MESSAGES = {
    "openai.RateLimitError: slow down": "rate_limit",
    "RuntimeError: RateLimitError: slow down": "rate_limit",
    "litellm.RateLimitError: RateLimitError: OpenAIException - slow down": "rate_limit",
    "OpenAIRateLimitError('slow down')Traceback (most recent call last):": "rate_limit",
    "java.net.SocketTimeoutException: Read timed out": "timeout",
    "ConnectTimeout: timed out": "timeout",
    "MaxTurnsExceeded: 10": "budget_exhausted",
}
PREFIXES = (
    "",
    "RuntimeError: ",
    "myapp.AgentError: ",
    "OpenAI API call failed: ",
    "Error while generating output:\n",
    "Failed after 3 attempts. Last error: ",
    "Failed after 2 attempts with non-retryable error: '",
    "request to https://api.openai.com/v1 failed, reason: ",
    "AgentError('",
)
# Words that a tool may use of its own matters, and who says them of itself.
WORD_MESSAGES = {
    "UNAVAILABLE: io exception": ("upstream_unavailable", "io.grpc.StatusRuntimeException"),
    "RESOURCE_EXHAUSTED: 429 slow down": ("rate_limit", "GenkitError"),
    "CANCELLED: call was cancelled": ("cancelled", "io.grpc.StatusException"),
    "terminated": ("network", "TypeError"),
    "Canceled": ("cancelled", "java.io.IOException"),
    "Aborted.": ("cancelled", "DOMException"),
    "Operation cancelled": ("cancelled", "Error"),
}
MESSAGES = STATUS_MESSAGES | CODE_MESSAGES | TEXT_MESSAGES
SAY_NOTHING = (
    "",
    "it timed out",
    "the tool said, Error code: 429 - busy",
    "Error code: 200 - {}",
    "Error code: 4290",
    "429 rows could not be written",
    "500 documents were searched",
    "found 404 results",
    "HTTP 200 OK",
    "get_rate_limit: no such city",
    "timeout: 5",
    "Timeout",
    "tool fetch failed to find it",
    "The fetch failed because of that",
    "validation errors for Forecast",
    "Result error: error_during_execution",
    "Max turns exceeded by far",
    "the connection refused",
    "my_tool: connect ECONNREFUSEDX",
    "Note: RateLimitError",
    "An error occurred (Whatever) when calling the Converse operation: m",
    "rpc error: code = Unknown desc = m",
    "MCP error 1: odd",
    "Troubleshooting URL: https://docs.langchain.com/errors/SOMETHING_ELSE/",
    "NotATable: x",
    "500 - 600 units requested, 450 in stock",
    "Parcel: 404: no such parcel",
    "12 UNAVAILABLE: articles are gone",
    "Ticket text: Rate limit exceeded for the customer's own API",
    "\ud800" * 10,
)


@pytest.mark.parametrize(("message", "category"), MESSAGES.items())
@pytest.mark.parametrize("prefix", PREFIXES)
def test_known_form(prefix: str, message: str, category: str) -> None:
    """A message of a known form says the same, whatever wrapper has put before it."""
    found = told_by(prefix + message)
    assert found is not None
    assert found.rule.category == category


@pytest.mark.parametrize(("message", "said"), WORD_MESSAGES.items())
def test_words_of_a_client(message: str, said: tuple[str, str]) -> None:
    """Plain words count alone, behind what a framework says of a call, and of the classes that say them."""
    category, name = said
    for text, of in (
        (message, None),
        (message, name),
        (f"{name}: {message}", None),
        (f"Failed after 3 attempts. Last error: {message}", None),
        (f"OpenAI API call failed: {message}", None),
    ):
        found = told_by(text, of)
        assert found is not None, text
        assert found.rule.category == category


@pytest.mark.parametrize("message", [*WORD_MESSAGES, "Cancelled", "CANCELLED: order 4711", "ABORTED: shipment 12"])
@pytest.mark.parametrize("prefix", ["Order state: ", "Booking 12: ", "Shipment: Note: ", "Contract status: ", ""])
@pytest.mark.parametrize("name", ["ValueError", "shop.errors.OrderError", "RuntimeError", "LookupError"])
def test_words_of_a_tool(prefix: str, message: str, name: str) -> None:
    """A tool that speaks of its own matters says nothing of the run, by itself, in a wrapper or beside its class."""
    text = f"{prefix}{message}"
    assert told_by(text, name) is None
    assert told_by(f"{name}: {text}") is None
    assert told_by(f"RuntimeError: {name}: {text}") is None
    if prefix:
        assert told_by(text) is None
    for facts in (facts_from_recorded(name, text), facts_from_exception(error_class(name, Exception)(text))):
        assert classify(facts).retryable in {None, False}
        assert classify(facts).status.value == "failure"


WORDS_BEFORE = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz "), max_size=30).map(lambda text: f"Order {text}: ")


@given(WORDS_BEFORE, st.sampled_from(sorted(WORD_MESSAGES)), st.sampled_from(sorted(TEXT_MESSAGES)))
def test_no_word_behind_a_tools_is_a_cancellation(before: str, word: str, form: str) -> None:
    """Whatever a tool says before it, no client's word behind it ends a run."""
    for text in (before + word, before + form):
        found = told_by(text, "ValueError")
        assert found is None or found.rule.status.value != "cancelled" or "context canceled" in text


@pytest.mark.parametrize(("message", "category"), CLASS_MESSAGES.items())
def test_class_before_the_message(message: str, category: str) -> None:
    """A failed span's text begins with the class, by OpenTelemetry's convention; of several the first known decides."""
    found = told_by(message)
    assert found is not None
    assert found.rule.category == category


@pytest.mark.parametrize("message", SAY_NOTHING)
def test_other_messages_say_nothing(message: str) -> None:
    """What only resembles a form may be anything, a tool's name or a customer's words."""
    assert told_by(message) is None


def test_every_form_has_an_example() -> None:
    """A form or a sentence added without an example fails."""
    texts = [*MESSAGES, *WORD_MESSAGES, *(message for _, _, message in ERROR_TEXTS)]
    # A form matches where the message begins, or behind what a wrapper has put before it.
    parts = [text[found.end() :] for text in texts for found in re.finditer(r"^|: |\] |'|\"|\(", text)]
    for forms in (STATUS_FORMS, CODE_FORMS, [form for form, _ in (*TEXT_RULES, *WORD_RULES, *VAGUE_TEXTS)]):
        for form in forms:
            assert any(form.match(part) for part in parts), form.pattern
    for sentence in [form for _, forms in SENTENCES for form in forms]:
        assert any(re.search(sentence, text) for text in texts), sentence


@pytest.mark.parametrize(("phrase", "status"), PHRASES.items())
def test_phrase(phrase: str, status: int) -> None:
    """HTTP's own words for a status stand for it, alone and behind the number."""
    for message in (phrase, f"{status} {phrase}", f"{status} {phrase}: m"):
        found = told_by(message)
        assert found is not None
        assert (found.rule, found.code) == (rule_of_http(status), str(status))


@pytest.mark.parametrize("body", ["json", "python"])
def test_body_in_a_message(body: str) -> None:
    """The body behind a status says more than the status where its code does; a message within it says nothing."""
    for code, category in (("insufficient_quota", "quota"), ("context_length_exceeded", "context_overflow")):
        content = {"error": {"message": "'code': 'x'", "type": "invalid_request_error", "param": None, "code": code}}
        text = json.dumps(content) if body == "json" else repr(content)
        found = told_by(f"Error code: 429 - {text}")
        assert found is not None
        assert (found.rule.category, found.code) == (category, code)
    quoted = {"error": {"message": "the user wrote 'code': 'insufficient_quota'", "code": "rate_limit_exceeded"}}
    found = told_by(f"Error code: 429 - {quoted!r}")
    assert found is not None
    assert (found.rule.category, found.code) == ("rate_limit", "429")


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Every text gets an answer, the same with what lies past the limit."""
    assert told_by(text) == told_by(text)
    assert told_by(" " * MESSAGE_LENGTH_MAX + "Error code: 429") is None
