# SPDX-License-Identifier: Apache-2.0
"""Text of others, made fit for a terminal, a log or a shell line. Pure."""

from __future__ import annotations

from typing import Final

_ELLIPSIS: Final = "..."
# Unicode's space separators (Zs) but the plain one: a table of them all would be a module more to load.
_BLANKS: Final = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)


def printable(text: str, length_max: int | None = None) -> str:
    """The text on one line: escaped as in a Python literal is what would move a cursor, break a line or hide.

    That is what `str.isprintable` refuses: control characters (C0, C1), line ends of any kind, bidi marks, lone
    surrogates. Blanks of any width become plain ones. At most `length_max` characters, the last of them `...` where
    there were more. Never raises.
    """
    # One more than may be shown, so that a longer text is known as such.
    head = text if length_max is None else text[: length_max + 1]
    shown = head if head.isprintable() else "".join(map(_shown, head))
    if length_max is None or len(shown) <= length_max:
        return shown
    return f"{shown[: length_max - len(_ELLIPSIS)]}{_ELLIPSIS}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character in _BLANKS else character.encode("unicode_escape").decode()
