# SPDX-License-Identifier: Apache-2.0
"""Outcomes as `gen_ai.evaluation.result` events of the GenAI conventions, for backends that show evaluations.

Execution and business result are two evaluations, as neither follows from the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.record.record import Event, word
from agent_outcomes.semconv import State

if TYPE_CHECKING:
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue

EVALUATION_EVENT_NAME: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
_SCORE: Final = "gen_ai.evaluation.score.value"
_LABEL: Final = "gen_ai.evaluation.score.label"
_EXPLANATION: Final = "gen_ai.evaluation.explanation"


def evaluation_events(event: Event, outcome: Outcome, revision: int) -> list[Event]:
    """The evaluations that go with an outcome's `event`, in its span and at its time.

    `agent.outcome.status` (label the status; score 1 for success, else 0) with revision 0, as the status never
    changes; `agent.outcome.success` (label the type or label; score 1 or 0, none while only a label or value is known)
    with each revision of a reported outcome.
    """
    events: list[Event] = []
    if revision == 0:
        attributes: dict[str, AttributeValue | None] = {
            semconv.ERROR_TYPE: outcome.error_type,
            _SCORE: float(outcome.is_success()),
            _LABEL: word(outcome.status),
            EVALUATION_NAME: semconv.AGENT_OUTCOME_STATUS,
        }
        events.append(_evaluation(event, outcome, attributes))
    if outcome.state is State.REPORTED:
        attributes = {
            _SCORE: None if outcome.business_success is None else float(outcome.business_success),
            _LABEL: word(outcome.type) or outcome.label,
            EVALUATION_NAME: semconv.AGENT_OUTCOME_SUCCESS,
        }
        events.append(_evaluation(event, outcome, attributes))
    return events


def _evaluation(event: Event, outcome: Outcome, attributes: dict[str, AttributeValue | None]) -> Event:
    shared = {key: event.attributes.get(key) for key in (semconv.GEN_AI_AGENT_NAME, semconv.GEN_AI_CONVERSATION_ID)}
    listed = {
        _EXPLANATION: outcome.message,
        **shared,
        **attributes,
        semconv.AGENT_OUTCOME_ID: event.attributes[semconv.AGENT_OUTCOME_ID],
    }
    present = {key: value for key, value in listed.items() if value is not None}
    return Event(
        event.trace_id,
        event.span_id,
        event.trace_flags,
        event.timestamp_ns,
        event.severity,
        event.body,
        present,
        EVALUATION_EVENT_NAME,
    )
