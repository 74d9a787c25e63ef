# SPDX-License-Identifier: Apache-2.0
"""A ledger that several processes use: clients that retry, forks at any moment, a server that comes and goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.refusals import RefusalCode, ReportRefused
from agent_outcomes.ledger.location import LedgerUnavailable, read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import pending
from tests.postgresql import running_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


def test_sixteen_clients_retry(ledger_url: str) -> None:
    """However often and in whatever order they do it: one run, one revision and one count of each."""
    command = [sys.executable, "-m", "tests.ledger_clients", ledger_url, "--subjects", "12", "--retries", "800"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def in_child(act: Callable[[], object]) -> int:
    """Fork, do it in the child, and give the child's exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def test_child_has_connections_of_its_own(ledger_url: str) -> None:
    """Parent and child go on with the same store, and neither ends the other's sessions."""
    store = Store.open(read_location(ledger_url))
    store.accept([pending(1)])
    assert in_child(lambda: store.accept([pending(2), pending(1)])) == 0
    store.accept([pending(3)])
    assert in_child(lambda: Store.open(read_location(ledger_url)).accept([pending(4)])) == 0
    assert in_child(store.close) == 0
    store.accept([pending(5)])
    assert store.status().runs == 5
    assert sum(row.amount for row in store.series().totals if row.instrument == "agent.runs") == 5
    store.close()


def test_fork_in_the_midst_of_a_transaction(ledger_url: str) -> None:
    """A child that is made while another thread writes has its own lock, and what that thread did is not its own."""
    store = Store.open(read_location(ledger_url))
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        number = 1000
        while not stop.is_set():
            store.accept([pending(number)])
            written.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        codes = [in_child(partial(store.accept, [pending(number)])) for number in range(1, 9)]
    finally:
        stop.set()
        writer.join()
    assert codes == [0] * 8
    assert store.status().runs == 8 + len(written)
    store.close()


def test_server_goes_and_comes_back() -> None:
    """While it is away nothing is stored and reports may be made again; afterwards the same store works on."""
    with running_postgresql(durable=True) as server:
        location = read_location(server.url(server.new_database()))
        store = Store.open(location)
        store.accept([pending(1, run_id="r")])
        server.stop(signal.SIGQUIT)
        with pytest.raises(LedgerUnavailable, match=r"cannot be reached|the server"):
            store.accept([pending(2)])
        with pytest.raises(ReportRefused) as raised:
            store.report(read_report(run_id="r", success=True), now_ns=time.time_ns())
        assert (raised.value.code, raised.value.retryable) == (RefusalCode.LEDGER_UNAVAILABLE, True)
        with pytest.raises(LedgerUnavailable):
            store.status()
        server.start()
        store.accept([pending(2)])
        assert store.report(read_report(run_id="r", success=True), now_ns=time.time_ns()).revision == 1
        assert (store.status().runs, store.status().accepted) == (2, 3)
        store.close()


def test_killed_server_loses_nothing() -> None:
    """What was accepted is there after the server's processes were killed."""
    with running_postgresql(durable=True) as server:
        store = Store.open(read_location(server.url(server.new_database())))
        for number in range(1, 21):
            store.accept([pending(number)])
        os.killpg(server.pid, signal.SIGKILL)
        server.stop(signal.SIGKILL)
        server.start()
        assert store.status().runs == 20
        store.close()
