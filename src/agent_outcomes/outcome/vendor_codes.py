# SPDX-License-Identifier: Apache-2.0
"""The retryability table's codes: what providers, the operating system and runtimes call an error beside its class.

Data only. Sources: the error types and codes of OpenAI's, Anthropic's, Google's (`google.rpc` and its `ErrorInfo`
reasons), Azure's, Groq's and Mistral's APIs, of the Claude Agent SDK's results and of LangChain's troubleshooting
pages; the exceptions of Bedrock's and SageMaker's service models and botocore's retry rules; errno, Node.js and undici;
`error.type` as OpenTelemetry's conventions spell it; JSON-RPC and MCP; PostgreSQL's manual, "Error Codes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.outcome.errors import (
    AUTH,
    BAD_REQUEST,
    BUDGET,
    CANCELLED,
    CONTEXT_OVERFLOW,
    INVALID_OUTPUT,
    NETWORK,
    NOT_FOUND,
    POLICY,
    QUOTA,
    RATE_LIMIT,
    TIMEOUT,
    TOOL_ERROR,
    TRANSIENT,
    TRUNCATED,
    UNTRUSTED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping


def _codes(*rows: tuple[Classification, str]) -> Mapping[str, Classification]:
    return {code: rule for rule, codes in rows for code in codes.split()}


# These say more than the HTTP status beside them does: a 429 with insufficient_quota will not pass by waiting.
CODE_RULES: Mapping[str, Classification] = _codes(
    (
        RATE_LIMIT,
        """
        rate_limit_exceeded rate_limit_error rate_limited rate_limit_reached too_many_requests slow_down
        MODEL_RATE_LIMIT model_rate_limited_error session_rate_limited_error service_tier_capacity_exceeded
        Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException
        TooManyRequestsException ProvisionedThroughputExceededException TransactionInProgressException
        RequestLimitExceeded BandwidthLimitExceeded LimitExceededException SlowDown EC2ThrottledException
        RateQuota AllocationQuota BurstRate request_quota_exceeded token_quota_exceeded too_many_requests_error
        queue_exceeded model_rate_limit userRateLimitExceeded
        """,
    ),
    (
        QUOTA,
        """
        insufficient_quota billing_hard_limit_reached billing_not_active billing_error quota_exceeded
        exceeded_current_quota_error insufficient_balance insufficient_credits payment_required budget_exceeded
        ServiceQuotaExceededException BILLING_DISABLED Arrearage insufficient_user_quota usage_limit_reached
        """,
    ),
    (
        CONTEXT_OVERFLOW,
        """
        context_length_exceeded context_window_exceeded model_context_window_exceeded request_too_large
        string_above_max_length tokens_limit_reached prompt_too_long payload_too_large
        RequestEntityTooLargeException exceed_context_size_error
        """,
    ),
    (
        AUTH,
        """
        invalid_api_key authentication_error authentication_failed permission_error permission_denied unauthorized
        forbidden invalid_authentication invalid_organization mismatched_organization account_deactivated
        organization_deactivated organization_disabled_error oauth_org_not_allowed cloud_credential_error
        MODEL_AUTHENTICATION unsupported_country_region_territory user_authentication_error
        AccessDenied AccessDeniedException AuthFailure UnauthorizedException NotAuthorized UnrecognizedClientException
        InvalidClientTokenId InvalidAccessKeyId InvalidSignatureException SignatureDoesNotMatch IncompleteSignature
        ExpiredToken ExpiredTokenException RequestExpired MissingAuthenticationToken MissingAuthenticationTokenException
        OptInRequired API_KEY_INVALID API_KEY_SERVICE_BLOCKED SERVICE_DISABLED ACCESS_TOKEN_EXPIRED
        ACCESS_TOKEN_SCOPE_INSUFFICIENT CREDENTIALS_MISSING IAM_PERMISSION_DENIED CONSUMER_INVALID
        AuthenticationFailed InvalidAuthenticationToken AuthorizationFailed
        auth_error key_model_access_denied team_model_access_denied expired_key token_not_found_in_db
        """,
    ),
    (
        NOT_FOUND,
        """
        model_not_found not_found_error model_decommissioned invalid_model ResourceNotFoundException
        RESOURCE_DOES_NOT_EXIST
        DeploymentNotFound
        """,
    ),
    (
        BAD_REQUEST,
        """
        unsupported_parameter unsupported_value invalid_value missing_required_parameter unknown_parameter
        invalid_function_parameters invalid_image invalid_image_format invalid_base64_image invalid_image_url
        invalid_image_mode image_too_large image_too_small image_parse_error image_file_too_large
        image_file_not_found unsupported_image_media_type empty_image_file failed_to_download_image
        INVALID_PARAMETER_VALUE
        ValidationException InvalidParameterValue InvalidParameterCombination MissingParameter OperationNotSupported
        """,
    ),
    (
        UPSTREAM,
        """
        overloaded_error overloaded model_overloaded_error engine_overloaded engine_overloaded_error
        server_is_overloaded server_overloaded server_error model_request_failed_error
        InternalServerException InternalFailure InternalDependencyException ServiceUnavailable
        ServiceUnavailableException BadGatewayException DependencyFailedException ModelErrorException
        ModelStreamErrorException ModelNotReadyException ServerBusy unavailable_error TEMPORARILY_UNAVAILABLE
        """,
    ),
    (
        TIMEOUT,
        """
        timeout timeout_error request_timeout deadline_exceeded vector_store_timeout RequestTimeout
        RequestTimeoutException ModelTimeoutException
        """,
    ),
    (TRANSIENT, "PriorRequestNotComplete IDPCommunicationError ConflictException ReplicatedWriteConflictException"),
    (
        POLICY,
        """
        content_filter content_policy_violation image_content_policy_violation invalid_prompt moderation_blocked
        data_inspection_failed guardrail_intervened ResponsibleAIPolicyViolation
        """,
    ),
    (BUDGET, "error_max_turns error_max_budget_usd tool_use_limit_reached_error GRAPH_RECURSION_LIMIT"),
    (
        INVALID_OUTPUT,
        """
        error_max_structured_output_retries tool_use_failed json_validate_failed OUTPUT_PARSING_FAILURE
        STRUCTURED_OUTPUT_SCHEMA_VALIDATION_FAILED STRUCTURED_OUTPUT_OBJECT_UNDEFINED
        """,
    ),
    (TRUNCATED, "STRUCTURED_OUTPUT_TRUNCATED"),
    (TOOL_ERROR, "tool_error"),
)

# These say less than a known class or an HTTP status in the range of errors, as providers use them for several
# statuses (OpenAI's invalid_request_error comes with 400, 401 and 404); where neither is there, as in a stream that
# began well, they are what there is.
TYPE_RULES: Mapping[str, Classification] = _codes(
    (BAD_REQUEST, "invalid_request_error invalid_request bad_request"),
    (UPSTREAM, "api_error internal_server_error"),
)

# Of the operating system (by name, whatever the number) and of Node.js.
NETWORK_RULES: Mapping[str, Classification] = _codes(
    (
        NETWORK,
        """
        ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ENETDOWN ENETUNREACH ENETRESET EHOSTDOWN EHOSTUNREACH ENOTCONN
        EADDRNOTAVAIL ENOTFOUND EAI_AGAIN EAI_FAIL EAI_NODATA EAI_NONAME EPROTO
        UND_ERR_SOCKET UND_ERR_CLOSED UND_ERR_DESTROYED ERR_NETWORK ERR_STREAM_PREMATURE_CLOSE
        name_resolution_error connection_error secure_connection_error http_protocol_error response_ended
        proxy_tunnel_error
        """,
    ),
    (
        TIMEOUT,
        """
        ETIMEDOUT ESOCKETTIMEDOUT ETIME UND_ERR_CONNECT_TIMEOUT UND_ERR_HEADERS_TIMEOUT UND_ERR_BODY_TIMEOUT
        ERR_SOCKET_CONNECTION_TIMEOUT
        """,
    ),
    (CANCELLED, "ECANCELED ABORT_ERR ERR_CANCELED UND_ERR_ABORTED"),
    (
        UNTRUSTED,
        """
        CERT_HAS_EXPIRED DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_VERIFY_LEAF_SIGNATURE
        UNABLE_TO_GET_ISSUER_CERT_LOCALLY ERR_TLS_CERT_ALTNAME_INVALID server_certificate_invalid
        """,
    ),
)

# Of databases, and of ODBC's drivers, each behind the word that Go's driver has before it in a message. Another five
# letters or digits may be anything, so that these are asked for where a driver keeps its own. A statement that was
# cancelled (57014) may have come to its time limit or not.
_SQLSTATES: Mapping[str, Classification] = _codes(
    (NETWORK, "08000 08001 08003 08004 08006 08007 08S01"),
    (TIMEOUT, "HYT00 HYT01"),
    # What is to be tried again as a whole ("Serialization Failure Handling"), and a lock that was not waited for.
    (TRANSIENT, "40001 40P01 55P03"),
    (UPSTREAM, "53000 53300 57P01 57P02 57P03"),
    (AUTH, "28000 28P01 42501"),
    (BAD_REQUEST, "23502 23503 23505 23514"),
)
SQLSTATE: str = "SQLSTATE"
SQLSTATE_RULES: Mapping[str, Classification] = {f"{SQLSTATE} {code}": rule for code, rule in _SQLSTATES.items()}

JSON_RPC_RULES: Mapping[str, Classification] = _codes(
    (BAD_REQUEST, "-32700 -32600 -32602"),
    (NOT_FOUND, "-32601"),
    (UPSTREAM, "-32603"),
)

# In the range that JSON-RPC leaves to each server, so that they mean this only where an SDK or the protocol says it.
MCP_RULES: Mapping[str, Classification] = _codes((NETWORK, "-32000"), (TIMEOUT, "-32001"), (NOT_FOUND, "-32002"))
MCP_MESSAGES: Mapping[str, Pattern] = {
    "-32000": Pattern(r"Connection closed"),
    "-32001": Pattern(r"Request timed out"),
    "-32002": Pattern(r"Resource (?:.{0,1000} )?not found"),
}
