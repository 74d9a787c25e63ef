# SPDX-License-Identifier: Apache-2.0
"""The retryability table, row by row, against verdicts written out here, and how an error is looked up in it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http
import json
from enum import Enum
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.classification import (
    INTERRUPTIONS,
    SILENT_CLASSES,
    ErrorFacts,
    classify,
    facts_from_exception,
    facts_from_name,
    find_rule,
    is_interruption,
    is_silent,
)
from agent_outcomes.outcome.codes import (
    CATEGORY_RULES,
    CODE_RULES,
    FINISH_REASON_RULES,
    GRPC_RULES,
    HTTP_RULES,
    STOP_RULES,
)
from agent_outcomes.outcome.errors import ERROR_RULES, Classification
from agent_outcomes.semconv import ErrorCategory

# status, category, retryable, remedy, and whether the run merely pauses
TIMEOUT = ("timeout", "timeout", True, "retry", False)
RUN_DEADLINE = ("timeout", "run_deadline", True, "raise_limit", False)
CANCELLED = ("cancelled", "cancelled", False, "none", False)
NODE_CANCELLED = ("failure", "cancelled", None, None, False)
TERMINATED = ("cancelled", "terminated", False, "none", False)
RATE_LIMIT = ("failure", "rate_limit", True, "retry_later", False)
QUOTA = ("failure", "quota", False, "change_config", False)
UPSTREAM = ("failure", "upstream_unavailable", True, "retry_later", False)
NETWORK = ("failure", "network", True, "retry", False)
TRANSIENT = ("failure", "transient", True, "retry", False)
AUTH = ("failure", "auth", False, "change_config", False)
NOT_FOUND = ("failure", "not_found", False, "change_config", False)
BAD_REQUEST = ("failure", "bad_request", False, "change_input", False)
CONTEXT_OVERFLOW = ("failure", "context_overflow", False, "change_input", False)
INVALID_OUTPUT = ("invalid_output", "validation", True, "retry", False)
TRUNCATED = ("invalid_output", "truncated", False, "raise_limit", False)
BUDGET = ("failure", "budget_exhausted", False, "raise_limit", False)
POLICY = ("failure", "policy", False, "change_input", False)
AWAITING_HUMAN = ("unknown", "awaiting_human", False, "human", True)
TOOL_ERROR = ("failure", "tool_error", None, None, False)
BUG = ("failure", "bug", False, "human", False)
OTHER = ("failure", "other", None, None, False)

Verdict = tuple[str, str, bool | None, str | None, bool]

EXPECTED_ERRORS: list[tuple[Verdict, str]] = [
    (
        TIMEOUT,
        """
        builtins.TimeoutError asyncio.exceptions.TimeoutError asyncio.TimeoutError concurrent.futures.TimeoutError
        concurrent.futures._base.TimeoutError socket.timeout httpx.TimeoutException httpx.ConnectTimeout
        httpx.ReadTimeout httpx.WriteTimeout httpx.PoolTimeout requests.exceptions.Timeout
        requests.exceptions.ConnectTimeout requests.exceptions.ReadTimeout openai.APITimeoutError
        anthropic.APITimeoutError anthropic.RequestTimeoutError litellm.exceptions.Timeout
        langchain_core.exceptions.ModelTimeoutError langgraph.errors.NodeTimeoutError
        agents.exceptions.ModelTimeoutError agents.exceptions.ToolTimeoutError
        pydantic_ai.exceptions.ModelTimeoutError google.api_core.exceptions.DeadlineExceeded
        google.api_core.exceptions.GatewayTimeout
        langchain_openai.chat_models.base.OpenAITimeoutError
        """,
    ),
    (
        RUN_DEADLINE,
        """
        pydantic_ai.exceptions.RunTimedOut temporalio.exceptions.TimeoutError
        billiard.exceptions.SoftTimeLimitExceeded billiard.exceptions.TimeLimitExceeded
        workflows.errors.WorkflowTimeoutError
        """,
    ),
    (
        CANCELLED,
        """
        asyncio.exceptions.CancelledError asyncio.CancelledError concurrent.futures.CancelledError
        concurrent.futures._base.CancelledError trio.Cancelled pydantic_ai.exceptions.RunCancelled
        temporalio.exceptions.CancelledError google.api_core.exceptions.Cancelled
        celery.exceptions.TaskRevokedError agents.exceptions.MCPToolCancellationError
        workflows.errors.WorkflowCancelledByUser builtins.GeneratorExit
        """,
    ),
    (NODE_CANCELLED, "langgraph.errors.NodeCancelledError"),
    (TERMINATED, "builtins.KeyboardInterrupt builtins.SystemExit temporalio.exceptions.TerminatedError"),
    (
        RATE_LIMIT,
        """
        openai.RateLimitError anthropic.RateLimitError litellm.exceptions.RateLimitError
        langchain_core.exceptions.ModelRateLimitError langchain_openai.chat_models.base.OpenAIRateLimitError
        pydantic_ai.exceptions.ModelRateLimitError strands.types.exceptions.ModelThrottledException
        google.api_core.exceptions.TooManyRequests google.api_core.exceptions.ResourceExhausted
        google.adk.models.google_llm._ResourceExhaustedError
        """,
    ),
    (
        QUOTA,
        """
        openai.PaymentRequiredError anthropic.PaymentRequiredError litellm.exceptions.PaymentRequiredError
        litellm.exceptions.BudgetExceededError pydantic_ai.exceptions.ModelQuotaExceededError
        """,
    ),
    (
        UPSTREAM,
        """
        openai.InternalServerError openai.ServiceUnavailableError openai.BadGatewayError
        anthropic.InternalServerError anthropic.ServiceUnavailableError anthropic.BadGatewayError
        litellm.exceptions.InternalServerError litellm.exceptions.ServiceUnavailableError
        litellm.exceptions.BadGatewayError anthropic.OverloadedError langchain_core.exceptions.ModelAPIError
        langchain_openai.chat_models.base.OpenAIAPIError
        pydantic_ai.exceptions.ModelServerError pydantic_ai.exceptions.ModelUnavailableError
        pydantic_ai.exceptions.ModelOverloadedError google.api_core.exceptions.InternalServerError
        google.api_core.exceptions.ServiceUnavailable
        """,
    ),
    (
        NETWORK,
        """
        builtins.ConnectionError builtins.BrokenPipeError builtins.ConnectionAbortedError
        builtins.ConnectionRefusedError builtins.ConnectionResetError socket.gaierror ssl.SSLError
        httpx.TransportError httpx.ConnectError httpx.ReadError httpx.WriteError httpx.RemoteProtocolError
        requests.exceptions.ConnectionError openai.APIConnectionError anthropic.APIConnectionError
        litellm.exceptions.APIConnectionError langchain_core.exceptions.ModelConnectionError
        pydantic_ai.exceptions.ModelConnectionError botocore.exceptions.ConnectionError
        botocore.exceptions.HTTPClientError
        langchain_openai.chat_models.base.OpenAIConnectionError
        """,
    ),
    (TRANSIENT, "openai.ConflictError anthropic.ConflictError litellm.exceptions.ConflictError"),
    (
        AUTH,
        """
        openai.AuthenticationError openai.PermissionDeniedError anthropic.AuthenticationError
        anthropic.PermissionDeniedError litellm.exceptions.AuthenticationError
        litellm.exceptions.PermissionDeniedError langchain_core.exceptions.ModelAuthenticationError
        langchain_core.exceptions.ModelPermissionDeniedError pydantic_ai.exceptions.ModelAuthenticationError
        google.api_core.exceptions.Unauthenticated google.api_core.exceptions.PermissionDenied
        langchain_openai.chat_models.base.OpenAIAuthenticationError
        langchain_openai.chat_models.base.OpenAIPermissionDeniedError
        """,
    ),
    (
        NOT_FOUND,
        """
        openai.NotFoundError anthropic.NotFoundError litellm.exceptions.NotFoundError
        langchain_core.exceptions.ModelNotFoundError pydantic_ai.exceptions.ModelNotFoundError
        google.api_core.exceptions.NotFound
        langchain_openai.chat_models.base.OpenAIModelNotFoundError
        """,
    ),
    (
        BAD_REQUEST,
        """
        openai.BadRequestError openai.UnprocessableEntityError anthropic.BadRequestError
        anthropic.UnprocessableEntityError litellm.exceptions.BadRequestError
        litellm.exceptions.UnprocessableEntityError langchain_core.exceptions.ModelInvalidRequestError
        pydantic_ai.exceptions.ModelRequestRejected google.api_core.exceptions.InvalidArgument
        langchain_openai.chat_models.base.OpenAIInvalidRequestError
        """,
    ),
    (
        CONTEXT_OVERFLOW,
        """
        litellm.exceptions.ContextWindowExceededError langchain_core.exceptions.ContextOverflowError
        pydantic_ai.exceptions.ModelContextWindowExceededError
        strands.types.exceptions.ContextWindowOverflowException
        langchain_openai.chat_models.base.OpenAIContextOverflowError
        langchain_openai.chat_models.base.OpenAIAPIContextOverflowError
        """,
    ),
    (
        INVALID_OUTPUT,
        """
        pydantic.ValidationError pydantic_core._pydantic_core.ValidationError json.decoder.JSONDecodeError
        json.JSONDecodeError langchain_core.exceptions.OutputParserException
        crewai.utilities.converter.ConverterError
        pydantic_ai.exceptions.UnexpectedModelBehavior agents.exceptions.ModelBehaviorError
        smolagents.utils.AgentParsingError strands.types.exceptions.StructuredOutputException
        litellm.exceptions.JSONSchemaValidationError openai.APIResponseValidationError
        anthropic.APIResponseValidationError
        langchain.agents.structured_output.StructuredOutputError
        langchain.agents.structured_output.MultipleStructuredOutputsError
        langchain.agents.structured_output.StructuredOutputValidationError
        """,
    ),
    (
        TRUNCATED,
        """
        openai.LengthFinishReasonError pydantic_ai.exceptions.OutputTokenLimitExceeded
        pydantic_ai.exceptions.IncompleteToolCall strands.types.exceptions.MaxTokensReachedException
        """,
    ),
    (
        BUDGET,
        """
        agents.exceptions.MaxTurnsExceeded langgraph.errors.GraphRecursionError smolagents.utils.AgentMaxStepsError
        pydantic_ai.exceptions.UsageLimitExceeded
        google.adk.agents.invocation_context.LlmCallsLimitExceededError
        """,
    ),
    (
        POLICY,
        """
        openai.ContentFilterFinishReasonError pydantic_ai.exceptions.ContentFilterError
        litellm.exceptions.ContentPolicyViolationError agents.exceptions.InputGuardrailTripwireTriggered
        agents.exceptions.OutputGuardrailTripwireTriggered langchain_core.exceptions.ModelRefusalError
        langchain_openai.chat_models.base.OpenAIRefusalError
        """,
    ),
    (
        AWAITING_HUMAN,
        """
        langgraph.errors.GraphInterrupt langgraph.errors.NodeInterrupt pydantic_ai.exceptions.ApprovalRequired
        pydantic_ai.exceptions.CallDeferred agent_framework.exceptions.UserInputRequiredException
        """,
    ),
    (
        TOOL_ERROR,
        """
        agents.exceptions.ToolInputGuardrailTripwireTriggered agents.exceptions.ToolOutputGuardrailTripwireTriggered
        smolagents.utils.AgentToolExecutionError google.adk.errors.ToolExecutionError
        crewai.tools.tool_failure.ToolExecutionFailedError
        """,
    ),
    (
        BUG,
        """
        builtins.TypeError builtins.AttributeError builtins.NameError builtins.KeyError builtins.IndexError
        builtins.ImportError builtins.ModuleNotFoundError builtins.AssertionError builtins.NotImplementedError
        builtins.SyntaxError builtins.ZeroDivisionError builtins.UnboundLocalError
        """,
    ),
]
EXPECTED_NAMES = {name: verdict for verdict, names in EXPECTED_ERRORS for name in names.split()}
EXPECTED_HTTP: dict[int, Verdict] = {
    400: BAD_REQUEST,
    401: AUTH,
    402: QUOTA,
    403: AUTH,
    404: NOT_FOUND,
    408: TIMEOUT,
    409: TRANSIENT,
    413: CONTEXT_OVERFLOW,
    422: BAD_REQUEST,
    425: TRANSIENT,
    429: RATE_LIMIT,
    500: UPSTREAM,
    502: UPSTREAM,
    503: UPSTREAM,
    504: UPSTREAM,
    529: UPSTREAM,
}
EXPECTED_GRPC: dict[str, Verdict] = {
    "CANCELLED": CANCELLED,
    "UNKNOWN": OTHER,
    "INVALID_ARGUMENT": BAD_REQUEST,
    "DEADLINE_EXCEEDED": TIMEOUT,
    "NOT_FOUND": NOT_FOUND,
    "ALREADY_EXISTS": BAD_REQUEST,
    "PERMISSION_DENIED": AUTH,
    "RESOURCE_EXHAUSTED": RATE_LIMIT,
    "FAILED_PRECONDITION": BAD_REQUEST,
    "ABORTED": TRANSIENT,
    "OUT_OF_RANGE": BAD_REQUEST,
    "UNIMPLEMENTED": NOT_FOUND,
    "INTERNAL": UPSTREAM,
    "UNAVAILABLE": UPSTREAM,
    "DATA_LOSS": UPSTREAM,
    "UNAUTHENTICATED": AUTH,
}
EXPECTED_CODES: dict[str, Verdict] = {
    "insufficient_quota": QUOTA,
    "billing_hard_limit_reached": QUOTA,
    "context_length_exceeded": CONTEXT_OVERFLOW,
    "content_filter": POLICY,
    "rate_limit_exceeded": RATE_LIMIT,
    "Throttling": RATE_LIMIT,
    "ThrottlingException": RATE_LIMIT,
    "ThrottledException": RATE_LIMIT,
    "RequestThrottled": RATE_LIMIT,
    "RequestThrottledException": RATE_LIMIT,
    "TooManyRequestsException": RATE_LIMIT,
    "ProvisionedThroughputExceededException": RATE_LIMIT,
    "TransactionInProgressException": RATE_LIMIT,
    "RequestLimitExceeded": RATE_LIMIT,
    "BandwidthLimitExceeded": RATE_LIMIT,
    "LimitExceededException": RATE_LIMIT,
    "SlowDown": RATE_LIMIT,
    "EC2ThrottledException": RATE_LIMIT,
    "RequestTimeout": TIMEOUT,
    "RequestTimeoutException": TIMEOUT,
    "PriorRequestNotComplete": TRANSIENT,
}
EXPECTED_FINISH: dict[str, Verdict] = {
    "completed": ("success", "", False, "none", False),
    "max_iterations": BUDGET,
    "max_tokens": TRUNCATED,
    "time_budget": RUN_DEADLINE,
    "cancelled": CANCELLED,
    "error": OTHER,
    "guardrail": POLICY,
    "tool_failure": TOOL_ERROR,
}
EXPECTED_STOPS: dict[str, Verdict] = {
    "span.cancelled": CANCELLED,
    "cancelled": CANCELLED,
    "checkpoint": AWAITING_HUMAN,
    "content_filtered": POLICY,
    "guardrail_intervened": POLICY,
    "interrupt": AWAITING_HUMAN,
    "limit_output_tokens": BUDGET,
    "limit_total_tokens": BUDGET,
    "limit_turns": BUDGET,
    "max_tokens": TRUNCATED,
}
EXPECTED_CATEGORIES: dict[str, Verdict] = {
    "timeout": TIMEOUT,
    "run_deadline": RUN_DEADLINE,
    "cancelled": CANCELLED,
    "terminated": TERMINATED,
    "rate_limit": RATE_LIMIT,
    "quota": QUOTA,
    "upstream_unavailable": UPSTREAM,
    "network": NETWORK,
    "transient": TRANSIENT,
    "auth": AUTH,
    "not_found": NOT_FOUND,
    "bad_request": BAD_REQUEST,
    "context_overflow": CONTEXT_OVERFLOW,
    "validation": INVALID_OUTPUT,
    "truncated": TRUNCATED,
    "budget_exhausted": BUDGET,
    "policy": POLICY,
    "awaiting_human": AWAITING_HUMAN,
    "tool_error": TOOL_ERROR,
    "bug": BUG,
    "other": OTHER,
}


def verdict_of(rule: Classification | None) -> Verdict | None:
    if rule is None:
        return None
    remedy = rule.remedy.value if rule.remedy is not None else None
    return (rule.status.value, rule.category, rule.retryable, remedy, rule.paused)


def error_class(name: str, *parents: type[BaseException], **attributes: Any) -> type[BaseException]:
    module, _, short = name.rpartition(".")
    return type(short, parents or (Exception,), {"__module__": module, "__qualname__": short, **attributes})


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row(name: str, verdict: Verdict) -> None:
    """Each class is judged as written here, by its full name on a span and as an object's class."""
    assert verdict_of(classify(facts_from_name(name))) == verdict
    error = error_class(name)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict


