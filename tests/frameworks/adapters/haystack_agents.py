# SPDX-License-Identifier: Apache-2.0
"""Haystack's agents as their users write them; whose spans are made is each adapter's matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import ComponentTool, create_tool_from_function
from haystack.utils import Secret

from agent_outcomes import agent_run
from tests.frameworks.model_server import MODEL
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.frameworks.lab import Cell
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = [ChatMessage.from_user("How is the weather in Paris?")]
STEPS_MAX: Final = 3


def _agent(server: ModelServer, *tools: Any, timeout_s: float | None = None, **options: Any) -> Agent:
    generator = OpenAIChatGenerator(
        Secret.from_token("none"), model=MODEL, api_base_url=server.url, max_retries=0, timeout=timeout_s
    )
    return Agent(chat_generator=generator, tools=list(tools), raise_on_tool_invocation_failure=True, **options)


def _tool(of: Tool) -> Any:
    return create_tool_from_function(of)


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> object:
    return await _agent(server, _tool(tool), timeout_s=timeout_s).run_async(messages=QUESTION)


def _step_limit(server: ModelServer) -> None:
    _agent(server, _tool(weather), max_agent_steps=STEPS_MAX).run(messages=QUESTION)


def _step_limit_told(server: ModelServer) -> None:
    with agent_run(server.cast.lead) as run:
        answer = _agent(server, _tool(weather), max_agent_steps=STEPS_MAX).run(messages=QUESTION)
        if answer["last_message"].tool_call_results:
            run.set_outcome(status="failure", error_category="budget_exhausted", retryable=False)


def _nested(server: ModelServer) -> None:
    """An agent in a pipeline, with another as its tool."""
    inner = _agent(server, _tool(weather), user_prompt="{{question}}", required_variables=["question"])
    tool = ComponentTool(component=inner, name=server.cast.inner, description="Knows the weather.")
    pipeline = Pipeline()
    pipeline.add_component(server.cast.lead, _agent(server, tool))
    pipeline.run({server.cast.lead: {"messages": QUESTION}})


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask),
    Scenario.STEP_LIMIT: _step_limit,
    Scenario.NESTED: _nested,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {Scenario.STEP_LIMIT: _step_limit_told}
