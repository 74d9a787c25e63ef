# SPDX-License-Identifier: Apache-2.0
"""Semantic Kernel with its own spans, as its users write it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from openai import AsyncOpenAI

from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

# Read once, when the package is imported; without it Semantic Kernel makes no such spans.
os.environ["SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS"] = "true"

from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import KernelPlugin, kernel_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"


def instrument(tracer_provider: TracerProvider) -> None:
    """Nothing is to be done: Semantic Kernel takes the global provider."""


def _agent(
    server: ModelServer, *plugins: Any, name: str | None = None, timeout_s: float | None = None
) -> ChatCompletionAgent:
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)
    agent: ChatCompletionAgent = server.cast.subclass(ChatCompletionAgent)(
        name=name or server.cast.lead,
        description="Knows the weather.",
        service=OpenAIChatCompletion(MODEL, async_client=client),
        plugins=list(plugins),
    )
    return agent


def _plugin(tool: Tool) -> KernelPlugin:
    return KernelPlugin("Tools", functions=[kernel_function(tool)])


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, _plugin(tool), timeout_s=timeout_s).get_response(QUESTION)


def _nested(server: ModelServer) -> None:
    inner = _agent(server, _plugin(weather), name=server.cast.inner)
    asyncio.run(_agent(server, inner).get_response(QUESTION))


async def _streamed(server: ModelServer) -> None:
    async for _part in _agent(server, _plugin(weather)).invoke_stream(QUESTION):
        pass


CELLS: Final[Mapping[Scenario, Cell]] = {**usual_cells(_ask, hands_errors_to_the_model=True), Scenario.NESTED: _nested}
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: lambda server: asyncio.run(_streamed(server))}
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
