# SPDX-License-Identifier: Apache-2.0
"""Handoffs: the agents that a run's agent called, each as an event of its own, and never as a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.text import one_line
from agent_outcomes.record.record import INFO, WARN, Event, word
from agent_outcomes.semconv import HANDOFF_EVENT_NAME, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue
    from agent_outcomes.run.model import Run

HANDOFFS_MAX: Final = 100
"""How many handoffs of one run are kept until it ends."""

_CALM: Final = frozenset({Status.SUCCESS, Status.CANCELLED})


class Handoff(NamedTuple):
    """An agent below a run: `callee` and `outcome` are its own, `caller` is the name of the agent right above it.

    `remote` says that the callee runs in another process: its run has an outcome of its own, and this is how the call
    looked from here.
    """

    callee: Run
    outcome: Outcome
    remote: bool
    caller: str | None = None


def named_by(handoffs: Iterable[Handoff], caller: str | None) -> list[Handoff]:
    """The same with the name of the caller, where none closer has been found.

    Frameworks nest two spans of one agent (`invoke_workflow X` over `invoke_agent X`): an agent right below one of its
    own name is that agent, and no handoff.
    """
    placed = (handoff if handoff.caller is not None else handoff._replace(caller=caller) for handoff in handoffs)
    return [handoff for handoff in placed if handoff.caller is None or handoff.caller != handoff.callee.agent_name]


def handoff_event(run: Run, handoff: Handoff) -> Event:
    """The event `agent.handoff`, in the callee's span; `run` is the run it belongs to.

    It carries no amounts: what the callee cost and was worth is in the outcome of the run.
    """
    callee, outcome = handoff.callee, handoff.outcome
    attributes: dict[str, AttributeValue | None] = {
        semconv.AGENT_OUTCOME_LABEL: outcome.label,
        semconv.AGENT_OUTCOME_TYPE: word(outcome.type),
        semconv.AGENT_OUTCOME_SUCCESS: outcome.business_success,
        semconv.ERROR_TYPE: outcome.error_type,
        semconv.AGENT_OUTCOME_ERROR_CATEGORY: outcome.error_category,
        semconv.AGENT_OUTCOME_RETRYABLE: outcome.retryable,
        semconv.AGENT_OUTCOME_EVIDENCE: outcome.evidence or None,
        semconv.AGENT_OUTCOME_SOURCE: word(outcome.source),
        semconv.AGENT_HANDOFF_DURATION: callee.duration_s,
        semconv.GEN_AI_AGENT_ID: callee.agent_id,
        semconv.GEN_AI_AGENT_NAME: callee.agent_name,
        semconv.AGENT_HANDOFF_FROM: handoff.caller,
        semconv.AGENT_HANDOFF_REMOTE: handoff.remote,
        semconv.AGENT_OUTCOME_STATUS: word(outcome.status),
        semconv.AGENT_OUTCOME_ID: run.id,
        semconv.AGENT_HANDOFF_ID: callee.id,
    }
    return Event(
        trace_id=callee.trace_id,
        span_id=callee.span_id,
        trace_flags=callee.trace_flags,
        timestamp_ns=callee.end_ns,
        severity=INFO if outcome.status in _CALM else WARN,
        body=_body(handoff),
        attributes={key: value for key, value in attributes.items() if value is not None},
        name=HANDOFF_EVENT_NAME,
    )


def _body(handoff: Handoff) -> str:
    callee, outcome = handoff.callee, handoff.outcome
    text = f"{one_line(handoff.caller or 'agent')} -> {one_line(callee.agent_name or 'agent')}: {outcome.status.value}"
    if callee.duration_s is not None:
        text += f", took {callee.duration_s:.3f} s"
    return text if outcome.error_type is None else f"{text}, {one_line(outcome.error_type)}"
