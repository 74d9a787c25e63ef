# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.integration.ledger.deliver_program URL`: delivers a ledger until it is told to end."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.delivery.deliverer import deliver_forever
from agent_outcomes.ledger.delivery.targets import read_delivery_targets
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[3]
END_TIMEOUT_S: Final = 15.0


@contextmanager
def delivering(url: str, environ: Mapping[str, str], module: str = __name__) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that delivers, until the end of the block."""
    command = [sys.executable, "-m", module, url]
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(command, cwd=ROOT, env=own | dict(environ), stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            # One that was stopped takes no SIGTERM, and one that was killed takes nothing.
            process.kill()
            process.wait(END_TIMEOUT_S)


def main(url: str) -> int:
    location = read_location(url)
    return 0 if deliver_forever(lambda: Store.open(location), read_delivery_targets(os.environ)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
