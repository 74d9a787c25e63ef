# SPDX-License-Identifier: Apache-2.0
"""Text of others, made fit for a terminal, a log or a shell line. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

_ELLIPSIS: Final = "..."


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
    return " " if unicodedata.category(character) == "Zs" else character.encode("unicode_escape").decode()
