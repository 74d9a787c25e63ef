# SPDX-License-Identifier: Apache-2.0
"""Passing on what comes in, unchanged, to another OTLP endpoint: from bounded memory, beside all that is promised.

What is kept is on disk before a sender is answered. What is passed on is not: it waits in memory, the oldest goes when
that is full, and each loss is counted and said.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.delivery.backoff import Backoff
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otel_variables import OtlpSignal
from agent_outcomes.otlp.answers import Verdict
from agent_outcomes.otlp.client import OtlpClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.gateway.wire.intake import ExportRequest
    from agent_outcomes.otlp.answers import Answer
    from agent_outcomes.otlp.endpoints import Target

WAITING_MAX_BYTES: Final = 64 * 2**20
_GOES_ON: Final = frozenset({Verdict.RETRY, Verdict.MISCONFIGURED})
_log: Final = LimitedLog(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class ForwardCounts:
    """Requests passed on, waiting, and lost: because the other side was too slow, because it refused, at the end."""

    forwarded: int = 0
    dropped_full: int = 0
    dropped_refused: int = 0
    dropped_at_end: int = 0
    waiting_now: int = 0
    waiting_bytes_now: int = 0


class Forwarder:
    """Sends requests on in threads of its own, one a signal, each at its own pace."""

    def __init__(self, targets: Mapping[OtlpSignal, Target], waiting_max_bytes: int = WAITING_MAX_BYTES) -> None:
        share = waiting_max_bytes // len(OtlpSignal)
        self._lanes = {signal: _Lane(targets[signal], share) for signal in OtlpSignal}

    def start(self) -> None:
        """Begin to send."""
        for lane in self._lanes.values():
            lane.start()

    def offer(self, request: ExportRequest) -> None:
        """Have a request sent on when its turn comes; never waits."""
        self._lanes[request.signal].offer(request.body)

    def stop(self, grace_s: float) -> None:
        """Send what can be within `grace_s`, and give up the rest."""
        until_s = time.monotonic() + grace_s
        for lane in self._lanes.values():
            lane.end()
        for lane in self._lanes.values():
            lane.join(max(0.0, until_s - time.monotonic()))

    def counts(self) -> ForwardCounts:
        """What has become of the requests since the start."""
        lanes = list(self._lanes.values())
        return ForwardCounts(
            forwarded=sum(lane.forwarded for lane in lanes),
            dropped_full=sum(lane.dropped_full for lane in lanes),
            dropped_refused=sum(lane.dropped_refused for lane in lanes),
            dropped_at_end=sum(lane.dropped_at_end for lane in lanes),
            waiting_now=sum(lane.waiting for lane in lanes),
            waiting_bytes_now=sum(lane.waiting_bytes for lane in lanes),
        )


class _Lane:
    """The requests of one signal, in their order, and the thread that sends them."""

    def __init__(self, target: Target, waiting_max_bytes: int) -> None:
        self._target = target
        self._client = OtlpClient(target)
        self._waiting_max_bytes = waiting_max_bytes
        self._bodies: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_ending = self._is_sending = False
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"agent-outcomes-forward-{target.signal}", daemon=True)
        self.forwarded = self.dropped_full = self.dropped_refused = self.dropped_at_end = 0
        self.waiting_bytes = 0

    @property
    def waiting(self) -> int:
        return len(self._bodies)

    def start(self) -> None:
        self._thread.start()

    def offer(self, body: bytes) -> None:
        with self._changed:
            self._bodies.append(body)
            self.waiting_bytes += len(body)
            lost = 0
            while self.waiting_bytes > self._waiting_max_bytes:
                self.waiting_bytes -= len(self._bodies.popleft())
                lost += 1
            self.dropped_full += lost
            self._changed.notify()
        if lost:
            _log.warning(
                f"full-{self._target.signal}",
                "%s are not passed on as fast as they come: the oldest requests are dropped",
                self._target.signal,
            )

    def end(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def join(self, wait_s: float) -> None:
        self._thread.join(wait_s)
        with self._changed:
            self._given_up.set()
            # One that is being sent is lost as far as anybody knows: nobody waits for its answer.
            self.dropped_at_end = lost = len(self._bodies) + self._is_sending
        self._client.close()
        if lost:
            _log.warning(f"end-{self._target.signal}", "%d requests were not passed on at the end", lost)

    def _run(self) -> None:
        backoff = Backoff(random.random)
        while (body := self._next()) is not None:
            answer = self._client.send(body, self._target.timeout_s)
            if not self._note(body, answer):
                return
            if answer.verdict is not Verdict.DELIVERED:
                self._say(answer)
            if answer.verdict not in _GOES_ON:
                backoff.succeeded()
            elif self._given_up.wait(backoff.failed(answer.retry_after_s)):
                return

    def _note(self, body: bytes, answer: Answer) -> bool:
        """Count what became of a request, or keep it; false where it has been given up, and so counted, meanwhile."""
        with self._changed:
            if self._given_up.is_set():
                return False
            self._is_sending = False
            if answer.verdict in _GOES_ON:
                # What has become too old meanwhile goes first.
                self._bodies.appendleft(body)
                self.waiting_bytes += len(body)
            elif answer.verdict is Verdict.DELIVERED:
                self.forwarded += 1
            else:
                self.dropped_refused += 1
        return True

    def _next(self) -> bytes | None:
        """The next request, waited for; `None` when there is none and no more will come."""
        with self._changed:
            while not self._bodies:
                if self._is_ending:
                    return None
                self._changed.wait()
            body = self._bodies.popleft()
            self.waiting_bytes -= len(body)
            self._is_sending = True
            return body

    def _say(self, answer: Answer) -> None:
        _log.warning(
            f"answer-{self._target.signal}-{answer.reason}",
            "%s are not taken by %s: %s %s",
            self._target.signal,
            self._target.shown_endpoint,
            answer.reason.value,
            answer.message,
        )
