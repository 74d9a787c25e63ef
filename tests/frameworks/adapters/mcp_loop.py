# SPDX-License-Identifier: Apache-2.0
"""An agent written by hand whose tools are an MCP server's; what makes the spans is each adapter's matter.

Client and server are in one process, as in tests and in applications that bring their own server.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from mcp import Client
from mcp.server.mcpserver import MCPServer

from agent_outcomes import agent_run
from tests.frameworks.adapters.openai_loop import QUESTION, Forecast, client_of, loop
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer


class ToolFailedError(Exception):
    """What the user's own code makes of an error that an MCP server answers."""


def _declared(tool: Any) -> Any:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


async def _loop(server: ModelServer, of_tools: MCPServer, timeout_s: float | None = None) -> str:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    model = client_of(server, timeout_s)
    async with Client(of_tools) as tools:
        known = [_declared(tool) for tool in (await tools.list_tools()).tools]
        while True:
            answer = await model.chat.completions.create(model=MODEL, messages=messages, tools=known)
            message: Any = answer.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message)
            for asked in message.tool_calls:
                result = await tools.call_tool(asked.function.name, json.loads(asked.function.arguments))
                text = str(result.content)
                if result.is_error:
                    raise ToolFailedError(text)
                messages.append({"role": "tool", "tool_call_id": asked.id, "content": text})


def _server_of(tool: Any) -> MCPServer:
    made = MCPServer("tools")
    made.add_tool(tool)
    return made


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _loop(server, _server_of(tool), timeout_s)


async def _nested(server: ModelServer) -> None:
    async def ask_inner(question: str) -> str:
        """Ask somebody who knows the weather."""
        with agent_run(server.cast.inner):
            return await loop(client_of(server), weather, weather) + question

    with agent_run(server.cast.lead):
        await _loop(server, _server_of(ask_inner))


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        Forecast.model_validate_json(await _loop(server, _server_of(weather)))


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {}
