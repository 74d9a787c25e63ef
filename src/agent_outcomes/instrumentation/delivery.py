# SPDX-License-Identifier: Apache-2.0
"""One private pipeline's way out: the strict client, when it is tried again, and what is said of what does not arrive.

The client is made by the thread that sends first, and never by the application's.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from random import SystemRandom
from typing import TYPE_CHECKING, Final, Protocol

from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.otel_variables import OTLP_PREFIX, OtlpSignal
from agent_outcomes.otlp.answers import Answer, Failure, Reason, Verdict, without_answer
from agent_outcomes.otlp.client import OtlpClient
from agent_outcomes.otlp.endpoints import DEFAULT_TIMEOUT_S, usable_target
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

# Not the shared one, whose numbers are the application's if it has seeded it; nor a state that forked children share.
_random: Final = SystemRandom()
NO_ANSWER: Final = "there was no answer in time"
NOBODY_LISTENS: Final = "nothing listens there"
_FIRST_WAIT_S: Final = 0.5
_WAIT_MAX_S: Final = 5.0
_WAIT_OF_MISCONFIGURED_S: Final = 30.0
_JITTER: Final = 0.2
_DOUBLINGS_MAX: Final = 6
_FORK_WAITS_MAX_S: Final = 5.0
# A try that fails alone is a restart of the receiver, and nothing to read of.
_SAID_AFTER: Final = 2
_REASON_LENGTH_MAX: Final = 300
_FIX: Final = (
    "Is a collector running there? Set OTEL_EXPORTER_OTLP_ENDPOINT to where one is, or OTEL_LOGS_EXPORTER=none and "
    "OTEL_METRICS_EXPORTER=none to export none; the command agent-outcomes doctor looks for the cause"
)

_log: Final = LimitedLog(logging.getLogger(__name__))


class PipelineEnd(Protocol):
    """The end of a pipeline, behind which what it was given waits until the receiver has it.

    `is_whole`: whether the last flush delivered all that had come since the one before.
    """

    delivery: Delivery
    is_whole: bool

    def waiting(self) -> int:
        """How many items the receiver does not have."""
        ...

    def give_up(self) -> int:
        """Send nothing any more; how many items that lost, which are counted. Never raises."""
        ...

    def after_fork_in_child(self) -> None:
        """What waits is the parent's, and locks may have been held."""
        ...


