# SPDX-License-Identifier: Apache-2.0
"""Strands Agents with its own spans, as its users write it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel
from strands import Agent, ModelRetryStrategy, tool
from strands.models.openai import OpenAIModel
from strands.types.exceptions import ModelThrottledException

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
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun

QUESTION: Final = "How is the weather in Paris?"


class Forecast(BaseModel):
    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


@tool
def weather_and_outcome(city: str) -> str:
    """Tell the weather in a city."""
    state_outcome()
    return f"sunny in {city}"


def instrument(tracer_provider: TracerProvider) -> None:
    """Nothing is to be done: Strands takes the global provider."""


def _agent(server: ModelServer, *tools: object, name: str | None = None, timeout_s: float = 10.0) -> Agent:
    client = {"base_url": server.url, "api_key": "none", "max_retries": 0, "timeout": timeout_s}
    own_class = server.cast.subclass(Agent)
    agent: Agent = own_class(
        name=name or server.cast.lead,
        model=OpenAIModel(client_args=client, model_id=MODEL),
        tools=list(tools),
        callback_handler=None,
        retry_strategy=ModelRetryStrategy(max_attempts=1),
    )
    return agent


def _ask(server: ModelServer) -> None:
    _agent(server, weather)(QUESTION)


async def _ask_async(server: ModelServer) -> None:
    await _agent(server, weather).invoke_async(QUESTION)


def _time_out(server: ModelServer) -> None:
    _agent(server, weather, timeout_s=CLIENT_TIMEOUT_S)(QUESTION)


def _cancel(server: ModelServer) -> None:
    cancel_when_asked(server, lambda: _ask_async(server))


def _want_structure(server: ModelServer) -> None:
    # The model calls the tool and then answers in plain text, even when it is told to call Forecast.
    _agent(server, weather)(QUESTION, structured_output_model=Forecast)


def _limit_steps(server: ModelServer) -> None:
    _agent(server, weather)(QUESTION, limits={"turns": 2})


def _ask_specialist(server: ModelServer) -> None:
    _agent(server, _agent(server, name=server.cast.inner))(QUESTION)


def _serve(server: ModelServer) -> None:
    behind_fastapi(lambda: _ask_async(server))


def _state(server: ModelServer) -> None:
    _agent(server, weather_and_outcome)(QUESTION)


def _ask_twice_at_once(server: ModelServer) -> None:
    server.meet(2)
    run_both(lambda: _ask_async(server))


def _fail_then_succeed(server: ModelServer) -> None:
    agent = _agent(server, weather)
    with contextlib.suppress(ModelThrottledException):
        agent(QUESTION)
    server.mode = Mode.ANSWER
    agent(QUESTION)


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
REMEDIES: Final[Mapping[Scenario, Cell]] = {}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
