# SPDX-License-Identifier: Apache-2.0
"""Google ADK as its users write it: agents with a Gemini model, run by a runner. ADK makes its spans by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from google.adk.agents import LlmAgent, RunConfig
from google.adk.models import Gemini
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from pydantic import BaseModel

from tests.frameworks.driving import CLIENT_TIMEOUT_S, behind_fastapi, cancel_when_asked, run_both
from tests.frameworks.model_server import GEMINI, Mode
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import broken_weather, stating_weather, weather

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.adk.agents import BaseAgent

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

STEPS_MAX: Final = 3


class Forecast(BaseModel):
    """What the agent of `invalid_output` is to answer."""

    city: str
    degrees: int


def _model(server: ModelServer, timeout_s: float | None = None) -> Gemini:
    options = types.HttpOptions(timeout=None if timeout_s is None else int(timeout_s * 1000))
    return Gemini(model=GEMINI, base_url=server.address, client_kwargs={"api_key": "none", "http_options": options})


def _agent(server: ModelServer, *tools: Any, name: str | None = None, **options: Any) -> LlmAgent:
    options = {"model": _model(server), **options}
    own_class = server.cast.subclass(LlmAgent)
    agent: LlmAgent = own_class(
        name=name or server.cast.lead, instruction="Answer questions about the weather.", tools=list(tools), **options
    )
    return agent


async def _run(agent: BaseAgent, config: RunConfig | None = None) -> None:
    runner = InMemoryRunner(agent=agent, app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="user")
    question = types.Content(role="user", parts=[types.Part(text="How is the weather in Paris?")])
    async for _event in runner.run_async(
        user_id="user", session_id=session.id, new_message=question, run_config=config
    ):
        pass


def _asking(*tools: Callable[[str], str]) -> Cell:
    return lambda server: asyncio.run(_run(_agent(server, *tools)))


def _timed_out(server: ModelServer) -> None:
    asyncio.run(_run(_agent(server, weather, model=_model(server, CLIENT_TIMEOUT_S))))


def _cancelled(server: ModelServer) -> None:
    cancel_when_asked(server, lambda: _run(_agent(server, weather)))


def _invalid_output(server: ModelServer) -> None:
    asyncio.run(_run(_agent(server, output_schema=Forecast, output_key="forecast")))


def _step_limit(server: ModelServer) -> None:
    asyncio.run(_run(_agent(server, weather), RunConfig(max_llm_calls=STEPS_MAX)))


def _nested(server: ModelServer) -> None:
    specialist = _agent(server, weather, name=server.cast.inner, description="Knows the weather.")
    asyncio.run(_run(_agent(server, AgentTool(specialist))))


def _under_fastapi(server: ModelServer) -> None:
    behind_fastapi(lambda: _run(_agent(server, weather)))


def _parallel(server: ModelServer) -> None:
    server.meet(2)
    run_both(lambda: _run(_agent(server, weather)))


def _after_failure(server: ModelServer) -> None:
    async def main() -> None:
        try:
            await _run(_agent(server, weather))
        except Exception:  # noqa: BLE001 - whatever ADK raises; a user's program goes on with the next question
            server.mode = Mode.ANSWER
        await _run(_agent(server, weather))

    asyncio.run(main())


CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _asking(weather),
    Scenario.TOOL_ERROR: _asking(broken_weather),
    Scenario.RATE_LIMITED: _asking(weather),
    Scenario.UNAVAILABLE: _asking(weather),
    Scenario.TIMED_OUT: _timed_out,
    Scenario.CANCELLED: _cancelled,
    Scenario.INVALID_OUTPUT: _invalid_output,
    Scenario.STEP_LIMIT: _step_limit,
    Scenario.NESTED: _nested,
    Scenario.UNDER_FASTAPI: _under_fastapi,
    Scenario.STATED: _asking(stating_weather),
    Scenario.PARALLEL: _parallel,
    Scenario.AFTER_FAILURE: _after_failure,
}
