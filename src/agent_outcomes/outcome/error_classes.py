# SPDX-License-Identifier: Apache-2.0
"""The retryability table's classes: Python's own, those of providers' SDKs, of frameworks and of task queues.

Data only. A row's names are fully qualified; a class is looked up by its full name, then by its parents', then by
the last segment where every row that ends so says the same. The rows restate what the libraries themselves retry and
what their documentation says of the class.
"""

from __future__ import annotations

from agent_outcomes.outcome.errors import (
    AUTH,
    AWAITING_HUMAN,
    BAD_REQUEST,
    BUDGET,
    BUG,
    CANCELLED,
    CONTEXT_OVERFLOW,
    INVALID_OUTPUT,
    NETWORK,
    NODE_CANCELLED,
    NOT_FOUND,
    POLICY,
    QUOTA,
    RATE_LIMIT,
    RUN_DEADLINE,
    SUSPENDED,
    TERMINATED,
    TIMEOUT,
    TOOL_ERROR,
    TRANSIENT,
    TRUNCATED,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)

Rules = tuple[tuple[Classification, tuple[str, ...]], ...]

_SDKS = ("openai", "anthropic", "litellm.exceptions")


def table(*rows: tuple[Classification, str]) -> Rules:
    """Rows whose names are written as words of a text."""
    return tuple((rule, tuple(names.split())) for rule, names in rows)


def _sdk(names: str) -> str:
    return " ".join(f"{package}.{name}" for package in _SDKS for name in names.split())


