# SPDX-License-Identifier: Apache-2.0
"""Spans that are held for long written to the newest file of the journal, so that others can go.

An agent that works for an hour would otherwise keep every file of that hour, for one span in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.assembly.held import PlainSpans
from agent_outcomes.gateway.assembly.journal import JournalError
from agent_outcomes.gateway.assembly.journal_records import spans_record
from agent_outcomes.gateway.wire.fields import BLOCK
from agent_outcomes.otlp.encoding import length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_outcomes.gateway.assembly.collection import Collection
    from agent_outcomes.gateway.assembly.held import HeldSpan
    from agent_outcomes.gateway.assembly.journal import Journal
    from agent_outcomes.gateway.wire.intake import Sender

MOVES_FROM_SHARE: Final = 0.25
"""Of the journal: as long as it is smaller nothing is moved."""
WORTH_SHARE: Final = 0.5
"""Of a file: only if no more of it than that is held it is worth it."""
_IDENTITY: Final = 0


async def move_least_held(journal: Journal, collection: Collection) -> int:
    """Move what is held of the file with the fewest spans, if that is worth it; how many were moved. Never raises."""
    if journal.used_bytes < MOVES_FROM_SHARE * journal.max_bytes:
        return 0
    segment = journal.least_held()
    if segment is None:
        return 0
    senders = {each.scope.sender for each in collection.held.in_segment(segment)}
    contents = {sender: request_with(_of(collection, segment, sender)) for sender in senders}
    if not contents or sum(map(len, contents.values())) > WORTH_SHARE * journal.size_of(segment):
        return 0
    moved_count = 0
    for sender, content in contents.items():
        try:
            newest = await journal.append(*spans_record(_IDENTITY, content, sender))
        except JournalError:
            break
        count = 0
        for each in _of(collection, segment, sender):
            each.segment = newest
            count += len(_encoded(each))
        journal.hold(newest, count)
        journal.release(newest)
        journal.release(segment, count)
        moved_count += count
    return moved_count


def _of(collection: Collection, segment: int, sender: Sender | None) -> list[HeldSpan | PlainSpans]:
    """What is held that a file has and that one sender has sent."""
    return [each for each in collection.held.in_segment(segment) if each.scope.sender == sender]


def request_with(held: Iterable[HeldSpan | PlainSpans]) -> bytes:
    """A request with these spans, as encoded Protobuf."""
    scopes: dict[tuple[bytes, bytes], list[bytes]] = {}
    for each in held:
        scopes.setdefault((each.scope.encoded_resource, each.scope.encoded_scope), []).extend(_encoded(each))
    return b"".join(_resource_spans(resource, scope, encoded) for (resource, scope), encoded in scopes.items())


def _encoded(each: HeldSpan | PlainSpans) -> list[bytes]:
    return [frame.encoded for frame in each.frames] if isinstance(each, PlainSpans) else [each.encoded]


def _resource_spans(resource: bytes, scope: bytes, spans: Sequence[bytes]) -> bytes:
    scope_spans = _block(1, scope) + b"".join(_block(2, span) for span in spans)
    return _block(1, _block(1, resource) + _block(2, scope_spans))


def _block(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return length(number << 3 | BLOCK) + length(len(data)) + data
