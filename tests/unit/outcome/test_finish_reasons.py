# SPDX-License-Identifier: Apache-2.0
"""What an agent's finish reason says of the end of its run, in whatever words and spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.codes import FINISH_REASON_RULES, STOP_RULES
from agent_outcomes.outcome.finish_reasons import ANSWER_REASONS, FINISH_WORDS, NO_ENDS, FinishReason
from agent_outcomes.outcome.spellings import STATUS_WORDS
from agent_outcomes.semconv import ProblemKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable

SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.title,
    lambda word: word.replace("_", "-"),
    lambda word: f"  {word.replace('_', ' ')}\n",
    lambda word: f"TASK_STATE_{word.upper()}",
]
# As a finish reason these say more than as a status: whom a task of A2A waits for, and by whose rule it was stopped.
SAYS_MORE = {"input_required", "auth_required"}


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("word", sorted({*STATUS_WORDS} - SAYS_MORE))
def test_words_of_a_status(word: str, spell: Callable[[str], str]) -> None:
    """What is a word for a status is one as a finish reason; one that is no end of a run ends none."""
    meaning, reason = STATUS_WORDS[word], FinishReason(spell(word))
    ends = meaning.status not in {None, Status.UNKNOWN}
    assert (reason.rule.status if reason.rule is not None else None) == (meaning.status if ends else None)
    assert reason.is_open == (meaning.status is None)
    if reason.rule is None and not reason.is_open:
        assert reason.problem == meaning.problem


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("word", sorted(SAYS_MORE))
def test_a_task_that_waits(word: str, spell: Callable[[str], str]) -> None:
    """A task of A2A that waits for somebody's input has not ended."""
    rule = FinishReason(spell(word)).rule
    assert rule is not None
    assert rule.paused


@pytest.mark.parametrize("spell", SPELLINGS)
def test_words_of_the_tables(spell: Callable[[str], str]) -> None:
    """The proposal's values come first; then those of answers and stops, where a status is not called the same."""
    for word, rule in FINISH_REASON_RULES.items():
        assert FinishReason(spell(word)).rule == rule
    for word, value in ANSWER_REASONS.items():
        if word not in FINISH_REASON_RULES and word not in STATUS_WORDS:
            assert FinishReason(spell(word)).rule == FINISH_REASON_RULES[value]
    for word, rule in STOP_RULES.items():
        if word.lower() not in {*FINISH_REASON_RULES, *STATUS_WORDS, *ANSWER_REASONS}:
            assert FinishReason(spell(word.lower())).rule == rule


def test_no_word_is_an_end_and_none() -> None:
    """What names no end stands in no other table."""
    assert NO_ENDS.isdisjoint(FINISH_WORDS)


@given(st.text(max_size=80))
def test_any_other_word(text: str) -> None:
    """Nothing raises; a word that no table has is a problem, and an empty one says nothing."""
    reason = FinishReason(text)
    assert (reason.rule is not None) == (reason.word in FINISH_WORDS)
    if reason.rule is None and not reason.is_open and reason.word not in STATUS_WORDS:
        assert reason.problem is ProblemKind.UNKNOWN_STATUS
    assert FinishReason(" " * len(text)).is_open
