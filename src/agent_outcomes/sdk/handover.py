# SPDX-License-Identifier: Apache-2.0
"""How far a settlement has been handed over to the application's logger and meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_outcomes.record.record import Event, Posting, Record
    from agent_outcomes.record.settlement import Settlement
    from agent_outcomes.record.totals import Postings


class Handover:
    """How far a settlement has been handed over: kept until all of it has been, whatever interrupts it.

    `is_handing` says that an event is being handed to the logger at this moment, `is_duration_handed` that the duration
    has been given to the meter. `health` is what is to be counted about it.
    """

    __slots__ = (
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
        self.made: Record | None = None
        self.events: list[Event] = []
        self.next_event = 0
        self.is_claimed = False
        self.is_handing = False
        self.is_span_made = False
        self.is_too_late = False
        self.is_duration_handed = False
        self.health: list[Posting] = []
        self.postings: Postings | None = None


def note_event(handover: Handover, health: list[Posting]) -> None:
    """Take note that the next event has been handed over, and of what is to be counted about that."""
    # A move, as of `moves`.
    handover.is_handing = False
    handover.next_event += 1
    handover.health += health
