# SPDX-License-Identifier: Apache-2.0
"""Plain classes that compare and print by their fields, and named tuples.

What `dataclass` would make of them costs up to a millisecond each to import, and frozen ones five times as much to
fill. A named tuple costs an eighth of that: it is for what is frozen, has many defaults, or is changed by copying.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - to be imported from here
else:

    class _NamedTupleType(type):
        """Makes a named tuple of a class statement, as `typing.NamedTuple` does.

        That one compiles each field's annotation, which takes longer than all the rest of it.
        """

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            names = namespace["__annotations__"]
            defaults = [namespace[name_] for name_ in names if name_ in namespace]
            made = namedtuple(name, names, defaults=defaults, module=namespace["__module__"])  # noqa: PYI024
            for key, value in namespace.items():
                if key not in names:
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_NamedTupleType):
        """Base of classes that become named tuples."""


class Fields:
    """Equality and repr by `__slots__`; a class sets them all in its `__init__`, and nothing changes them later."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same class and has the same fields."""
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The fields with their values, as a dataclass would print them."""
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class ByFields:
    """Equality, hash and repr of a dataclass, which `eq=False, repr=False` keeps from compiling some of its own."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same class and has the same fields."""
        return self._compared() == other._compared() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """By the fields that are compared."""
        return hash(self._compared())

    def __repr__(self) -> str:
        """The fields with their values, as a dataclass prints them."""
        shown = [field.name for field in fields(self) if field.repr]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def _compared(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self) if field.compare)
