# SPDX-License-Identifier: Apache-2.0
"""Claude Agent SDK with the spans of OpenInference: the SDK runs its bundled program, which asks the model."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

import claude_agent_sdk
from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions, create_sdk_mcp_server
from claude_agent_sdk import tool as claude_tool
from openinference.instrumentation.claude_agent_sdk import ClaudeAgentSDKInstrumentor

from agent_outcomes import agent_run
from tests.frameworks.model_server import CLAUDE
from tests.frameworks.scenarios import Scenario
from tests.frameworks.tools import weather
from tests.frameworks.usual import Tool, usual_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider

    from tests.frameworks.lab import Cell, IsRun
    from tests.frameworks.model_server import ModelServer

QUESTION: Final = "How is the weather in Paris?"
STEPS_MAX: Final = 2
# The program is another process, which no audit hook of ours is in: it is told to keep to itself, and finds no way out.
KEPT_IN: Final = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


def instrument(tracer_provider: TracerProvider) -> None:
    # What whoever runs the tests has set for a program of this name is none of the lab's.
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE"))]:
        del os.environ[name]
    ClaudeAgentSDKInstrumentor().instrument(tracer_provider=tracer_provider)


def _options(server: ModelServer, tool: Tool, timeout_s: float | None, **more: Any) -> ClaudeAgentOptions:
    home = tempfile.mkdtemp(prefix="claude-")
    environment = {**KEPT_IN, "ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": server.address}
    environment |= {"CLAUDE_CONFIG_DIR": home, "HOME": home}
    if timeout_s is not None:
        environment["API_TIMEOUT_MS"] = str(int(timeout_s * 1000))

    @claude_tool(tool.__name__, "Tells the weather.", {"city": str})
    async def called(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": tool(arguments["city"])}]}

    settings: dict[str, Any] = {"tools": [], "max_turns": 5, **more}
    return ClaudeAgentOptions(
        model=CLAUDE,
        system_prompt="Answer questions about the weather.",
        mcp_servers={"shop": create_sdk_mcp_server("shop", tools=[called])},
        allowed_tools=[f"mcp__shop__{tool.__name__}", "Task"],
        setting_sources=[],
        cwd=home,
        env=environment,
        **settings,
    )


async def _ask(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None, **more: Any) -> None:
    async for _message in claude_agent_sdk.query(prompt=QUESTION, options=_options(server, tool, timeout_s, **more)):
        pass


async def _ask_in_run(server: ModelServer, tool: Tool = weather, timeout_s: float | None = None) -> None:
    with agent_run(server.cast.lead):
        await _ask(server, tool, timeout_s)


def _nested(server: ModelServer) -> None:
    server.first_tools |= {"Agent", "Task"}
    server.arguments |= {"subagent_type": server.cast.inner, "run_in_background": False}
    inner = AgentDefinition(description="Knows the weather.", prompt="Answer.", tools=["mcp__shop__weather"])
    asyncio.run(_ask(server, tools=["Task"], agents={server.cast.inner: inner}))


CELLS: Final[Mapping[Scenario, Cell]] = {
    **usual_cells(_ask, hands_errors_to_the_model=True),
    Scenario.STEP_LIMIT: lambda server: asyncio.run(_ask(server, max_turns=STEPS_MAX)),
    Scenario.NESTED: _nested,
}
REMEDIES: Final[Mapping[Scenario, Cell]] = {
    Scenario.STATED: usual_cells(_ask_in_run, hands_errors_to_the_model=True)[Scenario.STATED]
}
IS_RUN: Final[Mapping[Scenario, IsRun]] = {}
