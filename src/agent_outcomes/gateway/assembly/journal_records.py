# SPDX-License-Identifier: Apache-2.0
"""How records stand in a file of the journal: length, checksum, kind, content. What is cut or damaged shows."""

from __future__ import annotations

import json
import struct
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from agent_outcomes.gateway.wire.intake import Sender

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = struct.Struct("<II")
HEADER_BYTES: Final = _HEADER.size
_SPANS_HEADER: Final = struct.Struct("<B")
_SENDER_HEADER: Final = struct.Struct("<I")


class RecordKind(IntEnum):
    """What a record holds: spans as they came, also with who sent them, or which of them were settled together.

    `REMEMBERED` is what is remembered of those whose runs the ledger has, `MISSED` of those that a run may miss. 2 was
    a mark that did not say whose parent was elsewhere, and is passed over.
    """

    SPANS = 1
    SENT_SPANS = 3
    REMEMBERED = 4
    MISSED = 5
    SETTLED = 6


class JournalRecord(NamedTuple):
    """One record that was read back whole; `kind` may be one that only later versions know."""

    kind: int
    content: bytes

    @property
    def size_bytes(self) -> int:
        """How long it is in its file."""
        return HEADER_BYTES + 1 + len(self.content)


class MarkedPart(msgspec.Struct, array_like=True, frozen=True):
    """The ids of a part's spans, what was known of the span above it (`TracePart`), and whether it has any run."""

    span_ids: tuple[bytes, ...]
    is_whole: bool
    is_lost: bool
    has_runs: bool


class SettledMark(msgspec.Struct, array_like=True, frozen=True):
    """Which parts of a trace were settled together: all that they came to follows from them, once and for all."""

    trace_id: bytes
    parts: tuple[MarkedPart, ...]


_mark_of: Final = msgspec.msgpack.Decoder(SettledMark).decode


def encode_record(kind: RecordKind, content: bytes) -> bytes:
    """The record as it is appended to a file."""
    body = bytes((kind,)) + content
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def read_records(data: bytes) -> Iterator[JournalRecord]:
    """The records at the beginning of `data`, up to the first that is cut or damaged. Never raises."""
    view, start = memoryview(data), 0
    while start + HEADER_BYTES < len(data):
        length, checksum = _HEADER.unpack_from(data, start)
        start += HEADER_BYTES
        body = view[start : start + length]
        if not length or len(body) != length or zlib.crc32(body) != checksum:
            return
        yield JournalRecord(body[0], bytes(body[1:]))
        start += length


def encode_mark(mark: SettledMark) -> bytes:
    """The content of a record of kind `SETTLED`."""
    return msgspec.msgpack.encode(mark)


def read_mark(content: bytes) -> SettledMark:
    """The mark that such a record holds. Raises `ValueError` where it holds none."""
    try:
        return _mark_of(content)
    except msgspec.MsgspecError as error:
        message = f"not a mark: {error}"
        raise ValueError(message) from None


def spans_record(packing: int, packed: bytes, sender: Sender | None) -> tuple[RecordKind, bytes]:
    """Kind and content of the record of a request's body, which says who sent it where that is known."""
    spans = encode_spans(packing, packed)
    if sender is None:
        return RecordKind.SPANS, spans
    agents = None if sender.agents is None else sorted(sender.agents)
    told = json.dumps([sender.name, agents, sender.may_report, sender.may_correct]).encode()
    return RecordKind.SENT_SPANS, _SENDER_HEADER.pack(len(told)) + told + spans


def read_sent_spans(content: bytes) -> tuple[Sender, bytes]:
    """Who sent what a record of kind `SENT_SPANS` holds, and the content of one of kind `SPANS`.

    Raises `ValueError` where it holds none.
    """
    start = _SENDER_HEADER.size
    end = start + int.from_bytes(content[:start], "little")
    name, agents, may_report, may_correct = json.loads(content[start:end])
    bound_to = None if agents is None else frozenset(agents)
    return Sender(name, bound_to, may_report, may_correct), content[end:]


def encode_spans(packing: int, packed: bytes) -> bytes:
    """The content of a record of kind `SPANS`: a request's body and how it is packed."""
    return _SPANS_HEADER.pack(packing) + packed


def read_spans_record(content: bytes) -> tuple[int, bytes]:
    """How the body in such a record is packed, and the body. Raises `ValueError` where it holds none."""
    if not content:
        message = "an empty record of spans"
        raise ValueError(message)
    return content[0], content[_SPANS_HEADER.size :]
