# SPDX-License-Identifier: Apache-2.0
"""Agents as users of the OpenAI Agents SDK write them, whatever instruments them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from openai import APIStatusError, AsyncOpenAI
from pydantic import BaseModel

from agents import Agent, OpenAIResponsesModel, Runner, function_tool
from tests.frameworks.driving import (
    CLIENT_TIMEOUT_S,
    behind_fastapi,
    cancel_when_asked,
    limited_from_outside,
    run_both,
    state_outcome,
)
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.scenarios import Scenario, ToolBroke

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from tests.frameworks.lab import Cell

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


@function_tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@function_tool
def stating_weather(city: str) -> str:
    """Tell the weather of a city, and state the outcome."""
    state_outcome()
    return f"sunny in {city}"


@function_tool(failure_error_function=None)
def broken_weather(city: str) -> str:
    """Fail to tell the weather of a city."""
    raise ToolBroke(city)


def model(server: ModelServer, timeout_s: float | None = None) -> OpenAIResponsesModel:
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)
    return OpenAIResponsesModel(MODEL, client)


def weather_agent(server: ModelServer, tool: Any = weather, timeout_s: float | None = None) -> Agent:
    return Agent(name=server.cast.lead, instructions="Ask the tool.", model=model(server, timeout_s), tools=[tool])


def ask(server: ModelServer) -> Coroutine[Any, Any, object]:
    return Runner.run(weather_agent(server), QUESTION)


def _nested(server: ModelServer) -> None:
    """An agent as a tool, which hands off to another."""
    specialist = Agent(name="Specialist", model=model(server))
    triage = Agent(name=server.cast.inner, model=model(server), handoffs=[specialist])
    tool = triage.as_tool("ask_triage", "Asks whoever knows.")
    asyncio.run(Runner.run(Agent(name=server.cast.lead, model=model(server), tools=[tool]), QUESTION))


def _invalid_output(server: ModelServer) -> None:
    agent = Agent(name=server.cast.lead, model=model(server), output_type=Forecast)
    Runner.run_sync(agent, QUESTION)


def _parallel(server: ModelServer) -> None:
    server.meet(2)
    agent = weather_agent(server)
    run_both(lambda: Runner.run(agent, QUESTION))


def _after_failure(server: ModelServer) -> None:
    agent = weather_agent(server)

    async def both() -> None:
        with contextlib.suppress(APIStatusError):
            await Runner.run(agent, QUESTION)
        server.mode = Mode.ANSWER
        await Runner.run(agent, QUESTION)

    asyncio.run(both())


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: lambda server: asyncio.run(ask(server)),
    Scenario.TOOL_ERROR: lambda server: asyncio.run(Runner.run(weather_agent(server, broken_weather), QUESTION)),
    Scenario.RATE_LIMITED: lambda server: asyncio.run(ask(server)),
    Scenario.UNAVAILABLE: lambda server: asyncio.run(ask(server)),
    Scenario.TIMED_OUT: lambda server: asyncio.run(
        Runner.run(weather_agent(server, timeout_s=CLIENT_TIMEOUT_S), QUESTION)
    ),
    Scenario.CANCELLED: lambda server: cancel_when_asked(server, lambda: ask(server)),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: lambda server: asyncio.run(Runner.run(weather_agent(server), QUESTION, max_turns=3)),
    Scenario.NESTED: _nested,
    Scenario.UNDER_FASTAPI: lambda server: behind_fastapi(lambda: ask(server)),
    Scenario.STATED: lambda server: asyncio.run(Runner.run(weather_agent(server, stating_weather), QUESTION)),
    Scenario.PARALLEL: _parallel,
    Scenario.AFTER_FAILURE: _after_failure,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.TIMED_OUT: lambda server: limited_from_outside(lambda: ask(server)),
}
