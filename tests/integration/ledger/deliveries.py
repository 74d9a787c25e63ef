# SPDX-License-Identifier: Apache-2.0
"""Ledgers for tests of their delivery, and how far their events are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.ledger.accepted import made_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_outcomes.ledger.rows import DeliveryRow


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """A new ledger in a file of this folder."""
    store = Store.open(read_location(f"sqlite:///{folder}/outcomes.db"))
    try:
        yield store
    finally:
        store.close()


def delivery_of(store: Store, number: int, revision: int = 0) -> DeliveryRow:
    """How far the event of a made run's revision is."""
    history = store.run(RunReference(outcome_id=made_run(number).id))
    (found,) = [row for row in history.deliveries if row.revision == revision and row.event == 0]
    return found
