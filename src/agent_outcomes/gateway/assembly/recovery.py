# SPDX-License-Identifier: Apache-2.0
"""Requests as the journal keeps them, and what a journal holds read back into a collection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.assembly.journal_records import (
    RecordKind,
    read_mark,
    read_sent_spans,
    read_spans_record,
    spans_record,
)
from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.frames import frame_traces
from agent_outcomes.gateway.wire.intake import Packing
from agent_outcomes.gateway.wire.unpacking import unpack
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.assembly.collection import Collection
    from agent_outcomes.gateway.assembly.journal import Journal
    from agent_outcomes.gateway.assembly.journal_records import JournalRecord
    from agent_outcomes.gateway.assembly.parts import TracePart
    from agent_outcomes.gateway.settings import ReceiverLimits
    from agent_outcomes.gateway.wire.intake import ExportRequest

_PACKINGS: Final = (Packing.IDENTITY, Packing.GZIP, Packing.ZSTD)
"""By their numbers in the journal, which stay what they are."""
_NUMBERS: Final[Mapping[Packing, int]] = {packing: number for number, packing in enumerate(_PACKINGS)}

_log: Final = LimitedLog(logging.getLogger(__name__))


class Recovered(NamedTuple):
    """What a journal held: so many spans that are held now, and the parts that were being settled."""

    span_count: int
    decided: list[TracePart]


def recorded_request(request: ExportRequest) -> tuple[RecordKind, bytes]:
    """Kind and content of the record that keeps a request."""
    return spans_record(_NUMBERS[request.packing], request.packed, request.sender)


def recover(journal: Journal, collection: Collection, limits: ReceiverLimits, now_s: float) -> Recovered:
    """Hold what the journal has, as if it came now. Raises `JournalError` where it cannot be read.

    What cannot be understood is passed over, and said.
    """
    span_count, decided = 0, []
    for segment, record in journal.recorded():
        try:
            if record.kind in {RecordKind.SPANS, RecordKind.SENT_SPANS}:
                held = _hold_again(record, segment, collection, limits, now_s)
                journal.hold(segment, held)
                span_count += held
                _release(journal, collection.let_go_excess())
            elif record.kind == RecordKind.SETTLED:
                restored = collection.restore(read_mark(record.content))
                _release(journal, restored.let_go)
                for due in restored.parts:
                    journal.note_mark(segment, due.part.segments())
                    decided.append(due.part)
        except (ValueError, IndexError) as error:  # of which `WireError` is one
            _log.warning("unreadable", "a record of the journal cannot be read and is passed over: %s", _told(error))
    return Recovered(span_count, decided)


def _release(journal: Journal, counts: Mapping[int, int]) -> None:
    for number, count in counts.items():
        journal.release(number, count)


def _hold_again(
    record: JournalRecord, segment: int, collection: Collection, limits: ReceiverLimits, now_s: float
) -> int:
    sender, content = (None, record.content) if record.kind == RecordKind.SPANS else read_sent_spans(record.content)
    number, packed = read_spans_record(content)
    body = unpack(packed, _PACKINGS[number], limits)
    return collection.add(frame_traces(body, limits.spans_max), body, segment, now_s, sender).held


def _told(error: Exception) -> str:
    # The text of other errors may hold what must not be logged.
    return str(error) if isinstance(error, WireError) else type(error).__qualname__
