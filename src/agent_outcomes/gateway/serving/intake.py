# SPDX-License-Identifier: Apache-2.0
"""Where OTLP requests go: spans to the assembly, log records to the signals, all of it on to whom it is forwarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway.wire.intake import IntakeUnavailable, Taken
from agent_outcomes.otel_variables import OtlpSignal

if TYPE_CHECKING:
    from agent_outcomes.gateway.assembly.assembly import Assembly
    from agent_outcomes.gateway.serving.forwarding import Forwarder
    from agent_outcomes.gateway.signals.taking import Signals
    from agent_outcomes.gateway.wire.intake import ExportRequest

CLOSING_RETRY_S: Final = 2.0
"""When who is turned away at the end may come again: to another gateway, or to the next one here."""


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """Requests that were taken, by signal, and their bytes as they came."""

    traces: int = 0
    logs: int = 0
    metrics: int = 0
    taken_bytes: int = 0
    turned_away: int = 0


class GatewayIntake:
    """Takes requests until it is closed; what it answers is on disk. Metrics are none of a gateway's business."""

    def __init__(self, assembly: Assembly, signals: Signals, forwarder: Forwarder | None) -> None:
        self._assembly = assembly
        self._signals = signals
        self._forwarder = forwarder
        self._is_closed = False
        self._taken = dict.fromkeys(OtlpSignal, 0)
        self._taken_bytes = self._turned_away = 0

    def close(self) -> None:
        """Turn away what comes from now on; what is under way is finished."""
        self._is_closed = True

    async def take(self, request: ExportRequest) -> Taken:
        """What was rejected of a request. Raises `IntakeUnavailable` or `WireError`, and then nothing was taken."""
        if self._is_closed:
            self._turned_away += 1
            raise IntakeUnavailable(CLOSING_RETRY_S, "the gateway is ending")
        taken = Taken()
        if request.signal is OtlpSignal.TRACES:
            taken = await self._assembly.take(request)
        elif request.signal is OtlpSignal.LOGS:
            taken = await self._signals.take_logs(request)
        self._taken[request.signal] += 1
        self._taken_bytes += len(request.packed)
        if self._forwarder is not None:
            self._forwarder.offer(request)
        return taken

    def counts(self) -> IntakeCounts:
        """What has been taken since the start."""
        by_signal = {signal.value: count for signal, count in self._taken.items()}
        return IntakeCounts(**by_signal, taken_bytes=self._taken_bytes, turned_away=self._turned_away)
