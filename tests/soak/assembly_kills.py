# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.assembly_kills`: an assembly is killed by SIGKILL while senders send it spans of runs.

Each run comes in several requests, some of them twice, its root last, and each is sent until it is acknowledged. In the
end the ledger must have every run once, with all that it has used.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from tests.assembled import pieces_of
from tests.exported import LOCAL, Sent, agent, chat
from tests.soak.assembly_server import LENGTH, TAKEN

SENDERS: Final = 8
CALLS: Final = 4
TOKENS: Final = 10
ANSWER_MAX_S: Final = 10.0
DRAINED_MAX_S: Final = 60.0


@dataclass
class Figures:
    """What was seen: runs that were acknowledged whole, and what the ledger has of them."""

    kills: int = 0
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    twice: int = 0
    wrong_tokens: int = 0
    first_difference: str | None = None
    restarts_s: list[float] = field(default_factory=list)


class Killing:
    """The server, started again whenever it was killed, and its senders."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._url = f"sqlite:///{folder / 'ledger.db'}"
        self._chance = random.Random(seed)
        self._port = 0
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.figures = Figures()

    def run(self, kills: int, pause_s: float) -> Figures:
        senders = [
            threading.Thread(target=self._send_all, args=(number, self._chance.random())) for number in range(SENDERS)
        ]
        server = self._start()
        for sender in senders:
            sender.start()
        for _ in range(kills):
            time.sleep(self._chance.uniform(0.0, pause_s))
            with server:
                server.kill()
            self.figures.kills += 1
            server = self._start()
        self._is_over.set()
        for sender in senders:
            sender.join()
        self._await_runs()
        server.communicate("")
        assert server.returncode == 0
        self._judge()
        return self.figures

    def _start(self) -> subprocess.Popen[str]:
        started_s = time.monotonic()
        command = [sys.executable, "-m", "tests.soak.assembly_server", str(self._folder / "state"), self._url]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        self._port = int(server.stdout.readline())
        self.figures.restarts_s.append(time.monotonic() - started_s)
        return server

    def _send_all(self, sender: int, seed: float) -> None:
        chance, number = random.Random(seed), 0
        connection: socket.socket | None = None
        while not self._is_over.is_set():
            number += 1
            trace = f"{sender + 1:08x}{number:024x}"
            for request in requests_of(trace, chance):
                while not (connection := self._sent(connection, request)):
                    time.sleep(0.02)
            with self._lock:
                self.figures.acknowledged.add(f"{trace}-{1:016x}")
        if connection is not None:
            connection.close()

    def _sent(self, connection: socket.socket | None, request: bytes) -> socket.socket | None:
        """The connection on which it was acknowledged; `None` if it was not."""
        try:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", self._port), ANSWER_MAX_S)
            connection.sendall(LENGTH.pack(len(request)) + request)
            if connection.recv(1) == TAKEN:
                return connection
        except OSError:
            pass
        if connection is not None:
            connection.close()
        return None

    def _await_runs(self) -> None:
        until_s = time.monotonic() + DRAINED_MAX_S
        with closing(Store.open(read_location(self._url))) as store:
            while store.status().runs < len(self.figures.acknowledged) and time.monotonic() < until_s:
                time.sleep(0.1)

    def _judge(self) -> None:
        figures = self.figures
        with closing(Store.open(read_location(self._url))) as store:
            rows = list(store.runs(RunFilter()))
            found = [row.outcome_id for row in rows]
            figures.lost = figures.acknowledged - set(found)
            figures.strangers = set(found) - figures.acknowledged
            figures.twice = len(found) - len(set(found))
            for row in rows:
                content = row.standing.content
                assert content is not None
                figures.wrong_tokens += content.run.usage.input_tokens != CALLS * TOKENS
            difference = verify(store).difference
            figures.first_difference = None if difference is None else str(difference)


def requests_of(trace: str, chance: random.Random) -> list[bytes]:
    """A run with a nested agent in a few requests, its root in the last."""
    inner = Sent(id=2, parent=1, trace=trace, flags=LOCAL, attributes=agent("inner"))
    calls = [
        Sent(id=3 + call, parent=chance.choice((1, 2)), trace=trace, flags=LOCAL, attributes=chat(TOKENS))
        for call in range(CALLS)
    ]
    pieces = pieces_of("\n".join(span.line() for span in (inner, *calls)))
    chance.shuffle(pieces)
    (root,) = pieces_of(Sent(id=1, trace=trace, attributes=agent(chance.choice(("desk", "shop")))).line())
    cut = chance.randrange(len(pieces) + 1)
    requests = [b"".join(pieces[:cut]), b"".join(pieces[cut:]), root]
    return [request for request in requests for _ in range(chance.choice((1, 1, 2)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pause-s", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as folder:
        figures = Killing(Path(folder), given.seed).run(given.kills, given.pause_s)
    told = {
        "kills": figures.kills,
        "acknowledged": len(figures.acknowledged),
        "lost": len(figures.lost),
        "strangers": len(figures.strangers),
        "twice": figures.twice,
        "wrong tokens": figures.wrong_tokens,
        "first difference": figures.first_difference,
        "slowest start s": round(max(figures.restarts_s), 2),
    }
    print(json.dumps(told))
    return int(any(told[name] for name in ("lost", "strangers", "twice", "wrong tokens", "first difference")))


if __name__ == "__main__":
    sys.exit(main())
