# SPDX-License-Identifier: Apache-2.0
"""What is counted, and said in the log, about outcomes that were not taken or not handed over as stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.record.record import Posting
from agent_outcomes.semconv import DropReason, ProblemKind, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.limited_log import LimitedLog
    from agent_outcomes.outcome.attribute_reader import Problem

EVENT_HANDED_OVER: Final = Posting(semconv.AGENT_OUTCOMES_PROCESSOR_EVENTS, (), 1)
_UNKNOWN_WORD_KINDS: Final = frozenset(
    {
        ProblemKind.UNKNOWN_STATUS,
        ProblemKind.UNKNOWN_TYPE,
        ProblemKind.UNKNOWN_KIND,
        ProblemKind.UNKNOWN_ATTRIBUTE,
    },
)
# Mistakes in what the application states; the other kinds are a framework's or the run's own.
_STATED_WRONGLY: Final = _UNKNOWN_WORD_KINDS | {
    ProblemKind.STATUS_NOT_TERMINAL,
    ProblemKind.INVALID_AMOUNT,
    ProblemKind.INVALID_CURRENCY,
    ProblemKind.INVALID_BOOLEAN,
    ProblemKind.INVALID_TEXT,
    ProblemKind.INVALID_METADATA,
    ProblemKind.NEGATIVE_COST,
}


def dropped(reason: DropReason, signal: Signal, count: int) -> Posting:
    """Count what was not handed over, and why."""
    return Posting(semconv.AGENT_OUTCOMES_PROCESSOR_DROPPED, (reason.value, signal.value), count)


def problem_postings(problems: Sequence[Problem]) -> list[Posting]:
    """Count the problems of an outcome by kind, and the words that no table has by attribute."""
    kinds = [Posting(semconv.AGENT_OUTCOMES_PROCESSOR_PROBLEMS, (problem.kind.value,), 1) for problem in problems]
    words = [problem.attribute for problem in problems if problem.kind in _UNKNOWN_WORD_KINDS]
    return kinds + [Posting(semconv.AGENT_OUTCOMES_PROCESSOR_UNKNOWN_WORDS, (word,), 1) for word in words]


def warn_of_mistakes(limited: LimitedLog, agent: str | None, problems: Sequence[Problem]) -> None:
    """Say once a minute and kind what was stated wrongly; the value is in the event, not in the application's log."""
    for problem in problems:
        if problem.kind in _STATED_WRONGLY:
            limited.warning(
                f"stated_{problem.kind.value}",
                "an outcome of agent %r was not taken as stated: %r. %s",
                agent,
                str(problem),
                semconv.PROBLEM_BRIEFS[problem.kind],
            )
