# SPDX-License-Identifier: Apache-2.0
"""The word tables, row by row, against meanings written out here."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.spellings import (
    BOOLEAN_WORDS,
    KIND_WORDS,
    STATUS_WORDS,
    TYPE_WORDS,
    StatusWord,
)
from agent_outcomes.semconv import CostKind, ErrorCategory, OutcomeType, ProblemKind, Status
from agent_outcomes.words import canonical_word
from tests.hostile import JUNK, LoudText, armed

STATUSES = {
    Status.SUCCESS: (
        "success succeeded successful ok pass passed true complete completed done finished valid approved"
    ),
    Status.PARTIAL: "partial partially_completed partial_success incomplete",
    Status.FAILURE: "failure failed fail false error errored errors unsuccessful",
    Status.TIMEOUT: "timeout timed_out timedout deadline_exceeded",
    Status.CANCELLED: "cancelled canceled cancel aborted abort interrupted terminated",
    Status.INVALID_OUTPUT: "invalid_output invalid malformed",
    Status.UNKNOWN: "unknown",
}
REJECTED = StatusWord(Status.FAILURE, category=ErrorCategory.POLICY, retryable=False)
ESCALATED = StatusWord(None, type=OutcomeType.ESCALATED, problem=ProblemKind.STATUS_IS_ESCALATION)
NO_END = StatusWord(Status.UNKNOWN, problem=ProblemKind.STATUS_NOT_TERMINAL)
EXPECTED_STATUSES = {
    **{word: StatusWord(status) for status, words in STATUSES.items() for word in words.split()},
    "rejected": REJECTED,
    "reject": REJECTED,
    "handed_off": ESCALATED,
    "handoff": ESCALATED,
    "hand_off": ESCALATED,
    "needs_help": ESCALATED,
    "escalated": ESCALATED,
    "input_required": ESCALATED,
    "auth_required": ESCALATED,
    "submitted": NO_END,
    "pending": NO_END,
    "working": NO_END,
    "running": NO_END,
    "in_progress": NO_END,
}
EXPECTED_TYPES = {
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
EXPECTED_KINDS = {
    "llm": CostKind.LLM,
    "model": CostKind.LLM,
    "tool": CostKind.TOOL,
    "human": CostKind.HUMAN,
    "other": CostKind.OTHER,
}


@pytest.mark.parametrize(("word", "meaning"), EXPECTED_STATUSES.items())
def test_status_word(word: str, meaning: StatusWord) -> None:
    """Each word means what it says here, and is found in any case and with any joint."""
    assert STATUS_WORDS[word] == meaning
    assert STATUS_WORDS[canonical_word(f" {word.upper().replace('_', '-')} ")] == meaning


def test_every_status_word_is_expected() -> None:
    """A word added to the table without a meaning written here fails."""
    assert set(STATUS_WORDS) == set(EXPECTED_STATUSES)


@pytest.mark.parametrize("status", Status)
def test_each_status_is_a_word_of_its_own(status: Status) -> None:
    """The canonical words mean themselves and are no problem."""
    assert STATUS_WORDS[status.value] == StatusWord(status)


@pytest.mark.parametrize(("word", "meaning"), EXPECTED_TYPES.items())
def test_type_word(word: str, meaning: OutcomeType) -> None:
    """Each word for an outcome's type means what it says here."""
    assert TYPE_WORDS[word] is meaning


@pytest.mark.parametrize(("word", "meaning"), EXPECTED_KINDS.items())
def test_kind_word(word: str, meaning: CostKind) -> None:
    """Each word for a kind of cost means what it says here."""
    assert KIND_WORDS[word] is meaning


def test_every_type_kind_and_boolean_word_is_expected() -> None:
    """The other tables hold no word that is not written here."""
    assert set(TYPE_WORDS) == set(EXPECTED_TYPES)
    assert set(KIND_WORDS) == set(EXPECTED_KINDS)
    assert BOOLEAN_WORDS == {"true": True, "false": False}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("TASK_STATE_INPUT_REQUIRED", "input_required"),
        ("task-state-completed", "completed"),
        ("  Timed Out\n", "timed_out"),
        ("", ""),
    ],
)
def test_canonical_word(text: str, word: str) -> None:
    """Case, blanks around and joints within do not matter, nor does A2A's prefix."""
    assert canonical_word(text) == word


@given(st.text(max_size=80))
def test_canonical_word_is_stable(text: str) -> None:
    """What is found for a word is found for its canonical form."""
    word = canonical_word(text)
    if word in STATUS_WORDS:
        assert canonical_word(word) == word


def test_long_text_is_no_word() -> None:
    """A text that begins like a word is none, however many blanks come between."""
    assert canonical_word("ok" + " " * 100 + "but failed") not in STATUS_WORDS


@pytest.mark.parametrize(("word", "meaning"), EXPECTED_STATUSES.items())
def test_status_from_text(word: str, meaning: StatusWord) -> None:
    """Every word of the table in any spelling; one that leaves the status to inference is none: unknown."""
    expected = meaning.status or Status.UNKNOWN
    for text in (
        word,
        word.upper(),
        f" {word.title().replace('_', '-')}\n",
        f"TASK_STATE_{word.upper()}",
        LoudText(word),
    ):
        assert Status.from_text(text) is expected


@given(st.text(max_size=80) | JUNK)
def test_status_from_text_guesses_nothing(text: Any) -> None:
    """What is no word of the table, or no text at all, is unknown and nothing raises."""
    value = armed(text)
    known = isinstance(value, str) and canonical_word(str.__str__(value)) in STATUS_WORDS
    if not known:
        assert Status.from_text(value) is Status.UNKNOWN


@pytest.mark.parametrize("text", ["aproved", "approved!", "successful run", "", "not done"])
def test_status_from_text_takes_no_near_miss(text: str) -> None:
    """A slip or a word with something beside it means nothing."""
    assert Status.from_text(text) is Status.UNKNOWN