class Delivery:
    """Sends requests of one signal, one at a time, over a client made when the first one leaves.

    Attributes: `failed_count`, the requests that were not delivered; `failed_in_row`, those since one was answered for
    good; `last`, what was said to the last one.
    """

    def __init__(self, signal: OtlpSignal, protocol: str, what: str) -> None:
        self.failed_count = 0
        self.last: Answer | None = None
        self.what = what
        self._signal = signal
        self._protocol = protocol
        self._client: OtlpClient | None = None
        self.failed_in_row = 0
        self._next_at_s = 0.0
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing is sent any more."""
        return self._closed.is_set()

    @property
    def timeout_s(self) -> float:
        """How long one batch is tried at a time: `OTEL_EXPORTER_OTLP_TIMEOUT` or that of the signal."""
        return self._client.target.timeout_s if self._client is not None else DEFAULT_TIMEOUT_S

    def due_in_s(self) -> float:
        """The seconds until it is worth while to try again."""
        return max(0.0, self._next_at_s - time.monotonic())

    def send(self, payload: bytes, until_s: float) -> Answer:
        """The receiver's answer to one request, at the latest then (in monotonic seconds). Never raises."""
        answer = self._answer(payload, until_s)
        self._note(answer)
        return answer

    def cannot_send(self, error: Exception) -> Answer:
        """The answer to what could not even be made ready for sending, told of and tried again. Never raises.

        The text of an error of the system's or of an import holds nothing of what was to be sent; of others there is
        only the class.
        """
        is_told = isinstance(error, OSError | ImportError)
        text = f": {error}" if is_told else ""
        answer = without_answer(Failure.CANNOT_SEND, f"{type(error).__name__}{text}")
        self._note(answer)
        return answer

    def keep_trying(self, attempt: Callable[[], Answer | None], until_s: float) -> Answer | None:
        """Attempt until there is nothing to answer for, or no time; the last answer. Never raises.

        What is misconfigured mends itself least of all, so that it is tried twice.
        """
        misconfigured = 0
        while (answer := attempt()) is not None:
            misconfigured += answer.verdict is Verdict.MISCONFIGURED
            wait_s = self.due_in_s()
            if misconfigured > 1 or time.monotonic() + wait_s >= until_s or self._closed.wait(wait_s):
                break
        return answer

    def close(self) -> None:
        """Give up what is under way and all that comes. Never raises."""
        self._closed.set()
        if self._client is not None:
            self._client.close()

    def is_refused(self) -> bool:
        """Whether nothing listened there when something was sent last."""
        return self.last is not None and self.last.reason is Reason.CONNECTION_REFUSED

    def complain(self, waiting: int, reason: str = "") -> None:
        """Say what waits for the receiver, and why. Never raises."""
        # One topic for both signals: most often they have one endpoint.
        _log.warning(
            "waiting",
            "agent outcome %s wait in memory (%d so far) as they could not be delivered to %s: %s. %s",
            self.what,
            waiting,
            self._shown_endpoint(),
            self._words(reason),
            _FIX,
        )

    def complain_of_loss(self, count: int, reason: str = "") -> None:
        """Say what the receiver will never have, and why. Never raises."""
        _log.warning(
            "undelivered",
            "%d agent outcome %s were not delivered to %s: %s. %s",
            count,
            self.what,
            self._shown_endpoint(),
            self._words(reason),
            _FIX,
        )

    def complain_if_it_lasts(self, waiting: int) -> None:
        """Say what waits, from the second try in a row that failed. Never raises."""
        is_told = self.last is not None and self.last.reason is Reason.CANNOT_SEND
        if self.failed_in_row >= _SAID_AFTER and not self.is_closed and not is_told:
            self.complain(waiting)

    def after_fork_in_child(self) -> None:
        """Another thread may have been at it."""
        is_closed = self.is_closed
        self._closed = threading.Event()
        if is_closed:
            self._closed.set()

    def _answer(self, payload: bytes, until_s: float) -> Answer:
        try:
            client = self._made()
        except SettingsError as error:
            return without_answer(Failure.CANNOT_SEND, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was sent, and may be sent later
            return without_answer(Failure.CANNOT_SEND, type(error).__name__)
        if self._closed.is_set():
            return without_answer(Failure.CLOSED, "")
        return client.send(payload, min(self.timeout_s, max(0.0, until_s - time.monotonic())))

    def _made(self) -> OtlpClient:
        # Two threads that import parts of one package at once may see it half made.
        with making.lock:
            if self._client is None:
                variable = f"{OTLP_PREFIX}{self._signal.name}_PROTOCOL"
                self._client = OtlpClient(usable_target(self._signal, {**os.environ, variable: self._protocol}))
            self._client.prepare()
        return self._client

    def _note(self, answer: Answer) -> None:
        self.last = answer
        self.failed_count += answer.verdict is not Verdict.DELIVERED
        if answer.verdict in {Verdict.DELIVERED, Verdict.REFUSED}:
            self.failed_in_row, self._next_at_s = 0, 0.0
            return
        longest_s = _WAIT_OF_MISCONFIGURED_S if answer.verdict is Verdict.MISCONFIGURED else _WAIT_MAX_S
        wait_s = min(_FIRST_WAIT_S * 2 ** min(self.failed_in_row, _DOUBLINGS_MAX), longest_s)
        self.failed_in_row += 1
        # Not a secret: many processes that lost one receiver shall not come back to it all at once.
        wait_s *= _random.uniform(1 - _JITTER, 1 + _JITTER)
        self._next_at_s = time.monotonic() + max(wait_s, answer.retry_after_s or 0.0)
        if answer.reason is Reason.CANNOT_SEND:
            self._complain_of_settings(answer.message)

    def _complain_of_settings(self, reason: str) -> None:
        _log.warning(
            f"not_made_{self.what}",
            "agent outcome %s are not exported: no OTLP exporter could be made: %s; "
            "look at the OTEL_EXPORTER_OTLP_* and OTEL_*_EXPORT_* variables",
            self.what,
            reason,
        )

    def _shown_endpoint(self) -> str:
        if self._client is None:
            return "the receiver"
        return self._client.target.shown_url

    def _words(self, reason: str) -> str:
        if not reason and self.last is not None:
            words = f": {self.last.message}" if self.last.message else ""
            reason = f"{self.last.reason.replace('_', ' ')}{words}"
        return (reason or NO_ANSWER)[:_REASON_LENGTH_MAX].rstrip(". ")


class _Making:
    """The lock under which clients are imported and made; a fork waits for it, `_FORK_WAITS_MAX_S` at most.

    A child forked amid an import has the module half made for good, as the thread that would go on is the parent's.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal may interrupt the thread that holds it, and its handler fork.
        self.lock = threading.RLock()
        self._forking = threading.local()

    def before_fork(self) -> None:
        """Wait until nothing is half made. Never raises."""
        self._forking.is_held = self.lock.acquire(timeout=_FORK_WAITS_MAX_S)

    def after_fork_in_parent(self) -> None:
        """Go on as before. Never raises."""
        if getattr(self._forking, "is_held", False):
            self._forking.is_held = False
            self.lock.release()

    def after_fork_in_child(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self.lock = threading.RLock()


making: Final = _Making()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=making.before_fork,
        after_in_parent=making.after_fork_in_parent,
        after_in_child=making.after_fork_in_child,
    )
