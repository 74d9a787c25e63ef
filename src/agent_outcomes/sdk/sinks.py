# SPDX-License-Identifier: Apache-2.0
"""Where a processor's outcomes go: to the application's own providers, or to a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from agent_outcomes.sdk.emitter import OutcomeEmitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.sdk.ledger_sink import LedgerSink
    from agent_outcomes.settings import Settings

Sink: TypeAlias = "OutcomeEmitter | LedgerSink"


def sink_for(
    find_logger_provider: Callable[[], LoggerProvider | None],
    find_meter_provider: Callable[[], MeterProvider | None],
    settings: Settings,
    tracer_provider: TracerProvider | None,
) -> Sink:
    """The sink that the settings ask for. Raises `SettingsError` for a ledger that cannot be opened."""
    if settings.ledger is None:
        return OutcomeEmitter(find_logger_provider, find_meter_provider, settings, tracer_provider)
    _require_packages()
    # With the database's driver: it costs nobody who has no ledger.
    from agent_outcomes.sdk.ledger_sink import LedgerSink  # noqa: PLC0415

    return LedgerSink(settings, settings.ledger, tracer_provider)


def open_ledger(settings: Settings) -> None:
    """Open the ledger that the settings name, if any. Raises `SettingsError` where it cannot be opened."""
    if settings.ledger is not None:
        _require_packages()
        from agent_outcomes.sdk.ledger_connection import connection_to  # noqa: PLC0415 - as above

        connection_to(settings.ledger, settings)


def _require_packages() -> None:
    from agent_outcomes.ledger.requirements import require_packages  # noqa: PLC0415 - as above

    require_packages()
