# SPDX-License-Identifier: Apache-2.0
"""Plain classes that compare and print by their fields.

What `dataclass` would make of them costs a millisecond each to import, and frozen ones five times as much to fill.
"""

from __future__ import annotations


class Fields:
    """Equality and repr by `__slots__`; give the class an `__init__` that sets them all, and do not change them later."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"
