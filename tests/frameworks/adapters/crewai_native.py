# SPDX-License-Identifier: Apache-2.0
"""CrewAI with its own spans, as its users write it.

They go to a tracer provider of the session's own, so that the processor is passed to the session.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Final

from crewai.telemetry.tracing import telemetry_session
from crewai.telemetry.tracing.context import get_telemetry_context
from openai import RateLimitError
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_outcomes import AgentOutcomeSpanProcessor
from tests.frameworks.adapters import crewai_agents as agents
from tests.frameworks.driving import behind_fastapi_in_thread, cancel_when_asked, in_both_threads
from tests.frameworks.model_server import Mode, ModelServer
from tests.frameworks.scenarios import STATED_LABEL, STATED_TYPE, STATED_VALUE, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crewai import Crew
    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun


EXPORTED: Final = InMemorySpanExporter()


def instrument(tracer_provider: TracerProvider) -> None:  # noqa: ARG001 - what every adapter has
    agents.keep_files_elsewhere()


@contextlib.contextmanager
def _session() -> Iterator[None]:
    processors = [AgentOutcomeSpanProcessor(prices="genai-prices"), SimpleSpanProcessor(EXPORTED)]
    with telemetry_session(str(uuid.uuid4()), "weather", processors=processors):
        yield


def _kick_off(crew: Crew) -> None:
    with _session():
        crew.kickoff()


def _cell(build: Callable[[ModelServer], Crew]) -> Cell:
    return lambda server: _kick_off(build(server))


def _cancel(server: ModelServer) -> None:
    async def start() -> None:
        with _session():
            await agents.weather_crew(server).akickoff()

    cancel_when_asked(server, start)


def _serve(server: ModelServer) -> None:
    behind_fastapi_in_thread(lambda: _kick_off(agents.weather_crew(server)))


def _state(server: ModelServer) -> None:
    _kick_off(agents.weather_crew(server, agents.outcome_tool()))


def _state_on_the_crew(server: ModelServer) -> None:
    def state() -> None:
        context = get_telemetry_context()
        assert context is not None
        assert context.root_span is not None
        span = context.root_span
        span.set_attribute("agent.outcome.type", STATED_TYPE)
        span.set_attribute("agent.outcome.label", STATED_LABEL)
        span.set_attribute("agent.outcome.value", STATED_VALUE)
        span.set_attribute("agent.outcome.currency", "EUR")

    _kick_off(agents.weather_crew(server, agents.outcome_tool(state)))


def _ask_twice_at_once(server: ModelServer) -> None:
    server.meet(2)
    in_both_threads(lambda: _kick_off(agents.weather_crew(server)))


def _fail_then_succeed(server: ModelServer) -> None:
    with contextlib.suppress(RateLimitError):
        _kick_off(agents.weather_crew(server))
    server.mode = Mode.ANSWER
    _kick_off(agents.weather_crew(server))


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _cell(agents.weather_crew),
    Scenario.TOOL_ERROR: _cell(agents.careful_crew),
    Scenario.RATE_LIMITED: _cell(agents.weather_crew),
    Scenario.UNAVAILABLE: _cell(agents.weather_crew),
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
    Scenario.STATED: _state_on_the_crew,
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
