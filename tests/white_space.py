# SPDX-License-Identifier: Apache-2.0
"""White space around words and amounts: what both the package and metrics-only.yaml trim, and what neither does."""

from __future__ import annotations

from typing import Final

TRIMMED: Final = (" ", "\t", "\n", "\f", "\r", " \t\r\n")
KEPT: Final = (
    "\v",
    "\x1c",
    "\x1f",
    "\x85",
    "\u00a0",
    "\u1680",
    "\u2007",
    "\u2028",
    "\u202f",
    "\u3000",
    "\ufeff",
    "\u200b",
)
