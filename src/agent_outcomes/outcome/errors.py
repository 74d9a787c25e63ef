# SPDX-License-Identifier: Apache-2.0
"""The retryability table: class names and codes, each with status, category, retryability and remedy.

Data only. A row's names are fully qualified; a class is looked up by its full name, then by its parents', then by
the last segment where every row that ends so says the same.
"""

from __future__ import annotations

from typing import NamedTuple

from agent_outcomes.semconv import ErrorCategory as Category
from agent_outcomes.semconv import Remedy, Status


class Classification(NamedTuple):
    """What an error says about a run; `retryable` is `None` where it cannot be known.

    `paused` marks a human-in-the-loop interrupt: the run has not ended and has no outcome yet.
    """

    status: Status
    category: str
    retryable: bool | None
    remedy: Remedy | None
    paused: bool = False


def _failure(category: Category, *, retryable: bool | None, remedy: Remedy | None) -> Classification:
    return Classification(Status.FAILURE, category.value, retryable, remedy)


TIMEOUT = Classification(Status.TIMEOUT, Category.TIMEOUT.value, retryable=True, remedy=Remedy.RETRY)
RUN_DEADLINE = Classification(Status.TIMEOUT, Category.RUN_DEADLINE.value, retryable=True, remedy=Remedy.RAISE_LIMIT)
CANCELLED = Classification(Status.CANCELLED, Category.CANCELLED.value, retryable=False, remedy=Remedy.NONE)
TERMINATED = Classification(Status.CANCELLED, Category.TERMINATED.value, retryable=False, remedy=Remedy.NONE)
INVALID_OUTPUT = Classification(Status.INVALID_OUTPUT, Category.VALIDATION.value, retryable=True, remedy=Remedy.RETRY)
TRUNCATED = Classification(Status.INVALID_OUTPUT, Category.TRUNCATED.value, retryable=False, remedy=Remedy.RAISE_LIMIT)
AWAITING_HUMAN = Classification(
    Status.UNKNOWN, Category.AWAITING_HUMAN.value, retryable=False, remedy=Remedy.HUMAN, paused=True
)
NODE_CANCELLED = _failure(Category.CANCELLED, retryable=None, remedy=None)
RATE_LIMIT = _failure(Category.RATE_LIMIT, retryable=True, remedy=Remedy.RETRY_LATER)
QUOTA = _failure(Category.QUOTA, retryable=False, remedy=Remedy.CHANGE_CONFIG)
UPSTREAM = _failure(Category.UPSTREAM_UNAVAILABLE, retryable=True, remedy=Remedy.RETRY_LATER)
NETWORK = _failure(Category.NETWORK, retryable=True, remedy=Remedy.RETRY)
TRANSIENT = _failure(Category.TRANSIENT, retryable=True, remedy=Remedy.RETRY)
AUTH = _failure(Category.AUTH, retryable=False, remedy=Remedy.CHANGE_CONFIG)
NOT_FOUND = _failure(Category.NOT_FOUND, retryable=False, remedy=Remedy.CHANGE_CONFIG)
BAD_REQUEST = _failure(Category.BAD_REQUEST, retryable=False, remedy=Remedy.CHANGE_INPUT)
CONTEXT_OVERFLOW = _failure(Category.CONTEXT_OVERFLOW, retryable=False, remedy=Remedy.CHANGE_INPUT)
BUDGET = _failure(Category.BUDGET_EXHAUSTED, retryable=False, remedy=Remedy.RAISE_LIMIT)
POLICY = _failure(Category.POLICY, retryable=False, remedy=Remedy.CHANGE_INPUT)
TOOL_ERROR = _failure(Category.TOOL_ERROR, retryable=None, remedy=None)
BUG = _failure(Category.BUG, retryable=False, remedy=Remedy.HUMAN)
OTHER = _failure(Category.OTHER, retryable=None, remedy=None)

_SDKS = ("openai", "anthropic", "litellm.exceptions")


def _sdk(*names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for package in _SDKS for name in names)


