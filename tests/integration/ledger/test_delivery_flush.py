# SPDX-License-Identifier: Apache-2.0
"""Flush and shutdown tell the truth and keep their time, whatever the receiver does; so they do after a fork."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes import semconv
from agent_outcomes.ledger.delivery import deliverer as deliverer_module
from agent_outcomes.ledger.delivery import events, rounds
from agent_outcomes.ledger.delivery.deliverer import SHUTDOWN_S, Deliverer
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.spool import Spool
from agent_outcomes.ledger.writer import LedgerWriter
from agent_outcomes.settings import SettingsError
from tests.integration.backends import wait_until
from tests.integration.ledger.accepted import accept, acceptance
from tests.integration.ledger.deliveries import opened
from tests.integration.ledger.receiver import TAKEN, Receiver, turned_down
from tests.integration.otlp_sink import GRPC, OtlpSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

SLACK_S: Final = 2.5
PROTOCOL: Final = "http/protobuf"


@contextmanager
def black_hole() -> Iterator[dict[str, str]]:
    """Variables that lead to a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": PROTOCOL,
        }


@contextmanager
def deliverer_of(store: Store, environ: dict[str, str]) -> Iterator[Deliverer]:
    deliverer = Deliverer(lambda: store, read_delivery_targets(environ))
    try:
        yield deliverer
    finally:
        deliverer.shutdown(0.0)


def test_flush_is_true_when_all_has_arrived(tmp_path: Path) -> None:
    """Events and totals of all that was accepted before are at the receiver when it returns, again and again."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        for first in range(0, 50, 10):
            accept(store, first, 10)
            assert deliverer.flush(10.0)
            assert len(receiver.seen.uids()) == receiver.seen.total(semconv.AGENT_RUNS.name) == first + 10
        assert deliverer.shutdown()


def test_flush_while_others_accept(tmp_path: Path) -> None:
    """What is accepted while it waits does not keep it from returning, and what was accepted before is there."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        ending = threading.Event()

        def accept_on() -> None:
            for number in range(1_000, 10_000):
                accept(store, number, 1)
                deliverer.wake()
                if ending.is_set():
                    return

        thread = threading.Thread(target=accept_on)
        accept(store, 0, 300)
        thread.start()
        try:
            assert deliverer.flush(10.0)
            assert len(receiver.seen.uids()) >= 300
            assert receiver.seen.total(semconv.AGENT_RUNS.name) >= 300
        finally:
            ending.set()
            thread.join()


def test_flush_is_false_while_the_receiver_is_away(tmp_path: Path) -> None:
    """It returns at its time limit and says no; when the receiver is back, at once and yes."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        receiver.go_away()
        accept(store, 0, 10)
        began_s = time.monotonic()
        assert not deliverer.flush(1.5)
        assert 1.4 < time.monotonic() - began_s < 1.5 + SLACK_S
        receiver.come_back()
        assert deliverer.flush(5.0)
        assert len(receiver.seen.uids()) == 10


@pytest.mark.parametrize("protocol", [PROTOCOL, GRPC])
def test_either_protocol(tmp_path: Path, protocol: str) -> None:
    """Events and totals arrive by HTTP and by gRPC alike, with the resource and the scope that they have."""
    with opened(tmp_path) as store, OtlpSink(protocol) as sink:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        with deliverer_of(store, environ) as deliverer:
            accept(store, 0, 20)
            assert deliverer.flush(10.0)
            found = sink.received.events()
            assert len(found) == 20
            assert all(resource["service.name"] == "shop" for resource, _ in found)
            assert sum(value for _, value, _ in sink.received.points(semconv.AGENT_RUNS.name)) == 20
            assert deliverer.shutdown()


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_flush_is_false_while_one_signal_fails(tmp_path: Path, signal: str) -> None:
    """Events without totals are not all, nor are totals without events."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        setattr(receiver, f"on_{signal}", lambda _: turned_down(503))
        accept(store, 0, 3)
        assert not deliverer.flush(1.0)
        setattr(receiver, f"on_{signal}", lambda _: TAKEN)
        assert deliverer.flush(5.0)


