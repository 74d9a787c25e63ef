# SPDX-License-Identifier: Apache-2.0
"""A settlement as a ledger is given it, whoever has made it: the process that ran the agent, or who got its spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.ledger.book.accepted import Acceptance
from agent_outcomes.record.evaluations import evaluation_events
from agent_outcomes.record.handoffs import handoff_event
from agent_outcomes.record.hiding import without_texts
from agent_outcomes.record.record import record

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.accepted import ResourceFacts
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import Event
    from agent_outcomes.record.settlement import Settlement


def acceptance_of(
    settlement: Settlement, resource: ResourceFacts, *, hidden: frozenset[str] = frozenset(), evaluates: bool = False
) -> Acceptance:
    """What the ledger is to accept; `hidden` are texts that are left out, with `evaluates` an evaluation goes with it.

    Of a later revision it has the first one, too, as the ledger may not have that yet.
    """
    run, outcome = settlement.run, _shown(settlement.outcome, hidden)
    previous = settlement.previous
    if settlement.revision == 0 or previous is None:
        made = record(run, outcome)
        further = _further_events(made.event, outcome, settlement, evaluates=evaluates)
        return Acceptance(run, outcome, made, further, resource, paused=settlement.paused)
    first = _shown(previous, hidden)
    return Acceptance(run, first, record(run, first), (), resource, revised=outcome)


def _shown(outcome: Outcome, hidden: frozenset[str]) -> Outcome:
    return without_texts(outcome, hidden) if hidden else outcome


def _further_events(event: Event, outcome: Outcome, settlement: Settlement, *, evaluates: bool) -> tuple[Event, ...]:
    events = [handoff_event(settlement.run, handoff) for handoff in settlement.handoffs]
    if evaluates and not settlement.paused:
        events += evaluation_events(event, outcome, 0)
    return tuple(events)
