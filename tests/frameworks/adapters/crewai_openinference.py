# SPDX-License-Identifier: Apache-2.0
"""CrewAI with OpenInference's spans, as its users write it: CrewAI's own and, for the model calls, OpenAI's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from openai import RateLimitError
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor

from agent_outcomes import agent_run
from tests.frameworks.adapters import crewai_agents as agents
from tests.frameworks.driving import behind_fastapi_in_thread, cancel_when_asked, in_both_threads
from tests.frameworks.model_server import Mode, ModelServer
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crewai import Crew
    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun


def instrument(tracer_provider: TracerProvider) -> None:
    agents.keep_files_elsewhere()
    CrewAIInstrumentor().instrument(tracer_provider=tracer_provider)
    OpenAIInstrumentor().instrument(tracer_provider=tracer_provider)


def _cell(build: Callable[[ModelServer], Crew]) -> Cell:
    return lambda server: build(server).kickoff()


_ask: Final = _cell(agents.weather_crew)


def _cancel(server: ModelServer) -> None:
    async def start() -> None:
        await agents.weather_crew(server).kickoff_async()

    cancel_when_asked(server, start)


def _cancel_in_run(server: ModelServer) -> None:
    async def start() -> None:
        with agent_run(server.cast.lead):
            await agents.weather_crew(server).kickoff_async()

    cancel_when_asked(server, start)


def _serve(server: ModelServer) -> None:
    behind_fastapi_in_thread(lambda: _ask(server))


def _state(server: ModelServer) -> None:
    agents.weather_crew(server, agents.outcome_tool()).kickoff()


def _ask_twice_at_once(server: ModelServer) -> None:
    server.meet(2)
    in_both_threads(lambda: _ask(server))


def _fail_then_succeed(server: ModelServer) -> None:
    with contextlib.suppress(RateLimitError):
        _ask(server)
    server.mode = Mode.ANSWER
    _ask(server)


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _ask,
    Scenario.TOOL_ERROR: _cell(agents.careful_crew),
    Scenario.RATE_LIMITED: _ask,
    Scenario.UNAVAILABLE: _ask,
    Scenario.TIMED_OUT: _cell(agents.hasty_crew),
    Scenario.CANCELLED: _cancel,
    Scenario.INVALID_OUTPUT: _cell(agents.structured_crew),
    Scenario.NESTED: _cell(agents.pair_of_agents),
    Scenario.UNDER_FASTAPI: _serve,
    Scenario.STATED: _state,
    Scenario.PARALLEL: _ask_twice_at_once,
    Scenario.AFTER_FAILURE: _fail_then_succeed,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.CANCELLED: _cancel_in_run,
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
