# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.integration.ledger.agent_program URL FIRST LAST RATE`: runs that end, each said when accepted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.ledger.accepted import acceptance

if TYPE_CHECKING:
    from typing import Self

ROOT: Final = Path(__file__).parents[3]
END_TIMEOUT_S: Final = 90.0


class Agent:
    """A process whose runs end one after the other, from `first` to before `last`; `acknowledged` counts them up."""

    def __init__(self, url: str, first: int, last: int, rate: float) -> None:
        self.acknowledged = first
        self._command = [sys.executable, "-m", __name__, url, str(first), str(last), str(rate)]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> int:
        """End it by SIGKILL, if it is there; the number of the first run that was not acknowledged."""
        self.process.kill()
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; the number of the first run that was not acknowledged."""
        self.process.wait(END_TIMEOUT_S)
        self._reader.join()
        return self.acknowledged

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                if line.endswith("\n"):  # the last one may be cut
                    self.acknowledged = int(line) + 1


def main(url: str, first: str, last: str, rate: str) -> None:
    store = Store.open(read_location(url))
    began_s = time.monotonic()
    for number in range(int(first), int(last)):
        store.accept([acceptance(number, end_ns=time.time_ns())])
        print(number, flush=True)
        due_s = began_s + (number - int(first) + 1) / float(rate)
        threading.Event().wait(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
