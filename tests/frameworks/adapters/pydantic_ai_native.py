# SPDX-License-Identifier: Apache-2.0
"""Pydantic AI with its own spans, as its users write it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, InstrumentationSettings, ModelHTTPError, RunContext, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.frameworks.driving import (
    CLIENT_TIMEOUT_S,
    behind_fastapi,
    cancel_when_asked,
    limited_from_outside,
    run_both,
    state_outcome,
)
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.scenarios import Scenario, ToolBroke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


def instrument(tracer_provider: TracerProvider) -> None:
    Agent.instrument_all(InstrumentationSettings(tracer_provider=tracer_provider))


def _model(server: ModelServer, timeout_s: float | None = None) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))


def _weather_agent(server: ModelServer, timeout_s: float | None = None, name: str | None = None) -> Agent:
    agent = Agent(_model(server, timeout_s), name=name or server.cast.lead)

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return agent


def _ask(server: ModelServer) -> Awaitable[object]:
    return _weather_agent(server).run(QUESTION)


def _tool_error(server: ModelServer) -> None:
    agent = Agent(_model(server), name=server.cast.lead)

    @agent.tool_plain
    def weather(city: str) -> str:
        raise ToolBroke(city)

    agent.run_sync(QUESTION)


def _invalid_output(server: ModelServer) -> None:
    Agent(_model(server), name=server.cast.lead, output_type=Forecast, retries=1).run_sync(QUESTION)


def _nested(server: ModelServer) -> None:
    specialist = _weather_agent(server, name=server.cast.inner)
    agent = Agent(_model(server), name=server.cast.lead)

    @agent.tool
    async def ask_specialist(context: RunContext[None], question: str) -> str:
        return (await specialist.run(question, usage=context.usage)).output

    agent.run_sync("Where shall I go?")


def _stated(server: ModelServer) -> None:
    agent = Agent(_model(server), name=server.cast.lead)

    @agent.tool_plain
    def weather(city: str) -> str:
        state_outcome()
        return f"sunny in {city}"

    agent.run_sync(QUESTION)


def _parallel(server: ModelServer) -> None:
    server.meet(2)
    agent = _weather_agent(server)
    run_both(lambda: agent.run(QUESTION))


def _after_failure(server: ModelServer) -> None:
    agent = _weather_agent(server)

    async def both() -> None:
        with contextlib.suppress(ModelHTTPError):
            await agent.run(QUESTION)
        server.mode = Mode.ANSWER
        await agent.run(QUESTION)

    asyncio.run(both())


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: lambda server: asyncio.run(_weather_agent(server).run(QUESTION)),
    Scenario.TOOL_ERROR: _tool_error,
    Scenario.RATE_LIMITED: lambda server: _weather_agent(server).run_sync(QUESTION),
    Scenario.UNAVAILABLE: lambda server: _weather_agent(server).run_sync(QUESTION),
    Scenario.TIMED_OUT: lambda server: _weather_agent(server, CLIENT_TIMEOUT_S).run_sync(QUESTION),
    Scenario.CANCELLED: lambda server: cancel_when_asked(server, lambda: _weather_agent(server).run(QUESTION)),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: lambda server: _weather_agent(server).run_sync(
        QUESTION, usage_limits=UsageLimits(request_limit=3)
    ),
    Scenario.NESTED: _nested,
    Scenario.UNDER_FASTAPI: lambda server: behind_fastapi(lambda: _ask(server)),
    Scenario.STATED: _stated,
    Scenario.PARALLEL: _parallel,
    Scenario.AFTER_FAILURE: _after_failure,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.TIMED_OUT: lambda server: limited_from_outside(lambda: _ask(server)),
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
