# SPDX-License-Identifier: Apache-2.0
"""How far a connection is with its request, and when its peer has taken too long. Pure: time is given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_outcomes.gateway.settings import ReceiverLimits

WRITE_TIMEOUT_S: Final = 30.0
"""How long a peer may leave an answer unread."""
RATE_GRACE_S: Final = 5.0
"""How long a body may take before its rate is looked at."""


class Phase(StrEnum):
    """What a connection is waited for."""

    IDLE = "idle"
    HEADERS = "headers"
    BODY = "body"
    ANSWER = "answer"


@dataclass(slots=True)
class ConnectionProgress:
    """The phase of one connection, since when (on a monotonic clock), and how much of a body has come.

    A connection begins in `HEADERS`: who connects and stays silent holds it as one does who sends half a header.
    """

    since_s: float
    phase: Phase = Phase.HEADERS
    body_bytes: int = 0
    unread_since_s: float | None = None

    def enter(self, phase: Phase, now_s: float) -> None:
        """Begin another phase."""
        self.phase, self.since_s, self.body_bytes = phase, now_s, 0

    def excuse(self, seconds: float) -> None:
        """Have time not count that the peer was kept waiting for."""
        self.since_s += seconds

    @property
    def is_evictable(self) -> bool:
        """Whether nothing that has begun would be lost with it."""
        return self.phase in {Phase.IDLE, Phase.HEADERS}

    def is_overdue(self, now_s: float, limits: ReceiverLimits) -> bool:
        """Whether the peer has taken too long for what it is waited for."""
        if self.unread_since_s is not None and now_s - self.unread_since_s > WRITE_TIMEOUT_S:
            return True
        took_s = now_s - self.since_s
        if self.phase is Phase.IDLE:
            return took_s > limits.idle_timeout_s
        if self.phase is Phase.HEADERS:
            return took_s > limits.header_timeout_s
        if self.phase is Phase.BODY:
            owed_bytes = (took_s - RATE_GRACE_S) * limits.body_min_bytes_per_s
            return took_s > limits.body_timeout_s or self.body_bytes < owed_bytes
        return False
