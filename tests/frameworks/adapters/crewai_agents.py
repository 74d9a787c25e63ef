# SPDX-License-Identifier: Apache-2.0
"""Crews as CrewAI's users write them, for both of its instrumentations."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

from crewai import LLM, Agent, Crew, Task
from crewai.events import crewai_event_bus
from crewai.tools import BaseTool, tool
from pydantic import BaseModel

from tests.frameworks.driving import state_outcome
from tests.frameworks.model_server import MODEL, ModelServer
from tests.frameworks.scenarios import ToolBroke

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION: Final = "How is the weather in Paris?"
EXECUTION_LIMIT_S: Final = 1  # CrewAI takes whole seconds


class Forecast(BaseModel):
    city: str
    degrees: int


@tool("weather")  # type: ignore[untyped-decorator]
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


@tool("broken_weather")  # type: ignore[untyped-decorator]
def broken_weather(city: str) -> str:
    """Tell the weather in a city."""
    raise ToolBroke(city)


def outcome_tool(state: Callable[[], None] = state_outcome) -> BaseTool:
    """A tool that tells the weather and states the run's outcome."""

    @tool("weather")  # type: ignore[untyped-decorator]
    def weather_and_outcome(city: str) -> str:
        """Tell the weather in a city."""
        state()
        return f"sunny in {city}"

    return weather_and_outcome


def keep_files_elsewhere() -> None:
    """CrewAI keeps what tasks gave in a database of the user's."""
    os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp(prefix="crewai-")


def agent(server: ModelServer, role: str, *tools: BaseTool, **more: Any) -> Agent:
    llm = LLM(model=f"openai/{MODEL}", base_url=server.url, api_key="none", max_retries=0)
    return Agent(role=role, goal="Answer.", backstory="Knows.", llm=llm, tools=list(tools), max_retry_limit=0, **more)


def task(of: Agent, **more: Any) -> Task:
    return Task(description=QUESTION, expected_output="A sentence.", agent=of, **more)


def crew(server: ModelServer, *tasks: Task) -> Crew:
    made: Crew = server.cast.subclass(Crew)(
        agents=[one.agent for one in tasks], tasks=list(tasks), name=server.cast.lead
    )
    return made


def weather_crew(server: ModelServer, *tools: BaseTool, **more: Any) -> Crew:
    """A crew of one agent with one task."""
    return crew(server, task(agent(server, server.cast.inner, *(tools or (weather,)), **more)))


def careful_crew(server: ModelServer) -> Crew:
    """One whose agent gives up when a tool fails."""
    return weather_crew(server, broken_weather, tool_failure_policy="raise")


def hasty_crew(server: ModelServer) -> Crew:
    """One whose agent has too little time."""
    return weather_crew(server, max_execution_time=EXECUTION_LIMIT_S, step_callback=_end_spans)


def _end_spans(_: object) -> None:
    """CrewAI ends spans on threads of a pool: else that of the last call ends before its agent's, or after it."""
    crewai_event_bus.flush()


def structured_crew(server: ModelServer) -> Crew:
    """One that is to answer in a form."""
    return crew(server, task(agent(server, server.cast.inner, weather), output_pydantic=Forecast))


def pair_of_agents(server: ModelServer) -> Crew:
    """One whose second agent goes on where the first one stopped."""
    return crew(server, task(agent(server, server.cast.inner, weather)), task(agent(server, "Writer")))
