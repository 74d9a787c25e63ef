# SPDX-License-Identifier: Apache-2.0
"""The words people use for statuses, outcome types and cost kinds, as tables, and how a word is looked up in them.

A word that is in no table stays unknown; nothing here picks the nearest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_outcomes.outcome.text import own_value
from agent_outcomes.semconv import CostKind, ErrorCategory, OutcomeType, ProblemKind, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

WORD_LENGTH_MAX = 64


class StatusWord(NamedTuple):
    """What a status word means.

    `status` is `None` when the word leaves the status to inference; `type` and `category` are what it says besides.
    """

    status: Status | None
    type: OutcomeType | None = None
    category: ErrorCategory | None = None
    retryable: bool | None = None
    problem: ProblemKind | None = None


_SUCCESS = StatusWord(Status.SUCCESS)
_PARTIAL = StatusWord(Status.PARTIAL)
_FAILURE = StatusWord(Status.FAILURE)
_TIMEOUT = StatusWord(Status.TIMEOUT)
_CANCELLED = StatusWord(Status.CANCELLED)
_INVALID = StatusWord(Status.INVALID_OUTPUT)
_REJECTED = StatusWord(Status.FAILURE, category=ErrorCategory.POLICY, retryable=False)
_ESCALATED = StatusWord(None, type=OutcomeType.ESCALATED, problem=ProblemKind.STATUS_IS_ESCALATION)
_NOT_TERMINAL = StatusWord(Status.UNKNOWN, problem=ProblemKind.STATUS_NOT_TERMINAL)

STATUS_WORDS: Mapping[str, StatusWord] = {
    "success": _SUCCESS,
    "succeeded": _SUCCESS,
    "successful": _SUCCESS,
    "ok": _SUCCESS,
    "pass": _SUCCESS,
    "passed": _SUCCESS,
    "true": _SUCCESS,
    "complete": _SUCCESS,
    "completed": _SUCCESS,
    "done": _SUCCESS,
    "finished": _SUCCESS,
    "valid": _SUCCESS,
    "approved": _SUCCESS,
    "partial": _PARTIAL,
    "partially_completed": _PARTIAL,
    "partial_success": _PARTIAL,
    "incomplete": _PARTIAL,
    "failure": _FAILURE,
    "failed": _FAILURE,
    "fail": _FAILURE,
    "false": _FAILURE,
    "error": _FAILURE,
    "errored": _FAILURE,
    "errors": _FAILURE,
    "unsuccessful": _FAILURE,
    "timeout": _TIMEOUT,
    "timed_out": _TIMEOUT,
    "timedout": _TIMEOUT,
    "deadline_exceeded": _TIMEOUT,
    "cancelled": _CANCELLED,
    "canceled": _CANCELLED,
    "cancel": _CANCELLED,
    "aborted": _CANCELLED,
    "abort": _CANCELLED,
    "interrupted": _CANCELLED,
    "terminated": _CANCELLED,
    "invalid_output": _INVALID,
    "invalid": _INVALID,
    "malformed": _INVALID,
    "rejected": _REJECTED,
    "reject": _REJECTED,
    "handed_off": _ESCALATED,
    "handoff": _ESCALATED,
    "hand_off": _ESCALATED,
    "needs_help": _ESCALATED,
    "escalated": _ESCALATED,
    "input_required": _ESCALATED,
    "auth_required": _ESCALATED,
    "submitted": _NOT_TERMINAL,
    "pending": _NOT_TERMINAL,
    "working": _NOT_TERMINAL,
    "running": _NOT_TERMINAL,
    "in_progress": _NOT_TERMINAL,
    "unknown": StatusWord(Status.UNKNOWN),
}

TYPE_WORDS: Mapping[str, OutcomeType] = {
    "converted": OutcomeType.CONVERTED,
    "conversion": OutcomeType.CONVERTED,
    "won": OutcomeType.CONVERTED,
    "escalated": OutcomeType.ESCALATED,
    "escalation": OutcomeType.ESCALATED,
    "handed_off": OutcomeType.ESCALATED,
    "handoff": OutcomeType.ESCALATED,
    "needs_help": OutcomeType.ESCALATED,
    "deflected": OutcomeType.DEFLECTED,
    "deflection": OutcomeType.DEFLECTED,
    "unsuccessful": OutcomeType.UNSUCCESSFUL,
    "lost": OutcomeType.UNSUCCESSFUL,
    "custom": OutcomeType.CUSTOM,
}

KIND_WORDS: Mapping[str, CostKind] = {
    "llm": CostKind.LLM,
    "model": CostKind.LLM,
    "tool": CostKind.TOOL,
    "human": CostKind.HUMAN,
    "other": CostKind.OTHER,
}

BOOLEAN_WORDS: Mapping[str, bool] = {"true": True, "false": False}

A2A_PREFIX = "task_state_"


def canonical_word(text: str) -> str:
    """The form in which the tables are keyed: trimmed, lower case, words joined by `_`, A2A's prefix removed."""
    word = text.strip()[: WORD_LENGTH_MAX + 1].lower().replace("-", "_").replace(" ", "_")
    return word.removeprefix(A2A_PREFIX)


def status_of_text(text: object) -> Status:
    """The status that a word stands for; `UNKNOWN` for any other, and for one that leaves it to inference."""
    value = own_value(text)
    word = STATUS_WORDS.get(canonical_word(value)) if isinstance(value, str) else None
    return word.status if word is not None and word.status is not None else Status.UNKNOWN
