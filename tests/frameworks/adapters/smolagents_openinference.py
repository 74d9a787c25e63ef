# SPDX-License-Identifier: Apache-2.0
"""smolagents with the spans of OpenInference, as its users write it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from smolagents import AgentError, LogLevel, OpenAIModel, RunResult, ToolCallingAgent, tool

from agent_outcomes import Outcome, agent_run
from tests.frameworks.driving import CLIENT_TIMEOUT_S, behind_fastapi_in_thread, in_both_threads, state_outcome
from tests.frameworks.model_server import MODEL, Mode, ModelServer
from tests.frameworks.scenarios import Beyond, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun

QUESTION: Final = "How is the weather in Paris?"
STEPS_MAX: Final = 2


def instrument(tracer_provider: TracerProvider) -> None:
    SmolagentsInstrumentor().instrument(tracer_provider=tracer_provider)


@tool
def weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: the city

    """
    return f"sunny in {city}"


@tool
def final_weather(city: str) -> str:
    """Weather of a city, which is all that the user wanted.

    Args:
        city: the city

    """
    state_outcome()
    return f"sunny in {city}"


def _model(server: ModelServer, timeout_s: float | None = None) -> OpenAIModel:
    options = {"max_retries": 0, "timeout": timeout_s}
    return OpenAIModel(model_id=MODEL, api_base=server.url, api_key="none", client_kwargs=options, retry=False)


def _agent(server: ModelServer, *, timeout_s: float | None = None, **options: Any) -> ToolCallingAgent:
    settings = {"tools": [weather], "name": server.cast.lead, "description": "Knows the weather.", **options}
    own_class = server.cast.subclass(ToolCallingAgent)
    agent: ToolCallingAgent = own_class(model=_model(server, timeout_s), verbosity_level=LogLevel.OFF, **settings)
    return agent


def _ask(server: ModelServer) -> object:
    return _agent(server).run(QUESTION)


def _cancelled(server: ModelServer) -> None:
    agent = _agent(server)

    def stop() -> None:
        server.wait_until_asked()
        agent.interrupt()
        server.release()

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        agent.run(QUESTION)
    finally:
        stopper.join()


def _nested(server: ModelServer) -> None:
    _agent(server, tools=[], managed_agents=[_agent(server, name=server.cast.inner)]).run("Where shall I go?")


def _after_failure(server: ModelServer) -> None:
    agent = _agent(server)
    with contextlib.suppress(AgentError):
        agent.run(QUESTION)
    server.mode = Mode.ANSWER
    agent.run(QUESTION)


def _stream_left(server: ModelServer) -> None:
    for _ in _agent(server).run(QUESTION, stream=True):
        break


@tool
def interrupted_weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: the city

    """
    raise KeyboardInterrupt(city)


def _interrupted(server: ModelServer) -> None:
    """Ctrl-C, then another run, as in a notebook."""
    with contextlib.suppress(KeyboardInterrupt):
        _agent(server, tools=[interrupted_weather]).run(QUESTION)
    _ask(server)


BEYOND: Final[Mapping[Beyond, Cell]] = {
    Beyond.STREAM_LEFT: _stream_left,
    Beyond.STREAM_FAILED: lambda server: list(_agent(server).run(QUESTION, stream=True)),
    Beyond.INTERRUPTED: _interrupted,
}
CELLS: Final[Mapping[Scenario, Cell]] = {
    Scenario.TOOL_SUCCESS: _ask,
    Scenario.RATE_LIMITED: _ask,
    Scenario.UNAVAILABLE: _ask,
    Scenario.TIMED_OUT: lambda server: _agent(server, timeout_s=CLIENT_TIMEOUT_S).run(QUESTION),
    Scenario.CANCELLED: _cancelled,
    Scenario.STEP_LIMIT: lambda server: _agent(server, max_steps=STEPS_MAX).run(QUESTION),
    Scenario.NESTED: _nested,
    Scenario.UNDER_FASTAPI: lambda server: behind_fastapi_in_thread(lambda: _ask(server)),
    Scenario.STATED: lambda server: _agent(server, tools=[final_weather]).run(QUESTION),
    Scenario.PARALLEL: lambda server: in_both_threads(lambda: _ask(server)),
    Scenario.AFTER_FAILURE: _after_failure,
}


def _within_run(cell: Cell) -> Cell:
    def run(server: ModelServer) -> None:
        with agent_run(server.cast.lead):
            cell(server)

    return run


def _stated_cancelled(server: ModelServer) -> None:
    with agent_run(server.cast.lead) as run:
        try:
            _cancelled(server)
        except AgentError:
            run.set_outcome(status="cancelled")
            raise


def _outcome_of(result: RunResult) -> Outcome:
    return (
        Outcome.failure(error_category="budget_exhausted") if result.state == "max_steps_error" else Outcome.success()
    )


def _limited(server: ModelServer) -> None:
    @agent_run(server.cast.lead, outcome_of=_outcome_of)
    def ask() -> RunResult:
        result: RunResult = _agent(server, max_steps=STEPS_MAX, return_full_result=True).run(QUESTION)
        return result

    ask()


_FAILING: Final = (Scenario.RATE_LIMITED, Scenario.UNAVAILABLE, Scenario.TIMED_OUT)
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    **{scenario: _within_run(CELLS[scenario]) for scenario in _FAILING},
    Scenario.CANCELLED: _stated_cancelled,
    Scenario.STEP_LIMIT: _limited,
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
