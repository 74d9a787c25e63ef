# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, with Logfire's spans and its instrumentation of OpenAI's client."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import logfire

from tests.frameworks.adapters.decorated_loop import Decorators, decorated_beyond, decorated_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.scenarios import Beyond, Scenario


def instrument(tracer_provider: TracerProvider) -> None:
    # Logfire makes a provider of its own, to which its users add the processor.
    everything = tracer_provider._active_span_processor
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[everything])
    logfire.instrument_openai()


def _in_span(message: str, **attributes: str) -> Callable[[Any], Any]:
    """A decorator that runs the function in a span of Logfire's."""

    def decorate(function: Any) -> Any:
        @wraps(function)
        async def run(*arguments: Any) -> Any:
            with logfire.span(message, **attributes):
                said = function(*arguments)
                return await said if inspect.isawaitable(said) else said

        return run

    return decorate


DECORATORS: Final = Decorators(
    agent=lambda name: _in_span(
        f"invoke_agent {name}", **{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    ),
    tool=lambda name: _in_span(
        f"execute_tool {name}", **{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    ),
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
