# SPDX-License-Identifier: Apache-2.0
"""Foreign values as text, JSON or Python's own types: bounded, encodable to OTLP, calling nothing that could raise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final, TypeGuard, TypeVar

from agent_outcomes.foreign_exceptions import class_name, is_theirs_in_given

_T = TypeVar("_T")

MESSAGE_LENGTH_MAX: Final = 4096
METADATA_KEYS_MAX: Final = 32
REFUSED_LENGTH_MAX: Final = 128
_LINE_LENGTH_MAX: Final = 80
_METADATA_DEPTH_MAX: Final = 8
# What is longer as JSON is refused in any case.
_METADATA_VALUES_MAX: Final = 8192
_PRINTABLE_INT_BITS_MAX: Final = 256
_PLAIN_TYPES: Final = (str, bool, int, float, Decimal, type(None))


class Unreadable:
    """Stands for a foreign value that does not answer for itself, so that whoever reads it refuses it."""

    __slots__ = ()


def is_a(value: object, cls: type[_T]) -> TypeGuard[_T]:
    """Whether the value's own type says so; `isinstance` also asks `__class__`, and a proxy's may lie or raise."""
    return issubclass(type(value), cls)


def own_value(value: object) -> object:
    """A scalar in Python's own type, whatever its class overrides; else the value, `Unreadable` if it is a proxy.

    Never raises.
    """
    cls = type(value)
    for one in _PLAIN_TYPES:
        if cls is one:  # a metaclass may say of a class that it is equal to any other
            return value
    if is_a(value, str):
        return str.__str__(value)
    if is_a(value, int):
        return int.__int__(value)
    if is_a(value, float):
        return float.__float__(value)
    if is_a(value, Decimal):
        return Decimal(value)
    return value if _answers_for_itself(value) else Unreadable()


def asked(function: Callable[..., _T], *arguments: object) -> _T | None:
    """What foreign code answers, `None` if it raises: properties, methods, proxies and lazy containers may do so.

    What only passes through goes on.
    """
    try:
        return function(*arguments)
    except Exception as error:
        if is_theirs_in_given(error):
            raise
        return None


def one_line(text: str) -> str:
    """Text of others made safe for a line of ours, and short."""
    # Control and format characters (line breaks, ANSI, bidirectional overrides) would forge lines in a log viewer.
    cut = text if len(text) <= _LINE_LENGTH_MAX else text[:_LINE_LENGTH_MAX]
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)


def map_of_json(
    text: object, length_max: int, parse_float: Callable[[str], Any] | None = None
) -> dict[str, Any] | None:
    """The map that a text of at most so many characters is as JSON; `None` if it is none. Never raises.

    `parse_float` reads its fractions, which are doubles otherwise.
    """
    if not isinstance(text, str) or len(text) > length_max:
        return None
    try:
        found = json.loads(str.__str__(text), parse_float=parse_float)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def own_metadata(value: object) -> object:
    """Free context in JSON's own types; of a container that raises when it is read, its type's name. Never raises."""
    value = own_value(value)
    # A proxy is no container by now; one that is lazy raises once what it reads from is gone.
    plain = asked(_plain_container, value)
    return short_text(value) if plain is None and value is not None else plain


def _answers_for_itself(value: object) -> bool:
    # A proxy raises where it has no object.
    return asked(getattr, value, "__class__") is type(value)


def _plain_container(value: object) -> object:
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        return _Plain(spare=1).of(value, depth=0)
    return value


def encodable(text: str, length_max: int) -> str:
    """The text cut to `length_max` characters, with lone surrogates (which no OTLP string can hold) replaced."""
    text = str.__str__(text)[:length_max]
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def short_text(value: object) -> str:
    """A scalar as short text; anything else by the name of its type, as its own `repr` may be huge or raise."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return encodable(value, REFUSED_LENGTH_MAX)
    if isinstance(value, int):
        number = int.__int__(value)
        return str(number) if number.bit_length() <= _PRINTABLE_INT_BITS_MAX else "<int>"
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Decimal):
        return str(value)[:REFUSED_LENGTH_MAX]
    return f"<{class_name(type(value)).rpartition('.')[2][:32]}>"


def plain_value(value: object) -> tuple[Any, bool]:
    """The value in JSON's own types, and whether less of it is kept than there is.

    What JSON has no type for, or lies too deep, becomes short text. Raises `ValueError` where it holds too many values,
    as lists that hold one another do.
    """
    plain = _Plain(spare=0)
    return plain.of(value, depth=1), plain.is_cut


class _Plain:
    """Makes values plain; `spare` is by how much each limit is passed, so that who reads them next sees the excess."""

    __slots__ = ("_spare", "_values_left", "is_cut")

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._values_left = _METADATA_VALUES_MAX
        self.is_cut = False

    def of(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one return per JSON type
        self._values_left -= 1
        if self._values_left < 0:
            message = f"more than {_METADATA_VALUES_MAX} values"
            raise ValueError(message)
        if depth > _METADATA_DEPTH_MAX + self._spare:
            self.is_cut |= not isinstance(value, str) or len(value) > REFUSED_LENGTH_MAX
            return short_text(value)
        if isinstance(value, Mapping):
            items = self._some(value.items(), len(value))
            return {self._text(key, REFUSED_LENGTH_MAX): self.of(item, depth + 1) for key, item in items}
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [self.of(item, depth + 1) for item in self._some(value, len(value))]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, MESSAGE_LENGTH_MAX)
        if isinstance(value, int) and int.__int__(value).bit_length() <= _PRINTABLE_INT_BITS_MAX:
            return int.__int__(value)
        if isinstance(value, float) and math.isfinite(float.__float__(value)):
            return float.__float__(value)
        return short_text(value)

    def _some(self, values: Iterable[_T], count: int) -> Iterator[_T]:
        self.is_cut |= count > METADATA_KEYS_MAX + self._spare
        return islice(values, METADATA_KEYS_MAX + self._spare)

    def _text(self, value: object, length_max: int) -> str:
        if not isinstance(value, str):
            return short_text(value)
        self.is_cut |= len(value) > length_max + self._spare
        return encodable(value, length_max + self._spare)
