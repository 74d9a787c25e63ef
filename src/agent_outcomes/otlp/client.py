# SPDX-License-Identifier: Apache-2.0
"""A strict OTLP client: one request, one answer, and no word of success that the receiver has not given."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from agent_outcomes.otel_variables import GRPC
from agent_outcomes.otlp.answers import Answer, Failure, without_answer
from agent_outcomes.otlp.endpoints import redacted
from agent_outcomes.otlp.untraced import untraced

if TYPE_CHECKING:
    from agent_outcomes.otlp.endpoints import Target


class _Transport(Protocol):
    def send(self, payload: bytes, timeout_s: float) -> Answer: ...

    def answer_to(self, error: Exception) -> Answer: ...

    def close(self) -> None: ...


# Connections that a forked child has from its parent: to close one would end the parent's.
_inherited: Final[list[_Transport]] = []


class OtlpClient:
    """Sends serialised `Export*ServiceRequest`s of one signal to one target, one after the other.

    The connection is made by the first request, which imports the library it takes, kept open for the next, and made
    anew in a forked child. It does not try again, follows no redirect and makes no spans. Any thread may use it.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._is_closed = False
        self._transport: _Transport | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def send(self, payload: bytes, timeout_s: float) -> Answer:
        """The receiver's answer, in `timeout_s` seconds at most. Never raises.

        Of that time it keeps all but what the system's own look-up of a host name takes.
        """
        until_s = time.monotonic() + timeout_s
        self._leave_parents()
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return without_answer(Failure.TIMEOUT, "another request was under way")
        try:
            return untraced(lambda: self._sent(payload, until_s))
        finally:
            self._lock.release()

    def prepare(self) -> None:
        """Import what the protocol takes, if the first request is not the moment for that. Never raises.

        What fails now will be the first request's answer.
        """
        with contextlib.suppress(Exception):
            self._leave_parents()
            if self._transport is None:
                self._transport = _transport(self.target)

    def close(self) -> None:
        """End what is under way, from whatever thread, and answer `CLOSED` from now on. Never raises."""
        self._is_closed = True
        transport = self._transport
        if transport is not None and self._pid == os.getpid():
            transport.close()

    def _leave_parents(self) -> None:
        """In a forked child the lock may have been held, and the connection is the parent's."""
        if self._pid != os.getpid():
            if self._transport is not None:
                _inherited.append(self._transport)
            self._transport, self._lock, self._pid = None, threading.Lock(), os.getpid()

    def _sent(self, payload: bytes, until_s: float) -> Answer:
        try:
            if self._transport is None:
                self._transport = _transport(self.target)
            if self._is_closed:
                self._transport.close()
                return without_answer(Failure.CLOSED, "")
            return self._transport.send(payload, max(0.0, until_s - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - clients raise a dozen classes, and each means: no answer
            if self._is_closed:
                return without_answer(Failure.CLOSED, "")
            if self._transport is None:
                words = redacted(f"{type(error).__name__}: {error}", self.target.secrets)
                return without_answer(Failure.CANNOT_SEND, words)
            return self._transport.answer_to(error)


def _transport(target: Target) -> _Transport:
    if target.protocol == GRPC:
        from agent_outcomes.otlp.grpc_transport import GrpcTransport  # noqa: PLC0415 - imports grpc

        return GrpcTransport(target)
    from agent_outcomes.otlp.http_transport import HttpTransport  # noqa: PLC0415 - imports urllib3

    return HttpTransport(target)
