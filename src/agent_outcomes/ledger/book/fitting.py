# SPDX-License-Identifier: Apache-2.0
"""What a revision may weigh: its event stays below 64 KiB, whatever texts were stated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Run

EVENT_BYTES_MAX: Final = 64 * 1024
# Keys, numbers, words and what frames them in an event that has every attribute.
_FRAME_BYTES: Final = 4096
_PART_BYTES: Final = 48


def fitted(run: Run, outcome: Outcome) -> Outcome:
    """The outcome without the texts that would make its event larger than 64 KiB; each is listed as a problem."""
    if outcome.metadata is None and not outcome.refused:
        return outcome  # nearly every one: all other texts together are shorter
    for lighten in (_without_metadata, _without_refused, _without_message):
        if _event_bytes(run, outcome) <= EVENT_BYTES_MAX:
            break
        outcome = lighten(outcome)
    return outcome


def _without_metadata(outcome: Outcome) -> Outcome:
    problems = _listed(outcome.problems, outcome.metadata, semconv.AGENT_OUTCOME_METADATA)
    return replace(outcome, metadata=None, problems=problems)


def _without_refused(outcome: Outcome) -> Outcome:
    problems = _listed(outcome.problems, outcome.refused, semconv.AGENT_OUTCOME_REFUSED)
    return replace(outcome, refused=(), problems=problems)


def _without_message(outcome: Outcome) -> Outcome:
    problems = _listed(outcome.problems, outcome.message, semconv.AGENT_OUTCOME_MESSAGE)
    return replace(outcome, message=None, problems=problems)


def _listed(problems: tuple[Problem, ...], lost: object, attribute: str) -> tuple[Problem, ...]:
    return (*problems, Problem(ProblemKind.TEXT_TRUNCATED, attribute)) if lost else problems


def _event_bytes(run: Run, outcome: Outcome) -> int:
    """How large the event is at most."""
    texts = [
        run.agent_name,
        run.agent_id,
        run.conversation_id,
        run.job_type,
        run.run_id,
        run.caller_id,
        outcome.error_category,
        outcome.error_type,
        outcome.label,
        outcome.message,
        outcome.metadata,
        outcome.evidence,
        outcome.raw_status,
        *outcome.refused,
        *map(str, outcome.problems),
    ]
    written = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts if text)
    return _FRAME_BYTES + _PART_BYTES * len(run.cost.parts) + written
