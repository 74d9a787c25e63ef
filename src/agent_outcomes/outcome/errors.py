# SPDX-License-Identifier: Apache-2.0
"""What errors say about a run: status, category, retryability and remedy, once for each kind of error.

Data only. Which classes, codes and messages say so is in `error_classes`, `foreign_classes`, `codes`, `vendor_codes`
and `messages`.
"""

from __future__ import annotations

from agent_outcomes.fields import NamedTuple
from agent_outcomes.semconv import ErrorCategory as Category
from agent_outcomes.semconv import Remedy, Status


class Classification(NamedTuple):
    """What an error says about a run; `retryable` is `None` where it cannot be known.

    `paused` marks what only interrupts a run, for a human or an engine that resumes it: it has not ended and has no
    outcome yet.
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
# An engine has put the run aside, and resumes it by itself.
SUSPENDED = Classification(Status.UNKNOWN, "", retryable=None, remedy=None, paused=True)
NODE_CANCELLED = _failure(Category.CANCELLED, retryable=None, remedy=None)
RATE_LIMIT = _failure(Category.RATE_LIMIT, retryable=True, remedy=Remedy.RETRY_LATER)
QUOTA = _failure(Category.QUOTA, retryable=False, remedy=Remedy.CHANGE_CONFIG)
UPSTREAM = _failure(Category.UPSTREAM_UNAVAILABLE, retryable=True, remedy=Remedy.RETRY_LATER)
NETWORK = _failure(Category.NETWORK, retryable=True, remedy=Remedy.RETRY)
# A certificate that is not trusted is not trusted the next time either.
UNTRUSTED = _failure(Category.NETWORK, retryable=False, remedy=Remedy.CHANGE_CONFIG)
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
