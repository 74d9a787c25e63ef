# SPDX-License-Identifier: Apache-2.0
"""What a processor could not take into account: counted, and said in the log once a minute."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.record.record import Posting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_outcomes.record.record import PlainPosting
    from agent_outcomes.semconv import ProblemKind

_log: Final = LimitedLog(logging.getLogger(__name__))


class Mishaps:
    """Counts with `post`; `prepare` sees to it that what was counted while nothing is emitted is read, too."""

    def __init__(self, post: Callable[[Sequence[PlainPosting]], None], prepare: Callable[[], None]) -> None:
        self._post = post
        self._prepare = prepare
        self._evicted_count = 0

    def failed(self, error: BaseException) -> None:
        """Count a failure of ours and name its class."""
        name = type(error).__qualname__
        _log.warning(f"failed_{name}", "agent outcomes: a span was not taken into account: %s", name)
        self.count_error(error)

    def count_error(self, error: BaseException) -> None:
        """Count a failure that is told of elsewhere."""
        self._post([Posting(semconv.AGENT_OUTCOMES_PROCESSOR_ERRORS, (type(error).__qualname__,), 1)])

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
