# SPDX-License-Identifier: Apache-2.0
"""OTLP JSON made into Protobuf's bytes at once, by the descriptors of its messages but without any message.

A message takes many times the memory of what it says, and the time to make it: a receiver has neither to give away.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from google.protobuf.descriptor import FieldDescriptor

from agent_outcomes.otlp.encoding import length
from agent_outcomes.otlp.json_values import MAX_DEPTH, FaultError, parsed, refuse, scalar_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

_VARINT: Final = 0
_FIXED64: Final = 1
_BLOCK: Final = 2
_FIXED32: Final = 5
_64_BITS: Final = 2**64 - 1
_ITEMS_JOINED: Final = 4_096

_Encode = Callable[[object, int], bytes]


class _Field(NamedTuple):
    """A field of a message: its JSON name, its encoded tag, and what encodes one value of it at a depth."""

    name: str
    tag: bytes
    encode: _Encode
    is_repeated: bool
    oneof: str | None


class _Number(NamedTuple):
    """A kind of whole number: its wire type, its range, and what encodes it."""

    wire_type: int
    values: range
    encode: Callable[[Any], bytes]


def encoded_from_otlp_json(text: str | bytes, message_type: type[Message]) -> bytes:
    """The encoded message that OTLP JSON text describes; unknown fields are ignored, lone surrogates replaced.

    Raises ValueError naming the path of the first malformed place, as `from_otlp_json` does.
    """
    try:
        return _encoded(_fields(cast("Descriptor", message_type.DESCRIPTOR)), parsed(text), 0)
    except FaultError as fault:
        raise ValueError(str(fault)) from fault


def _encoded(fields: tuple[_Field, ...], value: object, depth: int) -> bytes:
    if not isinstance(value, dict):
        refuse("an object", value)
    if depth > MAX_DEPTH:
        message = f"messages nested deeper than {MAX_DEPTH}"
        raise FaultError(message)
    members = cast("dict[str, object]", value)
    parts: list[bytes] = []
    chosen: set[str] = set()
    for field in fields:
        member = members.get(field.name)
        if member is None:
            continue
        try:
            if field.oneof is not None:
                _check_first(field.oneof, chosen)
            if field.is_repeated:
                _add_items(field, member, depth, parts)
            else:
                parts += (field.tag, field.encode(member, depth))
        except FaultError as fault:
            raise fault.within(field.name) from None
    return b"".join(parts)


def _check_first(oneof: str, chosen: set[str]) -> None:
    if oneof in chosen:
        message = f"a second member of the oneof {oneof!r}"
        raise FaultError(message)
    chosen.add(oneof)


def _add_items(field: _Field, value: object, depth: int, parts: list[bytes]) -> None:
    if not isinstance(value, list):
        refuse("an array", value)
    items = cast("list[object]", value)
    # In one piece now and then, as each small one takes many times the memory of its bytes.
    starts = range(0, len(items), _ITEMS_JOINED)
    parts += [b"".join(_encoded_items(field, items, start, depth)) for start in starts]


def _encoded_items(field: _Field, items: list[object], start: int, depth: int) -> Iterator[bytes]:
    index = start
    try:
        for index in range(start, min(start + _ITEMS_JOINED, len(items))):
            yield field.tag
            yield field.encode(items[index], depth)
    except FaultError as fault:
        step = f"[{index}]"
        raise fault.within(step) from None


@cache
def _fields(descriptor: Descriptor) -> tuple[_Field, ...]:
    """The fields of a kind of messages, by their numbers."""
    fields = cast("Iterable[FieldDescriptor]", descriptor.fields)
    return tuple(map(_field, sorted(fields, key=lambda field: field.number)))


def _field(descriptor: FieldDescriptor) -> _Field:
    number = _NUMBERS.get(descriptor.type)
    if number is not None:
        wire_type, encode = number.wire_type, _number_encode(descriptor, number)
    elif descriptor.message_type is not None:
        wire_type, encode = _BLOCK, _message_encode(descriptor.message_type)
    else:
        wire_type, encode = _BLOCK, _block_encode(descriptor)
    oneof = descriptor.containing_oneof
    return _Field(
        descriptor.json_name,
        length(descriptor.number << 3 | wire_type),
        encode,
        _is_repeated(descriptor),
        None if oneof is None else oneof.name,
    )


def _is_repeated(descriptor: FieldDescriptor) -> bool:
    # Newer protobuf deprecates the label, and older has it alone.
    is_repeated = getattr(descriptor, "is_repeated", None)
    if is_repeated is None:
        is_repeated = cast("Any", descriptor).label == FieldDescriptor.LABEL_REPEATED
    return bool(is_repeated)


def _message_encode(kind: Descriptor) -> _Encode:
    def encode(value: object, depth: int) -> bytes:
        content = _encoded(_fields(kind), value, depth + 1)
        return length(len(content)) + content

    return encode


def _block_encode(descriptor: FieldDescriptor) -> _Encode:
    def encode(value: object, _: int) -> bytes:
        scalar = scalar_of(descriptor, value)
        content = scalar if isinstance(scalar, bytes) else str(scalar).encode(errors="replace")
        return length(len(content)) + content

    return encode


def _number_encode(descriptor: FieldDescriptor, number: _Number) -> _Encode:
    def encode(value: object, _: int) -> bytes:
        scalar = scalar_of(descriptor, value)
        if number.values and scalar not in number.values:
            message = f"a number beyond {number.values.start} to {number.values.stop - 1}"
            raise FaultError(message)
        return number.encode(scalar)

    return encode


def _varint(value: int) -> bytes:
    """A number as it is, of which a negative one has all 64 bits."""
    return length(value & _64_BITS)


def _zigzag(value: int) -> bytes:
    """A number whose sign is its lowest bit."""
    return length((value << 1 ^ value >> 63) & _64_BITS)


_INT32: Final = range(-(2**31), 2**31)
_INT64: Final = range(-(2**63), 2**63)
_UINT32: Final = range(2**32)
_UINT64: Final = range(2**64)
_ANY: Final = range(0)
_NUMBERS: Final[Mapping[int, _Number]] = {
    FieldDescriptor.TYPE_BOOL: _Number(_VARINT, _ANY, _varint),
    FieldDescriptor.TYPE_ENUM: _Number(_VARINT, _INT32, _varint),
    FieldDescriptor.TYPE_INT32: _Number(_VARINT, _INT32, _varint),
    FieldDescriptor.TYPE_INT64: _Number(_VARINT, _INT64, _varint),
    FieldDescriptor.TYPE_UINT32: _Number(_VARINT, _UINT32, _varint),
    FieldDescriptor.TYPE_UINT64: _Number(_VARINT, _UINT64, _varint),
    FieldDescriptor.TYPE_SINT32: _Number(_VARINT, _INT32, _zigzag),
    FieldDescriptor.TYPE_SINT64: _Number(_VARINT, _INT64, _zigzag),
    FieldDescriptor.TYPE_FIXED32: _Number(_FIXED32, _UINT32, struct.Struct("<I").pack),
    FieldDescriptor.TYPE_FIXED64: _Number(_FIXED64, _UINT64, struct.Struct("<Q").pack),
    FieldDescriptor.TYPE_SFIXED32: _Number(_FIXED32, _INT32, struct.Struct("<i").pack),
    FieldDescriptor.TYPE_SFIXED64: _Number(_FIXED64, _INT64, struct.Struct("<q").pack),
    FieldDescriptor.TYPE_DOUBLE: _Number(_FIXED64, _ANY, struct.Struct("<d").pack),
}
