# SPDX-License-Identifier: Apache-2.0
"""Looks every few seconds at what a gateway lives on: its ledger, its disks, its delivery."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, literal_column, select

from agent_outcomes.gateway.serving.readiness import Disk, Vitals, judged
from agent_outcomes.ledger import schema
from agent_outcomes.ledger.location import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from agent_outcomes.gateway.serving.readiness import Readiness
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.ledger.delivery.deliverer import Deliverer
    from agent_outcomes.ledger.store import Store

LOOK_EVERY_S: Final = 5.0
_NS: Final = 1_000_000_000
_PROBE: Final = "gateway_probe"


class _RolledBack(Exception):  # noqa: N818 - what a probe is to come to
    """The probe has been written as far as it was to be."""


class Watch:
    """Knows how its gateway is; `journal_bytes` and `advice` are asked of those who know."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: Store,
        deliverer: Deliverer | None,
        journal_bytes: Callable[[], int],
        advice: Callable[[], str | None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._deliverer = deliverer
        self._journal_bytes = journal_bytes
        self._advice = advice
        self._looked_up = Vitals()
        self.is_ending = False

    def readiness(self) -> Readiness:
        """How it is, as of the last look; what needs no look is as of now."""
        seen = self._looked_up
        return judged(
            Vitals(
                is_ending=self.is_ending,
                ledger_error=seen.ledger_error,
                disks=seen.disks,
                journal_bytes=self._journal_bytes(),
                journal_max_bytes=self._settings.assembly.journal_max_bytes,
                is_delivery_dead=self._deliverer is not None and not self._deliverer.is_running,
                waited_s=seen.waited_s if self._deliverer is not None else 0.0,
                advice=self._advice() or "",
            )
        )

    async def run(self) -> None:
        """Look again and again, on a thread: a disk or a server may take its time."""
        while True:
            self._looked_up = await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> Vitals:
        """Look at ledger and disks now; blocks."""
        try:
            _probe(self._store)
            return Vitals(disks=tuple(self._disks()), waited_s=_waited_s(self._store))
        except LedgerError as error:
            return Vitals(ledger_error=str(error), disks=tuple(self._disks()))

    def _disks(self) -> Iterator[Disk]:
        path = self._store.location.path
        folders = {"the ledger": path and path.parent, "the state folder": self._settings.state_folder}
        for name, folder in folders.items():
            if folder is not None and Path(folder).exists():
                usage = shutil.disk_usage(folder)
                yield Disk(name, usage.free, usage.total)


def _probe(store: Store) -> None:
    """Write something and take it back. Raises `LedgerError` where it cannot be written."""

    def work(connection: Connection) -> None:
        connection.execute(schema.meta.insert().values(name=f"{_PROBE}_{time.time_ns()}", value=""))
        raise _RolledBack

    try:
        store.database.write(work)
    except _RolledBack:
        return


def _waited_s(store: Store) -> float:
    """How long the oldest event that is not delivered has waited."""
    deliveries = schema.deliveries.c
    oldest = select(func.min(deliveries.id)).where(deliveries.state == literal_column("'waiting'")).scalar_subquery()
    with store.database.reading() as connection:
        since_ns = connection.execute(select(deliveries.created_ns).where(deliveries.id == oldest)).scalar()
    return 0.0 if since_ns is None else max(0.0, (time.time_ns() - since_ns) / _NS)
