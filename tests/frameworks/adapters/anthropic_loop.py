# SPDX-License-Identifier: Apache-2.0
"""Agents written by hand around Anthropic's SDK; which instrumentation sees its calls is each adapter's matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from anthropic import AsyncAnthropic
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.adapters.openai_loop import tool_span
from tests.frameworks.model_server import CLAUDE
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"
TOKENS_MAX: Final = 100


class Forecast(BaseModel):
    """What the model is to answer in `invalid_output`."""

    city: str
    degrees: int


def _client(server: ModelServer, timeout_s: float | None = None) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=server.address, api_key="none", max_retries=0, timeout=timeout_s)


async def _loop(client: AsyncAnthropic, tool: Any, call: Callable[[str], Any]) -> str:
    """Ask the model until it wants no more of the tool."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    declared: Any = [{"name": tool.__name__, "description": "Knows.", "input_schema": schema}]
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer = await client.messages.create(model=CLAUDE, max_tokens=TOKENS_MAX, messages=messages, tools=declared)
        wanted = [block for block in answer.content if block.type == "tool_use"]
        if not wanted:
            return "".join(block.text for block in answer.content if block.type == "text")
        messages.append({"role": "assistant", "content": answer.content})
        results = []
        for block in wanted:
            with tool_span(block.name):
                said = call(str(block.input["city"]))
                text = await said if asyncio.iscoroutine(said) else said
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": text})
        messages.append({"role": "user", "content": results})


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _loop(_client(server, timeout_s), tool, tool)


async def _nested(server: ModelServer) -> None:
    client = _client(server)

    async def ask_inner(_question: str) -> str:
        with agent_run(server.cast.inner):
            return await _loop(client, weather, weather)

    with agent_run(server.cast.lead):
        await _loop(client, ask_inner, ask_inner)


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        answer = await _client(server).messages.create(
            model=CLAUDE, max_tokens=TOKENS_MAX, messages=[{"role": "user", "content": QUESTION}]
        )
        (block,) = answer.content
        assert block.type == "text"
        Forecast.model_validate_json(block.text)


async def _streamed(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        question: list[Any] = [{"role": "user", "content": QUESTION}]
        async with _client(server).messages.stream(model=CLAUDE, max_tokens=TOKENS_MAX, messages=question) as stream:
            await stream.get_final_message()


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
