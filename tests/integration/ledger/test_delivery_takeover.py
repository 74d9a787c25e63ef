# SPDX-License-Identifier: Apache-2.0
"""Several processes may deliver one ledger, one does: another follows within the lease when it is killed or stuck."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import select

from agent_outcomes import semconv
from agent_outcomes.ledger import schema
from agent_outcomes.ledger.delivery.deliverer import Deliverer
from agent_outcomes.ledger.delivery.holders import is_gone, this_process
from agent_outcomes.ledger.delivery.lease import HELD_S, LEASE_S, TAKEOVER_S, Lease
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.clock import Clock
from tests.integration.backends import wait_until
from tests.integration.ledger.accepted import accept
from tests.integration.ledger.deliver_program import delivering
from tests.integration.ledger.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.backends

OFTEN: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}
PID_FIELD: Final = 2


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = Store.open(read_location(ledger_url))
    yield store
    store.close()


def holder_of(store: Store) -> int | None:
    """The id of the process that holds the lease."""
    with store.database.reading() as connection:
        found = connection.execute(select(schema.lease.c.holder)).scalar()
    return int(found.split("/")[PID_FIELD]) if found else None


def arrived(receiver: Receiver, count: int) -> bool:
    return len(receiver.seen.uids()) == count and receiver.seen.total(semconv.AGENT_RUNS.name) == count


def test_a_killed_one_is_followed_at_once(store: Store, ledger_url: str) -> None:
    """On one host SIGKILL is seen by the process being gone; no event is lost, and the sums go on where they were."""
    with Receiver() as receiver, ExitStack() as running:
        environ = receiver.environ | OFTEN
        first = running.enter_context(delivering(ledger_url, environ))
        accept(store, 0, 100)
        wait_until(lambda: arrived(receiver, 100))
        assert holder_of(store) == first.pid
        second = running.enter_context(delivering(ledger_url, environ))
        accept(store, 100, 100)
        wait_until(lambda: arrived(receiver, 200))
        assert holder_of(store) == first.pid
        first.kill()
        killed_at_s = time.monotonic()
        accept(store, 200, 100)
        wait_until(lambda: arrived(receiver, 300))
        assert time.monotonic() - killed_at_s < LEASE_S / 2
        assert holder_of(store) == second.pid
        assert set(receiver.seen.uids().values()) == {1}


@pytest.mark.timeout(120)
def test_a_stuck_one_is_followed_within_the_lease(store: Store, ledger_url: str) -> None:
    """One that is there but does nothing any more, as on another host, is followed, too, and knows it later."""
    with Receiver() as receiver, ExitStack() as running:
        environ = receiver.environ | OFTEN
        first = running.enter_context(delivering(ledger_url, environ))
        wait_until(lambda: holder_of(store) == first.pid)
        second = running.enter_context(delivering(ledger_url, environ))
        accept(store, 0, 50)
        wait_until(lambda: arrived(receiver, 50))
        os.kill(first.pid, signal.SIGSTOP)
        stopped_at_s = time.monotonic()
        accept(store, 50, 50)
        wait_until(lambda: holder_of(store) == second.pid)
        assert time.monotonic() - stopped_at_s <= LEASE_S
        wait_until(lambda: arrived(receiver, 100))
        os.kill(first.pid, signal.SIGCONT)
        accept(store, 100, 50)
        wait_until(lambda: arrived(receiver, 150))
        assert holder_of(store) == second.pid


def test_one_that_ends_in_order_leaves_the_lease(store: Store, ledger_url: str) -> None:
    """SIGTERM: what waits is delivered first, then the lease is free for the next, with nothing to wait for."""
    with Receiver() as receiver:
        with delivering(ledger_url, receiver.environ) as process:
            wait_until(lambda: holder_of(store) == process.pid)
            accept(store, 0, 700)
            process.terminate()
            assert process.wait(10) == 0
        assert len(receiver.seen.uids()) == 700
        assert holder_of(store) is None
        assert receiver.seen.total(semconv.AGENT_RUNS.name) == 700


def test_the_others_do_not_deliver(store: Store, ledger_url: str) -> None:
    """Of four processes at once one delivers: no event comes twice."""
    with Receiver() as receiver, ExitStack() as running:
        processes = [running.enter_context(delivering(ledger_url, receiver.environ | OFTEN)) for _ in range(4)]
        for first in range(0, 400, 20):
            accept(store, first, 20)
        wait_until(lambda: arrived(receiver, 400))
        assert set(receiver.seen.uids().values()) == {1}
        assert holder_of(store) in {process.pid for process in processes}


def test_flush_of_one_that_does_not_deliver(store: Store, ledger_url: str) -> None:
    """It asks the one that does, totals included, and is answered long before the next export is due."""
    with Receiver() as receiver, delivering(ledger_url, receiver.environ) as process:
        wait_until(lambda: holder_of(store) == process.pid)
        wait_until(lambda: receiver.seen.metrics)
        deliverer = Deliverer(lambda: store, read_delivery_targets(receiver.environ))
        accept(store, 0, 30)
        began_s = time.monotonic()
        assert deliverer.flush(8.0)
        assert time.monotonic() - began_s < 5.0
        assert arrived(receiver, 30)
        assert not deliverer.is_delivering
        deliverer.shutdown()


def elsewhere(number: int) -> str:
    """The name of a process of another host."""
    return f"another-host/4026531836/{number}/99/abcdef"


def test_lease_by_the_clock(store: Store) -> None:
    """Held from a renewal on for `HELD_S`, taken over `TAKEOVER_S` after the last one that was seen, never by two."""
    clock = Clock()
    first, second = Lease(elsewhere(1), clock), Lease(elsewhere(2), clock)
    assert first.hold(store.database)
    assert not second.hold(store.database)
    for _ in range(20):
        clock.now_s += 4.0
        assert first.hold(store.database)
        assert not second.hold(store.database)
    clock.now_s += HELD_S
    assert not first.is_held
    assert not second.hold(store.database)
    clock.now_s += TAKEOVER_S - HELD_S
    assert second.hold(store.database)
    assert not first.hold(store.database)
    assert not first.is_held
    second.release(store.database)
    assert first.hold(store.database)


def test_many_that_come_at_once(ledger_url: str, store: Store) -> None:
    """Of twenty threads that ask at the same moment for a lease that nobody holds one gets it."""
    del ledger_url
    gate = threading.Barrier(20)
    leases = [Lease(elsewhere(number)) for number in range(20)]

    def ask(lease: Lease) -> None:
        gate.wait()
        lease.hold(store.database)

    threads = [threading.Thread(target=ask, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.is_held for lease in leases].count(True) == 1


def test_names_of_processes() -> None:
    """A process that is there is not gone; one that has ended is; of other hosts nothing is known."""
    own = this_process()
    assert not is_gone(str(own))
    assert is_gone(str(own._replace(start="1")))
    assert is_gone(str(own._replace(pid="4194305")))
    for unknown in (own._replace(boot="another"), own._replace(space="1"), own._replace(start="-")):
        assert not is_gone(str(unknown._replace(pid="4194305")))
    for name in ("", "x", "a/b/c/d/e", "-/-/-/-/-"):
        assert not is_gone(name)
    assert str(this_process()) != str(own)
