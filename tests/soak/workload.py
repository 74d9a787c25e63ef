# SPDX-License-Identifier: Apache-2.0
"""What a worker of a server does: end some runs, on the writer that the application made when it was imported.

`SOAK_LEDGER` is the ledger's URL, `SOAK_FOLDER` where acknowledged numbers are written down, a file for each piece of
work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.soak.issuing import writer_of
from tests.soak.runs import acceptance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEED: Final = 21
WRITER: Final = writer_of(os.environ["SOAK_LEDGER"])
FOLDER: Final = Path(os.environ["SOAK_FOLDER"])


def issue(first: int, count: int) -> int:
    """End so many runs; how many were acknowledged."""
    (FOLDER / f"{first}.begun").touch()
    acknowledged = [number for number in range(first, first + count) if WRITER.accept(acceptance(SEED, number))]
    lines = "".join(f"{number} {os.getpid()}\n" for number in acknowledged)
    part = FOLDER / f"{first}.part"
    part.write_text(lines)
    part.rename(FOLDER / f"{first}.acknowledged")
    return len(acknowledged)


def wsgi(environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answers `/FIRST/COUNT` with how many were acknowledged."""
    _, first, count = str(environ["PATH_INFO"]).split("/")
    body = str(issue(int(first), int(count))).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
