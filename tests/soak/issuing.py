# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.issuing URL ...`: a process that ends runs and tells on standard output what became of each.

A line each: `b 7` before run 7 is given to the ledger, `a 7` when it was acknowledged, `w 7` when it was not (yet);
`o 0.123` how many seconds the opening of the ledger took, `c 0.123` how many after its beginning the first commit was.
"""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.spool import Spool, spool_folder
from agent_outcomes.ledger.store import Store
from agent_outcomes.ledger.writer import LedgerWriter
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

UNACKNOWLEDGED_PAUSE_S: Final = 0.05
FLUSH_S: Final = 30.0
OPENINGS_S: Final[list[float]] = []
"""How long each opening of a ledger took in this process."""


def writer_of(url: str, *, sync: bool = True) -> LedgerWriter:
    """A writer for the ledger at this URL, as an application has one."""
    location = read_location(url)

    def open_store() -> Store:
        began_s = time.monotonic()
        store = Store.open(location)
        OPENINGS_S.append(time.monotonic() - began_s)
        return store

    return LedgerWriter(open_store, Spool(spool_folder(location)), sync=sync)


class Issuer:
    """Gives runs to a writer, by several threads, and says what became of each."""

    def __init__(self, writer: LedgerWriter, seed: int, numbers: Iterable[int], say: Callable[[str], None]) -> None:
        self._writer = writer
        self._seed = seed
        self._numbers: Iterator[int] = iter(numbers)
        self._say = say
        self._began_s = time.monotonic()
        self._is_open = False

    def run(self, threads: int) -> None:
        """Issue all of them."""
        others = [threading.Thread(target=self._work) for _ in range(threads - 1)]
        for other in others:
            other.start()
        self._work()
        for other in others:
            other.join()

    def _work(self) -> None:
        # A list's iterator and `itertools.count` give each number to one thread.
        for number in self._numbers:
            made = acceptance(self._seed, number)
            self._say(f"b {number}")
            if self._writer.accept(made):
                self._say(f"a {number}")
                self._tell_opening()
            else:
                self._say(f"w {number}")
                time.sleep(UNACKNOWLEDGED_PAUSE_S)

    def _tell_opening(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._say(f"o {OPENINGS_S[0]:.3f}")
            self._say(f"c {time.monotonic() - self._began_s:.3f}")


def say_to(descriptor: int) -> Callable[[str], None]:
    """Says a line at once: what was said before a SIGKILL is in the pipe."""

    def say(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode())

    return say


def main() -> None:
    """Issue what the command line says; flush, and end as any program does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="how many; 0: until a line comes on standard input")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--flush", type=float, default=FLUSH_S)
    options = parser.parse_args()
    say = say_to(1)
    numbers: Iterable[int] = range(options.count) if options.count else _until_told()
    writer = writer_of(options.url)
    say("r 0")
    Issuer(writer, options.seed, numbers, say).run(options.threads)
    say(f"f {int(writer.flush(options.flush))}")


def _until_told() -> Iterator[int]:
    told = threading.Event()

    def listen() -> None:
        os.read(0, 1)
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    return itertools.takewhile(lambda _: not told.is_set(), itertools.count())


if __name__ == "__main__":
    main()
