# SPDX-License-Identifier: Apache-2.0
"""The way to the receiver of one signal: its client, when it may be tried next, and what is said while it fails."""

from __future__ import annotations

import logging
import time
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.delivery.backoff import Backoff
from agent_outcomes.ledger.delivery.complaints import said_of
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otlp.answers import Verdict
from agent_outcomes.otlp.client import OtlpClient

if TYPE_CHECKING:
    from agent_outcomes.otlp.answers import Answer
    from agent_outcomes.otlp.endpoints import Target

# Not the shared one, whose numbers are the application's if it has seeded it; nor a state that forked children share.
_random: Final = SystemRandom()
_logger: Final = logging.getLogger(__name__)


class Outlet:
    """Sends one signal to its target, and knows after a failure when to try again. For one thread; `failures` counts.

    `is_failing` tells whether the last attempt was no success.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.failures = 0
        self.is_failing = False
        self._client = OtlpClient(target)
        self._log = LimitedLog(_logger)
        self._backoff = Backoff(_random.random)
        self._not_before_s = 0.0
        self._asked_until_s = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until it may be tried again; 0 when it may be now."""
        return max(0.0, self._not_before_s - time.monotonic())

    def hurry(self) -> None:
        """Try again as soon as the receiver allows it, though it failed a moment ago: somebody waits."""
        self._not_before_s = min(self._not_before_s, self._asked_until_s)

    def send(self, payload: bytes) -> Answer:
        """The receiver's answer. Never raises."""
        return self._client.send(payload, self.target.timeout_s)

    def succeeded(self) -> None:
        """Note that the receiver takes what is sent."""
        if self.is_failing:
            self._log.warning(f"again_{self.target.url}", "%s takes agent outcomes again", self.target.said_endpoint)
        self.is_failing = False
        self._backoff.succeeded()
        self._not_before_s = self._asked_until_s = 0.0

    def failed(self, answer: Answer) -> None:
        """Note an answer after which all is kept and sent again later, and say so once a minute."""
        self.failures += 1
        self.is_failing = True
        wait_s = self._backoff.failed(answer.retry_after_s)
        now_s = time.monotonic()
        self._not_before_s = now_s + wait_s
        self._asked_until_s = now_s + (answer.retry_after_s or 0.0)
        kept = "agent outcome %s wait in the ledger, nothing is lost; the next attempt is in %.0f s. %s"
        # A set-up that is wrong is another topic than a receiver that is away, and worth its own line.
        topic = f"{self.target.signal}_{answer.verdict is Verdict.MISCONFIGURED}"
        self._log.warning(topic, kept, _NAMES[self.target.signal], wait_s, said_of(self.target, answer))

    def refused(self, answer: Answer, what: str) -> None:
        """Say once a minute what the receiver does not take for good."""
        self._log.warning(f"refused_{self.target.signal}", "%s. %s", what, said_of(self.target, answer))

    def close(self) -> None:
        """End what is under way, from whatever thread."""
        self._client.close()


_NAMES: Final = {"logs": "events", "metrics": "metrics", "traces": "spans"}
