# SPDX-License-Identifier: Apache-2.0
"""Agents around Google's Gen AI SDK, which calls tools by itself; what instruments it is each adapter's matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from google import genai
from google.genai import types
from pydantic import BaseModel

from agent_outcomes import agent_run
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


def _client(server: ModelServer, timeout_s: float | None = None) -> genai.Client:
    options = types.HttpOptions(
        base_url=server.address,
        timeout=None if timeout_s is None else int(timeout_s * 1000),
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key="none", http_options=options)


async def _generate(client: genai.Client, *tools: Any) -> str:
    config = types.GenerateContentConfig(tools=list(tools))
    answer = await client.aio.models.generate_content(model=GEMINI, contents=QUESTION, config=config)
    return answer.text or ""


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _generate(_client(server, timeout_s), tool)


async def _nested(server: ModelServer) -> None:
    client = _client(server)

    async def ask_inner(question: str) -> str:
        """Ask somebody who knows the weather."""
        with agent_run(server.cast.inner):
            return await _generate(client, weather) + question

    with agent_run(server.cast.lead):
        await _generate(client, ask_inner)


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Forecast)
        answer = await _client(server).aio.models.generate_content(model=GEMINI, contents=QUESTION, config=config)
        Forecast.model_validate_json(answer.text or "")


async def _streamed(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        async for _part in await _client(server).aio.models.generate_content_stream(model=GEMINI, contents=QUESTION):
            pass


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
