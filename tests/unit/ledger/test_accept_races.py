# SPDX-License-Identifier: Apache-2.0
"""Processes that accept the same runs at once, on PostgreSQL, where one does not wait for the other's transaction."""

from __future__ import annotations

import threading
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.database import Database
from agent_outcomes.ledger.location import LedgerUnavailable, read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from tests.acceptances import acceptance_of, pending, plain_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_outcomes.ledger.book.accepted import Acceptance

pytestmark = pytest.mark.backends


@pytest.fixture
def two(postgresql: str) -> Iterator[tuple[Store, Store]]:
    """Two processes' stores of one ledger."""
    location = read_location(postgresql)
    Store.open(location).close()
    stores = Store(Database(location), None, None), Store(Database(location), None, None)
    yield stores
    for store in stores:
        store.close()


def overtaken(monkeypatch: pytest.MonkeyPatch, store: Store, overtake: Callable[[int], object]) -> None:
    """Have something else done right after each look for runs that are there already; it is given its number."""
    looks: list[object] = []
    look = store._accepting._there

    def look_and_be_overtaken(*arguments: Any) -> Any:
        found = look(*arguments)
        overtake(len(looks))
        looks.append(found)
        return found

    monkeypatch.setattr(store._accepting, "_there", look_and_be_overtaken)


@pytest.mark.parametrize("paused", [False, True], ids=["runs", "pauses"])
def test_what_others_accept_between_look_and_write_is_left_to_them(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, *, paused: bool
) -> None:
    """However often it happens; each run is there once, and nothing is raised."""
    store, other = two
    runs = [pending(number)._replace(paused=paused) for number in range(1, 8)]
    other.accept(runs[:1])
    overtaken(monkeypatch, store, lambda look: other.accept(runs[: 2 + look]) if look < 5 else None)
    arrivals = store.accept(runs)
    assert (arrivals.new, arrivals.known) == (1, 6)
    status = store.status()
    assert (status.runs, status.paused) == ((0, 7) if paused else (7, 0))
    assert verify(store).difference is None


def test_who_is_overtaken_without_end_is_told_to_come_again(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it was stored, and a later try finds them."""
    store, other = two
    monkeypatch.setattr("agent_outcomes.ledger.store.LOOKS_MAX", 4)
    runs = [pending(number) for number in range(1, 12)]
    other.accept(runs[:1])
    overtaken(monkeypatch, store, lambda look: other.accept(runs[: 2 + look]))
    with pytest.raises(LedgerUnavailable, match="retry"):
        store.accept(runs)
    assert store.status().runs == 4
    monkeypatch.undo()
    assert store.accept(runs).new == 7


@pytest.mark.parametrize("seed", range(3))
def test_many_at_once(postgresql: str, seed: int) -> None:
    """Four processes hand in the same runs in groups of their own: each is new to exactly one of them."""
    location = read_location(postgresql)
    Store.open(location).close()
    runs = [acceptance_of(plain_run(number), Outcome.success(value=number)) for number in range(1, 41)]
    new: list[int] = []
    errors: list[Exception] = []

    def hand_in(own_seed: int) -> None:
        mine = Store(Database(location), None, None)
        random = Random(own_seed)
        left: list[Acceptance] = random.sample(runs, len(runs))
        try:
            while left:
                size = random.randint(1, 7)
                new.append(mine.accept(left[:size]).new)
                del left[:size]
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        mine.close()

    threads = [threading.Thread(target=hand_in, args=(4 * seed + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(new) == len(runs)
    store = Store.open(location)
    assert store.status().runs == len(runs)
    assert verify(store).difference is None
    store.close()
