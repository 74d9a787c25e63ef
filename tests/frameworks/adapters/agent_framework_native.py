# SPDX-License-Identifier: Apache-2.0
"""Microsoft Agent Framework with its own spans, as its users write it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from agent_framework import Agent, FunctionInvocationContext, FunctionTool, MiddlewareFailure, function_middleware, tool
from agent_framework.observability import enable_instrumentation
from agent_framework.openai import OpenAIChatCompletionClient
from openai import AsyncOpenAI
from pydantic import BaseModel

from agent_outcomes import agent_run
from tests.frameworks.driving import CLIENT_TIMEOUT_S, behind_fastapi, cancel_when_asked, run_both, state_outcome
from tests.frameworks.model_server import MODEL, Mode
from tests.frameworks.scenarios import Scenario, ToolBroke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"
STEPS_MAX: Final = 3


class Forecast(BaseModel):
    """What the agent of `invalid_output` is to answer."""

    city: str
    degrees: int


@tool(approval_mode="never_require")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@tool(approval_mode="never_require")
def stating(city: str) -> str:
    """The weather of a city."""
    state_outcome()
    return f"sunny in {city}"


@tool(approval_mode="never_require")
def broken(city: str) -> str:
    """The weather of a city."""
    raise ToolBroke(city)


@function_middleware
async def let_errors_escape(context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
    """Agent Framework hands the errors of tools to the model, except those that a middleware makes failures."""
    try:
        await call_next()
    except ToolBroke as error:
        msg = f"{context.function.name} broke"
        raise MiddlewareFailure(msg) from error


def instrument(_tracer_provider: TracerProvider) -> None:
    """Agent Framework takes the global tracer provider."""
    enable_instrumentation()


def _client(server: ModelServer, timeout_s: float | None = None) -> OpenAIChatCompletionClient:
    client = AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=timeout_s)
    return OpenAIChatCompletionClient(MODEL, async_client=client)


def _agent(
    server: ModelServer,
    *tools: FunctionTool,
    name: str | None = None,
    client: OpenAIChatCompletionClient | None = None,
) -> Agent:
    instructions = "Answer questions about the weather."
    return Agent(
        client=client or _client(server), name=name or server.cast.lead, instructions=instructions, tools=list(tools)
    )


async def _ask(server: ModelServer, *tools: FunctionTool, **options: Any) -> None:
    await _agent(server, *(tools or (weather,)), **options).run(QUESTION)


def _asking(*tools: FunctionTool) -> Cell:
    return lambda server: asyncio.run(_ask(server, *tools))


def _timed_out(server: ModelServer) -> None:
    asyncio.run(_ask(server, client=_client(server, CLIENT_TIMEOUT_S)))


async def _with_broken_tool(server: ModelServer) -> None:
    await _agent(server, broken).run(QUESTION, middleware=[let_errors_escape])


def _tool_error(server: ModelServer) -> None:
    asyncio.run(_with_broken_tool(server))


def _cancelled(server: ModelServer) -> None:
    cancel_when_asked(server, lambda: _ask(server))


async def _forecast(server: ModelServer) -> Forecast | None:
    response = await _agent(server).run(QUESTION, options={"response_format": Forecast})
    return response.value


def _invalid_output(server: ModelServer) -> None:
    asyncio.run(_forecast(server))


def _invalid_output_within(server: ModelServer) -> None:
    async def main() -> None:
        with agent_run(server.cast.lead):
            await _forecast(server)

    asyncio.run(main())


def _limited(server: ModelServer) -> Agent:
    client = _client(server)
    client.function_invocation_configuration["max_iterations"] = STEPS_MAX
    return _agent(server, weather, client=client)


def _step_limit(server: ModelServer) -> None:
    asyncio.run(_limited(server).run(QUESTION))


async def _noting_the_limit(server: ModelServer) -> None:
    with agent_run(server.cast.lead) as run:
        response = await _limited(server).run(QUESTION)
        asked = [part for message in response.messages for part in message.contents if part.type == "function_call"]
        if len(asked) >= STEPS_MAX:
            run.set_outcome(status="failure", error_category="budget_exhausted", retryable=False)


def _step_limit_noted(server: ModelServer) -> None:
    asyncio.run(_noting_the_limit(server))


def _nested(server: ModelServer) -> None:
    specialist = _agent(server, weather, name=server.cast.inner)
    asyncio.run(_ask(server, specialist.as_tool()))


def _under_fastapi(server: ModelServer) -> None:
    behind_fastapi(lambda: _ask(server))


def _parallel(server: ModelServer) -> None:
    server.meet(2)
    run_both(lambda: _ask(server))


def _after_failure(server: ModelServer) -> None:
    async def main() -> None:
        try:
            await _ask(server)
        except Exception:  # noqa: BLE001 - whatever it raises; a user's program goes on with the next question
            server.mode = Mode.ANSWER
        await _ask(server)

    asyncio.run(main())


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _asking(weather),
    Scenario.TOOL_ERROR: _tool_error,
    Scenario.RATE_LIMITED: _asking(weather),
    Scenario.UNAVAILABLE: _asking(weather),
    Scenario.TIMED_OUT: _timed_out,
    Scenario.CANCELLED: _cancelled,
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: _step_limit,
    Scenario.NESTED: _nested,
    Scenario.UNDER_FASTAPI: _under_fastapi,
    Scenario.STATED: _asking(stating),
    Scenario.PARALLEL: _parallel,
    Scenario.AFTER_FAILURE: _after_failure,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.INVALID_OUTPUT: _invalid_output_within,
    Scenario.STEP_LIMIT: _step_limit_noted,
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
