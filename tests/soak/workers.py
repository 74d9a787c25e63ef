# SPDX-License-Identifier: Apache-2.0
"""Servers that fork: gunicorn with a preloaded application, Celery with one task a child, multiprocessing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.spool import Spool, spool_folder
from tests.soak.issuing import writer_of
from tests.soak.judge import judge
from tests.soak.processes import ROOT, path
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

DEADLINE_S: Final = 300.0
CLIENTS: Final = 8
SILENCE_S: Final = 8.0
SEED: Final = 21


class Place:
    """Where one proof's ledger and files are."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": path(), "SOAK_LEDGER": url, "SOAK_FOLDER": str(folder)}

    def start(self, *command: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start a program of this environment's interpreter."""
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=self.environment, pass_fds=pass_fds, start_new_session=True
        )

    def acknowledged(self) -> dict[int, int]:
        """The process that each number was acknowledged in."""
        lines = (line.split() for file in self.folder.glob("*.acknowledged") for line in file.read_text().splitlines())
        return {int(number): int(pid) for number, pid in lines}

    def done_count(self) -> int:
        """How many pieces of work are done."""
        return len(list(self.folder.glob("*.acknowledged")))

    def begun(self) -> set[int]:
        """The first numbers of all pieces of work that a worker has begun."""
        return {int(file.stem) for file in self.folder.glob("*.begun")}


def prove(name: str, url: str, folder: Path, *, outcomes: int, chunk: int) -> Proof:
    """Have a server's workers end so many runs, `chunk` at a time."""
    proof, place = Proof(name), Place(url, folder)
    proof.equal("exit code", SERVERS[name](place, outcomes, chunk), 0)
    acknowledged = place.acknowledged()
    proof.tell("pieces of work begun", len(place.begun()))
    proof.tell("processes", len(set(acknowledged.values())))
    _open_again(url)
    stored = judge(proof, url, SEED, issued=range(outcomes), acknowledged=acknowledged)
    proof.equal("stored of issued", len(stored.numbers), outcomes)
    return proof


def _open_again(url: str) -> None:
    """What a worker could not commit in time on a busy machine is in spool files, which the next opening reads."""
    writer = writer_of(url)
    spool = Spool(spool_folder(read_location(url)))
    deadline_s = time.monotonic() + DEADLINE_S
    while spool.has_any() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    writer.shutdown()


def _gunicorn(place: Place, outcomes: int, chunk: int) -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        listening.set_inheritable(True)
        host, port = listening.getsockname()
        bound = f"fd://{listening.fileno()}"
        options = ("-w", "4", "--preload", "-b", bound, "--log-level", "error", "tests.soak.workload:wsgi")
        server = place.start("gunicorn", *options, pass_fds=[listening.fileno()])

        def ask(first: int) -> bytes:
            with urllib.request.urlopen(f"http://{host}:{port}/{first}/{chunk}", timeout=DEADLINE_S) as answer:
                body: bytes = answer.read()
            return body

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(ask, range(0, outcomes, chunk)))
        return _terminate(server)


def _celery(place: Place, outcomes: int, chunk: int) -> int:
    quiet = ("-l", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
    server = place.start("celery", "-A", "tests.soak.tasks", "worker", "-P", "prefork", "-c", "4", *quiet)
    firsts = range(0, outcomes, chunk)
    _send(place, firsts, chunk)
    heard, heard_at_s = 0, time.monotonic()
    deadline_s = heard_at_s + DEADLINE_S
    while heard < len(firsts) and server.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
        if (now := place.done_count()) > heard:
            # However slow a busy machine is: what is under way when the server ends is killed by it.
            heard, heard_at_s = now, time.monotonic()
            deadline_s = heard_at_s + DEADLINE_S
        elif time.monotonic() - heard_at_s > SILENCE_S:
            # Celery loses a task now and then that no child has begun; whatever one has begun is ours.
            _send(place, [first for first in firsts if first not in place.begun()], chunk)
            heard_at_s = time.monotonic()
    return _terminate(server)


def _send(place: Place, firsts: Iterable[int], chunk: int) -> None:
    sender = f"from tests.soak.tasks import work\nfor first in {list(firsts)}: work.delay(first, {chunk})"
    subprocess.run([sys.executable, "-c", sender], check=True, cwd=ROOT, env=place.environment)


def _pool(method: str, place: Place, outcomes: int, chunk: int) -> int:
    return place.start("tests.soak.pool", method, str(outcomes), str(chunk)).wait(DEADLINE_S)


SERVERS: Final[Mapping[str, Callable[[Place, int, int], int]]] = {
    "gunicorn": _gunicorn,
    "celery": _celery,
    **{method: partial(_pool, method) for method in ("fork", "spawn", "forkserver")},
}


def _terminate(server: subprocess.Popen[bytes]) -> int:
    server.terminate()
    try:
        return server.wait(60)
    finally:
        server.kill()
