# SPDX-License-Identifier: Apache-2.0
"""Passing on to a receiver that is there, is slow, refuses, or is away."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agent_outcomes.gateway.serving.forwarding import Forwarder
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing
from agent_outcomes.otel_variables import HTTP, OtlpSignal
from agent_outcomes.otlp.endpoints import target_at
from tests.integration.backends import free_port, wait_until
from tests.integration.scripted_receiver import HttpReceiver, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.otlp.endpoints import Target

pytestmark = pytest.mark.backends
GRACE_S: Final = 5.0


def targets(port: int) -> Mapping[OtlpSignal, Target]:
    return {signal: target_at(f"http://127.0.0.1:{port}", signal, {}, HTTP) for signal in OtlpSignal}


def logs(number: int, size: int = 0) -> ExportRequest:
    """A request that can be told from others, of about so many bytes."""
    made = ExportLogsServiceRequest()
    record = made.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = number
    record.body.string_value = "x" * size
    body = made.SerializeToString()
    return ExportRequest(OtlpSignal.LOGS, body, body, Packing.IDENTITY)


def numbers(receiver: HttpReceiver) -> list[int]:
    return [record.time_unix_nano for record in receiver.taken.records()]


def test_what_is_offered_arrives_unchanged_and_in_order() -> None:
    """All of a signal, in the order in which it came."""
    receiver = HttpReceiver()
    forwarder = Forwarder(targets(receiver.port))
    forwarder.start()
    sent = [logs(number, number * 7) for number in range(100)]
    for request in sent:
        forwarder.offer(request)
    forwarder.stop(GRACE_S)
    assert [request.SerializeToString() for request in receiver.taken.logs] == [request.body for request in sent]
    counts = forwarder.counts()
    assert (counts.forwarded, counts.waiting_now, counts.dropped_at_end) == (100, 0, 0)


def test_a_receiver_that_is_away_for_a_while_loses_nothing_that_fits() -> None:
    """Tried again until it takes it."""
    receiver = HttpReceiver(lambda _path, number, _body: Reply(503) if number == 1 else None)
    forwarder = Forwarder(targets(receiver.port))
    forwarder.start()
    for number in range(3):
        forwarder.offer(logs(number))
    wait_until(lambda: forwarder.counts().forwarded == 3, timeout_s=20)
    forwarder.stop(GRACE_S)
    assert numbers(receiver) == [0, 1, 2]


def test_what_is_refused_is_counted_and_holds_up_nothing() -> None:
    """One that cannot be taken as it is goes, the next is sent."""
    receiver = HttpReceiver(lambda _path, number, _body: Reply(400) if number == 2 else None)
    forwarder = Forwarder(targets(receiver.port))
    forwarder.start()
    for number in range(4):
        forwarder.offer(logs(number))
    forwarder.stop(GRACE_S)
    assert numbers(receiver) == [0, 2, 3]
    assert (forwarder.counts().forwarded, forwarder.counts().dropped_refused) == (3, 1)


def test_memory_is_bounded_and_the_oldest_goes() -> None:
    """While one is being sent and does not get on, only so much waits behind it; each one lost is counted."""
    going_on, at_work = threading.Event(), threading.Event()

    def first_waits(_path: str, number: int, _body: bytes) -> Reply | None:
        if number == 1:
            at_work.set()
            going_on.wait(GRACE_S)
        return None

    receiver = HttpReceiver(first_waits)
    forwarder = Forwarder(targets(receiver.port), waiting_max_bytes=3 * 10_000)
    forwarder.start()
    forwarder.offer(logs(0))
    assert at_work.wait(GRACE_S)
    for number in range(1, 31):
        forwarder.offer(logs(number, 970))
    counts = forwarder.counts()
    assert counts.waiting_bytes_now <= 10_000
    assert counts.dropped_full == 30 - counts.waiting_now
    going_on.set()
    forwarder.stop(GRACE_S)
    assert numbers(receiver) == [0, *range(31 - counts.waiting_now, 31)]


def test_the_end_does_not_wait_for_one_that_is_away() -> None:
    """What is left is given up within the time, and counted."""
    forwarder = Forwarder(targets(free_port()))
    forwarder.start()
    for number in range(5):
        forwarder.offer(logs(number))
    forwarder.stop(0.3)
    assert forwarder.counts().dropped_at_end == 5


@pytest.mark.parametrize("status", [200, 400, 503, None])
@pytest.mark.parametrize("behind", [0, 3])
def test_each_request_is_counted_once_whenever_the_end_comes(status: int | None, behind: int) -> None:
    """Also the one that is being sent when it comes, whatever is answered later, or nothing ever."""
    at_work, going_on = threading.Event(), threading.Event()

    def waits(_path: str, _number: int, _body: bytes) -> Reply | None:
        at_work.set()
        going_on.wait(GRACE_S if status is None else 0.5)
        return Reply(status or 200)

    receiver = HttpReceiver(waits)
    forwarder = Forwarder(targets(receiver.port))
    forwarder.start()
    for number in range(1 + behind):
        forwarder.offer(logs(number))
    assert at_work.wait(GRACE_S)
    forwarder.stop(0.2)
    counts = forwarder.counts()
    assert (counts.forwarded, counts.dropped_refused, counts.dropped_at_end) == (0, 0, 1 + behind)
    going_on.set()
    time.sleep(0.5)
    assert forwarder.counts() == counts
