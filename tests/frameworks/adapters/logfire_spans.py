# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand, with Logfire's spans and its instrumentation of OpenAI's client."""

from __future__ import annotations

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


def _agent(name: str) -> Any:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    return logfire.span(f"invoke_agent {name}", **attributes)


def _tool(name: str) -> Any:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return logfire.span(f"execute_tool {name}", **attributes)


DECORATORS: Final = Decorators(
    agent=_agent,
    tool=_tool,
)
CELLS: Final[Mapping[Scenario, Cell]] = decorated_cells(DECORATORS)
BEYOND: Final[Mapping[Beyond, Cell]] = decorated_beyond(DECORATORS)
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
