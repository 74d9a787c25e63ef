# SPDX-License-Identifier: Apache-2.0
"""The retryability table's codes of protocols: HTTP and gRPC statuses, finish reasons and stated categories.

Data only.
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
from agent_outcomes.semconv import Remedy, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP_RULES: Mapping[int, Classification] = {
    400: BAD_REQUEST,
    401: AUTH,
    402: QUOTA,
    403: AUTH,
    404: NOT_FOUND,
    407: AUTH,
    408: TIMEOUT,
    409: TRANSIENT,
    410: NOT_FOUND,
    413: CONTEXT_OVERFLOW,
    422: BAD_REQUEST,
    425: TRANSIENT,
    429: RATE_LIMIT,
    # Of Groq: no capacity left in the tier that was asked for.
    498: RATE_LIMIT,
    # Whoever asked has closed the connection; the same as gRPC's CANCELLED.
    499: CANCELLED,
    500: UPSTREAM,
    502: UPSTREAM,
    503: UPSTREAM,
    504: UPSTREAM,
    529: UPSTREAM,
}

# All but OK and UNKNOWN, which says nothing.
GRPC_RULES: Mapping[str, Classification] = {
    "CANCELLED": CANCELLED,
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

GRPC_NUMBERS: Mapping[int, str] = {
    1: "CANCELLED",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
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

# Why a framework's own span event (`ScopeRules.stop_event`) or answer (`STOP_OUTPUTS`) says that the run stopped.
STOP_RULES: Mapping[str, Classification] = {
    "FAILED": OTHER,
    "KILLED": CANCELLED,
    "PAUSED": AWAITING_HUMAN,
    # Its planner knows no way to the goal.
    "STUCK": OTHER,
    # By a policy of the application's: on cost, on the number of its actions, or on anything else.
    "TERMINATED": OTHER,
    "WAITING": AWAITING_HUMAN,
    "aborted": CANCELLED,
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
    "suspended": AWAITING_HUMAN,
    "tripwire": POLICY,
}

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
