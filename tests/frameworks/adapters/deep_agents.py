# SPDX-License-Identifier: Apache-2.0
"""Deep agents (LangChain's) as their users write them; whose spans are made is each adapter's matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from deepagents import create_deep_agent
from langchain.agents.structured_output import ToolStrategy

from tests.frameworks.adapters.langgraph_agents import QUESTION, Forecast, chat_model
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

STEPS_MAX: Final = 12


def _agent(server: ModelServer, *tools: Tool, timeout_s: float | None = None, **options: Any) -> Any:
    # They have tools of their own, too, which a model would not call for a question about the weather.
    server.first_tools |= {tool.__name__ for tool in tools}
    return create_deep_agent(chat_model(server, timeout_s), list(tools), name=server.cast.lead, **options)


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, tool, timeout_s=timeout_s).ainvoke(QUESTION)


def _invalid_output(server: ModelServer) -> None:
    server.final_tools.add("Forecast")
    agent = _agent(server, weather, response_format=ToolStrategy(Forecast, handle_errors=False))
    asyncio.run(agent.ainvoke(QUESTION))


def _nested(server: ModelServer) -> None:
    server.first_tools |= {"task", "weather"}
    server.arguments["subagent_type"] = server.cast.inner
    inner = {"name": server.cast.inner, "description": "Knows.", "system_prompt": "Answer.", "tools": [weather]}
    asyncio.run(_agent(server, subagents=[inner]).ainvoke(QUESTION))


async def _streamed(server: ModelServer) -> None:
    async for _part in _agent(server, weather).astream(QUESTION, stream_mode="messages"):
        pass


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: lambda server: _agent(server, weather).invoke(QUESTION, {"recursion_limit": STEPS_MAX}),
    Scenario.NESTED: _nested,
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
