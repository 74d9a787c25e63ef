# SPDX-License-Identifier: Apache-2.0
"""AG2 with its own spans, as its users write it: they are a middleware of each agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ag2 import Agent
from ag2.config import OpenAIConfig
from ag2.middleware.builtin.telemetry import TelemetryMiddleware
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


def instrument(tracer_provider: TracerProvider) -> None:
    """Nothing is to be done: the middleware takes the global provider."""


def _agent(server: ModelServer, *tools: Any, name: str | None = None, timeout_s: float | None = None) -> Agent:
    name = name or server.cast.lead
    config = OpenAIConfig(MODEL, base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)
    telemetry = TelemetryMiddleware(agent_name=name, provider_name="openai", model_name=MODEL)
    agent: Agent = server.cast.subclass(Agent)(name, config=config, tools=list(tools), middleware=[telemetry])
    return agent


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, tool, timeout_s=timeout_s).ask(QUESTION)


def _invalid_output(server: ModelServer) -> None:
    async def main() -> None:
        reply = await _agent(server).ask(QUESTION, response_schema=Forecast)
        await reply.content()

    asyncio.run(main())


def _invalid_output_in_run(server: ModelServer) -> None:
    async def main() -> None:
        with agent_run(server.cast.lead):
            reply = await _agent(server).ask(QUESTION, response_schema=Forecast)
            await reply.content()

    asyncio.run(main())


def _nested(server: ModelServer) -> None:
    inner = _agent(server, weather, name=server.cast.inner)
    asyncio.run(_agent(server, inner.as_tool(description="Knows the weather.")).ask(QUESTION))


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask, hands_errors_to_the_model=True),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.NESTED: _nested,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.INVALID_OUTPUT: _invalid_output_in_run}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
