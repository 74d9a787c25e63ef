# SPDX-License-Identifier: Apache-2.0
"""LlamaIndex's agents with OpenInference's spans, as their users write them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.agent.workflow import AgentOutput, FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from openai import RateLimitError
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from pydantic import BaseModel

from agent_outcomes import Outcome, agent_run
from tests.frameworks.driving import (
    CLIENT_TIMEOUT_S,
    behind_fastapi,
    cancel_when_asked,
    run_both,
    state_outcome,
)
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


def weather_and_outcome(city: str) -> str:
    """Tell the weather in a city."""
    state_outcome()
    return f"sunny in {city}"


def instrument(tracer_provider: TracerProvider) -> None:
    LlamaIndexInstrumentor().instrument(tracer_provider=tracer_provider)


def _agent(
    server: ModelServer, *tools: Callable[..., Any], is_inner: bool = False, timeout_s: float = 10.0, **more: Any
) -> FunctionAgent:
    llm = OpenAILike(
        model=MODEL,
        api_base=server.url,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        timeout=timeout_s,
        context_window=8000,
    )
    cast = server.cast
    own_class, name = (cast.inner_subclass, cast.inner) if is_inner else (cast.subclass, cast.lead)
    agent: FunctionAgent = own_class(FunctionAgent)(
        name=name, description="Knows.", tools=list(tools), llm=llm, streaming=False, **more
    )
    return agent


async def _ask_async(server: ModelServer) -> None:
    await _agent(server, weather).run(user_msg=QUESTION)


def _ask(server: ModelServer) -> None:
    asyncio.run(_ask_async(server))


def _time_out(server: ModelServer) -> None:
    async def main() -> None:
        await _agent(server, weather, timeout_s=CLIENT_TIMEOUT_S).run(user_msg=QUESTION)

    asyncio.run(main())


def _cancel(server: ModelServer) -> None:
    cancel_when_asked(server, lambda: _ask_async(server))


def _want_structure(server: ModelServer) -> None:
    server.final_tools.add("Forecast")

    async def main() -> None:
        await _agent(server, weather, output_cls=Forecast).run(user_msg=QUESTION)

    asyncio.run(main())


def _want_structure_in_run(server: ModelServer) -> None:
    server.final_tools.add("Forecast")

    @agent_run(server.cast.lead, outcome_of=lambda it: None if it.structured_response else Outcome.invalid_output())
    async def ask() -> AgentOutput:
        return await _agent(server, weather, output_cls=Forecast).run(user_msg=QUESTION)

    asyncio.run(ask())


def _limit_steps(server: ModelServer) -> None:
    async def main() -> None:
        await _agent(server, weather).run(user_msg=QUESTION, max_iterations=2)

    asyncio.run(main())


def _ask_specialist(server: ModelServer) -> None:
    async def ask_specialist(question: str) -> str:
        """Ask somebody who knows."""
        return str(await _agent(server, is_inner=True).run(user_msg=question))

    async def main() -> None:
        await _agent(server, ask_specialist).run(user_msg=QUESTION)

    asyncio.run(main())


def _serve(server: ModelServer) -> None:
    behind_fastapi(lambda: _ask_async(server))


def _state(server: ModelServer) -> None:
    async def main() -> None:
        await _agent(server, weather_and_outcome).run(user_msg=QUESTION)

    asyncio.run(main())


def _ask_twice_at_once(server: ModelServer) -> None:
    server.meet(2)
    run_both(lambda: _ask_async(server))


def _fail_then_succeed(server: ModelServer) -> None:
    with contextlib.suppress(RateLimitError):
        _ask(server)
    server.mode = Mode.ANSWER
    _ask(server)


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _ask,
    Scenario.RATE_LIMITED: _ask,
    Scenario.UNAVAILABLE: _ask,
    Scenario.TIMED_OUT: _time_out,
    Scenario.CANCELLED: _cancel,
    Scenario.INVALID_OUTPUT: _want_structure,
    Scenario.STEP_LIMIT: _limit_steps,
    Scenario.NESTED: _ask_specialist,
    Scenario.UNDER_FASTAPI: _serve,
    Scenario.STATED: _state,
    Scenario.PARALLEL: _ask_twice_at_once,
    Scenario.AFTER_FAILURE: _fail_then_succeed,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.INVALID_OUTPUT: _want_structure_in_run,
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
