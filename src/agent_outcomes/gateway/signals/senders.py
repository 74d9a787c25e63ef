# SPDX-License-Identifier: Apache-2.0
"""What a key's rights allow of what comes by telemetry: the same as of what comes by the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.ledger.keys import list_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.ledger.book.accepted import Acceptance
    from agent_outcomes.ledger.store import Store

OF_ANOTHERS_AGENT: Final = (
    "an event is of an agent that the key may not speak for; agent-outcomes keys create --agent NAME names one"
)
LACKS_REPORT: Final = (
    "what states the outcome of a run is a report, and the key lacks the right to it; agent-outcomes keys create --may "
    "report makes one that has it"
)


class AllowedRuns(NamedTuple):
    """The runs that a sender may tell of, and how many are of others' agents."""

    acceptances: list[Acceptance]
    refused_count: int


def reporter(name: str, sender: Sender | None) -> Reporter:
    """Whoever reports by telemetry under a name, with the rights of the key that sent it."""
    if sender is None:
        return Reporter(name)
    return Reporter(name, sender.agents, sender.may_correct)


def allowed_runs(store: Store, sender: Sender, acceptances: Sequence[Acceptance]) -> AllowedRuns:
    """The runs and revisions that a sender may tell of; blocks. Raises what the ledger raises.

    None is told of in the name of another key: what says so is said by who sent it.
    """
    names: set[str] | None = None
    kept: list[Acceptance] = []
    for each in acceptances:
        if not _may_tell(store, sender, each):
            continue
        if each.later is None or each.later.reported_by in {None, sender.name}:
            kept.append(each)
            continue
        if names is None:
            names = {key.name for key in list_keys(store)}
        is_anothers = each.later.reported_by in names
        kept.append(each._replace(later=each.later._replace(reported_by=sender.name)) if is_anothers else each)
    return AllowedRuns(kept, len(acceptances) - len(kept))


def _may_tell(store: Store, sender: Sender, told: Acceptance) -> bool:
    if sender.agents is None:
        return True
    # A later revision is one of the run that is there, whatever it says of itself.
    known = [] if told.later is None else store.matching(RunReference(outcome_id=told.run.id))
    return all(map(sender.may_speak_for, {told.run.agent_name, *(row.agent_name for row in known)}))
