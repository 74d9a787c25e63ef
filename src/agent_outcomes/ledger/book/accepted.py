# SPDX-License-Identifier: Apache-2.0
"""A run that has ended as the ledger is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue, Event, Record
    from agent_outcomes.run.model import Run
    from agent_outcomes.semconv import Change, CostKind


class ResourceFacts(NamedTuple):
    """The resource of a run: the three names that totals are kept by, and all its attributes, in their order."""

    service_name: str | None = None
    service_namespace: str | None = None
    environment: str | None = None
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


class LaterRevision(NamedTuple):
    """What a run's own process has told of a revision after the first: its number, what changed, when, by whom and why.

    `cost_kind` is what a late cost was spent on.
    """

    revision: int
    change: Change
    reported_ns: int
    reported_by: str | None = None
    reason: str | None = None
    cost_kind: CostKind | None = None


class Acceptance(NamedTuple):
    """A run that has ended, and its `record` of revision 0.

    `further_events` are those of its handoffs and evaluations. A `paused` run waits for a human: what it used is
    counted, and it has no outcome yet. `revised` is the outcome as its own process has stated it once more after the
    run was counted. With `told` that process has emitted this revision's event and metrics itself, so that nobody else
    delivers them; `later` says which revision it is if it is not the first, and run and outcome are as they stand with
    it.
    """

    run: Run
    outcome: Outcome
    record: Record
    further_events: tuple[Event, ...] = ()
    resource: ResourceFacts = ResourceFacts()
    paused: bool = False
    revised: Outcome | None = None
    told: bool = False
    later: LaterRevision | None = None

    @property
    def revision(self) -> int:
        """The number of the revision that is accepted."""
        return 0 if self.later is None else self.later.revision


class Claim(NamedTuple):
    """The idempotency key of a run that is accepted alone, as the ledger keeps it, and the digest of what is said."""

    key: str
    fingerprint: bytes


class Arrivals(NamedTuple):
    """How many acceptances were new to a ledger, and how many it knew.

    `counted_twice` are told ones of runs that the ledger had recorded untold, and so delivers or has delivered itself.
    """

    new: int = 0
    known: int = 0
    counted_twice: int = 0
