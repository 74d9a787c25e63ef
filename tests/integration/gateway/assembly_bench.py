# SPDX-License-Identifier: Apache-2.0
"""An assembly with a journal on disk and a real ledger, on a clock that a test sets."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.assembly.assembly import JOURNAL_FOLDER, Assembly
from agent_outcomes.gateway.settings import AssemblyLimits, GatewaySettings
from agent_outcomes.gateway.wire.intake import ExportRequest, Packing, Taken
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.rows import RunFilter
from agent_outcomes.ledger.store import Store
from agent_outcomes.otel_variables import OtlpSignal
from tests.assembled import pieces_of
from tests.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.exported import Sent

SOON_S: Final = 5.0
LONG_S: Final = 60.0


class Bench:
    """One state folder and one ledger, and the assembly that is at work on them at present."""

    def __init__(self, folder: Path, limits: AssemblyLimits) -> None:
        self.clock = Clock()
        self.path = folder / "ledger.db"
        self.store = Store.open(read_location(f"sqlite:///{self.path}"))
        self.settings = GatewaySettings(ledger="", state_folder=folder, assembly=limits)
        self.assembly = self._open()

    def _open(self) -> Assembly:
        return Assembly(self.settings, self.store, clock=self.clock)

    def restart(self) -> None:
        """End without any notice being taken of what is under way."""
        self.assembly.close()
        self.assembly = self._open()

    def send(self, spans: Sequence[Sent], *, packing: Packing = Packing.IDENTITY) -> Taken:
        body = b"".join(pieces_of("\n".join(span.line() for span in spans)))
        return self.take(body, packing)

    def take(self, body: bytes, packing: Packing = Packing.IDENTITY) -> Taken:
        packed = gzip.compress(body) if packing is Packing.GZIP else body
        return asyncio.run(self.assembly.take(ExportRequest(OtlpSignal.TRACES, body, packed, packing)))

    def step(self, after_s: float = 0.0) -> None:
        self.clock.now_s += after_s
        asyncio.run(self.assembly.step())

    def runs(self) -> list[tuple[str | None, int | None]]:
        """Each run's agent and its input tokens."""
        rows = list(self.store.runs(RunFilter()))
        return sorted(
            (
                row.agent_name or "",
                None if row.standing.content is None else row.standing.content.run.usage.input_tokens,
            )
            for row in rows
        )

    def files(self) -> list[Path]:
        return sorted((self.settings.state_folder / JOURNAL_FOLDER).glob("*.journal"))

    def close(self) -> None:
        self.assembly.close()
        self.store.close()
