# SPDX-License-Identifier: Apache-2.0
"""Gateways behind a real collector with `gateway-scale-out.yaml`, on one PostgreSQL ledger, one of them killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from tests.integration.backends import free_port
from tests.integration.gateway.agent_traces import SPANS_OF_A_RUN, issued_requests, post
from tests.integration.gateway.served import Served
from tests.integration.otelcol import CONFIG_FOLDER, Collector

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG: Final = CONFIG_FOLDER / "gateway-scale-out.yaml"
SETTLE_S: Final = 1.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_US: Final = 1e6


class Outcome(NamedTuple):
    """What came of it: runs that were sent, that are missing, that are there twice; cents too many or too few."""

    runs: int
    missing: int
    twice: int
    counted: int
    cents_off: int
    cpu_us_per_span: float
    took_s: float


def run_behind_collector(binary: Path, folder: Path, ledger: str, *, runs: int, gateways: int, seed: int) -> Outcome:
    """Send runs through a collector to `gateways` (1 or 2) gateways; of two the first is killed half way."""
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        served = [stack.enter_context(_gateway(folder, ledger, number, ports[number])) for number in range(gateways)]
        endpoints = {
            f"GATEWAY_{number + 1}_ENDPOINT": f"http://127.0.0.1:{ports[number % gateways]}" for number in range(2)
        }
        collector = stack.enter_context(Collector(binary, folder, (CONFIG,), endpoints))
        began_s = time.monotonic()
        sent: dict[str, int] = {}
        for issued in issued_requests(runs, 50, seed):
            post(collector.http_endpoint, "traces", issued.body)
            sent |= dict(issued.runs)
            if gateways > 1 and len(sent) * 2 >= runs and not served[0].restarts:
                served[0].kill_and_restart()
        store = Store.open(read_location(ledger))
        served[0].wait_for(lambda: store.status().runs >= runs, timeout_s=60 + runs / 50)
        took_s = time.monotonic() - began_s
        cpu_s = sum(gateway.cpu_s() for gateway in served)
        outcome = _compared(store, sent, cpu_s / (runs * SPANS_OF_A_RUN) * _US, took_s)
        store.close()
        return outcome


def _compared(store: Store, sent: dict[str, int], cpu_us: float, took_s: float) -> Outcome:
    found = Counter[str]()
    cents = 0
    for row in store.runs(RunFilter()):
        found[row.outcome_id] += 1
        content = row.standing.content
        if content is not None and content.outcome.value is not None:
            cents += int(content.outcome.value * 100)
    totals = [row for row in store.series().totals if row.instrument == "agent.runs"]
    return Outcome(
        runs=len(sent),
        missing=len(sent.keys() - found.keys()),
        twice=sum(count - 1 for count in found.values()),
        counted=int(sum((Decimal(row.amount) for row in totals), Decimal(0))),
        cents_off=cents - sum(sent.values()),
        cpu_us_per_span=cpu_us,
        took_s=took_s,
    )


class _Restarted(Served):
    """A gateway that counts the CPU time of all its processes, killed ones too, from when they have started."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.restarts = 0
        self._spent_s = 0.0
        super().__init__(folder, *options)

    def start(self) -> None:
        """Start it; what that takes is not counted."""
        super().start()
        self._spent_s -= _cpu_s(self.pid)

    def kill_and_restart(self) -> None:
        """End it as a power cut would, and start it again."""
        self._spent_s += _cpu_s(self.pid)
        self.stop(signal.SIGKILL)
        self.start()
        self.restarts += 1

    def cpu_s(self) -> float:
        """CPU time of its processes so far."""
        return self._spent_s + _cpu_s(self.pid)


def _gateway(folder: Path, ledger: str, number: int, port: int) -> _Restarted:
    own = folder / f"gateway-{number}"
    own.mkdir()
    options = (f"--ledger={ledger}", f"--otlp-http=127.0.0.1:{port}", "--otlp-grpc=none", f"--settle-after={SETTLE_S}")
    return _Restarted(own, options)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
