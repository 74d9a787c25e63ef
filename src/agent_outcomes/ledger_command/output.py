# SPDX-License-Identifier: Apache-2.0
"""What a command says: tables and progress where a person looks, plain lines where a program reads.

Nothing that telemetry has put into a ledger reaches a terminal as anything but text.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CELL_LENGTH_MAX: Final = 120
_NS: Final = 1_000_000_000
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def say(line: str) -> None:
    """One line for whoever asked."""
    sys.stdout.write(f"{printable(line)}\n")


def complain(line: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{printable(line)}\n")


def say_json(value: object) -> None:
    """One JSON value on a line of its own; ASCII, so that it can be printed wherever that is."""
    sys.stdout.write(f"{json.dumps(value)}\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, right: frozenset[str] = frozenset()
) -> None:
    """A table; without a terminal one line a row with tabs between, below the names of the columns."""
    cells = [[printable(cell or "-", CELL_LENGTH_MAX) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *cells):
            sys.stdout.write("\t".join(line) + "\n")
        return
    from rich.console import Console  # noqa: PLC0415 - of an extra, and for a terminal only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in cells:
        # As text, in which square brackets are no markup.
        made.add_row(*map(Text, row))
    Console(highlight=False, emoji=False).print(made)


def facts(pairs: Sequence[tuple[str, str | None]]) -> None:
    """What something is, a line each; what is absent is left out."""
    width = max((len(name) for name, value in pairs if value is not None), default=0)
    for name, value in pairs:
        if value is not None:
            say(f"{name:<{width}}  {value}")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], object]]:
    """A bar on standard error while something long is under way, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def when(time_ns: int | None) -> str | None:
    """A time to the second, in UTC."""
    if time_ns is None:
        return None
    try:
        return f"{datetime.fromtimestamp(time_ns // _NS, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"


def how_long(time_ns: int) -> str:
    """A time span in its largest two units."""
    seconds = max(0, time_ns) // _NS
    for index, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            rest = seconds % size
            smaller, name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            return f"{seconds // size} {unit} {rest // smaller} {name}"
    return f"{seconds} s"
