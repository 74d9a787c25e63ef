# SPDX-License-Identifier: Apache-2.0
"""Runs that wait for a human: what they have used is counted when they stop, and their outcome when there is one.

Such a run goes on later, perhaps in another process, and that is a run of its own, which counts what it uses itself.
So nothing is carried over that could be lost on the way, or counted twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.record.record import Record
from agent_outcomes.record.settlement import Settlement
from agent_outcomes.semconv import AGENT_RUN_COST, AGENT_RUN_TOKENS, ProblemKind, Source, State

if TYPE_CHECKING:
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.run.model import Run


_USED: Final = (AGENT_RUN_COST, AGENT_RUN_TOKENS)


def settlement_for(run: Run, outcome: Outcome, context: Any, *, has_asked: bool) -> Settlement:
    """A run that has ended, or waits for a human if it `has_asked` and nobody has stated its status.

    A business result that was stated of a run that waits is listed as a problem: nobody says whether it is stated once
    more when the run goes on, so that counting it here might count it twice.
    """
    if not has_asked or outcome.source is not Source.INFERRED:
        return Settlement(run, outcome, context)
    if outcome.state is State.REPORTED:
        outcome = replace(outcome, problems=(*outcome.problems, Problem(ProblemKind.OUTCOME_OF_PAUSE)))
    return Settlement(run, outcome, context, paused=True)


def used_part_of(record: Record) -> Record:
    """Of all that a run would make known what is counted when it stops to wait for a human: its cost and its tokens.

    The cost stands under the status `unknown` in `agent.run.cost`, and behind no outcome in `agent.outcome.cost`.
    """
    postings = tuple(posting for posting in record.postings if posting[0] in _USED)
    return Record(record.event, postings, None, record.duration_labels)
