# SPDX-License-Identifier: Apache-2.0
"""How far a settlement has been handed over to the application's logger and meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_outcomes.sdk.private_api import run_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_outcomes.record.record import Event, PlainPosting, Record
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.record.totals import Postings


class Handover:
    """How far a settlement has been handed over: kept until all of it has been, whatever interrupts it.

    `is_handing` says that an event is being handed to the logger at this moment, `is_duration_handed` that the duration
    has been put down for the meter. `health` is what is to be counted about it, `context` that of the run.
    """

    __slots__ = (
        "context",
        "events",
        "health",
        "is_claimed",
        "is_duration_handed",
        "is_handing",
        "is_span_made",
        "is_too_late",
        "made",
        "next_event",
        "postings",
        "settlement",
    )

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement
        self.context = run_context(settlement.context)
        self.made: Record | None = None
        self.events: Sequence[Event] = ()
        self.next_event = 0
        self.is_claimed = False
        self.is_handing = False
        self.is_span_made = False
        self.is_too_late = False
        self.is_duration_handed = False
        self.health: Sequence[PlainPosting] = ()
        self.postings: Postings | None = None


def note_event(handover: Handover, health: Sequence[PlainPosting]) -> None:
    """Take note that the next event has been handed over, and of all that is to be counted by now."""
    # A move, as of `moves`.
    handover.is_handing = False
    handover.next_event += 1
    handover.health = health
