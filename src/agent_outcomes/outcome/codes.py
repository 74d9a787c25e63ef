# SPDX-License-Identifier: Apache-2.0
"""The retryability table's codes: HTTP and gRPC statuses, providers' own codes, finish reasons and stated categories.

Data only; the rows are those of `errors_table`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    NOT_FOUND,
    OTHER,
    POLICY,
    QUOTA,
    RATE_LIMIT,
    RUN_DEADLINE,
    TERMINATED,
    TIMEOUT,
    TOOL_ERROR,
    TRANSIENT,
    TRUNCATED,
    UPSTREAM,
    Classification,
)
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.semconv import Remedy, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP_RULES: Mapping[int, Classification] = {
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

GRPC_RULES: Mapping[str, Classification] = {
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

# Codes that providers put beside the HTTP status; they say more than the status does (a 429 with
# insufficient_quota will not pass by waiting).
CODE_RULES: Mapping[str, Classification] = {
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

# Why a framework says its loop stopped (`gen_ai.agent.finish_reason`); a reason that names no end leaves the status
# to the other evidence.
FINISH_REASON_RULES: Mapping[str, Classification] = {
    "completed": Classification(Status.SUCCESS, "", retryable=False, remedy=Remedy.NONE),
    "max_iterations": BUDGET,
    "max_tokens": TRUNCATED,
    "time_budget": RUN_DEADLINE,
    "cancelled": CANCELLED,
    "error": OTHER,
    "guardrail": POLICY,
    "tool_failure": TOOL_ERROR,
}

# Why an instrumentation's own span event says that the run stopped (`ScopeRules.stop_event`), as above.
STOP_RULES: Mapping[str, Classification] = {
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

# Messages of a fixed form, after what a wrapper may have put before them, for spans in ERROR that name no known class:
# those of the clients generated for APIs such as those of OpenAI and Anthropic, where the group is the HTTP status, of
# Pydantic and of frameworks, and what OpenTelemetry's GenAI instrumentations say of a stream whose consumer left.
TEXT_RULES: tuple[tuple[Pattern, Classification | None], ...] = (
    (Pattern(r"(?:[\w. ]+(?:: |\(['\"]))?Error code: ([45]\d\d)(?: - |$)"), None),
    (Pattern(r"(?:[\w. ]+: )?\d+ validation errors? for \w+"), INVALID_OUTPUT),
    (Pattern(r"(?:[\w. ]+: )?Max iterations of \d+ reached!"), BUDGET),
    (Pattern(r"(?:[\w. ]+: )?Task '[\s\S]*' execution timed out after \d+ seconds\."), TIMEOUT),
    # The OpenAI Agents SDK, under OpenInference and under OpenTelemetry's instrumentation.
    (Pattern(r"(?:\{'message': ')?Max turns exceeded(?:: |')"), BUDGET),
    (Pattern(r"(?:\{'message': ')?Guardrail tripwire triggered(?:: |')"), POLICY),
    (Pattern(r"abandoned stream$"), CANCELLED),
)

# What a category stated without an exception says about retrying.
CATEGORY_RULES: Mapping[str, Classification] = {
    row.category: row
    for row in (
        TIMEOUT,
        RUN_DEADLINE,
        CANCELLED,
        TERMINATED,
        RATE_LIMIT,
        QUOTA,
        UPSTREAM,
        NETWORK,
        TRANSIENT,
        AUTH,
        NOT_FOUND,
        BAD_REQUEST,
        CONTEXT_OVERFLOW,
        INVALID_OUTPUT,
        TRUNCATED,
        BUDGET,
        POLICY,
        AWAITING_HUMAN,
        TOOL_ERROR,
        BUG,
        OTHER,
    )
}
