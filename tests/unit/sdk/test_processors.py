# SPDX-License-Identifier: Apache-2.0
"""The registry of processors: keeps none alive, and is read while others change it."""

from __future__ import annotations

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.sdk.processors import Processors

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_S = 1.0


@contextmanager
def often_switched() -> Iterator[None]:
    """Threads take turns a hundred times as often as they do."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)


class Thing:
    """Something that can be referred to weakly."""


@given(st.lists(st.tuples(st.sampled_from(["add", "close", "drop"]), st.integers(0, 5)), max_size=40))
def test_it_holds_what_is_alive_and_nothing_else(steps: list[tuple[str, int]]) -> None:
    """In whatever order things come, are closed and go: the open and the closed ones are those that are left."""
    registry: Processors[Thing] = Processors()
    kept: dict[int, Thing] = {}
    closed: set[int] = set()
    for step, number in steps:
        if step == "add" and number not in kept:
            kept[number] = Thing()
            registry.add(kept[number])
            closed.discard(number)
        elif step == "close" and number in kept:
            registry.close(kept[number])
            closed.add(number)
        elif step == "drop":
            kept.pop(number, None)
    assert set(map(id, registry)) == set(map(id, kept.values()))
    assert {id(thing) for number, thing in kept.items() if number not in closed} == set(map(id, registry.open()))
    assert len(registry) == len(kept)


def test_ten_thousand_leave_nothing() -> None:
    """A registry of things that are gone is as empty as a new one, closed or not."""
    registry: Processors[Thing] = Processors()
    for number in range(10_000):
        thing = Thing()
        registry.add(thing)
        if number % 2:
            registry.close(thing)
        del thing
    gc.collect()
    assert (len(registry), registry._open, registry._closed) == (0, {}, {})


def test_reading_beside_changes_raises_nothing() -> None:
    """Threads make, close and drop things, as fast as they can, while others read."""
    registry: Processors[Thing] = Processors()
    kept = [Thing() for _ in range(200)]
    for thing in kept:
        registry.add(thing)
    stop = threading.Event()

    def change() -> None:
        mine: list[Thing] = []
        for number in count():
            if stop.is_set():
                return
            mine.append(Thing())
            registry.add(mine[-1])
            if number % 3 == 0:
                registry.close(mine[-1])
            del mine[:-50]

    def read() -> None:
        while not stop.is_set():
            assert len(registry.open()) >= len(kept)
            assert len(registry) >= len(kept)

    with often_switched(), ThreadPoolExecutor(4) as pool:
        works = [pool.submit(work) for work in (change, change, read, read)]
        stop.wait(BUSY_S)
        stop.set()
    for work in works:
        work.result()
