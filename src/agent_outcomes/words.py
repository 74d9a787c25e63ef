# SPDX-License-Identifier: Apache-2.0
"""Words as people spell them: the form in which tables are keyed, and the statuses they stand for.

Below the enums of `semconv`, whose `Status.from_text` reads words; what a word says besides is in `outcome.spellings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

WORD_LENGTH_MAX: Final = 64
WHITE_SPACE: Final = " \t\n\f\r"
"""What is trimmed off words and amounts: the white space that the collector's language knows, which has no Unicode."""
A2A_PREFIX: Final = "task_state_"

STATUS_VALUES: Final[Mapping[str, str]] = {
    "success": "success",
    "succeeded": "success",
    "successful": "success",
    "ok": "success",
    "pass": "success",
    "passed": "success",
    "true": "success",
    "complete": "success",
    "completed": "success",
    "done": "success",
    "finished": "success",
    "valid": "success",
    "approved": "success",
    "partial": "partial",
    "partially_completed": "partial",
    "partial_success": "partial",
    "incomplete": "partial",
    "failure": "failure",
    "failed": "failure",
    "fail": "failure",
    "false": "failure",
    "error": "failure",
    "errored": "failure",
    "errors": "failure",
    "unsuccessful": "failure",
    "timeout": "timeout",
    "timed_out": "timeout",
    "timedout": "timeout",
    "deadline_exceeded": "timeout",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancel": "cancelled",
    "aborted": "cancelled",
    "abort": "cancelled",
    "interrupted": "cancelled",
    "terminated": "cancelled",
    "invalid_output": "invalid_output",
    "invalid": "invalid_output",
    "malformed": "invalid_output",
    "rejected": "failure",
    "reject": "failure",
    "unknown": "unknown",
}
"""Words for a status, and its value in the vocabulary. Words that leave the status to inference are not among them."""


def canonical_word(text: str) -> str:
    """The form in which the tables are keyed: trimmed, lower case, words joined by `_`, A2A's prefix removed."""
    word = text.strip(WHITE_SPACE)[: WORD_LENGTH_MAX + 1].lower().replace("-", "_").replace(" ", "_")
    return word.removeprefix(A2A_PREFIX)


def status_value_of(text: object) -> str:
    """The value of the status that a word stands for; "unknown" for any other. Never raises."""
    if not issubclass(type(text), str):  # `isinstance` also asks `__class__`, and a proxy's may lie or raise
        return "unknown"
    word = canonical_word(str.__str__(cast("str", text)))  # whatever its own methods say
    return STATUS_VALUES.get(word, "unknown")
