# SPDX-License-Identifier: Apache-2.0
"""The retryability table's classes of other languages, as their SDKs write them into `exception.type`.

Data only. JavaScript's names have no module, Java's and .NET's are qualified (`$` and `+` before an inner class), Go's
are types as `%T` prints them. A class that says no more than that something went wrong (Go's `*errors.errorString`,
JavaScript's `AI_APICallError` for 429 and 400 alike) has no row.
"""

from __future__ import annotations

from agent_outcomes.outcome.error_classes import Rules, table
from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUDGET,
    BUG,
    CANCELLED,
    CONTEXT_OVERFLOW,
    INVALID_OUTPUT,
    NETWORK,
    NOT_FOUND,
    POLICY,
    RATE_LIMIT,
    TIMEOUT,
    TOOL_ERROR,
    TRANSIENT,
    TRUNCATED,
    UNTRUSTED,
    UPSTREAM,
)
from agent_outcomes.outcome.store_classes import FOREIGN_STORE_RULES

_SPRING_CLIENT = "org.springframework.web.client.HttpClientErrorException"
_SPRING_SERVER = "org.springframework.web.client.HttpServerErrorException"
_SPRING_REACTIVE = "org.springframework.web.reactive.function.client.WebClientResponseException"

JAVASCRIPT_RULES: Rules = table(
    (
        TIMEOUT,
        """
        APIConnectionTimeoutError ConnectTimeoutError HeadersTimeoutError BodyTimeoutError RequestTimeoutError
        GatewayTimeoutError CohereTimeoutError
        """,
    ),
    (
        CANCELLED,
        """
        AbortError APIUserAbortError RequestAbortedError ResponseAborted CanceledError CancelError
        GoogleGenerativeAIAbortError
        """,
    ),
    (RATE_LIMIT, "TooManyRequestsError GatewayRateLimitError"),
    (UPSTREAM, "GatewayInternalServerError AI_EmptyResponseBodyError"),
    (NETWORK, "APIConnectionError NetworkError SocketError ClientClosedError"),
    (AUTH, "AI_LoadAPIKeyError GatewayAuthenticationError CredentialsProviderError"),
    (NOT_FOUND, "AI_NoSuchModelError GatewayModelNotFoundError"),
    (
        BAD_REQUEST,
        """
        AI_InvalidPromptError AI_InvalidArgumentError AI_InvalidMessageRoleError AI_MessageConversionError
        AI_UnsupportedFunctionalityError AI_TooManyEmbeddingValuesForCallError GatewayInvalidRequestError
        """,
    ),
    (
        INVALID_OUTPUT,
        """
        AI_NoObjectGeneratedError AI_NoOutputGeneratedError AI_NoContentGeneratedError AI_TypeValidationError
        AI_JSONParseError AI_InvalidResponseDataError AI_InvalidToolInputError AI_InvalidToolArgumentsError
        AI_NoSuchToolError AI_ToolCallRepairError ZodError $ZodError
        """,
    ),
    (TOOL_ERROR, "AI_ToolExecutionError ToolCallError"),
    (BUDGET, "MaxTurnsExceededError"),
    (POLICY, "GuardrailTripwireTriggered"),
    (BUG, "ReferenceError"),
)

