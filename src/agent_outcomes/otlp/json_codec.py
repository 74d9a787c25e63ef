# SPDX-License-Identifier: Apache-2.0
"""OTLP messages as OTLP JSON text and back: ids in hex, 64-bit integers as strings, enums as integers.

`google.protobuf.json_format` writes trace and span ids in base64, which no OTLP receiver accepts; this module follows
the OTLP specification instead. It knows the messages by their descriptors alone, so every signal works.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from agent_outcomes.otlp.json_values import (
    ID_FIELDS,
    MAX_DEPTH,
    REALS,
    WIDE_INTEGERS,
    FaultError,
    parsed,
    refuse,
    scalar_of,
)

MessageT = TypeVar("MessageT", bound=Message)


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
        _fill(message, parsed(text), 0)
    except FaultError as fault:
        raise ValueError(str(fault)) from fault
    return message


def _message_to_object(message: Message, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        reason = f"messages nested deeper than {MAX_DEPTH}"
        raise FaultError(reason)
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        try:
            # Container type instead of the descriptor's label, which newer protobuf deprecates and older has alone.
            if isinstance(value, MutableSequence):
                items = cast("Iterable[object]", value)
                result[field.json_name] = [_value_to_json(field, item, depth) for item in items]
            else:
                result[field.json_name] = _value_to_json(field, value, depth)
        except FaultError as fault:
            raise fault.within(field.json_name) from None
    return result


def _value_to_json(field: FieldDescriptor, value: Any, depth: int) -> object:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message_to_object(value, depth + 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value.hex() if field.name in ID_FIELDS else base64.b64encode(value).decode("ascii")
    if field.type in WIDE_INTEGERS:
        return str(value)
    if field.type in REALS and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _fill(message: Message, value: object, depth: int) -> None:
    if not isinstance(value, dict):
        refuse("an object", value)
    if depth > MAX_DEPTH:
        reason = f"messages nested deeper than {MAX_DEPTH}"
        raise FaultError(reason)
    members = cast("dict[str, object]", value)
    # The stubs name two classes for one descriptor, of which the second is an implementation detail.
    for field in cast("Iterable[FieldDescriptor]", message.DESCRIPTOR.fields):
        member = members.get(field.json_name)
        if member is None:
            continue
        try:
            _set_field(message, field, member, depth)
        except FaultError as fault:
            raise fault.within(field.json_name) from None


def _set_field(message: Message, field: FieldDescriptor, value: object, depth: int) -> None:
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) is not None:
        reason = f"a second member of the oneof {oneof.name!r}"
        raise FaultError(reason)
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
        refuse("an array", value)
    for index, item in enumerate(cast("list[object]", value)):
        try:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                _fill(cast("Any", target).add(), item, depth + 1)
            else:
                _checked(field, item, target.append)
        except FaultError as fault:
            step = f"[{index}]"
            raise fault.within(step) from None


def _checked(field: FieldDescriptor, value: object, store: Callable[[Any], None]) -> None:
    scalar = scalar_of(field, value)
    try:
        store(scalar)
    except (ValueError, TypeError, OverflowError) as error:  # out of range, or text that UTF-8 cannot carry
        reason = f"{type(error).__name__}: {error}"
        raise FaultError(reason) from None
