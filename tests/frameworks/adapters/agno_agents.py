# SPDX-License-Identifier: Apache-2.0
"""Agno's agents as their users write them; whose spans are made is each adapter's matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.team import Team
from pydantic import BaseModel

from agent_outcomes import Outcome, agent_run
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"
_NO_FORECAST: Final = Outcome.invalid_output()


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


def _model(server: ModelServer, timeout_s: float | None = None) -> OpenAIChat:
    return OpenAIChat(id=MODEL, base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)


def _agent(server: ModelServer, *tools: Tool, timeout_s: float | None = None, **options: Any) -> Agent:
    settings = {"name": server.cast.lead, "tools": list(tools), "telemetry": False, **options}
    agent: Agent = server.cast.subclass(Agent)(model=_model(server, timeout_s), **settings)
    return agent


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, tool, timeout_s=timeout_s).arun(QUESTION)


def _invalid_output(server: ModelServer) -> None:
    _agent(server, output_schema=Forecast).run(QUESTION)


def _nested(server: ModelServer) -> None:
    member = _agent(server, weather, name=server.cast.inner, id="member")
    server.arguments["member_id"] = "member"
    team: Team = server.cast.subclass(Team)(
        members=[member], name=server.cast.lead, model=_model(server), telemetry=False
    )
    asyncio.run(team.arun(QUESTION))


def _invalid_output_told(server: ModelServer) -> None:
    @agent_run(server.cast.lead, outcome_of=lambda it: None if isinstance(it.content, Forecast) else _NO_FORECAST)
    def ask() -> Any:
        return _agent(server, output_schema=Forecast).run(QUESTION)

    ask()


async def _streamed(server: ModelServer) -> None:
    async for _event in _agent(server, weather).arun(QUESTION, stream=True):
        pass


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask, hands_errors_to_the_model=True),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.NESTED: _nested,
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.INVALID_OUTPUT: _invalid_output_told}
