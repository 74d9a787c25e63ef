# SPDX-License-Identifier: Apache-2.0
"""AutoGen's agents and teams as their users write them; whose spans are made is each adapter's matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import stating_weather, weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


def _client(server: ModelServer, timeout_s: float | None = None) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=MODEL, base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s
    )


def _agent(
    server: ModelServer, *tools: Any, name: str | None = None, timeout_s: float | None = None, **options: Any
) -> AssistantAgent:
    agent: AssistantAgent = server.cast.subclass(AssistantAgent)(
        name or server.cast.lead,
        model_client=_client(server, timeout_s),
        tools=list(tools),
        reflect_on_tool_use=bool(tools),
        **options,
    )
    return agent


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, tool, timeout_s=timeout_s).run(task=QUESTION)


def _invalid_output(server: ModelServer) -> None:
    asyncio.run(_agent(server, output_content_type=Forecast).run(task=QUESTION))


def _nested(server: ModelServer) -> None:
    inner = _agent(server, weather, name=server.cast.inner, description="Knows the weather.")
    asyncio.run(_agent(server, AgentTool(inner)).run(task=QUESTION))


async def _streamed(server: ModelServer) -> None:
    async for _message in _agent(server, weather, model_client_stream=True).run_stream(task=QUESTION):
        pass


async def _ask_team(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    """Two agents take turns: the one has the tool, the other answers."""
    first = _agent(server, tool, timeout_s=timeout_s)
    second = _agent(server, name=server.cast.inner, timeout_s=timeout_s)
    team: RoundRobinGroupChat = server.cast.subclass(RoundRobinGroupChat)(
        [first, second], name=server.cast.lead, termination_condition=MaxMessageTermination(3)
    )
    return await team.run(task=QUESTION)


def _team_within_team(server: ModelServer) -> None:
    async def main() -> None:
        inner = RoundRobinGroupChat(
            [_agent(server, weather)], name=server.cast.inner, termination_condition=MaxMessageTermination(2)
        )
        outer: RoundRobinGroupChat = server.cast.subclass(RoundRobinGroupChat)(
            [inner], name=server.cast.lead, termination_condition=MaxMessageTermination(2)
        )
        await outer.run(task=QUESTION)

    asyncio.run(main())


async def _asynchronous_weather(city: str) -> str:
    """Tell the weather in a city, which is all that the user wanted."""
    return stating_weather(city)


def _stated_from_asynchronous_tool(server: ModelServer) -> None:
    asyncio.run(_agent(server, _asynchronous_weather).run(task=QUESTION))


async def _ask_team_in_run(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _ask_team(server, tool, timeout_s)


def _team_stated(server: ModelServer) -> None:
    async def main() -> None:
        with agent_run(server.cast.lead):
            await _ask_team(server, cast("Tool", _asynchronous_weather))

    asyncio.run(main())


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask, hands_errors_to_the_model=True),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.NESTED: _nested,
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.STATED: _stated_from_asynchronous_tool}
TEAM_CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask_team, hands_errors_to_the_model=True),
    Scenario.NESTED: _team_within_team,
}
TEAM_REMEDIES: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask_team_in_run, hands_errors_to_the_model=True),
    Scenario.STATED: _team_stated,
}