@pytest.mark.parametrize(("name", "verdict"), EXPECTED_NAMES.items())
def test_error_row_by_last_segment(name: str, verdict: Verdict) -> None:
    """A span's bare class name, or one that was re-exported, is judged as retryable as the full one."""
    status, _, retryable, *_ = verdict
    segment = name.rpartition(".")[2]
    for spelling in (segment, f"somewhere.else.{segment}"):
        found = classify(facts_from_name(spelling))
        assert (found.status.value, found.retryable) == (status, retryable)


def test_every_error_row_is_expected() -> None:
    """A row added to the table without a verdict written here fails, and no class has two."""
    names = [name for _, names in ERROR_RULES for name in names]
    assert sorted(names) == sorted(EXPECTED_NAMES)
    assert sum(len(names.split()) for _, names in EXPECTED_ERRORS) == len(EXPECTED_NAMES)


@pytest.mark.parametrize(("status", "verdict"), EXPECTED_HTTP.items())
def test_http_row(status: int, verdict: Verdict) -> None:
    """Each HTTP status is judged as written here, as an error type and on an exception of no row."""
    assert verdict_of(classify(facts_from_name(str(status)))) == verdict
    error = error_class("myapp.HttpError", status_code=status)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict


@pytest.mark.parametrize(
    ("status", "verdict"), [(501, UPSTREAM), (599, UPSTREAM), (418, BAD_REQUEST), (499, BAD_REQUEST)]
)
def test_http_status_without_row(status: int, verdict: Verdict) -> None:
    """Other server errors are the upstream's, other client errors bad requests."""
    assert verdict_of(classify(facts_from_name(str(status)))) == verdict


