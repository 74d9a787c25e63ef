# SPDX-License-Identifier: Apache-2.0
"""What a ledger costs: a group accepted beside plain `executemany` of the same rows, and cost against size.

Base and contender take turns on files of one disk, and ratios are of neighbours, as the disk's own pace changes from
second to second. "transaction" is what `accept` does from its BEGIN to its COMMIT; the rest makes the rows.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.book.reading import read_report
from agent_outcomes.ledger.book.reports import Reporter
from tests.bench.ledger_rows import (
    COPY,
    GROUP,
    acceptances,
    copy_runs,
    groups_of,
    new_store,
    plain_connection,
    write_group,
    written_last,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_outcomes.ledger.database import Database
    from agent_outcomes.ledger.store import Store

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
OPERATIONS: Final = 150


WARM_UP: Final = 20
_CLERK: Final = Reporter("clerk", may_correct=True)
_values: Final = count(1)


class Pace(NamedTuple):
    """The median of an operation, in seconds, and its ratio to that in the smallest ledger."""

    p50_s: float
    ratio: float


class Took(NamedTuple):
    """Seconds of the wall clock, and of this process's CPU."""

    wall_s: float
    cpu_s: float


def show_groups(rounds: int) -> None:
    """Print what a group of a hundred costs, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        took = _groups(Path(folder), rounds)
    base = took["executemany"]
    print(f"\n{f'{GROUP} runs accepted into SQLite':38}{'CPU':>12}   {'wall':>10}   ratio of CPU, of wall")
    for name, times in took.items():
        cpu = statistics.median(time.cpu_s for time in times)
        wall = statistics.median(time.wall_s for time in times)
        ratios = (
            f"{statistics.median(a.cpu_s / b.cpu_s for a, b in zip(times, base, strict=True)):.2f}, "
            f"{statistics.median(a.wall_s / b.wall_s for a, b in zip(times, base, strict=True)):.2f}"
        )
        print(f"  {name:36}{cpu * 1e3:10.2f}ms   {wall * 1e3:8.2f}ms   {ratios}")


def show_sizes(sizes: Sequence[int] = SIZES) -> None:
    """Print what one run and one report cost in a ledger of each size, beside one of the smallest, in turns."""
    titles = ("accept p50", "ratio", "report p50", "ratio", "status")
    print(f"\n{'runs in the ledger':>18}{'file':>10}" + "".join(f"{title:>12}" for title in titles))
    with tempfile.TemporaryDirectory() as folder:
        small = _filled(Path(folder) / "small", sizes[0])
        for size in sizes:
            place = Path(folder) / f"of-{size}"
            store = _filled(place, size)
            accepts = _in_turns(small, store, _accepts)
            reports = _in_turns(small, store, _reports)
            status = _timed(store.status).wall_s
            megabytes = (place / "outcomes.db").stat().st_size / 1e6
            cells = "".join(f"{ours * 1e3:10.2f}ms{ratio:12.2f}" for ours, ratio in (accepts, reports))
            print(f"{size:18,}{megabytes:8.0f}MB{cells}{status * 1e3:10.1f}ms", flush=True)
            store.close()
            shutil.rmtree(place)
        small.close()


def _groups(folder: Path, rounds: int) -> dict[str, list[Took]]:
    took: dict[str, list[Took]] = {"executemany": [], "transaction": [], "accept": []}
    places = folder / "ours", folder / "plain"
    for place in places:
        place.mkdir()
    store = new_store(places[0])
    new_store(places[1]).close()
    inner: list[Took] = []
    _note_transactions(store.database, inner)
    plain, theirs = plain_connection(places[1] / "outcomes.db"), plain_connection(places[0] / "outcomes.db")
    for group in groups_of(acceptances(GROUP, GROUP * rounds)):
        took["accept"].append(_timed(partial(store.accept, group)))
        took["transaction"].append(inner[-1])
        rows = written_last(theirs)
        took["executemany"].append(_timed(partial(write_group, plain, rows)))
    plain.close()
    theirs.close()
    store.close()
    return took


def _note_transactions(database: Database, took: list[Took]) -> None:
    whole = database._write_once

    def noted(*arguments: object, **options: object) -> object:
        done: list[object] = []
        took.append(_timed(lambda: done.append(whole(*arguments, **options))))  # type: ignore[arg-type]
        return done[0]

    database._write_once = noted  # type: ignore[method-assign, assignment]


def _filled(place: Path, size: int) -> Store:
    place.mkdir()
    store = new_store(place)
    store.accept(acceptances(GROUP, SIZES[0] - GROUP))
    with plain_connection(place / "outcomes.db") as connection:
        copy_runs(connection, size // SIZES[0] - 1)
    return store


def _in_turns(small: Store, large: Store, operations: Callable[[Store], Iterator[Callable[[], object]]]) -> Pace:
    pairs = [
        (_timed(one).wall_s, _timed(other).wall_s)
        for one, other in zip(operations(small), operations(large), strict=True)
    ]
    # The first ones find nothing in any cache.
    small_s, large_s = (statistics.median(times) for times in zip(*pairs[WARM_UP:], strict=True))
    return Pace(large_s, large_s / small_s)


def _accepts(store: Store) -> Iterator[Callable[[], object]]:
    first = Random().randrange(10**9, 2**60)
    for number in range(first, first + OPERATIONS):
        yield partial(store.accept, acceptances(number, 1))


def _reports(store: Store) -> Iterator[Callable[[], object]]:
    """On runs that began as pending, here and there in the whole of the ledger."""
    copies = store.status().runs // SIZES[0]
    names = [f"ticket-{number}" for number in range(0, SIZES[0], 3)]
    for name in Random(3).sample(names, OPERATIONS):
        copy = Random(name).randrange(copies)
        key = name + (COPY.format(copy) if copy else "")
        # A value that nobody has reported before, so that it is recorded and not found unchanged.
        worth = f"{next(_values)}.50"
        report = read_report(_CLERK, run_id=key, success=True, value=worth, currency="EUR", reason="counted again")
        yield partial(store.report, report, now_ns=time.time_ns(), hold_s=0)


def _timed(act: Callable[[], object]) -> Took:
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)
