# SPDX-License-Identifier: Apache-2.0
"""Regular expressions that are compiled when first used: most are never needed in a process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Pattern:
    """Has the methods of a compiled pattern."""

    def __init__(self, text: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._source = (text, flags)

    def __getattr__(self, name: str) -> Any:
        """The compiled pattern's own, kept for the next time."""
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)
        return found
