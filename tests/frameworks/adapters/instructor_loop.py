# SPDX-License-Identifier: Apache-2.0
"""Agents that want answers in a form, with Instructor; what makes the spans is each adapter's matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import instructor

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


async def _shape(server: ModelServer, text: str, timeout_s: float | None = None) -> Forecast:
    server.final_tools.add("Forecast")
    client = instructor.from_openai(client_of(server, timeout_s))
    forecast: Forecast = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], response_model=Forecast, max_retries=1
    )
    return forecast


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _shape(server, await loop(client_of(server, timeout_s), tool, tool))


async def _nested(server: ModelServer) -> None:
    async def ask_inner(_question: str) -> str:
        with agent_run(server.cast.inner):
            return (await _shape(server, QUESTION)).model_dump_json()

    with agent_run(server.cast.lead):
        await loop(client_of(server), ask_inner, ask_inner)


async def _invalid_output(server: ModelServer) -> None:
    with agent_run(server.cast.lead):
        await _shape(server, QUESTION)


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.INVALID_OUTPUT: lambda server: asyncio.run(_invalid_output(server)),
    Scenario.NESTED: lambda server: asyncio.run(_nested(server)),
}
BEYOND: Final[Mapping[Beyond, Cell]] = {}
