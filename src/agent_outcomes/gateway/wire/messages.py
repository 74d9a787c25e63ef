# SPDX-License-Identifier: Apache-2.0
"""Spans, log records, resources and scopes read whole from their bytes.

They are read as Protobuf says: fields in any order, unknown ones passed over, of a field that comes again the last one.
Only ids may come but once, as frames are told apart by them. Whatever is read is bounded, see `values`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.fields import BLOCK, FIXED32, FIXED64, VARINT, Budget, fields
from agent_outcomes.gateway.wire.frames import NO_SPAN, NO_TRACE, is_id
from agent_outcomes.gateway.wire.values import attributes, read_value, text

if TYPE_CHECKING:
    from agent_outcomes.gateway.wire.values import Value, WireAttributes

SPAN_FIELDS_MAX: Final = 2**18
_32_BITS: Final = 2**32 - 1


class WireEvent(NamedTuple):
    """An event of a span."""

    name: str
    time_ns: int
    attributes: WireAttributes


class WireLink(NamedTuple):
    """A link of a span."""

    trace_id: bytes
    span_id: bytes
    attributes: WireAttributes


class WireSpan(NamedTuple):
    """A span as it came. `parent_id` is empty where there is none; `kind` and `status_code` are OTLP's numbers.

    `dropped_attributes` counts those that its process dropped and those that were cut or dropped here.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes = b""
    trace_state: str = ""
    flags: int = 0
    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    attributes: WireAttributes = {}  # noqa: RUF012
    dropped_attributes: int = 0
    events: tuple[WireEvent, ...] = ()
    links: tuple[WireLink, ...] = ()
    status_code: int = 0
    status_message: str = ""


class WireLogRecord(NamedTuple):
    """A log record as it came; ids are empty where there are none."""

    event_name: str
    time_ns: int
    observed_ns: int
    trace_id: bytes
    span_id: bytes
    flags: int
    body: Value
    attributes: WireAttributes
    dropped_attributes: int = 0


class _Parts:
    """The fields of one message: of each tag the places where its values stand, or the numbers themselves."""

    def __init__(self, encoded: bytes, budget: Budget) -> None:
        self._encoded = encoded
        self._found: dict[int, list[tuple[int, int]]] = {}
        for tag, start, end in fields(encoded, 0, len(encoded), budget):
            self._found.setdefault(tag, []).append((start, end))

    def blocks(self, number: int) -> list[bytes]:
        """Every value of a repeated message field."""
        return [self._encoded[start:end] for start, end in self._found.get(number << 3 | BLOCK, ())]

    def block(self, number: int) -> bytes:
        """The value of a message field, merged of all that came."""
        return b"".join(self.blocks(number))

    def text(self, number: int) -> str:
        """The text of a field."""
        found = self._found.get(number << 3 | BLOCK)
        return text(self._encoded, *found[-1]) if found else ""

    def number(self, number: int) -> int:
        """The number of a field of variable size."""
        found = self._found.get(number << 3 | VARINT)
        return found[-1][0] if found else 0

    def fixed(self, number: int, kind: int) -> int:
        """The number of a field of 4 or 8 bytes."""
        found = self._found.get(number << 3 | kind)
        return int.from_bytes(self._encoded[slice(*found[-1])], "little") if found else 0

    def id(self, number: int, none: bytes) -> bytes:
        """An id, which may be missing, or be `none`. Raises `WireError` where it has another length or comes twice."""
        found = self.blocks(number)
        if not found or found in ([b""], [none]):
            return b""
        if len(found) > 1 or not is_id(found[0], none):
            message = f"an id of other than {len(none)} bytes, or more than one"
            raise WireError(message)
        return found[0]


def read_span(encoded: bytes) -> WireSpan:
    """The span that these bytes are. Raises `WireError` where they are none, or have no ids."""
    budget = Budget(SPAN_FIELDS_MAX)
    parts = _Parts(encoded, budget)
    status = _Parts(parts.block(15), budget)
    read, lost = attributes(parts.blocks(9), budget)
    trace_id, span_id = parts.id(1, NO_TRACE), parts.id(2, NO_SPAN)
    if not trace_id or not span_id:
        message = "a span without ids"
        raise WireError(message)
    return WireSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parts.id(4, NO_SPAN),
        trace_state=parts.text(3),
        flags=parts.fixed(16, FIXED32),
        name=parts.text(5),
        kind=_enum(parts.number(6)),
        start_ns=parts.fixed(7, FIXED64),
        end_ns=parts.fixed(8, FIXED64),
        attributes=read,
        dropped_attributes=(parts.number(10) & _32_BITS) + lost,
        events=tuple(_event(one, budget) for one in parts.blocks(11)),
        links=tuple(link for one in parts.blocks(13) if (link := _link(one, budget)) is not None),
        status_code=_enum(status.number(3)),
        status_message=status.text(2),
    )


def read_log_record(encoded: bytes) -> WireLogRecord:
    """The log record that these bytes are. Raises `WireError` where they are none."""
    budget = Budget(SPAN_FIELDS_MAX)
    parts = _Parts(encoded, budget)
    read, lost = attributes(parts.blocks(6), budget)
    return WireLogRecord(
        event_name=parts.text(12),
        time_ns=parts.fixed(1, FIXED64),
        observed_ns=parts.fixed(11, FIXED64),
        trace_id=parts.id(9, NO_TRACE),
        span_id=parts.id(10, NO_SPAN),
        flags=parts.fixed(8, FIXED32),
        body=read_value(parts.block(5), budget),
        attributes=read,
        dropped_attributes=(parts.number(7) & _32_BITS) + lost,
    )


def read_resource(encoded: bytes) -> WireAttributes:
    """The attributes of the resource that these bytes are. Raises `WireError` where they are none."""
    budget = Budget(SPAN_FIELDS_MAX)
    return attributes(_Parts(encoded, budget).blocks(1), budget)[0]


def read_scope(encoded: bytes) -> tuple[str, str]:
    """Name and version of the scope that these bytes are. Raises `WireError` where they are none."""
    parts = _Parts(encoded, Budget(SPAN_FIELDS_MAX))
    return parts.text(1), parts.text(2)


def _event(encoded: bytes, budget: Budget) -> WireEvent:
    parts = _Parts(encoded, budget)
    return WireEvent(parts.text(2), parts.fixed(1, FIXED64), attributes(parts.blocks(3), budget)[0])


def _link(encoded: bytes, budget: Budget) -> WireLink | None:
    """A link; `None` where it leads nowhere."""
    parts = _Parts(encoded, budget)
    trace_id, span_id = parts.id(1, NO_TRACE), parts.id(2, NO_SPAN)
    return WireLink(trace_id, span_id, attributes(parts.blocks(4), budget)[0]) if trace_id and span_id else None


def _enum(number: int) -> int:
    """An enum's number, of which 32 bits and a sign are read."""
    number &= _32_BITS
    return number - 2**32 if number >> 31 else number
