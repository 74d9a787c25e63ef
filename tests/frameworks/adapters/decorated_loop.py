# SPDX-License-Identifier: Apache-2.0
"""Agents written by hand around OpenAI's SDK whose agents and tools are marked with somebody's decorators."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.frameworks.adapters.openai_loop import QUESTION, Forecast, client_of, declared, read_stream
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Ask, Tool, usual_cells

if TYPE_CHECKING:
    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer


class Decorators(NamedTuple):
    """What is put on the function of an agent, and on that of a tool, which is called so; and whose client they have.

    A client is made for a server and a time limit in seconds.
    """

    agent: Callable[[str], Callable[[Any], Any]]
    tool: Callable[[str], Callable[[Any], Any]]
    client: Callable[[ModelServer, float | None], Any] = client_of


async def _loop(client: Any, tool: Any, call: Any) -> str:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[declared(tool)])
        message = answer.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for asked in message.tool_calls:
            said = call(json.loads(asked.function.arguments)["city"])
            text = await said if inspect.isawaitable(said) else said
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": text})


def _asking(decorators: Decorators) -> Ask:
    async def ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
        @decorators.agent(server.cast.lead)
        async def answer() -> str:
            return await _loop(decorators.client(server, timeout_s), tool, decorators.tool(tool.__name__)(tool))

        return await answer()

    return ask


def _nested(decorators: Decorators) -> Cell:
    async def main(server: ModelServer) -> None:
        @decorators.agent(server.cast.inner)
        async def ask_inner(_question: str) -> str:
            return await _loop(decorators.client(server, None), weather, decorators.tool("weather")(weather))

        @decorators.agent(server.cast.lead)
        async def answer() -> str:
            return await _loop(decorators.client(server, None), ask_inner, decorators.tool("ask_inner")(ask_inner))

        await answer()

    return lambda server: asyncio.run(main(server))


def _invalid_output(decorators: Decorators) -> Cell:
    async def main(server: ModelServer) -> None:
        @decorators.agent(server.cast.lead)
        async def answer() -> None:
            question: list[Any] = [{"role": "user", "content": QUESTION}]
            said = await decorators.client(server, None).chat.completions.create(model=MODEL, messages=question)
            Forecast.model_validate_json(said.choices[0].message.content or "")

        await answer()

    return lambda server: asyncio.run(main(server))


def _streamed(decorators: Decorators) -> Cell:
    async def main(server: ModelServer) -> None:
        @decorators.agent(server.cast.lead)
        async def answer() -> None:
            await read_stream(decorators.client(server, None))

        await answer()

    return lambda server: asyncio.run(main(server))


def decorated_cells(decorators: Decorators) -> dict[Scenario, Cell]:
    """All that a loop with such decorators goes through."""
    return {
        **usual_cells(_asking(decorators)),
        Scenario.INVALID_OUTPUT: _invalid_output(decorators),
        Scenario.NESTED: _nested(decorators),
    }


def decorated_beyond(decorators: Decorators) -> dict[Beyond, Cell]:
    """What is in no table."""
    return {Beyond.STREAMED: _streamed(decorators)}
