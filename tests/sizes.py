# SPDX-License-Identifier: Apache-2.0
"""How much the longest tests try: a fifth where everybody waits for them, all of it with `TEST_SIZES=whole`."""

from __future__ import annotations

import os
from typing import Final

IS_WHOLE: Final = os.environ.get("TEST_SIZES") == "whole"
"""Whether nothing is to be left out."""


def a_fifth_of(count: int) -> int:
    """So many where the whole is asked for, else a fifth of them."""
    return count if IS_WHOLE else count // 5
