# SPDX-License-Identifier: Apache-2.0
"""Agents written by hand around Google's Gen AI SDK; which instrumentation sees its calls is each adapter's matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from google.genai import Client, types
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.adapters.openai_loop import tool_span
from tests.frameworks.model_server import GEMINI
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    """What the model is to answer in `invalid_output`."""

    city: str
    degrees: int


def _client(server: ModelServer, timeout_s: float | None = None) -> Client:
    options = types.HttpOptions(
        base_url=server.address,
        timeout=None if timeout_s is None else int(timeout_s * 1000),
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return Client(api_key="none", http_options=options)


def _question() -> list[Any]:
    return [types.Content(role="user", parts=[types.Part(text=QUESTION)])]


def _declared(tool: Any) -> types.Tool:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    declaration = types.FunctionDeclaration(name=tool.__name__, description="Knows.", parameters_json_schema=schema)
    return types.Tool(function_declarations=[declaration])


async def _loop(client: Client, tool: Any, call: Callable[[str], Any]) -> str:
    """Ask the model until it wants no more of the tool."""
    contents = _question()
    config = types.GenerateContentConfig(tools=[_declared(tool)])
    while True:
        answer = await client.aio.models.generate_content(model=GEMINI, contents=contents, config=config)
        if not answer.function_calls:
            return answer.text or ""
        contents.append(answer.candidates[0].content)
        for asked in answer.function_calls:
            with tool_span(asked.name):
                said = call(asked.args["city"])
                text = await said if asyncio.iscoroutine(said) else said
            part = types.Part.from_function_response(name=asked.name, response={"result": text})
            contents.append(types.Content(role="user", parts=[part]))


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


async def _with_tools_of_the_sdk(server: ModelServer) -> None:
    """The SDK calls the tool by itself, and the model once more, all in one call of the user's."""
    with agent_run(server.cast.lead):
        config = types.GenerateContentConfig(tools=[weather])
        client = _client(server)  # which closes when nobody keeps it
        await client.aio.models.generate_content(model=GEMINI, contents=_question(), config=config)


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Forecast)
        client = _client(server)  # which closes when nobody keeps it
        answer = await client.aio.models.generate_content(model=GEMINI, contents=_question(), config=config)
        Forecast.model_validate_json(answer.text or "")


async def _streamed(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        client = _client(server)  # which closes when nobody keeps it
        async for _part in await client.aio.models.generate_content_stream(model=GEMINI, contents=_question()):
            pass


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {
    Beyond.STREAMED: lambda server: asyncio.run(_streamed(server)),
    Beyond.SDK_TOOLS: lambda server: asyncio.run(_with_tools_of_the_sdk(server)),
}
