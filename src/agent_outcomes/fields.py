# SPDX-License-Identifier: Apache-2.0
"""Plain classes that compare and print by their fields.

What `dataclass` would make of them costs up to a millisecond each to import, and frozen ones five times as much to
fill. A named tuple costs a quarter of that: it is for what is frozen, has many defaults, or is changed by copying.
"""

from __future__ import annotations


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
