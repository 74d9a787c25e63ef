# SPDX-License-Identifier: Apache-2.0
"""A gateway that is ended again and again, by SIGKILL and in good order, while many send to it."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from tests.integration.backends import free_port
from tests.integration.gateway.agent_traces import issued_requests, post
from tests.integration.gateway.served import Served

if TYPE_CHECKING:
    from pathlib import Path

SETTLE_S: Final = 0.2
RETRY_S: Final = 0.05
_ENDS: Final = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
_PAUSE_MAX_S: Final = 1.0


class KillFigures(NamedTuple):
    """What came of it."""

    acknowledged: int
    lost: int
    counted: int
    twice: int
    cents_off: int
    ends: int
    resent: int


class _Sender(threading.Thread):
    """Sends its requests one after the other, each until it is acknowledged, as a sender with a queue does."""

    def __init__(self, url: str, runs: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._requests = list(issued_requests(runs, 5, seed))
        self.acknowledged: dict[str, int] = {}
        self.resent = 0

    def run(self) -> None:
        for issued in self._requests:
            while not self._is_taken(issued.body):
                self.resent += 1
                time.sleep(RETRY_S)
            self.acknowledged |= dict(issued.runs)
            time.sleep(RETRY_S)

    def _is_taken(self, body: bytes) -> bool:
        try:
            return post(self._url, "traces", body) == 200
        except OSError:
            return False


def killed_under_senders(folder: Path, *, kills: int, senders: int, runs: int, seed: int) -> KillFigures:
    """End the gateway `kills` times, two of three by SIGKILL, while `senders` send `runs` runs each."""
    dice = random.Random(seed)
    port = free_port()
    options = (f"--otlp-http=127.0.0.1:{port}", "--otlp-grpc=none", f"--settle-after={SETTLE_S}")
    with Served(folder, *options) as gateway:
        sending = [_Sender(gateway.otlp_http, runs, seed * 1000 + number) for number in range(senders)]
        for sender in sending:
            sender.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0, _PAUSE_MAX_S))
            gateway.stop(dice.choice(_ENDS))
            gateway.start()
        for sender in sending:
            sender.join(120)
            assert not sender.is_alive()
        sent = {name: cents for sender in sending for name, cents in sender.acknowledged.items()}
        store = Store.open(read_location(gateway.ledger), create=False)
        gateway.wait_for(lambda: store.status().runs >= len(sent), timeout_s=60)
        figures = _compared(store, sent, kills, sum(sender.resent for sender in sending))
        store.close()
        return figures


def _compared(store: Store, sent: dict[str, int], ends: int, resent: int) -> KillFigures:
    found = Counter(row.outcome_id for row in store.runs(RunFilter()))
    totals = store.series().totals
    worth = [row.amount for row in totals if row.instrument == "agent.outcome.value"]
    return KillFigures(
        acknowledged=len(sent),
        lost=len(sent.keys() - found.keys()),
        counted=sum(int(row.amount) for row in totals if row.instrument == "agent.runs"),
        twice=sum(count - 1 for count in found.values()),
        cents_off=int(sum(map(Decimal, worth), Decimal(0)) * 100) - sum(sent.values()),
        ends=ends,
        resent=resent,
    )
