# SPDX-License-Identifier: Apache-2.0
"""What a processor is made with: where its outcomes go, its prices, and an interpreter that it can rely on."""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from agent_outcomes.foreign_exceptions import Guard, is_theirs_in_given
from agent_outcomes.limited_log import LimitedLog
from agent_outcomes.outcome.bodies import look
from agent_outcomes.outcome.misuse import type_name
from agent_outcomes.sdk.emitter import OutcomeEmitter
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from agent_outcomes.run.pricing import ModelCall
    from agent_outcomes.sdk.ledger_sink import LedgerSink
    from agent_outcomes.settings import Settings
    from agent_outcomes.spans.marks import PriceOf

Sink: TypeAlias = "OutcomeEmitter | LedgerSink"
GivenT = TypeVar("GivenT")

_log: Final = LimitedLog(logging.getLogger(__name__))
_OURS: Final = f"{__name__.partition('.')[0]}."
_POOL: Final = "concurrent.futures.thread"


def check_given(logger_provider: object, meter_provider: object, is_run: object, tracer_provider: object) -> None:
    """Raise `SettingsError` for what is no provider or function of its kind, rather than lose outcomes by it later."""
    given = (
        ("logger_provider", logger_provider, "get_logger", "a LoggerProvider or a function that returns one"),
        ("meter_provider", meter_provider, "get_meter", "a MeterProvider or a function that returns one"),
        ("is_run", is_run, "__call__", "a function of the span"),
        ("tracer_provider", tracer_provider, "get_tracer", "a TracerProvider"),
    )
    for name, value, method, takes in given:
        is_function = callable(value) and name != "tracer_provider"
        if value is not None and not is_function and not callable(look(value, method)):
            message = f"{name} takes {takes}, not {type_name(value)}"
            raise SettingsError(message)


def finder(
    given: GivenT | Callable[[], GivenT | None] | None, find_global: Callable[[], GivenT | None]
) -> Callable[[], GivenT | None]:
    """What looks a provider up: the one given, the function given, else what finds the global one."""
    if given is None:
        return find_global
    if callable(given):
        return given  # pyright: ignore[reportReturnType]  # it cannot tell a callable provider from a function
    provider = given
    return lambda: provider


def prices_in(settings: Settings, on_error: Callable[[BaseException], None]) -> PriceOf | None:
    """The prices that the settings name or give; `on_error` counts where they raise.

    Raises `SettingsError` if the package that they name is not installed.
    """
    if settings.prices is None:
        return None
    # Only who has prices needs these. They are loaded here, as later it would be at the end of a span.
    import agent_outcomes.run.pricing  # noqa: F401, PLC0415 - as said
    from agent_outcomes.list_prices import prices_of  # noqa: PLC0415 - as said

    prices = prices_of(settings.prices)
    return None if prices is None else _guarded(prices, on_error)


def _guarded(prices: PriceOf, on_error: Callable[[BaseException], None]) -> PriceOf:
    """The same prices, none where they raise: they must not cost the application its run."""

    def price_of(call: ModelCall) -> object:
        with Guard(partial(failed, call), is_theirs_in_given):
            return prices(call)
        return None

    def failed(call: ModelCall, error: BaseException) -> None:
        on_error(error)
        name = type(error).__qualname__
        _log.warning("prices", "the prices of %r raised %s; that run's cost is incomplete", call.model, name)

    return price_of


def warn_without_global_lock() -> None:
    """Say in the log that outcomes may be lost where the interpreter runs without its global lock."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        _log.warning(
            "free_threaded",
            "AgentOutcomeSpanProcessor relies on the interpreter's global lock, which is switched off: outcomes of "
            "runs that end at the same moment may be lost. Set PYTHON_GIL=1.",
        )


def warn_beside_caller() -> None:
    """Say in the log that callbacks come on another thread than spans end on, if this one does. Never raises.

    The SDK's `ConcurrentMultiSpanProcessor` hands each to a thread of its pool, where no exception is in flight: what
    ends a run without being recorded on its span, as Ctrl-C, `sys.exit(1)` and a cancellation do, is not seen there.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` reads source files for the same
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        frame = frame.f_back
    if frame is not None and frame.f_globals.get("__name__") == _POOL:
        _log.warning(
            "beside_caller",
            "AgentOutcomeSpanProcessor is called on threads of a pool, as ConcurrentMultiSpanProcessor does: what ends "
            "a run without being recorded on its span (Ctrl-C, sys.exit, a cancellation) is not seen, and reads "
            "success where the span says no more. Use the SDK's SynchronousMultiSpanProcessor, or state the status.",
        )


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
