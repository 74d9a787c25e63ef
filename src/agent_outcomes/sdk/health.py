# SPDX-License-Identifier: Apache-2.0
"""What is counted, and said in the log, about outcomes that were not taken or not handed over as stated."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.foreign_exceptions import class_name
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.record import Posting
from agent_outcomes.semconv import DropReason, ProblemKind, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_outcomes.outcome.attribute_reader import Problem
    from agent_outcomes.record.record import PlainPosting

_log: Final = LimitedLog(logging.getLogger(__name__))

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


class Mishaps:
    """Counts with `post`; `prepare` sees to it that what was counted while nothing is emitted is read, too."""

    def __init__(self, post: Callable[[Sequence[PlainPosting]], None], prepare: Callable[[], None]) -> None:
        self._post = post
        self._prepare = prepare
        self._evicted_count = 0

    def failed(self, error: BaseException) -> None:
        """Count a failure of ours and name its class."""
        name = class_name(type(error))
        _log.warning(f"failed_{name}", "agent outcomes: a span was not taken into account: %s", name)
        self.count_error(error)

    def count_error(self, error: BaseException) -> None:
        """Count a failure that is told of elsewhere."""
        self._post([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_ERRORS, (class_name(type(error)),), 1)])

    def note_problem(self, kind: ProblemKind) -> None:
        """Count a problem that no event can list."""
        self._post([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_PROBLEMS, (kind.value,), 1)])
        brief = semconv.PROBLEM_BRIEFS[kind]
        _log.warning(f"problem_{kind.value}", "an agent outcome was not taken (%s): %s", kind.value, brief)
        self._prepare()

    def note_evictions(self, count: int) -> None:
        """Count the spans that have been evicted since the last time; `count` is how many there were in all."""
        new, self._evicted_count = count - self._evicted_count, count
        self._post([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_SPANS_EVICTED, (), new)])
        _log.warning("evicted", "too many open spans; the oldest are no longer followed. Are spans never ended?")
        self._prepare()
