# SPDX-License-Identifier: Apache-2.0
"""Pydantic AI with its own spans, as its users write it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openai import AsyncOpenAI
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.frameworks.model_server import MODEL, ModelServer
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun


def instrument(tracer_provider: TracerProvider) -> None:
    Agent.instrument_all(InstrumentationSettings(tracer_provider=tracer_provider))


def _model(server: ModelServer) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))


def _weather_agent(server: ModelServer) -> Agent:
    agent = Agent(_model(server), name="weather_agent")

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return agent


def _ask(server: ModelServer) -> None:
    asyncio.run(_weather_agent(server).run("How is the weather in Paris?"))


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _ask,
    Scenario.RATE_LIMITED: _ask,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