@pytest.mark.parametrize("status", ["200", "302", "999", "0429", "42", "\u0664\u0662\u0669", "-429", ""])
def test_no_http_error(status: str) -> None:
    """What is no HTTP error says nothing."""
    assert verdict_of(classify(facts_from_name(status))) == OTHER


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_GRPC.items())
def test_grpc_row(code: str, verdict: Verdict) -> None:
    """Each gRPC code is judged as written here, as an error type and behind the method of gRPC's own errors."""
    assert verdict_of(classify(facts_from_name(code))) == verdict
    member = cast("Any", Enum)("StatusCode", [(code, (1, code))])[code]
    error = error_class("grpc.aio._call.AioRpcError", code=lambda _: member)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict
    plain = error_class("myapp.RpcFailed", grpc_status_code=member)()
    assert verdict_of(classify(facts_from_exception(plain))) == verdict


@pytest.mark.parametrize(("code", "verdict"), EXPECTED_CODES.items())
def test_vendor_code_row(code: str, verdict: Verdict) -> None:
    """Each vendor's code is judged as written here and says more than class and status."""
    error = error_class("openai.RateLimitError", code=code, status_code=429)()
    assert verdict_of(classify(facts_from_exception(error))) == verdict
    client_error = error_class("botocore.exceptions.ClientError", response={"Error": {"Code": code}})()
    assert verdict_of(classify(facts_from_exception(client_error))) == verdict


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (HTTP_RULES, EXPECTED_HTTP),
        (GRPC_RULES, EXPECTED_GRPC),
        (CODE_RULES, EXPECTED_CODES),
        (FINISH_REASON_RULES, EXPECTED_FINISH),
        (STOP_RULES, EXPECTED_STOPS),
        (CATEGORY_RULES, EXPECTED_CATEGORIES),
    ],
    ids=["http", "grpc", "code", "finish_reason", "stop", "category"],
)
def test_table_is_as_expected(table: dict[object, Classification], expected: dict[object, Verdict]) -> None:
    """Each of the other tables holds the rows written here and no more."""
    assert {key: verdict_of(rule) for key, rule in table.items()} == expected


