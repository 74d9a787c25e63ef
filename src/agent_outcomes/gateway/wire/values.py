# SPDX-License-Identifier: Apache-2.0
"""Attribute values read from their bytes, as the SDK has them: text, flag, number, bytes, tuple, dict, or `None`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.wire.fields import BLOCK, FIXED64, MORE, VARINT, fields
from agent_outcomes.otlp.encoding import NESTING_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agent_outcomes.gateway.wire.fields import Budget

Value = str | bool | int | float | bytes | tuple["Value", ...] | dict[str, "Value"] | None
WireAttributes = dict[str, Value]

ATTRIBUTES_MAX: Final = 256
KEY_MAX_BYTES: Final = 256
# Twice the longest text that any rule reads: what was too long to be read must not become short enough by being cut.
VALUE_MAX_BYTES: Final = 128 * 2**10
TOO_DEEP: Final = "..."

_KEY: Final = 1 << 3 | BLOCK
_VALUE: Final = 2 << 3 | BLOCK
_ITEM: Final = 1 << 3 | BLOCK
_TEXT: Final = 1 << 3 | BLOCK
_BOOL: Final = 2 << 3 | VARINT
_INT: Final = 3 << 3 | VARINT
_DOUBLE: Final = 4 << 3 | FIXED64
_ARRAY: Final = 5 << 3 | BLOCK
_MAP: Final = 6 << 3 | BLOCK
_BYTES: Final = 7 << 3 | BLOCK
_double: Final = struct.Struct("<d").unpack_from
_SIGN: Final = 2**63
_64_BITS: Final = 2**64
# A character of UTF-8 goes on in bytes of these two highest bits.
_CONTINUED: Final = 0xC0
_CONTINUATION: Final = 0x80
_CONTINUATIONS_MAX: Final = 3
_COMPOSITES: Final = (_ARRAY, _MAP)
_KEY_HEAD: Final = bytes((_KEY,))
_VALUE_HEAD: Final = bytes((_VALUE,))
_TEXT_HEAD: Final = bytes((_TEXT,))
_MORE_BYTES: Final = bytes((MORE,))
_ONE_BYTE: Final = {size: bytes((size,)) for size in range(MORE)}


def attributes(pairs: Iterable[bytes], budget: Budget) -> tuple[WireAttributes, int]:
    """The attributes of encoded `KeyValue`s, and how many were lost in part or whole.

    Of more than `ATTRIBUTES_MAX` the last are kept, as by the SDK; a value beyond `VALUE_MAX_BYTES` is cut, a key
    beyond `KEY_MAX_BYTES` left out with its value. An empty value is no attribute. Raises `WireError`.
    """
    found: dict[str, bytes] = {}
    lost = 0
    for pair in pairs:
        key, encoded = _pair(pair, budget)
        if key is None:
            lost += 1
            continue
        found.pop(key, None)
        found[key] = encoded
        if len(found) > ATTRIBUTES_MAX:
            del found[next(iter(found))]
            lost += 1
    read: WireAttributes = {}
    for key, encoded in found.items():
        value = read_value(encoded, budget)
        if value is not None:
            read[key] = value
            lost += len(encoded) > VALUE_MAX_BYTES
    return read, lost


def read_value(encoded: bytes, budget: Budget, depth: int = 0, room: int = VALUE_MAX_BYTES) -> Value:
    """The value of an encoded `AnyValue`, cut to so many bytes. Raises `WireError`."""
    if depth > NESTING_MAX:
        return TOO_DEEP
    # A text alone with its length in one byte, as most values are.
    if encoded[:1] == _TEXT_HEAD and encoded[1:2] == _ONE_BYTE.get(len(encoded) - 2) and len(encoded) <= room:
        return encoded[2:].decode(errors="replace")
    value: Value = None
    composite = 0
    blocks: list[bytes] = []
    for tag, start, end in fields(encoded, 0, len(encoded), budget):
        if tag in _COMPOSITES:
            # Protobuf merges a message that comes again, unless another kind of value came between.
            if composite != tag:
                blocks, composite = [], tag
            blocks.append(encoded[start:end])
        elif tag in _SCALARS:
            value, composite = _SCALARS[tag](encoded, start, end, room), 0
    if composite == _ARRAY:
        return tuple(read_value(one, budget, depth + 1, left) for one, left in _items(b"".join(blocks), budget, room))
    if composite == _MAP:
        return _map(b"".join(blocks), budget, depth, room)
    return value


def text(data: bytes, start: int, end: int, room: int = VALUE_MAX_BYTES) -> str:
    """The text that stands there in UTF-8, cut to so many bytes; what is none is replaced. Never raises."""
    if end - start > room:
        end = start + room
        for _ in range(_CONTINUATIONS_MAX):
            if end > start and data[end] & _CONTINUED == _CONTINUATION:
                end -= 1
    return data[start:end].decode(errors="replace")


def signed(number: int) -> int:
    """A 64-bit integer, as it stands on the wire, with its sign."""
    return number - _64_BITS if number >= _SIGN else number


def _map(block: bytes, budget: Budget, depth: int, room: int) -> dict[str, Value]:
    read: dict[str, Value] = {}
    for pair, left in _items(block, budget, room):
        key, encoded = _pair(pair, budget)
        if key is not None:
            read[key] = read_value(encoded, budget, depth + 1, left)
    return read


def _items(block: bytes, budget: Budget, room: int) -> Iterator[tuple[bytes, int]]:
    """The encoded items of an array or a map that end within so many bytes, each with what is left of these."""
    for tag, start, end in fields(block, 0, len(block), budget):
        if end > room and tag == _ITEM:
            return
        if tag == _ITEM:
            yield block[start:end], room - start


def _pair(encoded: bytes, budget: Budget) -> tuple[str | None, bytes]:
    """The key of an encoded `KeyValue`, `None` if it is too long, and its encoded value."""
    # A key and a value behind it, each with its length in one byte, as most are.
    if encoded[:1] == _KEY_HEAD and encoded[1:2] < _MORE_BYTES:
        at = 2 + encoded[1] if len(encoded) > 1 else 0
        if encoded[at : at + 1] == _VALUE_HEAD and encoded[at + 1 : at + 2] == _ONE_BYTE.get(len(encoded) - at - 2):
            return encoded[2:at].decode(errors="replace"), encoded[at + 2 :]
    key: str | None = ""
    blocks: list[bytes] = []
    for tag, start, end in fields(encoded, 0, len(encoded), budget):
        if tag == _KEY:
            key = text(encoded, start, end) if end - start <= KEY_MAX_BYTES else None
        elif tag == _VALUE:
            blocks.append(encoded[start:end])
    return key, b"".join(blocks)


_SCALARS: Final[Mapping[int, Callable[[bytes, int, int, int], Value]]] = {
    _TEXT: text,
    _BOOL: lambda _, number, __, ___: number != 0,
    _INT: lambda _, number, __, ___: signed(number),
    _DOUBLE: lambda data, start, _, __: _double(data, start)[0],
    _BYTES: lambda data, start, end, room: data[start : min(end, start + room)],
}