ERROR_RULES: Rules = table(
    (
        TIMEOUT,
        """
        builtins.TimeoutError asyncio.exceptions.TimeoutError asyncio.TimeoutError concurrent.futures.TimeoutError
        concurrent.futures._base.TimeoutError multiprocessing.context.TimeoutError socket.timeout
        subprocess.TimeoutExpired
        pymongo.errors.ServerSelectionTimeoutError pymongo.errors.NetworkTimeout kafka.errors.KafkaTimeoutError
        ray.exceptions.GetTimeoutError psycopg.errors.ConnectionTimeout psycopg_pool.PoolTimeout
        httpx.TimeoutException httpx.ConnectTimeout httpx.ReadTimeout httpx.WriteTimeout httpx.PoolTimeout
        httpcore.TimeoutException httpcore.ConnectTimeout httpcore.ReadTimeout httpcore.WriteTimeout
        httpcore.PoolTimeout
        requests.exceptions.Timeout requests.exceptions.ConnectTimeout requests.exceptions.ReadTimeout
        urllib3.exceptions.TimeoutError urllib3.exceptions.ReadTimeoutError urllib3.exceptions.ConnectTimeoutError
        aiohttp.client_exceptions.ServerTimeoutError aiohttp.client_exceptions.ConnectionTimeoutError
        aiohttp.client_exceptions.SocketTimeoutError
        botocore.exceptions.ReadTimeoutError botocore.exceptions.ConnectTimeoutError
        openai.APITimeoutError anthropic.APITimeoutError anthropic.RequestTimeoutError anthropic.GatewayTimeoutError
        litellm.exceptions.Timeout
        langchain_core.exceptions.ModelTimeoutError langchain_openai.chat_models.base.OpenAITimeoutError
        langgraph.errors.NodeTimeoutError agents.exceptions.ModelTimeoutError agents.exceptions.ToolTimeoutError
        pydantic_ai.exceptions.ModelTimeoutError pydantic_ai.exceptions.ModelRequestTimeout
        dspy.utils.exceptions.LMTimeoutError cohere.errors.gateway_timeout_error.GatewayTimeoutError
        google.api_core.exceptions.DeadlineExceeded google.api_core.exceptions.GatewayTimeout
        azure.core.exceptions.ServiceRequestTimeoutError azure.core.exceptions.ServiceResponseTimeoutError
        func_timeout.exceptions.FunctionTimedOut gevent.timeout.Timeout eventlet.timeout.Timeout
        stopit.utils.TimeoutException timeout_decorator.timeout_decorator.TimeoutError
        """,
    ),
    (
        RUN_DEADLINE,
        """
        pydantic_ai.exceptions.RunTimedOut temporalio.exceptions.TimeoutError workflows.errors.WorkflowTimeoutError
        billiard.exceptions.SoftTimeLimitExceeded billiard.exceptions.TimeLimitExceeded
        celery.exceptions.SoftTimeLimitExceeded celery.exceptions.TimeLimitExceeded
        dramatiq.middleware.time_limit.TimeLimitExceeded
        rq.timeouts.BaseTimeoutException rq.timeouts.JobTimeoutException rq.timeouts.HorseMonitorTimeoutException
        airflow.exceptions.AirflowTaskTimeout airflow.sdk.exceptions.AirflowTaskTimeout
        modal.exception.FunctionTimeoutError
        """,
    ),
    (
        CANCELLED,
        """
        asyncio.exceptions.CancelledError asyncio.CancelledError concurrent.futures.CancelledError
        concurrent.futures._base.CancelledError trio.Cancelled greenlet.GreenletExit
        pydantic_ai.exceptions.RunCancelled agno.exceptions.RunCancelledException
        temporalio.exceptions.CancelledError google.api_core.exceptions.Cancelled celery.exceptions.TaskRevokedError
        agents.exceptions.MCPToolCancellationError workflows.errors.WorkflowCancelledByUser
        prefect.exceptions.CancelledRun modal.exception.InputCancellation click.exceptions.Abort
        dbos._error.DBOSWorkflowCancelledError
        dramatiq_abort.Abort huey.exceptions.CancelExecution
        anthropic.ClientClosedRequestError cohere.errors.client_closed_request_error.ClientClosedRequestError
        streamlit.runtime.scriptrunner_utils.exceptions.StopException
        streamlit.runtime.scriptrunner_utils.exceptions.RerunException
        builtins.GeneratorExit
        """,
    ),
    (NODE_CANCELLED, "langgraph.errors.NodeCancelledError"),
    (
        TERMINATED,
        """
        builtins.KeyboardInterrupt builtins.SystemExit temporalio.exceptions.TerminatedError
        dramatiq.middleware.shutdown.Shutdown dramatiq.middleware.threading.Interrupt
        billiard.exceptions.Terminated celery.exceptions.WorkerShutdown celery.exceptions.WorkerTerminate
        airflow.exceptions.AirflowTaskTerminated airflow.sdk.exceptions.AirflowTaskTerminated
        prefect.exceptions.TerminationSignal dagster._core.errors.DagsterExecutionInterruptedError
        """,
    ),
    (
        RATE_LIMIT,
        f"""
        {_sdk("RateLimitError")} openai.error.RateLimitError
        langchain_core.exceptions.ModelRateLimitError langchain_openai.chat_models.base.OpenAIRateLimitError
        pydantic_ai.exceptions.ModelRateLimitError agno.exceptions.ModelRateLimitError
        dspy.utils.exceptions.LMRateLimitError strands.types.exceptions.ModelThrottledException
        google.api_core.exceptions.TooManyRequests google.api_core.exceptions.ResourceExhausted
        google.adk.models.google_llm._ResourceExhaustedError
        cohere.errors.too_many_requests_error.TooManyRequestsError
        """,
    ),
    (
        QUOTA,
        f"""
        {_sdk("PaymentRequiredError")} litellm.exceptions.BudgetExceededError
        pydantic_ai.exceptions.ModelQuotaExceededError dspy.utils.exceptions.LMBillingError
        """,
    ),
    (
        UPSTREAM,
        f"""
        {_sdk("InternalServerError ServiceUnavailableError BadGatewayError")}
        openai.error.ServiceUnavailableError anthropic.OverloadedError litellm.exceptions.MidStreamFallbackError
        langchain_core.exceptions.ModelAPIError langchain_openai.chat_models.base.OpenAIAPIError
        pydantic_ai.exceptions.ModelServerError pydantic_ai.exceptions.ModelUnavailableError
        pydantic_ai.exceptions.ModelOverloadedError
        dspy.utils.exceptions.LMServerError agno.exceptions.RemoteServerUnavailableError
        google.api_core.exceptions.InternalServerError google.api_core.exceptions.ServiceUnavailable
        google.api_core.exceptions.BadGateway google.genai.errors.ServerError
        cohere.errors.internal_server_error.InternalServerError
        cohere.errors.service_unavailable_error.ServiceUnavailableError
        redis.exceptions.BusyLoadingError redis.exceptions.ClusterDownError
        """,
    ),
    (
        NETWORK,
        """
        builtins.ConnectionError builtins.BrokenPipeError builtins.ConnectionAbortedError
        builtins.ConnectionRefusedError builtins.ConnectionResetError socket.gaierror socket.herror ssl.SSLError
        asyncio.exceptions.IncompleteReadError http.client.RemoteDisconnected http.client.IncompleteRead
        http.client.BadStatusLine
        httpx.TransportError httpx.NetworkError httpx.ConnectError httpx.ReadError httpx.WriteError httpx.CloseError
        httpx.ProxyError httpx.RemoteProtocolError
        httpcore.NetworkError httpcore.ConnectError httpcore.ReadError httpcore.WriteError httpcore.ProxyError
        httpcore.RemoteProtocolError
        requests.exceptions.ConnectionError requests.exceptions.ChunkedEncodingError requests.exceptions.ProxyError
        urllib3.exceptions.ProtocolError urllib3.exceptions.NewConnectionError urllib3.exceptions.NameResolutionError
        urllib3.exceptions.IncompleteRead urllib3.exceptions.ProxyError urllib3.exceptions.SSLError
        aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ClientOSError
        aiohttp.client_exceptions.ClientConnectorError aiohttp.client_exceptions.ClientConnectorDNSError
        aiohttp.client_exceptions.ClientConnectionResetError aiohttp.client_exceptions.ClientProxyConnectionError
        aiohttp.client_exceptions.ServerConnectionError aiohttp.client_exceptions.ServerDisconnectedError
        aiohttp.client_exceptions.ClientPayloadError aiohttp.client_exceptions.ClientSSLError
        aiohttp.http_exceptions.TransferEncodingError
        openai.APIConnectionError anthropic.APIConnectionError openai.error.APIConnectionError
        openai.WebSocketConnectionClosedError
        langchain_core.exceptions.ModelConnectionError langchain_openai.chat_models.base.OpenAIConnectionError
        pydantic_ai.exceptions.ModelConnectionError dspy.utils.exceptions.LMTransportError
        botocore.exceptions.ConnectionError botocore.exceptions.HTTPClientError
        botocore.exceptions.EndpointConnectionError botocore.exceptions.ConnectionClosedError
        botocore.exceptions.ProxyConnectionError botocore.exceptions.SSLError
        botocore.exceptions.ResponseStreamingError botocore.exceptions.IncompleteReadError
        google.auth.exceptions.TransportError
        websockets.exceptions.ConnectionClosedError anyio.BrokenResourceError trio.BrokenResourceError
        imaplib.IMAP4.abort pymongo.errors.ConnectionFailure pymongo.errors.AutoReconnect
        pika.exceptions.AMQPConnectionError
        """,
    ),
    (
        UNTRUSTED,
        """
        ssl.SSLCertVerificationError aiohttp.client_exceptions.ClientConnectorCertificateError
        aiohttp.client_exceptions.ServerFingerprintMismatch
        """,
    ),
    # What PostgreSQL asks to be tried again as a whole (its manual, "Serialization Failure Handling").
    (
        TRANSIENT,
        f"""
        {_sdk("ConflictError")}
        psycopg.errors.DeadlockDetected psycopg.errors.SerializationFailure
        psycopg2.errors.DeadlockDetected psycopg2.errors.SerializationFailure
        asyncpg.exceptions.DeadlockDetectedError asyncpg.exceptions.SerializationError
        redis.exceptions.TryAgainError redis.exceptions.WatchError neo4j.exceptions.TransientError
        """,
    ),
    (
        AUTH,
        f"""
        {_sdk("AuthenticationError PermissionDeniedError")}
        openai.OAuthError openai.error.AuthenticationError anthropic.CredentialsError
        langchain_core.exceptions.ModelAuthenticationError langchain_core.exceptions.ModelPermissionDeniedError
        langchain_openai.chat_models.base.OpenAIAuthenticationError
        langchain_openai.chat_models.base.OpenAIPermissionDeniedError
        pydantic_ai.exceptions.ModelAuthenticationError agno.exceptions.ModelAuthenticationError
        dspy.utils.exceptions.LMAuthError semantic_kernel.exceptions.service_exceptions.ServiceInvalidAuthError
        google.api_core.exceptions.Unauthenticated google.api_core.exceptions.PermissionDenied
        google.api_core.exceptions.Unauthorized google.api_core.exceptions.Forbidden
        google.auth.exceptions.DefaultCredentialsError google.auth.exceptions.RefreshError
        botocore.exceptions.NoCredentialsError botocore.exceptions.PartialCredentialsError
        botocore.exceptions.CredentialRetrievalError botocore.exceptions.NoAuthTokenError
        botocore.exceptions.TokenRetrievalError botocore.exceptions.UnauthorizedSSOTokenError
        azure.core.exceptions.ClientAuthenticationError azure.identity._exceptions.CredentialUnavailableError
        cohere.errors.unauthorized_error.UnauthorizedError cohere.errors.forbidden_error.ForbiddenError
        cohere.errors.invalid_token_error.InvalidTokenError
        amqp.exceptions.AccessRefused redis.exceptions.AuthorizationError redis.exceptions.NoPermissionError
        neo4j.exceptions.AuthError
        """,
    ),
    (
        NOT_FOUND,
        f"""
        {_sdk("NotFoundError")}
        langchain_core.exceptions.ModelNotFoundError langchain_openai.chat_models.base.OpenAIModelNotFoundError
        pydantic_ai.exceptions.ModelNotFoundError google.api_core.exceptions.NotFound
        semantic_kernel.exceptions.service_exceptions.ServiceResourceNotFoundError
        azure.core.exceptions.ResourceNotFoundError claude_agent_sdk._errors.CLINotFoundError
        """,
    ),
    (
        BAD_REQUEST,
        f"""
        {_sdk("BadRequestError UnprocessableEntityError")}
        openai.error.InvalidRequestError litellm.exceptions.InvalidRequestError
        litellm.exceptions.UnsupportedParamsError
        langchain_core.exceptions.ModelInvalidRequestError
        langchain_openai.chat_models.base.OpenAIInvalidRequestError
        pydantic_ai.exceptions.ModelRequestRejected pydantic_ai.exceptions.ModelRequestRejectedError
        dspy.utils.exceptions.LMInvalidRequestError dspy.utils.exceptions.LMUnsupportedModelError
        dspy.utils.exceptions.LMUnsupportedFeatureError
        semantic_kernel.exceptions.service_exceptions.ServiceInvalidRequestError
        semantic_kernel.exceptions.service_exceptions.ServiceInvalidExecutionSettingsError
        google.api_core.exceptions.InvalidArgument google.api_core.exceptions.BadRequest
        botocore.exceptions.ParamValidationError
        httpx.UnsupportedProtocol httpcore.UnsupportedProtocol httpx.LocalProtocolError httpcore.LocalProtocolError
        h11.LocalProtocolError h11._util.LocalProtocolError
        huggingface_hub.errors.OfflineModeIsEnabled
        amqp.exceptions.NotAllowed pymongo.errors.DuplicateKeyError
        httpx.InvalidURL aiohttp.client_exceptions.InvalidURL
        requests.exceptions.InvalidURL requests.exceptions.MissingSchema requests.exceptions.InvalidSchema
        """,
    ),
    (
        CONTEXT_OVERFLOW,
        """
        anthropic.ContentTooLargeError litellm.exceptions.ContextWindowExceededError
        langchain_core.exceptions.ContextOverflowError
        langchain_openai.chat_models.base.OpenAIAPIContextOverflowError
        langchain_openai.chat_models.base.OpenAIContextOverflowError
        pydantic_ai.exceptions.ModelContextWindowExceededError agno.exceptions.ContextWindowExceededError
        dspy.utils.exceptions.ContextWindowExceededError
        crewai.utilities.exceptions.context_window_exceeding_exception.LLMContextLengthExceededError
        strands.types.exceptions.ContextWindowOverflowException
        """,
    ),
    (
        INVALID_OUTPUT,
        """
        pydantic.ValidationError pydantic_core._pydantic_core.ValidationError json.decoder.JSONDecodeError
        json.JSONDecodeError
        langchain.agents.structured_output.StructuredOutputError
        langchain.agents.structured_output.MultipleStructuredOutputsError
        langchain.agents.structured_output.StructuredOutputValidationError
        langchain_core.exceptions.OutputParserException crewai.utilities.converter.ConverterError
        pydantic_ai.exceptions.UnexpectedModelBehavior agents.exceptions.ModelBehaviorError
        smolagents.utils.AgentParsingError smolagents.utils.AgentToolCallError
        strands.types.exceptions.StructuredOutputException litellm.exceptions.JSONSchemaValidationError
        openai.APIResponseValidationError anthropic.APIResponseValidationError
        dspy.utils.exceptions.AdapterParseError
        instructor.v2.core.errors.ResponseParsingError instructor.v2.core.errors.AsyncValidationError
        semantic_kernel.exceptions.service_exceptions.ServiceInvalidResponseError
        claude_agent_sdk._errors.CLIJSONDecodeError claude_agent_sdk._errors.MessageParseError
        """,
    ),
    (
        TRUNCATED,
        """
        openai.LengthFinishReasonError pydantic_ai.exceptions.OutputTokenLimitExceeded
        pydantic_ai.exceptions.IncompleteToolCall strands.types.exceptions.MaxTokensReachedException
        instructor.v2.core.errors.IncompleteOutputException
        """,
    ),
    (
        BUDGET,
        """
        agents.exceptions.MaxTurnsExceeded langgraph.errors.GraphRecursionError smolagents.utils.AgentMaxStepsError
        pydantic_ai.exceptions.UsageLimitExceeded
        google.adk.agents.invocation_context.LlmCallsLimitExceededError
        haystack.core.errors.PipelineMaxComponentRuns inspect_ai.util._limit.LimitExceededError
        """,
    ),
    (
        POLICY,
        """
        openai.ContentFilterFinishReasonError pydantic_ai.exceptions.ContentFilterError
        litellm.exceptions.ContentPolicyViolationError litellm.exceptions.RejectedRequestError
        litellm.exceptions.GuardrailRaisedException litellm.exceptions.BlockedPiiEntityError
        agents.exceptions.InputGuardrailTripwireTriggered agents.exceptions.OutputGuardrailTripwireTriggered
        agents.exceptions.ModelRefusalError
        langchain_core.exceptions.ModelRefusalError langchain_openai.chat_models.base.OpenAIRefusalError
        agno.exceptions.InputCheckError agno.exceptions.OutputCheckError
        semantic_kernel.exceptions.service_exceptions.ServiceContentFilterException
        """,
    ),
    (
        AWAITING_HUMAN,
        """
        langgraph.errors.GraphInterrupt langgraph.errors.NodeInterrupt
        pydantic_ai.exceptions.ApprovalRequired pydantic_ai.exceptions.CallDeferred
        agent_framework.exceptions.UserInputRequiredException
        crewai.flow.async_feedback.types.HumanFeedbackPending haystack.core.errors.BreakpointException
        haystack_experimental.components.agents.human_in_the_loop.errors.HITLBreakpointException
        """,
    ),
    # How engines of durable workflows leave their user's code at a step or a wait, to go on from there later. Restate
    # says so of an attempt that is retried, too, whose steps that are done are not done again.
    (
        SUSPENDED,
        """
        restate.exceptions.SuspendedException restate.exceptions.SdkInternalException
        inngest._internal.step_lib.base.ResponseInterrupt
        aws_durable_execution_sdk_python.exceptions.SuspendExecution
        aws_durable_execution_sdk_python.exceptions.TimedSuspendExecution
        airflow.exceptions.TaskDeferred airflow.sdk.exceptions.TaskDeferred
        """,
    ),
    (
        TOOL_ERROR,
        """
        agents.exceptions.ToolInputGuardrailTripwireTriggered agents.exceptions.ToolOutputGuardrailTripwireTriggered
        smolagents.utils.AgentToolExecutionError google.adk.errors.ToolExecutionError
        crewai.tools.tool_failure.ToolExecutionFailedError pydantic_ai.exceptions.ToolFailedError
        """,
    ),
    (
        BUG,
        """
        builtins.TypeError builtins.AttributeError builtins.NameError builtins.KeyError builtins.IndexError
        builtins.ImportError builtins.ModuleNotFoundError builtins.AssertionError builtins.NotImplementedError
        builtins.SyntaxError builtins.ZeroDivisionError builtins.UnboundLocalError builtins.RecursionError
        """,
    ),
)

# Parents of errors of all kinds whose last segment is that of a row which says more.
PARENTS_OF_ALL = frozenset({"pydantic_ai.exceptions.ModelAPIError"})

# Called like errors of a connection and raised of anything: LiteLLM's last resort (`exception_mapping_utils`).
CATCH_ALLS = frozenset({"litellm.exceptions.APIConnectionError", "litellm.APIConnectionError"})

# The HTTP status that a class puts on every error of which it knows none.
DEFAULT_STATUSES = {
    "agno.exceptions.ModelProviderError": 502,
    "browser_use.llm.exceptions.ModelProviderError": 502,
    "litellm.exceptions.APIConnectionError": 500,
}

# Packages whose errors carry `retryable = False` unless somebody has said otherwise.
UNSAID_FLAGS = ("google.auth.",)

# Wrappers that say no more than that a model call has failed: how it failed is said where it was made.
MODEL_CALL_WRAPPERS = frozenset(
    """
    APIError APIStatusError ModelProviderError ModelAPIError ModelHTTPError AgentGenerationError ChatModelError
    ChatClientException ServiceResponseException InstructorRetryException LMError LMProviderError AI_APICallError
    AI_RetryError NonTransientAiException
    """.split()  # noqa: SIM905 - as the rows above
)
