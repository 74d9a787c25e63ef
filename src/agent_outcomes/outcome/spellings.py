# SPDX-License-Identifier: Apache-2.0
"""The words people use for statuses, outcome types and cost kinds, as tables keyed by their canonical form.

A word that is in no table stays unknown; nothing here picks the nearest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.fields import NamedTuple
from agent_outcomes.semconv import CostKind, ErrorCategory, OutcomeType, ProblemKind, Status
from agent_outcomes.words import STATUS_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping


class StatusWord(NamedTuple):
    """What a status word means.

    `status` is `None` when the word leaves the status to inference; `type` and `category` are what it says besides.
    """

    status: Status | None
    type: OutcomeType | None = None
    category: ErrorCategory | None = None
    retryable: bool | None = None
    problem: ProblemKind | None = None


_REJECTED = StatusWord(Status(STATUS_VALUES["rejected"]), category=ErrorCategory.POLICY, retryable=False)
_ESCALATED = StatusWord(None, type=OutcomeType.ESCALATED, problem=ProblemKind.STATUS_IS_ESCALATION)
_NOT_TERMINAL = StatusWord(Status.UNKNOWN, problem=ProblemKind.STATUS_NOT_TERMINAL)
_MEANINGS = {status.value: StatusWord(status) for status in Status}

STATUS_WORDS: Mapping[str, StatusWord] = {
    **{word: _MEANINGS[value] for word, value in STATUS_VALUES.items()},
    # What says more than a status.
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
