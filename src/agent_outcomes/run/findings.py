# SPDX-License-Identifier: Apache-2.0
"""What was found out of how a span ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.model import Execution
from agent_outcomes.semconv import Status

if TYPE_CHECKING:
    from agent_outcomes.outcome.errors import Classification
    from agent_outcomes.semconv import ProblemKind

# On CPython 3.11 a member that is looked up in its enum costs as much as a call of a function.
_SUCCESS: Final = Status.SUCCESS


class Finding(NamedTuple):
    """The inferred execution of a run, the evidence that decided it and the error's class if there is one.

    `paused` marks a human-in-the-loop interrupt: the run goes on later and has no outcome yet. `raised` is the class
    that the span names, where a message said more; `problem` is what is wrong with the finish reason.
    """

    execution: Execution
    evidence: str
    error_type: str | None = None
    paused: bool = False
    raised: str | None = None
    problem: ProblemKind | None = None

    @property
    def failed(self) -> bool:
        """Whether the run did not end well."""
        return self.execution.status is not _SUCCESS


def finding_of(rule: Classification, evidence: str, error_type: str | None) -> Finding:
    """What a row of the tables says, by this evidence."""
    execution = Execution(rule.status, rule.category or None, rule.retryable, rule.remedy)
    return Finding(execution, evidence, error_type, rule.paused)
