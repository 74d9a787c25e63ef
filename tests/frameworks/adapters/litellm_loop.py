# SPDX-License-Identifier: Apache-2.0
"""Agents written by hand around LiteLLM; what makes the spans of the model calls is each adapter's matter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import litellm

from agent_outcomes import agent_run
from tests.frameworks.adapters.openai_loop import QUESTION, Forecast, declared, tool_span
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer


async def _complete(server: ModelServer, **options: Any) -> Any:
    return await litellm.acompletion(f"openai/{MODEL}", api_base=server.url, api_key="none", num_retries=0, **options)


async def _loop(server: ModelServer, tool: Any, call: Callable[[str], Any], timeout_s: float | None = None) -> str:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer = await _complete(server, messages=messages, tools=[declared(tool)], timeout=timeout_s)
        message = answer.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for asked in message.tool_calls:
            with tool_span(tool.__name__):
                said = call(json.loads(asked.function.arguments)["city"])
                text = await said if asyncio.iscoroutine(said) else said
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": text})


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _loop(server, tool, tool, timeout_s)


async def _nested(server: ModelServer) -> None:
    async def ask_inner(_question: str) -> str:
        with agent_run(server.cast.inner):
            return await _loop(server, weather, weather)

    with agent_run(server.cast.lead):
        await _loop(server, ask_inner, ask_inner)


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        question = [{"role": "user", "content": QUESTION}]
        answer = await _complete(server, messages=question, response_format=Forecast)
        Forecast.model_validate_json(answer.choices[0].message.content)


async def _streamed(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        question = [{"role": "user", "content": QUESTION}]
        options = {"stream": True, "stream_options": {"include_usage": True}}
        async for _chunk in await _complete(server, messages=question, **options):
            pass


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
