# SPDX-License-Identifier: Apache-2.0
"""BeeAI with the spans of OpenInference, as its users write it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool as beeai_tool
from beeai_framework.tools.handoff import HandoffTool
from openinference.instrumentation.beeai import BeeAIInstrumentor

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


def instrument(tracer_provider: TracerProvider) -> None:
    BeeAIInstrumentor().instrument(tracer_provider=tracer_provider)


def _agent(
    server: ModelServer, *tools: Any, name: str | None = None, timeout_s: float | None = None
) -> RequirementAgent:
    settings = {} if timeout_s is None else {"timeout": timeout_s}
    # What OpenAI's models can do, and a provider at another address is not trusted with.
    choices = {"required", "none", "single", "auto"}
    model = OpenAIChatModel(MODEL, base_url=server.url, api_key="none", settings=settings, tool_choice_support=choices)
    agent: RequirementAgent = server.cast.subclass(RequirementAgent)(
        llm=model, tools=list(tools), name=name or server.cast.lead, description="Knows the weather."
    )
    return agent


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, beeai_tool(tool), timeout_s=timeout_s).run(QUESTION, max_retries_per_step=0)


async def _ask_in_run(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    with agent_run(server.cast.lead):
        return await _ask(server, tool, timeout_s)


def _nested(server: ModelServer) -> None:
    async def main() -> None:
        inner = _agent(server, beeai_tool(weather), name=server.cast.inner)
        await _agent(server, HandoffTool(inner)).run(QUESTION)

    asyncio.run(main())


CELLS: Final[Mapping[Scenario, Cell]] = {**usual_cells(_ask), Scenario.NESTED: _nested}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.STATED: usual_cells(_ask_in_run)[Scenario.STATED]}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
