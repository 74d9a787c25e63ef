# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.receiver_away`: a receiver that is away for ten minutes at 50 runs a second.

The process that delivers is one of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.backends import wait_until
from tests.integration.ledger.accepted import acceptance
from tests.integration.ledger.agent_program import Agent
from tests.integration.ledger.deliver_program import delivering
from tests.integration.ledger.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

OUTAGE_S: Final = 600.0
RATE: Final = 50.0
WARM: Final = 200
DRAIN_TIMEOUT_S: Final = 120.0
_MIB: Final = 1024


class OutageFigures(NamedTuple):
    """What came of it: events, seconds from the receiver's return to the last one, and memory while it was away."""

    accepted: int
    lost: int
    twice: int
    drained_s: float
    growth_mib: float

    def __str__(self) -> str:
        """One line."""
        return (
            f"accepted {self.accepted:,}, lost {self.lost}, twice {self.twice}, drained in {self.drained_s:.1f} s, "
            f"memory grew by {self.growth_mib:.1f} MiB"
        )


def measured_outage(folder: Path, outage_s: float, rate: float) -> OutageFigures:
    """Runs end at `rate` a second while the receiver is away for `outage_s` seconds."""
    url = f"sqlite:///{folder}/outcomes.db"
    with Receiver() as receiver, delivering(url, receiver.environ) as deliverer:
        with Agent(url, 0, WARM, 1_000.0) as agent:
            agent.wait()
        _arrived(receiver, WARM)
        before_mib = resident_mib(deliverer.pid)
        receiver.go_away()
        last = WARM + int(outage_s * rate)
        with Agent(url, WARM, last, rate) as agent:
            agent.process.wait(outage_s * 2 + 60)
            accepted = agent.wait()
        return _drained(receiver, accepted, deliverer.pid, before_mib)


def measured_drain(folder: Path, backlog: int) -> OutageFigures:
    """A deliverer that has just begun finds so many events waiting."""
    url = f"sqlite:///{folder}/outcomes.db"
    with opened_at(url) as store:
        store.accept([acceptance(number) for number in range(WARM)])
        with Receiver() as receiver, delivering(url, receiver.environ) as deliverer:
            _arrived(receiver, WARM)
            before_mib = resident_mib(deliverer.pid)
            receiver.go_away()
            for first in range(WARM, backlog, 500):
                store.accept([acceptance(number) for number in range(first, min(first + 500, backlog))])
            return _drained(receiver, backlog, deliverer.pid, before_mib)


@contextmanager
def opened_at(url: str) -> Iterator[Store]:
    """The ledger, open for the block."""
    store = Store.open(read_location(url))
    try:
        yield store
    finally:
        store.close()


def resident_mib(pid: int) -> float:
    """The most memory that a process has had (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / _MIB
    raise ProcessLookupError(pid)


def _arrived(receiver: Receiver, count: int) -> None:
    wait_until(lambda: sum(len(scope.log_records) for scope in _scopes(receiver)) >= count, DRAIN_TIMEOUT_S)


def _scopes(receiver: Receiver) -> Iterator[ScopeLogs]:
    for request in list(receiver.seen.logs):
        for resource in request.resource_logs:
            yield from resource.scope_logs


def _drained(receiver: Receiver, accepted: int, pid: int, before_mib: float) -> OutageFigures:
    began_s = time.monotonic()
    receiver.come_back()
    _arrived(receiver, accepted)
    drained_s = time.monotonic() - began_s
    uids = receiver.seen.uids()
    growth_mib = resident_mib(pid) - before_mib
    return OutageFigures(accepted, accepted - len(uids), uids.total() - len(uids), drained_s, growth_mib)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.receiver_away", description=__doc__)
    parser.add_argument("--seconds", type=float, default=OUTAGE_S)
    parser.add_argument("--rate", type=float, default=RATE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(measured_outage(Path(folder), options.seconds, options.rate))


if __name__ == "__main__":
    main()