def test_every_category_has_a_row() -> None:
    """Every category of the vocabulary says what it means for a retry."""
    assert set(EXPECTED_CATEGORIES) == {category.value for category in ErrorCategory}


def test_own_flag_overrides() -> None:
    """The exception's own flag stands against its row, and a remedy that contradicts it goes."""
    for name in ("is_retryable", "retryable"):
        patient = error_class("openai.RateLimitError", **{name: False})()
        assert verdict_of(classify(facts_from_exception(patient))) == ("failure", "rate_limit", False, None, False)
    eager = error_class("builtins.RuntimeError", non_retryable=False)()
    assert verdict_of(classify(facts_from_exception(eager))) == ("failure", "other", True, "retry", False)
    method = error_class("myapp.Odd", is_retryable=lambda _: True)()
    assert verdict_of(classify(facts_from_exception(method))) == OTHER


def test_parents_are_looked_up_before_segments() -> None:
    """What a class is counts before what its name resembles."""
    error = error_class("myapp.NotFoundError", ConnectionError)()
    assert verdict_of(classify(facts_from_exception(error))) == NETWORK
    assert verdict_of(classify(facts_from_exception(error_class("myapp.NotFoundError")()))) == NOT_FOUND
    assert verdict_of(classify(facts_from_exception(json.JSONDecodeError("", "", 0)))) == INVALID_OUTPUT