JAVA_RULES: Rules = table(
    (
        TIMEOUT,
        f"""
        java.net.SocketTimeoutException java.net.http.HttpTimeoutException java.net.http.HttpConnectTimeoutException
        java.util.concurrent.TimeoutException java.io.InterruptedIOException
        io.netty.handler.timeout.ReadTimeoutException io.netty.handler.timeout.WriteTimeoutException
        io.netty.channel.ConnectTimeoutException io.netty.resolver.dns.DnsNameResolverTimeoutException
        org.apache.http.conn.ConnectTimeoutException org.apache.http.conn.ConnectionPoolTimeoutException
        software.amazon.awssdk.core.exception.ApiCallTimeoutException
        software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException
        kotlinx.coroutines.TimeoutCancellationException io.ktor.client.plugins.HttpRequestTimeoutException
        io.ktor.client.network.sockets.ConnectTimeoutException io.ktor.client.network.sockets.SocketTimeoutException
        com.aallam.openai.api.exception.OpenAITimeoutException dev.langchain4j.exception.TimeoutException
        {_SPRING_SERVER}$GatewayTimeout {_SPRING_REACTIVE}$GatewayTimeout
        """,
    ),
    (
        CANCELLED,
        """
        java.util.concurrent.CancellationException java.lang.InterruptedException
        java.nio.channels.ClosedByInterruptException kotlinx.coroutines.JobCancellationException
        software.amazon.awssdk.core.exception.AbortedException
        """,
    ),
    (
        RATE_LIMIT,
        f"""
        {_SPRING_CLIENT}$TooManyRequests {_SPRING_REACTIVE}$TooManyRequests
        com.openai.errors.RateLimitException com.anthropic.errors.RateLimitException
        dev.langchain4j.exception.RateLimitException io.github.resilience4j.ratelimiter.RequestNotPermitted
        """,
    ),
    (
        UPSTREAM,
        f"""
        {_SPRING_SERVER} {_SPRING_SERVER}$InternalServerError {_SPRING_SERVER}$BadGateway
        {_SPRING_SERVER}$ServiceUnavailable {_SPRING_SERVER}$NotImplemented
        {_SPRING_REACTIVE}$InternalServerError {_SPRING_REACTIVE}$BadGateway {_SPRING_REACTIVE}$ServiceUnavailable
        com.openai.errors.InternalServerException com.anthropic.errors.InternalServerException
        dev.langchain4j.exception.InternalServerException
        io.github.resilience4j.circuitbreaker.CallNotPermittedException
        """,
    ),
    (
        NETWORK,
        """
        java.net.ConnectException java.net.UnknownHostException java.net.NoRouteToHostException
        java.net.SocketException java.net.PortUnreachableException
        java.nio.channels.ClosedChannelException java.nio.channels.UnresolvedAddressException
        javax.net.ssl.SSLException javax.net.ssl.SSLHandshakeException
        org.apache.http.NoHttpResponseException org.apache.http.conn.HttpHostConnectException
        okhttp3.internal.http2.StreamResetException okhttp3.internal.http2.ConnectionShutdownException
        io.netty.channel.AbstractChannel$AnnotatedConnectException
        reactor.netty.http.client.PrematureCloseException
        org.springframework.web.client.ResourceAccessException
        org.springframework.web.reactive.function.client.WebClientRequestException
        com.openai.errors.OpenAIIoException com.anthropic.errors.AnthropicIoException
        dev.langchain4j.exception.UnresolvedModelServerException
        """,
    ),
    (TRANSIENT, f"{_SPRING_CLIENT}$Conflict org.springframework.ai.retry.TransientAiException"),
    (
        AUTH,
        f"""
        {_SPRING_CLIENT}$Unauthorized {_SPRING_CLIENT}$Forbidden
        {_SPRING_REACTIVE}$Unauthorized {_SPRING_REACTIVE}$Forbidden
        com.openai.errors.UnauthorizedException com.openai.errors.PermissionDeniedException
        com.anthropic.errors.UnauthorizedException com.anthropic.errors.PermissionDeniedException
        dev.langchain4j.exception.AuthenticationException
        """,
    ),
    (
        NOT_FOUND,
        f"""
        {_SPRING_CLIENT}$NotFound {_SPRING_REACTIVE}$NotFound com.openai.errors.NotFoundException
        com.anthropic.errors.NotFoundException dev.langchain4j.exception.ModelNotFoundException
        """,
    ),
    (
        BAD_REQUEST,
        f"""
        {_SPRING_CLIENT}$BadRequest {_SPRING_CLIENT}$UnprocessableEntity {_SPRING_REACTIVE}$BadRequest
        {_SPRING_REACTIVE}$UnprocessableEntity
        com.openai.errors.BadRequestException com.openai.errors.UnprocessableEntityException
        com.anthropic.errors.BadRequestException com.anthropic.errors.UnprocessableEntityException
        dev.langchain4j.exception.InvalidRequestException dev.langchain4j.exception.UnsupportedFeatureException
        """,
    ),
    (
        INVALID_OUTPUT,
        """
        com.fasterxml.jackson.core.JsonParseException com.fasterxml.jackson.databind.JsonMappingException
        com.fasterxml.jackson.databind.exc.MismatchedInputException
        com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException com.google.gson.JsonSyntaxException
        com.openai.errors.OpenAIInvalidDataException com.anthropic.errors.AnthropicInvalidDataException
        dev.langchain4j.service.output.OutputParsingException
        """,
    ),
    (BUDGET, "ai.koog.agents.core.agent.exception.AIAgentMaxNumberOfIterationsReachedException"),
    (POLICY, "dev.langchain4j.exception.ContentFilteredException dev.langchain4j.guardrail.GuardrailException"),
    (
        TOOL_ERROR,
        """
        dev.langchain4j.exception.ToolExecutionException org.springframework.ai.tool.execution.ToolExecutionException
        """,
    ),
    (
        BUG,
        """
        java.lang.NullPointerException java.lang.ClassCastException java.lang.IndexOutOfBoundsException
        java.lang.ArrayIndexOutOfBoundsException java.lang.StringIndexOutOfBoundsException
        java.lang.ArithmeticException java.lang.NoSuchMethodError java.lang.NoClassDefFoundError
        java.lang.ClassNotFoundException java.lang.UnsupportedOperationException java.lang.StackOverflowError
        """,
    ),
)

