# SPDX-License-Identifier: Apache-2.0
"""A run that has ended as the ledger is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue, Event, Record
    from agent_outcomes.run.model import Run


class ResourceFacts(NamedTuple):
    """The resource of a run: the three names that totals are kept by, and all its attributes, in their order."""

    service_name: str | None = None
    service_namespace: str | None = None
    environment: str | None = None
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


class Acceptance(NamedTuple):
    """A run that has ended, and its `record` of revision 0.

    `further_events` are those of its handoffs and evaluations. A `paused` run waits for a human: what it used is
    counted, and it has no outcome yet. `revised` is the outcome as its own process has stated it once more after the
    run was counted.
    """

    run: Run
    outcome: Outcome
    record: Record
    further_events: tuple[Event, ...] = ()
    resource: ResourceFacts = ResourceFacts()
    paused: bool = False
    revised: Outcome | None = None