def test_cause_is_followed_and_context_is_not() -> None:
    """The class that matters is that of the cause; what was merely being handled says nothing."""
    wrapper = error_class("myapp.AgentError")()
    wrapper.__context__ = TimeoutError()
    assert verdict_of(classify(facts_from_exception(wrapper))) == OTHER
    wrapper.__cause__ = error_class("myapp.Inner")()
    wrapper.__cause__.__cause__ = TimeoutError()
    assert verdict_of(classify(facts_from_exception(wrapper))) == TIMEOUT
    assert facts_from_exception(wrapper).name == "myapp.AgentError"


def test_circle_of_causes_ends() -> None:
    """Causes that lead back to the error are followed once."""
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert len(facts_from_exception(first).lineages) == 2


def test_chain_of_causes_is_bounded() -> None:
    """Of a long chain the first eight are looked at."""
    error: BaseException = TimeoutError()
    for _ in range(300):
        outer = ValueError()
        outer.__cause__ = error
        error = outer
    facts = facts_from_exception(error)
    assert len(facts.lineages) == 8
    assert verdict_of(classify(facts)) == OTHER


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (Exception(), "Exception"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (json.JSONDecodeError("", "", 0), "json.decoder.JSONDecodeError"),
    ],
)
def test_name(error: BaseException, name: str) -> None:
    """An error is called as OpenTelemetry calls it: Python's own classes without their module."""
    assert facts_from_exception(error).name == name


