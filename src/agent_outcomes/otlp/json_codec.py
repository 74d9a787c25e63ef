# SPDX-License-Identifier: Apache-2.0
"""OTLP messages as OTLP JSON text and back: ids in hex, 64-bit integers as strings, enums as integers.

`google.protobuf.json_format` writes trace and span ids in base64, which no OTLP receiver accepts; this module follows
the OTLP specification instead. It knows the messages by their descriptors alone, so every signal works.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any, Final, NoReturn, TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["MAX_DEPTH", "from_otlp_json", "to_otlp_json"]

MAX_DEPTH: Final = 100
"""Messages nested deeper than this cannot be sent as binary OTLP either, so both directions refuse them."""

_ID_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_EXACT_LIMIT: Final = 2**53

_WIDE_INTEGERS: Final = frozenset({
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SINT64,
})  # fmt: skip
_REALS: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})

MessageT = TypeVar("MessageT", bound=Message)


class _FaultError(ValueError):
    """A malformed place of the input; the path grows outward while the error passes through the levels."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def within(self, step: str) -> _FaultError:
        """Return this error with `step` put before its path."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{joint}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path or '$'}: {self.reason}"


def to_otlp_json(message: Message) -> str:
    """Return an OTLP message as one line of compact OTLP JSON in ASCII, every field that is set included.

    Reads any message of `opentelemetry.proto`; fields unknown to the installed schema have no JSON name and are not
    part of it. Raises ValueError naming the path when messages are nested deeper than `MAX_DEPTH`.
    """
    # ASCII on purpose: U+2028 and U+0085 in user text would else count as line ends for many readers of JSON lines.
    return json.dumps(_message_to_object(message, 0), separators=(",", ":"), allow_nan=False)


def from_otlp_json(text: str | bytes, message_type: type[MessageT]) -> MessageT:
    """Return the message of `message_type` that OTLP JSON text describes; unknown fields are ignored.

    Keys are lowerCamelCase as OTLP asks; ids are hex in either case; 64-bit integers may be strings or numbers. Raises
    ValueError naming the path of the first malformed place, for example `resourceSpans[0].scopeSpans[2].spans`.
    """
    message = message_type()
    try:
        _fill(message, _parse(text), 0)
    except _FaultError as fault:
        raise ValueError(str(fault)) from fault
    return message


def _message_to_object(message: Message, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        reason = f"messages nested deeper than {MAX_DEPTH}"
        raise _FaultError(reason)
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        try:
            # Container type instead of the descriptor's label, which newer protobuf deprecates and older has alone.
            if isinstance(value, MutableSequence):
                items = cast("Iterable[object]", value)
                result[field.json_name] = [_value_to_json(field, item, depth) for item in items]
            else:
                result[field.json_name] = _value_to_json(field, value, depth)
        except _FaultError as fault:
            raise fault.within(field.json_name) from None
    return result


def _value_to_json(field: FieldDescriptor, value: Any, depth: int) -> object:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message_to_object(value, depth + 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value.hex() if field.name in _ID_FIELDS else base64.b64encode(value).decode("ascii")
    if field.type in _WIDE_INTEGERS:
        return str(value)
    if field.type in _REALS and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _parse(text: str | bytes) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except _FaultError:
        raise
    except RecursionError:
        reason = "JSON nested too deeply"
        raise _FaultError(reason) from None
    except ValueError as error:
        reason = f"not JSON: {error}"
        raise _FaultError(reason) from None


def _refuse_constant(name: str) -> object:
    reason = f"not JSON: {name} must be a string"
    raise _FaultError(reason)


def _fill(message: Message, value: object, depth: int) -> None:
    if not isinstance(value, dict):
        _refuse("an object", value)
    if depth > MAX_DEPTH:
        reason = f"messages nested deeper than {MAX_DEPTH}"
        raise _FaultError(reason)
    members = cast("dict[str, object]", value)
    # The stubs name two classes for one descriptor, of which the second is an implementation detail.
    for field in cast("Iterable[FieldDescriptor]", message.DESCRIPTOR.fields):
        member = members.get(field.json_name)
        if member is None:
            continue
        try:
            _set_field(message, field, member, depth)
        except _FaultError as fault:
            raise fault.within(field.json_name) from None


def _set_field(message: Message, field: FieldDescriptor, value: object, depth: int) -> None:
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) is not None:
        reason = f"a second member of the oneof {oneof.name!r}"
        raise _FaultError(reason)
    current = getattr(message, field.name)
    if isinstance(current, MutableSequence):
        _fill_repeated(field, current, value, depth)
    elif isinstance(current, Message):
        current.SetInParent()
        _fill(current, value, depth + 1)
    else:
        _checked(field, value, lambda scalar: setattr(message, field.name, scalar))


def _fill_repeated(field: FieldDescriptor, target: MutableSequence[Any], value: object, depth: int) -> None:
    if not isinstance(value, list):
        _refuse("an array", value)
    for index, item in enumerate(cast("list[object]", value)):
        try:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                _fill(cast("Any", target).add(), item, depth + 1)
            else:
                _checked(field, item, target.append)
        except _FaultError as fault:
            step = f"[{index}]"
            raise fault.within(step) from None


def _checked(field: FieldDescriptor, value: object, store: Callable[[Any], None]) -> None:
    scalar = _scalar(field, value)
    try:
        store(scalar)
    except (ValueError, TypeError, OverflowError) as error:  # out of range, or text that UTF-8 cannot carry
        reason = f"{type(error).__name__}: {error}"
        raise _FaultError(reason) from None


def _scalar(field: FieldDescriptor, value: object) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _instance(value, str, "a string")
    if field.type == FieldDescriptor.TYPE_BYTES:
        text = _instance(value, str, "a string")
        return _id_bytes(text) if field.name in _ID_FIELDS else _base64_bytes(text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _instance(value, bool, "true or false")
    if field.type in _REALS:
        return _real(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum_number(field, value)
    return _integer(value)


ScalarT = TypeVar("ScalarT")


def _instance(value: object, expected: type[ScalarT], wording: str) -> ScalarT:
    if not isinstance(value, expected):
        _refuse(wording, value)
    return value


def _id_bytes(text: str) -> bytes:
    if not _HEX.fullmatch(text):
        _refuse("an id in hex", text)
    return bytes.fromhex(text)


def _base64_bytes(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:  # binascii.Error among them
        _refuse("base64", text)


def _integer(value: object) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            _refuse("an integer", value)
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) > _EXACT_LIMIT:
            _refuse("an integer", value)
    elif isinstance(value, bool) or not isinstance(value, int):
        _refuse("an integer", value)
    return int(value)


def _real(value: object) -> float:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if not _NUMBER.fullmatch(value):
            _refuse("a number", value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("a number", value)
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        _refuse("a number in the range of a double", value)
    return real


def _enum_number(field: FieldDescriptor, value: object) -> int:
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        known = field.enum_type.values_by_name.get(value) if field.enum_type is not None else None
        if known is None:
            _refuse("an enum's number", value)
        return known.number
    return _integer(value)


def _refuse(wanted: str, value: object) -> NoReturn:
    shown = repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    limit = 60
    reason = f"expected {wanted}, found {shown if len(shown) <= limit else shown[:limit] + '...'}"
    raise _FaultError(reason) from None
