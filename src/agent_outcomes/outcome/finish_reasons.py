# SPDX-License-Identifier: Apache-2.0
"""What an agent's finish reason (`gen_ai.agent.finish_reason`) says of the end of its run, in whatever words.

The proposal (semantic-conventions-genai#171 and #238) has few values and lets everybody add their own. So the words of
a status, of a model's last answer and of frameworks' own stops are known, too, however they are spelled. A word that is
in no table says that somebody knew how the run ended, and not how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.codes import FINISH_REASON_RULES, STOP_RULES
from agent_outcomes.outcome.errors import AWAITING_HUMAN, BUDGET, CANCELLED, INVALID_OUTPUT, OTHER, POLICY, TIMEOUT
from agent_outcomes.outcome.errors import Classification as _Row
from agent_outcomes.outcome.spellings import STATUS_WORDS
from agent_outcomes.semconv import ProblemKind, Status
from agent_outcomes.words import STATUS_VALUES, canonical_word

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_REASONS: Final[Mapping[str, str]] = {
    "error": "error",
    "aborted": "cancelled",
    "cancelled": "cancelled",
    "length": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "blocked": "guardrail",
    "blocklist": "guardrail",
    "content_filter": "guardrail",
    "content_filtered": "guardrail",
    "guardrail_intervened": "guardrail",
    "prohibited_content": "guardrail",
    "refusal": "guardrail",
    "safety": "guardrail",
    "spii": "guardrail",
}
"""The words of providers and SDKs for how a model's last answer ended, as an agent's finish reason: in lower case, with
underscores. All others leave it open."""

_BY_STATUS: Final[Mapping[str, _Row]] = {
    Status.SUCCESS.value: FINISH_REASON_RULES["completed"],
    Status.PARTIAL.value: _Row(Status.PARTIAL, "", retryable=False, remedy=None),
    Status.FAILURE.value: OTHER,
    Status.TIMEOUT.value: TIMEOUT,
    Status.CANCELLED.value: CANCELLED,
    Status.INVALID_OUTPUT.value: INVALID_OUTPUT,
}
# In other words than those of a status: A2A's states of a task that waits for somebody, and limits of a loop.
_OWN: Final[Mapping[str, _Row]] = {
    "input_required": AWAITING_HUMAN,
    "auth_required": AWAITING_HUMAN,
    "max_turns": BUDGET,
    "max_steps": BUDGET,
    "rejected": POLICY,
    "reject": POLICY,
}

FINISH_WORDS: Final[Mapping[str, _Row]] = {
    **{word.lower(): rule for word, rule in STOP_RULES.items()},
    **{word: FINISH_REASON_RULES[reason] for word, reason in ANSWER_REASONS.items()},
    **{word: _BY_STATUS[value] for word, value in STATUS_VALUES.items() if value in _BY_STATUS},
    **_OWN,
    **FINISH_REASON_RULES,
}
"""Every word that says how a run ended, in the form in which the tables are keyed."""

NO_ENDS: Final = frozenset(
    {
        *(word for word, meaning in STATUS_WORDS.items() if meaning.status is None and word not in FINISH_WORDS),
        *("stop", "stop_sequence", "end_turn", "tool_use", "tool_call", "tool_calls"),
    }
)
"""Words that name no end of a run, such as that of a handoff or of a model's turn: the other evidence tells it."""


class FinishReason:
    """A finish reason as it is spelled, with what it says.

    `rule` is `None` for a word that says nothing of the end, which `is_open` says of a word that is known for that;
    `problem` is that of any other.
    """

    __slots__ = ("is_open", "problem", "rule", "word")

    def __init__(self, text: str) -> None:
        self.word = canonical_word(text)
        self.rule = FINISH_WORDS.get(self.word)
        self.is_open = not self.word or self.word in NO_ENDS
        meaning = STATUS_WORDS.get(self.word)
        self.problem = ProblemKind.UNKNOWN_STATUS if meaning is None else meaning.problem