GO_RULES: Rules = table(
    (
        TIMEOUT,
        """
        context.DeadlineExceeded context.deadlineExceededError os.ErrDeadlineExceeded *http.timeoutError
        *net.timeoutError *poll.DeadlineExceededError
        """,
    ),
    (CANCELLED, "context.Canceled"),
    (
        NETWORK,
        """
        *net.OpError *net.DNSError *net.AddrError *url.Error io.ErrUnexpectedEOF net.ErrClosed *tls.RecordHeaderError
        """,
    ),
    (INVALID_OUTPUT, "*json.UnmarshalTypeError"),
    (BUG, "runtime.boundsError *runtime.TypeAssertionError"),
)

DOTNET_RULES: Rules = table(
    (TIMEOUT, "System.TimeoutException Polly.Timeout.TimeoutRejectedException"),
    (
        CANCELLED,
        """
        System.OperationCanceledException System.Threading.Tasks.TaskCanceledException
        Microsoft.SemanticKernel.KernelFunctionCanceledException
        """,
    ),
    # Of TLS, whatever its name says.
    (UNTRUSTED, "System.Security.Authentication.AuthenticationException"),
    (AUTH, "Azure.Identity.AuthenticationFailedException Azure.Identity.CredentialUnavailableException"),
    (RATE_LIMIT, "Polly.RateLimiting.RateLimiterRejectedException"),
    (UPSTREAM, "Polly.CircuitBreaker.BrokenCircuitException"),
    (
        NETWORK,
        """
        System.Net.Sockets.SocketException System.Net.Http.HttpRequestException System.Net.Http.HttpIOException
        System.Net.WebSockets.WebSocketException
        """,
    ),
    (INVALID_OUTPUT, "System.Text.Json.JsonException Newtonsoft.Json.JsonReaderException"),
    (
        BUG,
        """
        System.NullReferenceException System.InvalidCastException System.IndexOutOfRangeException
        System.ArgumentNullException System.NotImplementedException System.MissingMethodException
        System.Collections.Generic.KeyNotFoundException System.DivideByZeroException
        """,
    ),
)

OTHER_RULES: Rules = table(
    (
        TIMEOUT,
        """
        Net::ReadTimeout Net::OpenTimeout Net::WriteTimeout Timeout::Error Timeout::ExitException Faraday::TimeoutError
        tokio::time::error::Elapsed
        """,
    ),
    (CANCELLED, "RubyLLM::CancelledError"),
    (RATE_LIMIT, "Faraday::TooManyRequestsError OpenAI::Errors::RateLimitError Anthropic::Errors::RateLimitError"),
    (
        UPSTREAM,
        """
        Faraday::ServerError RubyLLM::ServerError OpenAI::Errors::InternalServerError
        Anthropic::Errors::InternalServerError
        """,
    ),
    (
        NETWORK,
        r"""
        Errno::ECONNREFUSED Errno::ECONNRESET Errno::EHOSTUNREACH Errno::EPIPE Faraday::ConnectionFailed
        Faraday::SSLError OpenSSL::SSL::SSLError GuzzleHttp\Exception\ConnectException hyper::Error
        """,
    ),
    (AUTH, "Faraday::UnauthorizedError Faraday::ForbiddenError"),
    (NOT_FOUND, "Faraday::ResourceNotFound"),
    (BAD_REQUEST, "Faraday::BadRequestError Faraday::UnprocessableEntityError"),
    (CONTEXT_OVERFLOW, "Faraday::RequestEntityTooLarge"),
    (TRUNCATED, "OpenAI::Errors::LengthFinishReasonError"),
    (INVALID_OUTPUT, "serde_json::Error RubyLLM::ToolCallParseError"),
    (BUG, "NoMethodError"),
)

FOREIGN_RULES: Rules = (
    *JAVASCRIPT_RULES,
    *JAVA_RULES,
    *GO_RULES,
    *DOTNET_RULES,
    *OTHER_RULES,
    *FOREIGN_STORE_RULES,
)

# These say less than a message of a known form beside them, or than what they were raised from: fetch in JavaScript
# fails with a TypeError, JSON.parse with a SyntaxError, Go's and .NET's HTTP clients put time limits and cancellations
# into the same class.
VAGUE_CLASSES = frozenset(
    {
        "TypeError",
        "*url.Error",
        "*net.OpError",
        "SyntaxError",
        "javax.net.ssl.SSLException",
        "javax.net.ssl.SSLHandshakeException",
        "org.springframework.web.client.ResourceAccessException",
        "org.springframework.web.reactive.function.client.WebClientRequestException",
        "org.springframework.ai.retry.TransientAiException",
        "com.openai.errors.OpenAIIoException",
        "com.anthropic.errors.AnthropicIoException",
        r"GuzzleHttp\Exception\ConnectException",
        "dspy.utils.exceptions.LMTransportError",
        "requests.exceptions.ConnectionError",
        "System.Net.Http.HttpRequestException",
        "System.Threading.Tasks.TaskCanceledException",
        "System.OperationCanceledException",
    }
)
