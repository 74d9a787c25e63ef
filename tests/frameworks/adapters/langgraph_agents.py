# SPDX-License-Identifier: Apache-2.0
"""LangGraph and LangChain agents as their users write them; whose spans are made is each adapter's matter.

Some cells run synchronously and some not: asynchronous runs may end their spans in threads where nothing is in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from openai import RateLimitError
from pydantic import BaseModel, SecretStr

from tests.frameworks.driving import CLIENT_TIMEOUT_S, behind_fastapi, cancel_when_asked, run_both, state_outcome
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.scenarios import Beyond, Scenario, ToolBroke

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from langchain_core.runnables import RunnableConfig

    from tests.frameworks.lab import Cell

QUESTION: Final = {"messages": [{"role": "user", "content": "How is the weather in Paris?"}]}
STEPS_MAX: Final = 6


class Forecast(BaseModel):
    """What the agent is to answer in `invalid_output`."""

    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return f"sunny in {city}"


@tool
def broken_weather(city: str) -> str:
    """Weather of a city."""
    raise ToolBroke(city)


@tool
def final_weather(city: str) -> str:
    """Weather of a city, which is all that the user wanted."""
    state_outcome()
    return f"sunny in {city}"


def chat_model(server: ModelServer, timeout_s: float | None = None) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=server.url, api_key=SecretStr("none"), max_retries=0, timeout=timeout_s)


def weather_agent(
    server: ModelServer, tools: Any = (weather,), timeout_s: float | None = None, name: str | None = None
) -> Any:
    return create_agent(chat_model(server, timeout_s), list(tools), name=name or server.cast.lead)


def _invalid_output(server: ModelServer) -> None:
    server.final_tools.add("Forecast")
    response_format = ToolStrategy(Forecast, handle_errors=False)
    agent = create_agent(chat_model(server), [], name=server.cast.lead, response_format=response_format)
    asyncio.run(agent.ainvoke(QUESTION))


def travel_agent(server: ModelServer) -> Any:
    """A graph of its own: a step that plans, then an agent as a subgraph."""
    model = chat_model(server)

    async def plan(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("plan", plan)
    graph.add_node("answer", weather_agent(server, name=server.cast.inner))
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "answer")
    graph.add_edge("answer", END)
    return graph.compile(name=server.cast.lead)


def _parallel(server: ModelServer) -> None:
    server.meet(2)
    agent = weather_agent(server)
    run_both(lambda: agent.ainvoke(QUESTION))


def _after_failure(server: ModelServer) -> None:
    agent = weather_agent(server)

    async def both() -> None:
        with contextlib.suppress(RateLimitError):
            await agent.ainvoke(QUESTION)
        server.mode = Mode.ANSWER
        await agent.ainvoke(QUESTION)

    asyncio.run(both())


async def _run(server: ModelServer, timeout_s: float | None = None) -> object:
    return await weather_agent(server, timeout_s=timeout_s).ainvoke(QUESTION)


def _paused(server: ModelServer) -> None:
    """A graph that asks a human before it sends what the model has written, and is resumed with the answer."""
    model = chat_model(server)

    def approve(_: MessagesState) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": interrupt("send it?")}]}

    def write(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("approve", approve)
    graph.add_node("write", write)
    graph.add_edge(START, "approve")
    graph.add_edge("approve", "write")
    graph.add_edge("write", END)
    agent = graph.compile(name=server.cast.lead, checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    agent.invoke(QUESTION, thread)
    agent.invoke(Command(resume="yes"), thread)


def _stream_left(server: ModelServer) -> None:
    for _ in weather_agent(server).stream(QUESTION):
        break


BEYOND: Final[Mapping[Beyond, Cell]] = {Beyond.PAUSED: _paused, Beyond.STREAM_LEFT: _stream_left}
CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: lambda server: asyncio.run(_run(server)),
    Scenario.TOOL_ERROR: lambda server: weather_agent(server, [broken_weather]).invoke(QUESTION),
    Scenario.RATE_LIMITED: lambda server: weather_agent(server).invoke(QUESTION),
    Scenario.UNAVAILABLE: lambda server: asyncio.run(_run(server)),
    Scenario.TIMED_OUT: lambda server: asyncio.run(_run(server, CLIENT_TIMEOUT_S)),
    Scenario.CANCELLED: lambda server: cancel_when_asked(server, lambda: _run(server)),
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: lambda server: weather_agent(server).invoke(QUESTION, {"recursion_limit": STEPS_MAX}),
    Scenario.NESTED: lambda server: asyncio.run(travel_agent(server).ainvoke(QUESTION)),
    Scenario.UNDER_FASTAPI: lambda server: behind_fastapi(lambda: _run(server)),
    Scenario.STATED: lambda server: weather_agent(server, [final_weather]).invoke(QUESTION),
    Scenario.PARALLEL: _parallel,
    Scenario.AFTER_FAILURE: _after_failure,
}
