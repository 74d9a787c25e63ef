# SPDX-License-Identifier: Apache-2.0
"""The cells that differ from framework to framework by nothing but how an agent is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tests.frameworks.driving import (
    CLIENT_TIMEOUT_S,
    behind_fastapi,
    cancel_when_asked,
    run_both,
)
from tests.frameworks.model_server import Mode
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import broken_weather, stating_weather, weather

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

Tool = Callable[[str], str]
"""A tool as its user writes it: a function with a docstring."""


class Ask(Protocol):
    """Asks a new agent: called as the cast's lead, with the tool; it gives up on a model call after `timeout_s`."""

    def __call__(
        self, server: ModelServer, tool: Tool = weather, timeout_s: float | None = None
    ) -> Coroutine[Any, Any, object]:
        """Ask it."""
        ...


def usual_cells(ask: Ask, *, hands_errors_to_the_model: bool = False) -> dict[Scenario, Cell]:
    """All cells but those for which each framework has means of its own, and none for tools that fail no run."""
    cells: dict[Scenario, Cell] = {
        Scenario.TOOL_SUCCESS: lambda server: asyncio.run(ask(server)),
        Scenario.TOOL_ERROR: lambda server: asyncio.run(ask(server, broken_weather)),
        Scenario.RATE_LIMITED: lambda server: asyncio.run(ask(server)),
        Scenario.UNAVAILABLE: lambda server: asyncio.run(ask(server)),
        Scenario.TIMED_OUT: lambda server: asyncio.run(ask(server, timeout_s=CLIENT_TIMEOUT_S)),
        Scenario.CANCELLED: lambda server: cancel_when_asked(server, lambda: ask(server)),
        Scenario.UNDER_FASTAPI: lambda server: behind_fastapi(lambda: ask(server)),
        Scenario.STATED: lambda server: asyncio.run(ask(server, stating_weather)),
        Scenario.PARALLEL: lambda server: _at_once(server, lambda: run_both(lambda: ask(server))),
        Scenario.AFTER_FAILURE: lambda server: _after_failure(server, lambda: asyncio.run(ask(server))),
    }
    if hands_errors_to_the_model:
        del cells[Scenario.TOOL_ERROR]
    return cells


def _at_once(server: ModelServer, run: Callable[[], None]) -> None:
    server.meet(2)
    run()


def _after_failure(server: ModelServer, run: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):  # whatever it raises; a user's program goes on with the next question
        run()
    server.mode = Mode.ANSWER
    run()