def test_flush_tells_of_dead_letters_once(tmp_path: Path) -> None:
    """An event that was given up was not delivered; it is told by the flush that it belongs to, and by no later one."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        receiver.on_logs = lambda _: turned_down(400)
        accept(store, 0, 1)
        assert not deliverer.flush(5.0)
        receiver.on_logs = lambda _: TAKEN
        accept(store, 1, 1)
        assert deliverer.flush(5.0)


def test_a_signal_that_is_off_is_not_waited_for(tmp_path: Path) -> None:
    """With `OTEL_LOGS_EXPORTER=none` the totals alone are delivered, and the events stay."""
    with opened(tmp_path) as store, Receiver() as receiver:
        environ = receiver.environ | {"OTEL_LOGS_EXPORTER": "none"}
        with deliverer_of(store, environ) as deliverer:
            accept(store, 0, 4)
            assert deliverer.flush(5.0)
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == 4
        assert (receiver.seen.logs, store.status().waiting) == ([], 4)


def test_shutdown_before_a_black_hole(tmp_path: Path) -> None:
    """It ends in its time, says no, leaves the lease to the next, and everything in the ledger."""
    with opened(tmp_path) as store:
        accept(store, 0, 10)
        with black_hole() as environ, deliverer_of(store, environ) as deliverer:
            deliverer.start()
            wait_until(lambda: deliverer.is_delivering)
            began_s = time.monotonic()
            assert not deliverer.shutdown()
            assert time.monotonic() - began_s < SHUTDOWN_S + SLACK_S
            wait_until(lambda: not deliverer.is_delivering, 5.0)
        with Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
            assert deliverer.flush(5.0)
            assert len(receiver.seen.uids()) == 10


def test_shutdown_does_not_wait_for_a_receiver_that_is_away(tmp_path: Path) -> None:
    """One refused connection is enough to know."""
    with opened(tmp_path) as store, Receiver() as receiver:
        receiver.go_away()
        accept(store, 0, 10)
        with deliverer_of(store, receiver.environ) as deliverer:
            began_s = time.monotonic()
            assert not deliverer.shutdown()
            assert time.monotonic() - began_s < SHUTDOWN_S
        assert store.status().waiting == 10


def test_a_ledger_that_goes_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised, it is said once, and the delivery goes on when the ledger is back."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        accept(store, 0, 5)
        assert deliverer.flush(5.0)
        # Another program has it locked.
        with store.database.engine.begin():
            began_s = time.monotonic()
            assert not deliverer.flush(0.2)
            assert time.monotonic() - began_s < 0.2 + SLACK_S
        accept(store, 5, 5)
        assert deliverer.flush(5.0)
        assert len(receiver.seen.uids()) == 10
    assert sum("not delivered now" in record.message for record in caplog.records) <= 1


def test_a_forked_child_delivers_its_own(tmp_path: Path) -> None:
    """The child has a thread, a lease and a connection of its own, and what the parent had is sent by the parent."""
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        accept(store, 0, 10)
        assert deliverer.flush(10.0)

        def child() -> None:
            accept(store, 100, 10)
            deliverer.wake()
            os._exit(0 if deliverer.flush(10.0) else 1)

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(20.0)
        assert process.exitcode == 0
        accept(store, 200, 10)
        assert deliverer.flush(10.0)
        taken = receiver.seen.uids()
        assert len(taken) == receiver.seen.total(semconv.AGENT_RUNS.name) == 30
        assert set(taken.values()) == {1}


def test_what_is_committed_here_wakes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of its own process it does not have to look for, so that they are on their way at once."""
    monkeypatch.setattr(rounds, "POLL_S", 60.0)
    monkeypatch.setattr(deliverer_module, "POLL_S", 60.0)
    with opened(tmp_path) as store, Receiver() as receiver, deliverer_of(store, receiver.environ) as deliverer:
        writer = LedgerWriter(lambda: store, Spool(tmp_path / "spool"), on_committed=deliverer.wake)
        for number in range(3):
            assert writer.accept(acceptance(number))
            wait_until(lambda number=number: len(receiver.seen.uids()) == number + 1, 10.0)  # type: ignore[misc]
        writer.shutdown(2.0)


def test_what_comes_just_after_a_look_in_vain_is_sent_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk looks are further apart; who is woken in between comes back for the next one, not a poll later."""
    monkeypatch.setattr(rounds, "POLL_S", 60.0)
    monkeypatch.setattr(events, "_IDLE_SHARE", 1e9)
    monkeypatch.setattr(events, "_IDLE_MAX_S", 0.3)
    with opened(tmp_path) as store, Receiver() as receiver:
        going = rounds.Rounds(read_delivery_targets(receiver.environ | {"OTEL_METRICS_EXPORTER": "none"}))
        assert going.run(store) == 60.0
        store.accept([acceptance(1)])
        assert going.run(store) <= 0.3
        wait_until(lambda: going.run(store) is not None and len(receiver.seen.uids()) == 1, 10.0)


def test_unusable_variables_are_named() -> None:
    """What cannot be sent to is refused before anything is accepted for it."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        read_delivery_targets({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector", "OTEL_EXPORTER_OTLP_PROTOCOL": PROTOCOL})
