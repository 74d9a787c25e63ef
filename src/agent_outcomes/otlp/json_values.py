# SPDX-License-Identifier: Apache-2.0
"""What a value of OTLP JSON is for a field of Protobuf, and where a text is malformed."""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH: Final = 100
"""Messages nested deeper than this cannot be sent as binary OTLP either, so both directions refuse them."""

ID_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_EXACT_LIMIT: Final = 2**53
_NAME_LENGTH_MAX: Final = 64

WIDE_INTEGERS: Final = frozenset({
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SINT64,
})  # fmt: skip
REALS: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})


class FaultError(ValueError):
    """A malformed place of the input; the path grows outward while the error passes through the levels."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def within(self, step: str) -> FaultError:
        """Return this error with `step` put before its path."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{joint}{self.path}"
        return self

    def __str__(self) -> str:
        """The place and what is wrong there."""
        return f"{self.path or '$'}: {self.reason}"


def parsed(text: str | bytes) -> object:
    """What JSON text says. Raises `FaultError` where it is none, or says two things under one name.

    As parsers of Protobuf's JSON do: which of the two is meant nobody knows (RFC 8259, 4).
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except FaultError:
        raise
    except RecursionError:
        reason = "JSON nested too deeply"
        raise FaultError(reason) from None
    except ValueError as error:
        reason = f"not JSON: {error}"
        raise FaultError(reason) from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        reason = f"{repeated_name(pairs)} is given twice in one object"
        raise FaultError(reason)
    return members


def repeated_name(pairs: Iterable[tuple[str, object]]) -> str:
    """The first name that is there twice; one that may be anything is not quoted."""
    counts = Counter(name for name, _ in pairs)
    name = next((name for name, count in counts.items() if count > 1), "")
    return name if name.isidentifier() and len(name) <= _NAME_LENGTH_MAX else "a name"


def _refuse_constant(name: str) -> object:
    reason = f"not JSON: {name} must be a string"
    raise FaultError(reason)


def scalar_of(field: FieldDescriptor, value: object) -> Any:
    """A value as the field has it, whose range is not looked at. Raises `FaultError`."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _instance(value, str, "a string")
    if field.type == FieldDescriptor.TYPE_BYTES:
        text = _instance(value, str, "a string")
        return _id_bytes(text) if field.name in ID_FIELDS else _base64_bytes(text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _instance(value, bool, "true or false")
    if field.type in REALS:
        return _real(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum_number(field, value)
    return _integer(value)


ScalarT = TypeVar("ScalarT")


def _instance(value: object, expected: type[ScalarT], wording: str) -> ScalarT:
    if not isinstance(value, expected):
        refuse(wording, value)
    return value


def _id_bytes(text: str) -> bytes:
    if not _HEX.fullmatch(text):
        refuse("an id in hex", text)
    return bytes.fromhex(text)


def _base64_bytes(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:  # binascii.Error among them
        refuse("base64", text)


def _integer(value: object) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            refuse("an integer", value)
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) > _EXACT_LIMIT:
            refuse("an integer", value)
    elif isinstance(value, bool) or not isinstance(value, int):
        refuse("an integer", value)
    return int(value)


def _real(value: object) -> float:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if not _NUMBER.fullmatch(value):
            refuse("a number", value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        refuse("a number", value)
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        refuse("a number in the range of a double", value)
    return real


def _enum_number(field: FieldDescriptor, value: object) -> int:
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        known = field.enum_type.values_by_name.get(value) if field.enum_type is not None else None
        if known is None:
            refuse("an enum's number", value)
        return known.number
    return _integer(value)


def refuse(wanted: str, value: object) -> NoReturn:
    """Raises `FaultError` that says what was found instead."""
    shown = repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    limit = 60
    reason = f"expected {wanted}, found {shown if len(shown) <= limit else shown[:limit] + '...'}"
    raise FaultError(reason) from None
