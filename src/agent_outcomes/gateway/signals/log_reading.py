# SPDX-License-Identifier: Apache-2.0
"""The log records of one request, read: runs that their own processes have told, reports, and how many are neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.signals.event_fields import EventUnreadable
from agent_outcomes.gateway.signals.events import read_event
from agent_outcomes.gateway.signals.verdicts import Ignored, report_of_record
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.messages import read_log_record, read_resource, read_scope
from agent_outcomes.ledger.book.reports import LateReport
from agent_outcomes.record.evaluations import EVALUATION_EVENT_NAME
from agent_outcomes.sdk.resources import facts_of_attributes
from agent_outcomes.semconv import EVENT_NAME, HANDOFF_EVENT_NAME

if TYPE_CHECKING:
    from agent_outcomes.gateway.signals.verdict_rules import Verdicts
    from agent_outcomes.gateway.wire.frames import LogFrames
    from agent_outcomes.gateway.wire.intake import Sender
    from agent_outcomes.gateway.wire.messages import WireLogRecord
    from agent_outcomes.ledger.book.accepted import Acceptance, ResourceFacts

# Some pipelines have no field for it yet.
_EVENT_NAME_ATTRIBUTE: Final = "event.name"
_MARKS: Final = tuple(name.encode() for name in (EVENT_NAME, HANDOFF_EVENT_NAME, EVALUATION_EVENT_NAME))


class LogReading:
    """What was read of one request of a sender.

    `refusals` are of events that cannot be read, `broken` of records that are none.
    """

    def __init__(self, verdicts: Verdicts, sender: Sender | None = None) -> None:
        self._verdicts = verdicts
        self._sender = sender
        self.acceptances: list[Acceptance] = []
        self.reports: list[LateReport] = []
        self.ignored: list[Ignored] = []
        self.refusals: list[EventUnreadable] = []
        self.broken = 0
        self.handoffs = 0
        self.evaluations = 0
        self.others = 0

    @property
    def rejected(self) -> int:
        """How many records could not be taken as what they are."""
        return len(self.refusals) + self.broken + self.unentitled

    @property
    def unentitled(self) -> int:
        """How many reports their sender lacks the right to."""
        return self.ignored.count(Ignored.NO_RIGHT)

    def read(self, frames: LogFrames) -> None:
        """Read the records of one scope of one resource. Never raises."""
        ours = [record for record in frames.records if is_ours(record)]
        self.others += len(frames.records) - len(ours)
        if not ours:
            return
        try:
            facts, (scope, _) = facts_of_attributes(read_resource(frames.resource)), read_scope(frames.scope)
        except WireError:
            self.broken += len(ours)
            return
        for encoded in ours:
            try:
                self._sort(read_log_record(encoded), scope, facts)
            except WireError:
                self.broken += 1

    def _sort(self, record: WireLogRecord, scope: str, facts: ResourceFacts) -> None:
        name = record.event_name or record.attributes.get(_EVENT_NAME_ATTRIBUTE)
        if name == EVENT_NAME:
            try:
                self.acceptances.append(read_event(record, facts))
            except EventUnreadable as refusal:
                self.refusals.append(refusal)
        elif name == EVALUATION_EVENT_NAME:
            self.evaluations += 1
            report = report_of_record(record, scope, self._verdicts, self._sender)
            if isinstance(report, LateReport):
                self.reports.append(report)
            else:
                self.ignored.append(report)
        elif name == HANDOFF_EVENT_NAME:
            self.handoffs += 1
        else:
            self.others += 1


def is_ours(encoded: bytes) -> bool:
    """Whether an encoded log record may be one that is read here: it names one of ours somewhere."""
    return any(mark in encoded for mark in _MARKS)
