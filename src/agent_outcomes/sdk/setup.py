# SPDX-License-Identifier: Apache-2.0
"""What a processor is made with: where it finds its providers and prices, and an interpreter that it can rely on."""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from agent_outcomes.foreign_exceptions import Guard, is_theirs_in_given
from agent_outcomes.limited_log import LimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_outcomes.run.pricing import ModelCall
    from agent_outcomes.settings import Settings
    from agent_outcomes.spans.marks import PriceOf

GivenT = TypeVar("GivenT")

_log: Final = LimitedLog(logging.getLogger(__name__))


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
