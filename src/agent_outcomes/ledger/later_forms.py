# SPDX-License-Identifier: Apache-2.0
"""In what forms beside its event a revision is delivered that is made after its run was accepted.

A run's own process makes those of revision 0. Who reports later knows nothing of its settings: they are kept in the
ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_outcomes.otlp.encoding import encoded_event, encoded_span
from agent_outcomes.record.evaluations import evaluation_events
from agent_outcomes.semconv import Change

if TYPE_CHECKING:
    from agent_outcomes.ledger.book.revisions import NewRevision

_SAMPLED = 1


class LaterForms(NamedTuple):
    """Whether later revisions are delivered as `gen_ai.evaluation.result` events, too, and as zero-length spans."""

    evaluations: bool = False
    spans: bool = False


def later_payloads(new: NewRevision, forms: LaterForms, now_ns: int) -> list[bytes]:
    """The encoded events of a later revision, its own first. A late cost is no evaluation."""
    event = new.record.event
    events = [event]
    if forms.evaluations and new.change is not Change.COST:
        events += evaluation_events(event, new.outcome, new.revision)
    return [encoded_event(each, now_ns) for each in events]


def later_span(new: NewRevision, forms: LaterForms) -> bytes | None:
    """The encoded span of a later revision, in the run's trace; none where that was not sampled."""
    event = new.record.event
    return encoded_span(event) if forms.spans and event.trace_flags & _SAMPLED else None
