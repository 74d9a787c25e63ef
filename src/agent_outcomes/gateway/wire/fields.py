# SPDX-License-Identifier: Apache-2.0
"""The fields of one Protobuf message, found in its bytes. Groups, which OTLP has none of, are refused.

A tag is a field's number and its wire type in one integer, as it stands in the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.wire.errors import TooMuchError, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
FIXED64: Final = 1
BLOCK: Final = 2
FIXED32: Final = 5
_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_TYPE: Final = 7
MORE: Final = 0x80
_TAG_BITS: Final = 32
_SHIFT_MAX: Final = 63
_64_BITS: Final = 2**64 - 1

Field = tuple[int, int, int]
"""A tag, and where its value begins and ends; of a varint the value itself, and 0."""


class Budget:
    """How many more fields may be read: each costs time and memory, however few bytes it takes."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def fields(data: bytes, start: int, end: int, budget: Budget) -> Iterator[Field]:
    """The fields of the message that stands from `start` to `end`, in order.

    Raises `WireError` where it is none, `TooMuchError` where the budget is used up.
    """
    while start < end:
        budget.left -= 1
        if budget.left < 0:
            message = "the message has too many fields"
            raise TooMuchError(message)
        tag = data[start]
        start += 1
        if tag >= MORE:
            tag, start = varint(data, start - 1, end)
            _check_tag(tag)
        kind = tag & _TYPE
        if kind == VARINT:
            value, start = varint(data, start, end)
            if tag > _TYPE:
                yield tag, value, 0
                continue
        size, start = varint(data, start, end) if kind == BLOCK else (_SIZES.get(kind, -1), start)
        if tag <= _TYPE or not 0 <= size <= end - start:
            message = "a field has no valid number, a wire type that OTLP has not, or more bytes than the message"
            raise WireError(message)
        yield tag, start, start + size
        start += size


def varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The integer at `start`, and where it ends. Raises `WireError` where it is longer than 64 bits or is cut off."""
    value = shift = 0
    while start < end:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < MORE:
            return value & _64_BITS, start
        shift += 7
        if shift > _SHIFT_MAX:
            message = "an integer is longer than 64 bits"
            raise WireError(message)
    message = "the message is cut off"
    raise WireError(message)


def joined(data: bytes, tag: int, start: int, end: int, budget: Budget) -> bytes:
    """The bytes of a message field; of one that comes several times all of them, which Protobuf merges.

    Raises as `fields` does.
    """
    return b"".join([data[a:b] for found, a, b in fields(data, start, end, budget) if found == tag])


def _check_tag(tag: int) -> None:
    if tag >> _TAG_BITS:
        message = "a field has no valid number"
        raise WireError(message)
