# SPDX-License-Identifier: Apache-2.0
"""A clock for what is given the time from outside."""

from __future__ import annotations


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
