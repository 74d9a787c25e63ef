# SPDX-License-Identifier: Apache-2.0
"""How large numbers from outside may be that are kept: one maximum for each quantity, for whoever reads it. Pure."""

from __future__ import annotations

from typing import Final

TIME_MAX_NS: Final = 2**63 - 1
"""The last moment that is kept, in Unix nanoseconds: the 11th of April 2262."""
ROW_MAX: Final = 2**63 - 1
"""The largest number of a row."""
REVISION_MAX: Final = 2**31 - 1
"""The largest number of a revision."""


def whole_number(text: str, most: int) -> int | None:
    """The number that these digits are, of ASCII and from 0 up to a maximum; `None` for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)):
        return None
    number = int(text)
    return number if number <= most else None