def test_no_error_has_no_name() -> None:
    """Facts of nothing classify as a failure of unknown kind."""
    assert ErrorFacts().name is None
    assert verdict_of(classify(ErrorFacts())) == OTHER


def test_interruptions_and_silent_errors() -> None:
    """Only being told to stop is believed on a span left UNSET; the end of an iteration says nothing."""
    stops = [asyncio.CancelledError(), concurrent.futures.CancelledError(), KeyboardInterrupt(), SystemExit()]
    assert all(is_interruption(facts_from_exception(error)) for error in stops)
    assert is_interruption(facts_from_exception(error_class("trio.Cancelled", BaseException)()))
    assert not any(
        is_interruption(facts_from_exception(error)) for error in (ValueError(), TimeoutError(), GeneratorExit())
    )
    quiet = [GeneratorExit(), StopAsyncIteration(), StopIteration()]
    assert all(is_silent(facts_from_exception(error)) for error in quiet)
    assert not any(is_silent(facts_from_exception(error)) for error in stops)
    assert {
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
    } == INTERRUPTIONS
    assert {"builtins.GeneratorExit", "builtins.StopAsyncIteration", "builtins.StopIteration"} == SILENT_CLASSES


class LoudInt(int):
    """A number whose comparison raises."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    __hash__ = int.__hash__


class LoudText(str):
    """A text that cannot be hashed, compared or shown."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    __str__ = __repr__ = __hash__  # type: ignore[assignment]  # hostile on purpose