ERROR_RULES: tuple[tuple[Classification, tuple[str, ...]], ...] = (
    (
        TIMEOUT,
        (
            "builtins.TimeoutError",
            "asyncio.exceptions.TimeoutError",
            "asyncio.TimeoutError",
            "concurrent.futures.TimeoutError",
            "concurrent.futures._base.TimeoutError",
            "socket.timeout",
            "httpx.TimeoutException",
            "httpx.ConnectTimeout",
            "httpx.ReadTimeout",
            "httpx.WriteTimeout",
            "httpx.PoolTimeout",
            "requests.exceptions.Timeout",
            "requests.exceptions.ConnectTimeout",
            "requests.exceptions.ReadTimeout",
            "openai.APITimeoutError",
            "anthropic.APITimeoutError",
            "anthropic.RequestTimeoutError",
            "litellm.exceptions.Timeout",
            "langchain_core.exceptions.ModelTimeoutError",
            "langchain_openai.chat_models.base.OpenAITimeoutError",
            "langgraph.errors.NodeTimeoutError",
            "agents.exceptions.ModelTimeoutError",
            "agents.exceptions.ToolTimeoutError",
            "pydantic_ai.exceptions.ModelTimeoutError",
            "google.api_core.exceptions.DeadlineExceeded",
            "google.api_core.exceptions.GatewayTimeout",
        ),
    ),
    (
        RUN_DEADLINE,
        (
            "pydantic_ai.exceptions.RunTimedOut",
            "temporalio.exceptions.TimeoutError",
            "billiard.exceptions.SoftTimeLimitExceeded",
            "billiard.exceptions.TimeLimitExceeded",
            "workflows.errors.WorkflowTimeoutError",
        ),
    ),
    (
        CANCELLED,
        (
            "asyncio.exceptions.CancelledError",
            "asyncio.CancelledError",
            "concurrent.futures.CancelledError",
            "concurrent.futures._base.CancelledError",
            "trio.Cancelled",
            "pydantic_ai.exceptions.RunCancelled",
            "temporalio.exceptions.CancelledError",
            "google.api_core.exceptions.Cancelled",
            "celery.exceptions.TaskRevokedError",
            "agents.exceptions.MCPToolCancellationError",
            "workflows.errors.WorkflowCancelledByUser",
            # Recorded on a span: whoever consumed the run's stream left before it was over.
            "builtins.GeneratorExit",
        ),
    ),
    (NODE_CANCELLED, ("langgraph.errors.NodeCancelledError",)),
    (
        TERMINATED,
        ("builtins.KeyboardInterrupt", "builtins.SystemExit", "temporalio.exceptions.TerminatedError"),
    ),
    (
        RATE_LIMIT,
        (
            *_sdk("RateLimitError"),
            "langchain_core.exceptions.ModelRateLimitError",
            "langchain_openai.chat_models.base.OpenAIRateLimitError",
            "pydantic_ai.exceptions.ModelRateLimitError",
            "strands.types.exceptions.ModelThrottledException",
            "google.api_core.exceptions.TooManyRequests",
            "google.api_core.exceptions.ResourceExhausted",
            "google.adk.models.google_llm._ResourceExhaustedError",
        ),
    ),
    (
        QUOTA,
        (
            *_sdk("PaymentRequiredError"),
            "litellm.exceptions.BudgetExceededError",
            "pydantic_ai.exceptions.ModelQuotaExceededError",
        ),
    ),
    (
        UPSTREAM,
        (
            *_sdk("InternalServerError", "ServiceUnavailableError", "BadGatewayError"),
            "anthropic.OverloadedError",
            "langchain_core.exceptions.ModelAPIError",
            "langchain_openai.chat_models.base.OpenAIAPIError",
            "pydantic_ai.exceptions.ModelServerError",
            "pydantic_ai.exceptions.ModelUnavailableError",
            "pydantic_ai.exceptions.ModelOverloadedError",
            "google.api_core.exceptions.InternalServerError",
            "google.api_core.exceptions.ServiceUnavailable",
        ),
    ),
    (
        NETWORK,
        (
            "builtins.ConnectionError",
            "builtins.BrokenPipeError",
            "builtins.ConnectionAbortedError",
            "builtins.ConnectionRefusedError",
            "builtins.ConnectionResetError",
            "socket.gaierror",
            "ssl.SSLError",
            "httpx.TransportError",
            "httpx.ConnectError",
            "httpx.ReadError",
            "httpx.WriteError",
            "httpx.RemoteProtocolError",
            "requests.exceptions.ConnectionError",
            *_sdk("APIConnectionError"),
            "langchain_core.exceptions.ModelConnectionError",
            "langchain_openai.chat_models.base.OpenAIConnectionError",
            "pydantic_ai.exceptions.ModelConnectionError",
            "botocore.exceptions.ConnectionError",
            "botocore.exceptions.HTTPClientError",
        ),
    ),
    (TRANSIENT, _sdk("ConflictError")),
    (
        AUTH,
        (
            *_sdk("AuthenticationError", "PermissionDeniedError"),
            "langchain_core.exceptions.ModelAuthenticationError",
            "langchain_core.exceptions.ModelPermissionDeniedError",
            "langchain_openai.chat_models.base.OpenAIAuthenticationError",
            "langchain_openai.chat_models.base.OpenAIPermissionDeniedError",
            "pydantic_ai.exceptions.ModelAuthenticationError",
            "google.api_core.exceptions.Unauthenticated",
            "google.api_core.exceptions.PermissionDenied",
        ),
    ),
    (
        NOT_FOUND,
        (
            *_sdk("NotFoundError"),
            "langchain_core.exceptions.ModelNotFoundError",
            "langchain_openai.chat_models.base.OpenAIModelNotFoundError",
            "pydantic_ai.exceptions.ModelNotFoundError",
            "google.api_core.exceptions.NotFound",
        ),
    ),
    (
        BAD_REQUEST,
        (
            *_sdk("BadRequestError", "UnprocessableEntityError"),
            "langchain_core.exceptions.ModelInvalidRequestError",
            "langchain_openai.chat_models.base.OpenAIInvalidRequestError",
            "pydantic_ai.exceptions.ModelRequestRejected",
            "google.api_core.exceptions.InvalidArgument",
        ),
    ),
    (
        CONTEXT_OVERFLOW,
        (
            "litellm.exceptions.ContextWindowExceededError",
            "langchain_core.exceptions.ContextOverflowError",
            "langchain_openai.chat_models.base.OpenAIAPIContextOverflowError",
            "langchain_openai.chat_models.base.OpenAIContextOverflowError",
            "pydantic_ai.exceptions.ModelContextWindowExceededError",
            "strands.types.exceptions.ContextWindowOverflowException",
        ),
    ),
    (
        INVALID_OUTPUT,
        (
            "pydantic.ValidationError",
            "pydantic_core._pydantic_core.ValidationError",
            "json.decoder.JSONDecodeError",
            "json.JSONDecodeError",
            "langchain.agents.structured_output.StructuredOutputError",
            "langchain.agents.structured_output.MultipleStructuredOutputsError",
            "langchain.agents.structured_output.StructuredOutputValidationError",
            "langchain_core.exceptions.OutputParserException",
            "crewai.utilities.converter.ConverterError",
            "pydantic_ai.exceptions.UnexpectedModelBehavior",
            "agents.exceptions.ModelBehaviorError",
            "smolagents.utils.AgentParsingError",
            "strands.types.exceptions.StructuredOutputException",
            "litellm.exceptions.JSONSchemaValidationError",
            "openai.APIResponseValidationError",
            "anthropic.APIResponseValidationError",
        ),
    ),
    (
        TRUNCATED,
        (
            "openai.LengthFinishReasonError",
            "pydantic_ai.exceptions.OutputTokenLimitExceeded",
            "pydantic_ai.exceptions.IncompleteToolCall",
            "strands.types.exceptions.MaxTokensReachedException",
        ),
    ),
    (
        BUDGET,
        (
            "agents.exceptions.MaxTurnsExceeded",
            "langgraph.errors.GraphRecursionError",
            "smolagents.utils.AgentMaxStepsError",
            "pydantic_ai.exceptions.UsageLimitExceeded",
            "google.adk.agents.invocation_context.LlmCallsLimitExceededError",
        ),
    ),
    (
        POLICY,
        (
            "openai.ContentFilterFinishReasonError",
            "pydantic_ai.exceptions.ContentFilterError",
            "litellm.exceptions.ContentPolicyViolationError",
            "agents.exceptions.InputGuardrailTripwireTriggered",
            "agents.exceptions.OutputGuardrailTripwireTriggered",
            "langchain_core.exceptions.ModelRefusalError",
            "langchain_openai.chat_models.base.OpenAIRefusalError",
        ),
    ),
    (
        AWAITING_HUMAN,
        (
            "langgraph.errors.GraphInterrupt",
            "langgraph.errors.NodeInterrupt",
            "pydantic_ai.exceptions.ApprovalRequired",
            "pydantic_ai.exceptions.CallDeferred",
            "agent_framework.exceptions.UserInputRequiredException",
        ),
    ),
    (
        TOOL_ERROR,
        (
            "agents.exceptions.ToolInputGuardrailTripwireTriggered",
            "agents.exceptions.ToolOutputGuardrailTripwireTriggered",
            "smolagents.utils.AgentToolExecutionError",
            "google.adk.errors.ToolExecutionError",
            "crewai.tools.tool_failure.ToolExecutionFailedError",
        ),
    ),
    (
        BUG,
        (
            "builtins.TypeError",
            "builtins.AttributeError",
            "builtins.NameError",
            "builtins.KeyError",
            "builtins.IndexError",
            "builtins.ImportError",
            "builtins.ModuleNotFoundError",
            "builtins.AssertionError",
            "builtins.NotImplementedError",
            "builtins.SyntaxError",
            "builtins.ZeroDivisionError",
            "builtins.UnboundLocalError",
        ),
    ),
)
