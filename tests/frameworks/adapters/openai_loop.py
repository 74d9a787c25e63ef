# SPDX-License-Identifier: Apache-2.0
"""Agents written by hand around OpenAI's SDK; which instrumentation sees its calls is each adapter's matter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from openai import AsyncOpenAI
from opentelemetry import trace
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Beyond, Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Ask, Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"
Run = Callable[[str], AbstractContextManager[object]]


class Forecast(BaseModel):
    """What the model is to answer in `invalid_output`."""

    city: str
    degrees: int


@contextmanager
def own_span(name: str) -> Iterator[None]:
    """A span as the conventions want it, made with OpenTelemetry alone."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    with trace.get_tracer("shop").start_as_current_span(f"invoke_agent {name}", attributes=attributes):
        yield


@contextmanager
def tool_span(name: str) -> Iterator[None]:
    """The same for a tool."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    with trace.get_tracer("shop").start_as_current_span(f"execute_tool {name}", attributes=attributes):
        yield


def client_of(server: ModelServer, timeout_s: float | None = None) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)


def declared(tool: Any) -> dict[str, Any]:
    """The tool as the model is told of it."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": tool.__name__, "description": "Knows.", "parameters": parameters}}


async def loop(client: AsyncOpenAI, tool: Any, call: Callable[[str], Any]) -> str:
    """Ask the model until it wants no more of the tool."""
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [declared(tool)]
    while True:
        answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
        message: Any = answer.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message)
        for asked in message.tool_calls:
            with tool_span(tool.__name__):
                said = call(json.loads(asked.function.arguments)["city"])
                text = await said if asyncio.iscoroutine(said) else said
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": text})


async def read_stream(client: AsyncOpenAI) -> None:
    """Ask the model once, for an answer in pieces."""
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for _chunk in stream:
        pass


def asking(run: Run) -> Ask:
    """Asks in a run that is marked so."""

    async def ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
        with run(server.cast.lead):
            return await loop(client_of(server, timeout_s), tool, tool)

    return ask


def _nested(run: Run) -> Cell:
    async def main(server: ModelServer) -> None:
        client = client_of(server)

        async def ask_inner(_question: str) -> str:
            with run(server.cast.inner):
                return await loop(client, weather, weather)

        with run(server.cast.lead):
            await loop(client, ask_inner, ask_inner)

    return lambda server: asyncio.run(main(server))


def _invalid_output(run: Run) -> Cell:
    async def main(server: ModelServer) -> None:
        with run(server.cast.lead):
            question: list[Any] = [{"role": "user", "content": QUESTION}]
            await client_of(server).chat.completions.parse(model=MODEL, messages=question, response_format=Forecast)

    return lambda server: asyncio.run(main(server))


def _read_by_hand(run: Run) -> Cell:
    """The answer as text, which the user's own code reads."""

    async def main(server: ModelServer) -> None:
        with run(server.cast.lead):
            question: list[Any] = [{"role": "user", "content": QUESTION}]
            answer = await client_of(server).chat.completions.create(model=MODEL, messages=question)
            Forecast.model_validate_json(answer.choices[0].message.content or "")

    return lambda server: asyncio.run(main(server))


def _streamed(run: Run) -> Cell:
    async def main(server: ModelServer) -> None:
        with run(server.cast.lead):
            await read_stream(client_of(server))

    return lambda server: asyncio.run(main(server))


def loop_cells(run: Run) -> dict[Scenario, Cell]:
    """All that a loop of one's own goes through, its runs marked so."""
    return {
        **usual_cells(asking(run)),
        Scenario.INVALID_OUTPUT: _invalid_output(run),
        Scenario.NESTED: _nested(run),
    }


CELLS: Final[Mapping[Scenario, Cell]] = loop_cells(agent_run)
BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.STREAMED: _streamed(agent_run)}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.INVALID_OUTPUT: _read_by_hand(agent_run)}
SPAN_CELLS: Final[Mapping[Scenario, Cell]] = loop_cells(own_span)
SPAN_REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.INVALID_OUTPUT: _read_by_hand(own_span)}