class LoudTruth:
    """A value that is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError


def _raise(_: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize(
    "attributes",
    [
        {"code": property(_raise), "status": property(_raise), "is_retryable": property(_raise)},
        {"code": LoudTruth(), "status_code": LoudTruth(), "retryable": LoudTruth()},
        {"code": LoudText("insufficient_quota")},
        {"status_code": LoudInt(429)},
        {"response": type("Response", (dict,), {"get": _raise})()},
        {"response": property(_raise)},
        {"__cause__": property(_raise)},
        {"__cause__": 5},
        {"__str__": _raise, "__repr__": _raise},
    ],
)
def test_hostile_exception(attributes: dict[str, Any]) -> None:
    """An exception that raises when looked at is judged by whatever it still shows."""
    facts = facts_from_exception(error_class("openai.RateLimitError", **attributes)())
    assert classify(facts).status.value == "failure"
    assert find_rule(facts) is not None


def test_hostile_values_are_still_read() -> None:
    """A number or a text counts for what it holds, whatever its methods do."""
    assert facts_from_exception(error_class("myapp.E", status_code=LoudInt(429))()).http_status == 429
    assert facts_from_exception(error_class("myapp.E", status=http.HTTPStatus.NOT_FOUND)()).http_status == 404
    assert facts_from_exception(error_class("myapp.E", code=LoudText("SlowDown"))()).vendor_code == "SlowDown"


@pytest.mark.parametrize(
    "attributes",
    [{"status_code": True}, {"status_code": "429"}, {"status_code": 200}, {"code": 7}, {"response": {"Error": "x"}}],
)
def test_values_of_no_use(attributes: dict[str, Any]) -> None:
    """What is no error status and no known code says nothing."""
    facts = facts_from_exception(error_class("myapp.E", **attributes)())
    assert (facts.http_status, facts.grpc_code, facts.vendor_code) == (None, None, None)


@pytest.mark.parametrize("path", [("status_code",), ("status",), ("response", "status_code"), ("response", "status")])
def test_where_a_status_is_found(path: tuple[str, ...]) -> None:
    """HTTP clients keep the status in different places."""
    value: Any = 503
    for name in reversed(path[1:]):
        value = type("Response", (), {name: value})()
    error = error_class("myapp.E", **{path[0]: value})()
    assert facts_from_exception(error).http_status == 503


@given(st.text(max_size=300))
def test_any_name_is_judged(name: str) -> None:
    """Every name gets a verdict, always the same one, and one name has one length limit."""
    facts = facts_from_name(name)
    assert classify(facts) is classify(facts_from_name(name))
    assert len(facts.lineages[0][0]) <= 200
